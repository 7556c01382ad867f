"""Forges and trackers of the settings, wired; and what stands for one that is not to be asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Never, cast

import structlog

from routing.errors import CoalmineError
from routing.forges.errors import ForgeUnreachableError

if TYPE_CHECKING:
    from routing.forges.config import ForgeConfig
    from routing.forges.forge import Forge
    from routing.forges.local.config import LocalConfig
    from routing.forges.site import ForgeSite
    from routing.http.connection import Surroundings
    from routing.issues.issue import Issue, IssueRef
    from routing.trackers.config import TrackerConfig
    from routing.trackers.site import TrackerSite
    from routing.trackers.tracker import Tracker
    from tasks.settings.settings import Settings

_log = structlog.get_logger(__name__)


def sites_of(settings: Settings, surroundings: Surroundings | None = None) -> dict[str, ForgeSite]:
    """The forges that are served, by name. Nothing is asked of them yet.

    `surroundings` replaces clock, pauses and limits of their clients, for tests. Raises SettingsError when a
    configuration is not enough, for instance when a folder does not exist.
    """
    from routing.forges.registry import kind_named
    from routing.http.connection import Surroundings

    given = surroundings or Surroundings(limits=settings.http)
    return {
        forge.name: _site(forge, kind_named(forge.kind).make(forge, given), kill_switch=settings.kill_switch)
        for forge in settings.forge
        if forge.is_served
    }


def sites_that_can_be(settings: Settings, surroundings: Surroundings) -> dict[str, ForgeSite]:
    """The same for a process that serves all of them: one that is wrongly set is there, and is silent."""
    return {
        forge.name: _site(forge, _made(forge, surroundings), kill_switch=settings.kill_switch)
        for forge in settings.forge
        if forge.is_served
    }


def _made(config: ForgeConfig, surroundings: Surroundings) -> Forge:
    from routing.forges.registry import kind_named

    try:
        return kind_named(config.kind).make(config, surroundings)
    except CoalmineError as error:
        _log.exception("forge.unusable", forge=config.name, reason=str(error))
        return cast("Forge", UnusableForge(config.name, str(error)))


def _site(config: ForgeConfig, forge: Forge, *, kill_switch: bool) -> ForgeSite:
    """One forge, wired; the kill switch of the whole fleet is each forge's too.

    `run_ci` is None unless CI is ours to run, as it is on the local forge with a command.
    """
    from routing.forges.forge import RunsCi
    from routing.forges.registry import kind_named
    from routing.forges.site import ForgeSite

    return ForgeSite(
        config=config.model_copy(update={"kill_switch": True}) if kill_switch else config,
        forge=forge,
        remote=partial(kind_named(config.kind).remote, config),
        run_ci=forge.run_ci if config.has_ci and isinstance(forge, RunsCi) else None,
    )


def local_config(settings: Settings) -> LocalConfig | None:
    """The local forge; None without one, and with several."""
    found = local_configs(settings)
    return found[0] if len(found) == 1 else None


def local_configs(settings: Settings) -> list[LocalConfig]:
    """All local forges that are served."""
    from routing.forges.local.config import LocalConfig

    return [forge for forge in settings.forge if isinstance(forge, LocalConfig) and forge.is_served]


def trackers_of(settings: Settings, surroundings: Surroundings) -> dict[str, TrackerSite]:
    """The trackers that are served, by name. Nothing is asked of them yet."""
    from routing.trackers.site import TrackerSite

    return {
        config.name: TrackerSite(
            config=config.model_copy(update={"kill_switch": True}) if settings.kill_switch else config,
            forge=_made_tracker(config, surroundings),
        )
        for config in settings.tracker
        if config.is_served
    }


def _made_tracker(config: TrackerConfig, surroundings: Surroundings) -> Tracker:
    from routing.trackers.registry import tracker_kind_named

    try:
        return tracker_kind_named(config.kind).make(config, surroundings)
    except CoalmineError as error:
        _log.exception("tracker.unusable", tracker=config.name, reason=str(error))
        return cast("Tracker", UnusableForge(config.name, str(error)))


class SilentForge:
    """Stands for a forge that is not to be asked: it gives no answer, which is never taken for one.

    The backlog reads a blocker through it, and waits as it would for a forge that is down.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def read_issue(self, ref: IssueRef) -> Issue:
        """Raise ForgeUnreachableError."""
        message = f"{ref} was not read: the kill switch of the forge {self._name} is on"
        raise ForgeUnreachableError(message)


class UnusableForge:
    """Stands for a forge that is wrongly set: it gives no answer, so its own work waits, and no other's.

    Nothing is concluded from that: issues stay in the backlog, and pushed work is looked at again. Settings
    are read when a process starts, and this is decided then.
    """

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    def __getattr__(self, asked: str) -> Callable[..., Never]:
        """Any method of a forge. Optional abilities are not there, as the protocol does not name them."""
        from routing.forges.forge import Forge

        if asked.startswith("_") or not hasattr(Forge, asked):
            raise AttributeError(asked)

        def no_answer(*_: object, **__: object) -> Never:
            message = f"the forge {self.name} cannot be used: {self._why}; then start this process again"
            raise ForgeUnreachableError(message)

        return no_answer
