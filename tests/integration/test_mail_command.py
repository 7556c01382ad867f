"""COALMINE_MAIL: what an agent can do with it, as real processes, and what it cannot."""

import json
import os
import shlex
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from tasks.agents.mail.mail import MOST_BODY_BYTES
from tasks.agents.mail.payloads import MOST_PAYLOAD_BYTES
from tasks.agents.mail_socket.server import MOST_LETTERS, MailServer, MailTurn
from tasks.agents.mail_socket.unix_socket import LEFT_SECONDS, MOST_REQUEST_BYTES, sweep
from tests.fleets.post import ADA, DONE, PostFleet
from tests.waiting import run, wait_until


class MailBench:
    """A mail server, and the command of a builder's turn."""

    def __init__(self, post: PostFleet, folder: Path) -> None:
        self.post = post
        self.lead, self.builder = post.pair()
        self.mail_server = MailServer(post.office)
        self.turn = MailTurn(
            agent=self.builder, folder=folder / "a turn's files", secrets={"API_KEY": "s3cr3t-value"}
        )
        self.command = self.mail_server.open(self.turn)
        self.tree = folder / "tree"
        self.tree.mkdir()

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Call the command as an agent does: in its work tree, with next to no environment."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.tree)}
        return run([str(self.command), *arguments], cwd=self.tree, env=environment, stdin=stdin)

    def send(self, *arguments: str, **more: str) -> str:
        """Send a mail, which must succeed; returns its id."""
        done = self.run("send", *arguments, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    def ask(self, request: Any, *, raw: bytes | None = None) -> dict[str, Any]:
        """Speak to the socket without the command."""
        held = self.held()
        body = raw if raw is not None else json.dumps({"token": held["token"], "request": request}).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(held["socket"])
            connection.sendall(body + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
        return answer

    def held(self) -> dict[str, str]:
        """What the command knows."""
        read: dict[str, str] = json.loads((self.command.parent / "mail.json").read_text())
        return read


@pytest.fixture
def bench(fake_redis: redis.Redis, tmp_path: Path) -> Iterator[MailBench]:
    """An open turn of a builder with a lead."""
    made = MailBench(PostFleet(fake_redis), tmp_path)
    yield made
    made.mail_server.shut()


def test_an_agent_sends_mail(bench: MailBench) -> None:
    """The mail is from the agent of the turn, with all that it said."""
    mail = bench.post.office.find(
        bench.send(
            *("--to", "parent", "--type", "worker_done", "--subject", "Done", "--body", "-"),
            *("--payload", json.dumps(DONE), "--priority", "high"),
            stdin="It works.\nThe end.\n",
        )
    )
    assert (mail.sender, mail.recipient, mail.type) == (bench.builder, bench.lead, "worker_done")
    assert (mail.subject, mail.body, mail.priority) == ("Done", "It works.\nThe end.\n", "high")
    assert mail.payload == DONE
    assert bench.post.office.terminal_since(bench.builder, 0) == mail


def test_an_agent_learns_when_its_mail_ends_nothing(bench: MailBench) -> None:
    """It may have named the wrong task; the mail was sent all the same."""
    done = bench.run(
        "send", "--to", "parent", "--type", "worker_done", "--subject", "x",
        "--payload", json.dumps(DONE | {"task_id": "another"}),
    )  # fmt: skip
    assert done.returncode == 0
    assert "does not end your task" in done.stderr


def test_an_agent_lists_reads_and_answers_mail(bench: MailBench) -> None:
    """What it was sent, with its head and body; the answer is in the thread."""
    sent = bench.post.send(bench.lead, bench.builder, type_="question", subject="which\x1b[2J?", body="this?")
    listed = bench.run("list")
    assert listed.stdout.split() == [sent.id, "queued", "normal", "question", bench.lead, "which?"]
    read = bench.run("read", sent.id)
    assert f"from: {bench.lead}\n" in read.stdout
    assert "```text\nthis?\n```" in read.stdout
    answered = bench.run("reply", sent.id, "--body", "that", "--json")
    answer = bench.post.office.find(json.loads(answered.stdout)["sent"][0]["id"])
    assert (answer.sender, answer.recipient, answer.thread) == (bench.builder, bench.lead, sent.id)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["send", "--to", "nobody", "--subject", "x"], 3, "no agent is called nobody"),
        (["send", "--to", "@monitors", "--subject", "x"], 3, "no live agent"),
        (["send", "--to", "parent", "--type", "gossip", "--subject", "x"], 2, "not a type of mail"),
        (["send", "--to", "parent", "--type", "merged", "--subject", "x"], 2, "Field required"),
        (["send", "--to", "parent", "--payload", "{", "--subject", "x"], 2, "not JSON"),
        (["send", "--to", "parent", "--payload", "[]", "--subject", "x"], 2, "payload"),
        (["send", "--to", "parent"], 2, "says nothing"),
        (["send", "--to", "parent", "--type", "worker_died", "--subject", "x"], 2, "only Coalmine"),
        (["read", "0" * 16], 3, "no mail"),
        (["read", "../../etc"], 2, "16 hex digits"),
        (["list", "--limit", "0"], 2, "limit"),
        (["shout"], 2, "invalid choice"),
    ],
)
def test_an_error_is_reported_with_its_code(
    bench: MailBench, arguments: list[str], code: int, message: str
) -> None:
    """On standard error, in the words of the post office; nothing is sent."""
    done = bench.run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert bench.post.office.newest(10) == []


