"""The environment of an agent: what it gets, and above all what it does not get."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from routing.errors import InvalidInputError, SettingsError
from routing.git.git import Git
from tasks.agents.environment import AgentIdentity, agent_environment
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.settings.refused import NOT_SETTINGS, PREFIX

WORKER = {
    "PATH": "/bin",
    "HOME": "/home/worker",
    "LC_ALL": "C.UTF-8",
    "COALMINE_REDIS_URL": "redis://:password@db",
    "COALMINE_FORGE_TOKEN": "t",
    "AWS_SECRET_ACCESS_KEY": "s",
    "SSH_AUTH_SOCK": "/run/ssh",
    "API_KEY": "k",
}
IDENTITY = AgentIdentity(
    job_id="00ff00ff00ff00ff", agent="builder-7", version="implementer@v3", issue="local:shop#3", attempt=2
)


def _environment(**spec: Any) -> dict[str, str]:
    return agent_environment(
        WORKER,
        spec=RuntimeSpec(**spec),
        identity=IDENTITY,
        turn_kind="fix_forward",
        prompt_file=Path("/turns/prompt.md"),
        folder=Path("/work/00ff00ff00ff00ff"),
    )


def test_only_what_is_allowed_is_passed_on() -> None:
    """Nothing of the worker's that is not on the list reaches an agent."""
    environment = _environment()
    passed_on = {name: value for name, value in environment.items() if WORKER.get(name) == value}
    assert passed_on == {"PATH": "/bin", "HOME": "/home/worker", "LC_ALL": "C.UTF-8"}
    assert "COALMINE_REDIS_URL" not in environment


def test_the_agent_learns_who_it_is() -> None:
    """Job, agent, issue, attempt, kind of turn, prompt and a git identity."""
    environment = _environment()
    assert environment["COALMINE_JOB_ID"] == "00ff00ff00ff00ff"
    assert environment["COALMINE_AGENT"] == "builder-7"
    assert environment["COALMINE_VERSION"] == environment["GIT_AUTHOR_NAME"] == "implementer@v3"
    assert environment["COALMINE_ISSUE"] == "local:shop#3"
    assert environment["COALMINE_ATTEMPT"] == "2"
    assert environment["COALMINE_TURN_KIND"] == "fix_forward"
    assert environment["COALMINE_PROMPT_FILE"] == "/turns/prompt.md"


def test_variables_of_an_agent_are_not_settings() -> None:
    """A `coalmine` that an agent runs takes none of it for a misspelt setting."""
    names = {name.removeprefix(PREFIX) for name in _environment() if name.startswith(PREFIX)}
    assert names <= NOT_SETTINGS


def test_a_version_adds_variables_and_names_secrets() -> None:
    """The version's own values win over what is passed on; a secret comes from the worker by name."""
    environment = _environment(environment={"PATH": "/opt", "MODE": "x"}, secrets=("API_KEY",))
    assert (environment["PATH"], environment["MODE"], environment["API_KEY"]) == ("/opt", "x", "k")


def test_a_secret_that_is_not_there_is_said() -> None:
    """An agent is not started without what it needs."""
    with pytest.raises(SettingsError, match="OTHER_KEY"):
        _environment(secrets=("API_KEY", "OTHER_KEY"))


@pytest.mark.parametrize(
    "spec", [{"secrets": ("COALMINE_REDIS_URL",)}, {"environment": {"COALMINE_JOB_ID": "forged"}}]
)
def test_the_workers_own_variables_cannot_be_asked_for_or_set(spec: dict[str, Any]) -> None:
    """Neither the worker's secrets nor what we tell the agent is the version's to name."""
    with pytest.raises(InvalidInputError, match="COALMINE_"):
        _environment(**spec)


def test_git_of_an_agent_finds_no_repository_above_its_folder(tmp_path: Path) -> None:
    """A job without a repository has an empty folder, which may lie in the checkout of a person."""
    git = Git(tmp_path)
    git("init", "--quiet")
    (tmp_path / "theirs.txt").write_text("theirs\n")
    folder = tmp_path / ".coalmine" / "work" / "job"
    folder.mkdir(parents=True)
    given = agent_environment(
        os.environ, spec=RuntimeSpec(), identity=IDENTITY, turn_kind="first",
        prompt_file=tmp_path / "prompt.md", folder=folder,
    )  # fmt: skip

    def asked(*words: str) -> int:
        return subprocess.run(
            ["git", *words], cwd=folder, env=given, check=False, capture_output=True
        ).returncode

    assert asked("add", "--all") != 0
    assert git("status", "--porcelain") == "?? theirs.txt"
    assert (asked("init"), asked("add", "--all")) == (0, 0), "one of its own is found"
