"""Remarks of reviews on Gitea: under each review, and without an API that answers in their threads."""

from collections.abc import Mapping, Sequence

from routing.forges.change_request import ChangeRequest
from routing.forges.feedback import Remark
from routing.forges.rest.feedback import RestFeedback
from routing.forges.rest.wire import Text, Wire, WireReview


class GiteaRemark(Wire):
    """A comment at a place in the difference."""

    body: Text = ""
    path: Text = ""
    position: int = 0  # the line in the new file; 0 where it is gone
    original_position: int = 0  # that in the file before the change, where it removes the line
    diff_hunk: Text = ""


class GiteaFeedback(RestFeedback):
    """A listing for each review that has remarks."""

    def _remarks(self, path: str, reviews: Sequence[WireReview]) -> Mapping[int, Sequence[Remark]]:
        """Gitea says with each review how many it has."""
        return {one.id: self._of_review(path, one.id) for one in reviews if one.comments_count != 0}

    def _of_review(self, path: str, review: int) -> list[Remark]:
        listing = self._client.read_all(f"{path}/reviews/{review}/comments")
        return [
            Remark(
                path=one.path,
                line=one.position or None,
                old_line=one.original_position or None,
                hunk=one.diff_hunk,
                body=one.body,
            )
            for one in self._client.parsed_all(GiteaRemark, listing)
        ]

    def _reply(self, change: ChangeRequest, threads: Sequence[str], text: str, mark: str) -> bool:
        """Its API knows no replies: one comment on the request answers the review."""
        del change, threads, text, mark
        return False
