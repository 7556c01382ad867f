"""The name of an issue on the command line: as little of it as names one."""

import pytest

from console.input.issue_name import issue_named
from routing.errors import InvalidInputError
from routing.forges.config import ForgeConfig, RemoteConfig
from routing.trackers.jira.kind import JiraConfig


def forge(name: str, *repositories: str, **changes: object) -> ForgeConfig:
    """A forge with repositories."""
    given = {"base_url": "https://git.example.org", "token": "t", **changes}
    return RemoteConfig.model_validate({"kind": "gitea", "name": name, "repositories": repositories, **given})


ONE, TWO = [forge("gitea", "acme/shop")], [forge("gitea", "acme/shop", "acme/blog"), forge("github")]


@pytest.mark.parametrize("text", ["7", "SHOP-7", "shop-7", "SHOP#7", "jira:SHOP-7", "jira:SHOP#7"])
def test_an_issue_of_a_tracker_is_named_as_people_do_there(text: str) -> None:
    """By its key, also where a forge has a repository."""
    given = {"base_url": "https://acme.atlassian.net", "token": "t", "project": "SHOP"}
    jira = JiraConfig.model_validate(given)
    sources = [jira] if text == "7" else [*ONE, jira]
    assert str(issue_named(text, sources)) == "jira:SHOP#7"


@pytest.mark.parametrize("text", ["7", "#7", "acme/shop#7", "Acme/Shop#7", "gitea:acme/shop#7"])
def test_the_number_is_enough_where_there_is_one_repository(text: str) -> None:
    """With a hash or without, as people write it."""
    assert str(issue_named(text, ONE)) == "gitea:acme/shop#7"


def test_the_repository_is_enough_where_one_forge_has_it() -> None:
    """A forge that is not served has none."""
    forges = [*TWO, forge("other", "acme/blog", token=None)]
    assert str(issue_named("acme/blog#3", forges)) == "gitea:acme/blog#3"


def test_several_that_fit_are_named() -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidInputError, match="2 repositories; give one of them: gitea:acme/shop#7,"):
        issue_named("7", TWO)


@pytest.mark.parametrize("text", ["0", "x", "acme/other#7", "", "7a", "#", "gitea:acme/shop"])
def test_what_names_none_is_refused(text: str) -> None:
    """With the form that always works."""
    with pytest.raises(InvalidInputError, match="write FORGE:REPOSITORY#NUMBER"):
        issue_named(text, ONE)


def test_without_repositories_the_whole_name_is_needed() -> None:
    """An issue may be stored of a forge that the settings no longer have."""
    assert str(issue_named("old:shop#1", [])) == "old:shop#1"
    with pytest.raises(InvalidInputError, match="write FORGE"):
        issue_named("1", [])
