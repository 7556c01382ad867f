"""Issues on GitLab: https://docs.gitlab.com/api/issues/. Labels of two cases are two there.

Who put a label on is among the label events, if it was not renamed since; who assigned whom is only among the
notes that GitLab itself writes, which nobody else can write.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime

from routing.forges.errors import ForgeError, ForgeInvalidError, ForgeMovedError
from routing.forges.forge import Deed
from routing.forges.gitlab.label_times import label_times
from routing.forges.gitlab.projects import GitLabProjects
from routing.forges.gitlab.text import note_text
from routing.forges.gitlab.wire import GitLabIssue, GitLabLogin, GitLabNote, GitLabProject, GitLabUser
from routing.forges.rest.asking import IssueMark
from routing.forges.rest.issues import RestIssues
from routing.forges.rest.path import path_segment
from routing.forges.rest.wire import Text, Wire, WireComment, WireIssue, WireLabel
from routing.forges.written_text import checked_name
from routing.issues.issue import IssueRef

_NAME = re.compile(r"@([\w.-]*\w)")
_ASSIGNED, _UNASSIGNED = "assigned to ", "unassigned "
_MOVED = re.compile(r"moved to (?P<repo>[^\s#]*)#(?P<number>[1-9][0-9]{0,9})")

#: The kind of link that blocks the issue asked for.
_BLOCKS_IT = "is_blocked_by"


class WireLabelEvent(Wire):
    """A label that came or went: https://docs.gitlab.com/api/resource_label_events/."""

    created_at: AwareDatetime
    user: GitLabLogin = ""
    label: WireLabel | None = None  # its id, and its name of now; null once it is deleted
    action: Text = ""


class WireClosed(Wire):
    """Who closed a merge request that is closed."""

    closed_by: GitLabLogin = ""


