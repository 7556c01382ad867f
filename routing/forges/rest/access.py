"""What a token may do in a repository, asked of a forge over HTTP before any work is dispatched.

Only reading calls are made. So the answer is what the forge says of the user's rights, not a proof that a
write will succeed.
"""

from abc import ABC, abstractmethod

from routing.forges.errors import ForgeGoneError, ForgeRefusedError, ForgeReplacedError
from routing.forges.forge import Access, Permission
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import WirePermission, WireRepository, WireRights
from routing.forges.written_text import checked_name
from routing.printable import printable

#: What the forges' words for permissions mean; an unknown word gives no permission.
_PERMISSIONS = {
    "owner": Permission.ADMIN,
    "admin": Permission.ADMIN,
    "maintain": Permission.WRITE,
    "write": Permission.WRITE,
    "triage": Permission.READ,
    "read": Permission.READ,
}


class RestAccess(ABC):
    """The access to the repositories of one forge; each call asks anew."""

    def __init__(self, client: ForgeClient) -> None:
        self._client = client

    def of(self, repo: str) -> Access:
        """Ask for the repository and for its issues; a token that is refused raises ForgeRefusedError.

        A repository that does not exist and one that the token may not see are the same answer (404), by the
        forges' design: not readable. The note says all that is lacking, in words for the operator.
        """
        try:
            repository = self.read(repo)
        except (ForgeGoneError, ForgeReplacedError) as error:
            return Access(readable=False, writable=False, note=str(error))
        try:
            self._look_at_issues(repo)
        except (ForgeGoneError, ForgeRefusedError) as error:
            return Access(readable=False, writable=False, note=f"its issues cannot be read: {error}")
        lacks = [*_lacks(repository), *self._lacks(repository.permissions)]
        if repository.full_name.casefold() != repo.casefold():
            lacks.append(f"it is called {printable(repository.full_name)} now: write that in the settings")
        rights = repository.permissions
        writable = bool(rights and rights.push) and not repository.archived and repository.has_issues
        return Access(
            readable=True,
            writable=writable,
            note="; ".join([*lacks, self._version()]),
            knows_people=self._knows_people(rights),
        )

    def fault_of(self, repo: str) -> str:
        """The first thing that keeps work from being pushed there, with what to do; "" for nothing.

        Only what the forge says plainly: rights that it does not show keep nobody from trying.
        """
        try:
            repository = self.read(repo)
        except (ForgeGoneError, ForgeReplacedError) as error:
            return str(error)
        if repository.archived:
            return f"{repo} is archived, so nothing can be pushed there; take it out of the settings"
        if repository.permissions is not None and repository.permissions.denies_push:
            return f"the user whose token it is may not write in {repo}; give it write access"
        main = checked_name(repository.default_branch)
        try:
            self._client.get(self._branch_path(repo, main))
        except ForgeGoneError:
            return f"{repo} has no commit on its main branch {main}; make a first one there"
        return self._shut(repo)

    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """Those that the token sees and that are not archived; ForgeGoneError for an unknown owner."""
        try:
            listing = self._client.read_all(f"/orgs/{path_segment(owner)}/repos")
            found = self._client.parsed_all(WireRepository, listing)
        except ForgeGoneError:  # a user, and no organisation
            found = self._of_user(owner)
        return tuple(one.full_name for one in found if not one.archived)

    def _of_user(self, owner: str) -> list[WireRepository]:
        """The repositories of a user that the token may see; ForgeGoneError for an unknown one."""
        listing = self._client.read_all(f"/users/{path_segment(owner)}/repos")
        return self._client.parsed_all(WireRepository, listing)

    def permission(self, repo: str, user: str) -> Permission:
        """Ask what the user may do; a user whom the forge does not know may do nothing.

        It decides who may put agents to work, so a word that is not known counts for nothing, and a forge
        that does not answer raises.
        """
        path = repository_path(repo)
        if not user.strip():
            return Permission.NONE
        try:
            said = self._client.get(f"{path}/collaborators/{path_segment(user)}/permission")
        except ForgeGoneError:
            self._client.get(path)  # the repository itself may be gone
            return Permission.NONE
        return _PERMISSIONS.get(self._client.parsed(WirePermission, said).permission, Permission.NONE)

    def read(self, repo: str) -> WireRepository:
        """The repository as it is now, or ForgeGoneError."""
        return self._client.parsed(WireRepository, self._client.get(repository_path(repo)))

    def by_id(self, id_: int) -> WireRepository:
        """The repository that has the id, whatever it is called now, or ForgeGoneError."""
        return self._client.parsed(WireRepository, self._client.get(f"/repositories/{int(id_)}"))

    def _look_at_issues(self, repo: str) -> None:
        """Raise what a listing of its issues raises."""
        self._client.get(f"{repository_path(repo)}/issues", {"state": "open", "page": "1"})

    def _branch_path(self, repo: str, branch: str) -> str:
        return f"{repository_path(repo)}/branches/{path_segment(branch)}"

    @abstractmethod
    def _shut(self, repo: str) -> str:
        """Which rule of the repository keeps us from pushing our branches, with what to do; "" for none."""

    @abstractmethod
    def _version(self) -> str:
        """Which forge answers, in a few words, and whether we know how to speak to it.

        ForgeUnreachableError for an answer that is none: something else than the forge is at the address.
        """

    def _knows_people(self, rights: WireRights | None) -> bool:
        """Whether the user whose token it is may ask what others may do."""
        del rights
        return True

    @abstractmethod
    def _lacks(self, rights: WireRights | None) -> list[str]:
        """What else the user whose token it is should have, or should know; [] for nothing.

        `rights` is None where the forge does not show them.
        """


def _lacks(repository: WireRepository) -> list[str]:
    """What is missing for writing."""
    lacks = []
    if repository.permissions is None:
        lacks.append("it does not say what the token may write")
    elif not repository.permissions.push:
        lacks.append("the user whose token it is may not write here: give it write access")
    if repository.archived:
        lacks.append("the repository is archived, so nothing in it can be changed")
    if not repository.has_issues:
        lacks.append("issues are switched off in the repository's settings")
    return lacks
