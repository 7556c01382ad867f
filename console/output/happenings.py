"""What an event says to people: when, of which issue, what happened, and what the agent said last.

Pure: the job, if the event is about one, is handed in as it is now. Kinds that nobody has to see have no
happening; for a script there is the stream of events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from console.output.cost_views import cost_words
from console.output.rendering import one_line, text
from routing import events
from routing.accounts.breaker import utc_words, version_of
from routing.events import Event
from routing.jobs.job import Job, JobState

#: Characters of a title in a line, and of what an agent said last.
_TITLE, _SAID = 40, 160

#: How the end of a job is said, by its state.
_ENDS = {
    JobState.SUCCEEDED: ("done", "green"),
    JobState.FAILED: ("failed", "red"),
    JobState.BLOCKED: ("blocked", "magenta"),
    JobState.CANCELLED: ("cancelled", "dim"),
    JobState.ESCALATED: ("left to a person", "magenta"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """One line, and another with the agent's last words where they matter."""

    at: float  # seconds since the epoch
    name: str  # of the issue, or the job, version or trial
    title: str  # of the issue, "" where there is none
    words: str  # what happened, with its reason
    said: str = ""  # what the agent said last
    style: str = ""  # one of rich's
    subject: str = ""  # id of the job, version or trial
    ends: bool = False  # whether the job is over with it

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """In columns on a terminal, folded between words; as single lines in a file or a pipe.

        There each line begins with the id of what it is about, and the last one of a job says `ended`, so
        that a script can follow jobs.
        """
        time = f"{datetime.fromtimestamp(self.at, tz=UTC):%H:%M:%S}Z"
        line = text(f"{self.name}  ", "bold")
        if self.title:
            line.append_text(one_line(self.title, _TITLE)).append(": ")
        line.append_text(text(self.words, self.style))
        if self.said:
            line.append_text(Text("\nthe agent said: ", style="dim")).append_text(one_line(self.said, _SAID))
        if not console.is_terminal:
            first = "  ".join(part for part in (self.subject, "ended" if self.ends else "", time) if part)
            yield Text(f"{first} {line.plain}".replace("\n", " · "), no_wrap=True, overflow="ignore")
            return
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column()
        grid.add_row(time, line)
        yield grid


def happening(event: Event, job: Job | None) -> Happening | None:
    """The event for people; None for one that they need not see. `job` is the one that it is about."""
    shown = _OF_JOBS.get(event.kind)
    if shown is not None and job is not None:
        words, style = shown(event.data, job)
        return (
            words
            and Happening(
                at=event.at,
                name=job.request.issue or job.id,
                title=job.request.title,
                words=words,
                said=_said(job) if _ends_a_turn(event, job) else "",
                style=style,
                subject=job.id,
                ends=event.kind == events.JOB_FINISHED,
            )
        ) or None
    if event.kind in _OF_OTHERS:
        words, name = _OF_OTHERS[event.kind](event.data), _name(event)
        return Happening(at=event.at, name=name, title="", words=words, style="bold", subject=name)
    return None


def _name(event: Event) -> str:
    """What it is about: a version where the breaker is one of a version, else the account with its model."""
    account = event.data.get("account")
    if not isinstance(account, str) or not account:
        return event.subject
    return version_of(account) or event.subject.removesuffix("/").removesuffix("/*")


def _ends_a_turn(event: Event, job: Job) -> bool:
    """Whether a turn has just ended: its work was pushed, or it came to nothing."""
    if event.kind == events.JOB_WAITING:
        return bool(event.data.get("commit"))  # not after its branch was only brought up to date
    return event.kind in {events.JOB_RETRIED, events.JOB_REFUSED} or (
        event.kind == events.JOB_FINISHED
        and event.data.get("state") != JobState.SUCCEEDED
        and not job.result.commit
    )


