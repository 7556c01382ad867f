"""Settings are one TOML file, with the environment over it; they are read once, where a process begins.

A name that nobody knows is an error rather than a typo that does nothing, and all mistakes are named at
once. Defaults are on the safe side. `COALMINE_JOB__MAX_ATTEMPTS` is `max_attempts` in the section `[job]`.
"""

import os
from pathlib import Path

import pytest

from routing.errors import SettingsError
from tasks.settings.settings import load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to start in, and an environment without our variables."""
    for name in [name for name in os.environ if name.startswith("COALMINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_read_and_the_environment_is_over_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`coalmine.toml` where the process starts, and a variable for what differs on this machine."""
    (folder / "coalmine.toml").write_text("[job]\nagents_at_once = 4\nmax_attempts = 5\n")
    monkeypatch.setenv("COALMINE_JOB__MAX_ATTEMPTS", "7")
    job = load_settings().job
    assert (job.agents_at_once, job.max_attempts) == (4, 7)


def test_defaults_are_safe() -> None:
    """No forge is served, and nothing is sent anywhere."""
    settings = load_settings()
    assert settings.redis_url is None
    assert settings.forge == ()


def test_all_mistakes_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with the variable that holds it."""
    monkeypatch.setenv("COALMINE_JOB__MAX_ATTEMPT", "5")
    monkeypatch.setenv("COALMINE_KILL_SWITCH", "maybe")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "max_attempt" in str(caught.value).lower()
    assert "COALMINE_KILL_SWITCH" in str(caught.value)
