"""From an event to a notification, for the few events that people hear of. Pure.

The table at the end says which; each function decides whether this event of its kind is one of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from routing import events
from routing.accounts.breaker import utc_words, version_of
from routing.backlog.item import BacklogState
from routing.events import Event
from routing.jobs.job import Job, JobState
from routing.store.backtests.backtest_store import BacktestState
from tasks.notify.facts import NOTHING, EventFacts
from tasks.notify.notification import Notification, NotificationKind

_NEED_PEOPLE = frozenset({JobState.ESCALATED, JobState.FAILED, JobState.BLOCKED})

#: Mail to people in which an agent asks for a decision.
_ASKS = frozenset({"decision_gate", "escalation"})


def translated(event: Event, facts: EventFacts = NOTHING) -> Notification | None:
    """The notification of an event; None for most events."""
    if event.data.get("shadow") or (facts.job is not None and facts.job.shadow):
        return None  # nobody outside hears of a shadow
    translate = _TRANSLATIONS.get(event.kind)
    return translate(event, facts) if translate else None


def _finished(event: Event, facts: EventFacts) -> Notification | None:
    """The end of a job: three kinds, and nothing for one that was cancelled."""
    state = _said(event, "state")
    if state == JobState.SUCCEEDED:
        return _of_job(event, facts.job, NotificationKind.DONE, "is done", state)
    if state == JobState.ESCALATED and facts.frozen:
        return _of_job(event, facts.job, NotificationKind.FROZEN, "is frozen: CI stayed red", state)
    if state in _NEED_PEOPLE:
        return _of_job(event, facts.job, NotificationKind.NEEDS_HUMAN, f"{state}: a person is needed", state)
    return None  # cancelled by somebody, who knows


def _in_review(event: Event, facts: EventFacts) -> Notification:
    """Work that waits for a person's merge: the forge asks nobody for it."""
    what = "is in review: a person is to merge it"
    return _of_job(event, facts.job, NotificationKind.IN_REVIEW, what, "waiting")


def _lost(event: Event, facts: EventFacts) -> Notification:
    """A worker that let a lease expire. No person is needed, so the words say that it goes on."""
    worker = facts.job.worker if facts.job and facts.job.worker else ""
    what = (
        f"lost its worker {worker}; it is queued again" if worker else "lost its worker; it is queued again"
    )
    return _of_job(event, facts.job, NotificationKind.WORKER_LOST, what, "queued")


def _of_job(event: Event, job: Job | None, kind: NotificationKind, what: str, state: str) -> Notification:
    """State and reason are the event's: the record may have moved on."""
    fields = {"job": event.subject, "state": state}
    name = f"Job {event.subject}"
    if job is not None:
        name = job.request.issue or name
        fields |= {
            "issue": job.request.issue,
            "repository": job.request.repository,
            "title": job.request.title,
            "version": job.version_id,
            "arm": job.arm.value if job.arm else "",
            "trial": job.trial,
            "commit": job.result.commit,
            "branch": job.result.branch,
            "attempts": str(job.attempts),
            "cost_usd": "" if job.cost.known_usd is None else f"{job.cost.known_usd:.4f}",
        }
    return _made(event, kind, f"{name} {what}", _said(event, "reason"), fields)


def _graduated(event: Event, _: EventFacts) -> Notification:
    return _of_version(event, NotificationKind.GRADUATED, f"graduated{_at_step(event)}: it is champion now")


def _step_passed(event: Event, _: EventFacts) -> Notification:
    """A way goes on: nobody is champion by it."""
    what = f"passed{_at_step(event).replace(' at', '', 1)}; the next one begins, and the champion stays"
    return _of_version(event, NotificationKind.STEP_PASSED, what)


def _rolled_back(event: Event, _: EventFacts) -> Notification:
    what = f"was rolled back{_at_step(event)}; the champion stays"
    return _of_version(event, NotificationKind.ROLLED_BACK, what)


def _expired(event: Event, _: EventFacts) -> Notification:
    what = f"expired{_at_step(event)} without a verdict: decide yourself"
    return _of_version(event, NotificationKind.NEEDS_HUMAN, what)


