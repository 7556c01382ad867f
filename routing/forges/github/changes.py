"""Pull requests on GitHub: https://docs.github.com/rest/pulls.

Commits and comparisons: https://docs.github.com/rest/commits.
"""

from collections.abc import Callable
from typing import Any, Literal

from routing.base import Base
from routing.forges.change_request import ChangeRequest, ChangeState, ReviewVerdict
from routing.forges.errors import ForgeGoneError, ForgeRefusedError
from routing.forges.github.merge_queue import THROUGH_THE_QUEUE, dequeue, enqueue, has_merge_queue, why_out
from routing.forges.rest.changes import NOT_MERGED, NOT_UPDATED, RestChanges
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Wire, WireCommit, WireCommitFacts, WirePull


class WireGitCommit(WireCommitFacts):
    """A commit as GitHub's git database has it, which answers 404 for what is not there."""

    sha: str


class GitHubComparison(Wire):
    """Where a commit is, seen from a branch: `behind` is what the branch holds.

    See "Compare two commits" in https://docs.github.com/rest/commits/commits
    """

    status: Literal["diverged", "ahead", "behind", "identical"]


class GitHubChanges(RestChanges):
    """What is GitHub's own way."""

    verdicts = {  # noqa: RUF012 - declared on the class above, changed by nobody
        "APPROVED": ReviewVerdict.APPROVED,
        "CHANGES_REQUESTED": ReviewVerdict.CHANGES_REQUESTED,
        "COMMENTED": ReviewVerdict.COMMENTED,
    }

    def __init__(self, client: ForgeClient, *, own_login: Callable[[], str], **parts: Any) -> None:
        super().__init__(client, **parts)
        self._own_login = own_login

    def _pulls_of(self, repo: str, branch: str) -> list[WirePull]:
        """The requests of a branch, listed by `owner:branch`, so that one page is nearly always enough."""
        owner = self._client.called(repo).partition("/")[0]
        query = {"state": "all", "head": f"{owner}:{branch}"}
        listing = self._client.read_all(f"{repository_path(repo)}/pulls", query)
        return self._client.parsed_all(WirePull, listing)

    def requests_of(self, repo: str, commit: str) -> list[WirePull]:
        """See "List pull requests associated with a commit", https://docs.github.com/rest/commits/commits."""
        listing = self._client.read_all(f"{repository_path(repo)}/commits/{commit}/pulls")
        return self._client.parsed_all(WirePull, listing)

    def bring_up_to_date(self, change: ChangeRequest, onto: Base, base: Base | None) -> str:
        """A merge queue judges its own merges: then the branch is left as it is."""
        if has_merge_queue(self._client, change.repo, onto.branch):
            return change.head
        return super().bring_up_to_date(change, onto, base)

    def _ask_to_merge(self, repo: str, number: int, head: str, title: str, text: str) -> None:
        """By the queue, where the branch is merged into by one."""
        try:
            super()._ask_to_merge(repo, number, head, title, text)
        except ForgeRefusedError as error:
            if THROUGH_THE_QUEUE not in str(error).lower():
                raise
            raise enqueue(self._client, repo, number, head, own_login=self._own_login) from error

    def withdraw_merge(self, change: ChangeRequest) -> None:
        """Take it out of the merge queue."""
        if change.number is not None and change.state is ChangeState.OPEN:
            dequeue(self._client, change.repo, change.number)

    def why_dequeued(self, change: ChangeRequest) -> str:
        """By the events of the request."""
        return why_out(self._client, change.repo, change.number, change.head) if change.number else ""

    def _send_merge(self, path: str, head: str, title: str, text: str) -> None:
        """PUT …/merge with `sha`: 409 when the head is another commit, 405 when it cannot be merged."""
        asked = {
            "sha": head,
            "merge_method": self._config.merge_method,
            "commit_title": title,
            "commit_message": text,
        }
        self._client.write("PUT", path, asked, repeatable=False, refused=NOT_MERGED)

    def _send_update(self, path: str, head: str) -> None:
        """PUT …/update-branch: 422 when the head is another commit, or there are conflicts; done later."""
        asked = {"expected_head_sha": head}
        self._client.write("PUT", f"{path}/update-branch", asked, repeatable=False, refused=NOT_UPDATED)

    def _contains(self, repo: str, base: str, commit: str) -> bool:
        """Compare the branch with the commit; GitHub answers 404 also where the two share no history."""
        path = f"{repository_path(repo)}/compare/{path_segment(f'{base}...{commit}')}"
        try:
            said = self._client.get(path, {"per_page": "1"})
        except ForgeGoneError:
            self._commit(repo, commit)  # gone itself, or of a history that shares nothing with the branch
            return False
        return self._client.parsed(GitHubComparison, said).status in {"behind", "identical"}

    def _commit(self, repo: str, commit: str) -> WireCommit:
        """From the git database: the other path also takes branches, and answers 422 for no commit."""
        value = self._client.get(f"{repository_path(repo)}/git/commits/{commit}")
        known = self._client.parsed(WireGitCommit, value)
        facts = WireCommitFacts(message=known.message, committer=known.committer)
        return WireCommit(sha=known.sha, commit=facts)
