"""Accounts: what a version may use, what is closed, and who waits for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import redis

from console.doctor.accounts import accounts
from routing.accounts.account import Account
from routing.accounts.breaker import Breaker, BreakerState, span
from routing.accounts.closed_account import ClosedAccount
from routing.accounts.limit import AccountLimit, LimitKind
from routing.accounts.pool import Pools
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import UNCOUNTED
from routing.jobs.signal import SignalKind
from routing.jobs.turn import Hindrance, HindranceKind, TurnKind
from routing.store.jobs.job_store import GATES_SECONDS, HELD_ANEW_SECONDS, ClaimRefusal
from routing.store.redis.health import Status
from routing.templates.version import Snapshot
from tasks.agents.accounts.leased_accounts import LeasedAccounts
from tests.fleets.stepped_fleet import START, SteppedFleet

HOUR = 3600.0
DEFAULT = "claude:default"

Made = Callable[..., SteppedFleet]


@pytest.fixture
def made(redis_client: redis.Redis) -> Made:
    """Make a fleet whose template runs Claude Code, with accounts of the settings."""

    def make(
        *accounts: str, content: Mapping[str, Any] | None = None, template: bool = True, **settings: Any
    ) -> SteppedFleet:
        tables = tuple(Account(name=name, runtime="claude") for name in accounts)
        fleet = SteppedFleet(redis_client, draws=[0.25, 0.75] * 200, account=tables, **settings)
        if template:
            fleet.app.templates.add("implementer", Snapshot(runtime="claude", **(content or {})))
        return fleet

    return make


def limit(kind: LimitKind = LimitKind.USAGE, until: float | None = None, **more: Any) -> AccountLimit:
    """A limit that a turn met."""
    return AccountLimit(kind=kind, until=until, words="enough for today", **more)


def tried(fleet: SteppedFleet, job: str) -> str:
    """Claim a job a second later: the account that it got, or the word of the refusal."""
    fleet.clock.forward(1)
    answer = fleet.app.jobs.claim(job, worker="w1", lease_seconds=30)
    return answer if isinstance(answer, ClaimRefusal) else answer.job.account


def put_off(fleet: SteppedFleet, job: str, met: AccountLimit) -> None:
    """A claimed job's turn met a limit, as its worker reports it."""
    claim, now = held_claim(fleet, job), fleet.clock()
    fleet.app.breakers.met(claim.job.account, claim.job.model, met, job=job)
    hindrance = Hindrance(kind=HindranceKind.LIMIT, since=now, seen_at=now, until=met.until)
    fleet.app.jobs.hindered(claim, UNCOUNTED, reason="put off", hindrance=hindrance, goes_on=True)


def held_claim(fleet: SteppedFleet, job: str) -> Claim:
    """The claim of a job that was won before."""
    found = fleet.app.jobs.find(job)
    return Claim(job=found, version=fleet.app.templates.find(found.version_id))


def published(fleet: SteppedFleet) -> list[str]:
    """What the sweep publishes now."""
    before = len(fleet.broker.sent)
    fleet.app.relay.relay()
    return [job for job, _, _ in fleet.broker.sent[before:]]


def breaker(fleet: SteppedFleet, account: str = DEFAULT, model: str = "") -> Breaker:
    """A breaker as people see it."""
    (found,) = [each for each in fleet.app.breakers.all() if (each.account, each.model) == (account, model)]
    return found


def jobs_of(fleet: SteppedFleet, count: int, **fields: Any) -> list[str]:
    """Jobs, each created a second after the one before it."""
    made_jobs = []
    for _ in range(count):
        made_jobs.append(fleet.enqueue(**fields).job)
        fleet.clock.forward(1)
    return made_jobs


def test_a_fleet_without_tables_has_an_account_for_each_runtime(made: Made) -> None:
    """So a limit holds the jobs of that runtime, with no word in the settings."""
    fleet = made()
    assert tried(fleet, fleet.enqueue().job) == DEFAULT


