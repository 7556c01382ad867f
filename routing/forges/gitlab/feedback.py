"""Feedback on GitLab, which lets threads be answered and resolved, and reviewers be asked again."""

import re
from collections.abc import Callable, Mapping, Sequence

import structlog

from routing.forges.change_request import ChangeRequest, ReviewVerdict
from routing.forges.errors import ForgeError, ForgeUnreachableError
from routing.forges.feedback import Feedback, Remark, answer_mark
from routing.forges.gitlab.discussions import (
    GitLabDiscussions,
    GivenVerdict,
    WireDiscussion,
    WireRemark,
    verdict_of,
)
from routing.forges.gitlab.projects import GitLabProjects
from routing.forges.gitlab.text import note_text
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.wire import Text, Wire
from routing.forges.written_text import checked_name

_log = structlog.get_logger(__name__)

_HEADER = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")

#: Lines of a hunk that are shown up to the one that is meant, its header not counted.
_MOST_LINES = 12


class WireDiff(Wire):
    """The difference in one file."""

    new_path: Text = ""
    diff: Text = ""


class GitLabFeedback:
    """The feedback on merge requests of one forge. It keeps no state."""

    def __init__(
        self, client: ForgeClient, projects: GitLabProjects, discussions: GitLabDiscussions, *,
        own_login: Callable[[], str],
    ) -> None:  # fmt: skip
        self._client = client
        self._projects = projects
        self._discussions = discussions
        self._own_login = own_login

    def of(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """Verdicts that stand with their remarks, and comments, oldest first; without our own.

        Anybody who can see a public project may write: who is heard is decided by the caller.
        """
        if change.number is None:
            return ()
        path, us = self._path(change), self._own_login().casefold()
        said = self._discussions.read(path)
        verdicts = [one for one in self._discussions.verdicts(path, said) if one.author.casefold() != us]
        notes = [
            (discussion, note)
            for discussion in said
            for note in discussion.notes
            if not note.system and note.user.casefold() != us
        ]
        diffs = self._diffs(path) if any(note.position for _, note in notes) else {}
        of_reviews: dict[int, list[tuple[WireDiscussion, WireRemark]]] = {one.id: [] for one in verdicts}
        found: list[Feedback] = []
        for discussion, note in notes:
            verdict = verdict_of(note, verdicts)
            if verdict is not None:
                of_reviews[verdict.id].append((discussion, note))
                continue
            stands = note.position is not None or not discussion.individual_note
            remarks = (_remark(discussion, note, diffs, change.head),) if stands else ()
            body = "" if stands else note.body
            found.append(
                Feedback(
                    id=f"comment:{note.id}", author=note.user, body=body, at=note.created_at, remarks=remarks
                )
            )
        found += [_review(one, of_reviews[one.id], diffs, change.head) for one in verdicts]
        return tuple(sorted(found, key=lambda one: one.at))

    def answer(self, change: ChangeRequest, feedback: Feedback, body: str, *, resolved: bool) -> None:
        """Answer in the threads of a review where there are any, else on the request; done again, nothing."""
        text, mark = note_text(body), answer_mark(feedback)
        path, us = self._path(change), self._own_login().casefold()
        said = self._discussions.read(path)
        asked = {remark.thread for remark in feedback.remarks if remark.thread}
        threads = [one for one in said if one.id in asked]
        for thread in threads:
            if not _is_answered([thread], us, mark):
                reply = f"{path}/discussions/{thread.id}/notes"
                self._client.write("POST", reply, {"body": f"{text}\n\n{mark}"}, repeatable=False)
            if resolved and _may_be_resolved(thread, feedback.author):
                self._politely(
                    "review.not_resolved",
                    change,
                    "PUT",
                    f"{path}/discussions/{thread.id}",
                    {"resolved": True},
                )
        if not threads and not _is_answered(said, us, mark):
            self._client.write("POST", f"{path}/notes", {"body": f"{text}\n\n{mark}"}, repeatable=False)
        if feedback.verdict is ReviewVerdict.CHANGES_REQUESTED:
            # The one note that is a command, of ours; there is no other way to ask a reviewer again.
            command = {"body": f"/request_review @{checked_name(feedback.author)}"}
            self._politely("review.not_requested", change, "POST", f"{path}/notes", command)

    def _politely(
        self, refused: str, change: ChangeRequest, method: str, path: str, body: Mapping[str, object]
    ) -> None:
        """What a forge may not let us do is not asked for twice: the answer is there, and counts."""
        try:
            self._client.write(method, path, body, repeatable=True)
        except ForgeUnreachableError:
            raise
        except ForgeError as error:
            _log.warning(refused, repository=change.repo, reason=str(error))

    def _diffs(self, path: str) -> dict[str, str]:
        """The difference of each file, by its name; a request that is too large shows some."""
        listing = self._client.read_all(f"{path}/diffs")
        return {
            one.new_path: one.diff for one in (self._client.parsed(WireDiff, item) for item in listing.items)
        }

    def _path(self, change: ChangeRequest) -> str:
        return f"{self._projects.path(change.repo)}/merge_requests/{change.number}"


def _is_answered(said: Sequence[WireDiscussion], us: str, mark: str) -> bool:
    """Whether we wrote an answer there: it is found by its mark, in others' words nothing."""
    ours = [note for one in said for note in one.notes if note.user.casefold() == us]
    return any(note.body.rstrip().endswith(mark) for note in ours)


def _may_be_resolved(thread: WireDiscussion, author: str) -> bool:
    """Whether a thread is open, and an author began it: what others began is theirs to judge."""
    is_open = any(note.resolvable and not note.resolved for note in thread.notes)
    return is_open and thread.notes[0].user.casefold() == author.casefold()


def _review(
    verdict: GivenVerdict,
    notes: Sequence[tuple[WireDiscussion, WireRemark]],
    diffs: dict[str, str],
    head: str,
) -> Feedback:
    """A verdict with its remarks, and what stands alone beside it as its words."""
    alone = [note.body for discussion, note in notes if discussion.individual_note and note.position is None]
    remarks = [
        _remark(discussion, note, diffs, head)
        for discussion, note in notes
        if not (discussion.individual_note and note.position is None)
    ]
    return Feedback(
        id=f"review:{verdict.id}", author=verdict.author, verdict=verdict.verdict, body="\n\n".join(alone),
        at=verdict.at, commit=verdict.commit, remarks=tuple(remarks),
    )  # fmt: skip


def _remark(discussion: WireDiscussion, note: WireRemark, diffs: dict[str, str], head: str) -> Remark:
    """A remark with the hunk that it stands at, where the difference is still the one that was looked at."""
    position = note.position
    path = (position.new_path or position.old_path) if position else ""
    line = position.new_line if position else None
    same = position is not None and position.head_sha in {"", head}
    return Remark(
        thread=discussion.id, path=path, line=line, hunk=hunk_at(diffs.get(path, ""), line) if same else "",
        body=note.body,
    )  # fmt: skip


def hunk_at(diff: str, line: int | None) -> str:
    """The hunk of a unified difference with its lines up to one of the new file, "" for none: pure."""
    header, shown, number = "", list[str](), 0
    for text in diff.splitlines():
        if found := _HEADER.match(text):
            header, shown, number = text, [], int(found[1]) - 1
            continue
        if not header:
            continue
        shown.append(text)
        number += not text.startswith(("-", "\\"))
        if number == line and not text.startswith(("-", "\\")):
            return "\n".join([header, *shown[-_MOST_LINES:]])
    return ""
