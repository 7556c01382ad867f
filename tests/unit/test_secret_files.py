"""Variables whose value lies in a file."""

from pathlib import Path

import pytest

from routing.errors import SettingsError
from tasks.agents.runtimes.registry import PROGRAMS
from tasks.settings.secret_files import read_secret_files
from tasks.settings.settings import load_settings
from tests.programs.command_line import own_surroundings


def test_the_value_takes_the_place_of_the_files_name(tmp_path: Path) -> None:
    """Without the newline at its end, in which editors differ; an empty file sets nothing."""
    (tmp_path / "token").write_text("s3cr3t with a space\r\n")
    (tmp_path / "empty").write_text("\n")
    environment = {
        "COALMINE_WEB__TOKEN_FILE": str(tmp_path / "token"),
        "FLOWER_BASIC_AUTH_FILE": str(tmp_path / "token"),
        "COALMINE_FORGE__GITHUB__TOKEN_FILE": str(tmp_path / "empty"),
        "ANTHROPIC_API_KEY_FILE": str(tmp_path / "token"),
        "CLAUDE_CODE_OAUTH_TOKEN_FILE": str(tmp_path / "token"),
        "OPENAI_API_KEY_FILE": str(tmp_path / "empty"),
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/a/file/itself",
        "DATADOG_API_KEY_FILE": "/for/a/ci",
        "COALMINE_PROMPT_FILE": "/of/an/agent",
        "OTHER_FILE": "/not/ours",
    }
    wanted = {
        "COALMINE_WEB__TOKEN": "s3cr3t with a space",
        "FLOWER_BASIC_AUTH": "s3cr3t with a space",
        "ANTHROPIC_API_KEY": "s3cr3t with a space",
        "CLAUDE_CODE_OAUTH_TOKEN": "s3cr3t with a space",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/a/file/itself",
        "DATADOG_API_KEY_FILE": "/for/a/ci",
        "COALMINE_PROMPT_FILE": "/of/an/agent",
        "OTHER_FILE": "/not/ours",
    }
    for _ in range(2):
        read_secret_files(environment)
        assert environment == wanted


@pytest.mark.parametrize("key", sorted({key for program in PROGRAMS.values() for key in program.keys}))
def test_the_key_of_a_known_program_may_lie_in_a_file(tmp_path: Path, key: str) -> None:
    """Whichever program it is: the compose file has a key so."""
    (tmp_path / "key").write_text("k-1\n")
    environment = {f"{key}_FILE": str(tmp_path / "key")}
    read_secret_files(environment)
    assert environment == {key: "k-1"}


def test_a_key_that_is_given_counts_over_its_file(tmp_path: Path) -> None:
    """Both may be there for programs that are none of ours: no command is refused for it."""
    environment = {"OPENAI_API_KEY": "k-1", "OPENAI_API_KEY_FILE": str(tmp_path / "none")}
    read_secret_files(environment)
    assert environment == {"OPENAI_API_KEY": "k-1", "OPENAI_API_KEY_FILE": str(tmp_path / "none")}


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named_with_its_variable(tmp_path: Path, content: bytes | None) -> None:
    """And nothing of what is in it."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"COALMINE_WEB__TOKEN_FILE names {file}, which cannot be read"):
        read_secret_files({"COALMINE_WEB__TOKEN_FILE": str(file)})


def test_a_value_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """Nobody knows which is the old one."""
    (tmp_path / "token").write_text("new")
    with pytest.raises(SettingsError, match="are both set"):
        read_secret_files({"COALMINE_X_FILE": str(tmp_path / "token"), "COALMINE_X": "old"})


def test_settings_are_read_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any setting, also of a forge by its name."""
    (tmp_path / "url").write_text("redis://:pw@redis:6379/0\n")
    (tmp_path / "token").write_text("t-0123456789\n")
    with own_surroundings():
        monkeypatch.setenv("COALMINE_REDIS_URL_FILE", str(tmp_path / "url"))
        monkeypatch.setenv("COALMINE_FORGE__GITHUB__TOKEN_FILE", str(tmp_path / "token"))
        settings = load_settings(tmp_path / "none.toml")
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://:pw@redis:6379/0"
    assert settings.forge[0].is_served
