"""One look at what CI says of a job's commit: the forge gathers, `read_ci` decides, and a finding is named.

Where CI is ours to run and nobody has judged the commit, a run is requested; its verdict comes at a later
look.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from routing.forges.commit_status import CiReading, CiReason, CiVerdict, read_ci
from routing.forges.errors import ForgeError, ForgeTokenError, ForgeUnreachableError
from routing.forges.site import ForgeSite
from routing.jobs.job import Job
from tasks.issues.site import place_of
from tasks.issues.watch import Finding

_log = structlog.get_logger(__name__)

#: What is found where the reason says more than the verdict.
_BY_REASON = {
    CiReason.PEOPLE: Finding.PEOPLE,
    CiReason.APPROVAL: Finding.APPROVAL,
    CiReason.KEPT_AWAY: Finding.KEPT_AWAY,
    CiReason.NOTHING: Finding.NOTHING,
}


#: What is known of CI where it was not asked, or its forge did not answer.
_NOT_READ = CiReading(verdict=CiVerdict.UNKNOWN, reason=CiReason.SILENT)


@dataclass(frozen=True, kw_only=True, slots=True)
class CiSeen:
    """What a look at CI found."""

    finding: Finding
    reading: CiReading = _NOT_READ
    said: str = ""  # the words of a forge that refused something


@dataclass(frozen=True, kw_only=True, slots=True)
class CiLook:
    """Looks at commits of jobs that wait. It keeps nothing, so a check that is run again is seen."""

    run_ci: Callable[[str], None]  # has the local CI look at a commit, if it has not yet

    def at(self, site: ForgeSite, job: Job, *, waited_seconds: float) -> CiSeen:
        """What CI says of the pushed commit, so many seconds after its push."""
        commit = job.result.commit
        try:
            said = site.forge.statuses(place_of(job)[1], commit)
        except ForgeTokenError as error:
            return CiSeen(finding=Finding.TOKEN_REFUSED, said=str(error))
        except ForgeError as error:
            away = isinstance(error, ForgeUnreachableError)
            event = "forge.unreachable" if away else "statuses.not_read"
            _log.warning(event, commit=commit, reason=str(error))
            return CiSeen(finding=Finding.UNREACHABLE)
        reading = read_ci(said, site.config.ci_rules, waited_seconds=waited_seconds)
        if reading.verdict is CiVerdict.UNKNOWN and site.run_ci is not None:
            self.run_ci(commit)
        finding = _BY_REASON.get(reading.reason, Finding(reading.verdict.value))
        if finding is Finding.PEOPLE and not site.config.merges_green:
            finding = Finding.GREEN  # people merge, and see to what waits for them
        return CiSeen(finding=finding, reading=reading)
