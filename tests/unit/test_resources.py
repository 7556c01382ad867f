"""What a turn may take of its machine: which processes count, and what ends it by which name."""

import mmap
import os
from pathlib import Path

import pytest

from routing.jobs.ending import OF_RESOURCES
from routing.sandbox.mount import LimitBroken, ProcessLimits
from routing.sandbox.profile import SandboxProfile
from routing.sandbox.resource_watch import FOLDER_SECONDS, LOOK_SECONDS, ResourceWatch
from routing.sandbox.usage import (
    ProcessUse,
    UsageReading,
    UsageTable,
    folder_bytes,
    memory_of_machine,
    resident_bytes,
)
from tasks.agents.turn.limits import ending_of

MIB = 1024 * 1024
LEADER = 100


class _Table(UsageTable):
    """Processes that the test says."""

    def __init__(self, *uses: ProcessUse) -> None:
        super().__init__()
        self.uses = {use.pid: use for use in uses}
        self.looks = 0

    def family(self, leader: int) -> list[ProcessUse]:
        self.looks += 1
        return UsageReading(self.uses.values()).family(leader)


def use(pid: int, parent: int, *, session: int = LEADER, mib: int = 1) -> ProcessUse:
    """A process of the turn; none has that number, so nobody says what it shares."""
    return ProcessUse(pid, parent, session, mib * MIB)


SMALL = (use(LEADER, 1), use(2**22 + 1, LEADER), use(2**22 + 2, 2**22 + 1, session=7))


def watch(
    limits: ProcessLimits, *uses: ProcessUse, folders: tuple[Path, ...] = ()
) -> tuple[ResourceWatch, _Table]:
    """A watch of a turn that began at 0."""
    table = _Table(*(uses or SMALL))
    return ResourceWatch(
        limits, leader=LEADER, folders=folders, now=0.0, clock=lambda: 0.0, table=table
    ), table


def test_a_session_and_all_that_descends_from_it_count() -> None:
    """Whatever made a session of its own, too; a stranger does not."""
    reading = UsageReading([*SMALL, use(9, 1, session=9)])
    assert {one.pid for one in reading.family(LEADER)} == {LEADER, 2**22 + 1, 2**22 + 2}


@pytest.mark.parametrize(
    ("limits", "ending"),
    [
        (ProcessLimits(memory_bytes=3 * MIB), None),
        (ProcessLimits(memory_bytes=3 * MIB - 1), LimitBroken.MEMORY),
        (ProcessLimits(processes=3), None),
        (ProcessLimits(processes=2), LimitBroken.PROCESSES),
    ],
)
def test_the_limit_itself_is_allowed(limits: ProcessLimits, ending: LimitBroken | None) -> None:
    """What is above it ends the turn, by its name."""
    assert watch(limits)[0].look(LOOK_SECONDS) is ending


def test_an_open_file_in_memory_counts_once_whether_it_is_mapped_or_not() -> None:
    """Nothing of it is resident until it is mapped; then it is among the pages of the process."""
    size = 32 * MIB
    own = [ProcessUse(os.getpid(), 1, LEADER, 0)]
    before = resident_bytes(own, limit=-1)
    with os.fdopen(os.memfd_create("large"), "r+b", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB))
        assert size <= resident_bytes(own, limit=size - 1)
        assert resident_bytes(own, limit=2 * size, most_in_files=lambda: 0) < size, "nobody looked for it"
        unmapped = resident_bytes(own, limit=-1)
        with mmap.mmap(file.fileno(), size) as pages:
            assert pages[:: mmap.PAGESIZE].count(0) == size // mmap.PAGESIZE
            mapped = resident_bytes(own, limit=-1)
    for now in (unmapped, mapped):
        assert abs(now - before - size) < size // 4


def test_nothing_is_looked_at_without_limits() -> None:
    """So 200 agents without any cost nothing more."""
    watching, table = watch(ProcessLimits(file_bytes=5))
    assert watching.due_at == float("inf")
    assert watching.look(1e9) is None
    assert table.looks == 0


def test_looks_are_a_second_apart() -> None:
    """However often the turn's thread comes by."""
    watching, table = watch(ProcessLimits(memory_bytes=100 * MIB))
    for now in (0.5, 1.0, 1.1, 1.9, 2.0):
        watching.look(now)
    assert table.looks == 2
    assert watching.due_at == 3.0


def test_folders_are_measured_without_following_links(tmp_path: Path) -> None:
    """And not further than to the limit."""
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_bytes(b"x" * MIB)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(b"x" * 4 * MIB)
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "elsewhere")
    assert MIB <= folder_bytes([tmp_path / "tree"], limit=100 * MIB) < 2 * MIB
    watching, _ = watch(ProcessLimits(disk_bytes=2 * MIB), folders=(tmp_path / "tree",))
    assert watching.look(FOLDER_SECONDS) is None
    (tmp_path / "tree" / "more").write_bytes(b"x" * 2 * MIB)
    assert watching.look(2 * FOLDER_SECONDS) is LimitBroken.DISK


@pytest.mark.parametrize("exit_code", [-25, 153])
def test_the_kernels_word_for_a_large_file_is_the_limit(exit_code: int) -> None:
    """With a limit of files, and only for that exit."""
    assert watch(ProcessLimits(file_bytes=1))[0].ended_by(exit_code) is LimitBroken.FILE_SIZE
    assert watch(ProcessLimits(file_bytes=1))[0].ended_by(1) is None
    assert watch(ProcessLimits())[0].ended_by(exit_code) is None


def test_the_lower_limit_holds() -> None:
    """Of settings and profile, each by itself."""
    fleet = ProcessLimits(memory_bytes=512 * MIB, processes=10)
    version = SandboxProfile(memory_megabytes=1024, processes=5, disk_megabytes=1)
    assert fleet.with_profile(version) == ProcessLimits(
        memory_bytes=512 * MIB, processes=5, file_bytes=None, disk_bytes=MIB
    )


def test_each_ending_names_its_limit() -> None:
    """As people search for it."""
    assert {ending_of(broken) for broken in LimitBroken} == OF_RESOURCES
    assert {ending.value for ending in OF_RESOURCES} == {
        "limit: memory", "limit: processes", "limit: file size", "limit: disk",
    }  # fmt: skip


def test_the_memory_of_a_container_or_a_service_is_that_of_its_group(tmp_path: Path) -> None:
    """Of all groups around this process the smallest counts; where none says any, the machine's does."""
    whole = memory_of_machine(groups=tmp_path)
    assert whole is not None
    assert whole >= 64 * MIB
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_of_machine(groups=tmp_path) == whole
    (tmp_path / "memory.max").write_text(f"{32 * MIB}\n")
    assert memory_of_machine(groups=tmp_path) == 32 * MIB
