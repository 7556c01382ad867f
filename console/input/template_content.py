"""The content of a version, made from the options of `template add` and `template propose`.

The order in which the parts are laid over each other: the file of `--from`, or else the champion's content;
then `--clear`; then single options; then variables and prompts, which are added one by one. The whole is
checked once at the end, so a wrong field of a file and a wrong option are reported in the same way.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.input.input_text import not_empty, read_text
from routing.errors import InvalidInputError
from routing.jobs.turn import TurnKind
from routing.sandbox.profile import SandboxKind
from routing.templates.templates import checked_snapshot
from routing.templates.version import Snapshot

#: The names for `--clear`, with the field that each empties.
CLEARABLE = {
    "prompt": "prompt",
    "prompts": "prompts",
    "command": "command",
    "model": "model",
    "tools": "tools",
    "env": "environment",
    "secrets": "secrets",
    "time-limit": "time_limit_seconds",
    "profile": "profile",
    "accounts": "accounts",
    "fallback": "fallback",
}

#: How each note about a missing source commit ends.
_NO_COMMIT = "no source commit was recorded"


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenContent:
    """The options as they were given; None or [] for those that were not.

    Call `snapshot` for the content, and `source` for the commit that it came from. Both read files; neither
    writes anything, and all errors are InvalidInputError.
    """

    whole: Path | None  # a TOML file with the whole content
    prompt: str | None
    prompt_file: Path | None
    prompt_for: list[str]  # KIND=FILE, added to those of the base
    runtime: str | None
    command: str | None
    model: str | None
    tools: list[str]  # replace those of the base
    environment: list[str]  # NAME=VALUE, added to those of the base
    secrets: list[str]  # names; replace those of the base
    time_limit_seconds: float | None
    sandbox: SandboxKind | None
    profile: Path | None  # a TOML file with what the sandbox lets it reach; replaces that of the base
    accounts: list[str]  # names; replace those of the base
    fallback: list[str]  # models; replace those of the base
    clear: list[str]  # keys of CLEARABLE, emptied before the other options are applied

    def snapshot(self, base: Snapshot | None = None, *, sandbox: SandboxKind | None = None) -> Snapshot:
        """The content: the options, laid over the file of `--from` if given, otherwise over `base`.

        `base` is the champion's content for a proposal, None for a new template, which begins with the
        defaults. With `--from` the base counts for nothing: the file is the whole content. `sandbox` is that
        of content that names none; without it such content runs in none.
        """
        if self.whole:
            fields = _tables(self.whole, "a version's content")
            fields.setdefault("sandbox", sandbox)
        else:
            fields = (base or Snapshot(sandbox=sandbox)).model_dump()
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
        """Fields that replace those of the base; those that were not given are left out."""
        given: dict[str, Any] = {
            "prompt": self._prompt(),
            "runtime": self.runtime,
            "command": self.command,
            "model": self.model,
            "tools": tuple(self.tools) or None,
            "secrets": tuple(self.secrets) or None,
            "time_limit_seconds": self.time_limit_seconds,
            "sandbox": self.sandbox,
            "profile": _tables(self.profile, "a profile") if self.profile else None,
            "accounts": tuple(self.accounts) or None,
            "fallback": tuple(self.fallback) or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _prompt(self) -> str | None:
        """The prompt of one of the two options; an empty one is refused: `--clear prompt` is for that."""
        if self.prompt is not None and self.prompt_file is not None:
            message = "both --prompt and --prompt-file were given; give only one"
            raise InvalidInputError(message)
        if self.prompt_file is not None:
            text = read_text(self.prompt_file, what="a prompt")
            return not_empty(
                text,
                what=f"the prompt in {self.prompt_file}",
                hint="write what the agent is and how it works",
            )
        if self.prompt is not None:
            return not_empty(self.prompt, what="the prompt", hint="give text, or --clear prompt for none")
        return None

    def _variables(self) -> dict[str, str]:
        """The variables of `--env`; a value may be empty and may contain `=`."""
        pairs = [item.partition("=") for item in self.environment]
        wrong = [name for name, equals, _ in pairs if not equals or not name]
        if wrong:
            message = f"--env {wrong[0][:60]!r} has no value; write --env NAME=VALUE"
            raise InvalidInputError(message)
        return {name: value for name, _, value in pairs}

    def _files_of_kinds(self) -> dict[str, Path]:
        """The files of `--prompt-for` by kind of turn; the last one of a kind counts."""
        pairs = [item.partition("=") for item in self.prompt_for]
        for kind, _, file in pairs:
            if kind not in set(TurnKind) or not file:
                message = (
                    f"--prompt-for {kind[:40]!r} is not a kind of turn and a file; write "
                    f"--prompt-for KIND=FILE with one of: {', '.join(TurnKind)}"
                )
                raise InvalidInputError(message)
        return {kind: Path(file) for kind, _, file in pairs}

    def _texts(self) -> dict[str, str]:
        """The texts for kinds of turns, read from their files."""
        return {
            kind: not_empty(
                read_text(file, what=f"the text of {kind}"),
                what=f"the text of {kind} in {file}",
                hint="write what the agent is to do in a turn of this kind",
            )
            for kind, file in self._files_of_kinds().items()
        }

    def source(self) -> tuple[str, str]:
        """The commit that the content's files come from, and a note.

        Without files, with standard input, or outside of a repository, both are "". A note says why no
        commit was recorded; the version is stored without one, because the commit is information and not a
        condition.
        """
        given = [self.prompt_file or self.whole, self.profile, *self._files_of_kinds().values()]
        files = [file for file in given if file is not None]
        if not files or Path("-") in files:
            return "", ""
        found = [commit_of(file) for file in files]
        remarks = [remark for _, remark in found if remark]
        if remarks or len({commit for commit, _ in found}) > 1:
            return "", (remarks or [f"the files come from different commits, so {_NO_COMMIT}"])[0]
        return found[0]


def _tables(file: Path, what: str) -> dict[str, Any]:
    """The fields of a TOML file; which ones there may be is checked with the whole content.

    InvalidInputError for a file that is not TOML.
    """
    try:
        return tomllib.loads(read_text(file, what=what))
    except tomllib.TOMLDecodeError as error:
        message = f"{file} is not TOML: {error}; correct it, nothing was written"
        raise InvalidInputError(message) from error


def commit_of(file: Path) -> tuple[str, str]:
    """HEAD of the file's repository if the file is committed there unchanged; else "" and why not.

    Only a file that is the same in HEAD is attributed to it: otherwise the record would name a commit whose
    prompt was a different one. A git that fails or takes longer than 10 s is a reason too, and not an
    error.
    """
    from routing.git.git import Git, GitError

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
        return "", f"git failed ({error}), so {_NO_COMMIT}"
    return head.stdout.strip(), ""


def _clearable(name: str) -> str:
    """The field that a name of `--clear` empties, or InvalidInputError."""
    if name not in CLEARABLE:
        message = f"--clear {name[:40]!r} is not a part of the content; use one of: {', '.join(CLEARABLE)}"
        raise InvalidInputError(message)
    return CLEARABLE[name]


def _check_runtime(snapshot: Snapshot) -> None:
    """Refuse a version that no worker could run. Whether its program is installed, only workers know.

    Refused here, it costs one message; later, every job of a trial would fail and the canary would be
    blamed.
    """
    from tasks.agents.runtimes.registry import RUNTIMES
    from tasks.agents.runtimes.runtime import RuntimeSpec

    if snapshot.sandbox is SandboxKind.CONTAINER and not (snapshot.profile and snapshot.profile.image):
        message = (
            "the version runs in a container and names no image; write `image` into its profile (--profile)"
        )
        raise InvalidInputError(message)
    if snapshot.runtime not in RUNTIMES:
        message = f"no runtime is called {snapshot.runtime!r}; use one of: {', '.join(sorted(RUNTIMES))}"
        raise InvalidInputError(message)
    if snapshot.runtime == "command" and not (RuntimeSpec.of(snapshot).command or "").strip():
        message = (
            "the version has no command and nothing was written; give --command with the shell line that "
            "starts the agent, for instance --command './agent.sh'"
        )
        raise InvalidInputError(message)
