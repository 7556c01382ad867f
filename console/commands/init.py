"""`coalmine init`: at most five questions, and a settings file with which `coalmine up` needs no option.

Each answer is an option, so that scripts need no terminal. A question whose answer was given, or does not
matter, is not asked. No file is overwritten, and nothing is started.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from console.input.first_settings import FirstSettings, ForgeAddress
from console.invocation import AsJson, examples, started
from console.local.guesses import ci_of, program_of, repository_of
from console.local.start_checks import check_has_commit
from console.output.own_name import own_name
from console.output.terminal import Terminal
from routing.errors import ConflictError, InvalidInputError
from tasks.agents.runtimes.registry import PROGRAMS
from tasks.settings.settings import DEFAULT_FILE

Repo = Annotated[
    str | None,
    typer.Option(metavar="PATH|FORGE", help="Git repository: its folder, or a forge's, github:OWNER/NAME."),
]
Issues = Annotated[
    str | None,
    typer.Option(metavar="DIR|FORGE", help="Folder of issues as markdown files, or github:OWNER/NAME."),
]
Ci = Annotated[
    str | None,
    typer.Option(metavar="CMD", help="Shell line that is the CI of a folder's repository; '' for none."),
]
Runtime = Annotated[str | None, typer.Option(metavar="NAME", help=f"Agent program: {', '.join(PROGRAMS)}.")]
Agent = Annotated[
    str | None, typer.Option(metavar="CMD", help="Any other agent: the shell line that starts it.")
]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="Model, as the program names it.")]
Merge = Annotated[
    str | None,
    typer.Option(metavar="green|never", help="Whether green branches are merged without a person."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take the proposed answers.")]

#: What is proposed as the answer to who merges: whatever an agent does can be read first.
MERGE = "never"


init_app = typer.Typer()


@init_app.command(
    epilog=examples(
        "init",
        "init --repo . --issues issues --ci 'make test' --runtime claude --merge never",
        "init --repo github:acme/shop --runtime codex --merge never",
    )
)
def init(
    ctx: typer.Context,
    *,
    repo: Repo = None,
    issues: Issues = None,
    ci: Ci = None,
    runtime: Runtime = None,
    agent: Agent = None,
    model: Model = None,
    merge: Merge = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Write coalmine.toml: which repository, issues, CI and agent, and who merges.

    Five questions at most; `coalmine up` then needs no option. An existing file is never changed.
    """
    invocation = started(ctx)
    invocation.refuse_options(
        "`coalmine init` writes no server into the file: give it to `coalmine up`",
        but=frozenset({"--config"}),
    )
    file = invocation.config or Path(os.environ.get("COALMINE_CONFIG") or DEFAULT_FILE)
    if file.is_symlink() or file.exists():
        raise _exists(file)
    questions = _Questions(yes=yes)
    address, repository = _repository(questions, repo)
    folder = ""
    if repository is not None:
        address, folder = _issues(questions, issues, repository)
    answers = FirstSettings(
        forge=address,
        repository=str(repository) if address is None else "",
        issues=folder,
        ci=_ci(questions, ci, None if address else repository),
        **_program(questions, runtime, agent),
        model=model or "",
        merge=_merge(questions, merge),
    )
    made = _make_folder(answers)
    _write(file, answers.text())
    document = {"file": str(file.absolute()), "issues": folder or None, "made": [str(path) for path in made]}
    Terminal(as_json=as_json).answer(document, *_next_steps(file, answers, made))


class _Questions:
    """Asks on the terminal, proposes, and refuses to guess where nobody can be asked."""

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes

    def ask(self, words: str, *, option: str, proposed: str) -> str:
        """The answer; the proposed one with --yes. InvalidInputError without a terminal, or an answer."""
        if self._yes and proposed:
            return proposed
        if self._yes or not sys.stdin.isatty():
            hint = "" if self._yes else f", or --yes for what is proposed ({proposed or 'nothing'})"
            message = f"nothing was written, as nobody can be asked: {words} Give {option}{hint}"
            raise InvalidInputError(message)
        return str(typer.prompt(words, default=proposed or None, err=True)).strip()


