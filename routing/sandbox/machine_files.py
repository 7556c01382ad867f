"""What of this machine a program needs to run at all: the system, and the folders of programs on its PATH.

The system is a list of names, so that what a site keeps beside them (`/etc/coalmine`, `/srv`, `/opt/app`, the
homes) is not shown. Of a toolchain outside of the system its programs and libraries are shown, and not the
folder that they are in: it may hold settings and tokens.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from routing.sandbox.mount import Mount, MountKind, read_only

#: Folders of the system that are shown whole.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")

#: Where settings of the system are.
ETC = "/etc"

#: What of /etc is shown: names, locales, certificates, and how libraries are found. No keys, no tokens.
OF_ETC = (
    *("alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies"),
    *("debian_version", "fonts", "group", "host.conf", "hosts", "inputrc", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "lsb-release", "magic", "mime.types"),
    *(
        "nsswitch.conf",
        "os-release",
        "passwd",
        "pki/ca-trust",
        "pki/tls/certs",
        "pki/tls/cert.pem",
        "profile",
    ),
    *("profile.d", "protocols", "redhat-release", "resolv.conf", "services", "shells", "ssl/certs"),
    *("ssl/openssl.cnf", "ssl/cert.pem", "terminfo", "timezone"),
)

#: The parts of a toolchain's folder that programs need.
_PARTS = ("bin", "conf", "include", "jmods", "lib", "lib64", "libexec", "pkg", "sbin", "share", "src")

#: Folders that programs of another folder need, both below the user's home.
_COMPANIONS = {".cargo/bin": (".rustup",)}

#: What is not shown although a line names it: a sandbox has its own, or programs are not kept there.
_NEVER = ("/dev/", "/etc/", "/proc/", "/sys/")

#: The folder in /dev in which people keep files.
_MEMORY = "/dev/shm/"  # noqa: S108

#: Most links that are followed from one program.
_MOST_LINKS = 20

#: Most programs of a folder that are looked at.
_MOST_PROGRAMS = 2000


def system_mounts(*, etc: Path | None = None) -> list[Mount]:
    """The system, read-only. Links between its folders stay links.

    `etc` is a copy of what is shown of /etc: one mount, in place of one for each file and folder there.
    """
    folders, files = _system()
    copied = [] if etc is None else [Mount(kind=MountKind.READ, at=ETC, source=str(etc))]
    return [*folders, *(copied or files)]


@lru_cache(maxsize=1)
def _system() -> tuple[tuple[Mount, ...], tuple[Mount, ...]]:
    folders = [_shown(path) for path in SYSTEM if os.path.lexists(path)]
    files = [
        Mount(kind=MountKind.READ, at=str(path), source=os.path.realpath(path))
        for path in (Path(ETC, name) for name in OF_ETC)
        if path.exists() and os.access(path, os.R_OK)
    ]
    return tuple(folders), tuple(files)


def _shown(path: str) -> Mount:
    if Path(path).is_symlink():
        return Mount(kind=MountKind.LINK, at=path, source=str(Path(path).readlink()))
    return Mount(kind=MountKind.READ, at=path, source=path)


def program_mounts(search_path: str, programs: Iterable[str], *, home: str) -> list[Mount]:
    """What the folders of a PATH and single programs need that is not the system's, read-only."""
    entries = [entry for entry in search_path.split(os.pathsep) if Path(entry).is_absolute()]
    stamps = tuple(_changed_at(entry) for entry in entries)
    found = [*_of_path(tuple(entries), stamps, home)]
    for program in programs:
        found += _of_program(program, os.path.realpath(program), _changed_at(str(Path(program).parent)), home)
    return [mount for path in dict.fromkeys(found) for mount in read_only(path)]


def _changed_at(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _of_path(entries: tuple[str, ...], _stamps: tuple[int, ...], home: str) -> tuple[Path, ...]:
    """What the folders of a PATH need; looked up again when one of them has changed."""
    found: list[Path] = []
    for entry in map(Path, entries):
        # A folder of another user's PATH may be shut to us: its programs are none of ours.
        if not os.access(entry, os.R_OK | os.X_OK) or not entry.is_dir() or _is_systems(entry):
            continue
        found += _place_of(entry, home)
        for name in sorted(os.listdir(entry))[:_MOST_PROGRAMS]:  # noqa: PTH208 - thousands of names
            if (entry / name).is_symlink():
                found += toolchain(entry / name, home=home)
        found += [
            Path(home, other)
            for below, others in _COMPANIONS.items()
            for other in others
            if entry == Path(home, below) and Path(home, other).is_dir()
        ]
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=256)
def _of_program(program: str, _real: str, _stamp: int, home: str) -> tuple[Path, ...]:
    """What one program needs; looked up again when its folder has changed, or it leads elsewhere."""
    return tuple(toolchain(Path(program), home=home))


def toolchain(program: Path, *, home: str) -> list[Path]:
    """What one program needs: itself with all links to it, and the libraries that are installed with it."""
    found: list[Path] = []
    for hop in _hops(program):
        if not _is_systems(hop):
            found += [*_place_of(hop, home)]
    return list(dict.fromkeys(found))


def named_files(line: str) -> list[str]:
    """The files that the words of a shell line name by absolute paths; the operator wrote them."""
    try:
        words = shlex.split(line)
    except ValueError:  # the shell will say so
        return []
    return [
        word
        for word in words
        if word.startswith("/")
        and (word.startswith(_MEMORY) or not word.startswith(_NEVER))
        and Path(word).is_file()
    ]


def _hops(program: Path) -> Iterator[Path]:
    """The program, and each file that a link on the way to it names."""
    for _ in range(_MOST_LINKS):
        if not os.path.lexists(program):
            return
        yield program
        if not program.is_symlink():
            break
        program = Path(os.path.normpath(program.parent / program.readlink()))
    real = Path(os.path.realpath(program))
    if real != program:
        yield real


def _place_of(path: Path, home: str) -> Iterator[Path]:
    """The part of the machine that a file or a folder of programs is installed in."""
    parts = path.parts
    if "node_modules" in parts:  # a program's own packages, and those that it needs
        yield Path(*parts[: parts.index("node_modules") + 1])
        return
    for folder in path.parents:
        if (folder / "pyvenv.cfg").is_file():
            yield folder
            python = Path(os.path.realpath(folder / "bin" / "python"))
            if folder not in python.parents:
                yield from toolchain(python, home=home)
            return
    folder = path if path.is_dir() else path.parent
    if folder.name == "shims" and not _is_kept(folder.parent, home):
        yield folder.parent
        return
    if (
        folder.name in {"bin", "sbin"}
        and (folder.parent / "lib").is_dir()
        and not _is_kept(folder.parent, home)
    ):
        yield from (folder.parent / part for part in _PARTS if (folder.parent / part).is_dir())
        return
    if path.is_file() or not _is_kept(path, home):
        yield path


def _is_kept(folder: Path, home: str) -> bool:
    """Whether a folder holds so much else that it is not shown: the home, what is above it, `~/.local`."""
    own = Path(home)
    return folder in {own, own / ".local", Path("/"), *own.parents}


def _is_systems(path: Path) -> bool:
    text = str(path)
    return any(text == folder or text.startswith(f"{folder}/") for folder in SYSTEM)
