"""Remarks of reviews on GitHub: https://docs.github.com/rest/pulls/comments."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Final

import structlog
from pydantic import AliasPath, Field, field_validator

from routing.forges.change_request import ChangeRequest
from routing.forges.errors import ForgeError, ForgeUnreachableError
from routing.forges.feedback import Remark
from routing.forges.rest.feedback import RestFeedback
from routing.forges.rest.path import repository_path
from routing.forges.rest.wire import Items, Login, Text, Wire, WireReview

_log = structlog.get_logger(__name__)

#: Threads that one look finds: https://docs.github.com/graphql/reference/objects#pullrequestreviewthread
_THREADS: Final = (
    "query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) { "
    "pullRequest(number: $number) { reviewThreads(last: 100) { nodes { id isResolved comments(first: 1) { "
    "nodes { databaseId } } } } } } }"
)
_RESOLVE: Final = (
    "mutation($thread: ID!) { resolveReviewThread(input: {threadId: $thread}) { thread { isResolved } } }"
)


class GitHubRemark(Wire):
    """A comment at a place in the difference."""

    id: int
    pull_request_review_id: int | None = None
    in_reply_to_id: int | None = None  # the first of its thread, None when it is that
    user: Login = ""
    body: Text = ""
    path: Text = ""
    line: Annotated[int | None, Field(gt=0)] = None  # null once the line has changed
    side: Text = ""  # `LEFT` for a line that the change removes, which is counted in the file before it
    diff_hunk: Text = ""

    @property
    def thread(self) -> int:
        """The comment that its thread begins with."""
        return self.in_reply_to_id or self.id

    def began(self, author: str) -> bool:
        """Whether an author began a thread with it."""
        return self.in_reply_to_id is None and self.user.casefold() == author.casefold()


class WireThread(Wire):
    """A thread of remarks by the id that GraphQL knows it by."""

    id: Text
    is_resolved: bool = Field(False, validation_alias="isResolved")
    remarks: Items[int] = Field((), validation_alias=AliasPath("comments", "nodes"))

    @field_validator("remarks", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return [one["databaseId"] for one in _objects(value) if one.get("databaseId")]


class WireThreads(Wire):
    """The threads of a pull request; none when they may not be seen."""

    nodes: Items[WireThread] = Field(
        (),
        validation_alias=AliasPath("data", "repository", "pullRequest", "reviewThreads", "nodes"),
    )

    @field_validator("nodes", mode="before")
    @classmethod
    def _threads(cls, value: object) -> object:
        return _objects(value)


def _objects(nodes: object) -> list[Mapping[str, Any]]:
    """The nodes that may be seen: GraphQL answers null for one that may not."""
    return [one for one in nodes if isinstance(one, Mapping)] if isinstance(nodes, list) else []


class GitHubFeedback(RestFeedback):
    """Remarks of all reviews are in one listing, and have threads."""

    def _remarks(self, path: str, reviews: Sequence[WireReview]) -> Mapping[int, Sequence[Remark]]:
        """One listing for all."""
        found: dict[int, list[Remark]] = {}
        for one in self._listed(path) if reviews else ():
            if one.pull_request_review_id is not None:
                is_gone = one.side == "LEFT"
                remark = Remark(
                    thread=str(one.thread), path=one.path, line=None if is_gone else one.line,
                    old_line=one.line if is_gone else None, hunk=one.diff_hunk, body=one.body,
                )  # fmt: skip
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

    def _resolve(self, change: ChangeRequest, threads: AbstractSet[str], author: str) -> None:
        """By GraphQL alone; a token that may not leaves them open, with our answer in them."""
        owner, _, name = self._client.called(change.repo).partition("/")
        about = {"owner": owner, "name": name, "number": change.number}
        try:
            begun = {str(one.id) for one in self._listed(self._path(change)) if one.began(author)}
            self._client.get(repository_path(change.repo))  # an App asks with the token of that owner
            said = self._client.write(
                "POST", "/graphql", {"query": _THREADS, "variables": about}, repeatable=True
            )
            for one in self._client.parsed(WireThreads, said).nodes:
                if not one.is_resolved and threads & begun & {str(number) for number in one.remarks}:
                    mark = {"query": _RESOLVE, "variables": {"thread": one.id}}
                    self._client.write("POST", "/graphql", mark, repeatable=True)
        except ForgeUnreachableError:
            raise
        except ForgeError as error:
            _log.warning("thread.not_resolved", repository=change.repo, reason=str(error))

    def _listed(self, path: str) -> list[GitHubRemark]:
        return self._client.parsed_all(GitHubRemark, self._client.read_all(f"{path}/comments"))
