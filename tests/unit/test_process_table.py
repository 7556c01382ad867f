"""The table of processes reads no more of /proc than it must, as every worker does it every other second."""

from pathlib import Path

import pytest

from routing.process import table
from routing.process.table import REUSE_SECONDS, SETTLED_SECONDS, ProcessTable


class Proc:
    """A /proc of one's own, and the clock of those who read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1000.0

    def put(self, pid: int, *, marker: str, start: int = 5, state: str = "S") -> None:
        """A process with a bracket in its name."""
        place = self.folder / str(pid)
        place.mkdir(exist_ok=True)
        fields = [state, "1", str(pid), str(pid), *["0"] * 15, str(start), *["0"] * 30]
        (place / "stat").write_text(f"{pid} (an (odd) name) {' '.join(fields)}\n")
        (place / "environ").write_text(f"HOME=/\0COALMINE_TURN={marker}\0" if marker else "HOME=/\0")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    """In the place of the machine's."""
    monkeypatch.setattr(table, "_PROC", tmp_path)
    return Proc(tmp_path)


def test_a_marker_that_comes_with_the_program_is_seen(proc: Proc) -> None:
    """A child has its parent's environment until it becomes the agent's program."""
    read = ProcessTable(monotonic=lambda: proc.now).read
    proc.put(7, marker="")
    assert read()[7].marker == ""
    proc.now += SETTLED_SECONDS - 1
    proc.put(7, marker="job one")
    assert read()[7].marker == "job one"


def test_the_environment_of_an_old_process_is_not_read_again(proc: Proc) -> None:
    """Its marker stays, and so does that it has none; parent and session are read each time."""
    read = ProcessTable(monotonic=lambda: proc.now).read
    proc.put(7, marker="job one")
    proc.put(8, marker="")
    read()
    proc.now += SETTLED_SECONDS
    read()
    for pid in (7, 8):
        (proc.folder / str(pid) / "environ").unlink()
    proc.now += 1
    assert [read()[pid].marker for pid in (7, 8)] == ["job one", ""]
    proc.put(8, marker="", state="Z")
    proc.now += 1
    assert list(read()) == [7]


def test_a_pid_that_is_used_again_is_another_process(proc: Proc) -> None:
    """What was known of the one before says nothing of it."""
    read = ProcessTable(monotonic=lambda: proc.now).read
    proc.put(7, marker="")
    read()
    proc.now += SETTLED_SECONDS
    read()
    proc.put(7, marker="job two", start=9)
    proc.now += 1
    assert read()[7].marker == "job two"


def any_turn(_marker: str) -> bool:
    """Whatever turn it is of."""
    return True


@pytest.mark.parametrize("looks_often", [False, True])
def test_who_has_no_marker_for_long_is_not_looked_at_for_turns(proc: Proc, looks_often: bool) -> None:  # noqa: FBT001 - a column
    """A process that is new, or gets the marker with its program, is seen; the old ones are not read."""
    table = ProcessTable(monotonic=lambda: proc.now)

    def has_turns() -> bool:
        return table.has_turns(any_turn, looks_often=looks_often)

    proc.put(7, marker="")
    assert not has_turns()
    proc.now += SETTLED_SECONDS
    assert not has_turns()
    (proc.folder / "7" / "stat").unlink()
    proc.now += 1
    assert not has_turns()
    proc.put(8, marker="")
    assert not has_turns()
    proc.put(8, marker="job one")
    proc.now += 1
    assert has_turns()
    proc.put(8, marker="job one", state="Z")
    proc.now += 2
    assert not has_turns()


def test_turns_of_others_are_none(proc: Proc) -> None:
    """Only whom the caller means counts, and who was there for long is not read for it."""
    table = ProcessTable(monotonic=lambda: proc.now)
    proc.put(7, marker="job one")
    for passes in (0, SETTLED_SECONDS):
        proc.now += passes
        assert not table.has_turns(lambda marker: marker == "job two")
    (proc.folder / "7" / "stat").unlink()
    proc.now += 1
    assert table.has_turns(lambda marker: marker == "job one")


def test_one_who_looks_often_sees_a_young_process_soon(proc: Proc) -> None:
    """It is read at the next look, and then whenever it is twice as old; others read it each time."""
    table = ProcessTable(monotonic=lambda: proc.now)
    proc.put(7, marker="")
    for _ in range(3):
        assert not table.has_turns(any_turn, looks_often=True)
        proc.now += 2
    proc.put(7, marker="job one")
    seen = []
    for _ in range(2):
        seen.append(table.has_turns(any_turn, looks_often=True))
        proc.now += 2
    assert seen == [False, True]
    proc.put(8, marker="")
    assert not table.has_turns(lambda marker: marker == "job two")
    proc.now += 0.1
    assert not table.has_turns(lambda marker: marker == "job two")
    proc.put(8, marker="job two")
    assert table.has_turns(lambda marker: marker == "job two")


def test_a_pid_that_was_not_looked_at_for_long_may_be_another_process(proc: Proc) -> None:
    """As after a machine was suspended: all pids may have been given out meanwhile."""
    table = ProcessTable(monotonic=lambda: proc.now)
    proc.put(7, marker="")
    for passes in (0, SETTLED_SECONDS):
        proc.now += passes
        assert not table.has_turns(any_turn)
    proc.put(7, marker="job two", start=9)
    proc.now += REUSE_SECONDS
    assert table.has_turns(any_turn)
