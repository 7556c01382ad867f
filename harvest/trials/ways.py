"""Ways to champion: a version is tried in one step after the other, and the next begins when one is passed.

What is stored is the way with the step that was opened last. Whether that was passed is read from its own
record, so a process may die between a verdict and the next step: the tick that comes then opens it. A step is
opened only from the way that was read, so of any number of ticks one opens it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harvest.evidence.policy import TrialPolicy
from harvest.trials.modes import terms_of
from routing.errors import ConflictError, CorruptRecordError, NotFoundError
from routing.store.backtests.backtest_store import Backtest, BacktestState
from routing.store.trials.version_store import VersionStore
from routing.templates.step import StepKind, Steps
from routing.templates.trial import Mode, Trial, TrialState
from routing.templates.trials import Trials
from routing.templates.version import TEMPLATE_NAME, Version
from routing.templates.way import StepTakenError, Way, WayMove, goes_a_way


class BacktestSteps(Protocol):
    """What begins, finds and stops the backtests of ways; errors as of `tasks.backtests.opening`."""

    def open(self, canary: Version, policy: TrialPolicy, move: WayMove) -> Backtest:
        """Begin the backtest of a step against the champion."""

    def find(self, run: str) -> Backtest:
        """One by its id, or NotFoundError."""

    def stop(self, run: Backtest, *, by: str, reason: str) -> None:
        """End it without a verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """What a version is tried in now: a trial, or the backtest of a step."""

    run: Trial | Backtest
    changed: bool  # False when it had been begun before; then nothing was written or emitted

    @property
    def words(self) -> str:
        """`step 1 of 3 (backtest, shadow, draw)`; "" where it is the only one."""
        return f"step {self.run.place.whole}" if self.run.place.whole else ""


def policy_of_step(policy: TrialPolicy, steps: Steps, at: int) -> TrialPolicy:
    """The policy of one step, from 1, of a way that is begun with `policy`.

    The chance of rolling back wrongly is divided among the steps, as each of them may do it; that of
    graduating wrongly holds as it is, as a worse version would have to pass them all. A shadow has no
    fix-forward turns, so that guardrail is left to the draw.
    """
    step = steps[at - 1]
    changes: dict[str, object] = {"alpha": policy.alpha / len(steps)}
    if step is not StepKind.BACKTEST:
        changes["mode"] = Mode(step.value)
    if step is StepKind.SHADOW and len(steps) > 1:
        changes["guardrails"] = tuple(one for one in policy.guardrails if one.name != "fix_forwards")
    return policy.model_copy(update=changes)


class Ways:
    """Begins ways, moves them on, and ends them: `begin` for proposals and people, `go_on` for the tick."""

    def __init__(
        self, *, trials: Trials, versions: VersionStore, backtests: Callable[[], BacktestSteps]
    ) -> None:
        self._trials = trials
        self._versions = versions
        self._backtests = backtests  # made when a way comes to one

    def of_template(self, name: str) -> Way | None:
        """The way that a version of the template is on; CorruptRecordError."""
        text = self._versions.way(name)
        return Way.parse(text, name) if text else None

    def run_of(self, way: Way) -> Trial | Backtest:
        """The trial or backtest of its present step, or NotFoundError."""
        return (
            self._backtests().find(way.run) if way.step is StepKind.BACKTEST else self._trials.find(way.run)
        )

    def begin(self, canary: Version, policy: TrialPolicy, steps: Steps, *, by: str) -> Begun:
        """Open the first step; no change when the version is on its way already.

        ConflictError when another version of the template is, or has a trial; errors of `BacktestSteps`.
        """
        way = self.of_template(canary.template)
        if way is not None and way.version == canary.number:
            return Begun(run=self.run_of(way), changed=False)
        if way is not None:
            message = (
                f"{way.words}; wait for the end of its way, or end it with "
                f"`coalmine trial stop {way.template}`"
            )
            raise ConflictError(message)
        if not goes_a_way(steps):
            step = self._trials.open(canary, terms_of(policy_of_step(policy, steps, 1)), by=by)
            return Begun(run=step.trial, changed=step.changed)
        first = Way(
            template=canary.template, version=canary.number, steps=steps, policy=policy.to_json(), by=by
        )
        return self._open(canary, WayMove(after=first))

    def next_of(self, name: str) -> WayMove | None:
        """The step that is to be opened now: of a way whose present one was passed, and was not the last."""
        text = self._versions.way(name)
        if not text:
            return None
        way = Way.parse(text, name)
        run = self.run_of(way)
        if run.state not in {TrialState.GRADUATED, BacktestState.NOT_WORSE} or way.place.is_last:
            return None
        return WayMove(before=text, after=way.model_copy(update={"at": way.at + 1, "run": ""}))

    def go_on(self, canary: Version, move: WayMove) -> Begun | None:
        """Open that step; None when another process was faster. Errors of `BacktestSteps`."""
        try:
            return self._open(canary, move)
        except StepTakenError:
            return None

    def _open(self, canary: Version, move: WayMove) -> Begun:
        way = move.after
        policy = policy_of_step(TrialPolicy.from_json(way.policy), way.steps, way.at)
        if way.step is StepKind.BACKTEST:
            return Begun(run=self._backtests().open(canary, policy, move), changed=True)
        step = self._trials.open(canary, terms_of(policy), by=way.by, move=move)
        return Begun(run=step.trial, changed=step.changed)

    def stop(self, name: str, *, by: str, reason: str = "") -> bool:
        """End the way of a version between two trials: in its backtest, or before its next step.

        False when there is none, for what names no template, and when a trial is open, which is stopped as
        any other.
        """
        text = self._versions.way(name) if TEMPLATE_NAME.fullmatch(name) else ""
        if not text or self._trials.of_template(name) is not None:
            return False
        why = reason or f"stopped by {by}"
        subject, data = name, {"template": name, "by": by, "reason": why}
        try:
            way = Way.parse(text, name)
            subject = way.canary_id
            data["words"] = way.words
            run = self.run_of(way)
        except (CorruptRecordError, NotFoundError):  # what cannot be read is ended all the same
            return self._versions.stop_way(name, text, subject=subject, data=data)
        if isinstance(run, Backtest) and run.is_running:
            self._backtests().stop(run, by=by, reason=why)
            return True
        return self._versions.stop_way(name, text, subject=subject, data=data)
