"""Whether an agent's program can be run here: there, known with its options, logged in.

It is asked in the environment that agents get, so that the answer is theirs and not the person's. The
program is started a few times, never with a prompt: nothing is paid. What cannot be found out counts as good.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from routing.errors import SettingsError
from routing.printable import printable
from routing.process.bounded_command import capture
from routing.process.command import Command, SpawnError
from tasks.agents.environment import program_environment
from tasks.agents.runtimes.known_program import KnownProgram, version_of
from tasks.agents.runtimes.program import ProgramRuntime
from tasks.agents.runtimes.runtime import Runtime, RuntimeSpec

#: Seconds that a program may take to say its version, or whether it is logged in.
ANSWER_SECONDS = 30.0

#: Runs a program with arguments, in an environment; its exit code (None: no answer) and what it printed.
Ask = Callable[[Sequence[str], Mapping[str, str]], tuple[int | None, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramReadiness:
    """What was found out about a version's program."""

    title: str  # `Claude Code 2.1.329`
    lack: str = ""  # what keeps it from being run, as a sentence without its end; "": nothing
    remedy: str = ""  # what to do about that

    @property
    def words(self) -> str:
        """The lack with its remedy."""
        return f"{self.lack}; {self.remedy}"


def readiness_of(
    runtime: Runtime, spec: RuntimeSpec, worker: Mapping[str, str], ask: Ask | None = None
) -> ProgramReadiness | None:
    """Look at the program of a version as a worker with this environment would run it.

    None for a runtime that runs any program, of which nothing is known. Raises RuntimeRefusedError for a
    version that asks for what no version may have.
    """
    program = runtime.program if isinstance(runtime, ProgramRuntime) else None
    if program is None:
        return None
    try:
        environment = program_environment(worker, spec)
    except SettingsError as error:
        return ProgramReadiness(
            title=program.name, lack=str(error).partition(";")[0], remedy=_set(spec, worker)
        )
    where = shutil.which(program.command, path=environment.get("PATH", ""))
    if where is None:
        lack = f"{program.name} is not installed: no `{program.command}` is on the PATH"
        return ProgramReadiness(title=program.name, lack=lack, remedy=f"install it: {program.install}")
    return _examined(program, where, environment, ask or _ask)


def _examined(
    program: KnownProgram, where: str, environment: Mapping[str, str], ask: Ask
) -> ProgramReadiness:
    """The version first: an older program may answer the other questions in another way."""
    code, said = ask([where, "--version"], environment)
    version = version_of(said)
    if code != 0 or not version:
        lack = f"`{where} --version` {_how(code)}{_excerpt(said)}"
        return ProgramReadiness(title=program.name, lack=lack, remedy=f"install it anew: {program.install}")
    title = f"{program.name} {'.'.join(map(str, version))}"
    is_older = version < version_of(program.seen)
    if is_older:
        _, usage = ask([where, *program.usage], environment)
        unknown = [option for option in program.options if option not in usage]
        if unknown:
            lack = f"{title} does not know {', '.join(unknown)}"
            return ProgramReadiness(
                title=title, lack=lack, remedy=f"install {program.seen} or newer: {program.install}"
            )
    if not _is_logged_in(program, where, environment, ask, is_older=is_older):
        lack = f"{title} is not logged in, as agents run it"
        return ProgramReadiness(title=title, lack=lack, remedy=program.log_in)
    return ProgramReadiness(title=title)


def _is_logged_in(
    program: KnownProgram, where: str, environment: Mapping[str, str], ask: Ask, *, is_older: bool
) -> bool:
    """Whether there is a way to a model; what an older program says of itself is not relied on."""
    ways_in = (*program.keys, *program.logins)
    if not program.needs_login or any(environment.get(name) for name in ways_in):
        return True
    if any(file.vouches(environment) for file in program.login_files):
        return True
    if not program.login_status or is_older:
        return False
    return ask([where, *program.login_status], environment)[0] == 0


def _set(spec: RuntimeSpec, worker: Mapping[str, str]) -> str:
    missing = [name for name in spec.secrets if not worker.get(name)]
    return f"export {' '.join(f'{name}=…' for name in missing)} here, or propose a version without it"


def _ask(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int | None, str]:
    """Run the program in an empty folder, with no input; all that it starts is ended."""
    with tempfile.TemporaryDirectory(prefix="coalmine-ask-", ignore_cleanup_errors=True) as nowhere:
        command = Command(argv=list(argv), cwd=Path(nowhere), environment=environment)
        try:
            ran = capture(command, timeout_seconds=ANSWER_SECONDS)
        except SpawnError as error:
            return None, str(error)
    text = (ran.output + b"\n" + ran.error).decode(errors="replace")
    return None if ran.ended.timed_out else ran.ended.exit_code, text


def _how(code: int | None) -> str:
    return "gave no answer" if code is None else f"ended with exit code {code}"


def _excerpt(said: str) -> str:
    text = " ".join(printable(said).split())[:200]
    return f" and said: {text}" if text else ""
