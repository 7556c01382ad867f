"""Judging a pair: by one worker, under a lease; done again elsewhere when that is lost, and settled once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from harvest.evidence.health import HealthCheck
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.pairs.pair_ledger import PairSettlement
from harvest.settling.pair_settling import JUDGE_SECONDS
from routing.base import Base
from routing.errors import CorruptRecordError
from routing.events import PAIR_JUDGED
from routing.git.git import Git
from routing.git.remote import Remote
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.signal import SignalKind, handed_over
from routing.store.judging.judging_store import AtAnswer, EndAnswer, HandAnswer, JudgingClaim, JudgingRefusal
from routing.store.redis.lease import LeaseStatus
from routing.templates.trial import Arm, Mode
from tasks.agents.pairs.handed_work import packed, with_base
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.judging import AWAY_SECONDS, MOST_LOST, Judging, PairJudging
from tasks.agents.repository.mirror import Mirror
from tasks.composition.pair_parts import judge_leases
from tasks.settings.settings import JudgeSettings
from tasks.work.lease_keeper import LeaseKeeper, LeaseTimes
from tests.fleets.stepped_fleet import SteppedFleet
from tests.repositories import new_repository
from tests.waiting import wait_until

POLICY = TrialPolicy(
    mode=Mode.SHADOW, revert_window_seconds=0.0, guardrails=(Guardrail(name="cost_usd", cap=10.0),)
)
TRIAL = "implementer-t1"
LEASE = 30.0

#: Passes the work that has it.
GOOD = "test -e good.txt"


@dataclass
class Coin:
    """A generator that makes each issue a pair, and says what comes first."""

    number: float = 0.75

    def random(self) -> float:
        """Below any share of 1."""
        return self.number


@dataclass
class Bench:
    """A fleet without workers, with a repository and what judges there."""

    fleet: SteppedFleet
    git: Git
    base: Base
    folder: Path
    coin: Coin
    seconds: float = 60.0
    draining: threading.Event = field(default_factory=threading.Event)

    def pair(self) -> tuple[Job, Job]:
        """Both jobs of a pair, which two workers have claimed."""
        job = self.fleet.app.jobs.find(self.fleet.enqueue(repository="shop").job)
        return self.fleet.claim(job.id).job, self.fleet.claim(job.partner).job

    def work(self, name: str) -> str:
        """A commit that adds a file, by an author who says whose it is."""
        (self.git.directory / name).write_text("done\n")
        self.git("add", "-A")
        who = ("-c", f"user.name={name}", "-c", "user.email=a@invalid")
        self.git(*who, "commit", "--quiet", "-m", f"the work {name}")
        commit = self.git("rev-parse", "HEAD")
        self.git("reset", "--quiet", "--hard", self.base.commit)
        return commit

    def hand_over(self, job: Job, name: str) -> HandAnswer:
        """Hand a job's work over, as its worker does."""
        commit = self.work(name)
        repository = Git(self.git.directory / ".git")
        fact = handed_over(at=self.fleet.clock(), commit=commit)
        return self.fleet.app.judging.hand_over(job, fact, packed(repository, commit, self.base))

    def judging(self, command: str = GOOD, mirror: str = "mirror.git", remote: str = "") -> PairJudging:
        """What judges on a host."""
        app = self.fleet.app
        keeper = LeaseKeeper(
            LeaseTimes(lease_seconds=LEASE, tick_seconds=0.05), monotonic=time.monotonic,
            draining=self.draining.is_set,
        )  # fmt: skip
        address = remote or str(self.git.directory)
        return PairJudging(
            store=app.judging, keeper=keeper, leases=judge_leases(app.judging, LEASE), find=app.jobs.find,
            judge_of=lambda _: Judge(command=command, timeout_seconds=self.seconds) if command else None,
            lender_of=lambda _, work: with_base(
                Mirror(path=self.folder / mirror, remote=Remote(address=address)), work
            ),
            work_dir=self.folder / "judge", now=app.now,
        )  # fmt: skip

    def handed(self, champion: str = "good.txt", canary: str = "bad.txt") -> tuple[Job, Job]:
        """A pair whose works wait for their judge."""
        jobs = self.pair()
        for job, name in zip(jobs, (champion, canary), strict=True):
            assert self.hand_over(job, name) is HandAnswer.OK
        self.fleet.app.harvester.harvest()
        assert self.fleet.app.judging.take() == [jobs[0].id]
        return jobs

    def settled(self) -> list[PairSettlement]:
        """The lines of the pairs that are settled, after a harvest."""
        self.fleet.app.harvester.harvest()
        ledger = self.fleet.app.harvester.ledger(TRIAL)
        return [line for line in ledger if isinstance(line, PairSettlement)]


