"""Where git finds a repository of a forge whose API we know, and who we are there.

The token of the API serves git as well. It is kept beside the address, never in it, so that no log of git
shows it. Git follows no redirect, so a repository that was renamed or moved is asked about by the API first,
which leads from its former name to it; and by its id, once another repository has that name.
"""

import threading
from collections.abc import Callable

import structlog

from routing.errors import CoalmineError, InvalidInputError
from routing.forges.config import RemoteConfig
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeReplacedError,
    ForgeUnreachableError,
)
from routing.forges.rest.path import repository_name
from routing.forges.rest.wire import WireRepository
from routing.git.remote import Credential, Remote, without_password
from routing.http.address import ApiAddress
from routing.http.connection import IdBoard
from routing.printable import printable

_log = structlog.get_logger(__name__)

#: A user's name for tokens that name their user themselves.
ANY_USER = "x-access-token"

#: Seconds for which a name is believed.
KNOWN_SECONDS = 60.0

#: Seconds after a question without a good answer in which it is not asked again.
SILENT_SECONDS = 5.0


class RepositoryNames:
    """What the repositories of one forge are called by now. Safe to share between threads.

    A served repository is the one that had its name when it was first seen, known by its id: where another
    has taken the name, the forge is asked by the id. `ids` keeps those; None: names alone count.
    """

    def __init__(
        self, config: RemoteConfig, *, by_name: Callable[[str], WireRepository],
        by_id: Callable[[int], WireRepository], monotonic: Callable[[], float], ids: IdBoard | None = None,
    ) -> None:  # fmt: skip
        self._forge = config.name
        self._server = server_of(config) if ids is not None else ""
        self._served = config.served
        self._by_name = by_name  # asks the API, which leads on from a former name
        self._by_id = by_id
        self._monotonic = monotonic
        self._ids = ids
        self._known: dict[str, tuple[WireRepository, float]] = {}  # by the name asked for, with its time
        self._silent: dict[str, tuple[ForgeError, float]] = {}  # what it said instead, with its time
        self._asking: dict[str, threading.Lock] = {}

    def now(self, repo: str) -> str:
        """The name of now, for git; where the forge does not say, the last known, or the one asked for.

        A served one that could not be known from another one raises what `found` does.
        """
        try:
            return _as_set(repo, self.found(repo))
        except ForgeError as error:
            if self._identifies(repo) and not isinstance(error, ForgeGoneError):
                raise
            _log.info("repository.name_not_known", repository=repo, reason=str(error))
        known, _ = self._known.get(repo, (None, 0.0))
        return repo if known is None else _as_set(repo, known)  # git finds out by itself what is the matter

    def called(self, repo: str) -> str:
        """The name of now of a served repository, for the API; raises what `found` does."""
        return _as_set(repo, self.found(repo)) if self._identifies(repo) else repo

    def number_of(self, repo: str) -> int:
        """The id of a served repository, or what `found` raises; 0 where the name alone counts."""
        return self.found(repo).id if self._identifies(repo) else 0

    def found(self, repo: str) -> WireRepository:
        """The repository as it was within the last minute; asked at most once in some seconds.

        ForgeReplacedError as for `now`, and what the forge's answer means.
        """
        known, at = self._known.get(repo, (None, 0.0))
        if known is not None and self._monotonic() - at <= KNOWN_SECONDS:
            return known
        with self._asking.setdefault(repo, threading.Lock()):
            return self._found(repo)

    def _found(self, repo: str) -> WireRepository:
        known, at = self._known.get(repo, (None, 0.0))  # another thread may have asked meanwhile
        if known is not None and self._monotonic() - at <= KNOWN_SECONDS:
            return known
        error, failed_at = self._silent.get(repo, (None, 0.0))
        if error is not None and self._monotonic() - failed_at <= SILENT_SECONDS:
            raise error.with_traceback(None)
        try:
            found = self._asked(repo)
            repository_name(found.full_name, nested=True)
        except ForgeError as failed:
            self._silent[repo] = (failed, self._monotonic())
            raise
        self._known[repo] = (found, self._monotonic())
        return found

    def _identifies(self, repo: str) -> bool:
        """Whether the repository is known by its id."""
        return self._ids is not None and self._served.spelled(repo) is not None

    def _asked(self, repo: str) -> WireRepository:
        """Ask by the name, and by the id where the name leads nowhere, or to another repository."""
        kept = self._kept(repo)
        try:
            there = self._by_name(repo)
        except ForgeGoneError as gone:
            if kept is None:
                raise
            try:
                return self._by_its_id(repo, kept)
            except ForgeReplacedError:
                raise gone from None
        if kept is None:
            kept = self._kept(repo, first=there.id)
        return there if kept in {None, there.id} or not there.id else self._by_its_id(repo, kept, there.id)

    def _kept(self, repo: str, *, first: int = 0) -> int | None:
        """The id that is kept, `first` from now on if none is; None for none.

        Where it is kept nobody may answer: then nothing is known of the repository.
        """
        if self._ids is None or not self._identifies(repo):
            return None
        name = repo.casefold()
        try:
            if first:
                return self._ids.keep(self._forge, self._server, name, first)
            return self._ids.kept(self._forge, self._server, name)
        except CoalmineError as error:
            message = f"which repository {repo} of {self._forge} is meant was not found out: {error}"
            raise ForgeUnreachableError(message) from error

    def _by_its_id(self, repo: str, kept: int, other: int = 0) -> WireRepository:
        """The repository under the name that it has now, or ForgeReplacedError.

        It is followed neither to where the settings exclude it nor to a name that is served itself.
        """
        try:
            found = self._by_id(kept)
        except ForgeGoneError:
            raise self._replaced(repo, kept, other, "is gone, or the token may not see it") from None
        name, served = found.full_name, self._served
        is_back = name.casefold() == repo.casefold()
        if not is_back and (served.excludes(name) or served.spelled(name) is not None):
            what = f"is {printable(name)} now, which the settings exclude, or serve by that name"
            raise self._replaced(repo, kept, other, what)
        return found

    def _replaced(self, repo: str, kept: int, other: int, what: str) -> ForgeReplacedError:
        place = f"{self._forge}:{repo}"
        return ForgeReplacedError(
            f"{place} is another repository (id {other}) than the one that was served (id {kept}), "
            f"which {what}; nothing is done there; if the other one is meant, say so with "
            f"`coalmine issue accept {place}`, else correct its name in the settings"
        )


def server_of(config: RemoteConfig) -> str:
    """Under which address the ids of a forge's repositories are kept."""
    return ApiAddress.of(config.address).base


def _as_set(repo: str, found: WireRepository) -> str:
    """Its name, spelled as it was asked for where only that is different."""
    return repo if found.full_name.casefold() == repo.casefold() else found.full_name


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
