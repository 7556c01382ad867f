"""The program that COALMINE_MAIL starts: sends a request to the worker's mail server and prints the answer.

Started by its path with `python -I`, so that nothing of the work tree is imported: it needs only the standard
library. One line of JSON goes to the socket, one comes back. Exit codes are those of the command line.

Answers go to standard output, as words or with --json as JSON; notes and errors go to standard error. Agents
read both, and prompts quote the verbs: what is renamed here must be renamed there.
"""

import argparse
import io
import json
import socket
import sys
from pathlib import Path
from typing import Any

#: Seconds to wait for the worker, for each step of the exchange.
PATIENCE_SECONDS = 30.0

#: The largest body that is read from standard input, in bytes; the mail server takes less.
MOST_BYTES = 1 << 20

#: Exit codes, as `routing.errors` has them: nothing of ours can be imported here.
UNAVAILABLE = 5
BAD_INPUT = 2

_EXAMPLES = """examples:
  "$COALMINE_MAIL" send --to parent --type question --subject 'Which port?' --body 'The issue names two.'
  "$COALMINE_MAIL" send --to parent --type worker_done --subject Done --payload '{"task_id": "…", …}'
  "$COALMINE_MAIL" send --to coalmine --type dispatch --payload '{"task_id": "…", "spec": "…", "role": …}'
  "$COALMINE_MAIL" reply 4f1d0c2ab39e8876 --body - < answer.txt
  "$COALMINE_MAIL" list
  "$COALMINE_MAIL" await
"""


def main(arguments: list[str]) -> int:
    """Run `PASS send|reply|list|read|await …`; returns the exit code.

    PASS is the file with the socket's path and the turn's token, which the script in front of this program
    puts in. 2: a wrong request, 5: the worker does not answer; others are those of the mail server's answer.
    """
    for stream in (sys.stdout, sys.stderr):  # mail may hold what the agent's locale does not know
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    pass_file, *rest = arguments
    given = _parser().parse_args(rest)
    try:
        answer = _asked(Path(pass_file), _request_of(given))
    except ValueError as error:
        return _complain(f"{error}; nothing was sent", BAD_INPUT)
    except OSError as error:
        return _complain(f"the worker does not answer ({error}); this turn may be over", UNAVAILABLE)
    if not answer.get("ok"):
        return _complain(str(answer.get("error")), int(answer.get("code", 1)))
    sys.stdout.write(json.dumps(answer, indent=2) + "\n" if given.json else _shown(answer))
    if answer.get("note"):
        sys.stderr.write(f"mail: {answer['note']}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    """The verbs and options; `docs/mail.md` shows them, too."""
    parser = argparse.ArgumentParser(
        prog="mail",
        description="Mail to and from the other agents of the fleet, and people (operator).",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="do", required=True, metavar="send|reply|list|read|await")
    send = commands.add_parser("send", help="send a mail")
    send.add_argument(
        "--to", required=True, help="an agent, parent, operator, or a group: @all, @builders, …"
    )
    reply = commands.add_parser("reply", help="answer the other side of a mail")
    reply.add_argument("mail", metavar="ID")
    for command in (send, reply):
        command.add_argument("--type", default="", help="status, question, result, worker_done, …")
        command.add_argument("--subject", default="", help="one line; without it the beginning of the body")
        command.add_argument("--body", default="", help="the text; - reads it from standard input")
        command.add_argument("--payload", default="", metavar="JSON", help="the fields of the type")
        command.add_argument("--priority", default="", help="urgent, high, normal or low")
        command.add_argument(
            "--dedupe-key", default="", metavar="KEY", help="repeated sends with it are one mail"
        )
    listing = commands.add_parser("list", help="the newest mails that you were sent")
    listing.add_argument("--limit", type=int, default=20)
    read = commands.add_parser("read", help="one mail")
    read.add_argument("mail", metavar="ID")
    waiting = commands.add_parser("await", help="have your next turn begin when mail arrives for you")
    for command in (send, reply, listing, read, waiting):
        command.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser


def _request_of(given: argparse.Namespace) -> dict[str, Any]:
    """The arguments as a request; ValueError for what cannot be sent. `--body -` reads standard input."""
    request = {name: value for name, value in vars(given).items() if name != "json"}
    if request.get("body") == "-":
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError("the body is too long")
        request["body"] = data.decode("utf-8", errors="replace")
    if "payload" in request:
        request["payload"] = _payload(request["payload"])
    return request


def _payload(text: str) -> object:
    """The payload as a JSON value, None without one; ValueError for what is not JSON."""
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"--payload is not JSON: {error}"
        raise ValueError(message) from error


def _asked(pass_file: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send one line, read one line.

    OSError when the worker does not answer in time, or closes the connection.
    """
    held = json.loads(pass_file.read_text(encoding="utf-8"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(held["socket"])
        connection.sendall(json.dumps({"token": held["token"], "request": request}).encode() + b"\n")
        with connection.makefile("rb") as answers:
            line = answers.readline()
    if not line:
        raise OSError("it closed the connection")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _shown(answer: dict[str, Any]) -> str:
    """An answer in words, for an agent that did not ask for JSON."""
    if "text" in answer:
        return f"{answer['text']}\n"
    if "mails" in answer:
        lines = [
            f"{mail['id']}  {mail['state']:8}{mail['priority']:8}{mail['type']:14}"
            f"{mail['from']:24}{mail['subject']}"
            for mail in answer["mails"]
        ]
        return "\n".join(lines or ["no mail"]) + "\n"
    if "child" in answer:
        child = answer["child"]
        done = "dispatched" if child["created"] else "was dispatched before"
        return f"{child['job']} {done} as {child['agent']}\n"
    return "".join(
        f"{mail['id']} {'sent' if mail['created'] else 'was sent before'} to {mail['to']}\n"
        for mail in answer["sent"]
    )


def _complain(message: str, code: int) -> int:
    """Write one line to standard error, and return the exit code."""
    sys.stderr.write(f"mail: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