@pytest.fixture
def bench(fake_redis: redis.Redis, tmp_path: Path) -> Bench:
    """A trial of pairs on a repository with one commit."""
    repository, coin = new_repository(tmp_path), Coin()
    fleet = SteppedFleet(fake_redis, policy=POLICY, generator=coin, judge=JudgeSettings(command=GOOD))
    fleet.on_trial()
    git = Git(repository.path)
    base = Base(branch="main", commit=git("rev-parse", "HEAD"))
    return Bench(fleet=fleet, git=git, base=base, folder=tmp_path, coin=coin)


def claimed(bench: Bench, pair: str) -> JudgingClaim:
    """The lease of a pair's judging, which must be free."""
    won = bench.fleet.app.judging.claim(pair, lease_seconds=LEASE, worker="w1")
    assert isinstance(won, JudgingClaim), won
    return won


def test_both_halves_are_judged_in_the_coins_order(bench: Bench) -> None:
    """When both have handed work over, and not before; the order is in the ledger."""
    for number, first in ((0.75, Arm.CHAMPION), (0.25, Arm.CANARY)):
        bench.coin.number = number
        champion, canary = bench.pair()
        bench.hand_over(champion, "good.txt")
        bench.fleet.app.harvester.harvest()
        assert bench.fleet.app.judging.take() == []
        bench.hand_over(canary, "bad.txt")
        assert len(bench.settled()) == int(first is Arm.CANARY)
        assert bench.judging().judge(champion.id, worker="w1") is Judging.JUDGED
        line = bench.settled()[-1]
        assert (line.kind, line.champion, line.canary) == ("settled", 1.0, 0.0)
        assert line.judged_first is first
    places = [event.data["first"] for event in bench.fleet.events(PAIR_JUDGED)]
    assert places == ["champion", "canary"]


def test_judging_needs_neither_the_hosts_tree_nor_a_delivered_branch(bench: Bench) -> None:
    """What was handed over is enough, with the main branch; and it is kept no longer than that.

    Branches that other jobs have delivered there are in nobody's way.
    """
    champion, canary = bench.handed()
    bench.git("branch", "coalmine/00000000000000ee")
    assert bench.judging(mirror="elsewhere.git").judge(champion.id, worker="w2") is Judging.JUDGED
    held = bench.fleet.redis.hgetall(bench.fleet.app.keys.pair(champion.id))
    assert [name for name in held if name.startswith("work:")] == []
    assert bench.fleet.redis.ttl(bench.fleet.app.keys.pair(champion.id)) > 0
    assert bench.fleet.app.signals.read(canary.id)[-1].value == 0.0


def test_swapping_the_arms_changes_names_alone(bench: Bench) -> None:
    """Environment, path, history, refs and files are the same for a work, whichever version made it."""
    seen: dict[str, list[str]] = {}
    look = (
        'f=$(ls | grep -v README | grep -v cart); { env | grep -v "^PWD\\|^OLDPWD\\|::" | sort;'
        ' pwd | sed "s/judge-[^/]*/J/;s/ci-[^/]*/C/"; git log --all --format=fuller; git for-each-ref;'
        f' git reflog | wc -l; ls; }} > "{bench.folder}/seen-$f"; test -e a.txt'
    )
    for works in (("a.txt", "b.txt"), ("b.txt", "a.txt")):
        champion, _ = bench.handed(*works)
        assert bench.judging(look).judge(champion.id, worker="w1") is Judging.JUDGED
        for name in works:
            seen.setdefault(name, []).append((bench.folder / f"seen-{name}").read_text())
    scores = [(line.champion, line.canary) for line in bench.settled()]
    assert scores == [(1.0, 0.0), (0.0, 1.0)]
    for one, other in seen.values():
        assert one == other
    text = "".join(text for texts in seen.values() for text in texts)
    assert bench.base.commit in text
    assert [word for word in ("canary", "champion", "v2", "the work") if word in text] == []


