"""How the real programs learn where their model is."""

from collections.abc import Callable
from pathlib import Path

_CODEX_CONFIG = """
model_provider = "stub"
[model_providers.stub]
name = "stub"
base_url = "{url}/v1"
env_key = "STUB_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = {retries}
"""


def _claude_environment(home: Path, url: str, *, retries: int) -> dict[str, str]:
    return {
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_MAX_RETRIES": str(retries),
    }


def _codex_environment(home: Path, url: str, *, retries: int) -> dict[str, str]:
    folder = home / "codex"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(_CODEX_CONFIG.format(url=url, retries=retries))
    return {"CODEX_HOME": str(folder), "STUB_KEY": "none"}


_BY_PROGRAM = {"claude": _claude_environment, "codex": _codex_environment}


def _environment(program: str) -> Callable[[Path, str], dict[str, str]]:
    return lambda home, url: _BY_PROGRAM[program](home, url, retries=1)


#: The variables with which each program speaks to the stub, by a home folder and the stub's address.
ENVIRONMENTS = {program: _environment(program) for program in _BY_PROGRAM}


def stubborn_environment(program: str, home: Path, url: str) -> dict[str, str]:
    """The same, of a program that asks again for minutes when it is refused, as programs do by default."""
    return _BY_PROGRAM[program](home, url, retries=50)


#: A model that each program believes to exist.
MODELS = {"claude": "claude-sonnet-4-5", "codex": "gpt-5-codex"}
