"""Who may write, asked of the forge as seldom as can be: on an open forge anybody may comment."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from routing.forges.errors import ForgeRefusedError
from routing.forges.feedback import is_app_among
from routing.forges.site import ForgeSite

_log = structlog.get_logger(__name__)

#: Seconds for which somebody who may not write is not asked about again.
REFUSED_SECONDS = 3600.0

#: People that are remembered so; those who were asked about longest ago are forgotten first.
MOST_REFUSED = 1000


@dataclass(frozen=True, slots=True)
class Writers:
    """Whose words may reach an agent. Who may is asked at each look, as a person may lose that right.

    Who may not is remembered by this process alone; losing that costs calls.
    """

    now: Callable[[], float]
    _refused: dict[tuple[str, str, str], float] = field(default_factory=dict)  # until when

    def at_one_look(self, site: ForgeSite, repo: str) -> Callable[[str], bool]:
        """Whether an author may write in a repository: the forge is asked once for each in a look."""
        found: dict[str, bool] = {}

        def may_write(author: str) -> bool:
            if author not in found:
                found[author] = self._asked(site, repo, author)
            return found[author]

        return may_write

    def _asked(self, site: ForgeSite, repo: str, author: str) -> bool:
        """Where the forge does not say, they may not, and it is asked again at the next look.

        GitHub does not say what Apps may do: those that the settings name are heard.
        """
        if is_app_among(author, site.config.programs):
            return True
        key, now = (site.name, repo, author), self.now()
        if self._refused.get(key, 0.0) > now:
            return False
        self._refused.pop(key, None)
        try:
            if site.forge.permission(repo, author).can_write:
                return True
        except ForgeRefusedError as error:
            _log.warning("permission.unknown", forge=site.name, repository=repo, reason=str(error))
            return False
        while len(self._refused) >= MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[key] = now + REFUSED_SECONDS
        return False
