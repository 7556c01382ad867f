"""Waiting for a described condition, in place of sleeping; and programs that must end in time.

Every limit here is in seconds of an idle machine. On a slow or a busy one it lasts longer, by as much as a
known piece of work takes longer there, which is measured about once a second while something is waited for.
What never comes true still fails, with its description: the machine decides when, and never whether.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from os import PathLike
from threading import Event
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class EndingProcess(Protocol):
    """A process, as far as one waits for its end."""

    @property
    def args(self) -> Any:
        """How it was called."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""


#: The known piece of work: this many turns of a loop. It is Python that is waited for mostly, and there are
#: machines on which that is slow where compiled code is not.
_TURNS = 400_000

#: What that takes on the idle machine that the limits were written for. A faster one shortens no limit.
_IDLE_SECONDS = 0.0125

#: How often the machine is measured while something waits, and the rest of a limit that counts as none.
_MEASURE_SECONDS, _NOTHING_SECONDS = 1.0, 0.02


def slowdown() -> float:
    """How many times longer than on the idle machine a piece of work takes now; at least 1."""
    begun, count = time.monotonic(), 0
    for number in range(_TURNS):
        count += number
    return max(1.0, (time.monotonic() - begun) / _IDLE_SECONDS)


class Patience:
    """A limit that is used up: on a machine four times slower, by a quarter of a second a second."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._measured_at = time.monotonic()

    def is_over(self) -> bool:
        """Whether nothing is left of it; callers that wait ask again and again."""
        now = time.monotonic()
        passed = now - self._measured_at
        if passed >= min(_MEASURE_SECONDS, self._left):
            self._left -= passed / slowdown()
            self._measured_at = now
        return self._left <= _NOTHING_SECONDS


def wait_until(
    predicate: Callable[[], T], *, description: str, timeout: float = 20.0, interval: float = 0.02
) -> T:
    """Return the first truthy answer of `predicate`; fail with `description` when the limit is used up."""
    pause, patience, begun = Event(), Patience(timeout), time.monotonic()
    while not (answer := predicate()):
        if patience.is_over():
            waited = time.monotonic() - begun
            message = (
                f"waited {waited:.1f} s ({timeout:g} s of an idle machine) in vain "
                f"until {description}; last answer: {answer!r}"
            )
            raise AssertionError(message)
        pause.wait(interval)
    return answer


def until_ended(process: EndingProcess, *, timeout: float) -> int:
    """Wait until a process that writes to no pipe of ours has ended; its exit code."""
    wait_until(lambda: process.poll() is not None, description=f"{process.args!r} has ended", timeout=timeout)
    return int(process.poll() or 0)


def communicated(process: subprocess.Popen[str], *, timeout: float = 60.0) -> tuple[str, str]:
    """What a process writes until it ends; one that takes too long is killed, and the test fails."""
    patience = Patience(timeout)
    while True:
        try:
            return process.communicate(timeout=_MEASURE_SECONDS)
        except subprocess.TimeoutExpired:
            if patience.is_over():
                process.kill()
                raise


def run(
    argv: Sequence[str], *, timeout: float = 60.0, stdin: str | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of a program whose output is wanted as text, with a limit that grows; never checks."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with subprocess.Popen(argv, **({"stdin": source} | pipes | options)) as process:
        if stdin is not None:
            assert process.stdin is not None
            process.stdin.write(stdin)
            process.stdin.close()
            process.stdin = None
        output, complaint = communicated(process, timeout=timeout)
    return subprocess.CompletedProcess(list(argv), process.returncode, output, complaint)


def carried_out(argv: Sequence[str | PathLike[str]], *, timeout: float = 60.0, **options: Any) -> str:
    """What a program that must succeed writes; else the test fails with all that it wrote."""
    words = [str(word) for word in argv]
    ended = run(words, timeout=timeout, **options)
    said = f"{ended.stdout}{ended.stderr or ''}"
    assert ended.returncode == 0, f"{words!r} ended with {ended.returncode}\n{said}"
    return ended.stdout