def _backtest_ended(event: Event, _: EventFacts) -> Notification | None:
    """Of a step: its way ends with it. What somebody began by hand, they follow; a pass has its own event."""
    if not event.data.get("step"):
        return None
    state, version = _said(event, "state"), _said(event, "version")
    fields = {"version": version, "champion": _said(event, "champion"), "backtest": event.subject}
    if state == BacktestState.WORSE:
        what = f"{version} was rolled back{_at_step(event)}; the champion stays"
        return _made(event, NotificationKind.ROLLED_BACK, what, _said(event, "reason"), fields)
    if state == BacktestState.UNDECIDED:
        what = f"{version} came to no verdict{_at_step(event)}: decide yourself"
        return _made(event, NotificationKind.NEEDS_HUMAN, what, _said(event, "reason"), fields)
    return None


def _at_step(event: Event) -> str:
    """` at step 2 of 3`; "" for the only one, and in events of before there were steps."""
    step = event.data.get("step")
    if not isinstance(step, Mapping):
        return ""
    number, total = step.get("number"), step.get("of")
    return f" at step {number} of {total}" if isinstance(total, int) and total > 1 else ""


def _contradicted(event: Event, _: EventFacts) -> Notification:
    what = "is contradicted by later signals: look at its verdict again"
    return _of_version(event, NotificationKind.NEEDS_HUMAN, what)


def _trial_held(event: Event, _: EventFacts) -> Notification:
    is_person = bool(event.data.get("by"))
    what = "is held by a person" if is_person else "holds itself: its evidence cannot be believed"
    return _of_version(event, NotificationKind.NEEDS_HUMAN, what)


def _candidate_held(event: Event, _: EventFacts) -> Notification:
    what = "waits for a trial that cannot be opened"
    return _of_version(event, NotificationKind.NEEDS_HUMAN, what)


def _of_version(event: Event, kind: NotificationKind, what: str) -> Notification:
    """A verdict's event carries its review record; one by a person has `by` and `reason`."""
    names = ("version", "champion", "trial", "by", "decision")
    given = event.data.get("reasons")
    reasons = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    reasons += [_said(event, "reason")] if _said(event, "reason") else []
    fields = {name: _said(event, name) for name in names}
    return _made(event, kind, f"{event.subject} {what}", "; ".join(reasons), fields)


def _item(event: Event, facts: EventFacts) -> Notification | None:
    """An issue that left the queue without a job; when there was one, the job's end is the notification."""
    to = _said(event, "to")
    if facts.issue_has_job or to not in {BacklogState.ESCALATED, BacklogState.FROZEN}:
        return None
    frozen = to == BacklogState.FROZEN
    kind = NotificationKind.FROZEN if frozen else NotificationKind.NEEDS_HUMAN
    return _of_issue(event, kind, f"is {to}: a person is needed")


def _held(event: Event, _: EventFacts) -> Notification:
    return _of_issue(event, NotificationKind.NEEDS_HUMAN, "is held: a person must look at its text")


def _cycle(event: Event, _: EventFacts) -> Notification | None:
    """A cycle is one notification, about its first member, although each member has an event."""
    members = _said(event, "members").split()
    if members and event.subject != min(members):
        return None
    return _of_issue(
        event, NotificationKind.NEEDS_HUMAN, "waits for itself: take an edge away", " -> ".join(members)
    )


def _of_issue(event: Event, kind: NotificationKind, what: str, words: str = "") -> Notification:
    fields = {"issue": event.subject}
    return _made(event, kind, f"{event.subject} {what}", words or _said(event, "reason"), fields)


def _mail(event: Event, _: EventFacts) -> Notification | None:
    """An agent that asks people to decide, or to help."""
    if _said(event, "to") != "operator" or _said(event, "type") not in _ASKS:
        return None
    sender = _said(event, "from")
    words = f"read it with `coalmine mail read {event.subject}`"
    fields = {"mail": event.subject, "agent": sender, "type": _said(event, "type")}
    return _made(event, NotificationKind.NEEDS_HUMAN, f"{sender} asks for a person", words, fields)


