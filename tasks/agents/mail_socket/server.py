"""The worker's end of the agents' mail command.

One a process. Each turn has a command, a socket and a token of its own. What comes with that token, at that
socket, is from the turn's agent, whatever the request says. Threads: `open` and `close` are called by turns,
`answer` by one thread for each connection; all of them take the lock only to look up a token or to count.

Tokens live in memory alone: when the process ends, all of them are invalid, and the commands that are left
say that the worker does not answer.
"""

import json
import secrets
import shlex
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from routing.errors import CoalmineError, ConflictError, InvalidInputError, NotFoundError
from routing.printable import in_texts, printable
from tasks.agents.mail.address import Author
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail_socket.child_dispatch import ChildDispatch
from tasks.agents.mail_socket.request import checked_form, run
from tasks.agents.mail_socket.unix_socket import MOST_REQUEST_BYTES, MailSockets
from tasks.agents.redaction import Redactor

_log = structlog.get_logger(__name__)

#: Letters that one turn may send.
MOST_LETTERS = 200

#: Seconds for which a connection may say nothing.
PATIENCE_SECONDS = 10.0

#: The program that agents call. It is run by its path, apart from whatever the work tree holds.
_PROGRAM = Path(__file__).with_name("command.py")

#: The command. A container has a Python of its own.
_SCRIPT = """\
#!/bin/sh
python={python}
[ -x "$python" ] || python=python3
exec "$python" -I {argv} "$@"
"""


class TurnOverError(NotFoundError):
    """The token belongs to no turn that runs in this process."""


class TooManyLettersError(ConflictError):
    """A turn has sent all the letters that it may; this one was not sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MailTurn:
    """A turn whose agent may send mail.

    `await_mail` is called by the thread of a connection.
    """

    agent: str  # its address
    folder: Path  # the turn's own, outside the work tree
    secrets: Mapping[str, str] = field(default_factory=dict)  # by name; they leave in no mail
    job: str = ""  # id of the job that the turn works on: the parent of whatever it dispatches
    await_mail: Callable[[], None] | None = None  # notes that the agent's next turn waits for mail
    sends: bool = True  # False: it may read mail, and send none


@dataclass(kw_only=True, slots=True)
class _OpenTurn:
    """An open turn, as the mail server keeps it. `letters` is changed under the server's lock only."""

    author: Author
    redact: Redactor
    socket: Path
    job: str = ""
    await_mail: Callable[[], None] | None = None
    sends: bool = True
    letters: int = 0

    def count(self) -> None:
        """Count a letter, or raise TooManyLettersError; the server's lock is held."""
        if not self.sends:
            message = "nobody gets mail about this job, and it has no children; nothing was sent: go on alone"
            raise ConflictError(message)
        if self.letters >= MOST_LETTERS:
            message = f"this turn has sent {MOST_LETTERS} letters, which is all that it may; nothing was sent"
            raise TooManyLettersError(message)
        self.letters += 1


