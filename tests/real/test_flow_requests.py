"""The whole way of an issue on each forge; every request of the fleet is held to what the forge describes."""

from collections.abc import Iterator

import pytest

from routing.forges.forge import KnowsRequests
from routing.jobs.job import JobState
from tests.fleets.forge_shop import ForgeShop, ForgeShops, forge_shops
from tests.real.gitea_description import gitea_description
from tests.real.github_description import github_description
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: A whole story is played before the first test, and the largest description is read.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeShops]:
    """A fleet that has repaired, merged, closed, handed over and waited on every forge."""
    folder = tmp_path_factory.mktemp("played")
    forges = {"POLL_INTERVAL_SECONDS": "1", "MERGE": "green", "PER_REPO": "9"}
    with (
        private_server(folder) as server,
        forge_shops(folder, server.url, forges=forges, COALMINE_ISSUES__WATCH__FIX_FORWARDS="2") as made,
    ):
        for shop in made.shops.values():
            play(shop)
        yield made


def play(shop: ForgeShop) -> None:
    """A red commit, its repair, a merge and its revert; a blocked issue; one for a person."""
    issue = shop.open("Sum is wrong")
    blocked = shop.open("Next", f"Blocked by: #{issue.number}", blocked_by=[issue.number])
    empty = shop.open("Nothing", "Nothing is to be done.")
    red = shop.until(issue, JobState.WAITING).result.commit
    if shop.kind == "github":
        note = {
            "path": "cart.txt",
            "start_line": 1,
            "annotation_level": "failure",
            "message": "bad",
            "title": None,
        }
        shop.world.run_check(red, "unit", "failure", text="It broke.", notes=[{**note, "title": None}])
    else:
        shop.world.say(red, "ci/unit", "failure", description="It broke.")
    wait_until(
        lambda: shop.jobs(issue)[0].state is JobState.WAITING and shop.jobs(issue)[0].result.commit != red,
        description="the red commit is repaired",
        timeout=60,
    )
    shop.judge(issue)
    done = shop.until_closed(issue)
    shop.world.review(shop.pull(done), "COMMENT" if shop.kind != "github" else "COMMENTED")
    forge, merged = shop.forges.sites[shop.kind].forge, shop.pull(done).merge_commit
    assert isinstance(forge, KnowsRequests)
    assert merged
    assert forge.requests_of(shop.world.repo, merged)
    shop.world.revert(shop.pull(done))
    shop.judge(blocked)
    shop.until_closed(blocked)
    assert shop.until_shown(empty).state is JobState.ESCALATED
    shop.until_scored(done)


def test_no_request_is_foreign_to_github(played: ForgeShops) -> None:
    """Each is a described operation with parameters and members that it knows, and those that it needs."""
    description = github_description()
    # GraphQL is described elsewhere.
    asked = [one for one in played.shops["github"].server.asked if one.path != "/graphql"]
    assert [wrong for one in asked for wrong in description.foreign(one)] == []
    assert len({description.operation(one)["operationId"] for one in asked}) >= 18


@pytest.mark.parametrize("kind", ["gitea", "forgejo"])
def test_no_request_is_foreign_to_gitea(played: ForgeShops, kind: str) -> None:
    """The same, by what a client knows that was generated from Gitea's description."""
    description = gitea_description()
    asked = list(played.shops[kind].server.asked)
    assert {wrong for one in asked for wrong in description.foreign(one)} == set()
    assert len({description.operation(one).name for one in asked}) >= 15
