"""COALMINE_MAIL: what an agent can do with it, as real processes, and what it cannot."""

import json
import os
import shlex
import socket
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from tasks.agents.mail.mail import MOST_BODY_BYTES
from tasks.agents.mail.payloads import MOST_PAYLOAD_BYTES
from tasks.agents.mail_socket.server import MOST_LETTERS, MailTurn, MailWindow
from tasks.agents.mail_socket.unix_socket import LEFT_SECONDS, MOST_REQUEST_BYTES, sweep
from tests.post import ADA, DONE, Post


class Desk:
    """A window, and the command of a builder's turn."""

    def __init__(self, post: Post, folder: Path) -> None:
        self.post = post
        self.lead, self.builder = post.pair()
        self.window = MailWindow(post.office)
        self.turn = MailTurn(
            agent=self.builder, folder=folder / "a turn's files", secrets={"API_KEY": "s3cr3t-value"}
        )
        self.command = self.window.open(self.turn)
        self.tree = folder / "tree"
        self.tree.mkdir()

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Call the command as an agent does: in its work tree, with next to no environment."""
        return subprocess.run(
            [str(self.command), *arguments],
            cwd=self.tree,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.tree)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def send(self, *arguments: str, **more: str) -> str:
        """Send a mail, which must succeed; returns its id."""
        done = self.run("send", *arguments, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    def ask(self, request: Any, *, raw: bytes | None = None) -> dict[str, Any]:
        """Speak to the socket without the command."""
        held = self.held()
        body = raw if raw is not None else json.dumps({"token": held["token"], "errand": request}).encode()
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
def desk(fake_redis: redis.Redis, tmp_path: Path) -> Iterator[Desk]:
    """An open turn of a builder with a lead."""
    made = Desk(Post(fake_redis), tmp_path)
    yield made
    made.window.shut()


def test_an_agent_sends_mail(desk: Desk) -> None:
    """The mail is from the agent of the turn, with all that it said."""
    mail = desk.post.office.find(
        desk.send(
            *("--to", "parent", "--type", "worker_done", "--subject", "Done", "--body", "-"),
            *("--payload", json.dumps(DONE), "--priority", "high"),
            stdin="It works.\nThe end.\n",
        )
    )
    assert (mail.sender, mail.recipient, mail.type) == (desk.builder, desk.lead, "worker_done")
    assert (mail.subject, mail.body, mail.priority) == ("Done", "It works.\nThe end.\n", "high")
    assert mail.payload == DONE
    assert desk.post.office.terminal_since(desk.builder, 0) == mail


def test_an_agent_is_told_when_its_mail_ends_nothing(desk: Desk) -> None:
    """It may have named the wrong task; the mail was sent all the same."""
    done = desk.run(
        "send", "--to", "parent", "--type", "worker_done", "--subject", "x",
        "--payload", json.dumps(DONE | {"task_id": "another"}),
    )  # fmt: skip
    assert done.returncode == 0
    assert "does not end your task" in done.stderr


def test_an_agent_lists_reads_and_answers_mail(desk: Desk) -> None:
    """What it was sent, with its head and body; the answer is in the thread."""
    sent = desk.post.send(desk.lead, desk.builder, type_="question", subject="which\x1b[2J?", body="this?")
    listed = desk.run("list")
    assert listed.stdout.split() == [sent.id, "queued", "normal", "question", desk.lead, "which?"]
    read = desk.run("read", sent.id)
    assert f"from: {desk.lead}\n" in read.stdout
    assert "```text\nthis?\n```" in read.stdout
    answered = desk.run("reply", sent.id, "--body", "that", "--json")
    answer = desk.post.office.find(json.loads(answered.stdout)["sent"][0]["id"])
    assert (answer.sender, answer.recipient, answer.thread) == (desk.builder, desk.lead, sent.id)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["send", "--to", "nobody", "--subject", "x"], 3, "there is no agent nobody"),
        (["send", "--to", "@monitors", "--subject", "x"], 3, "no live agent"),
        (["send", "--to", "parent", "--type", "gossip", "--subject", "x"], 2, "no type of mail"),
        (["send", "--to", "parent", "--type", "merged", "--subject", "x"], 2, "Field required"),
        (["send", "--to", "parent", "--payload", "{", "--subject", "x"], 2, "no JSON"),
        (["send", "--to", "parent", "--payload", "[]", "--subject", "x"], 2, "payload"),
        (["send", "--to", "parent"], 2, "says nothing"),
        (["send", "--to", "parent", "--type", "worker_died", "--subject", "x"], 2, "only Coalmine"),
        (["read", "0" * 16], 3, "no mail"),
        (["read", "../../etc"], 2, "16 hex digits"),
        (["list", "--limit", "0"], 2, "limit"),
        (["shout"], 2, "invalid choice"),
    ],
)
def test_an_error_is_told_with_its_code(desk: Desk, arguments: list[str], code: int, message: str) -> None:
    """On standard error, in the words of the post office; nothing is sent."""
    done = desk.run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert desk.post.office.newest(10) == []


def test_a_request_cannot_say_who_sends(desk: Desk) -> None:
    """There is no field for it, and a token is of one agent."""
    for extra in ({"sender": "operator"}, {"from": desk.lead}, {"author": "ada"}):
        answer = desk.ask({"do": "send", "to": desk.lead, "subject": "x", **extra})
        assert (answer["ok"], answer["code"]) == (False, 2)
    other = desk.post.agent(job="7" * 16).name
    command = desk.window.open(MailTurn(agent=other, folder=desk.tree.parent / "other"))
    done = subprocess.run(
        [command, "send", "--to", desk.lead, "--subject", "x"], capture_output=True, check=True
    )
    assert desk.post.office.find(done.stdout.split()[0].decode()).sender == other


def test_mail_of_others_cannot_be_read(desk: Desk) -> None:
    """Neither listed, nor read, nor answered."""
    sent = desk.post.send(ADA, desk.lead)
    assert desk.run("list").stdout == "no mail\n"
    assert desk.run("read", sent.id).returncode == 3
    assert desk.run("reply", sent.id, "--body", "x").returncode == 3


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
def test_nonsense_is_refused(desk: Desk, raw: bytes) -> None:
    """Whatever arrives at the socket, it is answered, and the next one is served."""
    answer = desk.ask(None, raw=raw)
    assert answer["ok"] is False
    assert answer["code"] in {2, 3}
    assert desk.ask({"do": "list"})["ok"] is True


def test_the_longest_mail_passes_and_a_longer_request_does_not(desk: Desk) -> None:
    """A body and a payload at their limits fit, however they are escaped."""
    context = "é" * (MOST_PAYLOAD_BYTES // 6 - 20)
    payload = json.dumps({"severity": "info", "context": context})
    body = "語" * (MOST_BODY_BYTES // 3)
    mail = desk.send(
        "--to", "parent", "--type", "escalation", "--payload", payload, "--body", "-", stdin=body
    )
    assert desk.post.office.find(mail).body == body
    answer = desk.ask(None, raw=b"x" * (MOST_REQUEST_BYTES + 1))
    assert "longer than" in answer["error"]


def test_secrets_leave_in_no_mail(desk: Desk) -> None:
    """What the agent was given is replaced by its name, wherever it stands."""
    payload = json.dumps({"severity": "info", "context": "key s3cr3t-value"})
    mail = desk.post.office.find(
        desk.send(
            *("--to", "parent", "--subject", "s3cr3t-value", "--body", "is s3cr3t-value"),
            *("--type", "escalation", "--payload", payload),
        )
    )
    assert (mail.subject, mail.body, mail.payload["context"]) == (
        "[API_KEY]",
        "is [API_KEY]",
        "key [API_KEY]",
    )


def test_a_closed_turn_sends_nothing_any_more(desk: Desk) -> None:
    """Its token is worth nothing, also to a process that outlives it; the command is gone."""
    held = desk.held()
    request = json.dumps({"token": held["token"], "errand": {"do": "list"}}).encode()
    other = MailTurn(agent=desk.lead, folder=desk.tree.parent / "other")
    desk.window.open(other)
    desk.window.close(desk.turn)
    assert not desk.command.exists()
    desk.command = other.folder / "mail"
    assert desk.ask(None, raw=request)["code"] == 3
    assert desk.ask({"do": "list"})["ok"] is True


def test_a_shut_window_is_told(desk: Desk) -> None:
    """The agent hears that the worker is gone, with the code of what may succeed later."""
    folder = Path(desk.held()["socket"]).parent
    desk.window.shut()
    done = desk.run("list")
    assert (done.returncode, "does not answer" in done.stderr) == (5, True)
    assert not folder.exists()
    desk.command = desk.window.open(desk.turn)
    assert desk.run("list").returncode == 0


def test_the_store_stays_out_of_the_agents_reach(desk: Desk) -> None:
    """Its files know a socket and a token and nothing else; only their owner reads them."""
    script, held = desk.command, desk.command.parent / "mail.json"
    assert set(desk.held()) == {"socket", "token"}
    assert desk.held()["token"] not in script.read_text()
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(desk.held()["socket"]).parent.stat().st_mode) == 0o700
    for file in (script, held):
        assert "redis" not in file.read_text()


def test_the_work_tree_has_no_say_in_the_command(desk: Desk) -> None:
    """A tree that has modules of the standard library's names, as Coalmine's own has, runs nothing."""
    for name in ("json", "socket", "argparse", "tasks"):
        (desk.tree / f"{name}.py").write_text("raise SystemExit('taken over')\n")
    assert desk.run("list").stdout == "no mail\n"


def test_a_shell_calls_it_as_documented(desk: Desk) -> None:
    """In quotes, as its path may hold spaces."""
    line = '"$COALMINE_MAIL" send --to operator --subject "it\'s done"'
    done = subprocess.run(
        ["sh", "-c", line], env={"PATH": os.environ["PATH"], "COALMINE_MAIL": str(desk.command)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert " " in shlex.quote(str(desk.command))
    assert desk.post.office.find(done.stdout.split()[0]).subject == "it's done"


def test_many_agents_send_at_once(desk: Desk) -> None:
    """Each is answered."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: desk.ask({"do": "send", "to": "operator", "subject": str(n)}), range(40))
        )
    assert all(answer["ok"] for answer in answers)
    assert len(desk.post.office.newest(100, recipient="operator")) == 40


