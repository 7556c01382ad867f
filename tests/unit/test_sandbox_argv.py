"""The command line of bubblewrap: what is in it, and in which order."""

from itertools import pairwise

import pytest

from routing.sandbox.bubblewrap import bubblewrap_argv
from routing.sandbox.mount import Confinement, Mount, MountKind, in_order
from routing.sandbox.profile import NetworkMode


def read(at: str, source: str = "") -> Mount:
    """A read-only mount, by default of the same path."""
    return Mount(kind=MountKind.READ, at=at, source=source or at)


def write(at: str, source: str = "") -> Mount:
    """A writable one."""
    return Mount(kind=MountKind.WRITE, at=at, source=source or at)


def line(*mounts: Mount, network: NetworkMode = NetworkMode.NONE, **options: bool) -> list[str]:
    """The command line that runs `agent --now` in /tree."""
    may_nest = options.pop("may_nest", False)
    confined = Confinement(mounts=mounts, network=network, home="/home/a", may_nest=may_nest)
    return bubblewrap_argv("/usr/bin/bwrap", confined, ["agent", "--now"], cwd="/tree", **options)


def test_a_program_gets_namespaces_of_its_own_and_no_rights() -> None:
    """Processes, IPC, host name, cgroups and users; it ends with its worker, and can gain nothing."""
    said = line()
    for option in ("--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                   "--unshare-cgroup-try", "--disable-userns"):  # fmt: skip
        assert option in said
    assert ("--cap-drop", "ALL") in pairwise(said)
    assert said[-3:] == ["--", "agent", "--now"]
    assert ("--chdir", "/tree") in pairwise(said)
    assert ("--remount-ro", "/") in pairwise(said)
    assert said.index("/dev") < said.index("/dev/shm") < said.index("--remount-ro")  # noqa: S108
    assert ("--remount-ro", "/dev") in pairwise(said)


@pytest.mark.parametrize(
    ("network", "alone"),
    [(NetworkMode.NONE, True), (NetworkMode.ALLOW_LIST, True), (NetworkMode.FULL, False)],
)
def test_only_the_full_network_is_the_machines(network: NetworkMode, *, alone: bool) -> None:
    """Otherwise not even what listens on the loopback of the machine is reached."""
    assert ("--unshare-net" in line(network=network)) is alone


def test_sandboxes_within_are_made_only_where_the_profile_says_so() -> None:
    """And an older bubblewrap, which cannot forbid them, is not given an option that it does not know."""
    assert "--disable-userns" not in line(may_nest=True)
    assert "--disable-userns" not in line(blocks_nesting=False)


def test_a_filter_of_system_calls_is_read_from_a_descriptor() -> None:
    """Where there is one; bubblewrap loads it right before the program."""
    assert "--seccomp" not in line()
    confined = Confinement(mounts=(), network=NetworkMode.NONE, home="/home/a")
    assert ("--seccomp", "7") in pairwise(bubblewrap_argv("bwrap", confined, ["a"], cwd="/", filter_at=7))


def test_the_program_waits_where_something_is_done_before() -> None:
    """Else bubblewrap runs it as soon as it can."""
    assert "--block-fd" not in line()
    confined = Confinement(mounts=(), network=NetworkMode.ALLOW_LIST, home="/home/a")
    said = bubblewrap_argv("bwrap", confined, ["a"], cwd="/", says_at=5, waits_at=6)
    assert {("--info-fd", "5"), ("--block-fd", "6")} <= set(pairwise(said))


def test_folders_come_before_what_is_in_them() -> None:
    """Else a folder would cover what was mounted before."""
    mounts = (read("/home/a/tools"), write("/home/a", "/own/home"), write("/scratch/w/tree"))
    said = line(*mounts, write("/scratch", "/own/tmp"))
    places = [said.index(place) for place in ("/own/home", "/home/a/tools", "/scratch/w/tree")]
    assert places == sorted(places)
    assert said.index("/own/tmp") < said.index("/scratch/w/tree")
    assert said.index("/dev") < said.index("--tmpfs")


def test_what_a_shown_folder_holds_is_not_mounted_again() -> None:
    """A mount on a link within it would fail, and every mount takes its time."""
    assert in_order([read("/usr"), read("/usr/bin/python", "/usr/bin/python3.11")]) == [read("/usr")]


def test_what_is_hidden_by_a_folder_of_its_own_is_mounted() -> None:
    """The home is an empty one: a toolchain in it has to be shown."""
    shown = in_order([write("/home/a", "/own/home"), read("/home/a/.pyenv")])
    assert [mount.at for mount in shown] == ["/home/a", "/home/a/.pyenv"]


def test_the_later_mount_of_a_place_counts() -> None:
    """What the caller names is more than what was found on a PATH."""
    assert in_order([read("/tree"), write("/tree")]) == [write("/tree")]
