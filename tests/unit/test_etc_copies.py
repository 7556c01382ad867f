"""Copies of what sandboxes are shown of /etc: the same as is shown without, and made anew when it changes."""

import os
from pathlib import Path

import pytest

from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.etc_copies import FRESH_SECONDS, EtcCopies, sweep_etc_copies
from routing.sandbox.mount import Confinement, Mount, MountKind
from routing.sandbox.profile import NetworkMode
from routing.sandbox.sandbox import BubblewrapSandbox

NAMES = ("hosts", "ssl/certs", "localtime", "nobody-has-this")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """One like a machine's: a file, a link that leads out, a folder with links, and what is not shown."""
    made = tmp_path / "etc"
    (made / "ssl" / "certs").mkdir(parents=True)
    (made / "ssl" / "private").mkdir()
    (made / "ssl" / "private" / "key").write_text("secret")
    (made / "hosts").write_text("127.0.0.1 localhost\n")
    (made / "shadow").write_text("secret")
    (tmp_path / "zone").write_text("UTC")
    (made / "localtime").symlink_to("../zone")
    (made / "ssl" / "certs" / "all.crt").write_text("certificates")
    (made / "ssl" / "certs" / "1234.0").symlink_to("all.crt")
    os.mkfifo(made / "ssl" / "certs" / "pipe")
    return made


def found(folder: Path) -> dict[str, str]:
    """All files and links below a folder, with what they have or say."""
    files = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in files
    }


def test_a_copy_has_what_is_named_and_nothing_else(etc: Path, tmp_path: Path) -> None:
    """Links that are named are followed, as mounts follow them; those in folders stay, pipes are left."""
    copy = EtcCopies(etc=etc, names=NAMES).copy_in(tmp_path / "copies")
    assert copy is not None
    assert found(copy) == {
        "hosts": "127.0.0.1 localhost\n",
        "localtime": "UTC",
        "ssl/certs/1234.0": "-> all.crt",
        "ssl/certs/all.crt": "certificates",
    }


def test_a_change_makes_another_copy(etc: Path, tmp_path: Path) -> None:
    """Within a minute; a turn that runs keeps the one that it has, and other processes find the same."""
    now = [0.0]
    copies = EtcCopies(etc=etc, names=NAMES, clock=lambda: now[0])
    first = copies.copy_in(tmp_path / "copies")
    assert EtcCopies(etc=etc, names=NAMES).copy_in(tmp_path / "copies") == first
    (etc / "ssl" / "certs" / "all.crt").write_text("other certificates")
    assert copies.copy_in(tmp_path / "copies") == first
    now[0] = FRESH_SECONDS
    second = copies.copy_in(tmp_path / "copies")
    assert first is not None
    assert second not in {None, first}
    assert found(first)["ssl/certs/all.crt"] == "certificates"
    assert len(list((tmp_path / "copies").iterdir())) == 2


def test_a_copy_that_was_removed_is_made_again(etc: Path, tmp_path: Path) -> None:
    """As when somebody cleans the folder."""
    copies = EtcCopies(etc=etc, names=NAMES)
    copy = copies.copy_in(tmp_path / "copies")
    assert copy is not None
    copy.rename(tmp_path / "away")
    assert copies.copy_in(tmp_path / "copies") == copy
    assert found(copy) == found(tmp_path / "away")


def test_where_no_copy_can_be_made_there_is_none(etc: Path, tmp_path: Path) -> None:
    """Then each part is mounted by itself."""
    (tmp_path / "copies").write_text("in the way")
    assert EtcCopies(etc=etc, names=NAMES).copy_in(tmp_path / "copies") is None


def test_unused_copies_are_swept(etc: Path, tmp_path: Path) -> None:
    """What was asked for lately stays."""
    copy = EtcCopies(etc=etc, names=NAMES).copy_in(tmp_path / "copies")
    assert copy is not None
    used_at = copy.stat().st_mtime
    sweep_etc_copies(tmp_path / "copies", unused_seconds=10.0, now=used_at + 9.0)
    assert copy.is_dir()
    sweep_etc_copies(tmp_path / "copies", unused_seconds=10.0, now=used_at + 11.0)
    assert not copy.exists()


def mounted(folder: Path, *mounts: Mount) -> list[str]:
    """The places in /etc of a sandbox that has a copy with the file `hosts`, and these mounts."""
    (folder / "copy").mkdir()
    (folder / "copy" / "hosts").touch()
    confined = Confinement(mounts=mounts, network=NetworkMode.FULL, home="/")
    here = Bubblewrap(program="/usr/bin/bwrap")
    sandbox = BubblewrapSandbox(bubblewrap=here, confined=confined, etc=folder / "copy")
    with sandbox.command(["/bin/true"], {"PATH": "/usr/bin"}, cwd=folder) as made:
        words = made.argv
    binds = [words[at + 2] for at, word in enumerate(words) if word in {"--ro-bind", "--bind"}]
    return [place for place in binds if f"{place}/".startswith("/etc/")]


def test_a_copy_is_one_mount(tmp_path: Path) -> None:
    """Also where a file is named that it has, as variables name certificates."""
    hosts = Mount(kind=MountKind.READ, at="/etc/hosts", source="/etc/hosts")
    assert mounted(tmp_path, hosts) == ["/etc"]


@pytest.mark.parametrize(
    "mount",
    [
        Mount(kind=MountKind.READ, at="/etc/hosts", source="/srv/hosts"),
        Mount(kind=MountKind.READ, at="/etc/agents", source="/etc/agents"),
        Mount(kind=MountKind.WRITE, at="/etc/hosts", source="/etc/hosts"),
    ],
)
def test_what_a_copy_has_not_is_mounted_with_each_part_by_itself(tmp_path: Path, mount: Mount) -> None:
    """In a copy, which is read-only, it would have no place."""
    assert mount.at in (places := mounted(tmp_path, mount))
    assert "/etc" not in places
    assert len(places) > 1
