"""In which sandbox a version runs on this host, if it may run here at all: pure. It fails closed."""

from dataclasses import dataclass

from routing.errors import SettingsError
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.containers.engine import ContainerEngine
from routing.sandbox.profile import SandboxKind
from tasks.agents.runtimes.runtime import RuntimeRefusedError, RuntimeSpec

#: Where nobody has looked for an engine.
NO_ENGINE = ContainerEngine(why_not="no container engine was looked for", remedy="install podman or docker")


class SandboxMissingError(SettingsError):
    """The version's sandbox does not work on this host, and it does not run without: another host may do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxChoice:
    """How the agent of a turn is confined."""

    kind: SandboxKind  # what is used: never `auto`
    note: str  # in words, for the job's log

    @property
    def is_weaker(self) -> bool:
        """Whether there is none although one was wanted."""
        return self.kind is SandboxKind.NONE and bool(self.note)


def choose(
    spec: RuntimeSpec, *, required: SandboxKind, bubblewrap: Bubblewrap,
    engine: ContainerEngine = NO_ENGINE, as_other_user: bool = False,
) -> SandboxChoice:  # fmt: skip
    """Decide, or raise.

    RuntimeRefusedError: the version asks for less than the settings, or its own injected secrets, require, or
    names no image for its container. SandboxMissingError: what it asks for, or what is required of it, does
    not work here.
    `as_other_user`: agents change their user, which a sandbox does not let them do.
    """
    wanted = spec.sandbox
    may_be = SandboxKind.BUBBLEWRAP if wanted is SandboxKind.AUTO else wanted
    if not may_be.is_at_least(required):
        return _refused(wanted, required)
    if wanted is SandboxKind.CONTAINER and spec.profile.image is None:
        message = "the version runs in a container and names no image; propose it with `image` in its profile"
        raise RuntimeRefusedError(message)
    if wanted is SandboxKind.NONE and spec.profile.inject:  # its agent would run on another credential
        message = (
            "the version has a secret added outside of its sandbox, and runs in none; propose it with the "
            "sandbox bubblewrap, or name the secret in `secrets`"
        )
        raise RuntimeRefusedError(message)
    if wanted is SandboxKind.NONE:
        return SandboxChoice(kind=SandboxKind.NONE, note="")
    kind = SandboxKind.CONTAINER if wanted is SandboxKind.CONTAINER else SandboxKind.BUBBLEWRAP
    here = engine if kind is SandboxKind.CONTAINER else bubblewrap
    why_not, remedy = here.why_not, here.remedy
    if as_other_user:
        why_not = "agents run as another user (agent.group), and no program can change its user in a sandbox"
        remedy = "unset agent.group, or propose a version with the sandbox `none`"
    if not why_not:
        of = f" of {spec.profile.image}" if kind is SandboxKind.CONTAINER else ""
        return SandboxChoice(kind=kind, note=f"sandbox: {kind}{of}, network: {spec.profile.network}")
    if wanted is not SandboxKind.AUTO:
        asks = f"the version asks for {wanted}"
    elif required.is_at_least(SandboxKind.BUBBLEWRAP):
        asks = f"agent.require_sandbox is {required}"
    elif spec.profile.inject:  # without a sandbox the agent would have no key
        asks = "the version has a secret added outside of its sandbox"
    else:
        words = f"sandbox: none, as {why_not}: the agent can reach what its worker can; {remedy}"
        return SandboxChoice(kind=SandboxKind.NONE, note=words)
    message = f"{asks}, and {why_not}; nothing was started: {remedy}"
    raise SandboxMissingError(message)


def _refused(wanted: SandboxKind, required: SandboxKind) -> SandboxChoice:
    message = (
        f"the version runs in the sandbox {wanted}, and agent.require_sandbox is {required}; "
        f"propose a version with the sandbox {required}"
    )
    raise RuntimeRefusedError(message)