def _repository(questions: _Questions, given: str | None) -> tuple[ForgeAddress | None, Path | None]:
    """The repository of a forge, or one on this machine that can be worked for."""
    text = given or questions.ask(
        "Which repository? Its folder, or a forge's as github:OWNER/NAME.",
        option="--repo",
        proposed=str(repository_of(Path()) or ""),
    )
    address = ForgeAddress.read(text)
    if address is not None:
        return address, None
    folder = Path(text).expanduser().resolve()
    if not folder.is_dir():
        message = f"{text} is not a folder; create it, or correct the path"
        raise InvalidInputError(message)
    check_has_commit(folder)
    return None, folder


def _issues(questions: _Questions, given: str | None, repository: Path) -> tuple[ForgeAddress | None, str]:
    """The forge that has the issues, or the absolute path of their folder."""
    text = given or questions.ask(
        "Where are its issues? A folder of markdown files, or a forge as github:OWNER/NAME.",
        option="--issues",
        proposed=str(repository / "issues"),
    )
    address = ForgeAddress.read(text)
    return address, "" if address else str(Path(text).expanduser().resolve())


def _ci(questions: _Questions, given: str | None, repository: Path | None) -> str:
    """The command that judges a repository on this machine; on a forge its own checks do."""
    if repository is None:
        if given:
            message = (
                "--ci is for a repository on this machine; on a forge its own checks judge: leave it out"
            )
            raise InvalidInputError(message)
        return ""
    if given is None:
        given = questions.ask(
            "Which command is its CI? It runs in a clone of each pushed commit; - for none.",
            option="--ci CMD",
            proposed=ci_of(repository) or "-",
        )
    return "" if given == "-" else given


def _program(questions: _Questions, runtime: str | None, agent: str | None) -> dict[str, str]:
    """The name of a known program, or a shell line."""
    if runtime and agent:
        message = "--runtime and --agent are two agents; give one of them"
        raise InvalidInputError(message)
    known = ", ".join(PROGRAMS)
    if runtime and runtime not in PROGRAMS:
        message = f"no agent program is known as {runtime[:40]!r}; give {known}, or --agent 'CMD'"
        raise InvalidInputError(message)
    answer = (
        runtime
        or agent
        or questions.ask(
            f"Which agent program? {known}, or the shell line that starts another one.",
            option="--runtime NAME or --agent CMD",
            proposed=program_of(os.environ),
        )
    )
    return {"runtime": answer} if answer in PROGRAMS else {"agent": _shell_line(answer)}


def _shell_line(agent: str) -> str:
    """The line as a shell takes it: one that is as a whole the path of a program, with a space, is quoted."""
    is_program = Path(agent).is_file() and os.access(agent, os.X_OK)
    return shlex.quote(agent) if is_program else agent


def _merge(questions: _Questions, given: str | None) -> Literal["green", "never"]:
    answer = given or questions.ask(
        "Who merges green work? never: you do; green: it is merged into the main branch.",
        option="--merge",
        proposed=MERGE,
    )
    if answer not in {"green", "never"}:
        message = f"--merge {answer[:40]!r} is not green or never; give one of them"
        raise InvalidInputError(message)
    return "green" if answer == "green" else "never"


def _make_folder(answers: FirstSettings) -> list[Path]:
    """Make the folder of issues if it is not there; returns what was made."""
    folder = Path(answers.issues)
    if not answers.issues or folder.is_dir():
        return []
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        message = f"the folder of issues {folder} cannot be made: {error.strerror}; choose another"
        raise InvalidInputError(message) from error
    return [folder]


def _write(file: Path, text: str) -> None:
    """Write a file that does not exist; ConflictError for one that was made since the first look."""
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}; choose a folder that you may write to"
        raise InvalidInputError(message) from error


def _exists(file: Path) -> ConflictError:
    return ConflictError(
        f"{file} exists already and was not changed; edit it, or name another file with --config"
    )


def _next_steps(file: Path, answers: FirstSettings, made: list[Path]) -> list[str]:
    """What was written, and what to do now, as lines."""
    lines = [f"{file} is written.", *(f"{folder} is made." for folder in made), "Now:"]
    if answers.forge is None:
        lines.append(f"  write what is to be done into {Path(answers.issues) / '1.md'}")
    else:
        lines.append(f"  export {answers.token_variable}=…")
        lines.append(f"  put the label coalmine on an issue of {answers.forge.repository}")
    return [*lines, f"  {own_name()} up"]