def test_jobs_of_a_closed_account_are_held_and_lose_nothing(made: Made) -> None:
    """They are not claimed at all; their records say why, and when it is tried again."""
    fleet = made()
    first, second, third = jobs_of(fleet, 3)
    tried(fleet, first)
    until = fleet.clock() + 5 * HOUR
    put_off(fleet, first, limit(until=until))
    assert [tried(fleet, job) for job in (first, second, third)] == [ClaimRefusal.LIMITED] * 3
    for job in (first, second, third):
        held = fleet.app.jobs.find(job)
        assert (held.state, held.attempts) == (JobState.QUEUED, 0)
        assert held.held_until == pytest.approx(until)
        assert "every account" in held.reason
    assert fleet.app.jobs.find(first).kind == TurnKind.LIFTED
    assert published(fleet) == []
    assert fleet.app.job_store.depths()["queued"] == 3


def test_one_job_tries_it_and_its_answer_opens_it(made: Made) -> None:
    """Never a stampede: the others wait until the model has answered the first, and begin in their order."""
    fleet = made()
    jobs = jobs_of(fleet, 4)
    tried(fleet, jobs[0])
    put_off(fleet, jobs[0], limit(until=fleet.clock() + HOUR))
    for job in jobs:
        tried(fleet, job)
    fleet.clock.forward(HOUR + 1)
    assert published(fleet) == [jobs[0]]
    assert published(fleet) == []
    assert tried(fleet, jobs[0]) == DEFAULT
    assert breaker(fleet).state is BreakerState.PROBING
    assert tried(fleet, jobs[1]) is ClaimRefusal.LIMITED
    assert published(fleet) == []
    assert fleet.app.breakers.answered(DEFAULT, "", job=jobs[0])
    assert not fleet.app.breakers.answered(DEFAULT, "", job=jobs[0])
    assert published(fleet) == jobs[1:]
    assert breaker(fleet).is_open


def test_a_probe_that_meets_the_limit_again_waits_longer_each_time(made: Made) -> None:
    """From a minute to an hour where nobody says until when; people hear of the limit once."""
    fleet = made()
    job = fleet.enqueue().job
    waits = []
    for _ in range(9):
        tried(fleet, job)
        put_off(fleet, job, limit(LimitKind.RATE))
        waits.append((breaker(fleet).until or 0) - fleet.clock())
        fleet.clock.forward(waits[-1] + 1)
    assert [round(wait) for wait in waits] == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    heard = fleet.events("account.limited", "account.reopened")
    assert [event.kind for event in heard] == ["account.limited"]
    assert fleet.app.jobs.find(job).attempts == 0


def test_a_hint_that_was_wrong_once_is_not_believed_alone(made: Made) -> None:
    """A provider that says "in 2 seconds" all day is not asked every two seconds."""
    fleet = made()
    job = fleet.enqueue().job
    waits = []
    for _ in range(4):
        tried(fleet, job)
        put_off(fleet, job, limit(LimitKind.RATE, until=fleet.clock() + 2))
        waits.append(round((breaker(fleet).until or 0) - fleet.clock()))
        fleet.clock.forward(waits[-1] + 1)
    assert waits == [2, 60, 120, 240]


def test_a_probe_whose_worker_dies_is_followed_by_another(made: Made) -> None:
    """Its lease says whether it lives."""
    fleet = made()
    first, second = jobs_of(fleet, 2)
    tried(fleet, first)
    put_off(fleet, first, limit(until=fleet.clock() + HOUR))
    fleet.clock.forward(HOUR + 1)
    assert tried(fleet, first) == DEFAULT
    assert tried(fleet, second) is ClaimRefusal.LIMITED
    fleet.clock.forward(31)
    assert breaker(fleet).state is BreakerState.LIMITED
    assert second in published(fleet)
    assert tried(fleet, second) == DEFAULT


def test_jobs_take_turns_at_trying(made: Made) -> None:
    """One that meets the limit each time, whatever its account has left, keeps nobody waiting."""
    fleet = made()
    poison, other, third = jobs = jobs_of(fleet, 3)
    tried(fleet, poison)
    put_off(fleet, poison, limit(LimitKind.RATE))
    for job in jobs:
        tried(fleet, job)
    went = []
    for _ in range(6):
        fleet.clock.forward((breaker(fleet).until or 0) - fleet.clock() + 1)
        (job,) = published(fleet)
        went.append(job)
        assert tried(fleet, job) == DEFAULT
        put_off(fleet, job, limit(LimitKind.RATE))
        assert tried(fleet, job) is ClaimRefusal.LIMITED
    assert went == [poison, other, third] * 2
    fleet.clock.forward((breaker(fleet).until or 0) - fleet.clock() + 1)
    published(fleet)
    assert tried(fleet, poison) == DEFAULT
    fleet.app.breakers.answered(DEFAULT, "", job=poison)
    assert published(fleet) == [other, third], "in their order when it is open"


