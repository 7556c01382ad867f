"""What a turn may use before it is ended."""

from dataclasses import dataclass

from tasks.agents.runtimes.runtime import RuntimeSpec

_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnLimits:
    """Limits of one turn."""

    time_limit_seconds: float = 3600.0  # wall clock, from spawn
    stall_seconds: float = 600.0  # without an event
    kill_grace_seconds: float = 2.0  # between SIGTERM and SIGKILL
    output_bytes: int = 512 * _MIB  # of both streams together
    line_bytes: int = _MIB  # kept of one line; the rest is skipped
    log_bytes: int = 16 * _MIB  # kept in the turn's log
    cost_usd: float | None = None  # as the agent reports it, None for no limit

    def time_limit_of(self, spec: RuntimeSpec) -> float:
        """The version's own time limit when it is the shorter one, else the fleet's."""
        return min(self.time_limit_seconds, spec.time_limit_seconds or self.time_limit_seconds)
