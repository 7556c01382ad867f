"""Which runtimes there are, by the name that a version uses.

The one place outside of a runtime's own file that knows its name.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tasks.agents.runtimes.claude import ClaudeRuntime
from tasks.agents.runtimes.codex import CodexRuntime
from tasks.agents.runtimes.command import CommandRuntime
from tasks.agents.runtimes.gemini import GeminiRuntime
from tasks.agents.runtimes.known_program import KnownProgram
from tasks.agents.runtimes.launch import fault_words
from tasks.agents.runtimes.opencode import OpencodeRuntime
from tasks.agents.runtimes.program import ProgramRuntime
from tasks.agents.runtimes.runtime import Runtime, RuntimeRefusedError, RuntimeSpec

#: Every runtime; a new one is added here and to the contract suite.
RUNTIMES: Final[Mapping[str, Callable[[RuntimeSpec], Runtime]]] = {
    "claude": ClaudeRuntime,
    "codex": CodexRuntime,
    "command": CommandRuntime,
    "gemini": GeminiRuntime,
    "opencode": OpencodeRuntime,
}

#: The programs that people know by name, by the names of their runtimes.
PROGRAMS: Final[Mapping[str, KnownProgram]] = {
    name: made.program
    for name, made in RUNTIMES.items()
    if isinstance(made, type) and issubclass(made, ProgramRuntime) and made.program is not None
}


def runtime_for(spec: RuntimeSpec) -> Runtime:
    """Return the runtime that the spec asks for, or raise RuntimeRefusedError before anything is started."""
    make = RUNTIMES.get(spec.runtime)
    if make is None:
        message = f"no runtime is called {spec.runtime[:40]!r}; use one of: {', '.join(sorted(RUNTIMES))}"
        raise RuntimeRefusedError(message)
    try:
        runtime = make(spec)
        runtime.check()
    except RuntimeRefusedError:
        raise
    except Exception as error:
        words = fault_words(error)
        message = f"the runtime {spec.runtime} could not check the version: {words}; correct one of them"
        raise RuntimeRefusedError(message) from error
    return runtime