def _said(job: Job) -> str:
    """The last line that the agent printed."""
    lines = [line for line in job.result.tail.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _started(data: Mapping[str, Any], job: Job) -> tuple[str, str]:
    del data
    arm = f", the {job.arm} of {job.trial}" if job.arm else ""
    again = f", attempt {job.attempts} of {job.max_attempts}" if job.attempts > 1 else ""
    return f"started with {job.version_id}{arm}{again}", "cyan"


def _fix_forward(data: Mapping[str, Any], job: Job) -> tuple[str, str]:
    del job
    checks = ", ".join(map(str, data.get("checks") or ()))
    turn = f", corrective turn {data['attempt']} of {data['most']}" if "attempt" in data else ""
    return f"CI is red{f' ({checks})' if checks else ''}: back to its agent{turn}", "yellow"


def _finished(data: Mapping[str, Any], job: Job) -> tuple[str, str]:
    word, style = _ENDS.get(job.state, (job.state.value, ""))
    cost = f" ({cost_words(job.cost)})" if job.cost.known_usd is not None else ""
    return f"{word}: {data.get('reason') or 'no reason was given'}{cost}", style


def _settled(data: Mapping[str, Any], job: Job) -> tuple[str, str]:
    """Of jobs in a trial alone: for any other the score changes nothing."""
    if job.arm is None:
        return "", ""
    if data.get("excluded"):
        return _with(f"excluded from {job.trial}", data), "dim"
    return _with(f"settled with {float(data.get('score') or 0):.2f} for the {job.arm}", data), ""


def _reason(words: str, style: str = "") -> Callable[[Mapping[str, Any], Job], tuple[str, str]]:
    """The words, and the reason that the event has."""
    return lambda data, _: (_with(words, data), style)


def _with(words: str, data: Mapping[str, Any]) -> str:
    """The words and the reason, where the event has one."""
    return f"{words}: {data['reason']}" if data.get("reason") else words


def _rerouted(data: Mapping[str, Any], job: Job) -> tuple[str, str]:
    del job
    to, before = data.get("to", "the champion"), data.get("from", "its canary")
    return f"goes to {to}, no longer to {before}", ""


_OF_JOBS: dict[str, Callable[[Mapping[str, Any], Job], tuple[str, str]]] = {
    events.JOB_CLAIMED: _started,
    events.JOB_HELD: lambda data, _: (str(data.get("reason") or "waits"), ""),
    events.JOB_REROUTED: _rerouted,
    events.JOB_WAITING: lambda data, _: (str(data.get("reason") or "pushed, watching CI"), ""),
    events.JOB_IN_REVIEW: _reason("is in review", "green"),
    events.JOB_REVIEWED: _reason("back to its agent", "yellow"),
    events.JOB_CONFLICT: _reason("back to its agent", "yellow"),
    events.JOB_EDITED: _reason("back to its agent", "yellow"),
    events.JOB_FIX_FORWARD: _fix_forward,
    events.JOB_REFUSED: _reason("the server did not take its work, back to its agent", "yellow"),
    events.JOB_HINDERED: lambda data, job: (
        f"waits: {job.hindrance.words}" if job.hindrance else _with("waits", data),
        "yellow",
    ),
    events.JOB_AWAITING: _reason("waits for mail"),
    events.JOB_RETRIED: _reason("tried again", "yellow"),
    events.JOB_RETURNED: _reason("given back, and goes on later"),
    events.JOB_LEASE_EXPIRED: _reason("queued again", "yellow"),
    events.JOB_CANCELLING: _reason("is to end"),
    events.JOB_FINISHED: _finished,
    events.JOB_SETTLED: _settled,
}


def _proposed(data: Mapping[str, Any]) -> str:
    version = data.get("version") or ""
    return f"is proposed{f'; try it with `coalmine trial open {version}`' if version else ''}"


def _opened(data: Mapping[str, Any]) -> str:
    share = data.get("share")
    trial = f" ({data['trial']})" if data.get("trial") else ""
    return f"is on trial{trial}{f', with a share of {share:g} of the jobs' if share else ''}"


def _verdict(words: str) -> Callable[[Mapping[str, Any]], str]:
    """A verdict with its reasons, and the evidence and the arms that it rests on."""

    def shown(data: Mapping[str, Any]) -> str:
        reasons = " ".join(map(str, data.get("reasons") or ())) or str(data.get("reason") or "")
        return " ".join(part for part in (f"{words}.", reasons, _evidence(data), _arms(data)) if part)

    return shown


def _evidence(data: Mapping[str, Any]) -> str:
    """`Evidence: worse 24.1 of 20, not worse 0.3 of 20`, with a full stop."""
    thresholds = data.get("thresholds") or {}
    parts = [
        f"{name.replace('_', ' ').replace('guardrail:', '')} {value:.1f} of {thresholds[name]:g}"
        for name, value in (data.get("evidence") or {}).items()
        if name in thresholds
    ]
    return f"Evidence: {', '.join(parts)}." if parts else ""


def _arms(data: Mapping[str, Any]) -> str:
    """`Canary: 9 settled, mean 0.00; champion: 7 settled, mean 0.86`, with a full stop."""
    parts = []
    for name in ("canary", "champion"):
        arm = (data.get("arms") or {}).get(name) or {}
        if "settled" in arm:
            mean = f", mean {arm['mean']:.2f}" if arm.get("mean") is not None else ""
            parts.append(f"{name}: {arm['settled']} settled{mean}")
    return f"{'; '.join(parts).capitalize()}." if parts else ""


def _account(words: str, of_version: str) -> Callable[[Mapping[str, Any]], str]:
    """What became of an account, or of a version whose agents did not start, in the program's words."""

    def shown(data: Mapping[str, Any]) -> str:
        said = of_version if version_of(str(data.get("account") or "")) else words
        until = data.get("until")
        when = f", tried again at {utc_words(until)}" if isinstance(until, int | float) else ""
        return f"{said}{when}: {data['words']}" if data.get("words") else f"{said}{when}"

    return shown


_OF_OTHERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    events.CANDIDATE_AWAITING: _proposed,
    events.CANARY_STARTED: _opened,
    events.AUTO_PROMOTED: _verdict("graduated: it is champion now"),
    events.ROLLED_BACK: _verdict("was rolled back; the champion stays"),
    events.PROMOTED: _verdict("was made champion by a person"),
    events.REVERTED: _verdict("is champion again"),
    events.REJECTED: _verdict("was rejected"),
    events.TRIAL_STOPPED: _verdict("was stopped without a verdict"),
    events.TRIAL_EXPIRED: _verdict("expired; the champion stays, and a person is asked"),
    events.TRIAL_CONTRADICTED: _verdict("is contradicted by what became known since"),
    events.TRIAL_HELD: _verdict("is held until a person resumes it"),
    events.TRIAL_RESUMED: _verdict("goes on, because a person resumed it"),
    events.BACKTEST_HELD: _verdict("holds itself until a person resumes it"),
    events.BACKTEST_RESUMED: _verdict("goes on, because a person resumed it"),
    events.ISSUE_UNREADABLE: lambda data: str(data.get("reason") or "could not be taken in"),
    events.BACKLOG_HELD: lambda data: _with("a person must look at its text", data),
    events.BACKLOG_CYCLE: lambda data: _with("waits for itself", data),
    events.FORGE_TOKEN_REFUSED: _verdict("does not take our token: work waits"),
    events.FORGE_TOKEN_ACCEPTED: _verdict("takes our token again"),
    events.MAIN_RED: lambda data: _with("its main branch is red, and no agent is paid for that", data),
    events.MAIN_GREEN: lambda _: "its main branch is green again: work goes on",
    events.ACCOUNT_LIMITED: _account("its limit is reached: its jobs wait", "its jobs wait"),
    events.ACCOUNT_BROKEN: _account(
        "does not serve, and a person is asked: its jobs wait",
        "its agents fail as soon as they start: its jobs wait (`coalmine resume` tries them at once)",
    ),
    events.ACCOUNT_CLOSED: _account("is closed by a person", "is closed by a person"),
    events.ACCOUNT_REOPENED: _account("serves again: its jobs go on", "is tried again: its jobs go on"),
    events.DISPATCH_PAUSED: _verdict("dispatch is paused"),
    events.DISPATCH_RESUMED: _verdict("dispatch goes on"),
}

#: Kinds that people are shown.
SAID_KINDS = frozenset({*_OF_JOBS, *_OF_OTHERS})
