"""Remarks of reviews on GitHub: https://docs.github.com/rest/pulls/comments."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from routing.forges.change_request import ChangeRequest
from routing.forges.feedback import Remark
from routing.forges.rest.feedback import RestFeedback
from routing.forges.rest.wire import Login, Text, Wire, WireReview


class GitHubRemark(Wire):
    """A comment at a place in the difference."""

    id: int
    pull_request_review_id: int | None = None
    in_reply_to_id: int | None = None  # the first of its thread, None when it is that
    user: Login = ""
    body: Text = ""
    path: Text = ""
    line: Annotated[int | None, Field(gt=0)] = None  # null once the line has changed
    diff_hunk: Text = ""

    @property
    def thread(self) -> int:
        """The comment that its thread begins with."""
        return self.in_reply_to_id or self.id


class GitHubFeedback(RestFeedback):
    """Remarks of all reviews are in one listing, and have threads."""

    def _remarks(self, path: str, reviews: Sequence[WireReview]) -> Mapping[int, Sequence[Remark]]:
        """One listing for all."""
        found: dict[int, list[Remark]] = {}
        for one in self._listed(path) if reviews else ():
            if one.pull_request_review_id is not None:
                remark = Remark(
                    thread=str(one.thread), path=one.path, line=one.line, hunk=one.diff_hunk, body=one.body
                )
                found.setdefault(one.pull_request_review_id, []).append(remark)
        return found

    def _reply(self, change: ChangeRequest, threads: Sequence[str], text: str, mark: str) -> bool:
        """A reply that is there already, as an answer was lost, is not written again.

        It is found by its mark: answers to two reviews of one thread may have the same words.
        """
        if not threads:
            return False
        path, us = self._path(change), self._own_login().casefold()
        ours = [one for one in self._listed(path) if one.user.casefold() == us]
        answered = {str(one.thread) for one in ours if one.body.rstrip().endswith(mark)}
        for thread in threads:
            if thread not in answered:
                reply = f"{path}/comments/{int(thread)}/replies"
                self._client.write("POST", reply, {"body": f"{text}\n\n{mark}"}, repeatable=False)
        return True

    def _listed(self, path: str) -> list[GitHubRemark]:
        return self._client.parsed_all(GitHubRemark, self._client.read_all(f"{path}/comments"))
