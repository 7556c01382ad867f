"""A shadow whose agent knows where people look: it reaches none of that from its sandbox."""

from pathlib import Path

import pytest
from redis import Redis

from harvest.pairs.pair_ledger import PairSettlement
from routing.embedded.private_server import PrivateServer
from routing.git.git import Git
from routing.jobs.job import Job
from routing.sandbox.profile import SandboxKind
from routing.templates.trial import Trial
from routing.templates.version import Snapshot
from tests.fleets.shop import ShopFleet, shop
from tests.waiting import wait_until

#: No verdict, whatever becomes of the one pair.
POLICY = '{"mode": "shadow", "delta": 0.9, "alpha": 0.0001, "beta": 0.0001, "revert_window_seconds": 0}'

#: Commits its work, and leaves something with its own name wherever people look: in the repository, which it
#: knows by its path, and in the folder of issues.
KNOWING = """echo done > done.txt; git add -A
git -c user.name=a -c user.email=a@invalid commit --quiet --message "$COALMINE_JOB_ID"
git push --quiet "$PEOPLES/shop-with-tree/shop" "HEAD:refs/heads/loud-$COALMINE_JOB_ID" || true
echo seen > "$PEOPLES/issues/$COALMINE_JOB_ID.txt" || true"""


@pytest.fixture
def url(redis_client: Redis, redis_server: PrivateServer) -> str:
    """An empty server."""
    assert redis_client.ping()
    return redis_server.url


def settled_pair(made: ShopFleet, trial: Trial) -> tuple[Job, Job, PairSettlement]:
    """An issue's champion and canary, and the line of the ledger, once both are judged."""

    def lines() -> list[PairSettlement]:
        return [line for line in made.parts.harvester.ledger(trial.id) if isinstance(line, PairSettlement)]

    made.open_issue()
    wait_until(lines, description="the pair is settled", timeout=60)
    canary, champion = sorted(made.parts.jobs.newest(most=10), key=lambda job: not job.shadow)
    return champion, canary, lines()[0]


def test_a_shadow_that_knows_where_people_look_reaches_nothing(tmp_path: Path, url: str) -> None:
    """The champion's agent, which runs in no sandbox, does the same, and is seen: the paths are right."""
    with shop(tmp_path, url, f"PEOPLES={tmp_path}\n{KNOWING}", policy=POLICY) as made:
        content = Snapshot(
            prompt="Do it well.", command=KNOWING, environment={"PEOPLES": str(tmp_path)},
            sandbox=SandboxKind.BUBBLEWRAP,
        )  # fmt: skip
        proposals = made.parts.proposals
        step, _ = proposals.propose("implementer", content)
        trial = proposals.open(step.version, made.parts.settings.canary.policy, by="a test").trial
        champion, canary, line = settled_pair(made, trial)
        assert (line.champion, line.canary) == (1.0, 1.0), line
        branches = Git(made.repository.path)("for-each-ref", "--format=%(refname)").split()
        names = [file.name for file in made.issues.iterdir()]
        for job, is_seen in ((champion, True), (canary, False)):
            assert (f"refs/heads/loud-{job.id}" in branches) is is_seen
            assert (f"{job.id}.txt" in names) is is_seen
