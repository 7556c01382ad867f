"""Which project a name means. GitLab's own number is asked for, so that a project is followed by it.

After a project was renamed or moved, its old name leads to the number, for reading only:
https://docs.gitlab.com/api/rest/#redirects. By the number both reading and writing go on. It is asked for
again after a while, as a project may be deleted and another be given its name.
"""

from collections.abc import Callable

from routing.forges.gitlab.wire import GitLabProject
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment, repository_name

#: Seconds for which a number is believed.
KNOWN_SECONDS = 60.0


class GitLabProjects:
    """The projects of one forge. Safe to share between threads."""

    def __init__(
        self, client: ForgeClient, *, monotonic: Callable[[], float],
        number_of: Callable[[str], int] = lambda _: 0,
    ) -> None:  # fmt: skip
        self._client = client
        self._monotonic = monotonic
        self._number_of = number_of  # of a project that is served; 0: its name says which is meant
        self._known: dict[str, tuple[int, float]] = {}  # by name: its number, and when it was said

    def path(self, repo: str) -> str:
        """The path below which a project is, or what `read` raises."""
        if number := self._number_of(repo):
            return f"/projects/{number}"
        number, at = self._known.get(repo, (0, 0.0))
        if not number or self._monotonic() - at > KNOWN_SECONDS:
            number = self.read(repo).id
        return f"/projects/{number}"

    def read(self, repo: str) -> GitLabProject:
        """The project as it is now; ForgeGoneError when there is none that the token may see."""
        if number := self._number_of(repo):
            return self.by_id(number)
        asked = path_segment(repository_name(repo, nested=True))
        self._known.pop(repo, None)
        project = self._client.parsed(GitLabProject, self._client.get(f"/projects/{asked}"))
        self._known[repo] = (project.id, self._monotonic())
        return project

    def by_id(self, id_: int) -> GitLabProject:
        """The project that has the number, whatever it is called now, or ForgeGoneError."""
        return self._client.parsed(GitLabProject, self._client.get(f"/projects/{int(id_)}"))

    def branch_path(self, repo: str, branch: str) -> str:
        """The path of a branch."""
        return f"{self.path(repo)}/repository/branches/{path_segment(branch)}"
