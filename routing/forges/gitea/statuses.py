"""CI of a commit on Gitea or Forgejo. Their own Actions report as statuses, so there is one API."""

from routing.forges.commit_status import CombinedStatus
from routing.forges.failing_log import Complaint, failing_log_of
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import repository_path
from routing.forges.rest.statuses import read_statuses
from routing.forges.work_branch import checked_commit


class GiteaStatuses:
    """Statuses of one forge. It keeps nothing: a check that is run again is seen at the next call."""

    def __init__(self, client: ForgeClient) -> None:
        self._client = client

    def of(self, repo: str, commit: str) -> CombinedStatus:
        """Return all reports about the commit, or raise ForgeGoneError when it does not exist."""
        path = repository_path(repo)
        statuses = read_statuses(self._client, f"{path}/commits/{checked_commit(commit)}/statuses")
        if not statuses:  # Gitea may list nothing for a commit that it does not have
            self._client.get(f"{path}/git/commits/{commit}")
        # Oldest first, so that of two within one second the one that came later counts.
        return CombinedStatus.of(commit, reversed(statuses))

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return the line and the address of each check that failed: Gitea's API has no logs of other CIs."""
        failed = self.of(repo, commit).failed
        return failing_log_of(
            [Complaint(heading=one.complaint, text=one.url) for one in failed], most_characters
        )
