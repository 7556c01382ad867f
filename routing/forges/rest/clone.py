"""Where git finds a repository of a forge whose API we know, and who we are there.

The token of the API serves git as well. It is kept beside the address, never in it, so that no log of git
shows it. Git follows no redirect, so a repository that was renamed or moved is asked about by the API first,
which leads from its former name to it.
"""

from collections.abc import Callable

import structlog

from routing.errors import InvalidInputError
from routing.forges.config import RemoteConfig
from routing.forges.errors import ForgeError
from routing.forges.rest.path import repository_name
from routing.forges.rest.wire import WireRepository
from routing.git.remote import Credential, Remote, without_password
from routing.http.address import ApiAddress

_log = structlog.get_logger(__name__)

#: A user's name for tokens that name their user themselves.
ANY_USER = "x-access-token"

#: Seconds for which a name is believed.
KNOWN_SECONDS = 60.0


class RepositoryNames:
    """What the repositories of one forge are called by now. Safe to share between threads."""

    def __init__(self, read: Callable[[str], WireRepository], *, monotonic: Callable[[], float]) -> None:
        self._read = read  # asks the API, which leads on from a former name
        self._monotonic = monotonic
        self._known: dict[str, tuple[str, float]] = {}  # by the name that was asked for, with its time

    def now(self, repo: str) -> str:
        """The name of now; the one that was asked for where the forge says nothing, or nothing new."""
        name, at = self._known.get(repo, ("", 0.0))
        if name and self._monotonic() - at <= KNOWN_SECONDS:
            return name
        try:
            name = repository_name(self._read(repo).full_name, nested=True)
        except ForgeError as error:  # git finds out by itself what is the matter
            _log.info("repository.name_not_known", repository=repo, reason=str(error))
            return repo
        if name.casefold() == repo.casefold():
            name = repo  # as it is set
        self._known[repo] = (name, self._monotonic())
        return name


def clone_remote(
    config: RemoteConfig, repo: str, *, user: str, root: Callable[[str], str], nested: bool = False
) -> Remote:
    """Return `owner/name` as git reaches it over HTTPS with the forge's token.

    `root` makes of the API's address what stands before `/owner/name.git`, unless `git_url` is set; it raises
    ValueError for an address that says nothing of git's. That, and an address that the token must not be sent
    to, becomes InvalidInputError; a wrong name raises what `repository_name` does, which takes `nested`.
    """
    name = repository_name(repo, nested=nested)
    try:
        base = config.git_url or root(ApiAddress.of(config.address).base)
        address = f"{ApiAddress.of(base).base}/{name}.git"
    except ValueError as error:
        shown = without_password(config.git_url or config.address)
        message = f"git's address cannot be made from {shown!r}: {error}"
        raise InvalidInputError(message) from None
    return Remote(address=address, credential=Credential(user=user, secret=config.credential_for(repo)))
