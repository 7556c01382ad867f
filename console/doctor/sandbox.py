"""What doctor finds about sandboxes: whether they work on this machine, and which champions run without."""

from console.doctor.findings import ok, problem, warning
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.profile import SandboxKind
from routing.store.redis.health import HealthFinding
from tasks.composition.composition import Coalmine
from tasks.settings.settings import Settings


def sandbox_here(bubblewrap: Bubblewrap, settings: Settings) -> HealthFinding:
    """Whether this machine can confine agents. It is a problem when the settings require that."""
    if bubblewrap.works:
        return ok("sandbox", f"agents can be confined with bubblewrap ({bubblewrap.program})")
    required = settings.agent.require_sandbox.is_at_least(SandboxKind.AUTO)
    found = problem if required else warning
    result = (
        "no agent runs here"
        if required
        else "agents reach what their worker can, unless a version asks for more"
    )
    return found("sandbox", f"{bubblewrap.why_not}: {result}", bubblewrap.remedy)


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
