"""Opening trials and ways: what is done with proposed versions, by the policy of their template.

Routing knows nothing of policies. It is given a share, baselines and a deadline, and hands the policy through
as text.
"""

from collections.abc import Callable
from dataclasses import replace

import structlog

from harvest.evidence.policy import TrialPolicy
from harvest.trials.modes import terms_of
from harvest.trials.ways import Begun, Ways
from routing.errors import (
    CoalmineError,
    ConflictError,
    CorruptRecordError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from routing.store.trials.version_store import VersionStore
from routing.templates.step import StepKind, Steps
from routing.templates.templates import ProposalPolicy, Templates, VersionStep
from routing.templates.trials import Trials, TrialStep
from routing.templates.version import Snapshot, Version, VersionState
from routing.templates.way import StepTakenError

_log = structlog.get_logger(__name__)


class Proposals:
    """What is done with proposed versions, by the policy of their template."""

    def __init__(
        self, *, templates: Templates, trials: Trials, versions: VersionStore, enabled: bool,
        policy: Callable[[], TrialPolicy], ways: Ways, steps: Callable[[], Steps], has_judge: bool = False,
    ) -> None:  # fmt: skip
        self._has_judge = has_judge  # whether anything scores the work of pairs
        self._templates = templates
        self._trials = trials
        self._versions = versions
        self._enabled = enabled
        self._policy = policy
        self._ways = ways
        self._steps = steps  # of the settings: in which a version comes to be champion

    def propose(
        self, name: str, snapshot: Snapshot, *, source_commit: str = "", note: str = ""
    ) -> tuple[VersionStep, Begun | None]:
        """Store a version; then do by policy: nothing (a person decides), begin its way, or promote.

        The version in the answer is in the state in which this leaves it.
        """
        step = self._templates.propose(name, snapshot, source_commit=source_commit, note=note)
        policy = self._templates.policy(name)
        if not step.changed or policy is ProposalPolicy.NOTIFY:
            return step, None
        if policy is ProposalPolicy.DIRECT:
            return self._templates.promote(step.version.id, by="the template's policy (direct)"), None
        begun = self.open_waiting(name)
        left = self._versions.read(name, step.version.number)
        return replace(step, version=left or step.version), begun

    def open(self, canary: Version, policy: TrialPolicy, *, by: str) -> TrialStep:
        """A person opens one trial, in the policy's mode; ConflictError as of `begin`."""
        self._check_on()
        self._check_pairs(policy, (StepKind(policy.mode.value),))
        return self._trials.open(canary, terms_of(policy), by=by)

    def begin(self, canary: Version, policy: TrialPolicy, steps: Steps | None = None, *, by: str) -> Begun:
        """A person has a version tried in these steps, or in those of the settings, one after the other.

        ConflictError while canaries are switched off, or another version is tried; errors of `BacktestSteps`
        for a backtest that cannot be begun.
        """
        self._check_on()
        chosen = steps or self._steps()
        self._check_pairs(policy, chosen)
        return self._ways.begin(canary, policy, chosen, by=by)

    def open_waiting(self, name: str) -> Begun | None:
        """Open the next step of the way that a version is on, or begin that of the newest one that waits.

        None if none is to be opened now, and when one cannot be opened: why is noted, and people hear of it
        once.
        """
        if not self._enabled:
            return None
        move = self._ways.next_of(name)
        if move is not None:
            steps = move.after.steps
            return self._begun(
                name, move.after.version, steps, lambda version: self._ways.go_on(version, move)
            )
        number = self._versions.field(name, "waiting")
        if number is None or self._versions.way(name) or self._trials.of_template(name):
            return None
        policy, steps, by = self._policy(), self._steps(), "the template's policy (canary)"
        return self._begun(
            name, int(number), steps, lambda version: self._ways.begin(version, policy, steps, by=by)
        )

    def _begun(
        self, name: str, number: int, steps: Steps, begin: Callable[[Version], Begun | None]
    ) -> Begun | None:
        """What is begun of a version that is pending. What is in its way keeps it, and no other template."""
        try:
            version = self._versions.read(name, number)
            if version is None or version.state is not VersionState.PENDING:
                return None
            self._check_pairs(self._policy(), steps)
            return begin(version)
        except StepTakenError:  # another process, or a person, was faster; what waits is tried again later
            return None
        except (ConflictError, CorruptRecordError, InvalidInputError, NotFoundError) as error:
            if self._versions.hold(name, number, reason=str(error)):
                _log.warning("candidate.held", template=name, reason=str(error))
            return None

    def _check_on(self) -> None:
        if not self._enabled:
            message = "canaries are switched off; set COALMINE_CANARY__ENABLED=true, then open the trial"
            raise ConflictError(message)

    def _check_pairs(self, policy: TrialPolicy, steps: Steps) -> None:
        """Without a judge each pair would cost two runs and be left out; nobody sends a shadow back."""
        if StepKind.SHADOW not in steps:
            return
        if len(steps) == 1 and any(one.name == "fix_forwards" for one in policy.guardrails):
            message = (
                "a shadow has no fix-forward turns, so the guardrail fix_forwards says nothing in its mode; "
                "leave it out, then open the trial"
            )
            raise ConflictError(message)
        if not self._has_judge:
            message = (
                "nothing can judge the work of pairs; set `judge.command`, or CI of a local forge, "
                "then open the trial"
            )
            raise ConflictError(message)

    def open_all_waiting(self) -> list[Begun]:
        """The same for every template; a trial that just ended makes room for the next.

        With canaries switched off it ends the ways instead, visibly. A template whose records cannot be read
        is logged, and the others go on. UnavailableError ends it.
        """
        opened: list[Begun] = []
        for name in self._templates.names():
            try:
                if not self._enabled:
                    self._ways.stop(name, by="settings", reason="canaries were switched off")
                step = self.open_waiting(name)
            except UnavailableError:
                raise
            except (CoalmineError, ValueError) as error:
                _log.error("candidate.stuck", template=name, reason=str(error)[:500])
                continue
            opened += [step] if step is not None else []
        return opened
