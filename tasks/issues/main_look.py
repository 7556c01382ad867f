"""The main branch before work is begun: on a red one an agent is paid for what cannot become green.

The forge is asked at most once an interval for each repository, however many processes dispatch, and only
when an issue there is about to be begun.
"""

from dataclasses import dataclass

import structlog

from routing.forges.commit_status import CiReason, CiVerdict, read_ci
from routing.forges.errors import ForgeError
from routing.forges.site import ForgeSite
from routing.store.fleet.main_store import MainStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class MainLooks:
    """Looks at what CI says of main branches. Where CI is ours to run, `coalmine up` does that first."""

    store: MainStore

    def red(self, site: ForgeSite, repo: str) -> str:
        """Why the main branch is red; "" when it is not, or when that is not known.

        Without a verdict (CI has not spoken, has nothing to say, or the forge does not answer) nothing new is
        known: what may have repaired a red one is yet to be judged.
        """
        config, name = site.config, site.full_name(repo)
        if site.run_ci is not None or not config.has_ci or not config.wait_for_green_main:
            return ""
        last = self.store.last(name)
        if last is not None and self.store.now() < last.looked_at + config.poll_interval_seconds:
            return last.red
        return self._look(site, repo, name)

    def _look(self, site: ForgeSite, repo: str, name: str) -> str:
        """Ask the forge, and note its answer."""
        try:
            tip = site.forge.newest(repo, None)
            reading = read_ci(site.forge.statuses(repo, tip.commit, base=tip), site.config.ci_rules)
        except ForgeError as error:
            _log.warning("main.not_read", repository=name, reason=str(error))
            return self.store.silent(name)
        if reading.verdict is CiVerdict.RED and reading.reason is CiReason.FAILED:
            return self.store.red(name, tip.commit, reason=f"{reading} at {tip.branch} {tip.commit[:12]}")
        if reading.verdict is CiVerdict.GREEN:
            return self.store.green(name, tip.commit)
        return self.store.silent(name, tip.commit)
