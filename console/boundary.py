"""Errors of a command become one line on standard error and an exit code, here and nowhere else.

Commands raise errors of `routing.errors` and leave printing them to this file; for another exit code they
raise `typer.Exit`, and none calls `sys.exit`. What holds for every command:

- standard output has the answer alone, so that `--json` can be parsed whatever went wrong
- standard error has at most one line for an error, which begins with `coalmine: `
- the exit code is a member of ExitCode; scripts rely on the numbers, so none is ever given a new meaning
- text from outside (a forge's answer, a path) is made printable before it is written

A traceback is printed only with COALMINE_DEBUG set, and only for an error that is a fault in Coalmine.
"""

import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup, TyperOption
from typer.exceptions import TyperException

from console.command_table import ListedCommands
from console.plain_help import write_help_plainly, write_types_plainly
from routing.errors import CoalmineError, InvalidInputError
from routing.printable import printable, valid

#: The most of an error that is printed, in characters.
LONGEST_LINE = 2000

#: Set to anything but 0, it prints the traceback of an unexpected error.
DEBUG_VARIABLE = "COALMINE_DEBUG"


class ExitCode(IntEnum):
    """Exit codes of the command line. Errors of `routing.errors` carry 1 to 6; a test compares the two.

    70 is EX_SOFTWARE of sysexits.h, and 130 is what a shell reports after SIGINT (128 + 2). A code is only
    ever added: scripts compare these numbers.
    """

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    CORRUPT = 6
    INTERNAL = 70
    INTERRUPTED = 130


#: The meaning of each exit code, for `--help` and docs/command-line.md.
MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done, or it had been done before",
    ExitCode.FAILED: "the answer is no: doctor found a problem, a watched job did not succeed",
    ExitCode.BAD_INPUT: "what was asked for, or a setting, is malformed; nothing was written",
    ExitCode.NOT_FOUND: "no such template, version, trial, job or issue exists",
    ExitCode.CONFLICT: "not allowed in its present state; nothing was written",
    ExitCode.UNAVAILABLE: "a server or program did not answer; the same command may succeed later",
    ExitCode.CORRUPT: "a stored record is damaged, or a replay differs from it",
    ExitCode.INTERNAL: "a fault in Coalmine itself; COALMINE_DEBUG=1 shows where",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


class Boundary(ListedCommands):
    """The root of all commands. Everything that a command raises ends in `exit_code_of`.

    It is the `cls` of the root app, so that every way to call the app passes through it: `coalmine`,
    `python -m coalmine` and typer's test runner. Options of the root that take a value may stand after a
    command as well; there they count more, and are not listed in the help of each command.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        #: The options of the root that may stand after a command: settings, and the file of them.
        self.shared_options = [
            option for option in self.params if isinstance(option, TyperOption) and not option.is_flag
        ]
        write_help_plainly(self)

    def prepared(self, command: Any) -> Any:
        """A command, or a group, that takes the options of the root and writes types plainly."""
        for each in _all_of(command):
            write_help_plainly(each)
        for leaf in _leaves(command):
            for parameter in leaf.params:
                write_types_plainly(parameter)
            taken = {name for parameter in leaf.params for name in parameter.opts}
            leaf.params += [_after(option) for option in self.shared_options if not taken & set(option.opts)]
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of the root; typer adds options of its own after this was made."""
        for parameter in self.params:
            if getattr(parameter, "is_flag", False):
                write_types_plainly(parameter)
        super().format_help(ctx, formatter)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - their signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - their signature
        **extra: Any,
    ) -> Any:
        """Run a command line and exit; without `standalone_mode`, return the exit code.

        typer itself always runs with `standalone_mode` off: with it on, it would print usage errors in a
        box of several lines and exit before they reach `exit_code_of`.
        """
        run, given = super().main, sys.argv[1:] if args is None else list(args)
        _write_what_can_be_written()

        def command() -> Any:
            _refuse_bytes(given)
            return run(given, prog_name or "coalmine", complete_var, False, windows_expand_args, **extra)

        code = exit_code_of(command)
        if standalone_mode:
            sys.exit(code)
        return code


def _refuse_bytes(arguments: Sequence[str]) -> None:
    """Refuse an argument that is not text, before any command sees it: no store and no JSON could hold it.

    Python decodes bytes that are not UTF-8 as lone surrogates (PEP 383).
    """
    for number, argument in enumerate(arguments, start=1):
        if valid(argument) != argument:
            message = (
                f"argument {number} ({argument[:60]!r}) is not UTF-8 text; nothing was written: write it in "
                "UTF-8, and give files names in UTF-8"
            )
            raise InvalidInputError(message)


