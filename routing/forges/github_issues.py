"""Issues on GitHub: https://docs.github.com/rest/issues."""

from collections.abc import Mapping

from routing.forge_errors import ForgeGoneError, ForgeInvalidError
from routing.forges.rest_issues import RestIssues, carries
from routing.forges.rest_path import path_segment
from routing.forges.wire import WireIssue
from routing.forges.written_text import checked_name
from routing.issue import IssueRef


class GitHubIssues(RestIssues):
    """What is GitHub's own way."""

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put a label on the issue; GitHub creates it when the repository has none of that name."""
        labels = {"labels": [checked_name(label)]}
        self._client.write("POST", f"{self.path(ref)}/labels", labels, repeatable=True)

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take a label off; GitHub answers 404 when it is not there, as when the issue is not."""
        path = f"{self.path(ref)}/labels/{path_segment(checked_name(label))}"
        try:
            self._client.write("DELETE", path, repeatable=True)
        except ForgeGoneError:
            if carries(self.wire(ref), label):
                raise

    def assign(self, ref: IssueRef, user: str) -> None:
        """Add an assignee; GitHub says nothing when it ignores one who has no access."""
        name = checked_name(user)
        written = self._client.write(
            "POST", f"{self.path(ref)}/assignees", {"assignees": [name]}, repeatable=True
        )
        issue = self._client.parsed(WireIssue, written)
        if name.casefold() not in {one.login.casefold() for one in issue.assignees}:
            message = f"{ref} cannot be assigned to {name!r}; GitHub takes only those with access to it"
            raise ForgeInvalidError(message)

    def _listing(self) -> Mapping[str, str]:
        # The oldest first: an issue that is closed meanwhile moves none to a page that was read already.
        return {"sort": "created", "direction": "asc"}

    def _blockers(self, ref: IssueRef) -> str:
        return f"{self.path(ref)}/dependencies/blocked_by"
