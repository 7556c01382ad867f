"""Opening trials: from a policy to the terms that routing draws by, and from proposals to trials.

Routing knows nothing of policies. It is given a share, baselines and a deadline, and hands the policy through
as text.
"""

from collections.abc import Callable
from dataclasses import replace

import structlog

from harvest.evidence.policy import TrialPolicy
from harvest.trials.modes import deciding_test
from routing.errors import CoalmineError, ConflictError, CorruptRecordError, UnavailableError
from routing.store.trials.version_store import HeldVersion, VersionStore
from routing.templates.templates import ProposalPolicy, Templates, VersionStep
from routing.templates.trial import Mode, Terms
from routing.templates.trials import Trials, TrialStep
from routing.templates.version import Snapshot, Version, VersionState

_log = structlog.get_logger(__name__)


def terms_of(policy: TrialPolicy) -> Terms:
    """What routing must know of a policy, with the first belief of the champion's mean."""
    first = deciding_test(policy).begin(policy)
    return Terms(
        policy=policy.to_json(),
        share=first.next_share,
        bet=first.next_bet,
        mode=policy.mode,
        strata=policy.strata,
        settle_deadline_seconds=policy.settle_deadline_seconds,
    )


class Proposals:
    """What is done with proposed versions, by the policy of their template."""

    def __init__(
        self, *, templates: Templates, trials: Trials, versions: VersionStore, enabled: bool,
        policy: Callable[[], TrialPolicy], has_judge: bool = False,
    ) -> None:  # fmt: skip
        self._has_judge = has_judge  # whether anything scores the work of pairs
        self._templates = templates
        self._trials = trials
        self._versions = versions
        self._enabled = enabled
        self._policy = policy

    def propose(
        self, name: str, snapshot: Snapshot, *, source_commit: str = "", note: str = ""
    ) -> tuple[VersionStep, TrialStep | None]:
        """Store a version; then do by policy: nothing (a person decides), open a trial, or promote.

        The version in the answer is in the state in which this leaves it.
        """
        step = self._templates.propose(name, snapshot, source_commit=source_commit, note=note)
        policy = self._templates.policy(name)
        if not step.changed or policy is ProposalPolicy.NOTIFY:
            return step, None
        if policy is ProposalPolicy.DIRECT:
            return self._templates.promote(step.version.id, by="the template's policy (direct)"), None
        trial = self.open_waiting(name)
        left = self._versions.read(name, step.version.number)
        return replace(step, version=left or step.version), trial

    def open(self, canary: Version, policy: TrialPolicy, *, by: str) -> TrialStep:
        """A person opens a trial; ConflictError while canaries are switched off, or another one is open."""
        if not self._enabled:
            message = "canaries are switched off; set COALMINE_CANARY__ENABLED=true, then open the trial"
            raise ConflictError(message)
        self._check_pairs(policy)
        return self._trials.open(canary, terms_of(policy), by=by)

    def open_waiting(self, name: str) -> TrialStep | None:
        """Open the trial of the newest version that waits for one; None if none waits, or a trial is open.

        None also when no trial can be opened for it: why is noted, and people hear of it once.
        """
        number = self._versions.field(name, "waiting")
        if not self._enabled or number is None or self._trials.of_template(name):
            return None
        try:
            version = self._versions.read(name, int(number))
            if version is None or version.state is not VersionState.PENDING:
                return None
            self._check_pairs(self._policy())
        except (ConflictError, CorruptRecordError) as error:  # those of other templates are opened
            if self._versions.hold(name, int(number), reason=str(error)):
                _log.warning("candidate.held", template=name, reason=str(error))
            return None
        try:
            return self._trials.open(version, terms_of(self._policy()), by="the template's policy (canary)")
        except ConflictError:  # another process, or a person, was faster; what waits is tried again later
            return None

    def held(self) -> list[HeldVersion]:
        """Of each template the version that waits for a trial which cannot be opened, if there is one."""
        return [one for name in self._templates.names() if (one := self._versions.held(name)) is not None]

    def _check_pairs(self, policy: TrialPolicy) -> None:
        """Without a judge each pair would cost two runs and be left out; nobody sends a shadow back."""
        if policy.mode is Mode.SHADOW and any(one.name == "fix_forwards" for one in policy.guardrails):
            message = (
                "a shadow has no fix-forward turns, so the guardrail fix_forwards says nothing in its mode; "
                "leave it out, then open the trial"
            )
            raise ConflictError(message)
        if policy.mode is Mode.SHADOW and not self._has_judge:
            message = (
                "nothing can judge the work of pairs; set `judge.command`, or CI of a local forge, "
                "then open the trial"
            )
            raise ConflictError(message)

    def open_all_waiting(self) -> list[TrialStep]:
        """The same for every template; a trial that just ended makes room for the next.

        A template whose records cannot be read is logged, and the others go on. UnavailableError ends it.
        """
        opened: list[TrialStep] = []
        for name in self._templates.names():
            try:
                step = self.open_waiting(name)
            except UnavailableError:
                raise
            except (CoalmineError, ValueError) as error:
                _log.error("candidate.stuck", template=name, reason=str(error)[:500])
                continue
            opened += [step] if step is not None else []
        return opened
