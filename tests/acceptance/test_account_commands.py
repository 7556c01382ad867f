"""`coalmine account …`: which accounts are closed, until when, and how people intervene."""

import pytest

from routing.accounts.limit import AccountLimit, LimitKind
from routing.jobs.job import JobRequest
from routing.jobs.lifecycle import Claim
from routing.templates.version import Snapshot
from tests.programs.command_line import CommandLine

DEFAULT = "claude:default"


@pytest.fixture
def limited(coalmine: CommandLine) -> CommandLine:
    """A fleet whose only account has reached a limit, for five hours; one job waits for it."""
    with coalmine.coalmine() as parts:
        parts.templates.add("agent", Snapshot(runtime="claude"))
        jobs = [parts.mailbox.enqueue(JobRequest(template="agent", task="work")).job for _ in range(2)]
        won = parts.jobs.claim(jobs[0], worker="w1", lease_seconds=60)
        assert isinstance(won, Claim)
        met = AccountLimit(kind=LimitKind.USAGE, until=parts.now() + 5 * 3600, words="resets 9pm")
        parts.breakers.met(won.job.account, won.job.model, met, job=jobs[0])
        parts.jobs.claim(jobs[1], worker="w1", lease_seconds=60)
    return coalmine


def test_a_limit_is_shown_with_a_countdown(limited: CommandLine) -> None:
    """To people and to scripts, and by doctor."""
    shown = limited("account", "list")
    assert shown.exit_code == 0
    assert DEFAULT in shown.stdout
    assert "limited" in shown.stdout
    assert "in 4 h 59 min" in shown.stdout or "in 5 h" in shown.stdout
    assert "1 jobs wait for an account" in shown.stdout
    document = limited.document("account", "list")
    (account,) = document["accounts"]
    assert (account["state"], account["kind"], document["held"]) == ("limited", "usage", 1)
    assert 17_900 < account["seconds_left"] <= 18_000
    findings = {found["check"]: found for found in limited.document("doctor", "--wait", "0.1")["findings"]}
    assert "usage limit is reached; tried again in" in findings["accounts"]["message"]


def test_a_person_reopens_and_closes(limited: CommandLine) -> None:
    """Asking again changes nothing, and says so."""
    assert limited.document("account", "reopen", DEFAULT)["opened"] == [f"{DEFAULT}/"]
    assert limited.document("account", "reopen", DEFAULT)["opened"] == []
    assert limited.document("account", "close", DEFAULT, "--for", "2h", "--reason", "the bill")["changed"]
    (closed,) = [
        each for each in limited.document("account", "list")["accounts"] if each["state"] == "closed"
    ]
    assert (closed["model"], closed["words"]) == ("*", "the bill")
    assert 7_100 < closed["seconds_left"] <= 7_200


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("close", "claude:nobody"), 3, "known: claude:default"),
        (("close", DEFAULT, "--for", "soon"), 2, "write 30m, 2h or 3d"),
    ],
)
def test_what_cannot_be_is_refused(
    limited: CommandLine, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """With what there is instead; nothing is written."""
    before = limited.stored()
    result = limited("account", *arguments)
    assert (result.exit_code, words in result.stderr) == (code, True)
    assert limited.stored() == before
