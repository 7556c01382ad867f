"""What `coalmine doctor` finds about the programs of champions, as they are on this machine."""

import os
from collections.abc import Mapping

from console.doctor.findings import ok, warning
from routing.errors import CoalmineError
from routing.store.redis.health import HealthFinding
from routing.templates.version import Snapshot
from tasks.agents.accounts.leased_accounts import readiness_on_accounts
from tasks.agents.runtimes.readiness import Ask, ProgramReadiness
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
        snapshot = coalmine.templates.champion(name).snapshot
        if not all(given.get(secret) for secret in snapshot.secrets):
            continue  # that is a finding of its own
        ready = _readiness(coalmine, snapshot, given, ask)
        if ready is not None and ready.lack:
            message = f"the champion of {name} cannot be run on this machine: {ready.lack}"
            return warning("programs", message, ready.remedy)
        titles |= {ready.title} if ready is not None else set()
    if not titles:
        return ok("programs", "no champion names a program that can be looked for")
    return ok("programs", f"installed and logged in: {', '.join(sorted(titles))}")


def _readiness(
    coalmine: Coalmine, snapshot: Snapshot, environment: Mapping[str, str], ask: Ask | None
) -> ProgramReadiness | None:
    """What is found about a version; one that no worker can run is a lack, too."""
    try:
        return readiness_on_accounts(coalmine.pools, snapshot, environment, ask)
    except CoalmineError as error:
        return ProgramReadiness(
            title=snapshot.runtime, lack=str(error), remedy="propose a version that can be run"
        )