def test_what_the_settings_say_now_frees_jobs_that_are_held(made: Made) -> None:
    """Another account is named while jobs wait for the only one: they begin on it within two minutes."""
    fleet = made("a")
    jobs = jobs_of(fleet, 4)
    tried(fleet, jobs[0])
    put_off(fleet, jobs[0], limit(until=fleet.clock() + 5 * HOUR))
    for job in jobs:
        tried(fleet, job)
    heard = len(fleet.events("job.held"))
    assert published(fleet) == []
    fleet.clock.forward(HELD_ANEW_SECONDS)
    assert published(fleet) == [jobs[0]]
    assert tried(fleet, jobs[0]) is ClaimRefusal.LIMITED
    assert published(fleet) == [], "it takes its place again, and one a minute is enough"
    assert len(fleet.events("job.held")) == heard
    fleet = made("a", "b", template=False)
    fleet.clock.now = START + 1000
    assert published(fleet) == [jobs[0]]
    assert tried(fleet, jobs[0]) == "claude:b"
    fleet.clock.forward(HELD_ANEW_SECONDS)
    assert published(fleet) == jobs[1:]
    assert {tried(fleet, job) for job in jobs[1:]} == {"claude:b"}
    fleet.clock.forward(GATES_SECONDS + 1)
    published(fleet)
    assert fleet.redis.hkeys(fleet.app.keys("gates")) == []


def test_workers_with_other_secrets_do_not_throw_jobs_about(made: Made) -> None:
    """Each has a gate of its own for the same version: once a minute is the most that jobs change it."""
    here = made("a")
    there = made("b", template=False)
    jobs = jobs_of(here, 6)
    for fleet, job in ((here, jobs[0]), (there, jobs[1])):
        fleet.clock.now = here.clock()
        tried(fleet, job)
        put_off(fleet, job, limit(until=here.clock() + 5 * HOUR))
    for job in jobs:
        tried(here, job)
    claims = 0
    for second in range(48):
        here.clock.forward(5)
        there.clock.now = here.clock()
        for job in published(here):
            assert tried((here, there)[(claims + second) % 2], job) is ClaimRefusal.LIMITED
            claims += 1
    assert 4 <= claims <= 5 * len(jobs)
    assert sorted(here.app.job_store.limited(10)) == sorted(jobs)


def test_a_report_of_a_turn_from_before_changes_no_end(made: Made) -> None:
    """Turns that began before the limit meet it too: nobody waits longer for that, unless they say so."""
    fleet = made()
    first, second, third = jobs_of(fleet, 3)
    for job in (first, second, third):
        tried(fleet, job)
    put_off(fleet, first, limit(LimitKind.RATE))
    until = breaker(fleet).until
    put_off(fleet, second, limit(LimitKind.RATE))
    assert breaker(fleet).until == until
    put_off(fleet, third, limit(until=fleet.clock() + HOUR))
    assert breaker(fleet).until == fleet.clock() + HOUR
    assert len(fleet.events("account.limited")) == 1


def test_a_report_of_another_kind_leaves_the_probe_at_work(made: Made) -> None:
    """A turn from before the limit finds the key refused: people hear of it, and no second job tries it."""
    fleet = made()
    probe, late, other = jobs_of(fleet, 3)
    for job in (probe, late):
        tried(fleet, job)
    put_off(fleet, probe, limit(LimitKind.RATE))
    fleet.clock.forward(61)
    assert tried(fleet, probe) == DEFAULT
    put_off(fleet, late, limit(LimitKind.AUTH))
    assert len(fleet.events("account.broken")) == 1
    assert breaker(fleet).state is BreakerState.PROBING
    fleet.clock.forward(10)
    assert tried(fleet, other) is ClaimRefusal.LIMITED
    assert fleet.app.breakers.answered(DEFAULT, "", job=probe), "its answer is the newest that is known"
    assert tried(fleet, other) == DEFAULT


