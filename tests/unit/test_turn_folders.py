"""The folders of a turn in a sandbox: the user's login that its program is given, and what became of it."""

import os
from pathlib import Path

import pytest

from tasks.agents.runtimes.runtime import SessionFiles
from tasks.agents.sandbox.turn_folders import TurnFolders, remove_turn_folders

FILES = SessionFiles(folder=".program", settings=("settings.json",), logins=("auth.json",))
JOB = "0123456789abcdef"


class Turn:
    """A turn of a program whose user is logged in."""

    def __init__(self, folder: Path) -> None:
        self.work_dir, self.home = folder / "work", folder / "home"
        self.login = self.home / ".program" / "auth.json"
        self.login.parent.mkdir(parents=True)
        self.login.write_text("first")
        self.folders = TurnFolders.make(self.work_dir, job_id=JOB, fence=1, agent="")
        self.folders.give(FILES, home=self.home, environment={}, with_login=True)
        self.copy = self.folders.sessions / "auth.json"

    def end(self) -> list[str]:
        """End it; what people hear."""
        said: list[str] = []
        remove_turn_folders(self.work_dir, JOB, 1, lambda kind, words: said.append(f"{kind}: {words}"))
        assert not self.folders.home.exists()
        return said


@pytest.fixture
def turn(tmp_path: Path) -> Turn:
    """One that has its login."""
    return Turn(tmp_path)


def test_people_hear_of_a_login_that_was_renewed_in_a_sandbox(turn: Turn) -> None:
    """Its provider may take the user's no longer. The user's file stays as it is: agents do not write it."""
    turn.copy.write_text("second")
    (said,) = turn.end()
    assert said.startswith(f"login: {turn.login}: ")
    assert "log in again" in said
    assert turn.login.read_text() == "first"


@pytest.mark.parametrize("what", ["nothing", "both", "gone", "a link", "a pipe"])
def test_nobody_hears_of_another_login(turn: Turn, what: str) -> None:
    """One that is as it was, one that the user renewed, too, and what is anything but a file."""
    if what == "both":
        turn.copy.write_text("second")
        turn.login.write_text("third")
    elif what != "nothing":
        turn.copy.unlink()
    if what == "a link":
        turn.copy.symlink_to("/etc/hostname")
    elif what == "a pipe":
        os.mkfifo(turn.copy)
    assert turn.end() == []
