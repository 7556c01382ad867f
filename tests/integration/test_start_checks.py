"""CI that is run once on the main branch before a fleet starts, with real git and a real command."""

from collections.abc import Callable
from pathlib import Path

import pytest

from console.local.start_checks import check_ci, check_start_on_red, red_mains
from routing.errors import ConflictError, InvalidInputError
from routing.forges.commit_status import CiVerdict
from routing.forges.local.config import LocalConfig
from routing.forges.local.forge import LocalForge
from routing.git.git import Git
from routing.sandbox.profile import SandboxKind

ForgeWith = Callable[[str], LocalForge]


@pytest.fixture
def forge_with(tmp_path: Path) -> ForgeWith:
    """A local forge whose CI is a command; its repository has one file that is not executable."""
    repository, issues = tmp_path / "shop", tmp_path / "issues"
    repository.mkdir()
    issues.mkdir()
    (repository / "check.sh").write_text("#!/bin/sh\n")
    git = Git(repository)
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message=Begin")
    (repository / "mine.sh").write_text("#!/bin/sh\n")
    (repository / "mine.sh").chmod(0o755)  # there in the checkout, and in no clone

    def made(command: str) -> LocalForge:
        return LocalForge.of(
            LocalConfig(
                repository=repository,
                issues=issues,
                state=tmp_path / "state",
                ci=command,
                ci_sandbox=SandboxKind.NONE,
            )
        )

    return made


@pytest.mark.parametrize(("command", "exit_code"), [("./mine.sh", 127), ("./check.sh", 126)])
def test_command_that_cannot_be_run_in_a_clone_is_refused(
    forge_with: ForgeWith, command: str, exit_code: int
) -> None:
    """The error names it, its exit code and its words; the next start tries it again."""
    forge = forge_with(command)
    for _ in range(2):
        with pytest.raises(InvalidInputError, match=f"'{command}' was not found.*exit {exit_code}") as caught:
            check_ci(forge, lambda _words: None)
        assert command in str(caught.value).partition("it printed")[2]


def test_main_that_is_merely_red_is_said(forge_with: ForgeWith) -> None:
    """The fleet may start, and CI has said nothing of the commit: a person may fix what it needs."""
    forge, said = forge_with("false"), list[str]()
    assert "CI is red on main already: failed" in check_ci(forge, said.append)
    assert forge.statuses("shop", forge.git.main_tip()).verdict is CiVerdict.UNKNOWN


def test_green_main_is_run_once_at_most(forge_with: ForgeWith, tmp_path: Path) -> None:
    """A main branch that is known to be green is not judged again; without CI nothing is run."""
    forge, said = forge_with(f"echo ran >> {tmp_path}/ran"), list[str]()
    check_ci(forge, said.append)
    check_ci(forge, said.append)
    assert said == [f"Running CI once on main: echo ran >> {tmp_path}/ran"]
    assert (tmp_path / "ran").read_text() == "ran\n"
    check_ci(forge_with(""), said.append)
    check_ci(None, said.append)
    assert len(said) == 1


def test_main_that_is_known_to_be_red_is_said_again(forge_with: ForgeWith) -> None:
    """A fleet that ran before has its verdict: the next start must not take that for a green one."""
    forge = forge_with("false")
    assert forge is not None
    forge.run_ci(forge.git.main_tip())
    assert "CI is red on main already" in check_ci(forge, lambda _words: None)


@pytest.mark.parametrize(
    ("allowed", "is_first", "answer", "starts"),
    [
        (True, True, None, True),
        (False, True, None, False),
        (False, False, None, True),
        (False, True, True, True),
        (False, False, False, False),
    ],
    ids=["--allow-red", "first, in a script", "again, by a service manager", "yes", "no"],
)
def test_who_may_start_on_a_red_main(
    *, allowed: bool, is_first: bool, answer: bool | None, starts: bool
) -> None:
    """A person says so, by an option or an answer; a fleet that was started before goes on by itself."""
    ask = None if answer is None else lambda: answer
    if starts:
        assert "--allow-red" in check_start_on_red(allowed=allowed, is_first=is_first, ask=ask)
        return
    with pytest.raises(ConflictError, match="nothing was started: repair it, or give --allow-red"):
        check_start_on_red(allowed=allowed, is_first=is_first, ask=ask)


def test_each_main_branch_is_tried(forge_with: ForgeWith) -> None:
    """With several local forges it is said whose is red."""
    blog = LocalForge.of(forge_with("exit 1").config.model_copy(update={"name": "blog"}))
    said: list[str] = []
    red = red_mains([forge_with("true"), blog], said.append)
    assert list(red) == ["blog"]
    assert red["blog"].startswith("blog: CI is red on main already: failed")
    assert [words.partition(" ")[0] for words in said] == ["local:", "blog:"]