def test_a_limit_from_before_does_not_end_what_a_person_must_see(made: Made) -> None:
    """A refused key stays a refused key, until the job that tries it says otherwise."""
    fleet = made()
    first, late = jobs_of(fleet, 2)
    for job in (first, late):
        tried(fleet, job)
    put_off(fleet, first, limit(LimitKind.AUTH))
    until = breaker(fleet).until
    put_off(fleet, late, limit(LimitKind.RATE, until=fleet.clock() + 5 * HOUR))
    assert (breaker(fleet).state, breaker(fleet).until) == (BreakerState.BROKEN, until)


def test_a_worker_of_before_ends_the_wait_of_a_job(made: Made) -> None:
    """It knows no accounts, so its claim leaves the time when the wait began: nothing is counted after it."""
    fleet = made()
    job = fleet.enqueue().job
    tried(fleet, job)
    put_off(fleet, job, limit(until=fleet.clock() + HOUR))
    began = fleet.app.jobs.find(job).held_at
    fleet.clock.forward(600)
    record = fleet.app.keys.job(job)
    claimed = {"state": "running", "claimed_at": f"{fleet.clock():.6f}", "fence": "2", "attempts": "1"}
    fleet.redis.hset(record, mapping=claimed)
    fleet.redis.zadd(fleet.app.keys("leases"), {job: fleet.clock() + 30})
    fleet.clock.forward(5000)
    running = fleet.app.jobs.find(job)
    assert running.held_at is None
    assert running.waited(fleet.clock()) == pytest.approx(600)
    assert fleet.redis.hget(record, "held_at") == f"{began:.6f}"
    put_off(fleet, job, limit(until=fleet.clock() + HOUR))
    fleet.clock.forward(100)
    assert fleet.app.jobs.find(job).waited(fleet.clock()) == pytest.approx(700)
    fleet.app.breakers.reopen(DEFAULT, by="ada")
    tried(fleet, job)
    assert fleet.app.jobs.find(job).held_seconds == pytest.approx(701)


def test_a_refused_credential_asks_a_person_once(made: Made) -> None:
    """Its jobs wait; one tries it each hour, as it may be right by then, and a person's word opens it."""
    fleet = made()
    job, other = jobs_of(fleet, 2)
    tried(fleet, job)
    put_off(fleet, job, limit(LimitKind.AUTH, is_wide=True))
    assert breaker(fleet, model="*").state is BreakerState.BROKEN
    assert len(fleet.events("account.broken")) == 1
    assert tried(fleet, other) is ClaimRefusal.LIMITED
    assert fleet.app.breakers.reopen(DEFAULT, by="ada") == ["claude:default/*"]
    assert published(fleet)
    assert tried(fleet, other) == DEFAULT
    assert fleet.kinds().count("account.reopened") == 1


def test_a_pool_uses_the_account_that_was_used_longest_ago(made: Made) -> None:
    """And only those that are open."""
    fleet = made("a", "b", "c")
    jobs = jobs_of(fleet, 9)
    used = [tried(fleet, job) for job in jobs[:6]]
    assert sorted(used[:3]) == ["claude:a", "claude:b", "claude:c"]
    assert used[:3] == used[3:]
    put_off(fleet, jobs[0], limit(until=fleet.clock() + HOUR))
    left = {tried(fleet, job) for job in jobs[6:]}
    assert left == {"claude:a", "claude:b", "claude:c"} - {used[0]}


def test_a_version_uses_the_accounts_that_it_names(made: Made) -> None:
    """Or those that serve its model."""
    fleet = made("a", "b", content={"accounts": ["b"]})
    assert {tried(fleet, job) for job in jobs_of(fleet, 3)} == {"claude:b"}
    pools = Pools(
        accounts=[Account(name="a", runtime="claude", models=("opus",)), Account(name="b", runtime="codex")]
    )
    assert [each.account for each in pools.candidates(Snapshot(runtime="claude", model="opus"))] == [
        "claude:a"
    ]
    assert pools.candidates(Snapshot(runtime="claude", model="haiku")) == ()


def test_a_version_that_no_account_serves_says_so(made: Made) -> None:
    """Its jobs wait for a table in the settings, or for another version: no account that opens frees them."""
    fleet = made("a", content={"accounts": ["b"]})
    job = fleet.enqueue().job
    assert tried(fleet, job) is ClaimRefusal.LIMITED
    assert "no account of the settings serves its version" in fleet.app.jobs.find(job).reason
    found = accounts(fleet.app)
    assert "no account of these settings serves implementer@v1 (runtime claude; accounts b)" in found.message
    assert "[[account]]" in found.remedy
    fleet = made("a", "b", template=False)
    fleet.clock.now = START + 1000
    assert accounts(fleet.app).status is Status.OK
    published(fleet)
    fleet.clock.forward(HELD_ANEW_SECONDS)
    assert published(fleet) == [job]
    assert tried(fleet, job) == "claude:b"


