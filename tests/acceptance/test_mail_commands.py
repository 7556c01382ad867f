"""`coalmine mail …`: people write to agents, and read what they write."""

import json
from typing import Any

import pytest

from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tests.programs.command_line import CommandLine

GATE = {"options": ["yes", "no"], "context": "drop the table?"}


@pytest.fixture
def builder(coalmine: CommandLine) -> str:
    """A live builder."""
    with coalmine.coalmine() as parts:
        return parts.agents.register(role=Role.BUILDER, job="4f1d0c2ab39e8876").name


def written_by(coalmine: CommandLine, agent: str, **letter: Any) -> str:
    """An agent writes to people."""
    with coalmine.coalmine() as parts:
        fields = {"to": "operator", "subject": "help"} | letter
        return parts.post_office.send(Author(address=agent), Letter.checked(**fields))[0].id


def test_a_person_writes_to_an_agent(coalmine: CommandLine, builder: str) -> None:
    """The mail waits with the person's name, and says what was said."""
    (sent,) = coalmine.document(
        "mail", "send", "--to", builder, "--body-file", "-", "--priority", "urgent", stdin="Use port 8080.\n"
    )["sent"]
    assert (sent["to"], sent["type"], sent["created"]) == (builder, "status", True)
    mail = coalmine.document("mail", "read", sent["id"])
    assert (mail["sender"], mail["recipient"], mail["state"]) == ("operator", builder, "queued")
    assert (mail["subject"], mail["body"], mail["priority"]) == (
        "Use port 8080.",
        "Use port 8080.\n",
        "urgent",
    )
    assert mail["author"]
    with coalmine.coalmine() as parts:
        assert parts.post_office.claim(builder, lease_seconds=30).ids == [sent["id"]]


def test_a_person_writes_to_a_group(coalmine: CommandLine, builder: str) -> None:
    """A line for each member; a payload is checked."""
    payload = json.dumps({"severity": "warning", "context": "CI is slow"})
    shown = coalmine.shown(
        "mail", "send", "--to", "@builders", "--type", "escalation", "--subject", "Slow", "--payload", payload
    )
    assert shown.endswith(f"sent to {builder}\n")
    (mail,) = coalmine.document("mail", "list", "--to", builder)["mails"]
    assert (mail["group"], mail["payload"]["context"]) == ("@builders", "CI is slow")


def test_sending_again_with_a_key_is_one_mail(coalmine: CommandLine, builder: str) -> None:
    """The second time says so."""
    send = ("mail", "send", "--to", builder, "--subject", "stop", "--key", "k")
    coalmine.shown(*send)
    assert "was sent before" in coalmine.shown(*send)
    assert len(coalmine.document("mail", "list")["mails"]) == 1


def test_a_person_reads_and_answers(coalmine: CommandLine, builder: str) -> None:
    """Reading marks the mail; the answer goes to the agent, in the thread."""
    asked = written_by(coalmine, builder, type_="question", body="Which?")
    assert coalmine.document("mail", "list", "--to", "operator")["mails"][0]["state"] == "queued"
    shown = coalmine.shown("mail", "read", asked)
    assert "acked" in shown
    assert "Which?" in shown
    (sent,) = coalmine.document("mail", "reply", asked, "--body", "The first.")["sent"]
    assert (sent["to"], sent["type"]) == (builder, "question")
    thread = coalmine.document("mail", "list", "--thread", asked)["mails"]
    assert [mail["id"] for mail in thread] == [sent["id"], asked]


def test_an_answer_opens_a_gate(coalmine: CommandLine, builder: str) -> None:
    """Until then the list of agents says at which mail the agent waits."""
    gate = written_by(coalmine, builder, type_="decision_gate", payload=GATE)
    assert gate in coalmine.shown("mail", "agents")
    coalmine.shown("mail", "read", gate)
    assert coalmine.document("mail", "agents")["agents"][0]["gate"] == gate
    coalmine.shown("mail", "reply", gate, "--body", "no")
    assert coalmine.document("mail", "agents")["agents"][0]["gate"] == ""


def test_dead_mail_is_listed(coalmine: CommandLine, builder: str) -> None:
    """With the reason for which it was not delivered."""
    coalmine.shown("mail", "send", "--to", builder, "--subject", "hello")
    assert coalmine.document("mail", "list", "--dead")["mails"] == []
    with coalmine.coalmine() as parts:
        parts.agents.finish(builder, reason="cancelled")
    (mail,) = coalmine.document("mail", "list", "--dead")["mails"]
    assert (mail["state"], mail["reason"]) == ("dead", "its agent has finished: cancelled")
    assert coalmine.shown("mail", "agents") == "No agent is alive.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["send", "--to", "nobody", "--subject", "x"], 3, "no agent is called nobody"),
        (["send", "--to", "@wizards", "--subject", "x"], 2, "not a group"),
        (["send", "--to", "@all", "--subject", "x"], 3, "no live agent"),
        (["send", "--to", "operator", "--subject", "x"], 2, "itself"),
        (["send", "--to", "bob"], 2, "says nothing"),
        (["send", "--to", "bob", "--subject", "x", "--type", "gossip"], 2, "not a type of mail"),
        (["send", "--to", "bob", "--subject", "x", "--payload", "{"], 2, "not JSON"),
        (["send", "--to", "bob", "--subject", "x", "--payload", "[]"], 2, "not a JSON object"),
        (["send", "--to", "bob", "--body", "x", "--body-file", "-"], 2, "give only one"),
        (["read", "0" * 16], 3, "was sent to, or by"),
        (["read", "*"], 2, "16 hex digits"),
        (["reply", "0" * 16, "--body", "x"], 3, "was sent to, or by"),
        (["list", "--to", "a b"], 2, "name"),
        (["list", "--to", "bob", "--dead"], 2, "give only one"),
    ],
)
def test_errors_write_nothing(coalmine: CommandLine, arguments: list[str], code: int, message: str) -> None:
    """One line on standard error, and the exit code of its kind."""
    result = coalmine("mail", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert coalmine.stored() == {}


def test_mail_is_shown_without_control_characters(coalmine: CommandLine, builder: str) -> None:
    """What agents write does not move the cursor, and is not markup."""
    mail = written_by(coalmine, builder, subject="a\x1b[2Jb", body="[red]x[/red]\x1b[2J\x07")
    for shown in (coalmine.shown("mail", "list"), coalmine.shown("mail", "read", mail)):
        assert "\x1b" not in shown
        assert "ab" in shown
    assert "[red]x[/red]" in coalmine.shown("mail", "read", mail)