def test_a_request_cannot_say_who_sends(bench: MailBench) -> None:
    """There is no field for it, and a token is of one agent."""
    for extra in ({"sender": "operator"}, {"from": bench.lead}, {"author": "ada"}):
        answer = bench.ask({"do": "send", "to": bench.lead, "subject": "x", **extra})
        assert (answer["ok"], answer["code"]) == (False, 2)
    other = bench.post.agent(job="7" * 16).name
    command = bench.mail_server.open(MailTurn(agent=other, folder=bench.tree.parent / "other"))
    done = subprocess.run(
        [command, "send", "--to", bench.lead, "--subject", "x"], capture_output=True, check=True
    )
    assert bench.post.office.find(done.stdout.split()[0].decode()).sender == other


def test_mail_of_others_cannot_be_read(bench: MailBench) -> None:
    """Neither listed, nor read, nor answered."""
    sent = bench.post.send(ADA, bench.lead)
    assert bench.run("list").stdout == "no mail\n"
    assert bench.run("read", sent.id).returncode == 3
    assert bench.run("reply", sent.id, "--body", "x").returncode == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"token": 3}',
        b'{"token": "0"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"a": 1e999}',
    ],
)
def test_nonsense_is_refused(bench: MailBench, raw: bytes) -> None:
    """Whatever arrives at the socket, it is answered, and the next one is served."""
    answer = bench.ask(None, raw=raw)
    assert answer["ok"] is False
    assert answer["code"] in {2, 3}
    assert bench.ask({"do": "list"})["ok"] is True


