"""The route of a template's jobs, and the draw that chooses the arm. Pure: the number is given.

A job is drawn once, when it is accepted. It keeps its version and its arm whatever happens to it later, so
that the trial counts what was drawn.
"""

from dataclasses import dataclass

from routing.templates.trial import Arm, Mode, Trial
from routing.templates.version import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Where jobs of a template go, as read at one revision: champion, and the open trial with its canary."""

    template: str
    revision: str  # of the template; the step that accepts a job is refused when it has changed
    champion: Version
    trial: Trial | None = None  # the open one
    canary: Version | None = None  # None outside trials, and when its content cannot be read
    pinned: bool = False  # whether the reference asks for one version rather than for the template


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Which version works on a job, and why."""

    version: Version
    trial: Trial | None = None  # the trial that the job counts in
    arm: Arm | None = None
    number: float | None = None  # what the generator said; None when it was not asked
    shadow: Version | None = None  # that works on the same issue beside it, when the job is one of a pair


def draws(route: Route, *, enabled: bool, pinned: bool) -> bool:
    """Whether a number is drawn: by the settings, the request, and an open trial with a share."""
    trial = route.trial
    return enabled and not pinned and trial is not None and is_share(trial.share, trial.mode)


def is_share(share: float, mode: Mode) -> bool:
    """Whether it can be a trial's: by draw both arms need jobs, while pairs may be all of the issues."""
    return 0.0 < share < 1.0 or (share == 1.0 and mode is Mode.SHADOW)


def draw(route: Route, number: float | None) -> Draw:
    """The version for one job, by a `number` in [0,1): the canary below the share. None: none was drawn.

    A trial whose canary cannot be read takes no job at all: counting the champion's side alone would bias
    the test. In a shadow trial a number below the share makes a pair: the champion's work is delivered, and
    the canary is its shadow.
    """
    trial = route.trial
    if number is None or trial is None:
        return Draw(version=route.champion)
    if route.canary is None:
        return Draw(version=route.champion, number=number)
    if trial.mode is Mode.SHADOW:
        if number >= trial.share:
            return Draw(version=route.champion, number=number)
        return Draw(version=route.champion, trial=trial, arm=Arm.CHAMPION, number=number, shadow=route.canary)
    if number < trial.share:
        return Draw(version=route.canary, trial=trial, arm=Arm.CANARY, number=number)
    return Draw(version=route.champion, trial=trial, arm=Arm.CHAMPION, number=number)
