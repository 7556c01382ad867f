"""What GraphQL answers about the threads of a review."""

import pytest

from routing.forges.github.feedback import WireThreads

THREAD = {"id": "T", "isResolved": False, "comments": {"nodes": [{"databaseId": 7}]}}


def answered(*nodes: object) -> object:
    """An answer with these threads."""
    return {"data": {"repository": {"pullRequest": {"reviewThreads": {"nodes": list(nodes)}}}}}


@pytest.mark.parametrize(
    "hidden", [None, {"id": "H", "comments": {"nodes": [None]}}, {"id": "H", "comments": None}]
)
def test_what_may_not_be_seen_hides_no_other_thread(hidden: object) -> None:
    """Null stands for it: the look at a job's reviews goes on."""
    threads = WireThreads.model_validate(answered(hidden, THREAD)).nodes
    assert [one.remarks for one in threads if one.remarks] == [(7,)]


def test_without_any_there_are_none() -> None:
    """As where the token may not see them."""
    assert WireThreads.model_validate({"data": None, "errors": [{"message": "no"}]}).nodes == ()
