"""What a token may do on GitHub, and which version of its API answers."""

from routing.forges.errors import (
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.github.protection import keeps_out
from routing.forges.rest.access import RestAccess
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Text, Wire, WireRepository, WireRights
from routing.forges.work_branch import WORK_PREFIX
from routing.printable import printable

#: The version of the API that we speak: https://docs.github.com/rest/about-the-rest-api/api-versions
API_VERSION = "2022-11-28"


#: A branch as ours are called.
_ANY_WORK = f"{WORK_PREFIX}{'0' * 16}"

#: Types of rules that keep pushes out, and from what.
_KEEPS_OUT = {"creation": "make", "update": "change"}


class WireBranchRule(Wire):
    """A rule that holds for a branch, and the ruleset that it is of."""

    type: Text = ""
    ruleset_id: int | None = None


class WireRuleset(Wire):
    """What a ruleset says of us: `always`, `pull_requests_only` or `never`; "" where it does not say."""

    current_user_can_bypass: Text = ""


class GitHubAccess(RestAccess):
    """What is GitHub's own way."""

    def _of_user(self, owner: str) -> list[WireRepository]:
        """A user's own listing leaves out private ones, which the token may see all the same."""
        public = super()._of_user(owner)
        known, prefix = {one.full_name for one in public}, f"{owner}/".casefold()
        given = (one for one in self._given() if one.full_name.casefold().startswith(prefix))
        return [*public, *(one for one in given if one.full_name not in known)]

    def _given(self) -> list[WireRepository]:
        """The repositories that the token was given; an App's are those of its installation."""
        try:
            listing = self._client.read_all("/user/repos", {"affiliation": "owner,collaborator"})
        except (ForgeRefusedError, ForgeGoneError):
            listing = self._client.read_all("/installation/repositories", under="repositories")
        return self._client.parsed_all(WireRepository, listing)

    def _version(self) -> str:
        """Older Enterprise Servers have no versions, and do not say so either: they answer 404."""
        try:
            known = self._client.get("/versions")
        except ForgeGoneError:
            return "a GitHub Enterprise Server that tells no versions of its API"
        if not isinstance(known, list):
            message = f"GitHub answered its versions with {type(known).__name__}, not with a list"
            raise ForgeUnreachableError(message)
        if API_VERSION in known:
            return f"GitHub's API of {API_VERSION}"
        return f"GitHub's API of {API_VERSION} is not spoken there any more: update Coalmine"

    def _shut(self, repo: str) -> str:
        """A ruleset, or a classic protection, that lets nobody make or change branches of our name.

        Unless we may bypass it. Rules are shown for a branch that is yet to be made, too. Those that are not
        shown say nothing.
        """
        return self._shut_by_ruleset(repo) or self._shut_by_protection(repo)

    def _shut_by_protection(self, repo: str) -> str:
        try:
            pattern = keeps_out(self._client, repo, _ANY_WORK)
        except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError):
            return ""
        if not pattern:
            return ""
        return (
            f"the branch protection {printable(pattern)} of {repo} does not let us push branches "
            f"{WORK_PREFIX}JOB; let our user push there, or leave {WORK_PREFIX}* out of it"
        )

    def _shut_by_ruleset(self, repo: str) -> str:
        path = repository_path(repo)
        try:
            listing = self._client.read_all(f"{path}/rules/branches/{path_segment(_ANY_WORK)}")
            rules = [self._client.parsed(WireBranchRule, item) for item in listing.items]
            shut = [rule for rule in rules if rule.type in _KEEPS_OUT and self._holds(path, rule)]
        except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError):
            return ""
        if not shut:
            return ""
        what = " and ".join(sorted({_KEEPS_OUT[rule.type] for rule in shut}))
        return (
            f"a ruleset of {repo} does not let us {what} branches {WORK_PREFIX}JOB; let our user bypass it, "
            f"or leave {WORK_PREFIX}* out of it"
        )

    def _holds(self, path: str, rule: "WireBranchRule") -> bool:
        """Whether a rule holds for us: its ruleset says who may bypass it."""
        if rule.ruleset_id is None:
            return False
        ruleset = self._client.get(f"{path}/rulesets/{rule.ruleset_id}", {"includes_parents": "true"})
        return self._client.parsed(WireRuleset, ruleset).current_user_can_bypass == "never"

    def _lacks(self, rights: WireRights | None) -> list[str]:
        """GitHub shows the user's rights; a fine-grained token may have been given fewer."""
        note = "a fine-grained token may have fewer rights than its user: see docs/forges.md"
        return [note] if rights is not None and rights.push else []
