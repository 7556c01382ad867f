"""Trials in Redis: their state, their ledger and the steps that open and end them.

Floats are written by `repr`, so that the share and the baselines of a bet are read back bit by bit.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from routing.errors import CorruptRecordError
from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Answered, Script, answered, flat_json
from routing.store.redis.store import Store
from routing.templates.step import StepPlace
from routing.templates.trial import Arm, Mode, Terms, Trial, TrialHold, TrialState
from routing.templates.way import WayMove, written


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialAdvance:
    """The next state of a trial's test, computed from `revision`."""

    revision: int
    evidence: str  # JSON
    share: float  # of the next draw
    bet: dict[str, str]  # what the next bets freeze: fields of the record, and their values
    verdict: Literal["hold", "graduate", "roll_back", "expire"] = "hold"
    reason: str = ""
    review: str = ""  # JSON
    point: str = ""  # JSON, for the plot over time
    contradicted: bool = False
    alarms: tuple[str, ...] = ()  # names of the checks of its health that hold a verdict
    alarm: str = "{}"  # JSON of what they found


class OpenAnswer(StrEnum):
    """What became of the wish to open a trial. All but OK changed nothing."""

    OK = "ok"
    STALE = "stale"  # another trial was opened since the number of trials was read
    UNKNOWN = "unknown"  # the template has no such version
    NO_CHAMPION = "no champion"
    OPEN = "open"  # a trial is open
    WAY = "way"  # a version of the template is on another way, or at another step
    STATE = "state"  # the version's state, which comes with the answer, does not allow it


class AdvanceAnswer(StrEnum):
    """What became of a step of a trial's test. All but OK changed nothing."""

    OK = "ok"
    STALE = "stale"  # somebody else advanced it since it was read
    CLOSED = "closed"  # it has ended, and takes no verdict
    UNKNOWN = "unknown"


class ResumeAnswer(StrEnum):
    """What became of the wish to let a held trial go on. All but OK changed nothing."""

    OK = "ok"
    OTHER = "other"  # other checks have fired since the trial was read
    QUIET = "quiet"  # neither a check nor a person holds it
    CLOSED = "closed"  # it has ended
    UNKNOWN = "unknown"


class HoldAnswer(StrEnum):
    """What became of a person's hold. All but OK changed nothing."""

    OK = "ok"
    HELD = "held"  # a person holds it already
    CLOSED = "closed"  # it has ended
    UNKNOWN = "unknown"


_OPEN = Script(
    "trial_open",
    answered(OpenAnswer),
    keys="template trial",
    indexes="trials:open events",
    args="name number id before share policy bet mode strata settle_deadline_seconds data way_before way "
    "mark step steps",
)
_STOP = Script("trial_stop", bool, keys="template trial", indexes="trials:open events", args="id reason data")
_ADVANCE = Script(
    "trial_advance",
    AdvanceAnswer,
    keys="trial template reviews history",
    indexes="trials:open champions rejected events",
    args="id name revision evidence share baselines verdict reason review point alarms alarm",
    flags="contradicted",
)
_RESUME = Script("trial_resume", ResumeAnswer, keys="trial", indexes="events", args="id alarms data")
_HOLD = Script("trial_hold", HoldAnswer, keys="trial", indexes="events", args="id by reason data")
_READ = Script("trial_read", bool, keys="settlements", indexes="trials:moved", args="id seen")


