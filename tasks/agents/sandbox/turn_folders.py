"""The folders that an agent has for itself beside its work tree, made on this host.

Home and temporary files are new for each turn. The folder of sessions is kept, so that the next turn on this
host can resume: for a job as long as its work tree, for an agent of several jobs until it was not used for
days. It is not the user's own folder: that has other agents' conversations, and settings that name programs.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import structlog

from routing.folder_removal import remove_all
from routing.process.command import SpawnError
from routing.sandbox.etc_copies import sweep_etc_copies
from tasks.agents.repository.place import etc_copies_of, own_files, session_files_of
from tasks.agents.runtimes.runtime import SessionFiles

#: The largest file that is copied into a folder of sessions, in bytes.
_MOST_BYTES = 4 * 1024 * 1024

#: Beside the home of a turn, where its agent does not reach: which logins it was given.
_NOTE = "logins.json"

#: What people hear of a login that was renewed in a sandbox.
_RENEWED = (
    "the agent's program renewed this login in its sandbox, and the user's file has the old one: log in "
    "again if it is refused, and give agents a key or a token of their own"
)

_log = structlog.get_logger(__name__)


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

        The folder is an agent's, so nothing there is followed. What is not there is not copied. Nothing comes
        back: an agent could put a login of its own in the user's place. See `renewed_logins`.
        """
        source, given = files.place(home, environment), []
        wanted = (*files.settings, *(files.logins if with_login else ()))
        for name in (*files.settings, *files.logins):
            remove_all(self.sessions / name)
            if name in wanted and source != self.sessions:
                copied = _copy(source / name, self.sessions, name)
                if copied is not None and name in files.logins:
                    given.append(_Given.of(source / name, self.sessions / name, copied))
        _note(self.home.parent, given)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    """A login that a turn was given."""

    source: str  # the user's file
    copy: str  # the agent's
    digest: str  # of both, when it was copied

    @classmethod
    def of(cls, source: Path, copy: Path, content: bytes) -> Self:
        return cls(source=str(source), copy=str(copy), digest=_digest(content))

    @property
    def is_renewed(self) -> bool:
        """Whether the program has another login now, and the user has not."""
        source, copy = _content(Path(self.source)), _content(Path(self.copy))
        if source is None or copy is None:
            return False
        return _digest(source) == self.digest != _digest(copy)


def renewed_logins(work_dir: Path, job_id: str, fence: int) -> list[str]:
    """The user's login files that a program renewed in its sandbox, once its turn has ended."""
    try:
        noted = json.loads((own_files(work_dir, job_id, fence) / _NOTE).read_text())
        return [given.source for given in (_Given(**fields) for fields in noted) if given.is_renewed]
    except (OSError, ValueError, TypeError):  # none were given, or the disk was full
        return []


def remove_turn_folders(
    work_dir: Path, job_id: str, fence: int, say: Callable[[str, str], object] = lambda *_: None
) -> None:
    """Remove the home and the temporary files of a turn that has ended; what cannot be is swept later.

    `say` is given kind and words of what people must know: a provider that hands out a new refresh token with
    each renewal takes the old one no longer, and the user's file has that.
    """
    for login in renewed_logins(work_dir, job_id, fence):
        _log.warning("login.renewed", login=login, job=job_id, reason=_RENEWED)
        say("login", f"{login}: {_RENEWED}")
    remove_all(own_files(work_dir, job_id, fence))


def sweep_unused_folders(work_dir: Path, *, unused_seconds: float, now: float | None = None) -> list[str]:
    """Remove what no turn has used for so long: sessions of agents of several jobs, and copies of /etc.

    Returns the names of these agents.
    """
    now = time.time() if now is None else now
    sweep_etc_copies(etc_copies_of(work_dir), unused_seconds=unused_seconds, now=now)
    swept = []
    for folder in session_files_of(work_dir, "0" * 16, "x").parent.glob("agent-*"):
        with suppress(OSError):
            if now - folder.lstat().st_mtime > unused_seconds:
                remove_all(folder)
                swept.append(folder.name.removeprefix("agent-"))
    return swept


def _note(own: Path, given: Sequence[_Given]) -> None:
    """Note what was given; without the note nobody is warned, and the turn is as good."""
    if given:
        with suppress(OSError):
            (own / _NOTE).write_text(json.dumps([asdict(each) for each in given]))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _content(file: Path) -> bytes | None:
    """What a file has, None for anything else: in an agent's folder nothing is followed or waited for."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
            is_file = stat.S_ISREG(os.fstat(opened.fileno()).st_mode)
            return opened.read(_MOST_BYTES) if is_file else None
    except OSError:
        return None


def _copy(source: Path, folder: Path, name: str) -> bytes | None:
    """Copy one of the user's own files to a new file in a folder, through no link there; what was copied."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, FileExistsError):
        with source.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(folder / name, flags, 0o600), "wb") as copy:
            copy.write(content)
        return content
    return None
