"""How soon the jobs of lost workers ran elsewhere. Pure: from events and absences."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.fleet import Downtime
from tests.chaos.records import StoredEvent

#: Seconds beyond the lease after which a lost worker's job is to be at work elsewhere.
BEYOND_LEASE = 5.0

#: Events that show that a job was not lost with its worker, or is at work again.
_GOES_ON = frozenset({"job.claimed", "job.finished", "job.lease_expired"})


#: By which a lost job is in the queue again.
_PUT_BACK = "job.lease_expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """A job whose worker was lost."""

    job: str
    seconds: float  # from the loss to the next claim, or to what its own worker reported of it
    put_back: float | None  # from the loss to its place in the queue; None where its own worker went on
    is_undisturbed: bool  # whether the server was there all the time
    beyond: float  # from the end of its lease, or the server's return if that was later


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryTimes:
    """The distribution, in seconds."""

    jobs: int
    p50: float
    p99: float
    longest: float
    beyond: Sequence[float]  # p50, p99 and longest of the seconds after the lease, with the server there
    late: Sequence[str]  # jobs for which it took longer than the lease and BEYOND_LEASE


def recovered(
    by_subject: Mapping[str, Sequence[StoredEvent]],
    losses: Sequence[tuple[str, float]],
    downtimes: Sequence[Downtime],
    *,
    lease_seconds: float,
) -> list[Recovered]:
    """The jobs that were at work on a worker when it was lost, and how long they stood still."""
    found = []
    for job, events in by_subject.items():
        for claim, following in _claims(events):
            worker = str(claim.data.get("worker", ""))
            ends_at = following[0].at if following else None
            for lost, at in losses:
                if lost != worker or at < claim.at or (ends_at is not None and ends_at <= at):
                    continue
                again = ends_at if _went_on(following) else _next_claim(following) or ends_at
                if again is not None:
                    undisturbed = not any(down.began < again and down.ended > at for down in downtimes)
                    back = next((event.at - at for event in following if event.kind == _PUT_BACK), None)
                    due = max([at + lease_seconds, *(down.ended for down in downtimes if down.began < again)])
                    found.append(Recovered(
                        job=job, seconds=again - at, put_back=back, is_undisturbed=undisturbed,
                        beyond=max(0.0, again - due),
                    ))  # fmt: skip
                break
    return found


def _went_on(following: Sequence[StoredEvent]) -> bool:
    """Whether its own worker woke in time and reported it; what comes then is a queue as any other."""
    return bool(following) and following[0].kind not in {_PUT_BACK, "job.claimed"}


def _next_claim(following: Sequence[StoredEvent]) -> float | None:
    return next((event.at for event in following if event.kind == "job.claimed"), None)


def _claims(events: Sequence[StoredEvent]) -> list[tuple[StoredEvent, list[StoredEvent]]]:
    """Each claim, with the events after it that say how the job went on."""
    ends = _GOES_ON | {"job.retried", "job.returned", "job.waiting", "job.put_off", "job.hindered"}
    places = [place for place, event in enumerate(events) if event.kind == "job.claimed"]
    return [
        (events[place], [event for event in events[place + 1 :] if event.kind in ends]) for place in places
    ]


def times(recoveries: Sequence[Recovered], *, lease_seconds: float) -> RecoveryTimes:
    """The distribution over some jobs."""
    p50, p99, longest = _spread([each.seconds for each in recoveries])
    limit = lease_seconds + BEYOND_LEASE
    return RecoveryTimes(
        jobs=len(recoveries),
        p50=p50,
        p99=p99,
        longest=longest,
        beyond=_spread([each.beyond for each in recoveries]),
        late=[each.job for each in recoveries if each.seconds > limit],
    )


def _spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The median, the 99th percentile and the longest; zeros where there is none."""
    if not seconds:
        return 0.0, 0.0, 0.0
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], ordered[-1]