def test_the_longest_mail_passes_and_a_longer_request_does_not(bench: MailBench) -> None:
    """A body and a payload at their limits fit, however they are escaped."""
    context = "é" * (MOST_PAYLOAD_BYTES // 6 - 20)
    payload = json.dumps({"severity": "info", "context": context})
    body = "語" * (MOST_BODY_BYTES // 3)
    mail = bench.send(
        "--to", "parent", "--type", "escalation", "--payload", payload, "--body", "-", stdin=body
    )
    assert bench.post.office.find(mail).body == body
    answer = bench.ask(None, raw=b"x" * (MOST_REQUEST_BYTES + 1))
    assert "longer than" in answer["error"]


def test_secrets_leave_in_no_mail(bench: MailBench) -> None:
    """What the agent was given is replaced by its name, wherever it stands."""
    payload = json.dumps({"severity": "info", "context": "key s3cr3t-value"})
    mail = bench.post.office.find(
        bench.send(
            *("--to", "parent", "--subject", "s3cr3t-value", "--body", "is s3cr3t-value"),
            *("--type", "escalation", "--payload", payload),
        )
    )
    assert (mail.subject, mail.body, mail.payload["context"]) == (
        "[API_KEY]",
        "is [API_KEY]",
        "key [API_KEY]",
    )


def test_mail_that_is_not_valid_text_is_sent_as_what_can_be_read(bench: MailBench) -> None:
    """Bytes in an argument, half a character and NUL in a request: the rest arrives, without secrets."""
    escapes = "".join(f"\\u{ord(letter):04x}" for letter in "s3cr3t-value")
    odd = (
        b'{"token": "%s", "request": {"do": "send", "to": "par\\ud83dent", "type": "escalation",'
        b' "subject": "half \\udc00\\u0000 %s", "body": "b",'
        b' "payload": {"severity": "info", "context": "s3cr3t\\u0007-value"}}}'
    )
    answer = bench.ask(None, raw=odd % (bench.held()["token"].encode(), escapes.encode()))
    assert answer["ok"], answer
    mail = bench.post.office.find(answer["sent"][0]["id"])
    assert (mail.subject, mail.payload["context"]) == ("half [API_KEY]", "[API_KEY]")
    sent = bench.send("--to", "parent", "--subject", "caf\udce9 open", "--body", "b\udcff")
    assert bench.post.office.find(sent).subject == "caf open"
    shown = bench.run("list")
    assert (shown.returncode, shown.stderr) == (0, "")


def test_a_closed_turn_sends_nothing_any_more(bench: MailBench) -> None:
    """Its token is worth nothing, also to a process that outlives it; the command is gone."""
    held = bench.held()
    request = json.dumps({"token": held["token"], "request": {"do": "list"}}).encode()
    other = MailTurn(agent=bench.lead, folder=bench.tree.parent / "other")
    bench.mail_server.open(other)
    bench.mail_server.close(bench.turn)
    assert not bench.command.exists()
    bench.command = other.folder / "mail"
    assert bench.ask(None, raw=request)["code"] == 3
    assert bench.ask({"do": "list"})["ok"] is True


def test_each_turn_has_a_socket_of_its_own(bench: MailBench) -> None:
    """A token counts at its own alone; the socket goes with its turn, and those of others stay."""
    other = MailTurn(agent=bench.lead, folder=bench.tree.parent / "other")
    bench.mail_server.open(other)
    own, theirs = ([Path(one) for one in bench.mail_server.shown(turn)[1]] for turn in (bench.turn, other))
    assert own != theirs
    assert [str(path) for path in own] == [bench.held()["socket"]]
    stolen = json.loads((other.folder / "mail.json").read_text())["token"]
    request = json.dumps({"token": stolen, "request": {"do": "list"}}).encode()
    assert bench.ask(None, raw=request)["code"] == 3
    bench.mail_server.close(other)
    wait_until(lambda: not theirs[0].exists(), description="the socket is gone")
    assert bench.mail_server.shown(other)[1] == []
    assert bench.ask({"do": "list"})["ok"] is True


def test_a_mail_server_that_was_shut_is_reported(bench: MailBench) -> None:
    """The agent hears that the worker is gone, with the code of what may succeed later."""
    folder = Path(bench.held()["socket"]).parent
    bench.mail_server.shut()
    done = bench.run("list")
    assert (done.returncode, "does not answer" in done.stderr) == (5, True)
    assert not folder.exists()
    bench.command = bench.mail_server.open(bench.turn)
    assert bench.run("list").returncode == 0


def test_the_store_stays_out_of_the_agents_reach(bench: MailBench) -> None:
    """Its files know a socket and a token and nothing else; only their owner reads them."""
    script, held = bench.command, bench.command.parent / "mail.json"
    assert set(bench.held()) == {"socket", "token"}
    assert bench.held()["token"] not in script.read_text()
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(bench.held()["socket"]).parent.stat().st_mode) == 0o700
    for file in (script, held):
        assert "redis" not in file.read_text()


def test_the_work_tree_has_no_say_in_the_command(bench: MailBench) -> None:
    """A tree that has modules of the standard library's names, as Coalmine's own has, runs nothing."""
    for name in ("json", "socket", "argparse", "tasks"):
        (bench.tree / f"{name}.py").write_text("raise SystemExit('taken over')\n")
    assert bench.run("list").stdout == "no mail\n"


def test_a_shell_calls_it_as_documented(bench: MailBench) -> None:
    """In quotes, as its path may hold spaces."""
    line = '"$COALMINE_MAIL" send --to operator --subject "it\'s done"'
    done = subprocess.run(
        ["sh", "-c", line], env={"PATH": os.environ["PATH"], "COALMINE_MAIL": str(bench.command)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert " " in shlex.quote(str(bench.command))
    assert bench.post.office.find(done.stdout.split()[0]).subject == "it's done"


def test_many_agents_send_at_once(bench: MailBench) -> None:
    """Each is answered."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: bench.ask({"do": "send", "to": "operator", "subject": str(n)}), range(40))
        )
    assert all(answer["ok"] for answer in answers)
    assert len(bench.post.office.newest(100, recipient="operator")) == 40


def test_a_turn_sends_so_many_letters_and_no_more(bench: MailBench) -> None:
    """One that runs wild floods nobody; it can still read."""
    send = {"do": "send", "to": "operator", "subject": "x"}
    answers = [bench.mail_server.answer(_line(bench, send)) for _ in range(MOST_LETTERS + 1)]
    assert [answer["ok"] for answer in answers[-2:]] == [True, False]
    assert answers[-1]["code"] == 4
    assert bench.ask({"do": "list"})["ok"] is True


def test_who_says_nothing_is_not_waited_for(bench: MailBench) -> None:
    """A connection that stays silent is closed."""
    mail_server = MailServer(bench.post.office, patience_seconds=0.2)
    try:
        mail_server.open(bench.turn)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(bench.held()["socket"])
            assert connection.recv(1) == b""
    finally:
        mail_server.shut()


def test_a_long_place_for_temporary_files_is_gone_round(
    bench: MailBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a socket must be short; a worker whose TMPDIR is long serves mail all the same."""
    place = tmp_path / ("x" * 60) / ("y" * 60)
    place.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    mail_server = MailServer(bench.post.office)
    try:
        mail_server.open(bench.turn)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(bench.held()["socket"])
    finally:
        mail_server.shut()


def test_what_killed_workers_left_is_swept(bench: MailBench, tmp_path: Path) -> None:
    """Folders of sockets at which nobody listens go when they are old; one that is served stays."""
    served = Path(bench.held()["socket"]).parent
    old, new = tmp_path / "coalmine-mail-old", tmp_path / "coalmine-mail-new"
    for folder in (old, new):
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(folder / "socket"))
    for folder in (old, served):
        os.utime(folder, (0, folder.stat().st_mtime - LEFT_SECONDS - 1))
    sweep(tmp_path, left_seconds=LEFT_SECONDS)
    sweep(served.parent, left_seconds=LEFT_SECONDS)
    assert (old.exists(), new.exists(), served.exists()) == (False, True, True)
    assert bench.ask({"do": "list"})["ok"] is True


def _line(bench: MailBench, asked: dict[str, Any]) -> bytes:
    return json.dumps({"token": bench.held()["token"], "request": asked}).encode()


def test_an_agent_says_that_it_awaits_mail(bench: MailBench) -> None:
    """One line back, and the session knows; a turn that is over, or has none, gets an answer that says so."""
    said: list[str] = []
    turn = replace(bench.turn, await_mail=lambda: said.append("await"))
    bench.command = bench.mail_server.open(turn)
    done = bench.run("await")
    assert (done.returncode, done.stdout.count("\n"), said) == (0, 1, ["await"])
    assert "begins with the mail that arrives" in done.stdout
    bench.command = bench.mail_server.open(bench.turn)
    refused = bench.run("await")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
