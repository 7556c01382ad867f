"""What a trial's verdicts still need, and what watches its health, as checklists. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from console.output.rendering import evidence as evidence_words
from console.output.trials.trial_status import TrialStatus
from harvest.evidence.health import LEVEL, Balance, HealthCheck, released_checks
from routing.store.redis.health import Status
from routing.templates.trial import Mode


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Something that is so, or not yet."""

    done: bool
    said: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictNeeds:
    """A verdict with all that it takes."""

    verdict: str  # in words
    checks: tuple[Check, ...]

    @property
    def is_due(self) -> bool:
        """Whether nothing is missing: the next harvest carries it out."""
        return all(check.done for check in self.checks)


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthLine:
    """One check of a trial's health, with its counts."""

    what: str  # is watched, in words
    canary: int
    events: int
    expected: float  # canaries among them if all is well
    evidence: str  # that something is wrong
    threshold: str
    state: Status  # WARNING for one that a person has let go, PROBLEM for one that holds a verdict

    @property
    def said(self) -> str:
        """What that state means."""
        return _SAID[self.state]


#: What each state of a check means.
_SAID = {
    Status.OK: "all is well",
    Status.WARNING: "a person let it go",
    Status.PROBLEM: "holds a verdict",
}

#: What each check watches.
_WATCHED = {
    HealthCheck.DRAWS: "draws against the recorded share",
    HealthCheck.EXCLUSIONS: "jobs that were left out, by arm",
    HealthCheck.LIMITS: "jobs that waited for a limit of their account, by arm",
    HealthCheck.PAIRED: "issues for both versions against the recorded share",
    HealthCheck.AGES: "jobs that are late with their score, by arm",
}


def health_lines(status: TrialStatus) -> list[HealthLine]:
    """All checks of its mode; one that nothing happened to has counted nothing."""
    released = released_checks(status.trial)
    return [
        _line(check, status.evidence.health.balances.get(check, Balance()), is_released=check in released)
        for check in HealthCheck
        if check is not HealthCheck.PAIRED or status.trial.mode is Mode.SHADOW
    ]


def _line(check: HealthCheck, found: Balance, *, is_released: bool) -> HealthLine:
    return HealthLine(
        what=_WATCHED[check],
        canary=found.canary,
        events=found.canary + found.champion,
        expected=found.expected,
        evidence=evidence_words(math.exp(min(found.ln_best, 700.0))),
        threshold=f"{1 / LEVEL:g}",
        state=Status.OK if not found.has_fired else Status.WARNING if is_released else Status.PROBLEM,
    )


def verdict_needs(status: TrialStatus) -> list[VerdictNeeds]:
    """Of an open trial: what it takes to roll back, and to graduate; none for one that has ended."""
    if not status.trial.is_open:
        return []
    evidence, thresholds = status.decision.evidence, status.decision.thresholds
    against = [name for name in evidence if name != "not_worse"]
    rolls_back = [name for name in against if evidence[name] >= thresholds[name]]
    alarms = status.evidence.health.alarms(released=released_checks(status.trial))
    firm = [alarm for alarm in alarms if alarm.check.holds_rollback]
    return [
        VerdictNeeds(
            verdict="roll back",
            checks=(
                Check(
                    done=bool(rolls_back),
                    said="evidence that the canary is worse, or spends more: "
                    + "; ".join(_of(name, evidence[name], thresholds[name]) for name in against),
                ),
                *_free(status, fired=len(firm)),
            ),
        ),
        VerdictNeeds(
            verdict="graduate",
            checks=(
                Check(
                    done=evidence["not_worse"] >= thresholds["not_worse"],
                    said="evidence that the canary is not worse: "
                    + _of("not_worse", evidence["not_worse"], thresholds["not_worse"]),
                ),
                Check(done=not rolls_back, said="no evidence to roll it back"),
                *_free(status, fired=len(alarms)),
            ),
        ),
    ]


def _of(name: str, value: float, threshold: float) -> str:
    guardrail = name.removeprefix("guardrail:")
    words = f"{guardrail} " if guardrail != name else ""
    return f"{words}{evidence_words(value)} of {threshold:g}"


def _free(status: TrialStatus, *, fired: int) -> Iterator[Check]:
    checks = "no check of its health has fired" if not fired else f"{fired} of its health's checks have fired"
    yield Check(done=not fired, said=checks)
    hold = status.trial.hold
    yield Check(done=hold is None, said="no person holds it" if hold is None else f"{hold.by} holds it")
