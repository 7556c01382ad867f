"""What a token may do on GitHub, and which version of its API answers."""

from routing.forges.errors import ForgeGoneError, ForgeUnreachableError
from routing.forges.rest.access import RestAccess
from routing.forges.rest.wire import WireRights

#: The version of the API that we speak: https://docs.github.com/rest/about-the-rest-api/api-versions
API_VERSION = "2022-11-28"


class GitHubAccess(RestAccess):
    """What is GitHub's own way."""

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

    def _lacks(self, rights: WireRights | None) -> list[str]:
        """GitHub shows the user's rights; a fine-grained token may have been given fewer."""
        note = "a fine-grained token may have fewer rights than its user: see docs/forges.md"
        return [note] if rights is not None and rights.push else []
