"""Settings of the door: strict, and secrets never shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from routing.errors import SettingsError
from routing.forges.config import RemoteConfig
from routing.forges.registry import KINDS
from tasks.settings.settings import Settings, load_settings
from tests.fakes.deliveries import WEBHOOK_KINDS


def forge(**given: object) -> RemoteConfig:
    """A forge's settings."""
    return RemoteConfig.model_validate({"kind": "any", "name": "any"} | given)


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_fresh_settings_let_nobody_in(kind: str) -> None:
    """No secrets, no repositories."""
    fresh = KINDS[kind].config()
    assert (fresh.secrets, fresh.repositories, fresh.kill_switch) == ((), (), True)
    assert Settings().web.delivery_bytes == 1024 * 1024


@pytest.mark.parametrize(
    "given", ["acme/shop, acme/app", '["acme/shop","acme/app"]', ["acme/shop", "acme/app"]]
)
def test_repositories_are_a_list_or_have_commas(given: object) -> None:
    """As a file and as a variable has them."""
    assert forge(repositories=given).repositories == ("acme/shop", "acme/app")


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook_secret": ""},
        {"webhook_secret": "a", "previous_webhook_secret": ""},
        {"previous_webhook_secret": "a"},
        {"repositories": "*/shop"},
        {"repositories": ["../etc"]},
        {"repositories": [7]},
        {"name": "Corp Forge"},
        {"sekret": "a"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    """Empty secrets, an old one without a new one, patterns for repositories, unknown names."""
    with pytest.raises(ValidationError):
        forge(**wrong)


def test_secrets_are_not_shown() -> None:
    """Neither in what is printed nor in an error."""
    assert "hush" not in repr(forge(webhook_secret="hush"))  # noqa: S106 - of the test
    with pytest.raises(ValidationError) as refused:
        forge(previous_webhook_secret="hush")  # noqa: S106 - of the test
    assert "hush" not in str(refused.value)


def test_variables_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names with commas, or as JSON; the console's and the door's sections are part of the settings."""
    monkeypatch.setenv("COALMINE_FORGE__GITHUB__WEBHOOK_SECRET", "hush")
    monkeypatch.setenv("COALMINE_FORGE__GITHUB__REPOSITORIES", "acme/shop,acme/app")
    monkeypatch.setenv("COALMINE_FORGE__GITEA__REPOSITORIES", '["acme/shop"]')
    monkeypatch.setenv("COALMINE_WEB__PORT", "0")
    settings = load_settings(tmp_path / "none.toml")
    forges = {forge.name: forge for forge in settings.forge}
    github, gitea = forges["github"], forges["gitea"]
    assert isinstance(github, RemoteConfig)
    assert github.secrets == ("hush",)
    assert github.allow_list == ("acme/shop", "acme/app")
    assert gitea.allow_list == ("acme/shop",)
    assert (settings.web.host, settings.web.port, settings.web.public) == ("127.0.0.1", 0, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FORGE__GITHUB__WEBHOOK_SECRET", ""),
        ("FORGE__GITEA__REPOSITORIES", "*/shop"),
        ("WEB__TOKEN", "too short"),
        ("WEB__PORT", "65536"),
        ("WEB__PUBLIC", "maybe"),
    ],
)
def test_wrong_variables_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """And a secret that is wrong is not shown."""
    monkeypatch.setenv(f"COALMINE_{name}", text)
    with pytest.raises(SettingsError, match=f"COALMINE_{name}") as refused:
        load_settings(tmp_path / "none.toml")
    assert "too short" not in str(refused.value).replace("String should", "")
