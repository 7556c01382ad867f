"""What was said under a merge request: https://docs.gitlab.com/api/discussions/.

GitLab keeps no reviews: it publishes a reviewer's remarks, and notes beside them that he approved, or
requested changes. A remark belongs to the verdict that its author gave within a minute after it; what stands
alone is a comment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from routing.forges.change_request import ReviewVerdict
from routing.forges.gitlab.wire import GitLabNote
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.wire import Items, Text, Wire

#: How GitLab notes verdicts.
_APPROVED, _UNAPPROVED = "approved this merge request", "unapproved this merge request"
_VERDICTS: Mapping[str, ReviewVerdict] = {
    _APPROVED: ReviewVerdict.APPROVED,
    "requested changes": ReviewVerdict.CHANGES_REQUESTED,
}

#: How long before a verdict its remarks are published.
_TOGETHER = timedelta(seconds=60)


class WirePosition(Wire):
    """Where in the change a remark stands."""

    new_path: Text = ""
    old_path: Text = ""
    new_line: int | None = None  # null on a line that is removed
    old_line: int | None = None  # null on a line that is new
    head_sha: Text = ""


class WireRemark(GitLabNote):
    """A note in a discussion."""

    created_at: AwareDatetime
    resolvable: bool = False
    resolved: bool | None = None
    position: WirePosition | None = None


class WireDiscussion(Wire):
    """A thread, or one note that stands alone."""

    id: str
    individual_note: bool = False
    notes: Items[WireRemark] = ()


class WireHead(Wire):
    """A state that the request's branch was in."""

    id: int = 0
    head_commit_sha: Text = ""
    created_at: AwareDatetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenVerdict:
    """What a reviewer concluded, as it was noted."""

    id: int  # of the note
    author: str
    verdict: ReviewVerdict
    at: datetime
    commit: str  # that was there to be looked at


class GitLabDiscussions:
    """The discussions of one forge's merge requests; each call asks anew."""

    def __init__(self, client: ForgeClient) -> None:
        self._client = client

    def read(self, path: str) -> list[WireDiscussion]:
        """All of them, with what GitLab noted, in its order; `path` is the request's."""
        return self._client.parsed_all(WireDiscussion, self._client.read_all(f"{path}/discussions"))

    def verdicts(self, path: str, discussions: Sequence[WireDiscussion] | None = None) -> list[GivenVerdict]:
        """The verdicts that stand, oldest first; an approval that was taken back is none."""
        said = self.read(path) if discussions is None else discussions
        notes = in_force(note for one in said for note in one.notes if note.system)
        if not notes:
            return []
        versions = self.versions(path)
        return [
            GivenVerdict(
                id=note.id, author=note.user, verdict=_VERDICTS[note.body], at=note.created_at,
                commit=_head_at(versions, note.created_at),
            )
            for note in notes
        ]  # fmt: skip

    def versions(self, path: str) -> list[WireHead]:
        """The states that the request's branch was in, oldest first."""
        listing = self._client.read_all(f"{path}/versions")
        return sorted(self._client.parsed_all(WireHead, listing), key=lambda one: one.created_at)


def _head_at(versions: Sequence[WireHead], at: datetime) -> str:
    """The head of the newest version that was there at a time; versions come oldest first."""
    return next((one.head_commit_sha for one in reversed(versions) if one.created_at <= at), "")


def in_force(notes: Iterable[WireRemark]) -> list[WireRemark]:
    """The notes of verdicts that were not taken back, oldest first: pure."""
    found: list[WireRemark] = []
    for note in sorted(notes, key=lambda one: (one.created_at, one.id)):
        if note.body in _VERDICTS:
            found.append(note)
        elif note.body == _UNAPPROVED:
            found = [one for one in found if (one.user, one.body) != (note.user, _APPROVED)]
    return found


def verdict_of(note: WireRemark, verdicts: Sequence[GivenVerdict]) -> GivenVerdict | None:
    """The verdict that a note belongs to, None for a comment: pure; verdicts come oldest first."""
    return next(
        (
            one
            for one in verdicts
            if one.author == note.user and timedelta(0) <= one.at - note.created_at <= _TOGETHER
        ),
        None,
    )
