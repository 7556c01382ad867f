"""What is said on the suite's GitLab: notes, discussions, and what it notes itself, out of a world."""

import re
from collections.abc import Callable
from typing import Any

from tests.fakes.forge_history import Happening, now
from tests.fakes.forge_world import OWN_LOGIN, ForgeWorld, WorldComment, WorldIssue, WorldPull
from tests.servers.forge_server import GONE, Answer, AskedRequest

Found = re.Match[str]

_VERDICTS = {"APPROVED": "approved this merge request", "REQUEST_CHANGES": "requested changes"}
_MOVES = {
    "added_to_merge_queue": "started a merge train",
    "removed_from_merge_queue": "removed this merge request from the merge train",
}

#: Why the train took a request off by itself, in GitLab's words.
_FAILED = " because pipeline did not succeed"

#: A command to GitLab: such a line is carried out, and not shown.
_COMMAND = re.compile(r"^/(\w+)(?: ([^\n]*))?(?:\n|$)", re.MULTILINE)


class GitLabTalk:
    """Notes of issues and of merge requests."""

    def __init__(self, world: ForgeWorld, user: Callable[[str], dict[str, Any]]) -> None:
        self.world = world
        self.user = user
        self.commands: list[tuple[int, str, str]] = []  # that were carried out: where, which, and with what

    def carried_out(self, issue: WorldIssue, text: str) -> str:
        """The text without its commands, which are carried out with the rights of the token's user."""
        for name, words in _COMMAND.findall(text):
            self.commands.append((issue.number, name, words))
            if name == "close":
                self.world.close(issue, OWN_LOGIN)
        return _COMMAND.sub("", text)

    def _shown(self, note: WorldComment) -> dict[str, Any]:
        return self._note(note.id, note.author, note.body, note.created_at)

    def _note(self, number: Any, author: Any, body: str, at: Any, *, system: bool = False) -> dict[str, Any]:
        shown = {"id": number, "body": body, "created_at": at, "system": system, "resolvable": False}
        return shown | {"author": self.user(author) if author else None}

    def notes_of_issue(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Comments, and who was assigned, as GitLab notes it."""
        said = [self._shown(one) for one in self.world.comments.values() if one.issue == issue.number]
        happened = self.world.history.of(issue.number, "assigned", "unassigned")
        return self._listed(asked, [*said, *map(self._assignment, happened)])

    def notes_of_request(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """All notes under a merge request."""
        return self._listed(asked, [note for one in self._discussions(pull) for note in one["notes"]])

    def _assignment(self, one: Happening) -> dict[str, Any]:
        words = f"assigned to @{one.subject}" if one.kind == "assigned" else f"unassigned @{one.subject}"
        return self._note(one.id, one.actor, words, one.at, system=True)

    @staticmethod
    def _listed(asked: AskedRequest, notes: list[dict[str, Any]]) -> Answer:
        notes.sort(key=lambda one: (str(one["created_at"]), one["id"]))
        return Answer(value=notes if asked.query.get("sort") == "asc" else notes[::-1], paged="link")

    def write(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """The token's user comments; a text of commands alone makes no note."""
        body = self.carried_out(issue, asked.body["body"])
        if not body.strip():
            return Answer(status=202, value={"commands_changes": {}, "summary": ["Done."]})
        return Answer(status=201, value=self._shown(self.world.comment(issue.number, OWN_LOGIN, body)))

    def write_on_request(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """The same on a merge request, where a reviewer can be asked again."""
        command = re.fullmatch(r"/request_review @(\S+)", asked.body["body"])
        if command is None:
            return self.write(asked, pull.issue)
        if self.world.users.get(command[1], "none") == "none":
            return Answer(status=400, value={"message": "Failed to request a review"})
        pull.asked.append(command[1])
        return Answer(status=202, value={"commands_changes": {"reviewer_ids": [1]}, "summary": ["Done."]})

    def note(self, _asked: AskedRequest, found: Found) -> Answer:
        """One note of one issue."""
        note = self.world.comments.get(int(found[2]))
        return self._shown_or_gone(note, found)

    def edit(self, asked: AskedRequest, found: Found) -> Answer:
        """Another text for it."""
        note = self.world.comments.get(int(found[2]))
        if note is not None and note.issue == int(found[1]):
            note.body = self.carried_out(self.world.issues[note.issue], asked.body["body"])
        return self._shown_or_gone(note, found)

    def _shown_or_gone(self, note: WorldComment | None, found: Found) -> Answer:
        return GONE if note is None or note.issue != int(found[1]) else Answer(value=self._shown(note))

    def discussions(self, _asked: AskedRequest, pull: WorldPull) -> Answer:
        """Threads, comments, and what GitLab noted, oldest first."""
        return Answer(value=self._discussions(pull), paged="link")

    def _discussions(self, pull: WorldPull) -> list[dict[str, Any]]:
        shown = [review for review in pull.reviews if self._is_seen(review)]
        found = [
            *(
                self._alone(self._shown(one))
                for one in self.world.comments.values()
                if one.issue == pull.issue.number
            ),
            *(one for review in shown for one in self._of_review(pull, review)),
            *(
                self._alone(self._moved(pull, one))
                for one in self.world.history.of(pull.issue.number, *_MOVES)
            ),
        ]
        return sorted(found, key=lambda one: (str(one["notes"][0]["created_at"]), one["notes"][0]["id"]))

    def _moved(self, pull: WorldPull, one: Happening) -> dict[str, Any]:
        """Onto the train, or off it; what the train did by itself is noted of who had put it there."""
        actor, words = one.actor, _MOVES[one.kind]
        if str(actor).endswith("[bot]"):
            put = self.world.history.of(pull.issue.number, "added_to_merge_queue")
            actor, words = [each.actor for each in put if each.id < one.id][-1], words + _FAILED
        return self._note(one.id, actor, words, one.at, system=True)

    @staticmethod
    def _is_seen(review: dict[str, Any]) -> bool:
        """Drafts are not shown, and verdicts that were taken back have no note."""
        return (
            review["submitted_at"] is not None
            and review["state"] != "DISMISSED"
            and not review.get("dismissed")
        )

    @staticmethod
    def _alone(note: dict[str, Any]) -> dict[str, Any]:
        return {"id": f"{note['id']:040x}", "individual_note": True, "notes": [note]}

    def _of_review(self, pull: WorldPull, review: dict[str, Any]) -> list[dict[str, Any]]:
        author, at = (review["user"] or {}).get("login"), review["submitted_at"]
        made = [
            self._thread(pull, one, review)
            for one in pull.remarks
            if one.get("pull_request_review_id") == review["id"]
        ]
        if review.get("body"):
            made.append(self._alone(self._note(int(review["id"]) + 100_000, author, review["body"], at)))
        if review["state"] in _VERDICTS:
            words = _VERDICTS[review["state"]]
            made.append(self._alone(self._note(review["id"], author, words, at, system=True)))
        return made

    def _thread(self, pull: WorldPull, first: dict[str, Any], review: dict[str, Any]) -> dict[str, Any]:
        """A remark at a line, with the answers to it."""
        thread = f"{first['id']:040x}"
        where = {"new_path": first["path"], "old_path": first["path"]}
        where |= {"new_line": first["line"] or None, "old_line": first["old_line"]}
        begun = self._note(first["id"], first["user"]["login"], first["body"], review["submitted_at"])
        notes = [begun | {"position": where | {"head_sha": review["commit_id"]}}]
        answers: list[dict[str, Any]] = [
            one for one in pull.remarks if one.get("in_reply_to_id") == first["id"]
        ]
        notes += [self._note(one["id"], one["user"]["login"], str(one["body"]), one["at"]) for one in answers]
        resolved = {"resolvable": True, "resolved": thread in pull.resolved}
        return {"id": thread, "individual_note": False, "notes": [one | resolved for one in notes]}

    def reply(self, asked: AskedRequest, found: Found) -> Answer:
        """The token's user answers in a thread."""
        pull = self.world.pulls.get(int(found[1]))
        first = (
            {f"{one['id']:040x}": one["id"] for one in pull.remarks if "in_reply_to_id" not in one}
            if pull
            else {}
        )
        if pull is None or found[2] not in first:
            return GONE
        body = self.carried_out(pull.issue, asked.body["body"])
        made = self.world.reply(pull, int(str(first[found[2]])), OWN_LOGIN, body)
        return Answer(status=201, value=self._note(made["id"], OWN_LOGIN, body, now()))

    def resolve(self, asked: AskedRequest, found: Found) -> Answer:
        """A thread is resolved."""
        pull = self.world.pulls.get(int(found[1]))
        if pull is None or asked.body != {"resolved": True}:
            return GONE
        pull.resolved.append(found[2])
        return Answer(value={"id": found[2], "individual_note": False, "notes": []})

    def _versions(self, pull: WorldPull) -> list[dict[str, Any]]:
        shown = [
            {"id": review["id"], "head_commit_sha": review["commit_id"], "created_at": review["submitted_at"]}
            for review in pull.reviews
            if self._is_seen(review)
        ]
        shown += [
            {"id": 900_000 + number, "head_commit_sha": commit, "created_at": at}
            for number, (commit, at) in enumerate(self.world.pushed_at.items())
        ]
        return shown[::-1]

    def versions(self, _asked: AskedRequest, pull: WorldPull) -> Answer:
        """The heads that reviewers saw, the newest first."""
        return Answer(value=self._versions(pull), paged="link")

    def version(self, _asked: AskedRequest, found: Found) -> Answer:
        """One of them, with the differences that it had."""
        pull = self.world.pulls.get(int(found[1]))
        for one in self._versions(pull) if pull else []:
            if pull is not None and one["id"] == int(found[2]):
                return Answer(value=one | {"diffs": self._diffs(pull, one["head_commit_sha"])})
        return GONE

    def diffs(self, _asked: AskedRequest, pull: WorldPull) -> Answer:
        """The difference of each file that has remarks at the head as it is."""
        return Answer(value=self._diffs(pull, self.world.head(pull)), paged="link")

    @staticmethod
    def _diffs(pull: WorldPull, head: str) -> list[dict[str, Any]]:
        of = {review["id"] for review in pull.reviews if review.get("commit_id") == head}
        by_path: dict[Any, list[str]] = {}
        for one in pull.remarks:
            if "in_reply_to_id" not in one and one["pull_request_review_id"] in of:
                by_path.setdefault(one["path"], []).append(str(one["diff_hunk"]))
        return [
            {"old_path": path, "new_path": path, "diff": "\n".join(hunks) + "\n"}
            for path, hunks in by_path.items()
        ]
