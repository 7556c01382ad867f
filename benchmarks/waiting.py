"""What a fleet costs in which much waits: a backlog of many issues, and many agents that await mail."""

import datetime as dt
import itertools
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.fleet import TEMPLATE, MeasuredFleet, measured_fleet
from benchmarks.starts import cpu_of, environment_of
from benchmarks.work_done import WorkDone, used_bytes, work_done
from routing.forges.local.config import LocalConfig
from routing.git.git import Git
from routing.issues.issue import Issue, IssueListing, IssueRef
from routing.jobs.job import JobRequest, JobResult
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import awaiting
from routing.store.sessions.session_store import TurnEnd, TurnRefusal
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.composition.forge_parts import ForgeParts
from tasks.settings.issue_settings import IssueSettings

#: Issues that are dispatched at each size, one after the other.
DISPATCHED = 5

#: Agents that one sweep looks at, and agents whose mail is measured one by one.
LOOKED_AT, ASKED = 500, 100

#: Seconds for which an agent of the benchmark would wait.
WAIT_SECONDS = 3600.0

#: A process that a session knows of.
_PROCESS = {
    "host": "bench", "boot_id": "1", "pid": "1", "start_ticks": "1", "marker": "", "runtime": "command",
}  # fmt: skip

_TITLE = "The total of an order with a voucher is off by one cent"
_BODY = (
    "The total is off when the voucher is a percentage: 10 % of 0.05 EUR is taken off as 0.00 in the cart and"
    " as 0.01 on the invoice. Both must use the same rounding."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A backlog of so many issues."""

    issues: int
    size: int  # bytes of all data in Redis
    take_in: float  # seconds of processor for an issue that is taken in, in the mean since the size before
    dispatch: float  # of a tick that dispatches one issue, in the middle
    compare: float  # of a poll's comparison with what its forge lists, without the listing
    command: float  # of `coalmine issue list`
    server: float  # of Redis, of the dispatch


def backlog(sizes: Sequence[int]) -> Iterator[Waiting]:
    """One fleet whose backlog grows: what it takes with each number of issues."""
    with tempfile.TemporaryDirectory(prefix="bench-shop-") as name:
        folder = Path(name)
        forge = _forge(folder)
        with measured_fleet(forge=(forge,), issues=IssueSettings(fleet_size=1000)) as site:
            parts = ForgeParts(coalmine=site.coalmine, run_ci=lambda _commit: None)
            known = 0
            for size in sizes:
                _, taken = work_done(site, partial(_take_in, parts, first=known + 1, last=size))
                take_in = taken.both / (size - known)
                yield _measured(site, parts, folder, size=size, take_in=take_in)
                known = size


def _take_in(parts: ForgeParts, *, first: int, last: int) -> None:
    for number in range(first, last + 1):
        parts.backlog.accept(_issue(number), requested_by="ada")


def _measured(site: MeasuredFleet, parts: ForgeParts, folder: Path, *, size: int, take_in: float) -> Waiting:
    ticks: list[WorkDone] = []
    for item in list(itertools.islice(next(iter(parts.backlog.ready().values())), DISPATCHED)):
        (folder / "issues" / f"{item.ref.number}.md").write_text(
            f"---\ntitle: {_TITLE}\nauthor: ada\n---\n{_BODY}\n"
        )
    for _ in range(DISPATCHED):
        jobs, taken = work_done(site, parts.dispatcher.tick)
        assert len(jobs) == 1, f"{len(jobs)} issues were dispatched"
        ticks.append(taken)
    listing = IssueListing(issues=tuple(_issue(number) for number in range(1, size + 1)), problems=())
    missing, compared = work_done(site, lambda: parts.backlog.missing("local:shop", listing))
    assert not missing, missing[:3]
    command = ("-m", "coalmine", "issue", "list", "--json")
    return Waiting(
        issues=size, size=used_bytes(site), take_in=take_in, compare=compared.both,
        dispatch=statistics.median(each.both for each in ticks),
        server=statistics.median(each.servers for each in ticks),
        command=min(cpu_of(command, environment_of(site)) for _ in range(3)),
    )  # fmt: skip


def _forge(folder: Path) -> LocalConfig:
    """A forge with a repository of one commit and an empty folder of issues."""
    repository = folder / "repository" / "shop"
    for each in (repository, folder / "issues"):
        each.mkdir(parents=True)
    git = Git(repository)
    git("init", "--quiet", "--initial-branch=main")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "Begin")
    return LocalConfig(
        repository=repository, issues=folder / "issues", state=folder / "state", per_repo=1000,
        template=TEMPLATE,
    )  # fmt: skip


def _issue(number: int) -> Issue:
    """One of many; every third has a priority of its own."""
    return Issue(
        ref=IssueRef(forge="local", repo="shop", number=number), title=f"{_TITLE} ({number})", body=_BODY,
        labels=(f"priority:{1 + number % 3}",), state="open", author="ada",
        updated_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailboxes:
    """So many agents that await mail."""

    agents: int
    size: int  # bytes of all data in Redis
    send: float  # seconds of processor for a mail that wakes its agent
    look: float  # of the sweep's look for agents whose mail nobody has taken, where none has any
    claim: float  # of a turn that takes its agent's mail
    look_at_all: float  # of the same look where every agent has mail


def mailboxes(sizes: Sequence[int]) -> Iterator[Mailboxes]:
    """One fleet with more and more agents that await mail."""
    with measured_fleet() as site:
        waiting: list[str] = []
        for size in sizes:
            waiting += _agents(site, size - len(waiting))
            yield _posted(site, waiting)


def _posted(site: MeasuredFleet, waiting: Sequence[str]) -> Mailboxes:
    """Some agents get mail that wakes them and take it, then all others have some that nobody took."""
    office = site.coalmine.post_office
    size = used_bytes(site)
    _, look = work_done(site, lambda: office.agents_with_mail(LOOKED_AT))
    first = waiting[-ASKED:]
    _, sent = work_done(site, lambda: _write(site, *first))
    _, claimed = work_done(site, lambda: [office.claim(name, lease_seconds=60.0) for name in first])
    others = [name for name in waiting if name not in set(first)]
    _write(site, *others)
    wake = site.coalmine.waking.wake
    _, look_at_all = work_done(site, lambda: wake(office.agents_with_mail(LOOKED_AT)))
    for name in others:
        office.ack(office.claim(name, lease_seconds=60.0))
    return Mailboxes(
        agents=len(waiting), size=size, look=look.both, look_at_all=look_at_all.both,
        send=sent.both / len(first), claim=claimed.both / len(first),
    )  # fmt: skip


def _write(site: MeasuredFleet, *names: str) -> None:
    for name in names:
        letter = Letter.checked(to=name, type_="status", subject="The total is right now", body=_BODY)
        site.coalmine.post_office.send(Author.of_person("ada"), letter)


def _agents(site: MeasuredFleet, count: int) -> list[str]:
    """Agents whose turn has ended, and whose job goes on when mail comes."""
    parts = site.coalmine
    requests = [
        JobRequest(template=TEMPLATE, task=_BODY, title=_TITLE, role="lead", repository="")
        for _ in range(count)
    ]
    names = []
    for done in parts.mailbox.enqueue_many(requests):
        claim = parts.jobs.claim(done.job, worker="w1@bench", lease_seconds=60.0)
        assert isinstance(claim, Claim), claim
        name = parts.agents.register(role=Role.LEAD, job=done.job).name
        life = {"role": "lead", "parent": "", "job": done.job}
        begun = parts.sessions.begin(name, lease_seconds=60, worker="w1@bench", start=life)
        assert not isinstance(begun, TurnRefusal), begun
        fence = int(begun["fence"])
        to = SessionState.BETWEEN_TURNS
        parts.sessions.run_by(name, fence=fence, allowed=ALLOWED[SessionState.IN_TURN], process=_PROCESS)
        parts.sessions.await_others(name, fence=fence)
        parts.sessions.end(TurnEnd(name=name, fence=fence, to=to, allowed=ALLOWED[to], job=done.job))
        parts.jobs.park(claim, awaiting(WAIT_SECONDS), reason="it awaits mail", result=JobResult())
        names.append(name)
    return names