def _token(event: Event, _: EventFacts) -> Notification:
    """Once for a forge, however many jobs wait for it."""
    what = f"The forge {event.subject} refuses the token: finished work waits until it is right"
    return _made(event, NotificationKind.NEEDS_HUMAN, what, _said(event, "reason"), {"forge": event.subject})


def _main_red(event: Event, _: EventFacts) -> Notification:
    """Once for a red main branch, however many issues wait for it."""
    what = f"The main branch of {event.subject} is red: no issue is begun there until it is green"
    fields = {"repository": event.subject, "issue": _said(event, "issue")}
    return _made(event, NotificationKind.NEEDS_HUMAN, what, _said(event, "reason"), fields)


def _account_limited(event: Event, _: EventFacts) -> Notification:
    """Once for a limit, however many turns meet it and jobs wait for it."""
    return _of_account(event, NotificationKind.ACCOUNT_LIMITED, "reached a limit: its jobs wait")


def _account_broken(event: Event, _: EventFacts) -> Notification:
    what = "does not serve: a person must look at it"
    if version_of(_said(event, "account")):
        what = "fails as soon as it starts: its jobs wait until a person has looked"
    return _of_account(event, NotificationKind.NEEDS_HUMAN, what)


def _account_open(event: Event, _: EventFacts) -> Notification:
    return _of_account(event, NotificationKind.ACCOUNT_OPEN, "serves again: its jobs go on")


def _of_account(event: Event, kind: NotificationKind, what: str) -> Notification:
    account, model = _said(event, "account"), _said(event, "model")
    name = f"The account {account}" if model in {"", "*"} else f"The account {account} with {model}"
    if version := version_of(account):
        name = version
    until = event.data.get("until")
    fields = {
        "account": account,
        "model": model,
        "limit": _said(event, "kind"),
        "until": utc_words(until) if isinstance(until, int | float) else "",
    }
    words = _said(event, "words")
    if fields["until"] and kind is NotificationKind.ACCOUNT_LIMITED:
        words = f"tried again at {fields['until']}; {words}"
    return _made(event, kind, f"{name} {what}", words, fields)


def _made(
    event: Event, kind: NotificationKind, title: str, words: str, fields: Mapping[str, str]
) -> Notification:
    """The notification; empty fields are left out. Its id makes it the same however often it is made."""
    return Notification(
        id=f"{event.id}:{kind}",
        kind=kind,
        subject=event.subject,
        title=title,
        words=words,
        at=event.at,
        fields={name: value for name, value in fields.items() if value},
    )


def _said(event: Event, name: str) -> str:
    """A text of the event's data; "" when it is missing or no text, as in events of other versions."""
    value: Any = event.data.get(name, "")
    return value if isinstance(value, str) else ""


_TRANSLATIONS: Mapping[str, Callable[[Event, EventFacts], Notification | None]] = {
    events.JOB_FINISHED: _finished,
    events.JOB_IN_REVIEW: _in_review,
    events.JOB_LEASE_EXPIRED: _lost,
    events.AUTO_PROMOTED: _graduated,
    events.STEP_PASSED: _step_passed,
    events.BACKTEST_ENDED: _backtest_ended,
    events.ROLLED_BACK: _rolled_back,
    events.TRIAL_EXPIRED: _expired,
    events.TRIAL_CONTRADICTED: _contradicted,
    events.TRIAL_HELD: _trial_held,
    events.BACKTEST_HELD: _trial_held,
    events.CANDIDATE_HELD: _candidate_held,
    events.BACKLOG_STATE: _item,
    events.BACKLOG_HELD: _held,
    events.BACKLOG_CYCLE: _cycle,
    events.MAIL_SENT: _mail,
    events.FORGE_TOKEN_REFUSED: _token,
    events.MAIN_RED: _main_red,
    events.ACCOUNT_LIMITED: _account_limited,
    events.ACCOUNT_BROKEN: _account_broken,
    events.ACCOUNT_REOPENED: _account_open,
}
