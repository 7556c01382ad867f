"""A whole fleet for tests: the composition root with a clock, draws and a publisher of our own."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import redis

from console.web.app import web_of
from harvest.evidence.policy import TrialPolicy
from routing.errors import UnavailableError
from routing.events import Event
from routing.generator import Generator
from routing.jobs.correction import Correction
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest, JobResult, JobState, Priority
from routing.jobs.lifecycle import Claim, Jobs
from routing.jobs.mailbox import Enqueued
from routing.jobs.publisher import NOTHING, Publisher
from routing.jobs.retry import Again, Attempts, retry
from routing.jobs.signal import Signal, SignalKind, signal
from routing.jobs.turn import Repair, TurnKind
from routing.store.sessions.session_store import TurnEnd, TurnRefusal
from routing.templates.step import Steps
from routing.templates.trial import Trial
from routing.templates.version import Snapshot, Version
from tasks.agents.runtimes.agent_event import Usage
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import CanarySettings, JobSettings, OnRollback, Settings
from tests.servers.web_client import WebClient

#: Seconds since the epoch at which a test's clock begins.
START = 1_700_000_000.0

#: A policy under which a few jobs decide, and outcomes settle at once.
QUICK = TrialPolicy(share=0.5, revert_window_seconds=0.0)


class SteppedClock:
    """Time that moves when a test moves it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class ScriptedGenerator:
    """A generator that returns given values, and counts how often it was asked."""

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self.numbers = deque(numbers)
        self.asked = 0

    def random(self) -> float:
        """The next number of the script; asking once too often fails the test."""
        self.asked += 1
        return self.numbers.popleft()


class MemoryPublisher:
    """A broker in memory, which can be made to fail or to lose its messages."""

    def __init__(self) -> None:
        self.queues: dict[str, list[str]] = {"champion": [], "canary": [], "backtest": []}
        self.sent: list[tuple[str, str, Priority]] = []
        self.down = False
        self.shows_heads = False  # as Redis does, and other brokers do not

    def publish(self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING) -> None:
        """Put a message at the end of a queue."""
        del shown
        if self.down:
            message = "the broker is down"
            raise UnavailableError(message)
        self.queues[queue].append(job)
        self.sent.append((job, queue, priority))

    def depth(self, queue: str) -> int:
        """Messages that wait."""
        if self.down:
            message = "the broker is down"
            raise UnavailableError(message)
        return len(self.queues.get(queue, ()))

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """The same of several queues."""
        return {queue: self.depth(queue) for queue in queues}

    def heads(self, queue: str) -> Mapping[Priority, str] | None:
        """The first job of each priority."""
        if not self.shows_heads:
            return None
        priorities = {job: priority for job, _, priority in self.sent}
        return {priorities[job]: job for job in reversed(self.queues[queue])}

    def prepared(
        self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING
    ) -> tuple[str, str] | None:
        """Another server than the store: nothing can be pushed in its step."""
        del job, queue, priority, shown
        return None


def spend(parts: Coalmine, claim: Claim, usage: Usage, *, seconds: float = 0.0, finished: str = "") -> None:
    """Let a turn of a claimed job end that has consumed something, as its worker does."""
    name, life = f"a-{claim.job.id}", {"role": "builder", "parent": "", "job": claim.job.id}
    begun = parts.sessions.begin(name, lease_seconds=30, worker="w1", start=life)
    assert not isinstance(begun, TurnRefusal)
    end = TurnEnd(
        name=name, fence=int(begun["fence"]), to="between_turns", reason="",
        allowed=["booting", "between_turns"], job=claim.job.id, cost=usage.cost(seconds),
        payer=claim.job.payer, job_fence=claim.fence, finished=finished,
    )  # fmt: skip
    assert parts.sessions.end(end).done


def _settings(**given: Any) -> Settings:
    """Settings; they are frozen, and take a while to make, so those of one kind are made once a process."""
    outside = sorted(item for item in os.environ.items() if item[0].startswith("COALMINE_"))
    kind = repr((given, outside, Path.cwd()))
    if kind not in _MADE:
        _MADE[kind] = Settings(**given)
    return _MADE[kind]


_MADE: dict[str, Settings] = {}


