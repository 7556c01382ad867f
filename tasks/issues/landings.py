"""What people do with pushed work: merge it, push it to main, review it, close it, revert it.

Each becomes a signal of the job, recorded once, from which `harvest` makes the score. Jobs are looked at for
as long as something may still happen: often while they are young, for some days after their score is settled.
What follows for a job that has not ended is decided by `tasks.issues.watch`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from routing.forges.change_request import ChangeRequest, ChangeState, Review, ReviewVerdict, in_rounds
from routing.forges.commit_status import CiReason, read_ci
from routing.forges.errors import ForgeError, ForgeGoneError, ForgeRefusedError, ForgeUnreachableError
from routing.forges.forge import Forge
from routing.forges.site import ForgeSite
from routing.forges.work_branch import WORK_PREFIX
from routing.http.rate_limit import LONGEST_SECONDS
from routing.jobs.job import Job, is_job_id
from routing.jobs.signal import Signal, SignalKind, signal
from routing.store.backlog.delivery_store import DeliveryStore
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.run_store import RunNotes, RunStore
from routing.store.signals.signal_store import SignalStore
from tasks.issues.site import place_of

_log = structlog.get_logger(__name__)

#: Seconds for which settled work is looked at further: a late revert may contradict its trial's verdict.
LATE_SECONDS = 7 * 86_400.0

#: Waiting jobs among which those of a repository are looked for, when a webhook reported that.
MOST_HASTENED = 1000

#: The longest pause between two looks at work in review, in seconds: webhooks say at once what is new.
REVIEW_PAUSE_SECONDS = 300.0

#: The shortest pause between two looks at settled work, in seconds: its score stands.
SETTLED_PAUSE_SECONDS = 60.0


class Fate(StrEnum):
    """What people have done with work so far."""

    OPEN = "open"  # nothing that ends it
    LANDED = "landed"  # it is on the main branch, by whatever way
    DROPPED = "dropped"  # its change request was closed, or its branch deleted, and it is not on main


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenWork:
    """Pushed work as its forge shows it now."""

    change: ChangeRequest | None = None  # None where it has none
    facts: tuple[Signal, ...] = ()  # about how it landed, or was dropped; () while it is open

    @property
    def fate(self) -> Fate:
        """Landing counts more than a request that was closed: some merge by other ways, and close it."""
        kinds = {fact.kind for fact in self.facts}
        if kinds & {SignalKind.MERGED, SignalKind.PUSHED_TO_MAIN}:
            return Fate.LANDED
        return Fate.DROPPED if SignalKind.CLOSED_UNMERGED in kinds else Fate.OPEN


class Landings:
    """Looks at the work of one job at a time; what it finds are signals of that job.

    It changes nothing but signals and the time of the next look. The store records each signal once, so
    looking again, also in another process, adds nothing.
    """

    def __init__(self, *, store: JobStore, signals: SignalStore, interval_seconds: float) -> None:
        self._store = store
        self._signals = signals
        self._interval_seconds = interval_seconds

    def look(self, site: ForgeSite | None, job: Job) -> tuple[bool, SeenWork]:
        """Record what is new; whether something was, and what was seen. Also says when to look again.

        A ForgeError is raised after the next look was set, not before what the forge asked for (`retry_at`).
        Without a site, or a pushed commit, there is nothing to ask.
        """
        now = self._signals.now()
        seen, facts = SeenWork(), []
        try:
            if site is not None and job.result.commit:
                seen = seen_work(site, job, now)
                known = self._signals.read(job.id)
                facts = [*taken_back(job, seen, known, now), *_reviewed(site, job, seen)]
        except ForgeError as error:  # asked again later, so that it delays no job on another forge
            later = (error.retry_at or 0.0) if isinstance(error, ForgeUnreachableError) else 0.0
            following = next_look(job, now, self._interval_seconds)
            at = following and max(following, min(later, now + LONGEST_SECONDS))  # by a clock of this host
            self._store.look_again(job.id, at=at)
            raise
        new = self._signals.add(job.id, facts) if facts else 0
        self._store.look_again(job.id, at=next_look(job, now, self._interval_seconds))
        return new > 0, seen


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedWork:
    """Work that webhooks reported: it is looked at now, and not at its next regular look."""

    deliveries: DeliveryStore
    store: JobStore
    runs: RunStore

    def hasten(self, now: float) -> None:
        """Have the jobs looked at in this tick. A branch names its job; the main one all that wait.

        Of a push to it, settled work is left to its regular look: there may be a thousand.
        """
        reported = self.deliveries.take_work()
        of_all = {repository for repository, branch in reported if not branch}
        named = {branch.removeprefix(WORK_PREFIX) for _, branch in reported if branch}
        named |= set(self.store.waiting(MOST_HASTENED)) if of_all else set()
        listed = sorted(one for one in named if is_job_id(one))
        for job in filter(None, self.store.read_many(listed)):
            if job.request.repository in of_all or (job.request.repository, job.branch) in reported:
                self.store.look_again(job.id, at=now)
                self.runs.note(job.id, hastened_at=now)


def seen_work(site: ForgeSite, job: Job, now: float) -> SeenWork:
    """How the work landed, or was dropped; recording the same fact again changes nothing.

    One to three calls while it is open. A merged change wins over "pushed to main", as both may be true of
    one commit.
    """
    forge, repo = site.forge, place_of(job)[1]
    change = forge.change_of_branch(repo, job.branch)
    pushed: list[Signal] = []
    if change is None or change.state is not ChangeState.MERGED:
        # A Gitea leaves a request open whose commits somebody pushed to the main branch by hand.
        pushed = _pushed_to_main(forge, job, now)
    if pushed and change is not None:  # it may have been merged between the two questions
        change = forge.change_of_branch(repo, job.branch)
    if change is not None and change.state is ChangeState.MERGED:
        pushed = landing_facts(job, change, now) + _green(forge, job, change.head, now)
    elif change is not None:
        pushed = pushed or landing_facts(job, change, now)
    return SeenWork(change=change, facts=tuple(pushed))


def taken_back(job: Job, seen: SeenWork, known: Iterable[Signal], now: float) -> list[Signal]:
    """What was seen, with what follows from what was known before: pure.

    Work that had landed and is not there any longer was taken back, by whatever way; what was taken back and
    is there is applied again. Each further time is a round of its own, so that it is a fact of its own.
    """
    counts = Counter(fact.kind for fact in known)
    reverts, again = counts[SignalKind.REVERTED], counts[SignalKind.REAPPLIED]
    facts = [fact for fact in seen.facts if fact.kind is not SignalKind.REVERTED]
    reverted = next((fact for fact in seen.facts if fact.kind is SignalKind.REVERTED), None)
    landed = counts[SignalKind.MERGED] + counts[SignalKind.PUSHED_TO_MAIN] > 0
    looked = seen.change is None or seen.change.looked
    if reverted is None and landed and seen.fate is not Fate.LANDED and looked:
        reverted = signal(SignalKind.REVERTED, at=now, commit=job.result.commit, note="no longer on main")
    if reverted is not None and reverts == again:
        facts.append(signal(SignalKind.REVERTED, at=reverted.at, commit=reverted.commit, round_=reverts))
    if reverted is None and reverts > again and seen.fate is Fate.LANDED and looked:
        facts.append(signal(SignalKind.REAPPLIED, at=now, commit=job.result.commit, round_=again))
    return facts


def _reviewed(site: ForgeSite, job: Job, seen: SeenWork) -> list[Signal]:
    """The rounds of review in which changes were requested."""
    if seen.change is None:
        return []
    forge, repo = site.forge, place_of(job)[1]
    return review_facts(_that_count(forge, repo, forge.reviews(seen.change)))


def _that_count(forge: Forge, repo: str, reviews: Iterable[Review]) -> tuple[Review, ...]:
    """The reviews of people who may write, in rounds of their own: on an open forge anybody may review."""
    given = tuple(reviews)
    asking = {one.author for one in given if one.verdict is ReviewVerdict.CHANGES_REQUESTED}
    counting = {author for author in asking if _may_judge(forge, repo, author)}
    return in_rounds(one for one in given if one.author in counting)


def _may_judge(forge: Forge, repo: str, author: str) -> bool:
    """Whether a reviewer may write; where the forge refuses to say what people may do, everyone counts."""
    try:
        return forge.permission(repo, author).can_write
    except ForgeRefusedError as error:
        _log.warning("permission.unknown", repository=repo, reason=str(error))
        return True


def _pushed_to_main(forge: Forge, job: Job, now: float) -> list[Signal]:
    """Work that is on the branch that it goes to without a merged change: somebody pushed it there.

    [] when it is not there.
    """
    repo, commit = place_of(job)[1], job.result.commit
    try:
        if not forge.contains(repo, commit, base=job.base):
            return []
    except ForgeGoneError:  # the commit went with its branch
        return []
    facts = [signal(SignalKind.PUSHED_TO_MAIN, at=now, commit=commit)]
    facts += [
        signal(SignalKind.REVERTED, at=revert.at.timestamp(), commit=commit)
        for revert in forge.reverts_of(repo, commit, base=job.base)[:1]
    ]
    return facts + _green(forge, job, commit, now)


def _green(forge: Forge, job: Job, commit: str, now: float) -> list[Signal]:
    """Real CI at the commit that landed, if its statuses can be read; a landing counts without them.

    All of it must have passed, but for what waits for people: they have landed it.
    """
    try:
        said = forge.statuses(place_of(job)[1], commit, base=job.base)
        real = said.has_real_ci and read_ci(said).reason in {CiReason.PASSED, CiReason.PEOPLE}
    except ForgeUnreachableError:
        raise
    except ForgeError as error:
        _log.warning("statuses.not_read", commit=commit, reason=str(error))
        return []
    return [signal(SignalKind.CI_GREEN, at=now, commit=commit)] if real else []


def landing_facts(job: Job, change: ChangeRequest, now: float) -> list[Signal]:
    """What a change request's state says of the job that made it: pure.

    `now` (seconds since the epoch) stands in for a time that the forge does not give.
    """
    facts = []
    if change.state is ChangeState.MERGED:
        at = change.merged_at.timestamp() if change.merged_at else now
        note = f"as {change.merge_commit[:12]}"
        facts.append(signal(SignalKind.MERGED, at=at, commit=change.head, note=note))
    if change.state is ChangeState.CLOSED:
        facts.append(signal(SignalKind.CLOSED_UNMERGED, at=now, commit=job.result.commit))
    if change.reverted_at is not None:
        facts.append(signal(SignalKind.REVERTED, at=change.reverted_at.timestamp(), commit=change.head))
    return facts


def review_facts(reviews: Iterable[Review]) -> list[Signal]:
    """One fact a round of review in which changes were requested: pure."""
    rounds: dict[int, Review] = {}
    for review in reviews:
        if review.verdict is ReviewVerdict.CHANGES_REQUESTED:
            rounds.setdefault(review.round, review)
    return [
        signal(
            SignalKind.CHANGES_REQUESTED, at=review.at.timestamp(), round_=number, note=f"by {review.author}"
        )
        for number, review in rounds.items()
    ]


def next_look(job: Job, now: float, interval_seconds: float) -> float | None:
    """When to look for a landing again, in seconds since the epoch; None for not at all.

    The pause is a tenth of the job's age, between one interval (a minute for settled work) and an hour. While
    the job goes on it is one interval: what people decide ends it; and for work in review, `review_pause`.
    """
    if not job.state.is_final:
        return now + max(interval_seconds, review_pause(job, now) if job.is_in_review else 0.0)
    if job.settled_at is None:
        return now + max(interval_seconds, min(3600.0, (now - job.created_at) / 10))
    if now - job.settled_at > LATE_SECONDS:
        return None
    return now + max(SETTLED_PAUSE_SECONDS, min(3600.0, (now - job.created_at) / 10))


def review_pause(job: Job, now: float) -> float:
    """Seconds between two looks at work in review: a tenth of those since its push, five minutes at most."""
    return min(REVIEW_PAUSE_SECONDS, max(0.0, now - (job.pushed_at or now)) / 10)


def may_wait(job: Job, notes: RunNotes, now: float) -> bool:
    """Whether work in review was looked at not long ago, and nothing was heard of it since."""
    heard = notes.hastened_at >= notes.reviewed_at
    return not heard and now < notes.reviewed_at + review_pause(job, notes.reviewed_at)
