"""Which system calls a confined program is refused: programs for the kernel, made by libseccomp.

No agent needs them, and most fail without rights anyway. Refused before the kernel looks at their arguments,
they lead neither to a fault in it nor to the keys of the worker's session, which no namespace hides. The list
follows the default profile of container engines; tracing is allowed, as a program traces only its own.
libseccomp is a part of most systems, and is called as it is there: see docs/sandbox.md. Where it is missing,
nothing is filtered, and `doctor` says so.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

#: Keys, and what reaches into the kernel: its programs, counters, memory, modules, clock and disks.
REFUSED: Final = (
    *("add_key", "keyctl", "request_key"),
    *("bpf", "io_uring_enter", "io_uring_register", "io_uring_setup", "perf_event_open", "userfaultfd"),
    *("acct", "delete_module", "finit_module", "init_module", "iopl", "ioperm", "kexec_file_load"),
    *("kexec_load", "lookup_dcookie", "nfsservctl", "open_by_handle_at", "quotactl", "quotactl_fd", "reboot"),
    *("adjtimex", "clock_adjtime", "clock_settime", "settimeofday", "swapoff", "swapon", "syslog", "vhangup"),
)

#: Mounts and namespaces: for programs that make no sandboxes of their own.
REFUSED_MOUNTS: Final = (
    *("chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount"),
    *("open_tree", "pivot_root", "setns", "umount", "umount2", "unshare"),
)

#: The largest shared segment of System V, in bytes: about a page, as databases take for their lock. One that
#: is mapped nowhere counts for no process: larger ones would be memory beside the limit. There can be 4096.
MOST_SEGMENT_BYTES: Final = 4096

_LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM

#: Ways to compare an argument (seccomp_rule_add(3)), and what programs of 32 bits ask for by the call `ipc`.
_GREATER, _MASKED_EQUAL = 6, 7
_IPC_SHMGET: Final = 23

#: The other kinds of programs that a machine runs: their calls have other numbers.
_ALSO: Final = {"x86_64": ("x86", "x32"), "aarch64": ("arm",)}


class _Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("way", ctypes.c_int),
        ("one", ctypes.c_uint64),
        ("other", ctypes.c_uint64),
    )


#: Calls that are refused for some arguments.
_REFUSED_WITH: Final = {
    "shmget": _Comparison(1, _GREATER, MOST_SEGMENT_BYTES, 0),
    "ipc": _Comparison(0, _MASKED_EQUAL, 0xFFFF, _IPC_SHMGET),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemCallFilters:
    """Filters in the kernel's form (see seccomp(2)); b"" where nothing is filtered."""

    alone: bytes = b""  # for programs that make no sandboxes of their own
    nesting: bytes = b""  # for those that may

    def of(self, *, may_nest: bool) -> bytes:
        """That of one program."""
        return self.nesting if may_nest else self.alone


def system_call_filters(name: str = _LIBRARY) -> SystemCallFilters:
    """The filters of this machine; empty ones where libseccomp is missing, or does not make them."""
    try:
        library = ctypes.CDLL(name)
        alone = _made(library, (*REFUSED, *REFUSED_MOUNTS))
        return SystemCallFilters(alone=alone, nesting=_made(library, REFUSED))
    except (OSError, AttributeError):  # no such library, or an old one
        return SystemCallFilters()


def as_descriptor(content: bytes) -> int:
    """A file in memory that is read from its beginning; the caller closes it."""
    descriptor = os.memfd_create("coalmine-filter")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _made(library: ctypes.CDLL, names: Iterable[str]) -> bytes:
    """Allow all but these. A call that this machine does not know is left out. OSError."""
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    if not context:
        raise OSError(errno.ENOMEM, f"{_LIBRARY} made no filter")
    try:
        for kind in _ALSO.get(platform.machine(), ()):
            number = library.seccomp_arch_resolve_name(kind.encode())
            _checked(library.seccomp_arch_add(context, ctypes.c_uint32(number)))
        for name in names:
            _refuse(library, context, name)
        for name, comparison in _REFUSED_WITH.items():
            _refuse(library, context, name, comparison)
        with closing(os.fdopen(os.memfd_create("coalmine-filter"), "rb")) as file:
            _checked(library.seccomp_export_bpf(context, ctypes.c_int(file.fileno())))
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(context)


def _refuse(library: ctypes.CDLL, context: ctypes.c_void_p, name: str, *comparisons: _Comparison) -> None:
    """Refuse a call, or only that whose arguments compare so."""
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        return
    given = (_Comparison * len(comparisons))(*comparisons) if comparisons else None
    action, count = ctypes.c_uint32(_REFUSE), ctypes.c_uint(len(comparisons))
    _checked(library.seccomp_rule_add_array(context, action, ctypes.c_int(number), count, given))


def _checked(answer: int) -> None:
    if answer < 0:
        raise OSError(-answer, f"{_LIBRARY} made no filter")
