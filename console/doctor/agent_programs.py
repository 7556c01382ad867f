"""What `coalmine doctor` finds about the programs of champions, as they are on this machine."""

import os
from collections.abc import Mapping

from console.doctor.findings import ok, warning
from routing.errors import CoalmineError
from routing.store.redis.health import HealthFinding
from tasks.agents.runtimes.readiness import Ask, ProgramReadiness, readiness_of
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.composition.composition import Coalmine


def agent_programs(
    coalmine: Coalmine, environment: Mapping[str, str] | None = None, ask: Ask | None = None
) -> HealthFinding:
    """Whether they are installed here and logged in; the first that is not is the finding.

    That is a warning: this command may run where no worker does. Programs that are given by a shell line are
    not looked at.
    """
    given = os.environ if environment is None else environment
    titles = set()
    for name in coalmine.templates.names():
        spec = RuntimeSpec.of(coalmine.templates.champion(name).snapshot)
        if not all(given.get(secret) for secret in spec.secrets):
            continue  # that is a finding of its own
        ready = _readiness(spec, given, ask)
        if ready is not None and ready.lack:
            message = f"the champion of {name} cannot be run on this machine: {ready.lack}"
            return warning("programs", message, ready.remedy)
        titles |= {ready.title} if ready is not None else set()
    if not titles:
        return ok("programs", "no champion names a program that can be looked for")
    return ok("programs", f"installed and logged in: {', '.join(sorted(titles))}")


def _readiness(spec: RuntimeSpec, environment: Mapping[str, str], ask: Ask | None) -> ProgramReadiness | None:
    """What is found about a version; one that no worker can run is a lack, too."""
    try:
        return readiness_of(runtime_for(spec), spec, environment, ask)
    except CoalmineError as error:
        return ProgramReadiness(
            title=spec.runtime, lack=str(error), remedy="propose a version that can be run"
        )
