"""The folders that an agent has for itself beside its work tree, made on this host.

Home and temporary files are new for each turn. The folder of sessions is kept, so that the next turn on this
host can resume: for a job as long as its work tree, for an agent of several jobs until it was not used for
days. It is not the user's own folder: that has other agents' conversations, and settings that name programs.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from routing.folder_removal import remove_all
from routing.process.command import SpawnError
from tasks.agents.repository.place import own_files, session_files_of
from tasks.agents.runtimes.runtime import SessionFiles

#: The largest file that is copied into a folder of sessions, in bytes.
_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFolders:
    """The folders of one turn, outside its work tree."""

    home: Path
    temporary: Path
    sessions: Path

    @classmethod
    def make(cls, work_dir: Path, *, job_id: str, fence: int, agent: str) -> "TurnFolders":
        """Make them, empty but for the sessions. `agent` names one that several jobs share; else it is ""."""
        own, sessions = own_files(work_dir, job_id, fence), session_files_of(work_dir, job_id, agent)
        remove_all(own)
        made = cls(home=own / "home", temporary=own / "tmp", sessions=sessions)
        try:
            for folder in (made.home, made.temporary, made.sessions):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.utime(made.sessions)
        except OSError as error:
            message = f"the folders of a sandbox could not be made: {error}; see that the disk has room"
            raise SpawnError(message) from error
        return cls(home=made.home.resolve(), temporary=made.temporary.resolve(), sessions=sessions.resolve())

    def give(
        self, files: SessionFiles, *, home: Path, environment: Mapping[str, str], with_login: bool
    ) -> None:
        """Copy the program's settings into its folder of sessions, and with them its login.

        The folder is an agent's, so nothing there is followed. What is not there is not copied.
        """
        source = files.place(home, environment)
        wanted = (*files.settings, *(files.logins if with_login else ()))
        for name in (*files.settings, *files.logins):
            remove_all(self.sessions / name)
            if name in wanted and source != self.sessions:
                _copy(source / name, self.sessions, name)


def remove_turn_folders(work_dir: Path, job_id: str, fence: int) -> None:
    """Remove the home and the temporary files of a turn that has ended; what cannot be is swept later."""
    remove_all(own_files(work_dir, job_id, fence))


def sweep_session_folders(work_dir: Path, *, unused_seconds: float, now: float | None = None) -> list[str]:
    """Remove the sessions of agents of several jobs that had no turn for so long; returns their names."""
    now = time.time() if now is None else now
    swept = []
    for folder in session_files_of(work_dir, "0" * 16, "x").parent.glob("agent-*"):
        with suppress(OSError):
            if now - folder.lstat().st_mtime > unused_seconds:
                remove_all(folder)
                swept.append(folder.name.removeprefix("agent-"))
    return swept


def _copy(source: Path, folder: Path, name: str) -> None:
    """Copy one of the user's own files to a new file in a folder, through no link there."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, FileExistsError):
        with source.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(folder / name, flags, 0o600), "wb") as copy:
            copy.write(content)