def test_amounts_are_those_of_the_first_work(bench: Bench) -> None:
    """What follows the champion's push, for CI or a review, is not compared."""
    champion, canary = bench.pair()
    claims = [bench.fleet.app.jobs.find(job.id) for job in (champion, canary)]
    assert [job.state for job in claims] == [JobState.RUNNING] * 2
    keys = bench.fleet.app.keys
    for job, usd in ((champion, "1.5"), (canary, "2.5")):
        bench.fleet.redis.hset(keys.job(job.id), mapping={"spent_usd": usd, "cost:turns": "1"})
        bench.hand_over(job, "good.txt")
    bench.fleet.redis.hset(keys.job(champion.id), mapping={"spent_usd": "9", "held_seconds": "60"})
    bench.fleet.app.harvester.harvest()
    bench.judging().judge(champion.id, worker="w1")
    (line,) = bench.settled()
    assert (line.champion_spent["cost_usd"], line.canary_spent["cost_usd"]) == (1.5, 2.5)
    assert line.waited == ()


def test_only_the_first_work_counts(bench: Bench) -> None:
    """And only of the worker that has the job, while nobody asked to end it and its trial goes on."""
    champion, canary = bench.pair()
    bench.fleet.app.jobs.cancel(canary.id, by="ada", at=bench.fleet.clock())
    assert bench.hand_over(canary, "bad.txt") is HandAnswer.CANCELLED
    assert bench.hand_over(champion, "good.txt") is HandAnswer.OK
    assert bench.hand_over(champion, "bad.txt") is HandAnswer.KNOWN
    lost, other = bench.pair()
    bench.fleet.clock.forward(LEASE + 1)
    bench.fleet.claim(lost.id)
    assert bench.hand_over(lost, "good.txt") is HandAnswer.STALE
    bench.fleet.app.trials.stop(bench.fleet.app.trials.find(TRIAL), by="ada")
    assert bench.hand_over(other, "good.txt") is HandAnswer.OVER


def test_a_cancel_after_the_work_was_handed_over_leaves_the_pair_in(bench: Bench) -> None:
    """Also before it was delivered or judged: what became of the work must not decide whether it counts."""
    champion, canary = bench.pair()
    bench.hand_over(champion, "good.txt")
    bench.fleet.clock.forward(1)
    bench.fleet.app.jobs.cancel(champion.id, by="ada", at=bench.fleet.clock())
    assert bench.fleet.app.jobs.find(canary.id).state is JobState.RUNNING
    bench.hand_over(canary, "bad.txt")
    assert bench.settled() == []
    bench.judging().judge(champion.id, worker="w1")
    assert [line.kind for line in bench.settled()] == ["settled"]


def test_a_half_without_work_has_nothing_to_be_judged(bench: Bench) -> None:
    """It scores 0; the other one is judged alone."""
    champion, canary = bench.pair()
    bench.fleet.app.signals.add(canary.id, [bench.fleet.fact(SignalKind.AGENT_STALLED)])
    bench.hand_over(champion, "good.txt")
    assert bench.settled() == []
    assert bench.judging().judge(champion.id, worker="w1") is Judging.JUDGED
    (line,) = bench.settled()
    assert (line.champion, line.canary, line.judged_first) == (1.0, 0.0, Arm.CHAMPION)


def test_a_killed_workers_judging_is_done_again_and_settled_once(bench: Bench) -> None:
    """The one that was lost writes nothing when it comes back."""
    champion, _ = bench.handed()
    lost = claimed(bench, champion.id)
    assert bench.judging().judge(champion.id, worker="w2") is Judging.REFUSED
    bench.fleet.clock.forward(LEASE + 1)
    assert bench.fleet.app.judging.take() == [champion.id]
    assert bench.judging().judge(champion.id, worker="w2") is Judging.JUDGED
    assert bench.fleet.app.judging.end(lost, {}) is EndAnswer.STALE
    assert bench.judging().judge(champion.id, worker="w3") is Judging.REFUSED
    assert len(bench.settled()) == len(bench.settled()) == 1