class GitLabIssues(RestIssues):
    """What is GitLab's own way."""

    issue_model = GitLabIssue
    comment_model = GitLabNote
    user_model = GitLabUser
    repository_model = GitLabProject
    edit_method = "PUT"

    def __init__(self, projects: GitLabProjects, *args: Any, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self._projects = projects

    def repository(self, repo: str) -> str:
        """The path of a project, by its number."""
        return self._projects.path(repo)

    def wire(self, ref: IssueRef) -> WireIssue:
        """The issue as it is now. One that was moved stays, closed, and names its successor."""
        issue = super().wire(ref)
        if isinstance(issue, GitLabIssue) and issue.moved_to_id is not None:
            there = self._successor(ref)
            message = f"{ref} was moved: it is {there.ref if there else 'elsewhere'} now"
            raise ForgeMovedError(message, state=there.state if there else "open")
        return issue

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put a label on the issue; GitLab makes it where the project has none of that name."""
        self._edit(ref, {"add_labels": checked_name(label)})

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take a label off the issue; one that is not there is ignored."""
        self._edit(ref, {"remove_labels": checked_name(label)})

    def assign(self, ref: IssueRef, user: str) -> None:
        """Add an assignee to those who are there, which replaces the whole list.

        A GitLab without a paid plan keeps the first alone: those who have the issue keep it.
        """
        name = checked_name(user)
        there = [one for one in self.wire(ref).assignees if isinstance(one, GitLabUser)]
        if name.casefold() in {one.login.casefold() for one in there}:
            return
        found = self.user(name)
        numbers = [one.id for one in there] + ([found.id] if found else [])
        written = self._edit(ref, {"assignee_ids": numbers}) if found else None
        if written is None or name.casefold() not in {one.login.casefold() for one in written.assignees}:
            message = f"{ref} cannot be assigned to {name!r}; GitLab takes only those with access to it"
            raise ForgeInvalidError(message)

    def close(self, ref: IssueRef) -> None:
        """Close the issue; closing a closed one changes nothing."""
        self._edit(ref, {"state_event": "close"})

    def last_to(self, deed: Deed, ref: IssueRef, label: str | None) -> str:
        """The issue itself says who closed it."""
        if deed is not Deed.CLOSE:
            return super().last_to(deed, ref, label)
        return self._client.parsed(GitLabIssue, self._client.get(self.path(ref))).closed_by

    def last_to_drop(self, repo: str, number: int) -> str:
        """The merge request itself says who closed it."""
        shown = self._client.get(f"{self.repository(repo)}/merge_requests/{number}")
        return self._client.parsed(WireClosed, shown).closed_by

    def user(self, name: str) -> GitLabUser | None:
        """The user of a name, None for nobody."""
        path_segment(name)
        listing = self._client.read_all("/users", {"username": name})
        found = self._client.parsed_all(GitLabUser, listing)
        return next((one for one in found if one.login.casefold() == name.casefold()), None)

    def _edit(self, ref: IssueRef, changes: Mapping[str, Any]) -> WireIssue:
        written = self._client.write("PUT", self.path(ref), dict(changes), repeatable=True)
        return self._client.parsed(GitLabIssue, written)

    def _successor(self, ref: IssueRef) -> Any:
        """The issue that goes on in place of one that was moved; None where it may not be seen."""
        for note in reversed(self._notes(ref)):
            found = _MOVED.fullmatch(note.body) if note.system else None
            if found is None:
                continue
            # Within one group the name of the group is left out.
            repo = found["repo"] if "/" in found["repo"] else f"{ref.repo.rpartition('/')[0]}/{found['repo']}"
            there = ref.model_copy(update={"repo": repo, "number": int(found["number"])})
            try:
                issue = self._client.parsed(GitLabIssue, self._client.get(self.path(there)))
            except ForgeError:
                return None
            return self._issue(repo, issue)
        return None

    def _marks(self, ref: IssueRef) -> list[IssueMark]:
        """Label events, and assignments as GitLab notes them, oldest first."""
        marks = self._label_marks(ref)
        for note in self._notes(ref):
            if note.system and note.created_at is not None:
                marks += [(note.created_at, mark) for mark in assignments(note.body, note.user)]
        return [mark for _, mark in sorted(marks, key=lambda one: one[0])]

    def _label_marks(self, ref: IssueRef) -> list[tuple[datetime, IssueMark]]:
        """Each with its time. Nobody put a label on by its name of now that may have been renamed since.

        Who took one off is named all the same: nothing is granted by that.

        The times of labels are read last, so that a renaming which the events show is among them.
        """
        number = self._client.parsed(GitLabIssue, self._client.get(self.path(ref))).id
        listing = self._client.read_all(f"{self.path(ref)}/resource_label_events")
        events = self._client.parsed_all(WireLabelEvent, listing)
        if not events:
            return []
        times = label_times(self._client, number)

        def mark(at: datetime, label: WireLabel, event: WireLabelEvent) -> IssueMark:
            known = times.get(label.id)
            added = event.action == "add"
            actor = event.user if not added or (known is not None and known.stood(at)) else ""
            return IssueMark(kind="label", name=label.name, added=added, actor=actor)

        return [
            (one.created_at, mark(one.created_at, one.label, one))
            for one in sorted(events, key=lambda one: one.created_at)
            if one.label is not None
        ]

    def _notes(self, ref: IssueRef) -> list[GitLabNote]:
        """All notes, oldest first."""
        listing = self._client.read_all(self._comments_path(ref), {"order_by": "created_at", "sort": "asc"})
        return sorted(self._client.parsed_all(GitLabNote, listing), key=lambda one: one.id)

    def _comments(self, ref: IssueRef) -> list[WireComment]:
        return [note for note in self._notes(ref) if not note.system]

    def _comments_path(self, ref: IssueRef) -> str:
        return f"{self.path(ref)}/notes"

    def _comment_path(self, ref: IssueRef, comment_id: int) -> str:
        return f"{self.path(ref)}/notes/{comment_id}"

    def _is_on(self, ref: IssueRef, comment: WireComment) -> bool:
        """The path says so. What GitLab itself noted does not count as a comment, although we caused it."""
        del ref
        return not (isinstance(comment, GitLabNote) and comment.system)

    def _text(self, body: str) -> str:
        return note_text(body)

    def _listing(self) -> Mapping[str, str]:
        # The oldest first: an issue that is closed meanwhile moves none to a page that was read already.
        return {"state": "opened", "order_by": "created_at", "sort": "asc"}

    def _blockers(self, ref: IssueRef) -> str:
        return f"{self.path(ref)}/links"

    def _blocks(self, linked: WireIssue) -> bool:
        return isinstance(linked, GitLabIssue) and linked.link_type == _BLOCKS_IT

    @staticmethod
    def _number(item: Mapping[str, object]) -> object:
        return item.get("iid", "?")


def assignments(note: str, actor: str) -> list[IssueMark]:
    """The marks of a note of GitLab's such as `assigned to @ann and @bob and unassigned @cy`: pure."""
    came, _, went = note.partition(_UNASSIGNED)
    if not note.startswith((_ASSIGNED, _UNASSIGNED)):
        return []
    names = [(name, True) for name in _NAME.findall(came)] + [(name, False) for name in _NAME.findall(went)]
    return [
        IssueMark(kind="assignee", name=name.casefold(), added=added, actor=actor) for name, added in names
    ]
