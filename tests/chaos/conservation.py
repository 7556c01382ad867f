"""What must hold at the end of a run, checked by the records alone. Pure.

Each check has a name, which the report and the mutations use, and returns what breaks it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos import models
from tests.chaos.linearizability import Finding, HistoryStep, Model, Verdict, check
from tests.chaos.records import Records, StoredEvent, StoredTrial

#: States in which a job has ended.
FINAL_STATES = frozenset({"succeeded", "failed", "escalated", "cancelled", "blocked"})

#: Events by which a trial ends.
ENDS_OF_TRIALS = frozenset(
    {"candidate.auto_promoted", "candidate.rolled_back", "trial.stopped", "trial.expired"}
)

#: The model of each kind of thing in the history, by how its key begins.
MODELS: Mapping[str, tuple[Model, object]] = {
    "job": (models.lease, models.LeaseState()),
    "tick": (models.lock, models.LockState()),
    "trial": (models.trial, models.TestState()),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """Something that must not be."""

    check: str
    subject: str
    words: str


def lost(records: Records) -> Iterator[Breach]:
    """Nothing that was enqueued is lost: each job has a record, has ended, and was accepted by one event."""
    events = records.by_subject()
    for job in {*records.enqueued, *records.jobs}:
        fields = records.jobs.get(job)
        if fields is None:
            yield Breach(check="lost", subject=job, words="was acknowledged and has no record")
            continue
        if fields.get("state") not in FINAL_STATES:
            words = f"is still {fields.get('state')} ({fields.get('reason', '')})"
            yield Breach(check="lost", subject=job, words=words)
        accepted = _count(events.get(job, []), "job.queued")
        if accepted != 1:
            yield Breach(check="lost", subject=job, words=f"was accepted by {accepted} events")
    repeated = [job for job, times in Counter(records.enqueued).items() if times > 1]
    for job in repeated:
        yield Breach(check="lost", subject=job, words="was given to two requests")


def doubled(records: Records) -> Iterator[Breach]:
    """No job finishes twice, and what is written of its end is one event."""
    for subject, events in records.by_subject().items():
        if subject not in records.jobs:
            continue
        for kind in ("job.finished", "job.settled"):
            times = _count(events, kind)
            if times > 1 or (kind == "job.finished" and times != 1 and _has_ended(records, subject)):
                yield Breach(check="doubled", subject=subject, words=f"has {times} events {kind}")
        after = [event.kind for event in _after(events, "job.finished") if event.kind in _WORK_EVENTS]
        if after:
            yield Breach(check="doubled", subject=subject, words=f"went on after its end: {after}")


#: Events of a job that is at work.
_WORK_EVENTS = frozenset({"job.claimed", "job.retried", "job.returned", "job.waiting", "job.lease_expired"})


def fences(records: Records) -> Iterator[Breach]:
    """Each claim of a job has a higher fence than the one before."""
    for subject, events in records.by_subject().items():
        claims = [int(event.data["fence"]) for event in events if event.kind == "job.claimed"]
        if any(after <= before for before, after in pairwise(claims)):
            yield Breach(check="fences", subject=subject, words=f"was claimed under the fences {claims}")


def turns(records: Records) -> Iterator[Breach]:
    """No turn overlaps another of its session, by the word of agents and by the events of sessions.

    A turn whose worker was lost is taken over under a higher fence, and never under the same or a lower.
    """
    for job in records.overlaps:
        yield Breach(check="turns", subject=job, words="an agent found another one of its job alive")
    for subject, events in records.by_subject().items():
        states = [
            (int(event.data.get("fence", 0)), str(event.data.get("to", "")))
            for event in events
            if event.kind == "session.state"
        ]
        for (fence, before), (later, after) in pairwise(states):
            if later < fence or (later == fence and before == after == "in_turn"):
                words = f"{after} under fence {later} after {before} under fence {fence}"
                yield Breach(check="turns", subject=subject, words=words)


def verdicts(records: Records) -> Iterator[Breach]:
    """Each trial ends with exactly one event, which says what its record says."""
    ends: Counter[str] = Counter()
    by_canary = {_canary(trial): name for name, trial in records.trials.items()}
    for event in records.events:
        if event.kind in ENDS_OF_TRIALS:
            ends[by_canary.get(event.subject, event.subject)] += 1
    for name, trial in records.trials.items():
        if ends[name] != 1:
            words = f"{trial.fields.get('state')}, with {ends[name]} events of its end"
            yield Breach(check="verdicts", subject=name, words=words)
        if trial.fields.get("state") == "open":
            yield Breach(check="verdicts", subject=name, words="is still open")


def ledger(records: Records) -> Iterator[Breach]:
    """Each job of a trial is dispatched once and settled once, and the ledger gives the stored state."""
    for name, trial in records.trials.items():
        if not records.replays.get(name, True):
            yield Breach(check="ledger", subject=name, words="its ledger gives another state")
        jobs = Counter(str(line.get("job_id", line.get("champion_job"))) for line in trial.dispatches)
        for job, times in jobs.items():
            if times > 1:
                yield Breach(check="ledger", subject=name, words=f"job {job} was dispatched {times} times")
        if not _is_of_pairs(trial):
            yield from _settled_once("ledger", name, trial, records)


def pairs(records: Records) -> Iterator[Breach]:
    """Each pair is settled once: one line in the ledger of its trial, and one event."""
    events = records.by_subject()
    for name, trial in records.trials.items():
        if not _is_of_pairs(trial):
            continue
        yield from _settled_once("pairs", name, trial, records)
        for line in trial.dispatches:
            job = str(line["champion_job"])
            times = _count(events.get(job, []), "pair.settled")
            if times != 1:
                yield Breach(check="pairs", subject=job, words=f"its pair has {times} events of its end")


def dead_letters(records: Records) -> Iterator[Breach]:
    """A job is a dead letter if it failed, and only then; a shadow never is."""
    for job, fields in records.jobs.items():
        should_be = fields.get("state") == "failed" and not fields.get("shadow")
        if should_be != (job in records.dead):
            words = f"{fields.get('state')}, and is{'' if job in records.dead else ' not'} a dead letter"
            yield Breach(check="dead_letters", subject=job, words=words)


def lists(records: Records) -> Iterator[Breach]:
    """Nothing is on a list of work when all is done."""
    for name, members in records.lists.items():
        yield Breach(check="lists", subject=name, words=f"still holds {len(members)}: {members[:5]}")


#: The checks of the records, by name.
CHECKS: Mapping[str, Callable[[Records], Iterator[Breach]]] = {
    check.__name__: check
    for check in (lost, doubled, fences, turns, verdicts, ledger, pairs, dead_letters, lists)
}


def breaches(records: Records) -> list[Breach]:
    """All that breaks a check."""
    return [breach for check in CHECKS.values() for breach in check(records)]


def history_breaches(
    histories: Mapping[str, Sequence[HistoryStep]], *, unrecorded: frozenset[str] = frozenset()
) -> tuple[list[Breach], Counter[str]]:
    """What of the history could not have happened one after the other, and how many of each verdict.

    `unrecorded` are the keys of things with steps that nobody wrote down: those are left out.
    """
    found: list[Breach] = []
    counts: Counter[str] = Counter()
    for key, history in histories.items():
        if key in unrecorded:
            counts["left out"] += 1
            continue
        model, initial = MODELS[key.partition(" ")[0]]
        finding = check(history, model, initial)
        counts[finding.verdict.value] += 1
        if finding.verdict is not Verdict.LINEARIZABLE:
            found.append(Breach(check="history", subject=key, words=_in_words(finding)))
    return found, counts


def _in_words(finding: Finding) -> str:
    steps = "; ".join(
        f"{step.name} {step.asked} -> {step.answer} by {step.by} at {step.begun_at:.3f}"
        for step in finding.stuck_at[:4]
    )
    return f"{finding.verdict} after {finding.reached} steps; what came next: {steps}"


def _count(events: Sequence[StoredEvent], kind: str) -> int:
    return sum(event.kind == kind for event in events)


def _after(events: Sequence[StoredEvent], kind: str) -> Sequence[StoredEvent]:
    places = [place for place, event in enumerate(events) if event.kind == kind]
    return events[places[0] + 1 :] if places else []


def _has_ended(records: Records, job: str) -> bool:
    return records.jobs[job].get("state") in FINAL_STATES


def _is_of_pairs(trial: StoredTrial) -> bool:
    return trial.fields.get("mode") == "shadow"


def _canary(trial: StoredTrial) -> str:
    return f"{trial.fields.get('template')}@v{trial.fields.get('canary')}"


def _settled_once(check_name: str, name: str, trial: StoredTrial, records: Records) -> Iterator[Breach]:
    """A unit has one line that closes it; one whose score changed later has more, and its job says so."""
    closing = Counter(int(line["index"]) for line in trial.settlements if line["kind"] != "provisional")
    for index, line in enumerate(trial.dispatches):
        job = str(line.get("job_id", line.get("champion_job")))
        is_late = "late" in records.jobs.get(job, {})
        if closing[index] == 0 or (closing[index] > 1 and not is_late):
            words = f"number {index} (job {job}) has {closing[index]} lines that settle it"
            yield Breach(check=check_name, subject=name, words=words)