def test_an_account_is_used_where_its_secrets_are() -> None:
    """A worker without them leaves it to others; without any, the turn says what is missing."""
    accounts = [
        Account(name="a", runtime="claude", secrets=("ANTHROPIC_API_KEY=KEY_A",)),
        Account(name="b", runtime="claude", secrets=("ANTHROPIC_API_KEY=KEY_B",)),
    ]
    snapshot = Snapshot(runtime="claude")
    assert [each.name for each in Pools(accounts=accounts, environment={"KEY_B": "s"}).of(snapshot)] == ["b"]
    assert [each.name for each in Pools(accounts=accounts).of(snapshot)] == ["a", "b"]


def test_other_templates_go_on(made: Made) -> None:
    """What waits for one account takes no place from those that need another."""
    fleet = made(job={"agents_at_once": 1})
    fleet.app.templates.add("reviewer", Snapshot(runtime="codex"))
    first, second = jobs_of(fleet, 2)
    tried(fleet, first)
    put_off(fleet, first, limit(until=fleet.clock() + HOUR))
    assert [tried(fleet, job) for job in (first, second)] == [ClaimRefusal.LIMITED] * 2
    assert tried(fleet, fleet.enqueue("reviewer").job) == "codex:default"


def on_trial(fleet: SteppedFleet, **canary: Any) -> None:
    """Open a trial of another version."""
    version = fleet.app.templates.propose("implementer", Snapshot(**canary)).version
    fleet.open(version)


def test_the_other_arm_of_a_trial_waits_too(made: Made) -> None:
    """Time must favour no arm: while the canary's account is closed, the champion's jobs wait."""
    fleet = made()
    on_trial(fleet, runtime="codex")
    canary, champion, late = jobs_of(fleet, 3)
    assert tried(fleet, canary) == "codex:default"
    put_off(fleet, canary, limit(until=fleet.clock() + HOUR))
    assert tried(fleet, champion) is ClaimRefusal.LIMITED
    assert "other arm" in fleet.app.jobs.find(champion).reason
    pinned = fleet.enqueue("implementer@v1").job
    assert tried(fleet, pinned) == DEFAULT, "a job of no trial does not wait"
    assert tried(fleet, late) is ClaimRefusal.LIMITED
    fleet.clock.forward(HOUR + 1)
    assert set(published(fleet)) >= {canary, champion}
    assert tried(fleet, champion) == DEFAULT, "the canary's account may be tried: nothing waits for that"


def test_nobody_waits_for_the_arm_of_a_trial_that_is_over(made: Made) -> None:
    """The end of the trial lets the champion's jobs go."""
    fleet = made()
    on_trial(fleet, runtime="codex")
    canary, champion = jobs_of(fleet, 2)
    tried(fleet, canary)
    put_off(fleet, canary, limit(LimitKind.AUTH, is_wide=True))
    assert tried(fleet, champion) is ClaimRefusal.LIMITED
    fleet.app.trials.stop(fleet.app.trials.open_trials()[0], by="ada", reason="enough")
    assert champion in published(fleet)
    assert tried(fleet, champion) == DEFAULT


def test_held_jobs_of_a_rejected_canary_go_to_the_champion(made: Made) -> None:
    """Its account may be closed for hours; the champion's is open."""
    fleet = made()
    on_trial(fleet, runtime="codex")
    canary, other = jobs_of(fleet, 2)
    tried(fleet, canary)
    put_off(fleet, canary, limit(LimitKind.AUTH, is_wide=True))
    assert tried(fleet, canary) is ClaimRefusal.LIMITED
    fleet.app.templates.reject("implementer@v2", by="ada", reason="no")
    assert canary in published(fleet)
    assert tried(fleet, canary) == DEFAULT
    assert fleet.app.jobs.find(canary).rerouted_from == 2
    del other