class SteppedFleet:
    """What a test does with a fleet, in few words."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        draws: Iterable[float] = (),
        policy: TrialPolicy = QUICK,
        enabled: bool = True,
        generator: Generator | None = None,
        publisher: Publisher | None = None,
        clock: Callable[[], float] | None = None,
        on_rollback: OnRollback = OnRollback.FINISH,
        steps: Steps | None = None,
        **settings: Any,
    ) -> None:
        self.redis: Any = client
        self.clock = SteppedClock()
        self.generator = ScriptedGenerator(draws)
        self.broker = MemoryPublisher()
        self.app: Coalmine = compose(
            _settings(
                canary=CanarySettings(enabled=enabled, policy=policy, on_rollback=on_rollback, steps=steps),
                job=JobSettings(**settings.pop("job", {})),
                **settings,
            ),
            redis=client,
            generator=generator or self.generator,
            publisher=publisher or self.broker,
            clock=clock or self.clock,
        )

    @cached_property
    def web(self) -> WebClient:
        """A client of the fleet's pages and API; the application takes a moment to make, and is made once."""
        return WebClient(web_of(self.app))

    def add(self, name: str = "implementer", prompt: str = "one") -> Version:
        """Make a template."""
        return self.app.templates.add(name, Snapshot(prompt=prompt)).version

    def propose(self, prompt: str = "two", name: str = "implementer") -> Version:
        """Propose a version that waits for a person."""
        return self.app.templates.propose(name, Snapshot(prompt=prompt)).version

    def open(self, canary: Version, policy: TrialPolicy | None = None) -> Trial:
        """Put a version on trial."""
        chosen = policy or self.app.settings.canary.policy
        return self.app.proposals.open(canary, chosen, by="ada").trial

    def on_trial(self, name: str = "implementer") -> Trial:
        """A template with a champion and an open trial."""
        self.add(name)
        return self.open(self.propose(name=name))

    def enqueue(self, template: str = "implementer", **fields: Any) -> Enqueued:
        """Enqueue one request."""
        return self.app.mailbox.enqueue(request(template, **fields))

    def claim(self, job: str, *, lease_seconds: float = 30.0) -> Claim:
        """Win a job's lease, which must succeed."""
        won = self.app.jobs.claim(job, worker="w1", lease_seconds=lease_seconds)
        assert isinstance(won, Claim), won
        return won

    def end(self, job: str, kind: SignalKind = SignalKind.FINISHED, **result: Any) -> None:
        """Work a job to its end with one fact about it."""
        state = JobState.SUCCEEDED if kind is SignalKind.FINISHED else JobState.ESCALATED
        self.app.jobs.end(
            self.claim(job), state, reason=kind.value, result=JobResult(**result), signals=[self.fact(kind)]
        )

    def spend(
        self, claim: Claim, *, usd: float | None = 0.0, seconds: float = 0.0, finished: str = ""
    ) -> None:
        """Let a turn of a claimed job end that has cost something; `finished`: it did its work."""
        spend(self.app, claim, Usage(cost_usd=usd), seconds=seconds, finished=finished)

    def fact(self, kind: SignalKind, **fields: Any) -> Signal:
        """A fact that became true now."""
        return signal(kind, at=self.clock(), **fields)

    def events(self, *kinds: str) -> list[Event]:
        """Events of some kinds, or all, oldest first."""
        return [event for event in self.app.events.all() if not kinds or event.kind in kinds]

    def kinds(self) -> list[str]:
        """The kinds of all events, oldest first."""
        return [event.kind for event in self.events()]

    def state(self, version: Version) -> str:
        """A version's state now."""
        return self.app.templates.find(version.id).state.value

    def everything(self) -> dict[str, Any]:
        """All that the server holds, to see that nothing was written."""
        return contents(self.redis)


def red(repair: Repair, *, most: int = 5) -> Correction:
    """What the watcher sends a job back for whose commit is red."""
    return Correction(kind=TurnKind.FIX_FORWARD, repair=repair, reason="CI is red", most=most)


def request(template: str = "implementer", **fields: Any) -> JobRequest:
    """A request that is fit to be enqueued."""
    return JobRequest.checked(template=template, **({"task": "fix the roof"} | fields))


def contents(client: Any) -> dict[str, Any]:
    """Every key with its value."""
    read: dict[str, Callable[[str], Any]] = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": lambda key: sorted(client.smembers(key)),
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    return {key: read[client.type(key)](key) for key in sorted(client.keys())}


def fail_attempt(
    jobs: Jobs, claim: Claim, *, reason: str = "crash", result: JobResult | None = None,
    signals: Sequence[Signal] = (),
) -> bool:  # fmt: skip
    """Report an attempt that the agent failed, as a worker does; returns whether the job runs again."""
    reported, follow_up = result or JobResult(exit_code=1), retry(Ending.RESULT, Attempts.of(claim.job))
    if isinstance(follow_up, Again):
        jobs.try_again(claim, follow_up, reason=reason, result=reported)
    else:
        jobs.give_up(claim, reason=reason, result=reported, signals=signals)
    return isinstance(follow_up, Again)
