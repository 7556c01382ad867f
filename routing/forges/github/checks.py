"""CI of a commit on GitHub: commit statuses and check runs, which are two APIs."""

from routing.forges.commit_status import CombinedStatus
from routing.forges.errors import ForgeInvalidError
from routing.forges.failing_log import failing_log_of
from routing.forges.github.log import complaints_of
from routing.forges.github.runs import WireCheckRun, statuses_of_runs
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import repository_path
from routing.forges.rest.statuses import read_statuses
from routing.forges.work_branch import checked_commit


class GitHubChecks:
    """Statuses and check runs of one forge."""

    def __init__(self, client: ForgeClient) -> None:
        self._client = client

    def of(self, repo: str, commit: str) -> CombinedStatus:
        """Return all reports about the commit, or raise ForgeGoneError when it does not exist."""
        return self._read(repo, commit)[0]

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return what failed checks say: statuses have a line and an address, check runs more."""
        status, runs = self._read(repo, commit)
        return failing_log_of(complaints_of(self._client, repo, status, runs), most_characters)

    def _read(self, repo: str, commit: str) -> tuple[CombinedStatus, list[WireCheckRun]]:
        path = f"{repository_path(repo)}/commits/{checked_commit(commit)}"
        try:
            statuses = read_statuses(self._client, f"{path}/status", under="statuses")
        except ForgeInvalidError:  # 422: no such commit, or not a whole hash
            self._client.get(f"{repository_path(repo)}/git/commits/{commit}")
            raise
        listing = self._client.read_all(f"{path}/check-runs", {"filter": "latest"}, under="check_runs")
        runs = self._client.parsed_all(WireCheckRun, listing)
        return CombinedStatus.of(commit, [*statuses, *statuses_of_runs(runs)]), runs
