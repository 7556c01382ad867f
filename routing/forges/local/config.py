"""The settings of a local forge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from routing.forges.config import ForgeConfig, ForgeName, Label, Lack, listed, none_if_empty
from routing.sandbox.profile import NetworkMode, SandboxKind
from routing.setting_types import Seconds, Switch

if TYPE_CHECKING:  # settings are read without running anything
    from routing.forges.local.ci_sandbox import CiSandbox

#: Files and folders, as a list, or as a variable has one.
Paths = Annotated[tuple[Path, ...], BeforeValidator(listed)]

#: What `LocalConfig.memory` has in it.
MEMORY_PARTS = frozenset({"ci", "logs", "statuses", "branches"})


class LocalConfig(ForgeConfig):
    """Where the parts of a local forge are, and what it does by itself. Its kill switch is off by default."""

    kind: Literal["local"] = "local"
    name: ForgeName = "local"
    label: Annotated[Label | None, BeforeValidator(none_if_empty)] = None  # None: every open issue
    kill_switch: Switch = False
    poll_interval_seconds: Seconds = 5.0
    merge: Literal["green", "never"] = "green"
    repository: Path | None = None  # with a work tree or bare; None: the forge is not set up
    issues: Annotated[Path | None, Field(validate_default=True)] = None  # the folder of issue files
    state: Path = Path(".coalmine/forge")  # folder of what is remembered; see `memory`
    ci: str | None = None  # shell line of the operator; None: no CI
    ci_seconds: Seconds = 1800.0  # that it may take
    ci_sandbox: SandboxKind = SandboxKind.AUTO  # in which it runs
    ci_network: Literal["none", "full"] = "none"  # that it reaches from there
    ci_read: Paths = ()  # files and folders of the machine that it is shown too, by full paths
    ci_write: Paths = ()
    main: str | None = None  # main branch; None: see `LocalGit.main_branch`

    @field_validator("name")
    @classmethod
    def _no_part_of_memory(cls, name: str) -> str:
        """Forges beside `local` are remembered in a folder of their name, among the parts of `local`."""
        if name in MEMORY_PARTS:
            message = f"is a folder in `state`; do not call a local forge {', '.join(sorted(MEMORY_PARTS))}"
            raise ValueError(message)
        return name

    @field_validator("ci_sandbox")
    @classmethod
    def _refuses_containers(cls, kind: SandboxKind) -> SandboxKind:
        """CI has no image: less than was asked for would run."""
        if kind is SandboxKind.CONTAINER:
            raise ValueError(
                "CI runs in no container; use `bubblewrap`, or `none` for a command that starts one"
            )
        return kind

    @field_validator("issues")
    @classmethod
    def _both_or_none(cls, issues: Path | None, info: ValidationInfo) -> Path | None:
        """One without the other would find issues and have nowhere to work, or the reverse."""
        if (issues is None) != (info.data.get("repository") is None):
            raise ValueError("a local forge needs both, `repository` and `issues`; set both or none")
        return issues

    @property
    def memory(self) -> Path:
        """Where statuses, logs, branches seen and clones under CI are; each forge has its own place."""
        return self.state if self.name == "local" else self.state / self.name

    @property
    def allow_list(self) -> tuple[str, ...]:
        """The one repository, by the name of its folder."""
        return () if self.repository is None else (repository_name(self.repository.resolve()),)

    @property
    def lack(self) -> Lack | None:
        """A repository."""
        return Lack(setting="repository", because="it has no repository") if self.repository is None else None

    @property
    def sandbox_of_ci(self) -> CiSandbox:
        """In what CI runs."""
        from routing.forges.local.ci_sandbox import CiSandbox

        return CiSandbox(
            kind=self.ci_sandbox,
            network=NetworkMode(self.ci_network),
            read=[path.absolute() for path in self.ci_read],
            write=[path.absolute() for path in self.ci_write],
        )

    @property
    def has_ci(self) -> bool:
        """Whether there is a command."""
        return bool((self.ci or "").strip())

    @property
    def has_change_requests(self) -> bool:
        """A branch is all that there is: the issue names it until it is merged."""
        return False


def repository_name(directory: Path) -> str:
    """The repository's name as issues and jobs write it: the folder's, in characters that names may have."""
    folder = directory.parent if directory.name == ".git" else directory
    return re.sub(r"[^A-Za-z0-9._-]", "-", folder.name.removesuffix(".git"))[:100].lstrip(".") or "repository"