def test_the_deadline_is_put_off_by_the_wait(made: Made) -> None:
    """For both arms alike: a job that waited for five hours has five hours more to settle."""
    fleet = made()
    on_trial(fleet, runtime="codex")
    canary, champion = jobs_of(fleet, 2)
    tried(fleet, canary)
    put_off(fleet, canary, limit(until=fleet.clock() + 5 * HOUR))
    tried(fleet, champion)
    fleet.clock.forward(5 * HOUR + 1)
    published(fleet)
    waited = []
    for job in (canary, champion):
        tried(fleet, job)
        fleet.app.breakers.answered("codex:default", "", job=job)
        waited.append(fleet.app.jobs.find(job).held_seconds)
    assert waited == [pytest.approx(5 * HOUR, abs=5)] * 2
    deadline = fleet.app.settings.canary.policy.settle_deadline_seconds
    fleet.clock.now = START + deadline + 2 * HOUR
    fleet.app.harvester.harvest()
    assert [fleet.app.jobs.find(job).settled_at for job in (canary, champion)] == [None, None]
    fleet.clock.now = START + deadline + 6 * HOUR
    fleet.app.harvester.harvest()
    assert [fleet.app.jobs.find(job).score for job in (canary, champion)] == [0.0, 0.0]


def _job(fleet: SteppedFleet, job: str) -> Job:
    return fleet.app.jobs.find(job)


def test_a_fallback_is_a_part_of_the_version(made: Made) -> None:
    """It is used while the version's own model is closed, and the job says which was used."""
    fleet = made(content={"model": "opus", "fallback": ["sonnet"]})
    first, second, third = jobs_of(fleet, 3)
    tried(fleet, first)
    assert (_job(fleet, first).model, _job(fleet, first).fell_back) == ("opus", False)
    put_off(fleet, first, limit(until=fleet.clock() + HOUR))
    assert tried(fleet, second) == DEFAULT
    assert (_job(fleet, second).model, _job(fleet, second).fell_back) == ("sonnet", True)
    fleet.clock.forward(HOUR + 1)
    tried(fleet, third)
    assert _job(fleet, third).model == "opus", "its own model is tried before the fallback"


@pytest.mark.parametrize("both", [False, True])
def test_a_job_that_fell_back_counts_if_both_arms_may(made: Made, *, both: bool) -> None:
    """Else it is left out of the trial, however it ends."""
    fleet = made(content={"model": "opus", "fallback": ["sonnet"] if both else []})
    on_trial(fleet, runtime="claude", model="haiku", fallback=["sonnet"])
    canary, champion, next_one = jobs_of(fleet, 3)
    tried(fleet, canary)
    tried(fleet, champion)
    put_off(fleet, canary, limit(until=fleet.clock() + HOUR))
    assert tried(fleet, next_one) == DEFAULT
    fleet.app.jobs.end(
        held_claim(fleet, next_one), JobState.SUCCEEDED, reason="done",
        result=JobResult(), signals=[fleet.fact(SignalKind.FINISHED)],
    )  # fmt: skip
    fleet.app.harvester.harvest()
    settled = _job(fleet, next_one)
    assert (settled.model, settled.excluded) == ("sonnet", not both)


def test_a_person_closes_an_account_and_opens_it(made: Made) -> None:
    """What a turn meets meanwhile does not open it; a time may be given."""
    fleet = made()
    job, other = jobs_of(fleet, 2)
    tried(fleet, job)
    assert fleet.app.breakers.close(DEFAULT, "*", until=None, words="the bill", by="ada")
    fleet.app.breakers.met(DEFAULT, "", limit(until=fleet.clock() + 1), job=job)
    fleet.clock.forward(30 * 86_400.0)
    assert tried(fleet, other) is ClaimRefusal.LIMITED
    assert breaker(fleet, model="*").state is BreakerState.CLOSED
    fleet.app.breakers.reopen(DEFAULT, by="ada")
    fleet.app.breakers.close(DEFAULT, "*", until=fleet.clock() + HOUR, words="", by="ada")
    fleet.clock.forward(HOUR + 1)
    assert tried(fleet, other) == DEFAULT


def test_a_cancelled_job_waits_for_nothing(made: Made) -> None:
    """It leaves the list, and the gate goes with the last of them."""
    fleet = made()
    job = fleet.enqueue().job
    tried(fleet, job)
    put_off(fleet, job, limit(until=fleet.clock() + HOUR))
    tried(fleet, job)
    assert fleet.app.job_store.limited(10) == [job]
    fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
    assert fleet.app.job_store.limited(10) == []
    published(fleet)
    assert fleet.redis.hgetall(fleet.app.keys("gates")) == {}


