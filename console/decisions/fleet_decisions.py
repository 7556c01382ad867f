"""What people decide about the whole fleet."""

from dataclasses import dataclass

from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetResumed:
    """What resuming did."""

    dispatch: bool  # whether dispatch was paused
    versions: tuple[str, ...]  # those that are tried again, by id

    @property
    def changed(self) -> bool:
        """Whether anything was held."""
        return self.dispatch or bool(self.versions)


def resume_fleet(parts: Coalmine, *, by: str) -> FleetResumed:
    """Start dispatch again, and have every version tried again whose agents did not start."""
    versions = parts.breakers.resume_versions(by=by)
    return FleetResumed(dispatch=parts.switch.resume(f"resumed by {by}"), versions=tuple(versions))
