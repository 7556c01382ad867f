"""The first process of a sandbox: whom its number may mean, and whom not."""

import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from routing.process.first_process import FirstProcess, SandboxNetworkError
from routing.process.poll_loop import PollLoop


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this machine, which is in no sandbox."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("words", ["", "{", '{"child-pid": ', '{\n    "child-pid": %d,\n    "ipc": 1\n}\n'])
def test_no_other_process_is_ended(words: str, sleeper: subprocess.Popen[bytes]) -> None:
    """A start that failed says nothing; a number may be another's by the time that it is read."""
    with PollLoop() as loop, closing(FirstProcess()) as first:
        os.write(first.says, words.replace("%d", str(sleeper.pid)).encode())
        first.begin(loop)
        loop.pump(0)
        assert first.end(timeout_seconds=0)
        first.close()
    assert sleeper.poll() is None


def test_a_process_that_has_gone_is_waited_for_by_nobody(sleeper: subprocess.Popen[bytes]) -> None:
    """It ended before its number was read."""
    sleeper.kill()
    sleeper.wait()
    with PollLoop() as loop, closing(FirstProcess()) as first:
        os.write(first.says, f'{{"child-pid": {sleeper.pid}}}'.encode())
        first.begin(loop)
        assert first.end(timeout_seconds=0)


class Prepared:
    """What is done before the program runs; it fails, or the first process is the one given."""

    def __init__(self, first: int | None) -> None:
        self.first = first
        self.said = -1
        self.is_closed = False

    def ask(self, said: int) -> None:
        """Keep it."""
        self.said = os.dup(said)

    def done(self) -> int:
        """It is, or it fails."""
        if self.first is None:
            raise SandboxNetworkError
        return os.pidfd_open(self.first)

    def close(self) -> None:
        """Again is harmless."""
        if not self.is_closed:
            os.close(self.said)
        self.is_closed = True


def goes_on(waits: int) -> bool:
    """Whether a process that reads there would go on: by a byte, or by the end of the pipe."""
    ready = select.poll()
    ready.register(waits, select.POLLIN)
    return bool(ready.poll(0))


def test_the_program_waits_until_all_is_done(sleeper: subprocess.Popen[bytes]) -> None:
    """What it says is heard by who was asked; then it goes on, and is ended with its sandbox."""
    prepared = Prepared(sleeper.pid)
    with PollLoop() as loop, closing(FirstProcess(prepared)) as first:
        says, waits = (os.dup(descriptor) for descriptor in first.descriptors)
        os.write(says, b"said")
        assert os.read(prepared.said, 9) == b"said"
        assert not goes_on(waits)
        first.begin(loop)
        assert os.read(waits, 9) == b"!"
        assert prepared.is_closed
        assert first.end(timeout_seconds=20)
    assert sleeper.wait() < 0
    for descriptor in (says, waits):
        os.close(descriptor)


@pytest.mark.parametrize("is_begun", [True, False])
def test_the_program_never_goes_on_by_our_end(*, is_begun: bool) -> None:
    """Bubblewrap takes the end of a pipe for leave to go on: there is none, also when we were killed."""
    prepared = Prepared(None)
    with PollLoop() as loop, closing(FirstProcess(prepared)) as first:
        assert first.waits is not None
        waits = os.dup(first.waits)
        if is_begun:
            with pytest.raises(SandboxNetworkError):
                first.begin(loop)
    assert prepared.is_closed
    assert not goes_on(waits)
    os.close(waits)
