"""An account's breaker against a simple model: jobs wait while it is closed, and one job tries it again."""

import random

import fakeredis
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from hypothesis.strategies import none, one_of, sampled_from

from routing.accounts.breaker import BACK_OFF_CAP_SECONDS, BACK_OFF_FIRST_SECONDS
from routing.accounts.limit import AccountLimit, LimitKind
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import SteppedFleet

LEASE = 30.0


class BreakerMachine(RuleBasedStateMachine):
    """Jobs of one version, which all work with one account; a provider with limits, and a person."""

    jobs, claims = Bundle("jobs"), Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.client = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer())
        self.fleet = SteppedFleet(self.client, generator=random.Random(1), job={"max_attempts": 100})
        self.fleet.add()
        self.app, self.clock = self.fleet.app, self.fleet.clock
        self.breakers = self.app.breakers
        self.state = "open"
        self.until: float | None = None  # when it may be tried again; None: when a person says so
        self.tries = 0
        self.probe = ""  # the job that tries it
        self.leases: dict[str, float] = {}  # of jobs that are at work, and when they end
        self.ended: set[str] = set()  # jobs

    def teardown(self) -> None:
        """Close the server."""
        self.client.close()

    @rule(target=jobs)
    def enqueue(self) -> str:
        """A job comes."""
        return self.fleet.enqueue().job

    @rule(target=claims, job=jobs)
    def claim(self, job: str) -> Claim | None:
        """It begins while the account is open, or as the one that tries it."""
        now = self.clock()
        found = self.app.jobs.claim(job, worker="w", lease_seconds=LEASE)
        if job in self.ended:
            assert found is ClaimRefusal.FINAL
        elif self.leases.get(job, 0.0) > now:
            assert found is ClaimRefusal.TAKEN
        elif self.state == "open" or self._may_try(job, now):
            assert isinstance(found, Claim), found
            self.leases[job] = now + LEASE
            self.probe = self.probe if self.state == "open" else job
            return found
        else:
            assert found is ClaimRefusal.LIMITED
        return None

    @rule(job=jobs, other=jobs)
    def try_again(self, job: str, other: str) -> None:
        """When its time has come, two jobs want to be the one that tries it."""
        if self.until is not None:
            self.clock.forward(max(0.0, self.until - self.clock()))
            self.claim(job)
            self.claim(other)

    def _may_try(self, job: str, now: float) -> bool:
        tried = self.probe not in {"", job} and self.leases.get(self.probe, 0.0) > now
        return self.until is not None and self.until <= now and not tried

    @rule(claim=claims)
    def answer(self, claim: Claim | None) -> None:
        """The model answers a job: if that is the one that tries the account, it is open."""
        if claim is None:
            return
        opens = self.state != "open" and self.until is not None and self.probe == claim.job.id
        assert self.breakers.answered(claim.job.account, claim.job.model, job=claim.job.id) == opens
        if opens:
            self._open()

    @rule(claim=claims, seconds=one_of(none(), sampled_from([10.0, 100.0])))
    def meet(self, claim: Claim | None, seconds: float | None) -> None:
        """A job meets a limit; one that began before the account was closed can only put its end off."""
        if claim is None:
            return
        now, job = self.clock(), claim.job.id
        till = None if seconds is None else now + seconds
        said = self.breakers.met(
            claim.job.account, claim.job.model, AccountLimit(kind=LimitKind.RATE, until=till), job=job
        )
        assert said == (self.state == "open")
        if self.state == "closed":
            return  # a person's word counts
        if self.state == "limited" and self.probe != job:
            assert self.until is not None
            self.until = max(self.until, till or 0.0)
            return
        self.tries = 0 if self.state == "open" else self.tries + 1
        back_off = min(BACK_OFF_CAP_SECONDS, BACK_OFF_FIRST_SECONDS * 2**self.tries)
        if till is None:
            self.until = now + back_off
        else:
            self.until = max(till, now + (back_off / 2 if self.tries else 1))
        self.state, self.probe = "limited", "" if self.probe == job else self.probe

    @rule(opens=sampled_from([True, True, False]))
    def decide(self, opens: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """A person opens the account, or closes it until somebody opens it."""
        known = next(iter(self.breakers.all()), None)
        if known is None:
            return  # nobody has used the account
        account, model = known.account, known.model
        if opens:
            assert bool(self.breakers.reopen(account, by="ada")) == (self.state != "open")
            self._open()
        else:
            self.breakers.close(account, model, until=None, words="no", by="ada")
            self.state, self.until, self.probe = "closed", None, ""

    @rule(claim=consumes(claims))
    def end(self, claim: Claim | None) -> None:
        """A job ends, and with it what it tried."""
        if claim is None or self.leases.get(claim.job.id, 0.0) <= self.clock():
            return
        if self.app.jobs.find(claim.job.id).fence == claim.fence:
            self.app.jobs.end(claim, JobState.SUCCEEDED, reason="r", result=JobResult())
            del self.leases[claim.job.id]
            self.ended.add(claim.job.id)

    @rule(seconds=sampled_from([1.0, LEASE + 1, 200.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.forward(seconds)

    @invariant()
    def the_breaker_says_what_the_model_says(self) -> None:
        """Whether it is open, and until when not."""
        for each in self.breakers.all():
            assert each.is_open == (self.state == "open")
            if not each.is_open:
                assert each.until == self.until

    def _open(self) -> None:
        self.state, self.until, self.tries, self.probe = "open", None, 0, ""


BreakerMachine.TestCase.settings = settings(max_examples=10, stateful_step_count=25)
TestAccountsAgreeWithTheirModel = BreakerMachine.TestCase
