"""Pairs on GitHub, Gitea, Forgejo and GitLab: each hears of the champion's work, and of nothing else."""

import json
from pathlib import Path

import pytest
from redis import Redis

from harvest.evidence.policy import TrialPolicy
from routing.embedded.private_server import PrivateServer
from routing.jobs.job import Job, JobState
from routing.templates.trial import Mode
from tests.fakes.forge_world import WorldIssue
from tests.fleets.forge_shop import ForgeShop, agent, forge_shops
from tests.fleets.worker_fleet import until_state
from tests.waiting import wait_until

#: No verdict, whatever becomes of a few pairs.
POLICY = TrialPolicy(mode=Mode.SHADOW, delta=0.9, alpha=0.0001, beta=0.0001, revert_window_seconds=0.0)

#: Tries to be seen: by a branch, by mail to people, and by a child.
LOUD = """
git push --quiet origin HEAD:refs/heads/loud || true
"$COALMINE_MAIL" send --to operator --type question --subject help --body help || true
"$COALMINE_MAIL" send --to coalmine --type dispatch --payload \\
  '{"task_id": "help", "spec": "help", "role": "builder", "file_scope": []}' || true
"""


@pytest.fixture
def url(redis_client: Redis, redis_server: PrivateServer) -> str:
    """An empty server."""
    assert redis_client.ping()
    return redis_server.url


def pair_of(shop: ForgeShop, issue: WorldIssue) -> tuple[Job, Job]:
    """Both jobs of an issue, the champion's first, once both have work."""
    wait_until(lambda: len(shop.jobs(issue)) == 2, description=f"{shop.ref(issue)} is a pair", timeout=30)
    canary, champion = sorted(shop.jobs(issue), key=lambda job: not job.shadow)
    return (
        until_state(shop.parts, champion.id, JobState.WAITING, timeout=60),
        until_state(shop.parts, canary.id, JobState.SUCCEEDED, timeout=60),
    )


def written(shop: ForgeShop) -> str:
    """All that the forge was asked to write, in words."""
    asked = [one for one in list(shop.server.asked) if one.method not in {"GET", "HEAD"}]
    return "\n".join(f"{one.method} {one.path} {json.dumps(one.body, default=str)}" for one in asked)


@pytest.mark.long
def test_no_forge_hears_of_a_shadow(tmp_path: Path, url: str) -> None:
    """No branch, commit, request, comment or status of it, nor anything that the forge was asked to write."""
    forges = {"POLL_INTERVAL_SECONDS": "3600"}
    with forge_shops(tmp_path, url, forges=forges, COALMINE_JUDGE__COMMAND="true") as made:
        content = agent(made.shops["github"].notes, "canary")
        content = content.model_copy(update={"command": f"{content.command}{LOUD}"})
        step, _ = made.parts.proposals.propose("implementer", content)
        made.parts.proposals.open(step.version, POLICY, by="a test")
        issues = {kind: shop.open("Cart is slow", "Make it quick.") for kind, shop in made.shops.items()}
        for kind, issue in issues.items():
            shop, world = made.shops[kind], made.shops[kind].world
            champion, canary = pair_of(shop, issue)
            world.say(champion.result.commit, "ci/build", "success", description="all tests ran")
            shop.until_in_review(issue)
            assert canary.result.commit
            assert not world.has_commit(canary.result.commit)
            assert world.has_commit(champion.result.commit)
            branches = world.repository.git("for-each-ref", "--format=%(refname)")
            assert [name for name in ("loud", canary.id) if name in branches] == []
            assert [pull.branch for pull in world.pulls.values()] == [champion.branch]
            wait_until(lambda: shop.ours(issue), description="the checklist follows its labels")  # noqa: B023
            assert len(shop.ours(issue)) == 1
            said = written(shop)
            assert champion.branch in said
            assert [name for name in (canary.id, canary.result.commit) if name in said] == []
        assert made.parts.post_office.newest(10, recipient="operator") == []
        assert [job.id for job in made.parts.jobs.newest(most=100) if job.parent] == []
