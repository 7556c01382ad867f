"""What one turn is shown in its sandbox.

The work tree, writable, with the objects that its repository borrows, read-only; an empty home and temporary
folder; the runtime's folder of sessions; the prompt, the mail command and its socket; and the programs that
the turn needs. Everything else of this machine is not there: no store, no other tree, no setting of ours.
"""

import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import structlog

from routing.process.command import SpawnError
from routing.sandbox.bubblewrap_here import Bubblewrap, find_bubblewrap
from routing.sandbox.containers.container_sandbox import ContainerSandbox
from routing.sandbox.containers.engine import ContainerEngine, find_engine
from routing.sandbox.etc_copies import EtcCopies
from routing.sandbox.machine_files import named_files
from routing.sandbox.mount import Confinement, Mount, MountKind, ProcessLimits
from routing.sandbox.profile import NetworkMode, SandboxKind, SandboxProfile
from routing.sandbox.sandbox import TEMPORARY, BubblewrapSandbox, Sandbox
from routing.sandbox.socket_maker import SocketMaker
from tasks.agents.environment import injected_values, secret_values
from tasks.agents.proxy.hosts import HostRules, is_of_model, variables_of
from tasks.agents.proxy.network_proxy import NetworkGate, NetworkProxy
from tasks.agents.redaction import Redactor
from tasks.agents.repository.place import etc_copies_of
from tasks.agents.runtimes.registry import PROGRAMS, runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.agents.sandbox.choice import NO_ENGINE, SandboxChoice, SandboxMissingError, choose
from tasks.agents.sandbox.turn_folders import TurnFolders

_log = structlog.get_logger(__name__)

#: Where the home of an agent is that has none in its environment.
_HOME = "/home/agent"


#: The names of a loopback.
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxTurn:
    """A turn that is to be confined."""

    work_dir: Path
    job_id: str
    fence: int  # of the job's lease: two turns never share a folder
    agent: str  # the name of an agent that several jobs share, "" for the job's own
    spec: RuntimeSpec
    prompt_file: Path
    tree: Path  # the work tree, or the job's folder without a repository
    borrowed: tuple[Path, ...]  # folders of objects that its repository reads
    environment: Mapping[str, str]  # the agent's
    worker: Mapping[str, str]  # the worker's own, with the secrets that are added for agents


