"""The checks of a chaos run see what is wrong with records, and nothing wrong with right ones."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.conservation import breaches
from tests.chaos.fleet import Downtime
from tests.chaos.mutations import MUTATIONS
from tests.chaos.plan import NEAR_SECONDS, Fault, plan, together
from tests.chaos.records import Records, StoredEvent, StoredTrial
from tests.chaos.recovery import Recovered, recovered, times
from tests.declared_scripts import script_sources


def event(kind: str, subject: str = "j1", at: float = 0.0, **data: Any) -> StoredEvent:
    """An entry of the stream."""
    return StoredEvent(id=f"{at}-0", kind=kind, at=at, subject=subject, data=data)


EVENTS = [
    event("job.queued"),
    event("job.claimed", fence=1, worker="w1"),
    event("session.state", "a1", to="in_turn", fence=1),
    event("job.lease_expired"),
    event("job.claimed", fence=2, worker="w2"),
    event("session.state", "a1", to="in_turn", fence=2),
    event("job.finished"),
    event("job.settled"),
    event("pair.settled"),
    event("candidate.rolled_back", "no-op@v2"),
]

TRIAL = StoredTrial(
    fields={"template": "no-op", "canary": "2", "state": "rolled_back", "mode": "draw"},
    dispatches=[{"job_id": "j1"}],
    settlements=[{"index": 0, "kind": "provisional"}, {"index": 0, "kind": "settled"}],
)

PAIRS = StoredTrial(
    fields={"template": "pairs", "canary": "2", "state": "stopped", "mode": "shadow"},
    dispatches=[{"champion_job": "j1"}],
    settlements=[{"index": 0, "kind": "excluded"}],
)

RIGHT = Records(
    enqueued=["j1"],
    jobs={"j1": {"state": "succeeded"}},
    events=[*EVENTS, event("trial.stopped", "pairs-t1")],
    trials={"no-op-t1": TRIAL, "pairs-t1": PAIRS},
    replays={"no-op-t1": True, "pairs-t1": True},
)


def more(*events: StoredEvent, **changes: Any) -> Records:
    """The right records, with some events more."""
    return replace(RIGHT, events=[*RIGHT.events, *events], **changes)


def test_right_records_break_nothing() -> None:
    """A lost worker's job that ran again, a trial by draws and one of pairs."""
    assert breaches(RIGHT) == []


@pytest.mark.parametrize(
    ("check", "records"),
    [
        ("lost", replace(RIGHT, enqueued=["j1", "j2"])),
        ("lost", replace(RIGHT, jobs={"j1": {"state": "queued"}})),
        ("lost", more(event("job.queued"))),
        ("lost", replace(RIGHT, enqueued=["j1", "j1"])),
        ("doubled", more(event("job.finished"))),
        ("doubled", more(event("job.settled"))),
        ("doubled", more(event("job.claimed", fence=3, worker="w3"))),
        ("fences", more(event("job.claimed", fence=2, worker="w3"))),
        ("turns", replace(RIGHT, overlaps=["j1"])),
        ("turns", more(event("session.state", "a1", to="in_turn", fence=2))),
        ("turns", more(event("session.state", "a1", to="between_turns", fence=1))),
        ("verdicts", more(event("candidate.rolled_back", "no-op@v2"))),
        ("verdicts", replace(RIGHT, events=EVENTS)),
        ("ledger", replace(RIGHT, replays={"no-op-t1": False})),
        ("ledger", replace(RIGHT, trials={**RIGHT.trials, "no-op-t1": replace(TRIAL, settlements=[])})),
        (
            "ledger",
            replace(
                RIGHT,
                trials={
                    **RIGHT.trials,
                    "no-op-t1": replace(TRIAL, settlements=[*TRIAL.settlements, TRIAL.settlements[1]]),
                },
            ),
        ),
        ("pairs", more(event("pair.settled"))),
        (
            "pairs",
            replace(
                RIGHT,
                trials={
                    **RIGHT.trials,
                    "pairs-t1": replace(PAIRS, settlements=[*PAIRS.settlements, *PAIRS.settlements]),
                },
            ),
        ),
        ("dead_letters", replace(RIGHT, dead=frozenset({"j1"}))),
        ("lists", replace(RIGHT, lists={"leases": ["j1"]})),
    ],
)
def test_each_check_sees_what_it_is_for(check: str, records: Records) -> None:
    """One thing is wrong, and the check of that name says so."""
    assert check in {breach.check for breach in breaches(records)}


def test_a_plan_is_repeated_by_its_seed_and_has_each_fault() -> None:
    """Alone at first, then several at once."""
    first = plan(7, seconds=60, lease_seconds=5)
    assert first == plan(7, seconds=60, lease_seconds=5)
    assert first != plan(8, seconds=60, lease_seconds=5)
    assert {each.fault for each in first[: len(Fault)]} == set(Fault)
    assert all(each.seconds > 5 for each in first if each.fault is Fault.WORKER_FROZEN)


def test_faults_that_happen_together_begin_within_a_moment_and_then_rest() -> None:
    """Each time all of them, and a fleet has time to be well before the next."""
    faults = [Fault.WORKER_KILLED, Fault.SERVER_PAUSED]
    planned = together(7, seconds=100, lease_seconds=5, faults=faults)
    pairs = list(zip(planned[::2], planned[1::2], strict=True))
    assert len(pairs) > 2
    assert all({each.fault for each in pair} == set(faults) for pair in pairs)
    assert all(second.at - first.at <= NEAR_SECONDS for first, second in pairs)


def test_recovery_is_counted_from_the_loss_to_the_next_claim() -> None:
    """Of jobs that were at work on the lost worker then; one that had ended before is none."""
    events = {
        "j1": [event("job.claimed", at=1, fence=1, worker="w1"), event("job.lease_expired", at=7),
               event("job.claimed", at=9, fence=2, worker="w2")],
        "j2": [event("job.claimed", "j2", at=1, fence=1, worker="w1"), event("job.finished", "j2", at=2)],
    }  # fmt: skip
    found = recovered(events, [("w1", 3.0)], [], lease_seconds=5)
    assert found == [Recovered(job="j1", seconds=6.0, put_back=4.0, is_undisturbed=True, beyond=1.0)]
    assert times(found, lease_seconds=5).late == []
    away = [Downtime(what="server paused", began=5.0, ended=8.5)]
    (found_then,) = recovered(events, [("w1", 3.0)], away, lease_seconds=5)
    assert (found_then.is_undisturbed, found_then.beyond) == (False, 0.5)
    assert times([found_then], lease_seconds=5).beyond == (0.5, 0.5, 0.5)
    assert times(found, lease_seconds=0.5).late == ["j1"]


def test_a_worker_that_wakes_in_time_ends_the_loss() -> None:
    """It was frozen for less than its lease, and reported: then its job waits as any other does."""
    events = {
        "j1": [event("job.claimed", at=1, fence=1, worker="w1"), event("job.retried", at=6),
               event("job.claimed", at=20, fence=2, worker="w2")],
    }  # fmt: skip
    (found,) = recovered(events, [("w1", 3.0)], [], lease_seconds=5)
    assert (found.seconds, found.put_back, found.beyond) == (3.0, None, 0.0)


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_guard_of_a_mutation_stands_in_its_script(name: str) -> None:
    """A run without a guard that had moved would show nothing."""
    mutation = MUTATIONS[name]
    assert script_sources()[mutation.script].count(mutation.text) == 1
