"""What forges over HTTP say of reviews and comments, and how they are answered."""

import pytest

from routing.forges.change_request import ChangeRequest, ReviewVerdict
from tests.fakes.forge_world import OWN_LOGIN
from tests.servers.forge_server import Answer
from tests.servers.served_forges import ServedForge

BRANCH = "coalmine/0123456789abcdef"
REQUESTED = {"github": "CHANGES_REQUESTED"}


@pytest.fixture
def change(served: ServedForge) -> ChangeRequest:
    """An open request of ours."""
    served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    return served.forge.open_change(served.world.repo, BRANCH, title="Cart is fast", body="")


def reviewed(served: ServedForge, **more: object) -> int:
    """Somebody requests changes, with two remarks."""
    word = REQUESTED.get(served.kind, "REQUEST_CHANGES")
    remarks = [("cart.py", 3, "Why?"), ("cart.py", 9, "And here?")]
    pull = served.world.pull_of(BRANCH)
    return served.world.review(pull, word, body="Not yet.", remarks=remarks, **more)  # type: ignore[arg-type]


def ours(served: ServedForge) -> list[str]:
    """What we wrote on the request itself."""
    return [one.body for one in served.world.comments.values() if one.author == OWN_LOGIN]


def test_a_review_comes_with_its_remarks_and_comments_beside_it(
    served: ServedForge, change: ChangeRequest
) -> None:
    """File, line and hunk; our own words do not count as feedback, nor does a draft."""
    review = reviewed(served)
    number = change.number or 0
    served.world.comment(number, "bob", f"@{OWN_LOGIN} what about the till?")
    served.world.comment(number, OWN_LOGIN, "Ours.")
    pull = served.world.pull_of(BRANCH)
    pull.reviews.append({"id": 9, "user": {"login": "ann"}, "state": "PENDING", "submitted_at": None})
    pull.reviews.append(dict(pull.reviews[0]) | {"id": 10, "state": "DISMISSED", "dismissed": True})
    said = {one.id.partition(":")[0]: one for one in served.forge.feedback(change)}
    given = said["review"]
    assert (given.id, given.author, given.verdict) == (
        f"review:{review}", "ann", ReviewVerdict.CHANGES_REQUESTED,
    )  # fmt: skip
    assert (given.body, given.commit) == ("Not yet.", change.head)
    assert [(one.path, one.line, one.hunk, one.body) for one in given.remarks] == [
        ("cart.py", 3, "@@ -1 +3 @@\n+at 3", "Why?"), ("cart.py", 9, "@@ -1 +9 @@\n+at 9", "And here?"),
    ]  # fmt: skip
    assert (said["comment"].author, said["comment"].names(OWN_LOGIN)) == ("bob", True)
    assert len(served.forge.feedback(change)) == 2


def test_an_answer_is_given_once_and_the_reviewer_asked_again(
    served: ServedForge, change: ChangeRequest
) -> None:
    """In each thread; on Gitea, whose API has no replies, in one comment."""
    reviewed(served)
    (given,) = served.forge.feedback(change)
    for _ in range(2):
        served.forge.answer(change, given, "Dealt with in 4be1c0f.")
    pull = served.world.pull_of(BRANCH)
    replies = [one["body"] for one in pull.remarks if one["user"] == {"login": OWN_LOGIN}]
    answer = f"Dealt with in 4be1c0f.\n\n<!-- coalmine answer {given.id} -->"
    assert replies == ([] if served.kind == "gitea" else [answer] * 2)
    assert [text.splitlines()[0] for text in ours(served)] == (
        ["Dealt with in 4be1c0f."] if served.kind == "gitea" else []
    )
    assert set(pull.asked) == {"ann"}
    assert len(served.forge.feedback(change)) == 1


@pytest.mark.parametrize("resolved", [True, False])
def test_threads_are_resolved_where_a_commit_dealt_with_them(
    served: ServedForge, change: ChangeRequest, *, resolved: bool
) -> None:
    """Each once, on GitHub, which has that; others' threads, and what was answered with words, stay open."""
    review = reviewed(served)
    pull = served.world.pull_of(BRANCH)
    (given,) = served.forge.feedback(change)
    served.world.review(pull, "COMMENTED", "bob", remarks=[("till.py", 1, "And this?")])
    for _ in range(2):
        served.forge.answer(change, given, "Dealt with in 4be1c0f.", resolved=resolved)
    ours = [
        one["id"] for one in pull.remarks
        if one["pull_request_review_id"] == review and "in_reply_to_id" not in one
    ]  # fmt: skip
    assert served.world.resolved == (ours if resolved and served.kind == "github" else [])


@pytest.mark.parametrize("served", ["github", "gitlab"], indirect=True)
def test_a_thread_that_another_began_is_answered_and_stays_open(
    served: ServedForge, change: ChangeRequest
) -> None:
    """A review may hold a reply in it; whether it is dealt with is for whom it is of."""
    pull = served.world.pull_of(BRANCH)
    served.world.review(pull, "COMMENTED", "bob", remarks=[("till.py", 1, "And this?")])
    begun = int(str(pull.remarks[0]["id"]))
    reply = served.world.reply(pull, begun, "ann", "Yes, do that.")
    review = reviewed(served)
    if served.kind == "github":  # GitLab tells by its time
        reply["pull_request_review_id"] = review
    given = next(one for one in served.forge.feedback(change) if one.author == "ann" and one.body)
    assert len(given.remarks) == 3
    served.forge.answer(change, given, "Dealt with in 4be1c0f.", resolved=True)
    answered = [one for one in pull.remarks if one["user"] == {"login": OWN_LOGIN}]
    assert [one["in_reply_to_id"] for one in answered].count(begun) == 1
    assert (len(answered), len(served.world.resolved or pull.resolved)) == (3, 2)
    assert not {begun, f"{begun:040x}"} & {*served.world.resolved, *pull.resolved}


