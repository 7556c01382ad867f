"""A fleet for forges in memory, on a stand-in for Redis: ticks by hand, and processes that die."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import redis
import structlog

from routing.backlog.item import BacklogItem
from routing.base import Base
from routing.errors import CoalmineError
from routing.forges.commit_status import StatusState
from routing.forges.config import RemoteConfig
from routing.forges.site import ForgeSite
from routing.git.remote import Remote
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind
from tasks.composition.forge_parts import ForgeParts
from tasks.issues.site import place_of
from tasks.settings.issue_settings import IssueSettings
from tests.fakes.memory_forge import MemoryForge
from tests.fakes.memory_repository import MemoryRepository
from tests.fakes.mishaps import Mishaps, ProcessDiedError
from tests.fakes.watched_redis import load_scripts, watched
from tests.fleets.stepped_fleet import SteppedClock, SteppedFleet

_log = structlog.get_logger(__name__)

#: Seconds between two rounds of ticks: what a dead process has begun is looked into after fewer.
ROUND_SECONDS = 40.0

#: What an agent does in one turn on an issue, by the names of the acts below.
Acts = Mapping[int, list[str]]


class ForgeFleet:
    """One process with the ticks, another one that works, and what people do."""

    def __init__(
        self, client: redis.Redis, *forges: MemoryForge, clock: SteppedClock | None = None,
        mishaps: Mishaps | None = None, acts: Acts | None = None, **changes: Any,
    ) -> None:  # fmt: skip
        self.clock = clock or SteppedClock()
        self.mishaps = mishaps or Mishaps()
        self.forges = forges or (MemoryForge(self.clock, mishaps=self.mishaps),)
        self.forge = self.forges[0]
        self.acts = {number: list(acts) for number, acts in (acts or {}).items()}
        self.settings = changes.pop("settings", IssueSettings(fleet_size=10))
        self.ci_seconds = changes.pop("ci_seconds", 0.0)  # until CI has judged a commit
        self.sources = changes.pop("sources", {})  # settings of trackers whose issues are worked on there
        self.shared: dict[str, Any] = changes.pop("shared", {})  # what both processes have beside the forges
        self.people: Callable[[ForgeFleet], object] = changes.pop("people", lambda _: None)  # every round
        self.changes = changes  # of the settings of all forges, or of one by its name
        self.asked: list[str] = []  # commands of Redis that the ticks have sent
        self.complaints: list[str] = []  # what ended a tick
        self.deaths = 0
        self.judging: list[tuple[float, Callable[[], None]]] = []  # what CI has yet to say, and when
        self.client: redis.Redis | None = None  # of the process with the ticks
        load_scripts(client)
        self.hands = SteppedFleet(
            client, draws=[0.5] * 500, clock=self.clock, issues=self.settings, **self.shared
        )
        self.hands.add()
        self.restart()

    def restart(self) -> None:
        """Another process takes the place of the one with the ticks: it knows nothing but what is stored."""
        self.stop()
        client = self.client = watched(self.hands.redis, self.mishaps, self.asked)
        self.fleet = SteppedFleet(
            client, draws=[0.5] * 500, clock=self.clock, issues=self.settings,
            **self.sources, **self.shared,
        )  # fmt: skip
        self.parts = ForgeParts(
            coalmine=self.fleet.app,
            run_ci=lambda _commit: None,
            given={forge.name: self.site(forge) for forge in self.forges},
        )

    def stop(self) -> None:
        """Close what the process holds open; it can go on all the same."""
        if self.client is not None:
            self.client.connection_pool.disconnect()

    def site(self, forge: MemoryForge) -> ForgeSite:
        """The forge as the fleet's settings describe it."""
        given = self.changes | self.changes.get(forge.name, {})
        fields = {name: value for name, value in given.items() if name in RemoteConfig.model_fields}
        plain: dict[str, Any] = {"kill_switch": False, "repositories": tuple(forge.repositories)}
        plain["merge"] = "green"
        plain["settle_seconds"] = 0  # CI says all that it says at once
        config = RemoteConfig(kind="memory", name=forge.name, **(plain | fields))
        return ForgeSite(config=config, forge=forge, remote=lambda repo: Remote(address=repo))

    def change(self, **changes: Any) -> None:
        """Other settings, from the next process on, which begins now."""
        self.changes |= changes
        self.restart()

    def poll(self) -> None:
        """The tick `tasks.poll` of each forge."""
        for site in self.parts.sources.values():
            self._alone(lambda site=site: self.parts.collector.poll(site))  # type: ignore[misc]

    def dispatch(self) -> list[str]:
        """The ticks that make jobs."""
        self._alone(self.parts.collector.look)
        return self._alone(self.parts.dispatcher.tick) or []

    def watch(self) -> None:
        """The tick `tasks.watch`."""
        self._alone(self.parts.watcher.tick)
        self._alone(self.parts.watcher.land)

    def _alone(self, tick: Callable[[], Any]) -> Any:
        """As Celery runs it: what ends one tick ends no other, and a process that died is replaced."""
        try:
            return tick()
        except CoalmineError as error:
            self.complaints.append(str(error))
        except ProcessDiedError:
            self.deaths += 1
            self.restart()
        return None

    def round(self) -> None:
        """All ticks once, the work that is there, CI, people, and some time."""
        for at, say in list(self.judging):
            if at <= self.clock():
                self.judging.remove((at, say))
                say()
        self.people(self)
        self.poll()
        self.dispatch()
        self.work()
        self.watch()
        self.clock.forward(ROUND_SECONDS)

    def rounds(self, number: int) -> None:
        """Several."""
        for _ in range(number):
            self.round()

    def until_quiet(self, *, most: int = 60) -> None:
        """Go on until two rounds have changed nothing."""
        same, before = 0, self._motion()
        for _ in range(most):
            self.round()
            now = self._motion()
            same = same + 1 if now == before else 0
            if same == 2 and not self.judging:
                self.stop()
                return
            before = now
        message = f"still not quiet after {most} rounds: {self.portrait()}"
        raise AssertionError(message)

    def _motion(self) -> tuple[int, ...]:
        """What grows as long as anything happens."""
        histories = [len(forge.history) for forge in self.forges]
        return (self.hands.redis.xlen(self.hands.app.keys("events")), self.deaths, *histories)

    def work(self) -> None:
        """Have every queued job worked by an agent that does as the test says, or else pushes green work."""
        for job in self.hands.app.jobs.newest(most=100, states=frozenset({JobState.QUEUED})):
            self.act(job.id)

    def act(self, job_id: str) -> None:
        """One turn of one job's agent."""
        claim = self.hands.claim(job_id)
        left = self.acts.get(IssueRef.parse(claim.job.request.issue).number, [])
        self.act_on(claim, left.pop(0) if left else "green")

    def act_on(self, claim: Claim, act: str) -> None:
        """The end of a turn: `fails`, or else a push, of which CI says what `push` gets."""
        if act == "fails":
            self.hands.app.jobs.end(
                claim, JobState.ESCALATED, reason="committed nothing", result=JobResult(),
                signals=[self.hands.fact(SignalKind.NOTHING_PUSHED)],
            )  # fmt: skip
            return
        if claim.job.base is None:
            base = Base(branch="main", commit=self.repository_of(claim.job).tip())
            self.hands.app.job_store.note_base(claim.job.id, claim.fence, base)
        commit = self.push(claim.job, act)
        self.hands.app.jobs.pushed(claim, JobResult(commit=commit, branch=claim.job.branch))

    def repository_of(self, job: Job) -> MemoryRepository:
        """Where a job's work is pushed to."""
        return self._forge_of(job).repositories[place_of(job)[1]]

    def _forge_of(self, job: Job) -> MemoryForge:
        return next(one for one in self.forges if one.name == place_of(job)[0])

    def push(self, job: Job, act: str) -> str:
        """Work on a job's branch, and what CI says of it: `green`, `red`, or anything else for nothing."""
        forge, repository = self._forge_of(job), self.repository_of(job)
        push = repository.more_work if job.branch in repository.branches else repository.work
        commit = push(job.branch, {f"{act}.txt": act})
        if act in {"green", "red"}:
            state = StatusState.SUCCESS if act == "green" else StatusState.FAILURE
            say = partial(forge.say, commit, state, text=f"it is {act}")
            self.judging.append((self.clock() + self.ci_seconds, say))
            if not self.ci_seconds:
                self.judging.pop()[1]()
        return commit

    def jobs(self, ref: IssueRef | None = None) -> list[Job]:
        """All jobs, or those of one issue, oldest first."""
        found = self.hands.app.jobs.newest(most=200)[::-1]
        return [job for job in found if ref is None or job.request.issue == str(ref)]

    def item(self, ref: IssueRef) -> BacklogItem:
        """An issue as the backlog has it."""
        found = ForgeParts(
            coalmine=self.hands.app, run_ci=lambda _commit: None, given=self.parts.sites
        ).backlog.find(ref)
        assert found is not None
        return found

    def signals(self, job: Job) -> list[str]:
        """The kinds of the facts about a job, in order of their ids."""
        return sorted(fact.kind.value for fact in self.hands.app.signals.read(job.id))

    def portrait(self) -> str:
        """What people see in the end: whatever came of it, job ids and times apart."""
        lines = []
        for forge in self.forges:
            for ref, issue in sorted(forge.issues.items(), key=lambda one: str(one[0])):
                jobs = self.jobs(ref)
                item = self.parts_free(ref)
                texts = [self._plain(text, jobs) for text in forge.checklists(ref)]
                lines.append(f"{ref} {issue.state} {sorted(issue.labels)} {item} {texts}")
                closed = forge.history.count((str(ref), "closed"))
                lines.append(f"  closed {closed} times")
                lines += [
                    f"  job {job.state} {job.fix_forwards} {job.reason} {self.signals(job)}" for job in jobs
                ]
            lines += [f"change {one.state} {one.head}" for one in forge.changes]
        effects = self.hands.app.job_store.with_effects(100)
        return "\n".join([*lines, f"effects {len(effects)}", *self._notified()])

    def parts_free(self, ref: IssueRef) -> str:
        """State of the item and whose it is."""
        found = self.hands.redis.hget(self.hands.app.keys("backlog"), str(ref))
        active = self.hands.app.job_store.active_on([str(ref)])[0][0]
        state = self.item(ref).state.value if found else "unknown"
        return f"{state} {'taken' if active else 'free'}"

    def _notified(self) -> list[str]:
        """The events that people are notified of, and those that make work.

        Not that people merged: the tick that saw it first either noted that, or ended the job with it.
        """
        kinds = ("job.queued", "job.fix_forward", "job.finished", "job.signal")
        states = [
            f"{one.kind} {one.data.get('state', '')}"
            for one in self.hands.events(*kinds)
            if one.data.get("kind") != "merged"
        ]
        ends = [
            f"{one.subject} {one.data['to']}"
            for one in self.hands.events("backlog.state")
            if one.data["to"] in {"completed", "escalated", "frozen"}
        ]
        return sorted(states) + sorted(ends)

    @staticmethod
    def _plain(text: str, jobs: list[Job]) -> str:
        for job in jobs:
            text = text.replace(job.id, "JOB")
        return text
