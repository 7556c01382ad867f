"""How each fault is done to the fleet. All of them end by themselves, or with `heal`."""

import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psutil
from redis.exceptions import RedisError

from routing.embedded.private_server import PrivateServer
from routing.errors import CoalmineError, UnavailableError
from routing.jobs.publisher import PRIORITY_STEPS
from tasks.composition.composition import compose
from tests.chaos.fleet import ChaosFleet, Downtime
from tests.chaos.load import Load
from tests.chaos.plan import Fault, PlannedFault
from tests.chaos.work import DISK_FULL, FORGE_SLOW

#: The broker's lists of messages, one for each queue and priority; see kombu's Redis transport.
QUEUES = tuple(
    f"coalmine:{queue}" + (f"\x06\x16{step}" if step else "")
    for queue in ("champion", "canary")
    for step in sorted(PRIORITY_STEPS.values())
)

#: Seconds for which the port of a server that is to come back may be somebody else's.
PORT_SECONDS = 120.0

#: What a forge may say that is not an issue.
NONSENSE = (
    "", "---\ntitle: [\n---\n", "---\ntitle: 5\nlabels: 7\nblocked_by: {a: b}\n---\n", "\0\ufffd\x1b[2J" * 40,
    "---\nnumber: -1\nstate: perhaps\n---\n---\n---\n", "{" * 2000,
)  # fmt: skip