def _write_what_can_be_written() -> None:
    """Write a question mark for what the locale's encoding does not have, in place of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _leaves(command: Any) -> Iterator[Any]:
    """All commands that do something: this one, or those of a group."""
    return (each for each in _all_of(command) if not isinstance(each, TyperGroup))


def _all_of(command: Any) -> Iterator[Any]:
    """This command or group, and all in it."""
    yield command
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            yield from _all_of(inner)


def _after(option: TyperOption) -> TyperOption:
    """The same option for a command; it is kept with those before the command, and no variable sets it."""
    again = copy(option)
    again.envvar, again.hidden, again.expose_value = None, True, False

    def keep(ctx: Any, parameter: Any, value: Any) -> None:
        if value is not None:
            ctx.find_root().obj.take(parameter.name, value)

    again.callback = keep
    return again


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run a command, print in one line what went wrong, and return the exit code.

    The code of a `typer.Exit` arrives here as the command's return value; every other value means OK.
    Output whose reader has gone (`| head -1`) is not reported as an error: the code is 1 and nothing is
    printed. Ctrl-C prints nothing either. Standard output is flushed here, because a reader that has gone
    is often noticed only then.
    """
    try:
        answer = command()
        sys.stdout.flush()
    except ImportError:
        raise  # a command is imported when it is run; whose file is broken, the package `coalmine` knows
    except BrokenPipeError:
        _forget_output()
        return ExitCode.FAILED
    except SystemExit as error:  # typer and rich exit like this when the reader of the output is gone
        _forget_output()
        return error.code if isinstance(error.code, int) else ExitCode.FAILED
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary of the process: no traceback unless asked for
        return _failed(error)
    return answer if isinstance(answer, int) else ExitCode.OK


def _failed(error: Exception) -> int:
    """Print an expected error as one line; any other error is a fault in Coalmine."""
    if isinstance(error, CoalmineError):
        return _complain(str(error), error.exit_code)
    if isinstance(error, TyperException):
        # When a command is missing, its help has been printed already, which says more than an error.
        return _complain(_usage(error), error.exit_code) if error.format_message() else ExitCode.BAD_INPUT
    if isinstance(error, OSError) and error.errno is not None:
        _forget_output()
        return _complain(_file_words(error), ExitCode.UNAVAILABLE)
    return _unexpected(error)


def _file_words(error: OSError) -> str:
    """A file, or the output, that could not be used: what the system says, of which, and what to do."""
    where = error.filename if error.filename is not None else "the output"
    return (
        f"{where} cannot be used: {error.strerror or error}; see that it is there, that this user may use "
        "it, and that its disk has room"
    )


def one_line(message: str) -> str:
    """An error as one printable line of at most LONGEST_LINE; a list is joined with semicolons.

    Settings and supervised programs report several lines under a heading: the heading keeps its colon, the
    lines after it are separated by semicolons. Escape sequences are removed: messages quote forges, git and
    paths.
    """
    listed = re.sub(r":\s*\n\s*", ": ", message.strip())
    joined = re.sub(r"\s*\n\s*", "; ", listed)
    line = printable(joined).replace("\t", " ").replace("\n", " ")
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def _complain(message: str, code: int) -> int:
    """Write the line that every error ends in, and return `code` for the caller to pass on."""
    sys.stderr.write(f"coalmine: {one_line(message)}\n")
    sys.stderr.flush()
    return code


def _usage(error: TyperException) -> str:
    """A usage error, with the command whose help explains it."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "coalmine"
    said = re.sub(r" \(Possible options: (.*)\)$", r". Did you mean \1?", error.format_message().rstrip("."))
    return f"{said}{' See' if said.endswith('?') else '; see'} `{command} --help`"


def _unexpected(error: Exception) -> int:
    """Report a fault in Coalmine; the traceback comes first, and only when DEBUG_VARIABLE asks for it."""
    if os.environ.get(DEBUG_VARIABLE, "0") not in {"", "0"}:
        traceback.print_exc()
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    hint = f"this is a fault in Coalmine; run it again with {DEBUG_VARIABLE}=1 and report what it prints"
    return _complain(f"{what}; {hint}", ExitCode.INTERNAL)


def _forget_output() -> None:
    """Send further output to nowhere, so that the interpreter does not fail when it flushes at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a file descriptor is needed
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
