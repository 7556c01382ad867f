"""How what somebody is at is exported: as having been given back. Pure."""

from collections.abc import Mapping

from routing.jobs.job import JobState

#: Why a job waits that ran when it was exported.
REASON = "it ran when the fleet was exported, and begins again"


def is_put_back(job: Mapping[str, str]) -> bool:
    """Whether a job's record is that of one which runs, and goes back into the queue.

    One that is being cancelled does not: its lease is exported as having run out, and the sweep ends it.
    """
    return job.get("state") == JobState.RUNNING and "cancel" not in job


def put_back(job: Mapping[str, str], *, now: float) -> dict[str, str]:
    """The record of a job that runs, in the queue. The attempt does not count; the fence stays as it is."""
    attempts = job.get("attempts", "0")
    kept = {name: value for name, value in job.items() if name not in {"lease_until", "claim", "moved"}}
    return kept | {
        "state": JobState.QUEUED.value,
        "reason": REASON,
        "attempts": str(max(0, int(attempts) - 1)) if attempts.isdecimal() else attempts,
        "not_before": f"{now:.6f}",
    }


def outbox_of(
    outbox: Mapping[str, float], published: Mapping[str, float], running: Mapping[str, float], *, now: float
) -> dict[str, float]:
    """The jobs that are to be published: what waited for that, what was published, and what ran."""
    return {**dict.fromkeys([*running, *published], now), **outbox}


def sink_place(sink: Mapping[str, str], *, gone: int) -> dict[str, str]:
    """A sink's place in the event stream, where `gone` events no longer count as ever written."""
    written = sink.get("written")
    if not written:
        return dict(sink)
    left = int(written) - gone
    return {**sink, "written": str(left) if left >= 0 else ""}
