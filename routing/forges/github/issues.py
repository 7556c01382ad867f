"""Issues on GitHub: https://docs.github.com/rest/issues.

Labels and logins are compared without their case there. Dependencies have a path of their own, see
https://docs.github.com/rest/issues/issue-dependencies
"""

from collections.abc import Mapping

from pydantic import AwareDatetime

from routing.forges.errors import ForgeGoneError, ForgeInvalidError
from routing.forges.github.app import GitHubApp
from routing.forges.rest.asking import IssueMark
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.issues import RestIssues
from routing.forges.rest.path import path_segment
from routing.forges.rest.wire import Login, Wire, WireIssue, WireLabel
from routing.forges.written_text import checked_name
from routing.issues.issue import IssueRef


class WireEvent(Wire):
    """Something that happened to an issue.

    See https://docs.github.com/rest/using-the-rest-api/issue-event-types
    """

    event: str
    created_at: AwareDatetime
    actor: Login = ""
    label: WireLabel | None = None  # of `labeled` and `unlabeled`, by the name that it had then
    assignee: Login = ""  # of `assigned` and `unassigned`
    assigner: Login = ""  # who did that; the actor of such an event may be whom it was done to


class GitHubIssues(RestIssues):
    """What is GitHub's own way."""

    def __init__(self, client: ForgeClient, *, forge: str, login: str, app: GitHubApp | None = None) -> None:
        super().__init__(client, forge=forge, login=login)
        self._app = app

    def own_login(self) -> str:
        """An App's user cannot be asked who it is; the App can."""
        if not self._login and self._app is not None:
            self._login = self._app.login()
        return super().own_login()

    @staticmethod
    def compared(label: str) -> str:
        """On GitHub `Agent` and `agent` are one label."""
        return label.casefold()

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
            if self.carries(self.wire(ref), label):
                raise

    def assign(self, ref: IssueRef, user: str) -> None:
        """Add an assignee; GitHub says nothing when it ignores one who has no access.

        So its answer is looked at: ForgeInvalidError when the user is not among the assignees.
        """
        name = checked_name(user)
        written = self._client.write(
            "POST", f"{self.path(ref)}/assignees", {"assignees": [name]}, repeatable=True
        )
        issue = self._client.parsed(WireIssue, written)
        if name.casefold() not in {one.login.casefold() for one in issue.assignees}:
            message = f"{ref} cannot be assigned to {name!r}; GitHub takes only those with access to it"
            raise ForgeInvalidError(message)

    def _marks(self, ref: IssueRef) -> list[IssueMark]:
        """The issue's events, oldest first; all of them, as the deciding one may be on any page."""
        listing = self._client.read_all(f"{self.path(ref)}/events")
        events = sorted(self._client.parsed_all(WireEvent, listing), key=lambda one: one.created_at)
        return [mark for event in events if (mark := self._mark(event)) is not None]

    def _mark(self, event: WireEvent) -> IssueMark | None:
        """An event as a mark, None for other events.

        A label that was renamed since stands under its old name.
        """
        added = event.event in {"labeled", "assigned"}
        if event.event in {"labeled", "unlabeled"} and event.label is not None:
            return IssueMark(
                kind="label", name=self.compared(event.label.name), added=added, actor=event.actor
            )
        if event.event in {"assigned", "unassigned"}:
            who = event.assigner or event.actor
            return IssueMark(kind="assignee", name=event.assignee.casefold(), added=added, actor=who)
        if event.event in {"closed", "reopened"}:
            return IssueMark(kind="end", name="", added=event.event == "closed", actor=event.actor)
        return None

    def _listing(self) -> Mapping[str, str]:
        # The oldest first: an issue that is closed meanwhile moves none to a page that was read already.
        return {"sort": "created", "direction": "asc"}

    def _blockers(self, ref: IssueRef) -> str:
        return f"{self.path(ref)}/dependencies/blocked_by"
