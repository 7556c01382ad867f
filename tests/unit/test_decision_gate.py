"""Decision gates: until when an agent waits for a person, and what mail it gets when nobody decided."""

from datetime import UTC, datetime

import pytest
import redis

from tasks.agents.agent_registry import FinishedAgentError
from tasks.agents.mail.address import FLEET
from tasks.agents.mail.mail import MailType
from tasks.agents.mail.payloads import DecisionGate, PayloadError, checked_deadline, checked_payload
from tasks.agents.mail.receipt import DecidedError, Receipt
from tasks.agents.supervision.watchdog import close_undecided, nobody_decided
from tests.fleets.post import ADA, PostFleet


@pytest.fixture
def post(redis_client: redis.Redis) -> PostFleet:
    """Nobody lives yet."""
    return PostFleet(redis_client)


@pytest.fixture
def builder(post: PostFleet) -> str:
    """An agent with a parent."""
    return post.pair()[1]


def ask(post: PostFleet, builder: str, seconds: float | None = None, **letter: str) -> Receipt:
    """The agent asks people, with a deadline so many seconds from now."""
    payload = {"options": ["keep", "drop"], "context": "the old table"}
    if seconds is not None:
        at = datetime.fromtimestamp(post.clock() + seconds, tz=UTC)
        payload |= {"deadline": at.isoformat()}
    given = {"subject": "drop the table?"} | letter
    return post.send(builder, "operator", type_="decision_gate", payload=payload, **given)


def close(post: PostFleet, builder: str) -> bool:
    """What a tick of the watchdog does."""
    return close_undecided(post.office, post.agents.find(builder), now=post.clock())


def test_deadline_is_a_time_in_seconds(post: PostFleet, builder: str) -> None:
    """It stands in the mail, and with the agent for as long as the gate is shut."""
    gate = ask(post, builder, 60)
    assert post.find(gate).deadline == post.clock() + 60
    assert post.agents.find(builder).gate_until == post.clock() + 60
    post.reply(ADA, gate)
    record = post.agents.find(builder)
    assert (record.gate, record.gate_until, record.gate_closed_at) == ("", None, post.clock())


def test_later_gate_without_a_deadline_has_none(post: PostFleet, builder: str) -> None:
    """The newest gate is the one that counts."""
    ask(post, builder, 60)
    newest = ask(post, builder)
    record = post.agents.find(builder)
    assert (record.gate, record.gate_until) == (newest.id, None)


@pytest.mark.parametrize("seconds", [0, -1, -1_000_000])
def test_deadline_in_the_past_is_refused(post: PostFleet, builder: str, seconds: float) -> None:
    """By the server's clock; nothing is sent, and the agent waits for nobody."""
    with pytest.raises(PayloadError, match=r"has passed: it is .* nothing was sent; name a later time"):
        ask(post, builder, seconds)
    assert post.office.newest(10) == []
    assert not post.agents.waits_for_person(builder)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_deadline_at_the_ends_of_time(text: str) -> None:
    """The calendar's first and last days are times like others."""
    gate = checked_payload(MailType.DECISION_GATE, {"options": ["a"], "context": "c", "deadline": text})
    assert isinstance(gate, DecisionGate)
    if text.startswith("0"):
        with pytest.raises(PayloadError, match="has passed"):
            checked_deadline(gate, lambda: 0.0)
    else:
        assert checked_deadline(gate, lambda: 0.0) == pytest.approx(253_402_351_199)


def test_clock_is_asked_about_deadlines_alone(post: PostFleet) -> None:
    """Other mail costs no question."""
    assert checked_deadline(checked_payload(MailType.STATUS, {}), post.clock) is None
    assert checked_deadline(DecisionGate(options=["a"], context="c"), lambda: 1 / 0) is None


def test_agent_waits_until_the_deadline(post: PostFleet, builder: str) -> None:
    """And no longer, whether or not anybody has closed the gate."""
    ask(post, builder, 60)
    assert post.agents.waits_for_person(builder)
    post.clock.forward(59.9)
    assert post.agents.waits_for_person(builder)
    post.clock.forward(0.1)
    assert not post.agents.waits_for_person(builder)
    assert post.agents.find(builder).waited_until(post.clock()) == post.clock()


def test_unknown_agent_waits_for_nobody(post: PostFleet) -> None:
    """Its record has expired, or never was."""
    assert not post.agents.waits_for_person("builder-9")


def test_agent_gets_one_mail_that_nobody_decided(post: PostFleet, builder: str) -> None:
    """In the thread of its question, as a mail of Coalmine's own."""
    gate = ask(post, builder, 60, priority="high")
    assert not close(post, builder)
    post.clock.forward(60)
    record = post.agents.find(builder)
    assert close(post, builder)
    assert not close(post, builder)
    with pytest.raises(DecidedError):  # a tick that had read the agent before
        post.office.send(FLEET, nobody_decided(post.find(gate)), replied=post.find(gate), if_undecided=True)
    assert not close_undecided(post.office, record, now=post.clock())
    (mail,) = post.claim(builder).mails
    assert (mail.sender, mail.type, mail.priority) == ("coalmine", "status", "high")
    assert (mail.thread, mail.reply_to) == (gate.id, gate.id)
    assert mail.subject == "Nobody decided: drop the table?"
    assert "keep, drop" in mail.body
    assert post.agents.find(builder).gate == ""


def test_gate_without_a_deadline_stays_shut(post: PostFleet, builder: str) -> None:
    """However long it takes."""
    ask(post, builder)
    post.clock.forward(900)
    assert not close(post, builder)
    assert post.agents.waits_for_person(builder)


def test_answer_that_comes_first_holds(post: PostFleet, builder: str) -> None:
    """A tick that read the agent before the answer does not say that nobody decided."""
    gate = ask(post, builder, 60)
    post.clock.forward(60)
    record = post.agents.find(builder)
    post.reply(ADA, gate, body="keep")
    assert not close_undecided(post.office, record, now=post.clock())
    assert [mail.body for mail in post.claim(builder).mails] == ["keep"]


def test_answer_that_comes_late_is_delivered(post: PostFleet, builder: str) -> None:
    """As any other mail; it opens nothing that the agent has shut meanwhile."""
    gate = ask(post, builder, 60)
    post.clock.forward(60)
    assert close(post, builder)
    second = ask(post, builder, 60)
    post.reply(ADA, gate, body="keep")
    assert [mail.body for mail in post.claim(builder).mails][-1] == "keep"
    assert post.agents.find(builder).gate == second.id


def test_gate_of_an_agent_that_has_finished(post: PostFleet, builder: str) -> None:
    """Nobody could read the mail, and its next life has no gate."""
    ask(post, builder, 60)
    record = post.agents.find(builder)
    post.agents.finish(builder, reason="done")
    post.clock.forward(60)
    with pytest.raises(FinishedAgentError):
        close_undecided(post.office, record, now=post.clock())
    post.agents.register(role=record.role, job=record.job, parent=record.parent)
    again = post.agents.find(builder)
    assert (again.gate, again.gate_until, again.gate_closed_at) == ("", None, None)


def test_long_subject_is_cut(post: PostFleet, builder: str) -> None:
    """The mail that says so is within the limits of all mail."""
    ask(post, builder, 60, subject="x" * 200)
    post.clock.forward(60)
    assert close(post, builder)
