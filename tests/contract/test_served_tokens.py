"""A token in a file that somebody renews, on each forge over HTTP, and with git."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from routing.forges.config import RemoteConfig
from routing.forges.errors import ForgeTokenError
from routing.forges.renewed_token import RenewedToken
from routing.forges.rest.clone import clone_remote
from tests.fakes.forge_world import TOKEN
from tests.servers.served_forges import ServedForge


def test_a_token_is_read_again_at_each_use(served: ServedForge, tmp_path: Path) -> None:
    """A client that began with one that has ended goes on when another is in its place."""
    file = tmp_path / "token"
    file.write_text("ended-t0ken\n")
    renewed = served.with_settings(token=None, token_path=file)
    with pytest.raises(ForgeTokenError):
        renewed.list_issues(served.world.repo, None)
    file.write_text(f"{TOKEN}\n")
    assert renewed.list_issues(served.world.repo, None).complete
    file.unlink()
    assert renewed.list_issues(served.world.repo, None).complete
    renewed.close_connections()


@pytest.mark.parametrize("content", ["", "two words", "t\u00f6ken", "x" * 20_000 + " y"])
def test_anything_else_leaves_the_last_one(tmp_path: Path, content: str) -> None:
    """Somebody is writing the file; without an earlier one it is said which file it is."""
    file = tmp_path / "token"
    file.write_text("g00d")
    token = RenewedToken(file)
    assert token.at("") == "g00d"
    file.write_text(content)
    assert token.at("") == "g00d"
    with pytest.raises(ForgeTokenError, match=str(file)) as caught:
        RenewedToken(file).at("")
    assert "two words" not in str(caught.value)


def test_the_token_is_shown_nowhere(tmp_path: Path) -> None:
    """As any secret."""
    file = tmp_path / "token"
    file.write_text("s3cret-t0ken")
    token = RenewedToken(file)
    token.at("")
    assert "s3cret" not in f"{token!r} {token}"
    config = RemoteConfig(kind="hub", name="hub", base_url="https://forge.test", token_path=file)
    assert "s3cret" not in f"{config!r}{config.model_dump_json()}"


def test_git_gets_the_newest(tmp_path: Path) -> None:
    """A turn may take longer than a token lasts: its push reads the file again."""
    file = tmp_path / "token"
    file.write_text("first")
    config = RemoteConfig(kind="hub", name="hub", base_url="https://forge.test", token_path=file)
    remote = clone_remote(config, "acme/shop", user="x", root=lambda api: api)
    file.write_text("second")
    assert remote.credential is not None
    assert remote.credential.held(remote.address).lines == b"username=x\npassword=second\n"


def test_one_of_both_is_set(tmp_path: Path) -> None:
    """Not a token and a file, and not a file without an address."""
    with pytest.raises(ValidationError, match="set one of them"):
        RemoteConfig(
            kind="hub", name="hub", base_url="https://forge.test", token=SecretStr("t"), token_path=tmp_path
        )
    with pytest.raises(ValidationError, match="without base_url"):
        RemoteConfig(kind="hub", name="hub", token_path=tmp_path)
    assert (
        RemoteConfig(kind="hub", name="hub", base_url="https://forge.test", token_path=tmp_path).lack is None
    )
