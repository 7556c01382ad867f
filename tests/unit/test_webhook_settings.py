"""Settings of the door: strict, and secrets never shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from routing.errors import SettingsError
from routing.webhook.forge_kind import ForgeKind
from routing.webhook.settings import WebhookForge, WebhookSettings
from tasks.composition.door_settings import door_settings
from tasks.settings.settings import load_settings


def test_fresh_settings_let_nobody_in() -> None:
    """No secrets, no repositories."""
    for kind in ForgeKind:
        assert (WebhookSettings().of(kind).secrets, WebhookSettings().of(kind).repositories) == ((), ())
    assert WebhookSettings().max_bytes == 1024 * 1024


def test_each_kind_has_its_section() -> None:
    """One forge's secret opens no other's door."""
    settings = WebhookSettings.model_validate({kind.value: {"secret": kind.value} for kind in ForgeKind})
    assert [settings.of(kind).secrets for kind in ForgeKind] == [("github",), ("gitea",), ("forgejo",)]


@pytest.mark.parametrize(
    "given", ["acme/shop, acme/app", '["acme/shop","acme/app"]', ["acme/shop", "acme/app"]]
)
def test_repositories_are_a_list_or_have_commas(given: object) -> None:
    """As a file and as a variable has them."""
    assert WebhookForge.model_validate({"repositories": given}).repositories == ("acme/shop", "acme/app")


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": ""},
        {"secret": "a", "previous_secret": ""},
        {"previous_secret": "a"},
        {"repositories": "acme/*"},
        {"repositories": ["../etc"]},
        {"repositories": [7]},
        {"name": "Corp Forge"},
        {"sekret": "a"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    """Empty secrets, an old one without a new one, patterns for repositories, unknown names."""
    with pytest.raises(ValidationError):
        WebhookForge.model_validate(wrong)


def test_secrets_are_not_shown() -> None:
    """Neither in what is printed nor in an error."""
    assert "hush" not in repr(WebhookForge.model_validate({"secret": "hush"}))
    with pytest.raises(ValidationError) as refused:
        WebhookForge.model_validate({"previous_secret": "hush"})
    assert "hush" not in str(refused.value)


def test_variables_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names with commas, or as JSON; the console's and the door's sections are part of the settings."""
    monkeypatch.setenv("COALMINE_FORGE__GITHUB__WEBHOOK_SECRET", "hush")
    monkeypatch.setenv("COALMINE_FORGE__GITHUB__REPOSITORIES", "acme/shop,acme/app")
    monkeypatch.setenv("COALMINE_FORGE__GITEA__REPOSITORIES", '["acme/shop"]')
    monkeypatch.setenv("COALMINE_WEB__PORT", "0")
    settings = load_settings(tmp_path / "none.toml")
    door = door_settings(settings)
    assert door.github.secrets == ("hush",)
    assert door.github.repositories == ("acme/shop", "acme/app")
    assert door.gitea.repositories == ("acme/shop",)
    assert (settings.web.host, settings.web.port, settings.web.public) == ("127.0.0.1", 0, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FORGE__GITHUB__WEBHOOK_SECRET", ""),
        ("FORGE__GITEA__REPOSITORIES", "acme/*"),
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