class FaultRunner:
    """Does planned faults, each in a thread of its own, and counts them."""

    def __init__(self, fleet: ChaosFleet, load: Load) -> None:
        self._fleet, self._load = fleet, load
        self._threads: list[threading.Thread] = []
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        self.dropped = 0  # messages
        self._doing: dict[Fault, Callable[[PlannedFault], bool]] = {
            Fault.WORKER_KILLED: self._kill_worker,
            Fault.WORKER_FROZEN: self._freeze_worker,
            Fault.BEAT_KILLED: lambda _: self._kill("beat"),
            Fault.WEB_KILLED: lambda _: self._kill("web"),
            Fault.AGENT_KILLED: self._kill_agent,
            Fault.SERVER_KILLED: lambda planned: self._without_server(planned, signal.SIGKILL),
            Fault.SERVER_STOPPED: lambda planned: self._without_server(planned, signal.SIGTERM),
            Fault.SERVER_PAUSED: self._pause_server,
            Fault.CONNECTIONS_CUT: self._cut,
            Fault.MESSAGES_DOUBLED: self._double,
            Fault.MESSAGES_DROPPED: self._drop,
            Fault.MESSAGES_REORDERED: self._reorder,
            Fault.PUBLISHING_FAILS: self._fail_publishing,
            Fault.FORGE_DOWN: self._forge_down,
            Fault.FORGE_SLOW: lambda planned: self._with_file(FORGE_SLOW, planned),
            Fault.FORGE_TALKS_NONSENSE: self._talk_nonsense,
            Fault.DISK_FULL: lambda planned: self._with_file(DISK_FULL, planned),
            Fault.RIVAL_TICKS: self._rival_ticks,
        }

    def begin(self, planned: PlannedFault) -> None:
        """Begin a fault; it goes on in a thread."""
        thread = threading.Thread(target=self._run, args=(planned,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self, planned: PlannedFault) -> None:
        try:
            if self._doing[planned.fault](planned):
                self.done[planned.fault.value] += 1
        except (RedisError, OSError):  # the server was not there: this fault came on top of another
            self.done[f"{planned.fault.value} (no server)"] += 1
        except Exception as error:  # noqa: BLE001 - one fault's thread: the report has it
            self.errors.append(f"{planned.fault.value}: {error!r}")

    def heal(self) -> None:
        """Wait until all faults are over, and start what has ended."""
        for thread in self._threads:
            thread.join()
        self._fleet.revive()

    def _kill_worker(self, planned: PlannedFault) -> bool:
        name = self._fleet.choose(self._fleet.workers, planned.luck)
        if name is None:
            return False
        # A third of the time only a process of its pool is killed, where it has some.
        if (planned.luck * 100) % 1 < 1 / 3 and self._fleet.kill_pool_child(name, (planned.luck * 1000) % 1):
            return True
        self._fleet.kill(name)
        return True

    def _freeze_worker(self, planned: PlannedFault) -> bool:
        name = self._fleet.choose(self._fleet.workers, planned.luck)
        if name is None:
            return False
        self._fleet.freeze(name, planned.seconds)
        return True

    def _kill(self, name: str) -> bool:
        if self._fleet.choose([name], 0.0) is None:
            return False
        self._fleet.kill(name)
        return True

    def _kill_agent(self, planned: PlannedFault) -> bool:
        agents = agents_of(self._load.known_jobs())
        if not agents:
            return False
        with suppress(psutil.Error):
            agents[int(planned.luck * len(agents))][0].kill()
        return True

    @contextmanager
    def _down(self, what: str) -> Iterator[None]:
        """The server is not there; one such fault at a time."""
        with self._fleet.server_lock:
            began = time.time()
            yield
            self._fleet.downtimes.append(Downtime(what=what, began=began, ended=time.time()))

    def _without_server(self, planned: PlannedFault, number: signal.Signals) -> bool:
        server = self._fleet.server
        with self._down(planned.fault.value):
            process = psutil.Process(server.pid)
            process.send_signal(number)
            while server.alive:
                time.sleep(0.01)
            server.collect()
            time.sleep(planned.seconds)
            _start_again(server)
        return True

    def _pause_server(self, planned: PlannedFault) -> bool:
        with self._down(planned.fault.value):
            process = psutil.Process(self._fleet.server.pid)
            process.suspend()
            time.sleep(planned.seconds)
            process.resume()
        return True

    def _cut(self, _: PlannedFault) -> bool:
        with self._fleet.admin() as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
            admin.client_kill_filter(_type="pubsub")
        return True

    def _double(self, planned: PlannedFault) -> bool:
        """Send messages of some jobs again: that wait, are at work, or have ended."""
        luck = random.Random(planned.luck)
        jobs = sorted(self._load.known_jobs())[-200:]
        for job in luck.sample(jobs, min(len(jobs), 40)):
            with suppress(CoalmineError):
                queue = luck.choice(["champion", "canary"])
                self._fleet.parts.publisher.publish(job, queue, luck.choice(list(self._load.priorities)))
        return bool(jobs)

    def _drop(self, planned: PlannedFault) -> bool:
        """For a while every second message that waits is lost; queues are empty most of the time."""
        until, luck, dropped = time.monotonic() + planned.seconds, random.Random(planned.luck), 0
        with self._fleet.admin() as admin:
            while time.monotonic() < until:
                for key in QUEUES:
                    if luck.random() < 0.5 and admin.rpop(key):
                        dropped += 1
                time.sleep(0.005)
        self.dropped += dropped
        return dropped > 0

    def _reorder(self, planned: PlannedFault) -> bool:
        with self._fleet.admin() as admin:
            for key in QUEUES:
                pipeline = admin.pipeline(transaction=True)
                pipeline.lrange(key, 0, -1)
                pipeline.delete(key)
                messages = pipeline.execute()[0]
                random.Random(planned.luck).shuffle(messages)
                if messages:
                    admin.rpush(key, *messages)
        return True

    def _fail_publishing(self, planned: PlannedFault) -> bool:
        with self._load.without_broker():
            time.sleep(planned.seconds)
        return True

    def _forge_down(self, planned: PlannedFault) -> bool:
        """The repository is away, and so is the list of issues."""
        with self._load.forge_lock:
            there = [self._fleet.repository.path, self._fleet.folder / "issues"]
            away = [path.with_name(f"{path.name}-away") for path in there]
            for path, other in zip(there, away, strict=True):
                path.rename(other)
            time.sleep(planned.seconds)
            for path, other in zip(there, away, strict=True):
                shutil.rmtree(path, ignore_errors=True)  # somebody may have made it anew
                other.rename(path)
        return True

    def _with_file(self, name: str, planned: PlannedFault) -> bool:
        file = self._fleet.folder / name
        file.touch()
        time.sleep(planned.seconds)
        file.unlink(missing_ok=True)
        return True

    def _talk_nonsense(self, planned: PlannedFault) -> bool:
        with self._load.forge_lock:
            files = [
                self._fleet.folder / "issues" / f"{90_000 + number}.md" for number in range(len(NONSENSE))
            ]
            for file, text in zip(files, NONSENSE, strict=True):
                file.write_text(text)
            time.sleep(planned.seconds)
            for file in files:
                file.unlink(missing_ok=True)
        return True

    def _rival_ticks(self, planned: PlannedFault) -> bool:
        """Sweeps and harvests that hold no lock, as after it was lost: each says that it may be repeated."""
        until = time.monotonic() + planned.seconds

        def rival() -> None:
            settings, generator = self._fleet.parts.settings, random.Random(planned.luck)
            with closing(compose(settings, generator=generator)) as parts:
                while time.monotonic() < until:
                    with suppress(CoalmineError):
                        parts.harvester.harvest()
                        parts.jobs.reap(at=parts.now())
                        parts.relay.relay()
                        time.sleep(0.05)

        rivals = [threading.Thread(target=rival, daemon=True) for _ in range(2)]
        for thread in rivals:
            thread.start()
        for thread in rivals:
            thread.join()
        return True


def _start_again(server: PrivateServer) -> None:
    """At the same port, which a connection of somebody else's may have for a while."""
    until = time.monotonic() + PORT_SECONDS
    while True:
        try:
            server.start_again()
        except UnavailableError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return


def agents_of(jobs: frozenset[str]) -> list[tuple[psutil.Process, str]]:
    """The processes of agents at work on some jobs, with the job of each."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            job = process.environ().get("COALMINE_JOB_ID", "")
            if job in jobs and process.status() != psutil.STATUS_ZOMBIE:
                found.append((process, job))
    return found
