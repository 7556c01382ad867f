"""The first process of a sandbox: whom its number may mean, and whom not."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from routing.process.first_process import FirstProcess
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