class AgentSandboxes:
    """Confines agents on this host. One a worker process; it looks for bubblewrap once, when first needed."""

    def __init__(
        self, *, required: SandboxKind = SandboxKind.NONE, as_other_user: bool = False,
        limits: ProcessLimits | None = None, engine_limits: ProcessLimits | None = None, engine: str = "",
        say: Callable[[str, str, str], object] = lambda *_: None, maker: SocketMaker | None = None,
    ) -> None:  # fmt: skip
        self._required = required
        self._as_other_user = as_other_user
        self._say = say  # adds to a job's log: its id, the kind of the entry, the words
        self._limits = limits or ProcessLimits()
        self._engine_limits = engine_limits or ProcessLimits()  # of containers: the engine keeps them
        self._proxy = NetworkProxy()
        self._maker = maker or SocketMaker()  # of what listens in their networks
        self._etc = EtcCopies()
        self._engine = engine  # the program of the container engine, "": the usual ones
        self._images: set[str] = set()  # that were found on this machine

    @cached_property
    def bubblewrap(self) -> Bubblewrap:
        """As it is here."""
        return find_bubblewrap()

    @cached_property
    def engine(self) -> ContainerEngine:
        """The container engine, as it is here."""
        return find_engine(self._engine)

    def choose(self, spec: RuntimeSpec) -> SandboxChoice:
        """In which sandbox a version runs here; raises what `choice.choose` raises."""
        looks = spec.sandbox in {SandboxKind.AUTO, SandboxKind.BUBBLEWRAP}
        in_container = spec.sandbox is SandboxKind.CONTAINER
        return choose(
            spec, required=self._required, bubblewrap=self.bubblewrap if looks else Bubblewrap(),
            engine=self.engine if in_container else NO_ENGINE, as_other_user=self._as_other_user,
        )  # fmt: skip

    def announce(self, spec: RuntimeSpec, job_id: str) -> None:
        """See that the version may run here, and say in which sandbox; raises what `choose` raises."""
        choice = self.choose(spec)
        if choice.kind is SandboxKind.CONTAINER:
            self._find_image(spec.profile.image or "")
        if choice.note:
            self._say(job_id, "sandbox", choice.note)
        if choice.is_weaker:
            _log.warning("sandbox.none", reason=choice.note)

    def _find_image(self, image: str) -> None:
        """Raise SandboxMissingError when an image is not on this machine: no turn waits for a transfer."""
        if image in self._images:
            return
        if lacks := self.engine.lacks(image):
            fetch = f"{Path(self.engine.program).name} pull {image}"
            message = f"{lacks}; nothing was started: fetch it with `{fetch}`"
            raise SandboxMissingError(message)
        self._images.add(image)

    def sandbox(self, turn: SandboxTurn) -> Sandbox | None:
        """Make the turn's sandbox, with its folders; None for a version that runs without."""
        kind = self.choose(turn.spec).kind
        if kind is SandboxKind.NONE:
            return None
        profile, home = turn.spec.profile, turn.environment.get("HOME") or _HOME
        fleets = self._engine_limits if kind is SandboxKind.CONTAINER else self._limits
        folders = TurnFolders.make(turn.work_dir, job_id=turn.job_id, fence=turn.fence, agent=turn.agent)
        gate = self._gate(turn)
        environment = {"HOME": home, **(_network_variables(profile, gate.ports) if gate else {})}
        mounts = [
            Mount(kind=MountKind.WRITE, at=home, source=str(folders.home)),
            Mount(kind=MountKind.WRITE, at=TEMPORARY, source=str(folders.temporary)),
            Mount(kind=MountKind.WRITE, at="/var/tmp", source=str(folders.temporary)),  # noqa: S108
            Mount.same(MountKind.WRITE, turn.tree),
            *(Mount.same(MountKind.READ, folder) for folder in turn.borrowed if folder.is_dir()),
            *_of_profile(profile.read, MountKind.READ, home),
            *_of_profile(profile.write, MountKind.WRITE, home),
        ]
        if (files := runtime_for(turn.spec).session_files) is not None:
            given = needs_login(turn.spec)
            folders.give(files, home=Path(home), environment=turn.environment, with_login=given)
            place = str(files.place(Path(home), turn.environment))
            mounts.append(Mount(kind=MountKind.WRITE, at=place, source=str(folders.sessions)))
            if files.variable:
                environment[files.variable] = place
        confined = Confinement(
            mounts=tuple(mounts),
            network=profile.network,
            home=home,
            limits=fleets.with_profile(profile),
            may_nest=profile.namespaces,
            environment=environment,
            written=(turn.tree, folders.home, folders.temporary, folders.sessions),
        ).showing([turn.prompt_file])
        if kind is SandboxKind.CONTAINER:
            return ContainerSandbox(
                engine=self.engine, image=profile.image or "", name=f"coalmine-{secrets.token_hex(8)}",
                confined=confined, gate=gate, worker=turn.worker,
                has_path="PATH" in turn.spec.environment,
            )  # fmt: skip
        programs = (sys.executable, *named_files(turn.spec.command or ""))
        return BubblewrapSandbox(
            bubblewrap=self.bubblewrap, confined=confined, gate=gate, maker=self._maker, programs=programs,
            etc=self._etc.copy_in(etc_copies_of(turn.work_dir)),
        )  # fmt: skip

    def _gate(self, turn: SandboxTurn) -> NetworkGate | None:
        """The turn's way out; None where its network is the machine's, or none."""
        profile = turn.spec.profile
        if profile.network is not NetworkMode.ALLOW_LIST:
            return None
        added = injected_values(turn.worker, turn.spec)
        redact = Redactor({**added, **secret_values(turn.worker, turn.spec)})
        return self._proxy.gate(
            HostRules.of(profile), injections=profile.inject, secrets=added,
            say=lambda words: self._say(turn.job_id, "network", redact(words)),
        )  # fmt: skip


def _network_variables(profile: SandboxProfile, ports: Sequence[int]) -> dict[str, str]:
    """How programs find the proxy, and the addresses at which a secret is added for them."""
    proxy = f"http://127.0.0.1:{ports[0]}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    # A server of the machine that the version may reach is asked by the proxy: here that name is the sandbox.
    own = [name for name in _LOOPBACK if not any(_names(host, name) for host in profile.allow)]
    near = dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(own))
    return {
        **dict.fromkeys(names, proxy),
        **near,
        "NODE_USE_ENV_PROXY": "1",
        **variables_of(profile.inject, ports[1:]),
    }


def _names(pattern: str, host: str) -> bool:
    """Whether a pattern of hosts is about this one, with a port or without."""
    return pattern in {host, f"[{host}]"} or pattern.startswith((f"{host}:", f"[{host}]:"))


def needs_login(spec: RuntimeSpec) -> bool:
    """Whether the program's own login is the agent's way to a model: a version that names a key has its own.

    Secrets that are for something else, such as a package index, change nothing, injected or not.
    """
    program = PROGRAMS.get(spec.runtime)
    keys = program.keys if program is not None else ()
    named = {*spec.secrets, *(one.secret for one in spec.profile.inject)}
    return not named & set(keys) and not any(is_of_model(one) for one in spec.profile.inject)


def _of_profile(paths: Iterable[str], kind: MountKind, home: str) -> list[Mount]:
    """The paths of a profile; SpawnError for one that this host does not have."""
    mounts = []
    for path in paths:
        place = Path(home, path[2:]) if path.startswith("~/") else Path(path)
        if not place.exists():
            message = (
                f"the version's sandbox shows {place}, which this host does not have, so nothing was "
                "started; make it, or propose a version without it"
            )
            raise SpawnError(message) from FileNotFoundError(str(place))
        mounts.append(Mount(kind=kind, at=str(place), source=str(place.resolve())))
    return mounts
