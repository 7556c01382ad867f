"""Which repositories a setting means: names, patterns, exclusions, and what is refused."""

from typing import Any

import pytest
import redis
from pydantic import ValidationError

from routing.forges.allow_list import AllowList
from routing.forges.config import RemoteConfig
from routing.forges.errors import ForgeUnreachableError
from routing.forges.site import ServedRemotes
from routing.git.limits import GitLimits
from tests.fakes.memory_forge import MemoryForge
from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.stepped_fleet import SteppedClock


@pytest.mark.parametrize(
    ("given", "served", "refused"),
    [
        (["acme/shop"], ["acme/shop", "Acme/Shop"], ["acme/app", "acme/shop2"]),
        (["acme/*"], ["acme/shop", "ACME/Till"], ["other/shop", "acme/group/shop", "acme", "acme2/x"]),
        (["acme/app-?", "acme/shop"], ["acme/app-1", "acme/shop"], ["acme/app-12", "acme/app"]),
        (["acme/*", "!acme/shop"], ["acme/till"], ["acme/shop", "acme/SHOP"]),
        (["acme/*", "!acme/old-*", "acme/old-one"], ["acme/new"], ["acme/old-one", "acme/old-"]),
        (["acme/sub/*"], ["acme/sub/x"], ["acme/x", "acme/other/x"]),
        (["acme/*"], [], ["acme/..", "acme/a b", "../acme/x"]),
        ([], [], ["acme/shop", ""]),
    ],
)
def test_what_a_setting_means(given: list[str], served: list[str], refused: list[str]) -> None:
    """Names in any case; an exclusion counts more than all else."""
    listed = AllowList.of(given)
    assert [repo for repo in served if listed.spelled(repo) is None] == []
    assert [repo for repo in refused if listed.spelled(repo) is not None] == []


def test_a_named_one_is_spelled_as_it_is_set() -> None:
    """Records have one name for it; what a pattern means is spelled as the forge does."""
    listed = AllowList.of(["acme/Shop", "acme/t*"])
    assert (listed.spelled("ACME/SHOP"), listed.spelled("Acme/Till")) == ("acme/Shop", "Acme/Till")
    assert (listed.names, listed.owners) == (("acme/Shop",), ("acme",))


@pytest.mark.parametrize(
    "given", ["*/shop", "ac*/shop", "*", "**", "acme/[ab]", "!acme/shop", "acme/*/x", "!", "acme/", "../*"]
)
def test_what_opens_the_fleet_to_strangers_is_refused(given: str) -> None:
    """The owner is written out, and something is served."""
    with pytest.raises(ValidationError, match="is not a repository"):
        RemoteConfig(kind="memory", name="hub", repositories=(given,))


def fleet_of(client: redis.Redis, *repos: str, **changes: Any) -> ForgeFleet:
    """A fleet whose forge has these repositories."""
    clock = SteppedClock()
    return ForgeFleet(client, MemoryForge(clock, repos=repos), clock=clock, **changes)


def test_issues_of_repositories_that_a_pattern_means_are_worked_on(redis_client: redis.Redis) -> None:
    """Also of one that is made later; not of one that is left out."""
    fleet = fleet_of(redis_client, "acme/shop", "acme/till", "acme/old", repositories=("acme/*", "!acme/old"))
    refs = [fleet.forge.person_opens(1, repo=repo) for repo in ("acme/shop", "acme/till", "acme/old")]
    fleet.rounds(2)
    assert [len(fleet.jobs(ref)) for ref in refs] == [1, 1, 0]
    assert fleet.parts.problems.places("github") == ("acme/shop", "acme/till")
    fleet.forge.repositories["acme/new"] = type(fleet.forge.repositories["acme/shop"])(fleet.forge.now)
    new = fleet.forge.person_opens(1, repo="acme/new")
    fleet.rounds(2)
    assert len(fleet.jobs(new)) == 1


def test_an_owner_who_cannot_be_listed_holds_no_other_up(redis_client: redis.Redis) -> None:
    """What is named is polled all the same."""
    fleet = fleet_of(redis_client, "acme/shop", "other/x", repositories=("other/*", "acme/shop"))
    fleet.forge.mishaps.lasting["repositories_of"] = lambda: ForgeUnreachableError("away")
    ref = fleet.forge.person_opens(1)
    fleet.rounds(2)
    assert len(fleet.jobs(ref)) == 1


def test_git_finds_what_a_pattern_means_and_nothing_else(redis_client: redis.Redis) -> None:
    """By the name that jobs have for it; a token is given out for nothing that is not served."""
    fleet = fleet_of(redis_client, "acme/shop", repositories=("acme/*", "!acme/old", "boss/x"))
    remotes = ServedRemotes(fleet.parts.sites, GitLimits())
    assert remotes["github:acme/anything"].address == "acme/anything"
    assert list(remotes) == ["github:boss/x"]
    for name in ("github:acme/old", "github:eve/x", "hub:acme/shop", "acme/shop", "github:acme/../x"):
        assert remotes.get(name) is None
