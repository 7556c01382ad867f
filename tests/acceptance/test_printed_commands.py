"""Every command block of README and quickstart, carried out as printed by a person with an empty home."""

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from routing.forges.local.issue_file import IssueFile
from routing.git.git import Git
from tests.acceptance.test_init import CLAUDE
from tests.printed_commands import SYSTEM_PATH, Block, PrintedShell, only_coalmine
from tests.source import ROOT
from tests.waiting import until_ended, wait_until

PAGES = ("README.md", "docs/quickstart.md")


@pytest.mark.parametrize(
    "block",
    [pytest.param(each, id=f"{page}-{n}") for page in PAGES for n, each in enumerate(Block.all_of(page))],
)
def test_a_block_is_shell_that_can_be_read(block: Block) -> None:
    """Those that need a network or a program, too."""
    parsed = subprocess.run(["sh", "-n"], input=block.text, text=True, check=False, stderr=subprocess.PIPE)
    assert parsed.returncode == 0, parsed.stderr


def test_what_is_not_carried_out_here_says_what_it_needs() -> None:
    """A network, or a program of others, in the first line of the block, where readers see it."""
    needs = {page: [block.needs for block in Block.all_of(page)] for page in PAGES}
    assert needs["README.md"] == ["the network", ""]
    assert [each for each in needs["docs/quickstart.md"] if each] == [
        "the network",
        "a program that you have installed and logged in",
    ]


@pytest.mark.long
def test_the_quickstart_does_what_it_says(tmp_path: Path) -> None:
    """From an empty home to a trial of a hasty version; tests/real waits for its verdict."""
    carry_out_the_quickstart(tmp_path, until="on trial", timeout=30)


def carry_out_the_quickstart(tmp_path: Path, *, until: str, timeout: float) -> None:
    """All its blocks, in two terminals, until the second version is so, and then with a program of others."""
    every = Block.all_of("docs/quickstart.md")
    blocks = [block for block in every if not block.needs]
    (with_a_program,) = [block for block in every if block.needs and block.stays]
    programs = only_coalmine(tmp_path / "bin")
    first = PrintedShell.at(tmp_path, programs)
    second = PrintedShell.at(tmp_path, programs)
    place, log = tmp_path / "coalmine-try", tmp_path / "up.log"
    (up,) = [number for number, block in enumerate(blocks) if block.stays]
    for block in blocks[:up]:
        first.run(block)
    fleet = first.start(blocks[up], log)
    try:
        wait_until(
            lambda: _is_closed(place / "issues" / "1.md") or fleet.poll() is not None,
            description="the first issue is closed",
            timeout=60,
        )
        assert fleet.poll() is None, log.read_text()
        assert _start_on_the_page(tmp_path) <= set(log.read_text().splitlines())
        said = "".join(second.run(block) for block in blocks[up + 1 :])
        assert "implementer-t1" in said
        wait_until(
            lambda: "implementer@v2" in log.read_text() and until in log.read_text(),
            description=f"implementer@v2 is {until}",
            timeout=timeout,
        )
    finally:
        fleet.send_signal(signal.SIGINT)
        until_ended(fleet, timeout=60)
    assert fleet.returncode == 0, log.read_text()
    _carry_out_with_claude(first, with_a_program, programs, tmp_path / "claude.log")


def _start_on_the_page(home: Path) -> set[str]:
    """What the page shows of a fleet's start, but for what depends on the machine: sandbox and port."""
    page = (ROOT / "docs" / "quickstart.md").read_text().replace("/home/you", str(home))
    (shown,) = re.findall(r"^Within seconds:\n\n```\n(.*?)^\d\d:", page, re.MULTILINE | re.DOTALL)
    return {line for line in shown.splitlines() if not line.startswith(("Agents run ", "Look at it "))}


def _carry_out_with_claude(shell: PrintedShell, block: Block, programs: Path, log: Path) -> None:
    """The options of before hold, the champion works on, and the new agent becomes a proposal."""
    assert "not installed" in _until_said(shell, block, log, "not installed")
    (programs / "claude").write_text(CLAUDE)
    (programs / "claude").chmod(0o755)
    said = _until_said(shell, block, log, "The fleet is starting")
    assert "Claude Code 99.0.0 is installed and logged in" in said
    assert "implementer@v3 has the new agent and is pending; the champion works on." in said
    assert re.search(r"forge\.local\.issues = \S+/issues +\(from: last up\)", said)
    assert "failed" not in said, "it may be ended while it starts"


def _until_said(shell: PrintedShell, block: Block, log: Path, words: str) -> str:
    """What a fleet prints until some words of it; it is ended then, if it has not ended."""
    fleet = shell.start(block, log)
    try:
        wait_until(
            lambda: words in log.read_text() or fleet.poll() is not None,
            description=f"{words} is printed",
            timeout=60,
        )
    finally:
        if fleet.poll() is None:
            fleet.send_signal(signal.SIGINT)
        until_ended(fleet, timeout=60)
    assert words in log.read_text(), log.read_text()
    return log.read_text()


def _is_closed(file: Path) -> bool:
    return file.exists() and IssueFile.parse(file.read_bytes()).matter.state == "closed"


@pytest.mark.long
def test_the_blocks_of_the_readme_do_what_they_say(tmp_path: Path) -> None:
    """Five answers, each as proposed, and an agent works; a person merges."""
    shop = tmp_path / "src" / "shop"
    (shop / "issues").mkdir(parents=True)
    (shop / "Makefile").write_text("test:\n\tcommand -v python3 > /dev/null\n")
    (shop / "issues" / "1.md").write_text("---\ntitle: Greet\n---\nWrite greeting.txt.\n")
    git = Git(shop)
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    programs = only_coalmine(tmp_path / "bin")
    (programs / "claude").write_text(CLAUDE)
    (programs / "claude").chmod(0o755)
    (block,) = [block for block in Block.all_of("README.md") if not block.needs]
    terminal, of_the_shell = pty.openpty()
    log = tmp_path / "up.log"
    fleet = PrintedShell.at(tmp_path, programs).start(block, log, stdin=of_the_shell)
    os.close(of_the_shell)
    try:
        os.write(terminal, b"\n" * 5)
        wait_until(
            lambda: git("branch", "--list", "coalmine/*", "--format=%(refname)") or fleet.poll() is not None,
            description="a branch of the fleet's is there",
            timeout=60,
        )
    finally:
        fleet.send_signal(signal.SIGINT)
        until_ended(fleet, timeout=60)
        os.close(terminal)
    (branch,) = git("branch", "--list", "coalmine/*", "--format=%(refname:short)").split()
    assert git("show", f"{branch}:greeting.txt") == "hello", log.read_text()
    assert not (shop / "greeting.txt").exists(), "a person merges, as was proposed"


def test_installers_put_no_python_before_the_persons_own(tmp_path: Path) -> None:
    """What the pages assume: the folder that is added to the PATH has one program."""
    folder = only_coalmine(tmp_path / "bin")
    assert [file.name for file in folder.iterdir()] == ["coalmine"]
    shell = PrintedShell.at(tmp_path, folder)
    found = shell.run(Block(text="command -v python3\ncoalmine --version")).splitlines()
    assert Path(found[0]).parent in map(Path, SYSTEM_PATH.split(":"))
    assert found[1].startswith("coalmine ")
