"""What the fleet is given to do while faults happen: jobs by their thousands, some agents, issues, trials."""

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from harvest.evidence.policy import TrialPolicy
from routing.errors import CoalmineError, UnavailableError
from routing.jobs.job import JobRequest, Priority
from routing.jobs.publisher import NOTHING
from routing.templates.trial import Mode
from tasks.composition.composition import Coalmine, compose
from tests.chaos.fleet import ChaosFleet
from tests.chaos.work import ISSUE, NO_OP, NO_OP_PAIRS, SCRIPT, no_op, script

#: Jobs that may wait or be at work at once: with more, how soon a lost one runs again would be the queue's.
MOST_OPEN = 120

#: Of each hundred jobs: real processes without a repository, and halves of pairs.
SCRIPTS, PAIRS = 6, 8

#: By draws; a few dozen jobs decide.
DRAWS = TrialPolicy(share=0.5, delta=0.3, alpha=0.1, beta=0.1, revert_window_seconds=0.0, max_canary_jobs=60)

#: In pairs; most of them end as drawn, so that trials end at their limit.
SHADOWS = TrialPolicy(
    mode=Mode.SHADOW, delta=0.3, alpha=0.1, beta=0.1, revert_window_seconds=0.0, max_canary_jobs=12
)


class BrokenBroker:
    """A publisher whose broker takes no message: the jobs stay in the outbox."""

    def publish(self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING) -> None:
        """Fail."""
        del job, queue, priority, shown
        message = "the broker is away"
        raise UnavailableError(message)

    def depth(self, queue: str) -> int:
        """Fail."""
        del queue
        message = "the broker is away"
        raise UnavailableError(message)

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Fail."""
        return {queue: self.depth(queue) for queue in queues}

    def heads(self, queue: str) -> Mapping[Priority, str] | None:
        """Fail."""
        return {} if self.depth(queue) else None

    def prepared(
        self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING
    ) -> tuple[str, str] | None:
        """Nothing is pushed by the step that accepts a job."""
        del job, queue, priority, shown
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSize:
    """How much is to be done."""

    jobs: int
    issues: int
    a_second: float  # jobs that are enqueued each second, so that the faults find work


class Load:
    """Enqueues, opens trials and files issues, in a thread; what was acknowledged is in `enqueued`."""

    priorities = tuple(Priority)

    def __init__(self, fleet: ChaosFleet, size: LoadSize, seed: int) -> None:
        self._fleet, self._size = fleet, size
        self._random = random.Random(seed)
        self._parts = fleet.parts
        self._without = compose(
            self._parts.settings,
            redis=self._parts.redis,
            publisher=BrokenBroker(),
            generator=random.Random(seed),
        )
        self._broken = 0  # callers for whom the broker is away
        self._tried = 0  # versions that were proposed
        self.enqueued: list[str] = []  # ids of jobs, in the order in which they were acknowledged
        self.forge_lock = threading.Lock()  # held while the forge is not there
        self.filed = 0
        self.errors = 0  # calls that were not answered, and made again
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopped = threading.Event()
        self.failure: BaseException | None = None

    def prepare(self) -> None:
        """Make the templates; before any fault."""
        self._parts.templates.add(NO_OP, no_op("usual-0"))
        self._parts.templates.add(NO_OP_PAIRS, no_op("usual-0"))
        self._parts.templates.add(SCRIPT, script(self._fleet.folder))
        self._parts.templates.add(ISSUE, script(self._fleet.folder, commits=True))

    def start(self) -> None:
        """Begin to enqueue."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait until all is enqueued; False when the time is over, after which no more is."""
        self._thread.join(timeout)
        done = not self._thread.is_alive()
        self._stopped.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure
        return done

    def known_jobs(self) -> frozenset[str]:
        """The jobs that were enqueued so far, and those that the dispatcher made of issues."""
        found = set(self.enqueued[-2000:])
        with suppress(CoalmineError):
            found.update(job.id for job in self._parts.jobs.newest(most=100))
        return frozenset(found)

    @contextmanager
    def without_broker(self) -> Iterator[None]:
        """Every publication fails; the records are written all the same."""
        self._broken += 1
        try:
            yield
        finally:
            self._broken -= 1

    def _run(self) -> None:
        try:
            self._enqueue_all()
        except BaseException as error:  # noqa: BLE001 - one thread's boundary; raised by `join`
            self.failure = error

    def _enqueue_all(self) -> None:
        begun, number = time.monotonic(), 0
        while number < self._size.jobs and not self._stopped.is_set():
            self._see_to_trials()
            self._file_issues(number)
            due = int((time.monotonic() - begun) * self._size.a_second)
            room = MOST_OPEN - self._open()
            for _ in range(max(0, min(due - number, room, 20, self._size.jobs - number))):
                self._enqueue(number)
                number += 1
            self._stopped.wait(0.05)

    def _open(self) -> int:
        keys = self._parts.keys
        with self._fleet.admin() as admin, suppress(Exception):
            return int(admin.zcard(keys("unclaimed"))) + int(admin.zcard(keys("leases")))
        return MOST_OPEN

    def _enqueue(self, number: int) -> None:
        """Enqueue until it is acknowledged: the key makes it one job, however often it is asked for."""
        kind = self._random.random() * 100
        template = SCRIPT if kind < SCRIPTS else NO_OP_PAIRS if kind < SCRIPTS + PAIRS else NO_OP
        request = JobRequest(
            template=template, task="do it", title=f"job {number}", idempotency_key=f"chaos-{number}",
            repository="local:shop" if template == NO_OP_PAIRS else "",
            priority=self._random.choice(self.priorities),
        )  # fmt: skip
        while True:
            parts: Coalmine = self._without if self._broken else self._parts
            try:
                self.enqueued.append(parts.mailbox.enqueue(request).job)
            except CoalmineError:
                self.errors += 1
                if self._stopped.wait(0.1):
                    return
            else:
                return

    def _see_to_trials(self) -> None:
        """A template whose trial has ended gets the next version on trial."""
        for template, policy in ((NO_OP, DRAWS), (NO_OP_PAIRS, SHADOWS)):
            with suppress(CoalmineError):
                if self._parts.trials.of_template(template) is None:
                    self._tried += 1
                    skill = self._random.choice(["good", "bad", "usual"])
                    proposed = self._parts.templates.propose(template, no_op(f"{skill}-{self._tried}"))
                    self._parts.proposals.open(proposed.version, policy, by="chaos")

    def _file_issues(self, number: int) -> None:
        """Issues come as the jobs do; not while the forge is away."""
        due = -(-self._size.issues * (number + 1) // self._size.jobs)
        if self.filed >= min(due, self._size.issues) or not self.forge_lock.acquire(blocking=False):
            return
        try:
            self.filed += 1
            text = f"---\ntitle: Write file {self.filed}\n---\nA file is missing.\n"
            (self._fleet.folder / "issues" / f"{self.filed}.md").write_text(text)
        finally:
            self.forge_lock.release()

    def close_trials(self) -> None:
        """End the trials that have no verdict at the end of a run, as a person would."""
        for trial in self._parts.trials.open_trials():
            self._parts.trials.stop(trial, by="chaos", reason="the run is over")
