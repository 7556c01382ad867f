"""Where a fleet of this machine keeps its state, found from the folder that one is in, as git finds its own.

`coalmine up` notes there how it is reached (`running.json`), and leaves the note as `last-run.json` when it
ends, so that what it left can still be read. Where `--state` names another folder than the usual one, a note
in the usual one leads there. Only notes of this user, or of root, are believed (root believes all): they name
the server that commands speak to.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from routing.process.table import boot_id, is_there, start_ticks

#: Where a fleet keeps everything, below the folder that it is started in.
DEFAULT_STATE = Path(".coalmine")

#: The folder of the agents' work trees, below it.
WORK = "work"

_RUNNING, _ENDED = "running.json", "last-run.json"

#: In the usual folder: where the state is instead.
_ELSEWHERE = "state.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetPlace:
    """A state folder with what the fleet in it noted last."""

    state: Path  # absolute
    started_in: Path | None = None  # the folder of its `coalmine up`; None where it was not noted
    pid: int  # of `coalmine up`; it may be another program's by now
    start_ticks: int | None = None  # of that process, from boot; None where it was not noted
    boot_id: str = ""  # of the machine's start that it ran in; "" where it was not noted
    variables: Mapping[str, str] = field(default_factory=dict)  # its settings as COALMINE_… variables
    file: Path | None = None  # its settings file, absolute; None where there was none, or none was noted
    has_own_server: bool = True  # whether its data is in the state folder
    started_at: float | None = None  # seconds since the epoch, this machine's; None where it was not noted
    ended_at: float | None = None  # when it ended in order; None while it runs, or when it was killed

    @property
    def is_running(self) -> bool:
        """Whether the process of the fleet is there, and not another one that has its pid now.

        Notes without its start, of earlier releases, are believed, except where the pid is our own.
        """
        if self.ended_at is not None or not is_there(self.pid):
            return False
        if self.start_ticks is None:
            return self.pid != os.getpid()
        return self.boot_id == boot_id() and self.start_ticks == start_ticks(self.pid)

    @property
    def folder(self) -> Path:
        """The folder that people start it in."""
        return self.started_in or self.state.parent

    @property
    def data(self) -> Path:
        """The folder of the private server's data."""
        return self.state / "redis"

    @property
    def last_seen_at(self) -> float | None:
        """When it ended; for one that was killed, when one of its files was last written."""
        if self.ended_at is not None:
            return self.ended_at
        written = [_changed_at(path) for path in (self.state / "logs").glob("*.log")]
        return max((at for at in written if at is not None), default=self.started_at)

    @classmethod
    def at(cls, state: Path) -> Self | None:
        """What is noted in a state folder; None where no fleet ran, or its note cannot be read."""
        state = state.absolute()
        for name in (_RUNNING, _ENDED):
            noted = _read(state / name)
            if noted is not None:
                return cls(state=state, **noted)
        return None

    @classmethod
    def around(cls, folder: Path | None = None) -> Self | None:
        """The nearest fleet, in a folder (the current one) or in one that it lies in.

        None in the fleet's own work trees: what an agent starts there is not to find the fleet by accident.
        """
        here = (folder or Path.cwd()).absolute()
        for each in (here, *here.parents):
            for state in (each / kept_state(each), each / DEFAULT_STATE):
                if here.is_relative_to(state / WORK):
                    return None
                if (found := cls.at(state)) is not None:
                    return found
        return None


def keep_state(state: Path) -> None:
    """Have `kept_state` find it from the current folder. One that cannot be written keeps nothing."""
    usual = DEFAULT_STATE.absolute()
    with suppress(OSError):
        if state.resolve() == usual.resolve():
            (usual / _ELSEWHERE).unlink(missing_ok=True)
            return
        usual.mkdir(exist_ok=True)
        (usual / ".gitignore").write_text("*\n", encoding="utf-8")
        _write(usual / _ELSEWHERE, {"state": str(state.absolute())})


def kept_state(folder: Path = Path()) -> Path:
    """Where the last fleet of a folder has its state, while that is there; DEFAULT_STATE for the usual place.

    A fleet that runs with the usual one comes first.
    """
    usual = folder / DEFAULT_STATE
    running = FleetPlace.at(usual)
    if running is not None and running.is_running:
        return DEFAULT_STATE
    try:
        state = Path(_own_note(usual / _ELSEWHERE)["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_STATE
    return state if state.is_dir() else DEFAULT_STATE


def note_running(
    state: Path,
    variables: Mapping[str, str],
    *,
    at: float,
    file: Path | None = None,
    has_own_server: bool = True,
) -> None:
    """Let other commands find the fleet of this process."""
    noted = {"pid": os.getpid(), "started_at": at, "variables": dict(variables)}
    noted |= {"start_ticks": start_ticks(os.getpid()), "boot_id": boot_id()}
    noted |= {"file": str(file.absolute()) if file else None, "has_own_server": has_own_server}
    noted["folder"] = str(Path.cwd())
    _write(state / _RUNNING, noted)


def note_ended(state: Path, *, at: float) -> None:
    """The fleet has ended: its note stays, under another name."""
    file = state / _RUNNING
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
        _write(state / _ENDED, noted | {"ended_at": at})
    except (OSError, ValueError):  # the folder was removed meanwhile: nothing is left to be found
        pass
    file.unlink(missing_ok=True)


def running_variables(state: Path | None = None) -> Mapping[str, str]:
    """The settings of the fleet that runs here, or with its state in a folder; empty when none does."""
    place = FleetPlace.around() if state is None else FleetPlace.at(state)
    return place.variables if place is not None and place.is_running else {}


def _write(file: Path, noted: Mapping[str, Any]) -> None:
    """Write a note for its owner alone: an address may hold a password."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as written:
        json.dump(noted, written)


def _read(file: Path) -> dict[str, Any] | None:
    """The fields of a note that can be read and is this user's, or root's; None for any other."""
    try:
        return dict(_fields(_own_note(file)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _own_note(file: Path) -> Any:
    """What a note says; OSError or ValueError where there is none of this user, or of root."""
    if os.getuid() != 0 and file.stat().st_uid not in {os.getuid(), 0}:
        raise PermissionError(file)
    return json.loads(file.read_text(encoding="utf-8"))


def _fields(noted: Any) -> Iterator[tuple[str, Any]]:
    yield "pid", int(noted["pid"])
    yield "variables", {str(name): str(value) for name, value in noted["variables"].items()}
    for name, key in (("file", "file"), ("started_in", "folder")):
        if noted.get(key) is not None:
            yield name, Path(noted[key])
    yield "has_own_server", bool(noted.get("has_own_server", True))
    if noted.get("start_ticks") is not None:
        yield "start_ticks", int(noted["start_ticks"])
        yield "boot_id", str(noted.get("boot_id", ""))
    for name in ("started_at", "ended_at"):
        if noted.get(name) is not None:
            yield name, float(noted[name])


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
