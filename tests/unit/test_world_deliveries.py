"""What the suite's forges deliver is what real ones do, so that tests over it prove something."""

from pathlib import Path

import pytest
from pydantic_core import from_json

from routing.webhook.dialect import WorkNews
from tests.fakes.deliveries import DELIVERING_KINDS, SECRET, SentDelivery, dialect_of, news_of, read, recorded
from tests.fakes.forge_world import OWN_LOGIN, ForgeWorld
from tests.fakes.world_deliveries import deliveries_of, review_deliveries
from tests.repositories import new_repository


@pytest.fixture
def world(tmp_path: Path) -> ForgeWorld:
    """A repository without issues."""
    return ForgeWorld(new_repository(tmp_path, bare=True))


def actions(requests: tuple[SentDelivery, ...]) -> list[str]:
    """What each says that happened."""
    return [from_json(request.body)["action"] for request in requests]


@pytest.mark.parametrize("kind", DELIVERING_KINDS)
def test_what_people_do_is_delivered(world: ForgeWorld, kind: str) -> None:
    """Signed, with who did it and what the issue is like afterwards; Gitea does not name the label."""
    issue = world.open_issue("Slow", "text")
    world.label(issue, "agent", "coalmine")
    (request,) = deliveries_of(kind, world, issue, "labeled")
    news = news_of(request)
    assert (news.repo, news.number, news.actor) == (world.repo, issue.number, "coalmine")
    assert news.labels == {"agent"}
    assert news.label == ("agent" if kind == "github" else None)
    world.close(issue, "reader")
    (request,) = deliveries_of(kind, world, issue, "closed")
    assert news_of(request).actor == "reader"
    world.comment(issue.number, OWN_LOGIN, "Done")
    (request,) = deliveries_of(kind, world, issue, "commented")
    news = news_of(request)
    assert (news.is_comment, news.action, news.commenter) == (True, "created", OWN_LOGIN)


@pytest.mark.parametrize("kind", DELIVERING_KINDS)
def test_a_delivery_that_is_sent_again_is_the_same(world: ForgeWorld, kind: str) -> None:
    """Its id does not change; another happening has another."""
    issue = world.open_issue("Slow", "text")
    world.label(issue, "agent")
    (first,) = deliveries_of(kind, world, issue, "labeled")
    assert deliveries_of(kind, world, issue, "labeled") == (first,)
    world.unlabel(issue, "agent")
    world.label(issue, "agent")
    (second,) = deliveries_of(kind, world, issue, "labeled")
    identifier = dialect_of(kind).delivery[0]
    assert first.headers[identifier] != second.headers[identifier]


def test_a_new_issue_is_delivered_as_each_forge_does(world: ForgeWorld) -> None:
    """GitHub tells of everything by itself; Gitea of the assignment first, and twice, and of no label."""
    issue = world.open_issue("Slow", "text", labels=["agent"])
    world.assign(issue, "coalmine")
    assert actions(deliveries_of("github", world, issue, "opened")) == [
        "opened",
        "labeled",
        "assigned",
    ]
    sent = deliveries_of("gitea", world, issue, "opened")
    assert actions(sent) == ["assigned", "assigned", "opened"]
    assert sent[0] == sent[1] != sent[2]


def test_they_are_shaped_like_the_recordings(world: ForgeWorld) -> None:
    """No header and no member is made up, and the signature is right."""
    issue = world.open_issue("Slow", "text")
    for kind in DELIVERING_KINDS:
        world.assign(issue, "coalmine")
        world.edit_body(issue, "other text")
        world.comment(issue.number, "ann", "Really?")
        for action in ("opened", "assigned", "edited", "commented"):
            for request in deliveries_of(kind, world, issue, action):
                assert dialect_of(kind).is_signed((SECRET,), request.headers, request.body)
    real = recorded()
    for action, said in (
        ("opened", "opened"),
        ("assigned", "assigned"),
        ("edited", "edited"),
        ("commented", "created"),
    ):
        ours = deliveries_of("gitea", world, issue, action)[-1]
        theirs = next(one for one in real if from_json(one.body)["action"] == said)
        assert set(ours.headers) <= set(theirs.headers)
        known, shown = from_json(theirs.body), from_json(ours.body)
        assert set(known) - {"secret"} == set(shown)
        for part in ("issue", "repository", "sender"):
            assert set(shown[part]) <= set(known[part]), part


@pytest.mark.parametrize("kind", DELIVERING_KINDS)
def test_reviews_are_delivered_as_news_of_the_work(world: ForgeWorld, kind: str) -> None:
    """Whatever they say; a review that only comments is of an event of its own on Gitea."""
    branch = "coalmine/0123456789abcdef"
    world.repository.work(branch, {"cart.py": "sum\n"})
    pull = world.open_pull(branch, "Fast")
    words = ("APPROVED", "CHANGES_REQUESTED" if kind == "github" else "REQUEST_CHANGES", "COMMENT")
    for word in words:
        world.review(pull, word, "ann", body="See there.", remarks=[("cart.py", 1, "Why?")])
        sent = review_deliveries(kind, world, pull)
        assert len(sent) == {"github": 2, "gitlab": 3 if word == "APPROVED" else 2}.get(kind, 1)
        for one in sent:
            news = read(one).news
            assert isinstance(news, WorkNews), one.headers
            assert (news.repo, news.branch, news.actor) == (world.repo, branch, "ann")
            assert dialect_of(kind).is_signed([SECRET], one.headers, one.body)
