"""Which events become notifications, and what those say."""

import json
from typing import Any

import pytest

from routing.errors import InvalidInputError
from routing.events import MEANINGS, Event
from tasks.notify.facts import EventFacts
from tasks.notify.notification import LONGEST_TITLE, Notification, NotificationKind, notification_kind
from tasks.notify.translation import translated

JOB = "4f1d0c2ab39e8876"


def event(kind: str, subject: str = JOB, **data: Any) -> Event:
    """An event as the stream has it."""
    return Event(id="1700000000000-0", kind=kind, at=1_700_000_000.0, subject=subject, data=data)


def shown(kind: str, subject: str = JOB, facts: EventFacts = EventFacts(), **data: Any) -> str | None:  # noqa: B008 - frozen
    """The kind of the notification that an event is worth."""
    made = translated(event(kind, subject, **data), facts)
    return made.kind.value if made else None


@pytest.mark.parametrize(
    ("state", "frozen", "kind"),
    [
        ("succeeded", False, "done"),
        ("escalated", False, "needs-human"),
        ("escalated", True, "frozen"),
        ("failed", False, "needs-human"),
        ("blocked", False, "needs-human"),
        ("cancelled", False, None),
        ("", False, None),
    ],
)
def test_the_end_of_a_job(state: str, *, frozen: bool, kind: str | None) -> None:
    """Success, or a person's turn; who cancelled a job knows of it."""
    assert shown("job.finished", facts=EventFacts(frozen=frozen), state=state, reason="so it is") == kind


@pytest.mark.parametrize(
    ("kind", "subject", "notification"),
    [
        ("job.lease_expired", JOB, "worker_lost"),
        ("candidate.auto_promoted", "implementer@v2", "graduated"),
        ("candidate.rolled_back", "implementer@v2", "rolled_back"),
        ("candidate.step_passed", "implementer@v2", "step_passed"),
        ("trial.expired", "implementer-t1", "needs-human"),
        ("trial.contradicted", "implementer-t1", "needs-human"),
        ("trial.held", "implementer-t1", "needs-human"),
        ("backtest.held", "implementer-b1", "needs-human"),
        ("candidate.held", "implementer@v2", "needs-human"),
        ("backlog.held", "local:shop#3", "needs-human"),
        ("main.red", "local:shop", "needs-human"),
        ("account.limited", "claude:default/", "account_limited"),
        ("account.broken", "claude:default/*", "needs-human"),
        ("account.reopened", "claude:default/", "account_open"),
        ("job.in_review", JOB, "in_review"),
    ],
)
def test_events_with_a_notification(kind: str, subject: str, notification: str) -> None:
    """Each by the kind that fits."""
    assert shown(kind, subject) == notification


def test_the_rest_has_no_notification() -> None:
    """Only events of the list below are ever worth a notification, whatever they say."""
    worth = {
        *(
            "job.finished",
            "job.in_review",
            "job.lease_expired",
            "candidate.auto_promoted",
            "candidate.rolled_back",
            "candidate.step_passed",
        ),
        *(
            "trial.expired",
            "trial.contradicted",
            "trial.held",
            "backtest.held",
            "candidate.held",
            "backlog.state",
            "backlog.held",
            "backlog.cycle",
            "mail.sent",
            "forge.token_refused",
            "main.red",
            "account.limited",
            "account.broken",
            "account.reopened",
        ),
    }
    says: dict[str, Any] = {"state": "failed", "to": "escalated", "members": JOB}
    assert {kind for kind in MEANINGS if shown(kind, **says)} <= worth


