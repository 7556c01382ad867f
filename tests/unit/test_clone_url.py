"""Where git finds the repository of a forge, from the address of the forge's API."""

import pytest
from pydantic import SecretStr

from routing.errors import CoalmineError, InvalidInputError
from routing.git.clone_url import clone_remote, clone_url
from routing.webhook.forge_kind import ForgeKind

TOKEN = "tok-of-a-test"  # noqa: S105 - opens nothing


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
    assert clone_url(ForgeKind(kind), base_url, "acme/shop") == expected


def test_a_prefix_is_taken_in_place_of_the_rule() -> None:
    """A forge may serve git elsewhere than its API."""
    url = clone_url(
        ForgeKind.GITEA, "https://api.acme.example", "acme/shop", prefix="https://git.acme.example/g/"
    )
    assert url == "https://git.acme.example/g/acme/shop.git"


@pytest.mark.parametrize(
    ("kind", "base_url", "prefix", "says"),
    [
        ("github", "https://git.acme.example/graphql", "", "/api/v3"),
        ("gitea", "http://git.acme.example", "", "in clear"),
        ("gitea", "https://git.acme.example", "http://git.acme.example", "in clear"),
        ("gitea", "https://git.acme.example", "https://ann:pw@git.acme.example", "no password"),
        ("gitea", "https://git.acme.example", "git@git.acme.example:", "https://"),
        ("gitea", "https://git.acme.example?x=1", "", "no ?"),
    ],
)
def test_an_address_that_must_not_get_the_token_is_refused(
    kind: str, base_url: str, prefix: str, says: str
) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(InvalidInputError) as caught:
        clone_url(ForgeKind(kind), base_url, "acme/shop", prefix=prefix)
    assert says in str(caught.value)
    assert "ann:pw" not in str(caught.value)


@pytest.mark.parametrize("repo", ["shop", "", "a/../b", "../shop", "a/b/c", "a/b?x", "a b/c", "-x/y\n"])
def test_a_name_that_is_no_repository_becomes_no_address(repo: str) -> None:
    """Names are checked before they stand in an address."""
    with pytest.raises(CoalmineError):
        clone_url(ForgeKind.GITHUB, "https://api.github.com", repo)


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
    """GitHub has one name for all tokens; the others are told whose it is. The token shows nowhere."""
    remote = clone_remote(
        ForgeKind(kind), "https://127.0.0.1:1", "acme/shop", token=SecretStr(TOKEN), login=login
    )
    assert remote.credential is not None
    assert (remote.credential.user, remote.credential.secret.get_secret_value()) == (user, TOKEN)
    assert TOKEN not in repr(remote)
    assert TOKEN not in remote.address
