"""One run: a fleet, its work, its faults, and what is found at the end."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from redis.exceptions import RedisError

from routing.errors import CoalmineError
from tests.chaos import mutations
from tests.chaos.conservation import Breach, breaches, history_breaches
from tests.chaos.faults import FaultRunner, agents_of
from tests.chaos.fleet import ChaosFleet, FleetSize
from tests.chaos.history import Recorder, read_history, record_steps
from tests.chaos.load import Load, LoadSize
from tests.chaos.plan import Fault, plan, together
from tests.chaos.records import EventFollower, Records, StoredEvent, left_on_lists, read_records
from tests.chaos.recovery import Recovered, RecoveryTimes, recovered, times

#: Looks, half a second apart, at which nothing may be left to do before all is done.
QUIET_LOOKS = 4

#: The ticks of a fleet.
TICKS = ("sweep", "harvest", "watch", "land", "watchdog", "dispatch", "poll-local", "notify")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """What a run is asked for; the same plan does the same faults, on work that goes its own way."""

    seed: int = 1
    jobs: int = 400
    issues: int = 8
    seconds: float = 45.0  # for which faults happen
    settle_seconds: float = 90.0  # for all to be done after the last fault
    faults: Sequence[Fault] = tuple(Fault)
    is_together: bool = False  # all faults at once, again and again, in place of each alone and then some
    mutation: str = ""
    size: FleetSize = field(default_factory=FleetSize)
    say: Callable[[str], object] = lambda _text: None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReport:
    """What a run did and what it found."""

    plan: RunPlan
    seconds: float
    enqueued: int
    jobs: Counter[str]  # by state
    trials: Counter[str]  # by state
    faults: Counter[str]  # done
    claims: int
    turns: int  # of real agents
    history: Counter[str]  # things by verdict of the checker
    operations: int
    repeated_calls: int  # enqueues that were not answered, and made again
    undisturbed: RecoveryTimes
    all_recoveries: RecoveryTimes
    slowest: Sequence[str]  # what happened to the job that stood still for longest, in words
    breaches: Sequence[Breach] = ()
    errors: Sequence[str] = field(default=())  # of this program

    @property
    def found(self) -> frozenset[str]:
        """The checks that something breaks."""
        return frozenset(breach.check for breach in self.breaches)


def run(asked: RunPlan) -> RunReport:
    """Start a fleet, do all to it that is planned, and check what is left. Its folder goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="c-"))
    try:
        return _run(asked, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(asked: RunPlan, folder: Path) -> RunReport:
    begun = time.monotonic()
    if asked.mutation:
        mutations.apply(asked.mutation)
    fleet = ChaosFleet(folder, asked.size, mutation=asked.mutation)
    record_steps(Recorder(folder / "history"))
    try:
        size = LoadSize(jobs=asked.jobs, issues=asked.issues, a_second=asked.jobs / asked.seconds)
        load = Load(fleet, size, asked.seed)
        load.prepare()
        follower = EventFollower(fleet)
        fleet.start()
        asked.say(f"{asked.size.workers} workers start; {asked.jobs} jobs in {asked.seconds:g} s")
        runner = FaultRunner(fleet, load)
        load.start()
        _do_faults(asked, fleet, runner)
        asked.say("the faults are over")
        if not load.join(asked.settle_seconds):
            asked.say("not all jobs could be enqueued in time")
        _settle(asked, fleet, load)
        orphans = _orphans(fleet, load)
        records = read_records(fleet, follower.stop(), load.enqueued)
    finally:
        fleet.stop()
    asked.say("checking")
    report = _report(asked, records, fleet=fleet, load=load, runner=runner, orphans=orphans)
    return replace(report, seconds=time.monotonic() - begun)


def _do_faults(asked: RunPlan, fleet: ChaosFleet, runner: FaultRunner) -> None:
    begun = time.monotonic()
    draw = together if asked.is_together else plan
    planned = draw(
        asked.seed, seconds=asked.seconds, lease_seconds=asked.size.lease_seconds, faults=asked.faults
    )
    for each in planned:
        while (wait := begun + each.at - time.monotonic()) > 0:
            time.sleep(min(wait, 1.0))
            fleet.revive()
        asked.say(f"{each.at:6.1f} s  {each.fault}" + (f" for {each.seconds:.1f} s" if each.seconds else ""))
        runner.begin(each)
    runner.heal()


def _settle(asked: RunPlan, fleet: ChaosFleet, load: Load) -> None:
    """Wait until nothing is on a list of work, end the trials, and wait until all is counted."""
    until, quiet = time.monotonic() + asked.settle_seconds, 0
    while time.monotonic() < until and quiet < QUIET_LOOKS:
        fleet.revive()
        with suppress(RedisError, OSError):
            quiet = quiet + 1 if _is_quiet(fleet) else 0
        time.sleep(0.5)
    while time.monotonic() < until + 30:
        with suppress(CoalmineError, RedisError):
            load.close_trials()
            if not fleet.parts.signals.due(1) and not fleet.parts.trial_store.moved_ids():
                return
        time.sleep(0.5)


def _is_quiet(fleet: ChaosFleet) -> bool:
    """Whether nothing is on a list of work, no issue is at work, and none waits for its job."""
    keys = fleet.parts.keys
    with fleet.admin() as admin:
        issues = int(admin.zcard(keys("backlog_ready"))) + int(admin.scard(keys("backlog_working")))
        return not issues and not left_on_lists(admin, keys)


def _orphans(fleet: ChaosFleet, load: Load) -> list[Breach]:
    """Agents that are alive although all jobs have ended; those of the last second get a moment."""
    del fleet
    until = time.monotonic() + 6.0
    while (alive := agents_of(load.known_jobs())) and time.monotonic() < until:
        time.sleep(0.25)
    return [
        Breach(check="orphans", subject=job, words=f"process {process.pid} outlives it")
        for process, job in alive
    ]


def _report(
    asked: RunPlan, records: Records, *, fleet: ChaosFleet, load: Load, runner: FaultRunner,
    orphans: Sequence[Breach],
) -> RunReport:  # fmt: skip
    histories = read_history(fleet.folder / "history")
    by_subject = records.by_subject()
    wrong, counts = history_breaches(histories, unrecorded=_unrecorded(asked, records))
    recoveries = recovered(by_subject, fleet.losses, fleet.downtimes, lease_seconds=asked.size.lease_seconds)
    quiet = times(
        [each for each in recoveries if each.is_undisturbed], lease_seconds=asked.size.lease_seconds
    )
    found = [*orphans, *breaches(records), *wrong]
    found += [
        Breach(
            check="recovery", subject=each.job, words=f"{each.seconds:.1f} s, in the queue: {each.put_back}"
        )
        for each in recoveries
        if each.is_undisturbed and each.job in quiet.late
    ]
    kinds = Counter(event.kind for event in records.events)
    return RunReport(
        plan=asked, seconds=0.0, enqueued=len(load.enqueued),
        jobs=Counter(fields.get("state", "?") for fields in records.jobs.values()),
        trials=Counter(trial.fields.get("state", "?") for trial in records.trials.values()),
        faults=runner.done, claims=kinds["job.claimed"],
        turns=sum(event.data.get("to") == "in_turn" for event in records.events
                  if event.kind == "session.state"),
        history=counts, operations=sum(map(len, histories.values())), repeated_calls=load.errors,
        undisturbed=quiet, all_recoveries=times(recoveries, lease_seconds=asked.size.lease_seconds),
        slowest=_life(by_subject, recoveries, fleet.losses), breaches=found, errors=runner.errors,
    )  # fmt: skip


def _life(
    by_subject: Mapping[str, Sequence[StoredEvent]], recoveries: Sequence[Recovered],
    losses: Sequence[tuple[str, float]],
) -> list[str]:  # fmt: skip
    """The events of the job that took longest to run again, and the losses of workers meanwhile."""
    if not recoveries:
        return []
    job = max(recoveries, key=lambda each: (each.beyond, each.seconds)).job
    events = by_subject[job]
    lines = [(event.at, f"{event.kind} {dict(event.data)}"[:160]) for event in events]
    lines += [(at, f"{name} was lost") for name, at in losses if events[0].at <= at <= events[-1].at]
    return [f"{job} {at - events[0].at:7.2f} s  {words}" for at, words in sorted(lines)]


def _unrecorded(asked: RunPlan, records: Records) -> frozenset[str]:
    """What a worker of another version may have touched, as it writes no history."""
    if asked.size.other is None:
        return frozenset()
    other = f"w{asked.size.workers}@chaos"
    jobs = {
        f"job {event.subject}"
        for event in records.events
        if event.data.get("worker") == other or event.kind in {"job.lease_expired", "job.rerouted"}
    }
    ticks = {f"tick {name}" for name in TICKS}
    return frozenset({*jobs, *ticks, *(f"trial {name}" for name in records.trials)})
