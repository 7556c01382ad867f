"""A route with what all jobs on it have in common, computed once for the many jobs that the mailbox accepts.

Enqueueing is the busiest step of a fleet; only what differs from job to job is put together for each.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

from routing.jobs.job import Job
from routing.store.jobs.acceptance import AcceptanceTerms, Family, sides_json
from routing.store.jobs.record import FORM
from routing.templates.route import Draw, Route, draw, draws
from routing.templates.trial import LATE_PART, Arm, Mode, Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxPolicy:
    """The settings that new jobs are given."""

    canaries_enabled: bool = True
    max_attempts: int = 3
    settle_deadline_seconds: float = 604_800.0
    retention_seconds: int = 2_592_000
    judged_forges: frozenset[str] | None = None  # whose work can be one of a pair; None: all work


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RouteDefaults:
    """What the mailbox needs of a route for job after job; valid as long as its route is."""

    route: Route
    draws: bool  # whether a number is drawn for each job
    trial: Trial | None  # the trial that the jobs count in; None when they count in none
    terms: AcceptanceTerms
    pair: AcceptanceTerms | None = None  # of issues that both versions work on; None outside shadow trials
    own_queue: Literal["champion", "canary", "backtest"] | None = None  # None: that of the arm

    @classmethod
    def of(cls, route: Route, policy: MailboxPolicy) -> Self:
        """Compute the defaults of a route."""
        drawn = draws(route, enabled=policy.canaries_enabled, pinned=route.pinned)
        tried = route.trial if drawn and route.canary is not None else None
        trial = tried if tried and tried.mode is Mode.DRAW else None
        pair = tried if tried and tried.mode is Mode.SHADOW else None
        # A number at either end shows what each arm gets: the champion's side first, then the canary's.
        chosen = [draw(route, 1.0), draw(route, 0.0)] if trial else [draw(route, None)]
        return cls(
            route=route,
            draws=drawn,
            trial=trial,
            pair=_pair_terms(route, pair, policy) if pair else None,
            terms=AcceptanceTerms(
                template=route.template,
                revision=route.revision,
                sides=sides_json(_side(each, route=route, policy=policy) for each in chosen),
                trial=trial.id if trial else "",
                share=repr(trial.share) if trial else "",
                unpaired_in=pair.id if pair else "",
                settle_seconds=_first_look(trial) if trial else policy.settle_deadline_seconds,
                retention_seconds=policy.retention_seconds,
            ),
        )

    @classmethod
    def of_child(cls, route: Route, policy: MailboxPolicy, *, parent: Job, family: Family, role: str) -> Self:
        """What a child has: no draw, no trial. With its parent's version it waits where that waited."""
        queue = parent.queue if route.pinned else "champion"
        fields, _, data = _side(draw(route, None), route=route, policy=policy)
        if queue == "canary":
            fields["queue"] = queue
        arm = parent.arm or parent.parent_arm
        if arm is not None and route.pinned:
            fields["parent_arm"] = arm
        data |= {"queue": queue, "parent": parent.id, "role": role}
        return cls(
            route=route,
            draws=False,
            trial=None,
            terms=AcceptanceTerms(
                template=route.template,
                revision=route.revision,
                sides=sides_json([(fields, "", data)], family),
                parent=parent.id,
                settle_seconds=policy.settle_deadline_seconds,
                retention_seconds=policy.retention_seconds,
            ),
            own_queue=queue,
        )

    def queue(self, arm: Arm | None) -> str:
        """The queue of an arm's jobs."""
        return self.own_queue or _queue_of(arm)


def _pair_terms(route: Route, trial: Trial, policy: MailboxPolicy) -> AcceptanceTerms:
    """What pairs of a shadow trial have in common: the champion's side, and its shadow's."""
    champion = draw(route, 0.0)
    shadow = replace(champion, version=champion.shadow or champion.version, arm=Arm.CANARY)
    return AcceptanceTerms(
        template=route.template,
        revision=route.revision,
        sides=sides_json(_side(each, route=route, policy=policy) for each in (champion, shadow)),
        trial=trial.id,
        share=repr(trial.share),
        settle_seconds=_first_look(trial),
        retention_seconds=policy.retention_seconds,
    )


def _first_look(trial: Trial) -> float:
    """Seconds after which a job of a trial is looked at without any signal: it is late then."""
    return LATE_PART * trial.settle_deadline_seconds


def _queue_of(arm: Arm | None) -> str:
    return "canary" if arm is Arm.CANARY else "champion"


def side_of(arm: Arm | None) -> int:
    """The place of an arm among the sides, from 1."""
    return 2 if arm is Arm.CANARY else 1


def _side(
    chosen: Draw, *, route: Route, policy: MailboxPolicy
) -> tuple[dict[str, str], str, dict[str, object]]:
    """What jobs of one arm have in common: fields of the record, the arm, and data of the event."""
    version, trial, arm = chosen.version, chosen.trial, chosen.arm
    queue = _queue_of(arm)
    fields = {
        "v": str(FORM),
        "state": "queued",
        "template": route.template,
        "version": str(version.number),
        "content_hash": version.content_hash,
        "max_attempts": str(policy.max_attempts),
        "source_commit": version.source_commit,
        "pinned": "1" if route.pinned else "",
        "queue": queue if queue == "canary" else "",
        "trial": trial.id if trial else "",
        "arm": arm or "",
        "share": repr(trial.share) if trial else "",
    }
    data: dict[str, object] = {"version": version.id, "queue": queue}
    if trial is not None:
        data |= {"trial": trial.id, "arm": arm, "share": trial.share}
    return {name: value for name, value in fields.items() if value}, arm or "", data
