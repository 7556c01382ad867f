"""Where git finds the repository of a forge, from the address of the forge's API."""

import pytest
from pydantic import SecretStr, ValidationError

from routing.errors import CoalmineError, InvalidInputError
from routing.forges.registry import KINDS
from routing.git.remote import Remote

TOKEN = "tok-of-a-test"  # noqa: S105 - opens nothing


def remote_of(kind: str, base_url: str, repo: str = "acme/shop", **more: str | None) -> Remote:
    """The repository as a forge of this kind is set up."""
    made = KINDS[kind]
    return made.remote(made.config(base_url=base_url, token=SecretStr(TOKEN), **more), repo)


@pytest.mark.parametrize(
    ("kind", "base_url", "expected"),
    [
        ("github", "https://api.github.com", "https://github.com/acme/shop.git"),
        ("github", "https://api.github.com/", "https://github.com/acme/shop.git"),
        ("github", "https://git.acme.example/api/v3", "https://git.acme.example/acme/shop.git"),
        ("github", "https://git.acme.example:8443/api/v3/", "https://git.acme.example:8443/acme/shop.git"),
        ("github", "https://git.acme.example/hub/api/v3", "https://git.acme.example/hub/acme/shop.git"),
        ("github", "https://api.acme.ghe.com", "https://acme.ghe.com/acme/shop.git"),
        ("github", "http://127.0.0.1:8080", "http://127.0.0.1:8080/acme/shop.git"),
        ("gitea", "https://git.acme.example", "https://git.acme.example/acme/shop.git"),
        ("gitea", "https://git.acme.example/sub/api/v1", "https://git.acme.example/sub/acme/shop.git"),
        ("forgejo", "https://git.acme.example/api/v1/", "https://git.acme.example/acme/shop.git"),
        ("forgejo", "http://[::1]:3000/api/v1", "http://[::1]:3000/acme/shop.git"),
    ],
)
def test_the_address_follows_from_the_apis(kind: str, base_url: str, expected: str) -> None:
    """Each kind of forge has its own rule."""
    assert remote_of(kind, base_url).address == expected


def test_a_prefix_is_taken_in_place_of_the_rule() -> None:
    """A forge may serve git elsewhere than its API."""
    url = remote_of("gitea", "https://api.acme.example", git_url="https://git.acme.example/g/").address
    assert url == "https://git.acme.example/g/acme/shop.git"


@pytest.mark.parametrize(
    ("kind", "base_url", "git_url", "says"),
    [
        ("gitea", "http://git.acme.example", None, "in clear"),
        ("gitea", "https://git.acme.example", "http://git.acme.example", "in clear"),
        ("gitea", "https://git.acme.example", "https://ann:pw@git.acme.example", "no password"),
        ("gitea", "https://git.acme.example", "git@git.acme.example:", "https://"),
        ("gitea", "https://git.acme.example?x=1", None, "no ?"),
    ],
)
def test_an_address_that_must_not_get_the_token_is_refused(
    kind: str, base_url: str, git_url: str | None, says: str
) -> None:
    """The settings refuse it already, and say what is wrong with it."""
    with pytest.raises(ValidationError) as caught:
        remote_of(kind, base_url, git_url=git_url)
    assert says in str(caught.value)
    assert "ann:pw" not in str(caught.value)


def test_an_api_elsewhere_than_github_has_it_says_nothing_of_git() -> None:
    """Its address is refused when a repository is looked for."""
    with pytest.raises(InvalidInputError, match="/api/v3"):
        remote_of("github", "https://git.acme.example/graphql")


@pytest.mark.parametrize("repo", ["shop", "", "a/../b", "../shop", "a/b/c", "a/b?x", "a b/c", "-x/y\n"])
def test_a_name_that_is_not_a_repository_becomes_no_address(repo: str) -> None:
    """Names are checked before they stand in an address."""
    with pytest.raises(CoalmineError):
        remote_of("github", "https://api.github.com", repo)


@pytest.mark.parametrize(
    ("kind", "login", "user"),
    [
        ("github", "", "x-access-token"),
        ("github", "coalmine[bot]", "x-access-token"),
        ("gitea", "coalmine-bot", "coalmine-bot"),
        ("forgejo", "", "x-access-token"),
    ],
)
def test_who_we_are_depends_on_the_forge(kind: str, login: str, user: str) -> None:
    """GitHub has one name for all tokens; the others need the name of its owner. The token shows nowhere."""
    remote = remote_of(kind, "https://127.0.0.1:1", login=login)
    assert remote.credential is not None
    assert (remote.credential.user, remote.credential.secret.get_secret_value()) == (user, TOKEN)
    assert TOKEN not in repr(remote)
    assert TOKEN not in remote.address
