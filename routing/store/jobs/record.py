"""The stored form of a job: a hash of strings, written by `enqueue` and changed by the scripts."""

import json
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from routing.errors import CorruptRecordError
from routing.jobs.ending import stored_ending
from routing.jobs.job import Job, JobRequest, JobResult, JobState
from routing.jobs.repair import Repair
from routing.templates.trial import Arm, Bet

#: Form of the record that this release writes; it reads this one and all before it.
FORM = 1

_RESULT_FIELDS = ("exit_code", "ended_by", "commit", "branch", "duration_seconds", "cost_usd", "tail")


def result_fields(result: JobResult) -> dict[str, str]:
    """The fields of a result; '' overwrites what an earlier turn had and this one has not."""
    values = {name: getattr(result, name) for name in _RESULT_FIELDS}
    return {name: "" if value is None else str(value) for name, value in values.items()}


def repair_fields(repair: Repair, judged: Sequence[str]) -> dict[str, str]:
    """The fields of a job that is to be repaired."""
    return {"repair": repair.model_dump_json(), "judged": json.dumps(list(judged))}


def parsed_job(identifier: str, fields: Mapping[str, str]) -> Job:
    """The stored hash as a record, or CorruptRecordError."""
    try:
        if int(fields["v"]) > FORM:
            message = (
                f"job {identifier} was written by a newer release (form {fields['v']}); upgrade this one"
            )
            raise CorruptRecordError(message)
        return _job(identifier, fields)
    except (KeyError, ValueError, ValidationError) as error:
        message = f"the stored record of job {identifier} cannot be read ({error})"
        raise CorruptRecordError(message) from error


def _job(identifier: str, fields: Mapping[str, str]) -> Job:
    return Job(
        id=identifier,
        request=JobRequest.model_validate_json(fields["request"]),
        state=JobState(fields["state"]),
        template=fields["template"],
        version=int(fields["version"]),
        content_hash=fields["content_hash"],
        source_commit=fields.get("source_commit", ""),
        pinned=fields.get("pinned") == "1",
        trial=fields.get("trial", ""),
        draw=_number(fields, "draw"),
        bet=_bet(fields),
        sequence=_whole(fields, "sequence"),
        rerouted_from=_whole(fields, "rerouted_from"),
        queue="canary" if fields.get("queue") == "canary" else "champion",
        parent=fields.get("parent", ""),
        depth=int(fields.get("depth", 0)),
        parent_arm=Arm(fields["parent_arm"]) if fields.get("parent_arm") else None,
        created_at=float(fields["created_at"]),
        published_at=_number(fields, "published_at"),
        claimed_at=_number(fields, "claimed_at"),
        pushed_at=_number(fields, "pushed_at"),
        finished_at=_number(fields, "finished_at"),
        lease_until=_number(fields, "lease_until"),
        fence=int(fields.get("fence", 0)),
        attempts=int(fields.get("attempts", 0)),
        max_attempts=int(fields["max_attempts"]),
        worker=fields.get("worker", ""),
        cancel=fields.get("cancel", ""),
        kind=fields.get("kind", "first"),
        turns=int(fields.get("turns", 0)),
        spent_usd=float(fields.get("spent_usd", 0)),
        spent_seconds=float(fields.get("spent_seconds", 0)),
        fix_forwards=int(fields.get("fix_forwards", 0)),
        judged=tuple(json.loads(fields.get("judged") or "[]")),
        repair=Repair.model_validate_json(fields["repair"]) if fields.get("repair") else None,
        reason=fields.get("reason", ""),
        result=_result(fields),
        score=_number(fields, "score"),
        score_reason=fields.get("score_reason", ""),
        excluded=fields.get("excluded") == "1",
        settled_at=_number(fields, "settled_at"),
        late_score=_number(fields, "late"),
    )


def _number(fields: Mapping[str, str], name: str) -> float | None:
    return float(fields[name]) if fields.get(name) else None


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if fields.get(name) else None


def _bet(fields: Mapping[str, str]) -> Bet | None:
    if "baseline" not in fields:
        return None
    return Bet(
        arm=Arm(fields["arm"]),
        share=float(fields["share"]),
        baseline=float(fields["baseline"]),
        stratum=fields.get("stratum", ""),
        guardrail_baselines=json.loads(fields["guardrail_baselines"]),
    )


def _result(fields: Mapping[str, str]) -> JobResult:
    return JobResult(
        exit_code=_whole(fields, "exit_code"),
        ended_by=stored_ending(fields.get("ended_by", "")),
        commit=fields.get("commit", ""),
        branch=fields.get("branch", ""),
        duration_seconds=float(fields.get("duration_seconds") or 0),
        cost_usd=float(fields.get("cost_usd") or 0),
        tail=fields.get("tail", ""),
    )
