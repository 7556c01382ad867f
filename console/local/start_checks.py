"""Checks before a fleet starts: that the repository can be worked for, the agent's program and CI's be run.

Without one of them every job would fail, and no version would be to blame: so the check comes first, while
the user is watching. All raise InvalidInputError, which says what to correct. Nothing is written, except the
verdict of a CI that passed.
"""

import os
import posixpath
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from routing.errors import ConflictError, InvalidInputError
from routing.forges.commit_status import StatusState
from routing.forges.local.forge import LocalForge
from routing.git.git import Git
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.profile import SandboxKind

#: How much of the end of CI's output is shown, in characters.
SHOWN_CHARACTERS = 300

#: What a fleet does about a red main branch.
RED_WORDS = (
    "No agent is paid for what main has already: one issue is tried, and the others wait until main is "
    "green. With --allow-red all are begun."
)

#: The modes that git shows for files that can be run, and for links, which may lead to one.
_EXECUTABLE, _LINK = "100755", "120000"

#: A word with one of these means what a shell makes of it.
_FOR_THE_SHELL = frozenset("$`~=*?[;&|<>()")


def check_repository(forge: LocalForge | None) -> None:
    """Look at the repository; InvalidInputError when no agent can work for it."""
    if forge is not None and (fault := forge.repository_fault(forge.repo)):
        raise InvalidInputError(fault)


def check_agent(command: str, forge: LocalForge | None) -> None:
    """Look for the program that the command names by its path, as a job will look for it in its work tree.

    Raises InvalidInputError when it is not there, or may not be executed. A program that is named without a
    folder, or by a word that a shell has to expand, is not looked for: the shell finds it, or does not.
    """
    program = _program(command)
    if not program or forge is None:
        return
    if posixpath.isabs(program):
        if not os.access(program, os.X_OK) or Path(program).is_dir():
            remedy = "correct the path, or make it executable (chmod +x)"
            if Path(command).is_file():
                quoted = shlex.quote(shlex.quote(command))
                remedy = f"it is a command for a shell, so a path with a space is quoted in it: {quoted}"
            message = f"--agent names {program}, which cannot be run; {remedy}"
            raise InvalidInputError(message)
        return
    tip, inside = forge.git.main_tip(), posixpath.normpath(program)
    entry = "" if inside.startswith("..") else forge.git.run("ls-tree", tip, "--", inside)
    if entry.split(" ")[0] not in {_EXECUTABLE, _LINK}:
        why = "where it is a file that cannot be run" if entry else "where there is no such file"
        message = (
            f"--agent names {program}, which is looked for in the work tree of each job: a clone of "
            f"{forge.git.main_branch()} of {forge.git.directory}, {why}; give the full path of a program"
            f"{_suggestion(program)}, or commit it"
        )
        raise InvalidInputError(message)


def check_has_commit(repository: Path) -> None:
    """Refuse a repository without a commit: work trees need one to begin from.

    So is one that belongs to another user, which git does not touch (`safe.directory`); git's own words say
    how to allow it. Raises InvalidInputError.
    """
    asked = Git(repository).attempt("for-each-ref", "--count=1", "refs/heads/")
    if asked.returncode != 0:
        message = (
            f"the repository {repository} is not a git repository with a commit that git lets us use; "
            f"git says: {asked.stderr.strip()[:300]}"
        )
        raise InvalidInputError(message)
    if not asked.stdout:
        message = (
            f"the repository {repository} has no commit yet, and work begins from one; make the first: "
            f"git -C {shlex.quote(str(repository))} commit --allow-empty -m Begin"
        )
        raise InvalidInputError(message)


def check_ci(forge: LocalForge | None, say: Callable[[str], None]) -> str:
    """Run CI on the tip of the main branch, unless that is known to be green.

    Raises InvalidInputError when the command cannot be run there. Returns the words for a main branch that is
    red, and "" for one that is not: whether to start then is the caller's to decide.
    """
    if forge is None or forge.ci is None:
        return ""
    ci, branch, tip = forge.ci, forge.git.main_branch(), forge.git.main_tip()
    known = ci.statuses(tip)
    if known.has_real_ci and not known.failed:  # what failed may be repaired outside of the repository
        return ""
    say(f"Running CI once on {branch}: {ci.command}")
    status = ci.try_out(tip)
    if status.state is StatusState.ERROR:
        message = (
            f"the CI command {ci.command!r} was not found, or may not be executed, in a clone of "
            f"{forge.git.directory} at {branch}: {status.description}; it printed: {_end_of(status.url)}; "
            "all work would be judged red, so nothing was started: commit what the command needs, or give "
            "another --ci"
        )
        raise InvalidInputError(message)
    if status.state is not StatusState.FAILURE:
        return ""
    return f"CI is red on {branch} already: {status.description}, see {status.url}"


def red_mains(forges: Sequence[LocalForge], say: Callable[[str], None]) -> dict[str, str]:
    """`check_ci` for each local forge: the words for each main branch that is red, by the forge's name.

    With several forges, what is said begins with the name.
    """
    red = {}
    for forge in forges:
        start = f"{forge.name}: " if len(forges) > 1 else ""
        if words := check_ci(forge, _beginning(start, say)):
            red[forge.name] = start + words
    return red


def _beginning(start: str, say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda words: say(start + words)


def check_start_on_red(*, allowed: bool, is_first: bool, ask: Callable[[], bool] | None) -> str:
    """Whether to start although the main branch is red: words for the user, or ConflictError.

    `ask` asks a person, None where there is none. Then the first start of a state folder is refused, as
    nothing but `--allow-red` says that it is meant; a later one goes on, so that a fleet that a service
    manager starts again does not stay down until somebody has repaired the main branch.
    """
    if allowed:
        return "Issues are begun all the same (--allow-red)."
    if is_first if ask is None else not ask():
        message = "the main branch is red, so nothing was started: repair it, or give --allow-red"
        raise ConflictError(message)
    return RED_WORDS


def sandbox_words(bubblewrap: Bubblewrap, kind: SandboxKind) -> str:
    """Whether agents of a version are confined on this machine, for the person who starts a fleet."""
    if kind is SandboxKind.NONE:
        return "Agents run without a sandbox, as their version says: they can reach all that you can."
    if kind is SandboxKind.CONTAINER:
        return "Agents run in containers: `coalmine doctor` says whether the engine works here."
    if bubblewrap.works:
        return "Agents run in sandboxes of bubblewrap: see docs/sandbox.md for what they reach."
    if kind is SandboxKind.AUTO:
        result = "Agents run without a sandbox, and can reach all that you can"
        return f"{result}: {bubblewrap.why_not}. To confine them, {bubblewrap.remedy}."
    return f"No agent can run: its version asks for {kind}, and {bubblewrap.why_not}; {bubblewrap.remedy}."


def _program(command: str) -> str:
    """The program's path as the command writes it, "" when it names the program without a folder."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed: the shell reports that
        return ""
    plain = words and "/" in words[0] and not _FOR_THE_SHELL & set(words[0])
    return words[0] if plain else ""


def _suggestion(program: str) -> str:
    """The full path in brackets, when the file is in the current folder; else ""."""
    here = Path(program).absolute()
    return f" ({shlex.quote(os.path.normpath(here))})" if here.is_file() else ""


def _end_of(log: str) -> str:
    """The end of CI's log for a message, or `nothing`. Raises OSError when the log has gone."""
    said = Path(log).read_bytes()[-SHOWN_CHARACTERS:].decode(errors="replace").strip()
    return said or "nothing"
