"""One look at what CI says of a job's commit: the forge gathers, `read_ci` decides, and a finding is named.

Where CI is ours to run and nobody has judged the commit, a run is requested; its verdict comes at a later
look. What is red is compared with the main branch: where the work began, and as that branch is now.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from routing.base import Base
from routing.forges.commit_status import CiReading, CiReason, CiVerdict, CombinedStatus, read_ci
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeTokenError,
    ForgeUnreachableError,
)
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

    def at(self, site: ForgeSite, job: Job, *, waited_seconds: float, held: bool) -> CiSeen:
        """What CI says of the pushed commit, so many seconds after its push.

        `held`: the main branch was found red in the same way since that push.
        """
        try:
            said, reading = self._read(site, job, job.result.commit, waited_seconds)
            finding = _BY_REASON.get(reading.reason, Finding(reading.verdict.value))
            if finding is Finding.PEOPLE and not site.config.merges_green:
                finding = Finding.GREEN  # people merge, and see to what waits for them
            if finding is Finding.RED and job.base is not None and site.config.wait_for_green_main:
                return self._beside_main(site, job, job.base, said, reading, held=held)
        except ForgeTokenError as error:
            return CiSeen(finding=Finding.TOKEN_REFUSED, said=str(error))
        except ForgeError as error:
            away = isinstance(error, ForgeUnreachableError)
            event = "forge.unreachable" if away else "statuses.not_read"
            _log.warning(event, commit=job.result.commit, reason=str(error))
            return CiSeen(finding=Finding.UNREACHABLE)
        return CiSeen(finding=finding, reading=reading)

    def _read(
        self, site: ForgeSite, job: Job, commit: str, waited_seconds: float = math.inf
    ) -> tuple[CombinedStatus, CiReading]:
        """CI of one commit; a run is requested where that is ours to do."""
        said = site.forge.statuses(place_of(job)[1], commit, base=job.base)
        reading = read_ci(said, site.config.ci_rules, waited_seconds=waited_seconds)
        if reading.verdict is CiVerdict.UNKNOWN and site.run_ci is not None:
            self.run_ci(commit)
        return said, reading

    def _beside_main(
        self, site: ForgeSite, job: Job, base: Base, said: CombinedStatus, reading: CiReading, *, held: bool
    ) -> CiSeen:
        """What red work is when it is compared with the main branch.

        The forge's CI may judge the work as merged into the main branch of that time, so its newest commit is
        looked at too; a CI of ours judges the commit alone.
        """
        ours = site.run_ci is not None
        began, there = self._main(site, job, base.commit)
        if ours and there.verdict in _TO_COME:
            waiting = CiReading(verdict=CiVerdict.PENDING, reason=CiReason.EXPECTED, names=(base.branch,))
            return CiSeen(finding=Finding.PENDING, reading=waiting)
        broken = failed_checks(said, reading)
        alike = there.verdict is CiVerdict.RED and broken <= failed_checks(began, there)
        newest = base if ours and not alike else site.forge.newest(place_of(job)[1], base)
        if newest.commit != base.commit:
            now, there_now = self._main(site, job, newest.commit)
            if there_now.verdict is CiVerdict.RED and broken <= failed_checks(now, there_now):
                return CiSeen(finding=Finding.MAIN_RED, reading=reading)
            if held and there_now.verdict in _TO_COME:  # what may have repaired it is yet to be judged
                return CiSeen(finding=Finding.MAIN_RED, reading=reading)
            if there_now.verdict is CiVerdict.GREEN and (alike or held):
                return CiSeen(finding=Finding.MAIN_REPAIRED, reading=reading)
        return CiSeen(finding=Finding.MAIN_RED if alike else Finding.RED, reading=reading)

    def _main(self, site: ForgeSite, job: Job, commit: str) -> tuple[CombinedStatus, CiReading]:
        """CI of a commit of the main branch; one that is gone says nothing."""
        try:
            return self._read(site, job, commit)
        except (ForgeGoneError, ForgeInvalidError):
            return CombinedStatus(commit=commit), _NOT_READ


#: Verdicts of a CI that is yet to speak.
_TO_COME = frozenset({CiVerdict.PENDING, CiVerdict.UNKNOWN})


def failed_checks(said: CombinedStatus, reading: CiReading) -> frozenset[tuple[str, str]]:
    """The checks that made a commit red, by what they have in common with those of another commit."""
    return frozenset(one.known_as for one in said.failed if one.context in reading.names)