class MailServer:
    """Accepts from the first turn on.

    For each turn `open`, then `close`; both again are harmless. `shut` ends it with the process, and may be
    called at any time.
    """

    def __init__(
        self, office: PostOffice, *, children: ChildDispatch | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:  # fmt: skip
        self._office = office
        self._children = children  # None: agents dispatch nobody
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._open_turns: dict[str, _OpenTurn] = {}  # by token
        self._tokens: dict[Path, str] = {}  # by the folder of the turn
        self._sockets: MailSockets | None = None

    def open(self, turn: MailTurn) -> Path:
        """Let the agent of a turn send mail; returns the path of its command (`COALMINE_MAIL`).

        The folder gets two files: the command, and the socket's path with the token, for this user alone.
        Opening the same folder again makes the earlier token invalid. InvalidInputError where no socket can
        be made.
        """
        folder, token = turn.folder.resolve(), secrets.token_hex(32)
        folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if self._sockets is None:
                self._sockets = MailSockets(patience_seconds=self._patience_seconds)
            socket = self._sockets.open(partial(self.answer, at=token))
            opened = _OpenTurn(
                author=Author(address=turn.agent, task=turn.job),
                redact=Redactor(turn.secrets),
                socket=socket,
                job=turn.job,
                await_mail=turn.await_mail,
                sends=turn.sends,
            )
            self._forget(folder)
            self._open_turns[token], self._tokens[folder] = opened, token
        _write(_pass(folder), json.dumps({"socket": str(socket), "token": token}), mode=0o600)
        argv = shlex.join([str(_PROGRAM), str(_pass(folder))])
        script = _SCRIPT.format(python=shlex.quote(sys.executable), argv=argv)
        _write(_command(folder), script, mode=0o700)
        return _command(folder)

    def shown(self, turn: MailTurn) -> tuple[list[Path], list[Path]]:
        """What an open turn's command needs in a sandbox: files to read, and its socket."""
        folder = turn.folder.resolve()
        with self._lock:
            opened = self._open_turns.get(self._tokens.get(folder, ""))
        sockets = [] if opened is None else [opened.socket]
        return [_command(folder), _pass(folder), _PROGRAM], sockets

    def close(self, turn: MailTurn) -> None:
        """The turn is over: its token is no longer valid, and its command and its socket are removed.

        A request that was taken before is still carried out. Again changes nothing.
        """
        folder = turn.folder.resolve()
        with self._lock:
            self._forget(folder)
        for file in (_command(folder), _pass(folder)):
            file.unlink(missing_ok=True)

    def shut(self) -> None:
        """Stop serving, and make all tokens invalid."""
        with self._lock:
            sockets, self._sockets = self._sockets, None
            self._open_turns.clear()
            self._tokens.clear()
        if sockets is not None:
            sockets.end()

    def _forget(self, folder: Path) -> None:
        """Make a turn's token invalid, and close its socket; the lock is held."""
        opened = self._open_turns.pop(self._tokens.pop(folder, ""), None)
        if opened is not None and self._sockets is not None:
            self._sockets.close(opened.socket)

    def answer(self, line: bytes, *, at: str | None = None) -> dict[str, Any]:
        """Answer one line of a connection; never raises: every fault becomes an answer with an exit code.

        `at` is the token of the turn whose socket it came to: no other's counts there. `ok` is true with the
        fields of the answer, or false with `error` and `code`.
        """
        try:
            return {"ok": True, **self._answered(line, at)}
        except CoalmineError as error:
            return {"ok": False, "error": str(error), "code": error.exit_code}
        except Exception:  # noqa: BLE001 - the boundary of a connection: a request must not end the server
            _log.exception("mail.request_failed")
            return {"ok": False, "error": "the worker failed at this; its log says more", "code": 70}

    def _answered(self, line: bytes, at: str | None) -> dict[str, Any]:
        """Find the turn by its token, take its secrets out of the request, then do what it asks."""
        token, asked = _parsed(line)
        with self._lock:
            turn = self._open_turns.get(token) if at in {None, token} else None
        if turn is None:
            raise TurnOverError("this turn is over, or was never one of this worker's; nothing was sent")
        request = in_texts(asked, turn.redact)
        dispatch = None
        if self._children is not None:
            dispatch = partial(self._children.dispatch, agent=turn.author.address, job=turn.job)
        form, count = checked_form(request), partial(self._count, turn)
        return run(
            form, self._office, turn.author, may_send=count, dispatch=dispatch, await_mail=turn.await_mail
        )

    def _count(self, turn: _OpenTurn) -> None:
        """Count a letter of a turn, or raise TooManyLettersError."""
        with self._lock:
            turn.count()


def _parsed(line: bytes) -> tuple[str, object]:
    """The token of a request, and what it asks for in printable texts."""
    if len(line) > MOST_REQUEST_BYTES:
        message = f"the request is longer than {MOST_REQUEST_BYTES} bytes; nothing was sent"
        raise InvalidInputError(message)
    try:
        request = in_texts(json.loads(line), printable)
    except (ValueError, RecursionError) as error:
        message = "the request is not JSON, so nothing was sent; use the command that COALMINE_MAIL names"
        raise InvalidInputError(message) from error
    if not isinstance(request, dict):
        raise InvalidInputError("the request is not a JSON object; nothing was sent")
    asked = request.get("request", request.get("errand"))  # "errand": commands made before 0.2
    return str(request.get("token", "")), asked


def _pass(folder: Path) -> Path:
    """The file with the path of the socket and the turn's token; readable for this user alone."""
    return folder / "mail.json"


def _command(folder: Path) -> Path:
    """The script that the agent calls."""
    return folder / "mail"


def _write(file: Path, text: str, *, mode: int) -> None:
    """Write a new file with these permissions, in place of what was there."""
    file.unlink(missing_ok=True)
    file.touch(mode=mode, exist_ok=False)
    file.write_text(text, encoding="utf-8")
