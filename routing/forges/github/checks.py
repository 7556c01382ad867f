"""CI of a commit on GitHub: commit statuses, check runs and their suites, and what the branch requires.

https://docs.github.com/rest/commits/statuses and https://docs.github.com/rest/checks/runs. Actions and Apps
write check runs, older services statuses; a repository may have both, and a commit is green only when both
are.
"""

from glob import escape

from routing.forges.commit_status import CombinedStatus
from routing.forges.errors import ForgeInvalidError
from routing.forges.failing_log import failing_log_of
from routing.forges.github.log import complaints_of
from routing.forges.github.required import required_checks
from routing.forges.github.runs import WireCheckRun, statuses_of_runs
from routing.forges.github.suites import read_suites, with_suites
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import repository_path
from routing.forges.rest.statuses import read_statuses
from routing.forges.work_branch import checked_commit


class GitHubChecks:
    """Statuses and check runs of one forge.

    It keeps nothing: a check that is run again is seen at the next call.
    """

    def __init__(self, client: ForgeClient) -> None:
        self._client = client

    def of(self, repo: str, commit: str, branch: str = "") -> CombinedStatus:
        """Return all that is known of the commit's CI, or raise ForgeGoneError when it does not exist.

        What must pass is what the branch requires, "" for the main branch.
        """
        required = tuple(map(escape, required_checks(self._client, repo, branch)))
        return self._whole(repo, commit)[0].model_copy(update={"required": required})

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return what failed checks say: statuses have a line and an address, check runs more.

        The text is of the code under test, and not trusted. It ends after `most_characters`; "" when none
        failed.
        """
        status, runs = self._whole(repo, commit)
        return failing_log_of(complaints_of(self._client, repo, status, runs), most_characters)

    def _whole(self, repo: str, commit: str) -> tuple[CombinedStatus, list[WireCheckRun]]:
        """Statuses and runs come last, so that the newest verdicts are the newest facts."""
        suites = read_suites(self._client, repo, checked_commit(commit))
        status, runs = self._read(repo, commit)
        shown = {run.check_suite.id for run in runs if run.check_suite is not None}
        return with_suites(self._client, repo, status, suites, shown), runs

    def _read(self, repo: str, commit: str) -> tuple[CombinedStatus, list[WireCheckRun]]:
        """Both APIs; of each check run only the newest attempt (`filter=latest`)."""
        path = f"{repository_path(repo)}/commits/{checked_commit(commit)}"
        try:
            statuses = read_statuses(self._client, f"{path}/status", under="statuses")
        except ForgeInvalidError:  # 422: no such commit, or not a whole hash
            # Raises ForgeGoneError if the commit does not exist; if it does, the 422 means something else.
            self._client.get(f"{repository_path(repo)}/git/commits/{commit}")
            raise
        listing = self._client.read_all(f"{path}/check-runs", {"filter": "latest"}, under="check_runs")
        runs = self._client.parsed_all(WireCheckRun, listing)
        return CombinedStatus.of(commit, [*statuses, *statuses_of_runs(runs)]), runs