def test_a_turn_sends_so_many_letters_and_no_more(desk: Desk) -> None:
    """One that runs wild floods nobody; it can still read."""
    send = {"do": "send", "to": "operator", "subject": "x"}
    answers = [desk.window.answer(_line(desk, send)) for _ in range(MOST_LETTERS + 1)]
    assert [answer["ok"] for answer in answers[-2:]] == [True, False]
    assert answers[-1]["code"] == 4
    assert desk.ask({"do": "list"})["ok"] is True


def test_who_says_nothing_is_not_waited_for(desk: Desk) -> None:
    """A connection that stays silent is closed."""
    window = MailWindow(desk.post.office, patience_seconds=0.2)
    try:
        window.open(desk.turn)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(desk.held()["socket"])
            assert connection.recv(1) == b""
    finally:
        window.shut()


def test_what_killed_workers_left_is_swept(desk: Desk, tmp_path: Path) -> None:
    """Folders of sockets at which nobody listens go when they are old; one that is served stays."""
    served = Path(desk.held()["socket"]).parent
    old, new = tmp_path / "coalmine-mail-old", tmp_path / "coalmine-mail-new"
    for folder in (old, new):
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(folder / "socket"))
    for folder in (old, served):
        os.utime(folder, (0, folder.stat().st_mtime - LEFT_SECONDS - 1))
    sweep(tmp_path)
    sweep(served.parent)
    assert (old.exists(), new.exists(), served.exists()) == (False, True, True)
    assert desk.ask({"do": "list"})["ok"] is True


def _line(desk: Desk, errand: dict[str, Any]) -> bytes:
    return json.dumps({"token": desk.held()["token"], "errand": errand}).encode()


def test_an_agent_says_that_it_awaits_mail(desk: Desk) -> None:
    """One line back, and the session knows; a turn that is over, or has none, is told so."""
    said: list[str] = []
    told = replace(desk.turn, await_mail=lambda: said.append("await"))
    desk.command = desk.window.open(told)
    done = desk.run("await")
    assert (done.returncode, done.stdout.count("\n"), said) == (0, 1, ["await"])
    assert "begins with the mail that arrives" in done.stdout
    desk.command = desk.window.open(desk.turn)
    refused = desk.run("await")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
