"""The stored form of a job: a hash of strings, written by `job_enqueue` and changed by the scripts.

The one place that knows the fields. A field that an earlier release did not write has a default here; a
record of a later form is refused, so that nothing in it is lost.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from dataclasses import fields as fields_of
from typing import Any

from pydantic import TypeAdapter, ValidationError

from routing.cost import Cost
from routing.errors import CorruptRecordError
from routing.jobs.ending import stored_ending
from routing.jobs.job import Job, JobRequest, JobResult, NewTask
from routing.jobs.turn import EndedTurn, FinishedTurn, Hindrance, Repair

#: Form of the record that this release writes; it reads this one and all before it.
FORM = 1

_RESULT_FIELDS = tuple(each.name for each in fields_of(JobResult))

_JOB = TypeAdapter(Job)
_REQUIRED = frozenset(each.name for each in fields_of(Job) if each.default is MISSING)


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
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        why = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    except (KeyError, ValueError) as error:
        why = repr(error)
    raise CorruptRecordError(f"the stored record of job {identifier} cannot be read ({why})")


def _job(identifier: str, fields: Mapping[str, str]) -> Job:
    """The record: each field of `Job` is read by its type from the stored field of its name.

    A missing or an empty value gives the field's default. Fields whose stored names or forms differ are named
    here; a new field of `Job` needs nothing here.
    """
    stored: dict[str, Any] = {name: value for name, value in fields.items() if value or name in _REQUIRED}
    stored |= _wait(stored)
    result = {name: stored[name] for name in _RESULT_FIELDS if name in stored}
    if "cost:turns" not in stored and float(result.get("cost_usd", 0)) == 0:
        result.pop("cost_usd", None)  # earlier releases wrote 0 for what they did not know
    made = stored | {
        "id": identifier,
        "request": JobRequest.model_validate_json(fields["request"]),
        "judged": json.loads(stored.get("judged", "[]")),
        "new_task": NewTask.model_validate_json(fields["new_task"]) if fields.get("new_task") else None,
        "reviews": json.loads(stored.get("reviews", "[]")),
        "repair": Repair.model_validate_json(fields["repair"]) if fields.get("repair") else None,
        "finished": FinishedTurn.model_validate_json(stored["finished"]) if "finished" in stored else None,
        "hindrance": Hindrance.model_validate_json(stored["hindrance"]) if "hindrance" in stored else None,
        "late_score": stored.get("late"),
        "result": result | {"ended_by": stored_ending(fields.get("ended_by", ""))},
        "cost": _cost(stored),
        "ended_turns": _turns(stored),
        "pair_arm": stored.get("arm") if {"partner", "backtest"} & set(stored) else None,
        "bet": _bet(stored) if "baseline" in stored else None,
    }
    return _JOB.validate_python(made)


def _cost(stored: Mapping[str, str]) -> Cost:
    """What all of its turns have cost.

    Turns of earlier releases are in `turns` and `spent_usd` alone; those wrote 0 for what they did not know.
    """
    known = {name.removeprefix("cost:"): value for name, value in stored.items() if name.startswith("cost:")}
    cost = Cost.stored(known)
    turns = int(stored.get("turns", 0)) - cost.turns
    if turns <= 0:
        return cost
    usd = max(0.0, float(stored.get("spent_usd", 0)) - cost.usd)
    seconds = max(0.0, float(stored.get("spent_seconds", 0)) - cost.seconds)
    return cost + Cost(turns=turns, usd=usd, unknown=0 if usd else turns, seconds=seconds)


def _turns(stored: Mapping[str, Any]) -> tuple[EndedTurn, ...]:
    kept = [EndedTurn.model_validate_json(stored[name]) for name in stored if name.startswith("turn:")]
    return tuple(sorted(kept, key=lambda turn: turn.number))


def _wait(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A wait for an account ended with the claim after it, also where a worker of before left `held_at`."""
    began, claimed = float(stored.get("held_at", 0)), float(stored.get("claimed_at", 0))
    if not began or claimed <= began:
        return {}
    waited = float(stored.get("held_seconds", 0)) + claimed - began
    return {"held_at": None, "held_until": None, "held_seconds": waited}


def _bet(stored: Mapping[str, str]) -> dict[str, Any]:
    names = ("arm", "share", "baseline", "stratum")
    given = {name: stored[name] for name in names if name in stored}
    return given | {"guardrail_baselines": json.loads(stored["guardrail_baselines"])}
