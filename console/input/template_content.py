"""The content of a version, put together from what a person gave on the command line."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.input.input_text import read_text, said
from routing.errors import InvalidInputError
from routing.git.git import Git, GitError
from routing.jobs.turn_kind import TurnKind
from routing.templates.templates import checked_snapshot
from routing.templates.version import Snapshot
from tasks.agents.runtimes.registry import RUNTIMES
from tasks.agents.runtimes.runtime import RuntimeSpec

#: What `--clear` may name, with the field that it empties.
CLEARABLE = {
    "prompt": "prompt",
    "prompts": "prompts",
    "command": "command",
    "model": "model",
    "tools": "tools",
    "env": "environment",
    "secrets": "secrets",
    "time-limit": "time_limit_seconds",
}

_NO_COMMIT = "no source commit was recorded"


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenContent:
    """The options of `template add` and `template propose`; None and () where nothing was given."""

    whole: Path | None  # a TOML file with all of the content
    prompt: str | None
    prompt_file: Path | None
    prompt_for: list[str]  # KIND=FILE, added to those that there were
    runtime: str | None
    command: str | None
    model: str | None
    tools: list[str]  # replace those that there were
    environment: list[str]  # K=V, added to those that there were
    secrets: list[str]  # names; replace those that there were
    time_limit_seconds: float | None
    clear: list[str]  # keys of CLEARABLE, emptied before the rest is applied

    def snapshot(self, base: Snapshot | None = None) -> Snapshot:
        """The content: what was given, over the whole file, or else over `base`."""
        fields = self._file() if self.whole else (base or Snapshot()).model_dump()
        for name in self.clear:
            fields.pop(_clearable(name), None)
        fields |= self._single()
        for name, added in (("environment", self._variables()), ("prompts", self._texts())):
            if added:
                kept = fields.get(name)
                fields[name] = {**(kept if isinstance(kept, dict) else {}), **added}
        made = checked_snapshot(**fields)
        _check_runtime(made)
        return made

    def _single(self) -> dict[str, Any]:
        given: dict[str, Any] = {
            "prompt": self._prompt(),
            "runtime": self.runtime,
            "command": self.command,
            "model": self.model,
            "tools": tuple(self.tools) or None,
            "secrets": tuple(self.secrets) or None,
            "time_limit_seconds": self.time_limit_seconds,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _prompt(self) -> str | None:
        if self.prompt is not None and self.prompt_file is not None:
            message = "both --prompt and --prompt-file were given; give one of them"
            raise InvalidInputError(message)
        if self.prompt_file is not None:
            text = read_text(self.prompt_file, what="a prompt")
            return said(text, what=f"the prompt in {self.prompt_file}", hint="write what the agent is to be")
        if self.prompt is not None:
            return said(self.prompt, what="the prompt", hint="give text, or --clear prompt for none")
        return None

    def _variables(self) -> dict[str, str]:
        pairs = [item.partition("=") for item in self.environment]
        wrong = [name for name, equals, _ in pairs if not equals or not name]
        if wrong:
            message = f"--env {wrong[0][:60]!r} has no value; write --env NAME=VALUE"
            raise InvalidInputError(message)
        return {name: value for name, _, value in pairs}

    def _files_of_kinds(self) -> dict[str, Path]:
        pairs = [item.partition("=") for item in self.prompt_for]
        for kind, _, file in pairs:
            if kind not in set(TurnKind) or not file:
                message = (
                    f"--prompt-for {kind[:40]!r} is no text of a kind of turn; write --prompt-for KIND=FILE "
                    f"with one of: {', '.join(TurnKind)}"
                )
                raise InvalidInputError(message)
        return {kind: Path(file) for kind, _, file in pairs}

    def _texts(self) -> dict[str, str]:
        """The texts of kinds of turns, read from their files."""
        return {
            kind: said(
                read_text(file, what=f"the text of {kind}"),
                what=f"the text of {kind} in {file}",
                hint="write what a turn of this kind is told",
            )
            for kind, file in self._files_of_kinds().items()
        }

    def _file(self) -> dict[str, Any]:
        file = self.whole or Path()
        try:
            return tomllib.loads(read_text(file, what="a version's content"))
        except tomllib.TOMLDecodeError as error:
            message = f"{file} is no TOML: {error}; mend it, nothing was written"
            raise InvalidInputError(message) from error

    def source(self) -> tuple[str, str]:
        """The commit that the content's files are from, and a note when there should be one and is none."""
        given = [self.prompt_file or self.whole, *self._files_of_kinds().values()]
        files = [file for file in given if file is not None]
        if not files or Path("-") in files:
            return "", ""
        found = [commit_of(file) for file in files]
        remarks = [remark for _, remark in found if remark]
        if remarks or len({commit for commit, _ in found}) > 1:
            return "", (remarks or [f"the files are not of one commit, so {_NO_COMMIT}"])[0]
        return found[0]


def commit_of(file: Path) -> tuple[str, str]:
    """HEAD of the repository that the file lies in, if the file is as it is there; a note if it is not."""
    git = Git(file.resolve().parent, timeout_seconds=10)
    name = file.resolve().name
    try:
        head = git.attempt("rev-parse", "--verify", "--quiet", "HEAD")
        if head.returncode != 0:
            return "", ""  # not in a repository, or in one without commits
        if git.attempt("ls-files", "--error-unmatch", "--", name).returncode != 0:
            return "", f"{file} is not committed, so {_NO_COMMIT}"
        if git.attempt("diff", "--no-ext-diff", "--quiet", "HEAD", "--", name).returncode != 0:
            return "", f"{file} differs from its last commit, so {_NO_COMMIT}"
    except GitError as error:
        return "", f"git was not of use ({error}), so {_NO_COMMIT}"
    return head.stdout.strip(), ""


def _clearable(name: str) -> str:
    if name not in CLEARABLE:
        message = f"--clear {name[:40]!r} is no part of the content; use one of: {', '.join(CLEARABLE)}"
        raise InvalidInputError(message)
    return CLEARABLE[name]


def _check_runtime(snapshot: Snapshot) -> None:
    """Refuse here what no worker could run. Whether the program is installed is for workers to say."""
    if snapshot.runtime not in RUNTIMES:
        message = f"there is no runtime {snapshot.runtime!r}; use one of: {', '.join(sorted(RUNTIMES))}"
        raise InvalidInputError(message)
    if snapshot.runtime == "command" and not (RuntimeSpec.of(snapshot).command or "").strip():
        message = (
            "the version has no command and nothing was written; give --command with the shell line that "
            "starts the agent, for instance --command './agent.sh'"
        )
        raise InvalidInputError(message)
