"""What people wrote about a pull request, over HTTP, and our answers.

GitHub: https://docs.github.com/rest/pulls/reviews and https://docs.github.com/rest/pulls/comments. Gitea has
the same listings of reviews and of comments on the request; remarks stand under their review there.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import structlog

from routing.forges.change_request import ChangeRequest, ReviewVerdict
from routing.forges.errors import ForgeError, ForgeUnreachableError
from routing.forges.feedback import Feedback, Remark, answer_mark
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import repository_path
from routing.forges.rest.wire import WireComment, WireReview
from routing.forges.written_text import checked_name, checked_text

_log = structlog.get_logger(__name__)


class RestFeedback(ABC):
    """The feedback on pull requests of one forge. It keeps no state."""

    def __init__(
        self, client: ForgeClient, *, own_login: Callable[[], str], verdicts: Mapping[str, ReviewVerdict]
    ) -> None:
        self._client = client
        self._own_login = own_login
        self._verdicts = verdicts

    def of(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """Reviews that were submitted and still stand, and comments, oldest first; without our own.

        Anybody who can see a public repository may write: who is heard is decided by the caller.
        """
        if change.number is None:
            return ()
        path = self._path(change)
        reviews = self._client.parsed_all(WireReview, self._client.read_all(f"{path}/reviews"))
        valid = [one for one in reviews if one.state in self._verdicts and not one.dismissed]
        remarks = self._remarks(path, valid)
        found = [
            Feedback(
                id=f"review:{one.id}",
                author=one.user,
                verdict=self._verdicts[one.state],
                body=one.body,
                at=one.submitted_at,
                commit=one.commit_id,
                remarks=tuple(remarks.get(one.id, ())),
            )
            for one in valid
            if one.submitted_at is not None
        ]
        found += [
            Feedback(id=f"comment:{one.id}", author=one.user, body=one.body, at=one.created_at)
            for one in self._comments(change)
            if one.created_at is not None
        ]
        us = self._own_login().casefold()
        theirs = (one for one in found if one.author.casefold() != us)
        return tuple(sorted(theirs, key=lambda one: one.at))

    def answer(self, change: ChangeRequest, feedback: Feedback, body: str, *, resolved: bool) -> None:
        """Answer in the threads of a review where there are any, else on the request; done again, nothing."""
        text = checked_text(body)
        threads = [thread for remark in feedback.remarks if (thread := remark.thread)]
        mark = answer_mark(feedback)
        if not self._reply(change, tuple(dict.fromkeys(threads)), text, mark):
            us = self._own_login().casefold()
            said = (one for one in self._comments(change) if one.user.casefold() == us)
            if not any(one.body.rstrip().endswith(mark) for one in said):
                self._client.write(
                    "POST", self._comments_path(change), {"body": f"{text}\n\n{mark}"}, repeatable=False
                )
        if resolved and threads:
            self._resolve(change, frozenset(threads), feedback.author)
        if feedback.verdict is ReviewVerdict.CHANGES_REQUESTED:
            self._ask_again(change, feedback.author)

    def _ask_again(self, change: ChangeRequest, author: str) -> None:
        """Ask a reviewer to look again; a forge that does not let us is not asked twice."""
        asked = {"reviewers": [checked_name(author)]}
        try:
            self._client.write("POST", f"{self._path(change)}/requested_reviewers", asked, repeatable=True)
        except ForgeUnreachableError:
            raise
        except ForgeError as error:  # who left since, or wrote the request, cannot be asked
            _log.warning("review.not_requested", repository=change.repo, reason=str(error))

    def _comments(self, change: ChangeRequest) -> list[WireComment]:
        return self._client.parsed_all(WireComment, self._client.read_all(self._comments_path(change)))

    @staticmethod
    def _comments_path(change: ChangeRequest) -> str:
        return f"{repository_path(change.repo)}/issues/{change.number}/comments"

    @staticmethod
    def _path(change: ChangeRequest) -> str:
        return f"{repository_path(change.repo)}/pulls/{change.number}"

    @abstractmethod
    def _remarks(self, path: str, reviews: Sequence[WireReview]) -> Mapping[int, Sequence[Remark]]:
        """The remarks of each review by its id; `path` is the request's."""

    def _resolve(self, change: ChangeRequest, threads: AbstractSet[str], author: str) -> None:
        """Mark those of some threads as dealt with that an author began: others' stay theirs to judge.

        Where the forge's API has nothing of that, nothing is done.
        """
        del change, threads, author

    @abstractmethod
    def _reply(self, change: ChangeRequest, threads: Sequence[str], text: str, mark: str) -> bool:
        """Answer in each of some threads, once for each mark, which is the answer's last line.

        False where there is none, or they cannot be answered.
        """