def test_ten_workers_that_race_judge_once(bench: Bench) -> None:
    """One claims it; the others are refused, as it is taken, or over."""
    champion, _ = bench.handed()
    answers = list[Judging]()
    threads = [
        threading.Thread(target=lambda: answers.append(bench.judging().judge(champion.id, worker="w")))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(Judging.JUDGED) == 1
    assert len(bench.fleet.events(PAIR_JUDGED)) == len(bench.settled()) == 1


def begun(bench: Bench, then: Callable[[], object]) -> Judging:
    """Judge with a command that has no end, do something once it runs, and return what became of it."""
    champion, _ = bench.handed()
    marker, answers = bench.folder / "begun", list[Judging]()
    judging = bench.judging(f"touch {marker}; tail -f /dev/null")
    thread = threading.Thread(target=lambda: answers.append(judging.judge(champion.id, worker="w1")))
    thread.start()
    wait_until(marker.exists, description="the judge's command runs")
    then()
    thread.join()
    return answers[0]


def test_a_stop_of_the_trial_ends_the_judge(bench: Bench) -> None:
    """Nobody needs its word any more; what was handed over is dropped."""
    app = bench.fleet.app
    assert begun(bench, lambda: app.trials.stop(app.trials.find(TRIAL), by="ada")) is Judging.GIVEN_BACK
    (pair,) = app.judging.take()
    assert bench.judging().judge(pair, worker="w1") is Judging.REFUSED
    assert app.judging.take() == []
    assert "work:champion" not in bench.fleet.redis.hgetall(app.keys.pair(pair))


def test_a_worker_that_drains_gives_the_pair_back(bench: Bench) -> None:
    """Another one judges it at once, and nothing was counted."""
    assert begun(bench, bench.draining.set) is Judging.GIVEN_BACK
    (pair,) = bench.fleet.app.judging.take()
    assert claimed(bench, pair).attempts == 1


@pytest.mark.parametrize(("half", "code"), [(0, 127), (1, 127), (1, 126)])
def test_work_that_breaks_its_judge_scores_0(bench: Bench, half: int, code: int) -> None:
    """As one that deletes ./run-ci: on the base it can be run. Left out, such failures would be hidden."""
    works = ["good.txt", "good.txt"]
    works[half] = "bad.txt"
    champion, _ = bench.handed(*works)
    judging = bench.judging(f"test ! -e bad.txt || exit {code}")
    assert judging.judge(champion.id, worker="w1") is Judging.JUDGED
    (line,) = bench.settled()
    found = [line.champion, line.canary]
    assert (line.kind, found[half], found[1 - half]) == ("settled", 0.0, 1.0)
    assert "so the work broke it" in line.reason


def test_the_half_that_leaves_a_pair_out_is_in_the_ledger(bench: Bench) -> None:
    """Where the base cannot be judged either; the health of the trial watches which half it is."""
    command = f"{GOOD} && exit 0; test -e README.md && exit 127"
    for works, half in ((("good.txt", "bad.txt"), Arm.CANARY), (("bad.txt", "good.txt"), Arm.CHAMPION)):
        champion, _ = bench.handed(*works)
        bench.judging(command).judge(champion.id, worker="w1")
        line = bench.settled()[-1]
        assert (line.kind, line.excluded_by) == ("excluded", half)
    champion, _ = bench.handed()
    bench.judging("").judge(champion.id, worker="w1")
    assert bench.settled()[-1].excluded_by is None
    state = bench.fleet.app.harvester.evidence(bench.fleet.app.trials.find(TRIAL))
    balance = state.health.balances[HealthCheck.EXCLUSIONS]
    assert (balance.champion, balance.canary, balance.expected) == (1, 1, 1.0)
    assert state.canary_jobs == 3


def test_work_that_costs_workers_their_life_scores_0(bench: Bench) -> None:
    """If its base can be judged; the other half is judged as ever."""
    champion, _ = bench.handed()
    for _ in range(MOST_LOST):
        claim = claimed(bench, champion.id)
        assert bench.fleet.app.judging.at(claim, Arm.CANARY) is AtAnswer.OK
        bench.fleet.clock.forward(LEASE + 1)
    assert bench.judging("true").judge(champion.id, worker="w4") is Judging.JUDGED
    (line,) = bench.settled()
    assert (line.kind, line.champion, line.canary) == ("settled", 1.0, 0.0)
    assert "3 workers were lost" in line.reason


def test_a_base_that_costs_a_worker_its_life_leaves_the_pair_out(bench: Bench) -> None:
    """It was not the work, then. No further worker is lost."""
    champion, _ = bench.handed()
    for at in [Arm.CANARY] * MOST_LOST + ["base"]:
        bench.fleet.app.judging.at(claimed(bench, champion.id), at)
        bench.fleet.clock.forward(LEASE + 1)
    assert bench.judging("exit 9").judge(champion.id, worker="w5") is Judging.JUDGED
    (line,) = bench.settled()
    assert (line.kind, line.excluded_by) == ("excluded", Arm.CANARY)


@pytest.mark.parametrize("command", ["no-such-program-anywhere", ""])
def test_a_judge_that_cannot_be_run_leaves_the_pair_out(bench: Bench, command: str) -> None:
    """On both sides at once."""
    champion, _ = bench.handed()
    assert bench.judging(command).judge(champion.id, worker="w1") is Judging.JUDGED
    assert [line.kind for line in bench.settled()] == ["excluded"]


def test_a_judge_that_is_late_on_both_leaves_the_pair_out(bench: Bench) -> None:
    """On one alone it is that version's failure."""
    bench.seconds = 1.0
    for champion, kind in (("bad.txt", "excluded"), ("good.txt", "settled")):
        job, _ = bench.handed(champion)
        bench.judging(f"{GOOD} || tail -f /dev/null").judge(job.id, worker="w1")
        assert bench.settled()[-1].kind == kind


def test_a_judge_that_costs_its_workers_their_life_is_broken(bench: Bench) -> None:
    """The pair is left out, and no further worker is lost."""
    champion, _ = bench.handed()
    for _ in range(MOST_LOST):
        claimed(bench, champion.id)
        bench.fleet.clock.forward(LEASE + 1)
    assert bench.judging("exit 9").judge(champion.id, worker="w4") is Judging.JUDGED
    (line,) = bench.settled()
    assert line.kind == "excluded"
    assert "were lost" in line.reason


def test_a_repository_that_is_away_is_waited_for(bench: Bench) -> None:
    """It has nothing to do with either version."""
    champion, _ = bench.handed()
    away = bench.judging(mirror="none.git", remote=str(bench.folder / "gone"))
    assert away.judge(champion.id, worker="w1") is Judging.GIVEN_BACK
    assert bench.fleet.app.judging.take() == []
    bench.fleet.clock.forward(AWAY_SECONDS + 1)
    assert bench.fleet.app.judging.take() == [champion.id]


def test_work_that_no_judge_looks_at_is_left_out_in_the_end(bench: Bench) -> None:
    """A pair is not open for ever."""
    bench.handed()
    bench.fleet.clock.forward(POLICY.settle_deadline_seconds + 1)
    assert bench.settled() == []
    bench.fleet.clock.forward(86_400.0)
    (line,) = bench.settled()
    assert line.kind == "excluded"
    assert "no judge" in line.reason


@pytest.mark.parametrize("work", ["whole", "damaged"])
def test_a_pair_whose_champion_was_merged_before_it_was_judged_ends(bench: Bench, work: str) -> None:
    """Both jobs have their score, and no signal is to come: by time alone. So with work that is damaged."""
    app = bench.fleet.app
    champion = app.jobs.find(bench.fleet.enqueue(repository="shop").job)
    claims = [bench.fleet.claim(champion.id), bench.fleet.claim(champion.partner)]
    bench.hand_over(claims[0].job, "good.txt")
    for claim, state, kind in (
        (claims[1], JobState.ESCALATED, SignalKind.AGENT_STALLED),
        (claims[0], JobState.SUCCEEDED, SignalKind.MERGED),
    ):
        app.jobs.end(claim, state, reason="x", result=JobResult(), signals=[bench.fleet.fact(kind)])
    assert bench.settled() == []
    if work == "damaged":
        bench.fleet.redis.hset(app.keys.pair(champion.id), "work:champion", "{}")
        with pytest.raises(CorruptRecordError):
            bench.judging().judge(champion.id, worker="w1")
    bench.fleet.clock.forward(1.0)
    assert bench.settled() == []
    bench.fleet.clock.forward(POLICY.settle_deadline_seconds + JUDGE_SECONDS)
    assert [line.kind for line in bench.settled()] == ["excluded"]
    assert bench.fleet.redis.zrange(app.keys("due"), 0, -1) == []


def test_the_lease_of_a_judge_is_renewed_by_its_holder(bench: Bench) -> None:
    """It holds while it is renewed, and is late when it ran out and nobody took it."""
    champion, _ = bench.handed()
    claim, store = claimed(bench, champion.id), bench.fleet.app.judging
    bench.fleet.clock.forward(LEASE - 1)
    assert store.renew([claim], extend_seconds=LEASE) == [LeaseStatus(held=True)]
    bench.fleet.clock.forward(LEASE - 1)
    assert store.claim(champion.id, lease_seconds=LEASE, worker="w2") is JudgingRefusal.TAKEN
    bench.fleet.clock.forward(2)
    assert store.renew([claim], extend_seconds=0.0) == [LeaseStatus(held=True, is_late=True)]
