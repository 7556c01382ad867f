"""Ends agents that nobody supervises any longer: a killed worker cannot end its own, so another one does.

Nothing is stored for this. The marker in the environment of each process names job and worker, so an agent
can be found from the moment it starts; so can the cgroup of a turn, where it has one. What escapes both is
listed in `routing.process.descendants`. All functions here act on this host alone.
"""

import time
from collections.abc import Callable, Mapping

import structlog

from routing.process.cgroup import CgroupHome
from routing.process.descendants import kill_all
from routing.process.marker import TurnMarker
from routing.process.table import ProcessEntry, ProcessTable, family, still_running

_log = structlog.get_logger(__name__)

#: How long killed processes may take to vanish.
_VANISH_SECONDS = 5.0
#: Between two looks at them.
_LOOK_SECONDS = 0.02


def end_ownerless_turns(table: ProcessTable, home: CgroupHome | None = None) -> int:
    """End what agents of dead worker processes left; returns how many processes that were.

    For one who does so every few seconds.
    """
    why = "their worker has ended"
    return _end(table, home, lambda marker: not marker.owner_lives, why=why, looks_often=True)


def end_turns_of(job_id: str, table: ProcessTable, home: CgroupHome | None = None) -> int:
    """End every turn of a job. Only the holder of the job's lease may, before it starts its own.

    An earlier holder may be frozen or slow to notice; its agent must not write into the same work tree.
    """
    return _end(table, home, lambda marker: marker.job == job_id, why="the job's lease has moved on")


def end_left_turn(marker_text: str, table: ProcessTable, home: CgroupHome | None = None) -> int:
    """End one turn, by its marker. Only the holder of its session's lease may."""
    return _end(
        table, home, lambda marker: str(marker) == marker_text, why="the session's lease has moved on"
    )


def _end(
    table: ProcessTable, home: CgroupHome | None, is_theirs: Callable[[TurnMarker], bool], *, why: str,
    looks_often: bool = False,
) -> int:  # fmt: skip
    ended = _end_cgroups(home, is_theirs)
    if table.has_turns(lambda text: _is_meant(text, is_theirs), looks_often=looks_often):
        ended |= _end_marked(table, is_theirs)
    if ended:
        _log.warning("orphans.ended", processes=len(ended), reason=why)
    return len(ended)


def _end_cgroups(home: CgroupHome | None, is_theirs: Callable[[TurnMarker], bool]) -> set[int]:
    """All of a group's processes die in one step; returns their pids."""
    ended: set[int] = set()
    for marker, group in home.turns() if home is not None else ():
        if marker.is_ours and is_theirs(marker):
            ended |= group.pids()
            group.end(clock=time.monotonic, pause=time.sleep)
    return ended


def _end_marked(table: ProcessTable, is_theirs: Callable[[TurnMarker], bool]) -> set[int]:
    ended: set[int] = set()
    left: list[ProcessEntry] = []
    give_up_at = time.monotonic() + _VANISH_SECONDS
    # Again and again, as a process may start another one between the look and the signal. A dying process
    # has lost its environment already, so what was signalled counts until it is gone.
    while (left := _processes(table.read(), is_theirs) or still_running(left)) and (
        time.monotonic() < give_up_at
    ):
        kill_all(left)
        ended |= {entry.pid for entry in left}
        time.sleep(_LOOK_SECONDS)
    if left:
        _log.warning("orphans.left", processes=len(left))
    return ended


def _processes(
    entries: Mapping[int, ProcessEntry], is_theirs: Callable[[TurnMarker], bool]
) -> list[ProcessEntry]:
    """The marked processes, their sessions, and all their descendants."""
    turns = {
        (entry.session, entry.marker)
        for entry in entries.values()
        if entry.marker and _is_meant(entry.marker, is_theirs)
    }
    found = {
        entry.pid: entry
        for session, marker_text in turns
        for entry in family(entries, leader=session, marker=marker_text)
    }
    return list(found.values())


def _is_meant(marker_text: str, is_theirs: Callable[[TurnMarker], bool]) -> bool:
    """Whether a process with that marker is one of a turn that is to end."""
    marker = TurnMarker.parse(marker_text)
    return marker is not None and marker.is_ours and is_theirs(marker)