def test_a_record_that_cannot_be_read_hides_no_other(made: Made) -> None:
    """Others who reach the server can write there."""
    fleet = made()
    tried(fleet, fleet.enqueue().job)
    fleet.redis.hset(fleet.app.keys("breakers"), "odd", "{")
    assert [each.account for each in fleet.app.breakers.all()] == [DEFAULT]


def test_a_job_whose_limit_could_not_be_noted_is_known_as_that(made: Made) -> None:
    """Nothing would hold it: its worker has to say so, and the back-off of jobs does."""
    fleet = made()
    job = fleet.enqueue().job
    tried(fleet, job)
    claimed = fleet.app.jobs.find(job)
    accounts = LeasedAccounts(breakers=fleet.app.breakers)
    assert accounts.met(claimed, limit())
    assert not accounts.met(replace(claimed, account=""), limit())
    fleet.redis.set(fleet.app.keys("breakers"), "no hash")
    assert not accounts.met(claimed, limit())


def test_a_closed_account_has_a_countdown(made: Made) -> None:
    """For pages, metrics and commands alike: how long it takes, who tries it, or that a person must."""
    fleet = made("a", "b")
    first, second = jobs_of(fleet, 2)
    tried(fleet, first)
    tried(fleet, second)
    assert fleet.app.breakers.closed() == []
    put_off(fleet, first, limit(until=fleet.clock() + 2 * HOUR))
    put_off(fleet, second, limit(LimitKind.AUTH, is_wide=True))
    fleet.app.breakers.close("claude:c", "*", until=None, words="the bill", by="ada")
    fleet.clock.forward(1800)
    accounts = {each.name: each for each in fleet.app.breakers.closed()}
    limited = accounts.pop(next(name for name in accounts if name in {"claude:a/", "claude:b/"}))
    assert limited.seconds_left == pytest.approx(5400)
    assert limited.countdown == "in 1 h 30 min"
    assert (limited.why, limited.words) == ("its usage limit is reached", "enough for today")
    broken, closed = accounts.values()
    assert (broken.needs_person, closed.needs_person, limited.needs_person) == (True, True, False)
    assert (closed.seconds_left, closed.countdown) == (None, "when a person opens it")
    fleet.clock.forward(5401)
    assert ClosedAccount.of(breaker(fleet, limited.account), fleet.clock()) is not None
    tried(fleet, first)
    (probed,) = [each for each in fleet.app.breakers.closed() if each.name == limited.name]
    assert probed.countdown == f"now, by job {first}"


def test_spans_are_words() -> None:
    """As a countdown shows them."""
    assert [span(seconds) for seconds in (3, 75, 120, 4000, 100_000)] == [
        "3 s", "1 min 15 s", "2 min", "1 h 6 min", "1 d 3 h",
    ]  # fmt: skip


def test_an_account_takes_nothing_that_is_the_workers() -> None:
    """Names are checked when the settings are read."""
    wrong: list[dict[str, Any]] = [
        {"secrets": ["COALMINE_REDIS_URL"]},
        {"secrets": ["A B"]},
        {"environment": {"CELERY_X": "1"}},
    ]
    for fields in wrong:
        with pytest.raises(ValueError, match=r"belong to the worker|neither NAME"):
            Account(name="a", runtime="claude", **fields)


def test_what_an_earlier_release_noted_of_a_gate_is_read(made: Made) -> None:
    """It noted a bare number there, the time; a note that says nothing is as none."""
    fleet = made()
    (job,) = jobs_of(fleet, 1)
    fleet.app.breakers.close(DEFAULT, "*", until=fleet.clock() + HOUR, words="the bill", by="ada")
    assert tried(fleet, job) is ClaimRefusal.LIMITED
    gates = fleet.app.job_store.keys("gates")
    (digest,) = [name for name in fleet.redis.hkeys(gates) if name[0] not in "!?"]
    fleet.redis.hset(gates, f"!{digest}", f"{fleet.clock():.6f}")
    fleet.redis.hset(gates, "!of-another", f"{fleet.clock():.6f}")
    fleet.redis.hset(gates, "!unreadable", "{")
    assert published(fleet) == []
    fleet.clock.forward(HELD_ANEW_SECONDS)
    assert published(fleet) == [job]
