"""What a token may do on Gitea or Forgejo, and which version answers."""

import re
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.rest.access import RestAccess
from routing.forges.rest.path import repository_path
from routing.forges.rest.wire import Items, Text, Wire, WireRights, WireUser
from routing.forges.work_branch import WORK_PREFIX

#: The first Gitea whose API says who put a label on (1.17) and what blocks an issue (1.20).
OLDEST = (1, 20)

# Forgejo says of which Gitea it descends: `9.0.3+gitea-1.22.0`.
_VERSION = re.compile(r"(?:.*\+gitea-|v)?([0-9]{1,4})\.([0-9]{1,4})")


class WireVersion(Wire):
    """The server's version."""

    version: Annotated[str, Field(min_length=1, max_length=100)]


#: A branch as ours are called.
_ANY_WORK = f"{WORK_PREFIX}{'0' * 16}"


class WirePushRule(Wire):
    """Who may push to the branches that a protection names."""

    branch_name: Text = ""  # a name or a pattern; newer versions call it so:
    rule_name: Text = ""
    enable_push: bool = True
    enable_push_whitelist: bool = False
    push_whitelist_usernames: Items[str] = ()
    push_whitelist_teams: Items[str] = ()


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

    def _shut(self, repo: str) -> str:
        """A protection of branches of our name that lets us not push; only administrators see it."""
        try:
            listing = self._client.read_all(f"{repository_path(repo)}/branch_protections")
        except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError):
            return ""
        rules = [self._client.parsed(WirePushRule, item) for item in listing.items]
        for rule in rules:
            pattern = rule.rule_name or rule.branch_name
            if not fnmatchcase(_ANY_WORK, pattern):
                continue
            if not rule.enable_push or (rule.enable_push_whitelist and not self._is_let_in(rule)):
                return (
                    f"the branch protection {pattern} of {repo} does not let us push branches "
                    f"{WORK_PREFIX}JOB; let our user push there, or leave {WORK_PREFIX}* out of it"
                )
        return ""

    def _is_let_in(self, rule: "WirePushRule") -> bool:
        """Whether we are named; of whom a team consists is not looked at."""
        own = self._client.parsed(WireUser, self._client.get("/user")).login.casefold()
        named = {name.casefold() for name in rule.push_whitelist_usernames}
        return own in named or bool(rule.push_whitelist_teams)

    def _knows_people(self, rights: WireRights | None) -> bool:
        """Gitea lets only administrators ask what a collaborator may do."""
        return rights is not None and rights.admin

    def _lacks(self, rights: WireRights | None) -> list[str]:
        """Without that right nobody's permission is known, and no work is dispatched."""
        if self._knows_people(rights):
            return []
        return ["nobody's permission can be asked: make the user an administrator of the repository"]
