"""Pull requests on Gitea and Forgejo.

Listings know fewer filters than GitHub's, so more is read, and a bound that cuts the reading short is an
error rather than a "no".
"""

from datetime import datetime, timedelta

from routing.forges.change_request import ReviewVerdict
from routing.forges.errors import ForgeGoneError, ForgeUnreachableError
from routing.forges.rest.changes import NOT_MERGED, NOT_UPDATED, RestChanges
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Wire, WireCommit, WirePull, is_of
from routing.http.paging import Listing

#: Clocks of machines that commit differ; commits this much older than the one looked for are still read.
CLOCK_SKEW = timedelta(days=1)


class GiteaComparison(Wire):
    """What a commit has that a branch lacks."""

    total_commits: int


class GiteaChanges(RestChanges):
    """What is Gitea's own way."""

    verdicts = {  # noqa: RUF012 - declared on the class above, changed by nobody
        "APPROVED": ReviewVerdict.APPROVED,
        "REQUEST_CHANGES": ReviewVerdict.CHANGES_REQUESTED,
        "COMMENT": ReviewVerdict.COMMENTED,
    }

    def _pulls_of(self, repo: str, branch: str) -> list[WirePull]:
        """Gitea cannot list by branch: all are read, those with news first, until one of the branch comes.

        The one that comes first has the newest news. ForgeUnreachableError when the bound on pages ends the
        reading before one came: there may be one further on.
        """

        def one_is_there(page: list[object]) -> bool:
            return any(is_of(self._client.parsed(WirePull, item), repo, branch) for item in page)

        listing = self._client.read_all(
            f"{repository_path(repo)}/pulls", {"state": "all", "sort": "recentupdate"}, enough=one_is_there
        )
        pulls = [self._client.parsed(WirePull, item) for item in listing.items]
        if not listing.complete:
            message = (
                f"{repo} has more pull requests than are read, and none of those is of {branch}; "
                "raise limits.max_pages"
            )
            raise ForgeUnreachableError(message)
        return pulls

    def requests_of(self, repo: str, commit: str) -> list[WirePull]:
        """The one that was merged as this commit; 404 without one, and on a Gitea that has no such path."""
        path = f"{repository_path(repo)}/commits/{commit}/pull"
        return [self._client.parsed(WirePull, self._client.get(path))]

    def _send_merge(self, path: str, head: str, title: str, text: str) -> None:
        """POST …/merge with `head_commit_id`: 409 when the head is another commit, 405 when it cannot."""
        asked = {
            "Do": self._config.merge_method,
            "head_commit_id": head,
            "MergeTitleField": title,
            "MergeMessageField": text,
        }
        self._client.write("POST", path, asked, repeatable=False, refused=NOT_MERGED)

    def _send_update(self, path: str, head: str) -> None:
        """POST …/update: 409 when there are conflicts; it knows no head, so that is looked at before."""
        del head
        self._client.write("POST", f"{path}/update", repeatable=False, refused=NOT_UPDATED)

    def _contains(self, repo: str, base: str, commit: str) -> bool:
        """Ask how many commits the branch lacks; zero may also mean that the two share no history.

        Then, and on a Gitea before 1.22, which cannot compare, the branch's own commits are searched.
        """
        facts = self._commit(repo, commit)
        path = f"{repository_path(repo)}/compare/{path_segment(f'{base}...{commit}')}"
        try:
            said = self._client.get(path)
        except ForgeGoneError:
            said = {"total_commits": 0}
        if self._client.parsed(GiteaComparison, said).total_commits:
            return False
        listing = self._commits_since(repo, base, {commit}, facts.commit.committer.date - CLOCK_SKEW)
        found = any(self._client.parsed(WireCommit, item).sha == commit for item in listing.items)
        if not found and not listing.complete:
            message = f"{repo} has more commits on {base} than are read; raise limits.max_pages"
            raise ForgeUnreachableError(message)
        return found

    def _commit(self, repo: str, commit: str) -> WireCommit:
        """Without files and signatures; ForgeGoneError when it does not exist."""
        path = f"{repository_path(repo)}/git/commits/{commit}"
        return self._client.parsed(WireCommit, self._client.get(path))

    def _commits_since(self, repo: str, base: str, commits: set[str], at: datetime) -> Listing:
        """The commits of a branch that came after these, or after that time: some more do no harm.

        Older Giteas know no `since`: pages are read until they are older, or hold what is looked for.

        "Older" is a whole page: committers' clocks differ, so one old commit says little.
        """
        query = {"sha": base, "stat": "false", "verification": "false", "files": "false"}

        def is_older(page: list[object]) -> bool:
            read = [self._client.parsed(WireCommit, item) for item in page]
            return any(one.sha in commits for one in read) or all(
                one.commit.committer.date < at for one in read
            )

        return self._client.read_all(f"{repository_path(repo)}/commits", query, enough=is_older)
