"""The JSON forms of things, with keys that scripts may rely on."""

from typing import Any

from console.output.rendering import iso
from harvest.policy import TrialPolicy
from routing.events import Event
from routing.jobs.job import Job
from routing.jobs.mailbox import Enqueued
from routing.jobs.signal import Signal
from routing.templates.trial import Trial
from routing.templates.version import Version


def version_document(version: Version) -> dict[str, Any]:
    """A version with its content."""
    return {
        "id": version.id,
        "template": version.template,
        "number": version.number,
        "state": version.state.value,
        "content_hash": version.content_hash,
        "parent": version.parent,
        "source_commit": version.source_commit,
        "note": version.note,
        "created_at": iso(version.created_at),
        "snapshot": version.snapshot.model_dump(mode="json"),
    }


def trial_document(trial: Trial) -> dict[str, Any]:
    """A trial without its evidence."""
    return {
        "id": trial.id,
        "template": trial.template,
        "champion": trial.champion_id,
        "canary": trial.canary_id,
        "state": trial.state.value,
        "share": trial.share,
        "opened_at": iso(trial.opened_at),
        "closed_at": iso(trial.closed_at),
        "reason": trial.reason,
        "contradicted": trial.contradicted,
        "policy": TrialPolicy.from_json(trial.policy).model_dump(mode="json"),
    }


def job_document(job: Job) -> dict[str, Any]:
    """A job as it stands, without its signals."""
    return {
        "id": job.id,
        "state": job.state.value,
        "reason": job.reason,
        "version": job.version_id,
        "content_hash": job.content_hash,
        "source_commit": job.source_commit,
        "pinned": job.pinned,
        "rerouted_from": job.rerouted_from,
        "queue": job.queue,
        "parent": job.parent or None,
        "depth": job.depth,
        "trial": job.trial or None,
        "arm": job.arm.value if job.arm else None,
        "draw": job.draw,
        "bet": _bet(job),
        "request": job.request.model_dump(mode="json"),
        "created_at": iso(job.created_at),
        "claimed_at": iso(job.claimed_at),
        "finished_at": iso(job.finished_at),
        "lease_until": iso(job.lease_until),
        "worker": job.worker,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "cancel": job.cancel,
        "result": {
            "exit_code": job.result.exit_code,
            "ended_by": job.result.ended_by,
            "commit": job.result.commit,
            "branch": job.result.branch,
            "duration_seconds": job.result.duration_seconds,
            "cost_usd": job.result.cost_usd,
            "tail": job.result.tail,
        },
        "score": job.score,
        "score_reason": job.score_reason,
        "excluded": job.excluded,
        "settled_at": iso(job.settled_at),
        "late_score": job.late_score,
    }


def _bet(job: Job) -> dict[str, Any] | None:
    if job.bet is None:
        return None
    return {
        "arm": job.bet.arm.value,
        "share": job.bet.share,
        "baseline": job.bet.baseline,
        "stratum": job.bet.stratum,
        "guardrail_baselines": dict(job.bet.guardrail_baselines),
        "sequence": job.sequence,
    }


def signal_document(signal: Signal) -> dict[str, Any]:
    """A fact about a job."""
    return {
        "kind": signal.kind.value,
        "at": iso(signal.at),
        "commit": signal.commit,
        "round": signal.round,
        "note": signal.note,
    }


def enqueued_document(enqueued: Enqueued) -> dict[str, Any]:
    """What became of a request."""
    return {
        "job": enqueued.job,
        "created": enqueued.created,
        "version": enqueued.version or None,
        "trial": enqueued.trial or None,
        "arm": enqueued.arm.value if enqueued.arm else None,
        "draw": enqueued.draw,
    }


def event_document(event: Event) -> dict[str, Any]:
    """An entry of the stream of events."""
    return {
        "id": event.id,
        "kind": event.kind,
        "at": iso(event.at),
        "subject": event.subject,
        "data": event.data,
    }
