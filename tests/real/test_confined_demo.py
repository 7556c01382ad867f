"""`coalmine demo` runs its agents in sandboxes, as it says at its start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

import console.demo.story
from tests.waiting import until_ended, wait_until

#: The program of the demonstration's agents.
AGENT = os.fsencode(Path(console.demo.story.__file__).with_name("agent.py"))


def agents() -> list[list[bytes]]:
    """The command lines of all processes that run the agent, or start it."""
    found = []
    for pid in psutil.pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:  # gone
            continue
        if any(AGENT in word for word in words):
            found.append(words)
    return found


def test_agents_of_the_demonstration_are_inside(tmp_path: Path) -> None:
    """Bubblewrap starts them, and the words at the start are true."""
    log = tmp_path / "log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "coalmine", "demo"], env=kept, cwd=tmp_path, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(
            lambda: demo.poll() is not None or any(words[0].endswith(b"bwrap") for words in agents()),
            description="an agent runs in bubblewrap",
            timeout=90,
        )
        assert demo.poll() is None, log.read_text()
        demo.send_signal(signal.SIGTERM)
    finally:
        until_ended(demo, timeout=60)
    assert "Agents run in sandboxes of bubblewrap" in " ".join(log.read_text().split())
