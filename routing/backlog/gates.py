"""The gates: which issue may be dispatched now, and why another may not.

The gates stand in one order, from the cheapest and most general to the budgets, and the first that is shut is
the reason. Whether its repository is fit for work, and its main branch not red, costs calls and stands last,
before an agent is paid. `refusal` is pure. `choose` reads what it needs when it needs it, in that order: with
the kill switch on it reads nothing at all. Neither changes anything; the dispatcher does. Who asked for an
issue must be able to write in its repository, as its words become an agent's task.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Gate, Refusal
from routing.forges.config import IssueSourceConfig
from routing.forges.forge import Permission

#: Gates that shut out a whole repository, so that its other issues are not looked at in the same tick.
_OF_REPOSITORY = frozenset(
    {
        Gate.DISABLED,
        Gate.NOT_ALLOWED,
        Gate.REPOSITORY_BUSY,
        Gate.MAIN_RED,
        Gate.FLEET_FULL,
        Gate.DAY_BUDGET,
        Gate.UNFIT,
    }
)
#: Those of them that are about where work goes: other issues of a tracker may go elsewhere.
_OF_PLACE = frozenset({Gate.REPOSITORY_BUSY, Gate.MAIN_RED, Gate.UNFIT})


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFacts:
    """What a decision about one issue is made from, besides the settings."""

    permission: Permission | None  # of the person who requested it; None: the forge did not answer
    busy: int  # issues of its repository in progress
    working: int  # issues of all repositories in progress
    fleet_size: int  # how many of them may be
    spent_today_usd: float  # including what the jobs at work may still cost
    spent_usd: float  # on this issue so far
    red_main: str = ""  # an issue whose work waits for its main branch to be green, "" for none
    fault: Callable[[], str] = lambda: ""  # why no agent can work for its repository; asked for last
    main_fault: Callable[[], str] = lambda: ""  # why its main branch is red, as its forge says; after that


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Where facts come from; each function is called only when its gate is reached."""

    fleet_size: int  # issues of all repositories that may be in progress
    paused: Callable[[], str | None]  # why a person stopped dispatch
    ready: Callable[[], Mapping[str, Iterable[BacklogItem]]]  # by `forge:repo`, the best first
    permission: Callable[[BacklogItem], Permission | None]
    busy: Callable[[], Mapping[str, int]]  # by `forge:repo`
    spent_today_usd: Callable[[], float]  # including what the jobs at work may still cost
    spent_usd: Callable[[BacklogItem], float]
    red_mains: Callable[[], Mapping[str, str]]  # by `forge:repo` an issue that waits for a green main branch
    fault: Callable[[BacklogItem], str]  # why no agent can work for its repository, "" for nothing
    main_fault: Callable[[BacklogItem], str]  # why its main branch is red, "" when it is not, or not known
    held: Callable[[], int] = lambda: 0  # of those in progress, how many leave their place in the fleet to
    # other templates, as their jobs wait for an account


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a tick dispatches, in order, and what it does not."""

    chosen: tuple[BacklogItem, ...] = ()  # at most one a repository
    refusals: tuple[Refusal, ...] = ()


def refusal(forge: IssueSourceConfig, item: BacklogItem, facts: GateFacts) -> Refusal | None:
    """The first gate that is shut for an issue, in their order; None when all are open."""
    return _first_shut(forge, item, lambda: facts)


def _first_shut(forge: IssueSourceConfig, item: BacklogItem, ask: Callable[[], GateFacts]) -> Refusal | None:
    """The first gate that is shut; the generator reads facts only when it gets that far."""
    for gate, shut, reason, inputs in _gates(forge, item, ask):
        if shut:
            return Refusal(issue=str(item.ref), gate=gate, reason=reason, inputs=inputs)
    return None


def _gates(
    forge: IssueSourceConfig, item: BacklogItem, ask: Callable[[], GateFacts]
) -> Iterator[tuple[Gate, bool, str, dict[str, object]]]:
    """Each gate with whether it is shut, why, and its inputs.

    Comparisons are written so that a cost that is not a number (nan) shuts the gate.
    """
    source, repo = f"{item.ref.forge}:{item.ref.repo}", item.place
    yield Gate.KILL_SWITCH, forge.kill_switch, "the kill switch is on", {"kill_switch": forge.kill_switch}
    yield Gate.DISABLED, not forge.enabled, "dispatch is not enabled", {"enabled": forge.enabled}
    allowed = forge.served.spelled(item.ref.repo) is not None
    reason = f"{source} is not on the allow-list"
    yield (
        Gate.NOT_ALLOWED,
        not allowed,
        reason,
        {"repository": source, "allow_list": (*forge.allow_list, *forge.served.patterns)},
    )
    facts = ask()
    who = item.requested_by or "somebody unknown"
    trust: dict[str, object] = {"requested_by": item.requested_by, "permission": facts.permission}
    reason = f"the forge has not said what {who} may do in {source}"
    yield Gate.TRUST_UNKNOWN, facts.permission is None, reason, trust
    trusted = facts.permission is not None and facts.permission.can_write
    yield Gate.UNTRUSTED, not trusted, f"{who} requested it, who may not write in {source}", trust
    ready = item.state is BacklogState.READY
    reason = item.reason or f"it is {item.state.value}"
    yield Gate.BLOCKED, not ready, reason, {"state": item.state.value, "reason": item.reason}
    limit: dict[str, object] = {"busy": facts.busy, "per_repo": forge.per_repo}
    reason = f"{facts.busy} of {forge.per_repo} issues of {repo} are in progress"
    yield Gate.REPOSITORY_BUSY, not facts.busy < forge.per_repo, reason, limit
    shut = facts.red_main != "" and not forge.allow_red
    reason = (
        f"the main branch of {repo} is red, as {facts.red_main} showed: it must be green, or allow_red on"
    )
    yield Gate.MAIN_RED, shut, reason, {"issue": facts.red_main, "allow_red": forge.allow_red}
    limit = {"working": facts.working, "fleet_size": facts.fleet_size}
    reason = f"{facts.working} of {facts.fleet_size} issues of the fleet are in progress"
    yield Gate.FLEET_FULL, not facts.working < facts.fleet_size, reason, limit
    yield (Gate.DAY_BUDGET, *_day_budget(forge, facts))
    yield (Gate.JOB_BUDGET, *_job_budget(forge, facts))
    fault = facts.fault()
    yield Gate.UNFIT, fault != "", fault, {"repository": repo}
    red = "" if forge.allow_red else facts.main_fault()
    reason = f"the main branch of {repo} is red: {red}; it must be green, or allow_red on"
    yield Gate.MAIN_RED, red != "", reason, {"repository": repo, "allow_red": forge.allow_red}


def _day_budget(forge: IssueSourceConfig, facts: GateFacts) -> tuple[bool, str, dict[str, object]]:
    """Whether too little is left of the day: a job needs its limit; one without a limit needs anything."""
    spent, day, job = facts.spent_today_usd, forge.usd_per_day, forge.usd_per_job
    inputs: dict[str, object] = {"spent_today_usd": spent, "usd_per_day": day, "usd_per_job": job}
    left = day is None or (spent < day if job is None else spent + job <= day)
    return not left, f"{spent:.2f} of {day or 0:.2f} USD of the day are spent or promised", inputs


def _job_budget(forge: IssueSourceConfig, facts: GateFacts) -> tuple[bool, str, dict[str, object]]:
    """Whether earlier jobs on the issue have spent the limit of one."""
    spent, job = facts.spent_usd, forge.usd_per_job
    inputs: dict[str, object] = {"spent_usd": spent, "usd_per_job": job}
    return job is not None and not spent < job, f"{spent:.2f} of {job or 0:.2f} USD were spent on it", inputs


def choose(forge: IssueSourceConfig, inputs: Inputs) -> Choice:
    """At most one issue of each repository, its best eligible one; the best of them comes first."""
    if forge.kill_switch:
        return _none(Gate.KILL_SWITCH, "the kill switch is on", {"kill_switch": True})
    paused = inputs.paused()
    if paused is not None:
        return _none(Gate.PAUSED, f"a person stopped dispatch: {paused}", {"paused": paused})
    if not forge.enabled:
        return _none(Gate.DISABLED, "dispatch is not enabled", {"enabled": False})
    return _Tick(forge=forge, inputs=inputs).run()


def _none(gate: Gate, reason: str, inputs: Mapping[str, object]) -> Choice:
    return Choice(refusals=(Refusal(issue="", gate=gate, reason=reason, inputs=inputs),))


class _Tick:
    """One pass over all repositories; what it has chosen so far counts as in progress, and as spent."""

    def __init__(self, *, forge: IssueSourceConfig, inputs: Inputs) -> None:
        self._forge = forge
        self._inputs = inputs
        self._chosen: list[BacklogItem] = []
        self._refusals: list[Refusal] = []
        self._busy: Mapping[str, int] | None = None
        self._working = 0
        self._red_mains: Mapping[str, str] = {}
        self._spent_today_usd: float | None = None
        self._shut: set[str] = set()  # places that nothing more of a tracker may begin in now
        self._faults: dict[str, str] = {}
        self._main_faults: dict[str, str] = {}
        self._permissions: dict[tuple[str, str], Permission | None] = {}

    def run(self) -> Choice:
        """Take the best head of all queues until each repository has one, no more issues, or a shut gate."""
        queues = {name: iter(items) for name, items in self._inputs.ready().items()}
        heads = {name: head for name, queue in queues.items() if (head := next(queue, None)) is not None}
        while heads:
            name = min(heads, key=lambda one: heads[one].order)
            item = heads[name]
            refused = _first_shut(self._forge, item, partial(self._facts, name, item))
            following = None
            if refused is None:
                self._chosen.append(item)
            else:
                self._refusals.append(refused)
                following = self._following(queues[name], item, refused.gate)
            if following is None:
                del heads[name]
            else:
                heads[name] = following
        return Choice(chosen=tuple(self._chosen), refusals=tuple(self._refusals))

    def _following(self, queue: Iterator[BacklogItem], item: BacklogItem, gate: Gate) -> BacklogItem | None:
        """The issue to look at after one that was refused; None when the same gate is shut for all others.

        Issues of a tracker may be worked on elsewhere, so those that go to another place are looked at.
        """
        if gate not in _OF_REPOSITORY:
            return next(queue, None)
        if not item.works_in or gate not in _OF_PLACE:
            return None
        self._shut.add(item.place)
        return next((other for other in queue if other.place not in self._shut), None)

    def _fault(self, item: BacklogItem) -> str:
        """What is wrong with a repository; asked once in a tick."""
        name = item.place
        if name not in self._faults:
            self._faults[name] = self._inputs.fault(item)
        return self._faults[name]

    def _main_fault(self, item: BacklogItem) -> str:
        """Why a main branch is red; asked once in a tick."""
        name = item.place
        if name not in self._main_faults:
            self._main_faults[name] = self._inputs.main_fault(item)
        return self._main_faults[name]

    def _facts(self, name: str, item: BacklogItem) -> GateFacts:
        """The facts of one issue; each is read once in a tick."""
        who = (name, item.requested_by)
        if who not in self._permissions:
            self._permissions[who] = self._inputs.permission(item)
        if self._busy is None or self._spent_today_usd is None:
            self._busy = self._inputs.busy()
            self._working = max(0, sum(self._busy.values()) - self._inputs.held())
            self._red_mains = self._inputs.red_mains()
            self._spent_today_usd = self._inputs.spent_today_usd()
        promised = len(self._chosen) * (self._forge.usd_per_job or 0.0)
        return GateFacts(
            permission=self._permissions[who],
            busy=self._busy.get(item.place, 0),
            red_main=self._red_mains.get(item.place, ""),
            fleet_size=self._inputs.fleet_size,
            working=self._working + len(self._chosen),
            spent_today_usd=self._spent_today_usd + promised,
            spent_usd=self._inputs.spent_usd(item),
            fault=partial(self._fault, item),
            main_fault=partial(self._main_fault, item),
        )