@pytest.mark.parametrize(
    ("to", "has_job", "kind"),
    [
        ("escalated", False, "needs-human"),
        ("frozen", False, "frozen"),
        ("escalated", True, None),  # the job's end is the notification
        ("frozen", True, None),
        ("ready", False, None),
        ("completed", False, None),
    ],
)
def test_an_issue_that_no_job_speaks_for(to: str, *, has_job: bool, kind: str | None) -> None:
    """An issue has one notification: of its job's end, or of its own where there was no job."""
    found = shown(
        "backlog.state", "local:shop#3", EventFacts(issue_has_job=has_job), to=to, reason="so it is"
    )
    assert found == kind


def test_a_cycle_has_one_notification() -> None:
    """Each member has an event; the first one's speaks for all."""
    members = "local:shop#3 local:shop#4"
    assert shown("backlog.cycle", "local:shop#3", members=members) == "needs-human"
    assert shown("backlog.cycle", "local:shop#4", members=members) is None


@pytest.mark.parametrize(
    ("to", "type_", "kind"),
    [
        ("operator", "decision_gate", "needs-human"),
        ("operator", "escalation", "needs-human"),
        ("operator", "status", None),
        ("lead-1", "decision_gate", None),
    ],
)
def test_an_agent_that_asks_people(to: str, type_: str, kind: str | None) -> None:
    """Mail to people that waits for them; what agents write to each other concerns nobody."""
    data: dict[str, Any] = {"from": "builder-1", "to": to, "type": type_}
    assert shown("mail.sent", **data) == kind


def test_the_id_is_the_events_and_the_kinds() -> None:
    """The same event makes the same id, so that a receiver can tell a repetition."""
    made = translated(event("job.finished", state="succeeded"))
    assert made is not None
    assert made.id == "1700000000000-0:done"


def test_an_event_without_a_record_has_one_all_the_same() -> None:
    """The job's record may have expired: what the event says is enough."""
    made = translated(event("job.finished", state="failed", reason="no attempt left"))
    assert made is not None
    assert (made.subject, made.words) == (JOB, "no attempt left")
    assert made.fields == {"job": JOB, "state": "failed"}


def test_a_verdict_says_why() -> None:
    """The review record's reasons are the words."""
    made = translated(
        event("candidate.rolled_back", "implementer@v2", reasons=["worse", "21 > 20"], trial="implementer-t1")
    )
    assert made is not None
    assert made.words == "worse; 21 > 20"
    assert made.fields["trial"] == "implementer-t1"


@pytest.mark.parametrize("data", [{"state": 3}, {"state": None, "reason": ["x"]}, {}])
def test_data_of_another_form_does_no_harm(data: dict[str, Any]) -> None:
    """Events of another release may say things differently."""
    assert shown("job.finished", **data) is None
    assert shown("candidate.rolled_back", **(data | {"reasons": 3})) == "rolled_back"


def test_text_from_outside_is_one_printable_line() -> None:
    """No control characters, no second line, no endless text; also when it was stored."""
    reason = "bad\nkind=done \x1b[31mred\x07\u202e" + "x" * 100_000
    made = translated(event("job.finished", "a\nb" * 1000, state="failed", reason=reason))
    assert made is not None
    parts = [made.subject, made.title, made.words, *made.fields.values()]
    assert all(part.isprintable() for part in parts)
    assert len(made.title) == LONGEST_TITLE
    assert len(made.model_dump_json()) < 5000
    assert Notification.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("text", ["needs-human", "needs_human", " Needs-Human "])
def test_a_kind_is_known_by_its_name(text: str) -> None:
    """However its words are joined."""
    assert notification_kind(text) is NotificationKind.NEEDS_HUMAN
    assert notification_kind("worker lost") is NotificationKind.WORKER_LOST


@pytest.mark.parametrize("text", ["", "finished", "done,frozen", "x" * 1000])
def test_an_unknown_kind_names_all(text: str) -> None:
    """And says that nothing was sent."""
    with pytest.raises(
        InvalidInputError, match="nothing was sent; use one of: done, in_review, needs-human"
    ) as error:
        notification_kind(text)
    assert len(str(error.value)) < 250
    assert json.dumps(str(error.value))
