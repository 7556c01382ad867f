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

_LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM

#: The other kinds of programs that a machine runs: their calls have other numbers.
_ALSO: Final = {"x86_64": ("x86", "x32"), "aarch64": ("arm",)}


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
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != -1:
                refuse = (context, ctypes.c_uint32(_REFUSE), ctypes.c_int(number), ctypes.c_uint(0), None)
                _checked(library.seccomp_rule_add_array(*refuse))
        with closing(os.fdopen(os.memfd_create("coalmine-filter"), "rb")) as file:
            _checked(library.seccomp_export_bpf(context, ctypes.c_int(file.fileno())))
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(context)


def _checked(answer: int) -> None:
    if answer < 0:
        raise OSError(-answer, f"{_LIBRARY} made no filter")
