"""Issues on Gitea and Forgejo, whose labels go by ids and whose assignees are replaced as a whole.

So adding one reads first. Between the two calls a person may change the same: of labels nothing is lost, of
assignees the last writer counts.
"""

from collections.abc import Mapping

from pydantic import AwareDatetime

from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.rest.asking import IssueMark
from routing.forges.rest.issues import RestIssues
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Login, Text, Wire, WireLabel
from routing.forges.written_text import checked_name
from routing.http.paging import Listing
from routing.issues.issue import IssueRef

#: The colour of a label that we had to create.
LABEL_COLOUR = "#ededed"


class WireEntry(Wire):
    """An entry of an issue's time line: a comment, or something that happened."""

    type: str
    created_at: AwareDatetime
    user: Login = ""  # who did it
    body: Text = ""  # of a label: "1" when it came, nothing when it went
    label: WireLabel | None = None  # by its present name; null once it is deleted
    assignee: Login = ""  # nobody when it is a team
    removed_assignee: bool = False


class GiteaIssues(RestIssues):
    """What is Gitea's own way."""

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put a label on the issue, created first where neither the repository nor its owner has it.

        Up to four calls; one when the issue has the label.
        """
        name = checked_name(label)
        if name in {one.name for one in self.wire(ref).labels}:
            return
        number = self._label_id(ref, name)
        self._client.write("POST", f"{self.path(ref)}/labels", {"labels": [number]}, repeatable=True)

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take a label off the issue, if it is there.

        Labels of the same name, of repository and owner, all go.
        """
        for one in self.wire(ref).labels:
            if one.name == label:
                self._client.write("DELETE", f"{self.path(ref)}/labels/{one.id}", repeatable=True)

    def assign(self, ref: IssueRef, user: str) -> None:
        """Add an assignee to those who are there, which replaces the whole list."""
        name = checked_name(user)
        assigned = [one.login for one in self.wire(ref).assignees]
        if name.casefold() not in {other.casefold() for other in assigned}:
            self._client.write("PATCH", self.path(ref), {"assignees": [*assigned, name]}, repeatable=True)

    def _label_id(self, ref: IssueRef, name: str) -> int:
        """The label's id in the repository, else in its organisation, else of a new one.

        Not repeatable: two processes that create it at once make two labels of one name, of which
        `_find_label` takes the older from then on.
        """
        repository = repository_path(ref.repo)
        number = self._find_label(f"{repository}/labels", name)
        if number is None:
            owner = path_segment(self._client.called(ref.repo).partition("/")[0])
            try:
                number = self._find_label(f"/orgs/{owner}/labels", name)
            except (ForgeGoneError, ForgeRefusedError):  # the owner is a person, or its labels are not for us
                number = None
        if number is not None:
            return number
        label = {"name": name, "color": LABEL_COLOUR}
        created = self._client.write("POST", f"{repository}/labels", label, repeatable=False)
        return self._client.parsed(WireLabel, created).id

    def _find_label(self, path: str, name: str) -> int | None:
        """The lowest id of that name, None for none; Gitea tells the case of letters apart."""
        labels = self._client.parsed_all(WireLabel, self._client.read_all(path))
        return min((label.id for label in labels if label.name == name), default=None)

    def _marks(self, ref: IssueRef) -> list[IssueMark] | None:
        """Read from the time line, which Gitea has since 1.17.

        The number of entries that it sends along is that of the page, so it says nothing of further pages.
        """
        try:
            listing = self._client.read_all(f"{self.path(ref)}/timeline", counted=False)
        except ForgeGoneError:
            return None
        whole = Listing(items=tuple(filter(None, listing.items)), complete=listing.complete)
        entries = sorted(self._client.parsed_all(WireEntry, whole), key=lambda one: one.created_at)
        return [mark for entry in entries if (mark := self._mark(entry)) is not None]

    def _mark(self, entry: WireEntry) -> IssueMark | None:
        """An entry as a mark, None for comments and all else. The words are those of Gitea's time line."""
        if entry.type == "label" and entry.label is not None:
            name = self.compared(entry.label.name)
            return IssueMark(kind="label", name=name, added=entry.body == "1", actor=entry.user)
        if entry.type == "assignees" and entry.assignee:
            name, added = entry.assignee.casefold(), not entry.removed_assignee
            return IssueMark(kind="assignee", name=name, added=added, actor=entry.user)
        if entry.type in {"close", "reopen"}:
            return IssueMark(kind="end", name="", added=entry.type == "close", actor=entry.user)
        return None

    def _listing(self) -> Mapping[str, str]:
        return {"type": "issues"}

    def _blockers(self, ref: IssueRef) -> str:
        return f"{self.path(ref)}/dependencies"

    def close(self, ref: IssueRef) -> None:
        """Close the issue; with open dependencies Gitea refuses, unless it is closed already."""
        try:
            super().close(ref)
        except ForgeInvalidError:
            if self.wire(ref).state != "closed":
                raise
