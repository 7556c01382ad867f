"""Where a process may have cgroups: read from what the kernel says of it."""

from pathlib import Path

import pytest

from console.doctor.doctor import cgroups
from routing.process.cgroup import CgroupHome, program_file
from routing.process.cgroup_probe import own_cgroup, usable_cgroup_home
from routing.store.redis.health import Status

UNIFIED = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
INNER = "31 23 0:28 /box/one /sys/fs/cg\\040roup rw - cgroup2 cgroup rw\n"


def process(folder: Path, cgroup: str, mounts: str) -> Path:
    """What /proc would say of a process."""
    (folder / "cgroup").write_text(cgroup)
    (folder / "mountinfo").write_text(mounts)
    return folder


@pytest.mark.parametrize(
    ("cgroup", "mounts", "found"),
    [
        ("0::/\n", UNIFIED, "/sys/fs/cgroup"),
        ("0::/user.slice/a:b\n", UNIFIED, "/sys/fs/cgroup/user.slice/a:b"),
        ("9:cpu:/x\n0::/unit\n", HYBRID, "/sys/fs/cgroup/unified/unit"),
        ("0::/box/one/two\n", INNER, "/sys/fs/cg roup/two"),
        ("0::/box/other\n", INNER, None),
        ("0::/../other\n", UNIFIED, None),
        ("9:cpu:/x\n", HYBRID, None),
        ("0::/\n", "31 23 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n", None),
    ],
)
def test_a_processes_own_group_is_found(tmp_path: Path, cgroup: str, mounts: str, found: str | None) -> None:
    """Under any mount of the hierarchy that shows it; there is none where no mount does."""
    assert own_cgroup(process(tmp_path, cgroup, mounts)) == (Path(found) if found else None)


def test_what_cannot_be_used_is_not_a_home(tmp_path: Path) -> None:
    """A folder that may not be written, that is none of the kernel's, or no /proc at all."""
    assert usable_cgroup_home(tmp_path / "nowhere") is None
    for folder in (tmp_path, tmp_path / "missing"):
        mounts = f"31 23 0:28 / {folder} rw - cgroup2 cgroup2 rw\n"
        assert usable_cgroup_home(process(tmp_path, "0::/\n", mounts)) is None


def test_doctor_says_which_holds() -> None:
    """Both are in order; where there are none it says how processes are found instead."""
    assert "/somewhere" in cgroups(CgroupHome(Path("/somewhere"))).message
    without = cgroups(None)
    assert without.status is Status.OK
    assert "marker" in without.message


def test_program_is_the_file_that_would_be_started(tmp_path: Path) -> None:
    """The first of the path that may be run; names with a slash are relative to the working directory."""
    for place, mode in (("one", 0o644), ("two", 0o755), ("three", 0o755)):
        (tmp_path / place).mkdir()
        file = tmp_path / place / "tool"
        file.write_text("#!/bin/sh\n")
        file.chmod(mode)
    path = {"PATH": "missing:one:two:" + str(tmp_path / "three")}
    assert program_file("tool", cwd=tmp_path, environment=path) == "two/tool"
    assert program_file("three/tool", cwd=tmp_path, environment={}) == "three/tool"
    assert program_file("tool", cwd=tmp_path / "two", environment={"PATH": ""}) == "./tool"
    assert program_file("one/tool", cwd=tmp_path, environment=path) is None
    assert program_file("two", cwd=tmp_path, environment={"PATH": "."}) is None
    assert program_file("nothing", cwd=tmp_path, environment=path) is None