class TrialStore(Store):
    """The records and ledgers of trials, which never expire. What a verdict follows from is not known here.

    A trial is opened once, advanced any number of times, and ends once: by a verdict of `advance`, by `stop`,
    or by a person's step in `VersionStore`. After that `advance` still writes evidence, but takes no verdict
    (CLOSED).

    A ledger only grows. `JobStore` appends dispatches when it accepts a job, `SignalStore` and
    `JobStore.reroute` append settlements; nobody else does. Read settlements before dispatches: then the
    dispatch of each settlement is there.

    `advance` names the revision that its step was computed from. Another harvest may have been faster: STALE,
    so read the trial again and compute the step anew. After an UnavailableError this does as well, since a
    step that was carried out has raised the revision. A record that is damaged is a CorruptRecordError of
    `read`.
    """

    def open(
        self, *, name: str, canary: int, trial: str, before: int, terms: Terms, data: dict[str, Any],
        move: WayMove | None = None,
    ) -> Answered[OpenAnswer]:  # fmt: skip
        """Open a trial of a pending version, if the template still has had `before` trials.

        With `move` it is a step of a way; without one the template must have none.
        """
        return self.call(
            _OPEN, template=self.keys.template(name), trial=self.keys.trial(trial), name=name, number=canary,
            id=trial, before=before, share=repr(terms.share), policy=terms.policy,
            bet=flat_json(terms.bet), mode=terms.mode.value,
            strata=terms.strata, settle_deadline_seconds=repr(terms.settle_deadline_seconds),
            data=json.dumps(data), **dict[str, Any](written(move, trial)), doing=f"opening trial {trial}",
        )  # fmt: skip

    def stop(self, *, name: str, trial: str, reason: str, data: dict[str, Any]) -> bool:
        """End a trial without a verdict; False when it had ended before, or is unknown."""
        return self.call(
            _STOP, template=self.keys.template(name), trial=self.keys.trial(trial), id=trial, reason=reason,
            data=json.dumps(data), doing=f"stopping trial {trial}",
        )  # fmt: skip

    def advance(self, trial: Trial, step: TrialAdvance) -> AdvanceAnswer:
        """Write the test's next state and its verdict, if nobody else did since it was read."""
        keys, name = self.keys, trial.template
        return self.call(
            _ADVANCE, trial=keys.trial(trial.id), template=keys.template(name), reviews=keys.reviews(name),
            history=keys.history(trial.id), id=trial.id, name=name, revision=step.revision,
            evidence=step.evidence, share=repr(step.share), baselines=flat_json(step.bet),
            verdict=step.verdict, reason=step.reason, review=step.review, point=step.point,
            contradicted=step.contradicted, alarms=" ".join(step.alarms), alarm=step.alarm,
            doing=f"advancing trial {trial.id}",
        )  # fmt: skip

    def resume(self, trial: Trial, *, data: dict[str, Any]) -> ResumeAnswer:
        """Release the checks that held the trial when it was read, and what a person's hold was."""
        return self.call(
            _RESUME, trial=self.keys.trial(trial.id), id=trial.id, alarms=" ".join(trial.alarms),
            data=json.dumps(data), doing=f"resuming trial {trial.id}",
        )  # fmt: skip

    def hold(self, trial: Trial, *, by: str, reason: str, data: dict[str, Any]) -> HoldAnswer:
        """Have no verdict carried out until a person resumes the trial."""
        return self.call(
            _HOLD, trial=self.keys.trial(trial.id), id=trial.id, by=by, reason=reason,
            data=json.dumps(data), doing=f"holding trial {trial.id}",
        )  # fmt: skip

    def read(self, trial: str) -> Trial | None:
        """One trial, or CorruptRecordError; None for an unknown one."""
        with redis_errors(f"reading trial {trial}"):
            fields = self.redis.hgetall(self.keys.trial(trial))
        try:
            return parsed_trial(trial, fields) if fields else None
        except (KeyError, ValueError) as error:
            message = (
                f"the record of trial {trial} is damaged ({error!r}); restore the key {self.key(trial)} from "
                "a backup, or reject the trial's canary, which ends it"
            )
            raise CorruptRecordError(message) from error

    def key(self, trial: str) -> str:
        """The key of a trial's record."""
        return self.keys.trial(trial)

    def open_ids(self) -> list[str]:
        """The trials that are open now."""
        with redis_errors("listing open trials"):
            return sorted(self.redis.smembers(self.keys("trials", "open")))

    def moved_ids(self) -> list[str]:
        """The trials with settlements that may not have been read yet."""
        with redis_errors("listing trials with news"):
            return sorted(self.redis.smembers(self.keys("trials", "moved")))

    def all_read(self, trial: str, seen: int) -> None:
        """Forget that a trial moved, unless it has more settlements than were read."""
        self.call(
            _READ, settlements=self.keys.settlements(trial), id=trial, seen=seen,
            doing=f"closing the news of trial {trial}",
        )  # fmt: skip

    def dispatches(self, trial: str, start: int = 0, most: int = -1) -> list[str]:
        """JSON records in order of dispatch, from `start`; at most `most`, all if that is negative."""
        return self._slice(self.keys.dispatches(trial), start, most)

    def settlements(self, trial: str, start: int = 0, most: int = -1) -> list[str]:
        """JSON records in order of arrival, from `start`."""
        return self._slice(self.keys.settlements(trial), start, most)

    def history(self, trial: str) -> list[dict[str, Any]]:
        """The points of the plot of evidence over time."""
        return [json.loads(line) for line in self._slice(self.keys.history(trial), 0, -1)]

    def _slice(self, key: str, start: int, most: int) -> list[str]:
        if most == 0:
            return []
        with redis_errors("reading a ledger"):
            return list(self.redis.lrange(key, start, -1 if most < 0 else start + most - 1))


def parsed_trial(identifier: str, fields: dict[str, str]) -> Trial:
    """The stored hash as a record; KeyError or ValueError for one that is damaged."""
    return Trial(
        id=identifier,
        template=fields["template"],
        champion=int(fields["champion"]),
        canary=int(fields["canary"]),
        state=TrialState(fields["state"]),
        share=float(fields["share"]),
        mode=Mode(fields.get("mode", Mode.DRAW)),
        place=StepPlace.of(fields),
        strata=fields["strata"],
        settle_deadline_seconds=float(fields["settle_deadline_seconds"]),
        policy=fields["policy"],
        opened_at=float(fields["opened_at"]),
        closed_at=float(fields["closed_at"]) if "closed_at" in fields else None,
        reason=fields.get("reason", ""),
        review=fields.get("review", ""),
        evidence=fields.get("evidence", ""),
        revision=int(fields["revision"]),
        dispatched={arm: int(fields.get(f"dispatched:{arm}", 0)) for arm in Arm},
        alarms=tuple(fields.get("alarms", "").split()),
        released=tuple(fields.get("released", "").split()),
        hold=_hold(fields),
        contradicted=fields.get("contradicted") == "1",
    )


def _hold(fields: dict[str, str]) -> TrialHold | None:
    if "hold_by" not in fields:
        return None
    return TrialHold(by=fields["hold_by"], reason=fields["hold_reason"], at=float(fields["hold_at"]))
