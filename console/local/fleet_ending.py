"""The end of a fleet, for the person who waits for it: what is at work, for how long, and what became of it.

A job whose worker was killed, at a second Ctrl-C or after the grace period, is put back here: its worker is
known to have ended, so nobody waits for its lease, and no attempt is used up.
"""

from collections.abc import Callable

from routing.errors import CoalmineError
from routing.jobs.job import Job, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import UNCOUNTED
from tasks.composition.composition import Coalmine

#: Seconds between two lines about the time that is left.
SAY_SECONDS = 5.0

#: The most jobs that are named.
MOST_NAMED = 20


class FleetEnding:
    """Call `watch` again and again while the programs end, and `ended` once when they have. One thread."""

    def __init__(self, parts: Coalmine, say: Callable[[str], None], *, worker: str) -> None:
        self._parts = parts
        self._say = say
        self._worker = worker  # the name of this fleet's own; another on this machine is not ours to end
        self._at_work: list[Job] | None = None  # when the end began; None before, and while it is not known
        self._said_unknown = False
        self._say_below = float("inf")  # the next line is due when so many seconds are left

    def watch(self, seconds_left: float) -> None:
        """Say at once what is waited for, and then how long that may still take, in seconds.

        A server that is away does not hold up the end; that is said once.
        """
        try:
            running = self._running()
        except CoalmineError as error:
            if not self._said_unknown:
                self._say(f"Ending: what is at work is not known: {error}")
            self._said_unknown = True
            return
        if self._at_work is None:
            self._at_work = running
            self._say_below = seconds_left - SAY_SECONDS
            self._say(_beginning(running, seconds_left))
        elif running and seconds_left <= self._say_below:
            self._say_below = seconds_left - SAY_SECONDS
            self._say(f"{max(0.0, seconds_left):.0f} s left for {_agents(len(running))}")

    def ended(self) -> None:
        """Put back the jobs of workers that were killed, and say what became of each job."""
        if self._at_work is None:
            return
        for number, job in enumerate(self._at_work):
            try:
                words = self._fate(job.id)
            except CoalmineError as error:
                words = f"is as it was: {error}"
            if number < MOST_NAMED:
                self._say(f"{job.id}  {words}")

    def _fate(self, job_id: str) -> str:
        """What became of a job that was at work; one whose worker was killed is put back first."""
        job = self._parts.jobs.find(job_id)
        if job.state is JobState.RUNNING and job.worker == self._worker:
            version = self._parts.templates.find(job.version_id)
            reason = "its worker was ended by a person"
            self._parts.jobs.give_back(Claim(job=job, version=version), UNCOUNTED, reason=reason)
            return "was ended, and goes on at the next start; no attempt was used up"
        if job.state is JobState.QUEUED:
            return f"goes on at the next start ({job.reason})" if job.reason else "goes on at the next start"
        if job.state is JobState.WAITING:
            return f"has pushed its work, which is looked at again at the next start ({job.reason})"
        return f"{job.state.value} ({job.reason})"

    def _running(self) -> list[Job]:
        """The jobs at work in this fleet, the oldest first."""
        store = self._parts.job_store
        found = [job for job in store.read_many(store.running()) if job and job.worker == self._worker]
        return sorted(found, key=lambda job: job.created_at)


def _agents(count: int) -> str:
    return f"{count} agent" if count == 1 else f"{count} agents"


def _beginning(running: list[Job], seconds: float) -> str:
    if not running:
        return "Ending: no agent is at work."
    named = ", ".join(job.id for job in running[:MOST_NAMED])
    return (
        f"Ending: {_agents(len(running))} may go on for up to {seconds:.0f} s ({named}). Ctrl-C again ends "
        "them now. Jobs that have not ended go on at the next start; no attempt is used up."
    )
