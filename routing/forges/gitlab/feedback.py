"""Feedback on GitLab, which lets threads be answered and resolved, and reviewers be asked again."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

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
from routing.forges.rest.wire import Items, Text, Wire
from routing.forges.written_text import checked_name

_log = structlog.get_logger(__name__)

_HEADER = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")

#: Lines of a hunk that are shown up to the one that is meant, its header not counted.
_MOST_LINES = 12

#: Former heads of a request whose differences are read at one look, the newest first.
_MOST_HEADS = 3

#: The difference of each file by its name, by the head that it is of.
_Diffs = Mapping[str, Mapping[str, str]]


class WireDiff(Wire):
    """The difference in one file."""

    new_path: Text = ""
    diff: Text = ""


class WireHeadDiffs(Wire):
    """A state that the request's branch was in, with what it changed."""

    diffs: Items[WireDiff] = ()


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
        diffs = self._diffs(path, change.head, [note for _, note in notes])
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

    def _diffs(self, path: str, head: str, notes: Sequence[WireRemark]) -> _Diffs:
        """What remarks stand at: the difference as it is, and as it was at former heads.

        Of the latter those that open threads are about. A request that is too large shows some files.
        """
        placed = [(note, _looked_at(note, head)) for note in notes if note.position is not None]
        found: dict[str, Mapping[str, str]] = {}
        if any(commit == head for _, commit in placed):
            listing = self._client.read_all(f"{path}/diffs")
            found[head] = _by_name(self._client.parsed(WireDiff, item) for item in listing.items)
        former = {commit for note, commit in placed if commit != head and not note.resolved}
        known = [one for one in self._discussions.versions(path) if one.id] if former else []
        for one in [each for each in reversed(known) if each.head_commit_sha in former]:
            if one.head_commit_sha in found:
                continue
            if len(found) > _MOST_HEADS:
                break
            version = self._client.parsed(WireHeadDiffs, self._client.get(f"{path}/versions/{one.id}"))
            found[one.head_commit_sha] = _by_name(version.diffs)
        return found

    def _path(self, change: ChangeRequest) -> str:
        return f"{self._projects.path(change.repo)}/merge_requests/{change.number}"


def _looked_at(note: WireRemark, head: str) -> str:
    """The commit that the line of a remark is counted in: the head where GitLab does not say."""
    return (note.position.head_sha if note.position else "") or head


def _by_name(diffs: Iterable[WireDiff]) -> dict[str, str]:
    return {one.new_path: one.diff for one in diffs}


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
    diffs: _Diffs,
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


def _remark(discussion: WireDiscussion, note: WireRemark, diffs: _Diffs, head: str) -> Remark:
    """A remark with the hunk that it stands at, in the difference that was looked at.

    Where the head has moved since, it says which commit its line is of.
    """
    position = note.position
    if position is None:
        return Remark(thread=discussion.id, body=note.body)
    path, commit = position.new_path or position.old_path, _looked_at(note, head)
    line = position.new_line
    old_line = position.old_line if line is None else None
    hunk = hunk_at(diffs.get(commit, {}).get(path, ""), line, old_line)
    return Remark(
        thread=discussion.id, path=path, line=line, old_line=old_line, hunk=hunk, body=note.body,
        commit="" if commit == head else commit,
    )  # fmt: skip


def hunk_at(diff: str, line: int | None, old_line: int | None = None) -> str:
    """The hunk of a unified difference with its lines up to one of the new file, "" for none: pure.

    With `old_line` alone up to that line of the old file, which the difference removes.
    """
    header, shown, new, old = "", list[str](), 0, 0
    for text in diff.splitlines():
        if found := _HEADER.match(text):
            header, shown, old, new = text, [], int(found[1]) - 1, int(found[2]) - 1
            continue
        if not header or text.startswith("\\"):  # "No newline at end of file"
            continue
        shown.append(text)
        removes, adds = text.startswith("-"), text.startswith("+")
        new, old = new + (not removes), old + (not adds)
        is_meant = (old == old_line and removes) if line is None else (new == line and not removes)
        if is_meant:
            return "\n".join([header, *shown[-_MOST_LINES:]])
    return ""
