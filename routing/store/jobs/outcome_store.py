"""How many jobs ended in each hour, and how: `job_move` counts them, in a ring of hours that never grows."""

from collections.abc import Mapping
from dataclasses import dataclass

from routing.jobs.job import ACTIVE_STATES, JobState
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Seconds of an hour, and hours of the ring; `job_move.lua` has both as well.
HOUR_SECONDS, HOURS = 3_600, 48

#: The states in which a job ends, as bars and tables have them.
ENDS = tuple(state for state in JobState if state not in ACTIVE_STATES)


@dataclass(frozen=True, kw_only=True, slots=True)
class HourOutcomes:
    """What became of the jobs that ended in an hour. A job that was tried again counts at each end."""

    begins_at: int  # seconds since the epoch, a whole hour of UTC
    ended: Mapping[JobState, int]  # each state of ENDS; shadows are not counted

    @property
    def total(self) -> int:
        """How many ended."""
        return sum(self.ended.values())


class OutcomeStore(Store):
    """Reads the counts."""

    def lately(self, hours: int = 24) -> list[HourOutcomes]:
        """The last hours, oldest first; the last of them has begun and not ended. At most HOURS."""
        last = int(self.now() // HOUR_SECONDS)
        with redis_errors("reading how jobs ended"):
            found = self.redis.hgetall(self.keys("outcomes"))
        return [_of_hour(found, hour) for hour in range(last - min(hours, HOURS) + 1, last + 1)]


def _of_hour(found: Mapping[str, str], hour: int) -> HourOutcomes:
    place = hour % HOURS
    is_there = found.get(str(place)) == str(hour)  # else an older hour stands at its place
    ended = {state: int(found.get(f"{place}:{state}", 0)) if is_there else 0 for state in ENDS}
    return HourOutcomes(begins_at=hour * HOUR_SECONDS, ended=ended)