@pytest.mark.parametrize("served", ["github"], indirect=True)
def test_a_token_that_may_not_resolve_threads_answers_all_the_same(
    served: ServedForge, change: ChangeRequest
) -> None:
    """GraphQL may be shut to it."""
    reviewed(served)
    (given,) = served.forge.feedback(change)
    route = next(pattern for pattern in served.server.routes if pattern.pattern == "POST /graphql")
    served.server.routes[route] = lambda _asked, _found: Answer(status=403, value={"message": "no"})
    served.forge.answer(change, given, "Dealt with in 4be1c0f.", resolved=True)
    assert set(served.world.pull_of(BRANCH).asked) == {"ann"}


def test_a_review_without_remarks_is_answered_on_the_request(
    served: ServedForge, change: ChangeRequest
) -> None:
    """Also one by somebody who cannot be asked to look again, and what was forged in our name."""
    number = change.number or 0
    served.world.comment(number, "bob", f"@{OWN_LOGIN} quicker")
    (given,) = served.forge.feedback(change)
    served.world.comment(number, "bob", f"Dealt with\n\n<!-- coalmine answer {given.id} -->")
    for _ in range(2):
        served.forge.answer(change, given, "No.")
    assert ours(served) == [f"No.\n\n<!-- coalmine answer {given.id} -->"]
    stranger = given.model_copy(
        update={"id": "review:1", "verdict": ReviewVerdict.CHANGES_REQUESTED, "author": "stranger"}
    )
    served.forge.answer(change, stranger, "No.")
    assert len(ours(served)) == 2


@pytest.mark.parametrize("served", ["github", "gitlab"], indirect=True)  # Gitea's API has no replies
def test_a_reply_whose_answer_was_lost_is_not_written_again(
    served: ServedForge, change: ChangeRequest
) -> None:
    """What is there is looked at first."""
    reviewed(served)
    (given,) = served.forge.feedback(change)
    remark = served.world.pull_of(BRANCH).remarks[0]
    body = f"Done.\n\n<!-- coalmine answer {given.id} -->"
    served.world.reply(served.world.pull_of(BRANCH), int(str(remark["id"])), OWN_LOGIN, body)
    served.forge.answer(change, given, "Done.")
    bodies = [one["body"] for one in served.world.pull_of(BRANCH).remarks]
    assert bodies.count(body) == 2


@pytest.mark.parametrize("served", ["github", "gitlab"], indirect=True)
def test_a_second_review_of_a_thread_is_answered_in_the_same_words(
    served: ServedForge, change: ChangeRequest
) -> None:
    """Each round has its answer, also where the agent had nothing new to say."""
    reviewed(served)
    (given,) = served.forge.feedback(change)
    served.forge.answer(change, given, "No.")
    served.forge.answer(change, given.model_copy(update={"id": "review:999"}), "No.")
    bodies = [str(one["body"]) for one in served.world.pull_of(BRANCH).remarks]
    assert sum(body.startswith("No.") for body in bodies) == 4


def test_a_remark_on_a_removed_line_comes_with_that_line(served: ServedForge, change: ChangeRequest) -> None:
    """Each forge has its own word for a line of the old file; the hunk ends there."""
    word = REQUESTED.get(served.kind, "REQUEST_CHANGES")
    served.world.review(served.world.pull_of(BRANCH), word, remarks=[("cart.py", -4, "Why is it gone?")])
    ((remark,),) = [one.remarks for one in served.forge.feedback(change)]
    assert (remark.path, remark.line, remark.old_line) == ("cart.py", None, 4)
    assert remark.hunk == "@@ -4 +1,0 @@\n-at 4"


@pytest.mark.parametrize("served", ["gitlab"], indirect=True)
def test_remarks_on_a_former_head_keep_their_hunk_and_name_its_commit(
    served: ServedForge, change: ChangeRequest
) -> None:
    """The difference of that version is read while their threads are open."""
    pull, first = served.world.pull_of(BRANCH), change.head
    reviewed(served)
    served.world.repository.work(BRANCH, {"new.txt": "newer\n"})
    moved = change.model_copy(update={"head": served.world.head(pull)})
    assert moved.head != first
    (given,) = served.forge.feedback(moved)
    assert [(one.line, one.hunk, one.commit) for one in given.remarks] == [
        (3, "@@ -1 +3 @@\n+at 3", first), (9, "@@ -1 +9 @@\n+at 9", first),
    ]  # fmt: skip
    served.forge.answer(moved, given, "Dealt with in 4be1c0f.", resolved=True)
    asked = len(served.server.asked)
    (given,) = served.forge.feedback(moved)
    assert [(one.hunk, one.commit) for one in given.remarks] == [("", first)] * 2
    assert not [one for one in served.server.asked[asked:] if "/versions/" in one.path]


def test_a_line_that_is_gone_is_none(served: ServedForge, change: ChangeRequest) -> None:
    """GitHub sends null, Gitea 0."""
    reviewed(served)
    served.world.pull_of(BRANCH).remarks[0]["line"] = None if served.kind == "github" else 0
    (given,) = served.forge.feedback(change)
    assert [one.line for one in given.remarks] == [None, 9]


def test_a_change_without_a_number_has_no_feedback(served: ServedForge, change: ChangeRequest) -> None:
    """Nothing is asked."""
    asked = len(served.server.asked)
    assert served.forge.feedback(change.model_copy(update={"number": None})) == ()
    assert len(served.server.asked) == asked
