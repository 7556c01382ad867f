"""What doctor finds about sandboxes: whether they work and hold here, and which champions run without."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from console.doctor.findings import ok, problem, warning
from routing.process.first_process import SandboxNetworkError
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.containers.engine import find_engine
from routing.sandbox.profile import SandboxKind
from routing.store.redis.health import HealthFinding
from tasks.agents.repository.mirror_packs import mirrors_with_work_of_jobs
from tasks.agents.sandbox.probes import probe
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes
from tasks.composition.composition import Coalmine
from tasks.settings.settings import Settings

#: What to do where no sandbox has a network with an allow-list.
_ENTER = (
    "let this user enter the namespaces that it makes (setns; see the rules of AppArmor, SELinux, or of the "
    "container that this runs in), or propose versions whose network is `none` or `full`"
)


def sandboxes(bubblewrap: Bubblewrap, settings: Settings) -> list[HealthFinding]:
    """All findings about this machine."""
    return [
        sandbox_here(bubblewrap, settings),
        *sandbox_probes(bubblewrap, settings),
        turn_limits(settings),
        *mirrors(settings.agent.work_dir),
    ]


def sandbox_here(bubblewrap: Bubblewrap, settings: Settings) -> HealthFinding:
    """Whether this machine can confine agents. It is a problem when the settings require that."""
    if bubblewrap.works:
        calls = "" if bubblewrap.filters.alone else "; system calls are not filtered: install libseccomp"
        return ok("sandbox", f"agents can be confined with bubblewrap ({bubblewrap.program}){calls}")
    required = settings.agent.require_sandbox.is_at_least(SandboxKind.AUTO)
    found = problem if required else warning
    result = (
        "no agent runs here"
        if required
        else "agents reach what their worker can, unless a version asks for more"
    )
    return found("sandbox", f"{bubblewrap.why_not}: {result}", bubblewrap.remedy)


def turn_limits(settings: Settings) -> HealthFinding:
    """What one turn may take of this machine; a warning where it may take all of its memory or processes."""
    limits = settings.agent.resources
    lacking = [
        name
        for name, value in (("memory_megabytes", limits.memory_bytes), ("processes", limits.processes))
        if value is None
    ]
    if limits.memory_bytes is None or limits.processes is None:
        message = f"one agent can take all of this machine: no limit by agent.{' or agent.'.join(lacking)}"
        return warning("turn-limits", message, "set it above 0, or leave it out for the usual limit")
    disk = "" if limits.disk_bytes else "; its files have no limit until agent.disk_megabytes is set"
    memory = f"{limits.memory_bytes // 1_000_000:,} MB of memory"
    return ok("turn-limits", f"a turn may take {memory} and {limits.processes:,} processes{disk}")


def mirrors(work_dir: Path) -> list[HealthFinding]:
    """Whether repositories of this machine show agents what other jobs pushed; nothing where none does."""
    found = [str(mirror) for mirror in mirrors_with_work_of_jobs(work_dir)]
    if not found:
        return []
    message = f"made by an earlier version, with work of jobs that all agents can read: {', '.join(found)}"
    remedy = "remove each while no work tree is beside its folder; the next job fetches a new one"
    return [warning("mirrors", message, remedy)]


def champions_containers(coalmine: Coalmine) -> list[HealthFinding]:
    """Whether the containers of champions can be run here; nothing where there are none."""
    champions = [coalmine.templates.champion(name) for name in coalmine.templates.names()]
    images = {
        one.id: (one.snapshot.profile and one.snapshot.profile.image) or ""
        for one in champions
        if one.snapshot.sandbox is SandboxKind.CONTAINER
    }
    return containers(images, coalmine.settings)


def containers(images: Mapping[str, str], settings: Settings) -> list[HealthFinding]:
    """Whether this machine can run the containers of versions, which have these images."""
    if not images:
        return []
    engine = find_engine(settings.agent.container or "")
    if not engine.works:
        message = f"{engine.why_not}: {', '.join(sorted(images))} cannot run here"
        return [problem("containers", message, engine.remedy)]
    lacking = {version: said for version, image in sorted(images.items()) if (said := engine.lacks(image))}
    if lacking:
        message = "; ".join(f"{version} cannot run here: {said}" for version, said in lacking.items())
        return [problem("containers", message, f"fetch them with {engine.program} pull")]
    return [ok("containers", f"{len(images)} champions can run in containers of {engine.program}")]


def unconfined_champions(coalmine: Coalmine) -> HealthFinding:
    """Which champions run without a sandbox, or are not allowed to run by the settings."""
    required = coalmine.settings.agent.require_sandbox
    champions = [coalmine.templates.champion(name) for name in coalmine.templates.names()]
    kinds = {one.id: one.snapshot.sandbox or SandboxKind.NONE for one in champions}
    open_ones = sorted(name for name, kind in kinds.items() if kind is SandboxKind.NONE)
    remedy = "propose a version with --sandbox auto, and try it against the champion"
    if open_ones and required is not SandboxKind.NONE:
        message = (
            f"agent.require_sandbox is {required}, and these champions run in none: {', '.join(open_ones)}"
        )
        return problem("champions-sandbox", message, remedy)
    if open_ones:
        message = f"these champions run without a sandbox: {', '.join(open_ones[:10])}"
        return warning("champions-sandbox", message, remedy)
    return ok("champions-sandbox", f"{len(kinds)} champions run in one, where it works")


def sandbox_probes(
    bubblewrap: Bubblewrap, settings: Settings, sandboxes: AgentSandboxes | None = None
) -> list[HealthFinding]:
    """Attacks from inside a sandbox: which were held. Nothing where there is no sandbox."""
    if not bubblewrap.works:
        return []
    filters = bool(bubblewrap.filters.alone)
    try:
        made = sandboxes or AgentSandboxes()
        done = probe(made, store=_store(settings), environment=os.environ, filters_calls=filters)
    except SandboxNetworkError as error:
        message = f"no agent with an allow-list of hosts starts here: {error}"
        return [problem("sandbox-network", message, _ENTER)]
    if done.fault:
        return [problem("sandbox-probes", done.fault, "see that bubblewrap runs `true` for this user")]
    if done.reached:
        message = f"from inside a sandbox these were reached: {', '.join(done.reached)}"
        remedy = "run no agents that you do not trust here, and report it"
        return [problem("sandbox-probes", message, remedy)]
    return [ok("sandbox-probes", f"out of reach from inside: {', '.join(done.held)}")]


def _store(settings: Settings) -> str | tuple[str, int]:
    """Where the store's server listens: a path, or a host and a port."""
    parts = urlsplit(
        settings.redis_url.get_secret_value() if settings.redis_url else "redis://127.0.0.1:6379"
    )
    if parts.scheme == "unix":
        return parts.path
    return parts.hostname or "127.0.0.1", parts.port or 6379
