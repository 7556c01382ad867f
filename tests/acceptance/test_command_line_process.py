"""The command as a process: its pipes, its signals and its entry point."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs.command_line import CommandLine
from tests.source import ROOT
from tests.waiting import communicated, run, until_ended, wait_until

COALMINE = str(Path(sys.executable).with_name("coalmine"))


@contextmanager
def process(arguments: list[str], variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A running command with pipes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    with subprocess.Popen(
        [COALMINE, *arguments], env={**kept, **variables, "PYTHONUNBUFFERED": ""}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def variables(coalmine: CommandLine) -> dict[str, str]:
    """The environment of the process."""
    return {"COALMINE_REDIS_URL": coalmine.url}


def test_answers_and_errors_go_to_their_own_streams(coalmine: CommandLine, variables: dict[str, str]) -> None:
    """JSON on standard output, one line on standard error, and the documented exit code."""
    coalmine.shown("template", "add", "a", "--command", "x")
    with process(["template", "list", "--json"], variables) as running:
        output, complaint = communicated(running)
        assert (running.returncode, complaint) == (0, "")
        assert json.loads(output)["templates"][0]["champion"] == "a@v1"
    with process(["template", "show", "b"], variables) as running:
        output, complaint = communicated(running)
        assert (running.returncode, output, complaint.count("\n")) == (3, "", 1)


#: What only workers, beat and those who speak to a forge or a broker import.
OF_WORKERS = {"celery", "kombu", "requests", "fastapi", "markdown_it", "yaml"}


def test_who_reads_waits_for_no_worker_s_imports(variables: dict[str, str]) -> None:
    """Commands that only read the store start without what sends messages and asks forges."""
    program = "import sys; from console.cli import app; "
    program += "codes = [app([*words.split(), '--json'], standalone_mode=False) for words in sys.argv[1:]]; "
    program += "print(*codes, *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    commands = ("status", "job list", "template list", "cost")
    ended = run([sys.executable, "-c", program, *commands], cwd=ROOT, env=kept | variables)
    assert ended.returncode == 0, ended.stderr
    codes, imported = ended.stderr.split()[:4], set(ended.stderr.split()[4:])
    assert codes == ["0"] * len(commands)
    assert "redis" in imported
    assert not OF_WORKERS & imported


#: What no command needs to say what it is.
OF_COMMANDS = (OF_WORKERS - {"markdown_it"}) | {  # rich imports that for every help
    "redis", "pydantic", "pydantic_settings", "structlog", "httpx", "asyncio", "jinja2", "uvicorn",
}  # fmt: skip


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_who_asks_what_there_is_waits_for_no_import(option: str) -> None:
    """The list of commands stands in a table: no driver, no settings and no part of a fleet is imported."""
    program = "import sys; from console.cli import app; app(sys.argv[1:], standalone_mode=False); "
    program += "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", program, option], capture_output=True, text=True, check=True, cwd=ROOT
    )
    imported = set(ended.stderr.split())
    assert "typer" in imported
    assert not OF_COMMANDS & imported


def test_interrupt_is_quiet(coalmine: CommandLine, variables: dict[str, str]) -> None:
    """Ctrl-C ends a command that follows with 130 and not a word."""
    coalmine.shown("template", "add", "a", "--command", "x")
    with process(["events", "--follow"], variables) as running:
        assert running.stdout is not None
        assert "template.added" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, complaint = communicated(running)
        assert (running.returncode, complaint) == (130, "")


def test_closed_pipe_is_quiet(coalmine: CommandLine, variables: dict[str, str]) -> None:
    """A reader that has seen enough gets no complaint, in neither form of the answer."""
    coalmine.shown("template", "add", "a", "--command", "x")
    for form in ([], ["--json"]):
        with process(["events", "--follow", *form], variables) as running:
            assert running.stdout is not None
            running.stdout.readline()
            running.stdout.close()
            coalmine.shown("pause", "so that there is an event")
            coalmine.shown("resume")
            assert until_ended(running, timeout=60) == 1
            assert running.stderr is not None
            assert running.stderr.read() == ""


def test_answer_that_nobody_reads_is_quiet(variables: dict[str, str]) -> None:
    """The same where the answer is written only when the command ends."""
    with process(["template", "list", "--json"], variables) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert until_ended(running, timeout=60) == 1
        assert running.stderr is not None
        assert running.stderr.read() == ""


def test_status_is_shown_again_and_again(coalmine: CommandLine, variables: dict[str, str]) -> None:
    """For scripts one object on each line, as things are then; Ctrl-C ends it without a word."""
    with process(["status", "--watch", "--json"], variables) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["paused"] is None
        coalmine.shown("pause", "lunch")
        wait_until(
            lambda: running.stdout is not None and json.loads(running.stdout.readline())["paused"] == "lunch",
            description="the next look shows the pause",
        )
        running.send_signal(signal.SIGINT)
        _, complaint = communicated(running)
        assert (running.returncode, complaint) == (130, "")


def test_status_on_a_terminal_fills_the_screen_and_gives_it_back(
    coalmine: CommandLine, variables: dict[str, str]
) -> None:
    """What was on the screen before is there again at the end."""
    coalmine.shown("pause", "lunch")
    master, slave = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    with subprocess.Popen(
        [COALMINE, "status", "--watch"], env={**kept, **variables, "TERM": "xterm", "COLUMNS": "80"},
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    ) as running:  # fmt: skip
        os.close(slave)
        said = bytearray()

        def shows(words: bytes) -> bool:
            said.extend(os.read(master, 65_536))
            return words in said

        try:
            wait_until(lambda: shows(b"Dispatch is paused: lunch"), description="the status is shown")
            running.send_signal(signal.SIGINT)
            wait_until(lambda: shows(b"\x1b[?1049l"), description="the screen is given back")
            assert until_ended(running, timeout=60) == 130
        finally:
            running.kill()
            os.close(master)
    assert b"\x1b[?1049h" in said
