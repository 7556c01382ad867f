"""What CI and others report about a commit, and the verdict that follows: a pure decision, made here alone.

The forges gather (`CombinedStatus`), settings say what counts (`CiRules`), and `read_ci` decides. Green means
that what must pass has passed; what was not waited for, or waits for a person, is never taken for a pass.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from routing.forges.ci_rules import CiRules, is_formal, matches

#: Contexts that begin so are Coalmine's own words; they prove nothing about the work.
OWN_CONTEXT_PREFIX = "coalmine/"


class StatusState(StrEnum):
    """What one context says of a commit."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"  # the check itself could not be run
    NEUTRAL = "neutral"  # it was skipped, or says nothing of the work

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to come."""
        return self is not StatusState.PENDING


_RED = frozenset({StatusState.FAILURE, StatusState.ERROR})


class CiVerdict(StrEnum):
    """What all of them together say."""

    GREEN = "green"
    RED = "red"
    PENDING = "pending"
    UNKNOWN = "unknown"  # nobody but Coalmine has said anything that counts


class CiReason(StrEnum):
    """Why the verdict is what it is; the value is how a sentence about it goes on after "CI ..."."""

    PASSED = "has passed"
    FAILED = "has failed"
    RUNNING = "is running"
    EXPECTED = "has not said all that must pass"  # a required check, or a run that was announced
    SETTLING = "has passed so far; more checks may begin"
    SILENT = "has said nothing"
    UNPROVEN = "has only said what proves nothing of the work"  # a licence, a sign-off, a title
    NOTHING = "has ended and has run nothing: every check was skipped"
    KEPT_AWAY = "did not run, because the commit message asks it not to"
    APPROVAL = "waits until a person approves its run"
    PEOPLE = "has passed; a check waits for people"

    @property
    def is_of_people(self) -> bool:
        """Whether only a person can move it on."""
        return self in {CiReason.APPROVAL, CiReason.PEOPLE}


class CommitStatus(BaseModel):
    """One report about a commit."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    context: str  # who says it: `ci/local`, `build`, `coalmine/progress`
    state: StatusState
    description: str = ""
    url: str = ""  # where the log is: an address, or a file's path
    at: AwareDatetime
    app: str = ""  # who runs it, where the context holds that too: `github-actions`
    name: str = ""  # its own name within the app, by which forges require it; "": the context is its name
    cancelled: bool = False  # it was stopped: says nothing where another run of the name says something
    unstarted: bool = False  # a run that failed before any of its checks began

    @property
    def is_own(self) -> bool:
        """Whether Coalmine itself said it."""
        return self.context.startswith(OWN_CONTEXT_PREFIX)

    @property
    def is_red(self) -> bool:
        """Whether the check failed, or could not be run."""
        return self.state in _RED

    @property
    def complaint(self) -> str:
        """Who says it, and what, in one line."""
        return f"{self.context}: {self.description}" if self.description else self.context

    def is_called(self, pattern: str) -> bool:
        """Whether a shell pattern (`ci/*`) matches its context or its name."""
        return any(matches(name, pattern) for name in self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Its context, and the name within its app where that is another."""
        return (self.context, self.name) if self.name else (self.context,)

    @property
    def known_as(self) -> tuple[str, str]:
        """What two runs of the same check have in common."""
        return self.app, self.name or self.context


class CombinedStatus(BaseModel):
    """All that a forge knows of a commit's CI: the newest report of each context, and what must yet come."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    commit: str
    statuses: tuple[CommitStatus, ...] = ()  # by context, each once
    required: tuple[str, ...] = ()  # patterns of contexts that must pass, by the branch's own rules
    expected: tuple[str, ...] = ()  # runs that have begun, or are queued, and have no check yet
    announced: tuple[str, ...] = ()  # apps that were asked for checks and have made none; some never do
    approvals: tuple[str, ...] = ()  # runs that wait for a person's approval
    keeps_ci_away: str = ""  # the words of the commit message by which CI leaves the commit out

    @classmethod
    def of(cls, commit: str, statuses: Iterable[CommitStatus]) -> Self:
        """Keep the newest statement of each context; of two at one time, the later in the list."""
        newest: dict[str, CommitStatus] = {}
        for status in statuses:
            known = newest.get(status.context)
            if known is None or known.at <= status.at:
                newest[status.context] = status
        return cls(commit=commit, statuses=tuple(newest[context] for context in sorted(newest)))

    @property
    def verdict(self) -> CiVerdict:
        """What `read_ci` makes of it by the usual rules, when enough time has passed."""
        return read_ci(self).verdict

    @property
    def in_force(self) -> tuple[CommitStatus, ...]:
        """The reports of others that count: without cancelled runs of whose name there is another."""
        others = [one for one in self.statuses if not one.is_own]
        speaking = {one.known_as for one in others if not one.cancelled}
        return tuple(one for one in others if not (one.cancelled and one.known_as in speaking))

    @property
    def failed(self) -> tuple[CommitStatus, ...]:
        """What the checks said that failed or could not be run, by context; our own are none."""
        return tuple(one for one in self.in_force if one.is_red)

    @property
    def failing(self) -> tuple[str, ...]:
        """The contexts of those checks."""
        return tuple(status.context for status in self.failed)

    @property
    def complaint(self) -> str:
        """What the first check that failed, or could not be run, says of it; '' when none did."""
        return self.failed[0].complaint if self.failed else ""

    @property
    def has_real_ci(self) -> bool:
        """Whether at least one check succeeded that is not Coalmine's own and looks at the work."""
        passed = [one for one in self.in_force if one.state is StatusState.SUCCESS]
        return any(not is_formal(name) for one in passed for name in one.names[-1:])


#: Seconds after the push for which apps are waited for that were asked for checks and have made none: a forge
#: asks each app that is installed, also those that have nothing to say of this repository.
ANNOUNCED_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CiReading:
    """A verdict and what it rests on."""

    verdict: CiVerdict
    reason: CiReason
    names: tuple[str, ...] = ()  # of the checks that failed, or that are waited for
    complaint: str = ""  # of the first that failed: which one, and what it says

    def __str__(self) -> str:
        """A sentence for people, with the checks named."""
        named = f" ({', '.join(self.names[:_MOST_NAMED])})" if self.names else ""
        return f"CI {self.reason}{named}"


_MOST_NAMED = 5


def read_ci(
    said: CombinedStatus, rules: CiRules | None = None, *, waited_seconds: float = math.inf
) -> CiReading:
    """Decide what CI says of a commit, `waited_seconds` after its push.

    Where something is known of what must pass (by the branch, or by the settings), that alone decides.
    Otherwise all that is listed does: each must have passed, one of them must look at the work, and the time
    must be over in which more may begin.
    """
    rules = rules or CiRules()
    must = tuple(dict.fromkeys((*said.required, *rules.checks)))
    named = [pattern for pattern in must if pattern in rules.checks or not is_formal(pattern)]
    may_begin = waited_seconds < rules.settle_seconds
    return (
        _by_name(said, must, rules, may_begin=may_begin)
        if named
        else _by_listing(said, must, rules, waited_seconds)
    )


def _by_name(said: CombinedStatus, must: Sequence[str], rules: CiRules, *, may_begin: bool) -> CiReading:
    """What must pass is known: the rest neither helps nor harms."""
    matching = {pattern: [one for one in said.in_force if one.is_called(pattern)] for pattern in must}
    failed = [one for found in matching.values() for one in found if one.is_red and not _waits(one, rules)]
    waiting = [pattern for pattern, found in matching.items() if not _have_passed(found)]
    of_people = [pattern for pattern in waiting if rules.waits_for_people(pattern)]
    missing = [pattern for pattern in waiting if pattern not in of_people]
    if missing and not failed:  # what was to bring the check may have failed before it began
        failed = [one for one in said.in_force if one.unstarted]
    if failed:
        return _red(failed)
    if missing:
        return _missing(said, [*missing, *of_people], may_begin=may_begin)
    if of_people:
        return _pending(CiReason.PEOPLE, of_people)
    return CiReading(verdict=CiVerdict.GREEN, reason=CiReason.PASSED, names=tuple(must))


def _have_passed(found: Sequence[CommitStatus]) -> bool:
    """As forges have it: a required check that was skipped has passed, one that never spoke has not."""
    return bool(found) and all(one.state in {StatusState.SUCCESS, StatusState.NEUTRAL} for one in found)


def _missing(said: CombinedStatus, names: Sequence[str], *, may_begin: bool) -> CiReading:
    """A check that must pass has not spoken to its end; `may_begin`: it is early for one to begin."""
    if said.approvals:
        return _pending(CiReason.APPROVAL, said.approvals)
    if said.keeps_ci_away and not may_begin:
        return _kept_away(said)
    speaking = any(not one.is_own for one in said.statuses)
    verdict = CiVerdict.PENDING if speaking or said.expected else CiVerdict.UNKNOWN
    return CiReading(verdict=verdict, reason=CiReason.EXPECTED, names=tuple(names))


def _by_listing(
    said: CombinedStatus, must: Sequence[str], rules: CiRules, waited_seconds: float
) -> CiReading:
    """Nothing is known of what must pass: all that is listed counts, but for what waits for people."""
    work = [one for one in said.in_force if not _waits(one, rules)]
    if failed := [one for one in work if one.is_red]:
        return _red(failed)
    if waits := _under_way(said, work, rules, waited_seconds):
        return waits
    if not said.has_real_ci:
        return _unproven(said, work, may_begin=waited_seconds < rules.settle_seconds)
    if waited_seconds < rules.settle_seconds:
        return _pending(CiReason.SETTLING, ())
    unsigned = [one for one in must if not _have_passed([it for it in said.in_force if it.is_called(one)])]
    if unsigned:
        return _pending(CiReason.PEOPLE, unsigned)
    return CiReading(verdict=CiVerdict.GREEN, reason=CiReason.PASSED)


def _under_way(
    said: CombinedStatus, work: Sequence[CommitStatus], rules: CiRules, waited_seconds: float
) -> CiReading | None:
    """What is still to come of all that is listed; None when nothing is."""
    if running := [one.context for one in work if one.state is StatusState.PENDING]:
        return _pending(CiReason.RUNNING, running)
    if expected := [*said.expected, *(said.announced if waited_seconds < ANNOUNCED_SECONDS else ())]:
        return _pending(CiReason.EXPECTED, expected)
    approvals = [name for name in said.approvals if not rules.waits_for_people(name)]
    return _pending(CiReason.APPROVAL, approvals) if approvals else None


def _unproven(said: CombinedStatus, work: Sequence[CommitStatus], *, may_begin: bool) -> CiReading:
    """Nothing has failed, nothing runs, and nothing has looked at the work."""
    if said.keeps_ci_away and not may_begin:
        return _kept_away(said)
    names = tuple(one.context for one in said.in_force)
    if not names:
        return CiReading(verdict=CiVerdict.UNKNOWN, reason=CiReason.SILENT)
    if may_begin:
        return _pending(CiReason.SETTLING, names)
    skipped = any(one.state is StatusState.NEUTRAL for one in work)
    reason = CiReason.NOTHING if skipped else CiReason.UNPROVEN
    return CiReading(verdict=CiVerdict.UNKNOWN, reason=reason, names=names)


def _kept_away(said: CombinedStatus) -> CiReading:
    complaint = f"CI did not run, because the commit message says {said.keeps_ci_away!r}"
    return CiReading(
        verdict=CiVerdict.UNKNOWN,
        reason=CiReason.KEPT_AWAY,
        names=(said.keeps_ci_away,),
        complaint=complaint,
    )


def _pending(reason: CiReason, names: Iterable[str]) -> CiReading:
    return CiReading(verdict=CiVerdict.PENDING, reason=reason, names=tuple(names))


def _red(failed: Sequence[CommitStatus]) -> CiReading:
    names = tuple(dict.fromkeys(one.context for one in failed))
    complaint = min(failed, key=lambda one: one.context).complaint
    return CiReading(verdict=CiVerdict.RED, reason=CiReason.FAILED, names=names, complaint=complaint)


def _waits(status: CommitStatus, rules: CiRules) -> bool:
    """Whether a check waits for people and not for the work."""
    return any(rules.waits_for_people(name) for name in status.names)
