"""The agent's program is looked for before a fleet starts: one that is not there would fail every job."""

import os
import posixpath
import shlex
from pathlib import Path

from routing.errors import InvalidInputError
from routing.forges.local.forge import LocalForge

#: What git says of files that can be run, and of links, which lead anywhere.
_EXECUTABLE, _LINK = "100755", "120000"

#: What makes a word one that only a shell can read.
_FOR_THE_SHELL = frozenset("$`~=*?[;&|<>()")


def rehearse_agent(command: str, forge: LocalForge | None) -> None:
    """Look for the program that the command names by its path, as it will be looked for in a work tree.

    Raises InvalidInputError when it is not there, or may not be executed. A program that is named without a
    folder, or by a word that a shell must read first, is left to the shell.
    """
    program = _program(command)
    if not program or forge is None:
        return
    if posixpath.isabs(program):
        if not os.access(program, os.X_OK) or Path(program).is_dir():
            message = (
                f"--agent names {program}, which is no program that can be run; correct the path, or make it "
                "executable (chmod +x)"
            )
            raise InvalidInputError(message)
        return
    tip, inside = forge.git.main_tip(), posixpath.normpath(program)
    entry = "" if inside.startswith("..") else forge.git.run("ls-tree", tip, "--", inside)
    if entry.split(" ")[0] not in {_EXECUTABLE, _LINK}:
        why = "which has it as a file that cannot be run" if entry else "which has no such file"
        message = (
            f"--agent names {program}, which is looked for in the work tree of each job: a clone of "
            f"{forge.git.main_branch()} of {forge.git.directory}, {why}; give the full path of a program"
            f"{_suggestion(program)}, or commit it"
        )
        raise InvalidInputError(message)


def _program(command: str) -> str:
    """The program's path, or "" where the command names none."""
    try:
        words = shlex.split(command)
    except ValueError:  # quotes that do not end: the shell will say so
        return ""
    plain = words and "/" in words[0] and not _FOR_THE_SHELL & set(words[0])
    return words[0] if plain else ""


def _suggestion(program: str) -> str:
    """The full path, where the file is here."""
    here = Path(program).absolute()
    return f" ({os.path.normpath(here)})" if here.is_file() else ""
