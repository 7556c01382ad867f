"""One recorded run of a real agent program."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

FOLDER = Path(__file__).parent / "agents"

#: Options that take a value, by which the value is found.
_RESUMES = ("--resume", "-s")


@dataclass(frozen=True, kw_only=True)
class AgentRecording:
    """What the program was given, and what it did."""

    name: str  # of the file: the runtime, a dash, the scenario
    argv: list[str]
    given: Any  # standard input as recorded: text, a list of lines or messages, or None
    stdout: list[str]
    stderr: list[str]
    rc: int | str  # exit code, negative for a signal, "timeout" when the recorder ended it

    @classmethod
    def load(cls, name: str) -> Self:
        """Read a recording by its name."""
        data = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        return cls(
            name=name,
            argv=data["argv"],
            given=data["stdin"],
            stdout=[line for _, line in data["stdout"]],
            stderr=[line for _, line in data["stderr"]],
            rc=data["rc"],
        )

    @property
    def runtime(self) -> str:
        """Name of the runtime whose program this was."""
        return self.name.split("-")[0]

    @property
    def prompt(self) -> str:
        """The prompt, however it went in."""
        if isinstance(self.given, str):
            return self.given
        if self.given:
            first = self.given[0]
            return first if isinstance(first, str) else str(first["message"]["content"])
        return "go on" if self.runtime == "claude" else self.argv[-1]

    @property
    def model(self) -> str:
        """The model that was asked for."""
        options = dict(zip(self.argv, self.argv[1:], strict=False))
        return options.get("--model") or options.get("-m") or "stub/model"

    @property
    def session_id(self) -> str | None:
        """The session that was to be resumed."""
        if self.runtime == "codex":
            return self.argv[-2] if "resume" in self.argv else None
        options = dict(zip(self.argv, self.argv[1:], strict=False))
        return next((options[name] for name in _RESUMES if name in options), None)

    @property
    def words(self) -> list[str]:
        """The command line without the prompt, and without the settings that led to a stub of the model."""
        words = self.argv[1:]
        if not isinstance(self.given, str) and self.runtime != "claude":
            words = words[: -2 if self.runtime == "gemini" else -1]
        while "-c" in words:
            at = words.index("-c")
            words = words[:at] + words[at + 2 :]
        return [word for word in words if word != "-"]


def recording_names() -> list[str]:
    """The names of all recordings."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))
