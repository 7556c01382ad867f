"""A whole attempt at a job whose repository is a forge's: what the agent sees, and what becomes of faults."""

import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.forges.github.kind import GITHUB
from routing.git.remote import Remote
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest
from routing.jobs.lifecycle import Claim
from routing.jobs.turn import FinishedTurn, HindranceKind
from routing.store.redis.lease import LeaseStatus
from routing.templates.version import Snapshot
from tasks.agents.runner import AgentRunner, RunnerRules
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.stop_signal import StopSignal
from tasks.composition.composition import Coalmine
from tasks.composition.worker import Worker
from tasks.work.outcome import Ran
from tests.fakes.forge_world import TOKEN, ForgeWorld
from tests.fleets.worker_fleet import fleet
from tests.repositories import new_repository
from tests.servers.forge_server import ForgeServer
from tests.servers.github_app import make_key
from tests.servers.github_server import github_server

#: An agent that leaves all that it can find out about its surroundings.
CURIOUS = (
    "env > env.txt; git remote -v > remotes.txt; git config --list --show-origin > config.txt; echo done"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteBench:
    """A worker's parts, and a forge."""

    parts: Coalmine
    world: ForgeWorld
    server: ForgeServer
    work_dir: Path

    def remote(self, token: str = TOKEN) -> Remote:
        """The forge's repository."""
        config = GITHUB.config(base_url=self.server.address, token=SecretStr(token))
        return GITHUB.remote(config, self.world.repo)

    def attempt(self, remote: Remote) -> Ran:
        """Have an agent run one attempt at a new job."""
        return self.run(remote, self.claim())

    def claim(self) -> Claim:
        """A new job's."""
        self.parts.templates.add("implementer", Snapshot(prompt="work", command=CURIOUS))
        request = JobRequest(template="implementer", task="work", repository="github:acme/shop")
        job = self.parts.mailbox.enqueue(request).job
        claim = self.parts.jobs.claim(job, worker="w1", lease_seconds=60)
        assert isinstance(claim, Claim)
        return claim

    def run(self, remote: Remote | None, claim: Claim) -> Ran:
        """One attempt, by a worker that knows this remote; None: it knows none."""
        worker = Worker(coalmine=self.parts)
        limits = TurnLimits(time_limit_seconds=60, stall_seconds=60, kill_grace_seconds=1)
        runner = AgentRunner(
            rules=RunnerRules(work_dir=self.work_dir, limits=limits, commit_leftovers=True),
            remotes={} if remote is None else {"github:acme/shop": remote},
            environment=os.environ,
            log=self.parts.log_store,
            look=lambda _claim: LeaseStatus(held=True),
            turns=worker.turns,
            agents=self.parts.agents,
            note_base=self.parts.job_store.note_base,
        )
        ran = runner.run(claim, StopSignal())
        self.parts.log_store.flush()
        return ran


@pytest.fixture
def bench(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[RemoteBench]:
    """One worker and GitHub."""
    assert redis_client.ping()
    world = ForgeWorld(new_repository(tmp_path, bare=True))
    server = github_server(world)
    with fleet(tmp_path, redis_server.url) as made:
        yield RemoteBench(parts=made.coalmine(), world=world, server=server, work_dir=tmp_path / "work")
    server.stop()


def _everything_stored(client: Redis) -> str:
    """All keys with their values, as text."""
    readers: dict[str, Callable[[str], object]] = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    return repr({key: readers[str(client.type(key))](key) for key in client.scan_iter(count=1000)})


def test_an_agent_works_on_a_forges_repository_without_its_token(
    bench: RemoteBench, redis_client: Redis
) -> None:
    """Its work is pushed; neither its surroundings nor files nor what is stored hold the token."""
    ran = bench.attempt(bench.remote())

    assert (ran.ended_by, ran.fault) == ("result", None)
    assert ran.result.commit == bench.world.repository.tip(ran.result.branch)
    seen = [
        bench.world.repository.git("show", f"{ran.result.branch}:{name}.txt")
        for name in ("env", "remotes", "config")
    ]
    files = [path.read_bytes() for path in bench.work_dir.rglob("*") if path.is_file()]
    header = base64.b64encode(f"x-access-token:{TOKEN}".encode())
    assert f"{bench.server.address}/acme/shop.git" in seen[1]
    for place in [
        "".join(seen).encode(),
        *files,
        _everything_stored(redis_client).encode(),
        repr(ran).encode(),
    ]:
        assert TOKEN.encode() not in place
        assert header not in place


def test_a_wrong_token_is_waited_for(bench: RemoteBench) -> None:
    """The agent is not blamed, and the note holds no token, although the forge says it back."""
    wrong = "tok-of-s0meb0dy-else"
    ran = bench.attempt(bench.remote(wrong))

    assert (ran.ended_by, ran.hindrance) == ("fault", HindranceKind.TOKEN)
    assert "We do not know Basic [token]" in ran.note
    assert wrong not in repr(ran)


def test_a_token_that_may_not_push_leaves_the_turn_finished(bench: RemoteBench) -> None:
    """What the agent did stays in its tree, to be pushed when the token is right."""
    assert bench.server.git is not None
    bench.server.git.read_only = True
    ran = bench.attempt(bench.remote())
    assert (ran.ended_by, ran.clean, ran.hindrance) == ("result", True, HindranceKind.TOKEN)
    assert list(bench.work_dir.rglob("remotes.txt"))


def test_a_forge_that_is_down_is_waited_for(bench: RemoteBench) -> None:
    """It may come back: nobody looks at the token."""
    stopped = github_server(bench.world)
    stopped.stop()
    credential = bench.remote().credential
    ran = bench.attempt(Remote(address=f"{stopped.address}/acme/shop.git", credential=credential))
    assert (ran.ended_by, ran.hindrance) == ("fault", HindranceKind.AWAY)


def test_a_finished_turn_outlives_a_forge_that_lends_no_token(bench: RemoteBench, tmp_path: Path) -> None:
    """Neither a silent App, nor a worker without the repository, costs it; it is pushed when that is over."""
    assert bench.server.git is not None
    bench.server.git.read_only = True
    claim = bench.claim()
    bench.run(bench.remote(), claim)
    finished = FinishedTurn(host="here", clean=True, ended_by=Ending.RESULT, exit_code=0)
    later = replace(claim, job=replace(claim.job, finished=finished))
    stopped = github_server(bench.world)
    stopped.stop()
    config = GITHUB.config(base_url=stopped.address, app_id=1, app_key_path=make_key(tmp_path))

    for remote, hindrance in (
        (GITHUB.remote(config, "acme/shop"), HindranceKind.AWAY),
        (None, HindranceKind.UNABLE),
    ):
        met = bench.run(remote, later)
        assert (met.ended_by, met.clean, met.hindrance, met.fault) == ("result", True, hindrance, None)
    bench.server.git.read_only = False
    pushed = bench.run(bench.remote(), later)
    assert pushed.result.commit == bench.world.repository.tip(pushed.result.branch)
