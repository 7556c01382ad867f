"""What `coalmine doctor` finds about accounts: those that are closed, and versions that none serves."""

from collections.abc import Iterator

from console.doctor.backlog import MOST_NAMED
from console.doctor.findings import ok, warning
from routing.accounts.breaker import version_of
from routing.accounts.closed_account import closed_accounts
from routing.errors import CorruptRecordError, NotFoundError
from routing.printable import printable
from routing.store.redis.health import HealthFinding
from routing.templates.version import Version
from tasks.composition.composition import Coalmine


def accounts(coalmine: Coalmine) -> HealthFinding:
    """Which accounts are closed, why, and for how long; how many jobs wait; what no account serves."""
    held = coalmine.job_store.occupancy().limited
    unserved = list(_unserved(coalmine))
    if unserved:
        message = f"no account of these settings serves {', '.join(unserved[:MOST_NAMED])}; {held} jobs wait"
        remedy = "name one in a table [[account]] for its model, or propose another version"
        return warning("accounts", printable(message), remedy)
    breakers = [each for each in coalmine.breakers.all() if not (each.is_open and version_of(each.account))]
    closed = closed_accounts(breakers, coalmine.now())
    if not closed:
        return ok("accounts", f"{len(breakers)} were used, and all are open; {held} jobs wait for one")
    said = [f"{each.name}: {each.why}; tried again {each.countdown}" for each in closed[:MOST_NAMED]]
    first = closed[0]
    remedy = "wait; one job tries it then"
    if first.needs_person:
        remedy = f"look at it ({first.words}), then `coalmine account reopen {first.account}`"
    if version_of(first.account):
        remedy = (
            f"its agents said: {first.words}; repair that, then `coalmine resume`; or name another agent, "
            "and the jobs go to that version"
        )
    return warning("accounts", f"{'; '.join(said)}; {held} jobs wait", remedy)


def _unserved(coalmine: Coalmine) -> Iterator[str]:
    """Champions for which the settings name no account; one that cannot be read is left out."""
    for name in coalmine.templates.names():
        try:
            version = coalmine.templates.champion(name)
        except (CorruptRecordError, NotFoundError):
            continue
        if not coalmine.pools.candidates(version.snapshot):
            yield _asked(version)


def _asked(version: Version) -> str:
    named = version.snapshot.accounts
    asked = [f"runtime {version.snapshot.runtime}"]
    asked += [f"accounts {', '.join(named)}"] if named else []
    asked += [f"model {version.snapshot.model}"] if version.snapshot.model else []
    return f"{version.id} ({'; '.join(asked)})"
