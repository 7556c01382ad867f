"""The boundary to a runtime's code at the start of a turn.

What it gives is checked, what it raises is put in words.

Nothing has been started when this refuses.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from routing.printable import printable
from routing.process.first_process import FirstProcess
from routing.sandbox.sandbox import Sandbox
from tasks.agents.redaction import Redactor
from tasks.agents.runtimes.runtime import Runtime, RuntimeRefusedError, TurnInput

#: Characters that are kept of what a runtime raised.
MOST_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """A program, ready to be started. As a block, it ends what was prepared for the program outside of it."""

    argv: list[str]
    environment: dict[str, str]  # all of it
    prompt: bytes  # what is written to standard input
    descriptors: tuple[int, ...] = ()  # that the program inherits
    first_process: FirstProcess | None = None  # of the sandbox, with which all that is inside ends
    sandbox: Sandbox | None = None  # that the program is in
    is_wrapper: bool = False  # whether the program is a descendant of what is started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        if self.first_process is not None:
            self.first_process.close()
        if self.sandbox is not None:
            self.sandbox.close()


def launch_of(runtime: Runtime, turn: TurnInput) -> Launch:
    """Ask the runtime; RuntimeRefusedError when it raises, or names no program.

    In a sandbox SpawnError, when that program is not here.
    """
    if turn.sandbox is not None:
        turn = replace(turn, environment={**turn.environment, **turn.sandbox.confined.environment})
    try:
        argv = [os.fspath(part) for part in runtime.argv(turn)]
        more = {os.fspath(name): os.fspath(value) for name, value in runtime.environment(turn).items()}
        prompt = bytes(memoryview(runtime.stdin(turn)))
    except RuntimeRefusedError:
        raise
    except Exception as error:
        words = fault_words(error, Redactor(turn.secrets))
        message = f"the runtime {runtime.name} could not prepare the turn and nothing was started: {words}"
        raise RuntimeRefusedError(message) from error
    if not argv:
        message = f"the runtime {runtime.name} names no program, so nothing was started; correct the runtime"
        raise RuntimeRefusedError(message)
    environment = {**turn.environment, **more}
    if turn.sandbox is None:
        return Launch(argv=argv, environment=environment, prompt=prompt)
    inside = turn.sandbox.command(argv, environment, cwd=turn.worktree)
    return Launch(
        argv=inside.argv, environment=inside.environment, prompt=prompt, descriptors=inside.descriptors,
        first_process=inside.first_process, sandbox=turn.sandbox, is_wrapper=inside.is_wrapper,
    )  # fmt: skip


def fault_words(error: Exception, redact: Callable[[str], str] = str) -> str:
    """The exception's class and words in one line, without secrets; also of one that has no words."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - its words may raise, too
        said = ""
    # Redacted before it is cut: half a secret would not be found.
    text = redact(printable(f"{type(error).__name__}: {said}"))
    return " ".join(text.split())[:MOST_CHARACTERS].rstrip(": ")
