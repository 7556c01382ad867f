"""The one step by which pushed work goes back to its agent: see `job_send_back.lua`."""

import json
from collections.abc import Callable

from redis import Redis

from routing.jobs.correction import Correction
from routing.jobs.job import Job, JobState
from routing.jobs.signal import SignalKind, signal
from routing.store.jobs.record import repair_fields
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script, flat_json
from routing.store.redis.store import Store

_SEND_BACK = Script(
    "job_send_back",
    bool,
    keys="job signals run main_look",
    indexes="backlog backlog_working waiting outbox due events",
    args="id ref fence reason counter retention_seconds event data fields facts",
    flags="anew",
)


class CorrectionStore(Store):
    """Sends jobs back. It takes the place of the job's issue, queues the job, and writes its run's notes."""

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *, retention_seconds: int
    ) -> None:
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # of the notes, as `RunStore` has it

    def send_back(self, job: Job, correction: Correction) -> bool:
        """Queue a job that waits, as it was read, for a corrective turn; False when it has moved on.

        Also when it is to be cancelled, or is being merged at this moment.
        """
        repair, ref = correction.repair, job.request.issue
        facts = []
        if correction.is_red:
            note = ", ".join(repair.checks)
            facts.append(signal(SignalKind.CI_RED, at=self.now(), commit=repair.commit, note=note))
        said = {"state": JobState.QUEUED, "reason": correction.reason} | correction.data(job)
        return self.call(
            _SEND_BACK, job=self.keys.job(job.id), signals=self.keys.signals(job.id),
            run=self.keys.run(job.id), main_look=self.keys.main_look(job.request.repository), id=job.id,
            ref=ref, fence=job.fence, reason=correction.reason, counter=correction.counter,
            retention_seconds=self.retention_seconds, event=correction.event, data=json.dumps(said),
            fields=flat_json(_fields(job, correction)), anew=correction.begins_anew(job),
            facts=flat_json({fact.id: fact.model_dump_json() for fact in facts}),
            doing=f"sending job {job.id} back to its agent",
        )  # fmt: skip


def _fields(job: Job, correction: Correction) -> dict[str, str]:
    """What is written to the job's record."""
    fields = {"kind": correction.kind.value} | repair_fields(correction.repair, correction.judged(job))
    if correction.task is not None:
        fields["new_task"] = correction.task.model_dump_json()
    if correction.reviews is not None:
        reviews, commit = json.dumps(list(correction.reviews)), correction.repair.commit
        fields |= {"reviews": reviews, "reviewed_commit": commit, "review_end": "", "review_said": ""}
    return fields
