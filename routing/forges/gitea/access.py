"""What a token may do on Gitea or Forgejo, and which version answers."""

import re
from typing import Annotated

from pydantic import Field

from routing.forges.rest.access import RestAccess
from routing.forges.rest.wire import Wire, WireRights

#: The first Gitea whose API says who put a label on (1.17) and what blocks an issue (1.20).
OLDEST = (1, 20)

# Forgejo says of which Gitea it descends: `9.0.3+gitea-1.22.0`.
_VERSION = re.compile(r"(?:.*\+gitea-|v)?([0-9]{1,4})\.([0-9]{1,4})")


class WireVersion(Wire):
    """The server's version."""

    version: Annotated[str, Field(min_length=1, max_length=100)]


class GiteaAccess(RestAccess):
    """What is Gitea's own way."""

    def _version(self) -> str:
        """Read the version and compare it; an old or unknown one is noted and refused nowhere."""
        version = self._client.parsed(WireVersion, self._client.get("/version")).version
        found = _VERSION.match(version)
        if found is None:
            return f"a Gitea of version {version!r}, which is not known"
        if (int(found[1]), int(found[2])) < OLDEST:
            needed = ".".join(map(str, OLDEST))
            return f"a Gitea of version {version}, older than {needed}: it may not tell who asked for agents"
        return f"a Gitea of version {version}"

    def _knows_people(self, rights: WireRights | None) -> bool:
        """Gitea lets only administrators ask what a collaborator may do."""
        return rights is not None and rights.admin

    def _lacks(self, rights: WireRights | None) -> list[str]:
        """Without that right nobody's permission is known, and no work is dispatched."""
        if self._knows_people(rights):
            return []
        return ["nobody's permission can be asked: make the user an administrator of the repository"]
