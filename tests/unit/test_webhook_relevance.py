"""What concerns us and what does not, as a table."""

from dataclasses import replace
from typing import Any

import pytest

from routing.issues.issue import IssueRef
from routing.webhook.delivery import Delivery
from routing.webhook.dialect import IssueNews, News, WorkNews
from routing.webhook.relevance import COMMENT_ACTIONS, ISSUE_ACTIONS, Ignored, Look, Relevant, judge
from tests.fakes.deliveries import section

ISSUE = IssueNews(action="opened", repo="acme/shop", number=161, actor="ada", labels=frozenset({"agent"}))
COMMENT = replace(ISSUE, is_comment=True, action="created", commenter="ada")


def delivered(news: News | None, *, event: str = "issues") -> Delivery:
    """A delivery with this news."""
    return Delivery(forge="gitea", id="1", digest="d", event=event, news=news)


def reason(news: News | None, *, event: str = "issues", kill_switch: bool = False, **changes: Any) -> str:
    """Why it is ignored, '' when it is not."""
    found = judge(delivered(news, event=event), section(**changes), kill_switch=kill_switch)
    return found.reason if isinstance(found, Ignored) else ""


@pytest.mark.parametrize("action", sorted(ISSUE_ACTIONS))
def test_changes_of_an_issue_concern_us(action: str) -> None:
    """Whatever may make an issue ready, or take it away."""
    found = judge(delivered(replace(ISSUE, action=action)), section(), kill_switch=False)
    assert found == Relevant(issue=IssueRef(forge="gitea", repo="acme/shop", number=161))


def test_a_renamed_repository_is_known_by_its_name_in_the_settings() -> None:
    """Its issues, and its branches, go by that name; a name that nobody knows stays foreign."""
    set_as = {"acme/store": "acme/shop"}.get
    for news in (replace(ISSUE, repo="acme/store"), WorkNews(action="push", repo="acme/store")):
        found = judge(delivered(news), section(), kill_switch=False, set_as=set_as)
        ours = {
            Relevant(issue=IssueRef(forge="gitea", repo="acme/shop", number=161)),
            Look(repository="gitea:acme/shop"),
        }
        assert found in ours
    other = replace(ISSUE, repo="acme/other")
    assert isinstance(judge(delivered(other), section(), kill_switch=False, set_as=set_as), Ignored)


@pytest.mark.parametrize("action", sorted(COMMENT_ACTIONS))
def test_comments_of_others_concern_us_and_our_own_do_not(action: str) -> None:
    """An agent's own comment must not set it to work again; logins have no case."""
    other = replace(COMMENT, action=action)
    assert reason(other) == ""
    assert "our own" in reason(replace(other, commenter="AgentBot"))
    assert reason(replace(other, commenter="AgentBot"), login="") == ""


@pytest.mark.parametrize(
    ("news", "said"),
    [
        (replace(ISSUE, action="pinned"), "'pinned'"),
        (replace(ISSUE, action=""), "''"),
        (replace(ISSUE, action="created"), "'created'"),
        (replace(COMMENT, action="deleted"), "'deleted'"),
        (replace(ISSUE, repo="acme/other"), "'acme/other' is not among forge.gitea.repositories"),
        (replace(ISSUE, repo="../../etc"), "is not among"),
        (replace(ISSUE, is_pull_request=True), "pull request"),
        (replace(COMMENT, is_pull_request=True, commenter="agentbot"), "our own comment"),
        (replace(COMMENT, is_pull_request=True, action="deleted"), "pull request"),
        (WorkNews(action="push", repo="acme/shop", branch="feature/x"), "no work of ours"),
        (WorkNews(action="push", repo="acme/other"), "is not among"),
    ],
)
def test_everything_else_is_ignored_with_a_reason(news: News, said: str) -> None:
    """The reason names what it was."""
    assert said in reason(news)


@pytest.mark.parametrize(
    ("event", "said"), [("ping", "ping"), ("push", "'push' is not about an issue, or work of ours")]
)
def test_other_events_are_ignored_by_name(event: str, said: str) -> None:
    """They may be about anything."""
    assert said in reason(None, event=event)


@pytest.mark.parametrize(
    ("news", "branch"),
    [
        (WorkNews(action="closed", repo="Acme/Shop", branch="coalmine/0123456789abcdef"), None),
        (WorkNews(action="push", repo="acme/shop"), ""),
        (replace(COMMENT, is_pull_request=True), ""),
    ],
)
def test_what_happens_to_work_has_it_looked_at(news: News, branch: str | None) -> None:
    """One branch of ours, or all of a repository's where the forge does not say which."""
    wanted = "coalmine/0123456789abcdef" if branch is None else branch
    found = judge(delivered(news, event="push"), section(), kill_switch=False)
    assert found == Look(repository="gitea:acme/shop", branch=wanted)


def test_no_repository_is_listened_to_unless_it_is_named() -> None:
    """A fresh installation does nothing."""
    assert "is not among" in reason(ISSUE, repositories=())


def test_kill_switch_comes_first() -> None:
    """Whatever it is, nothing is dispatched."""
    assert "kill switch" in reason(ISSUE, kill_switch=True)
    assert "kill switch" in reason(replace(ISSUE, repo="acme/other"), kill_switch=True)


def test_repository_has_the_spelling_of_the_settings() -> None:
    """Forges ignore case in names; one issue must have one name with us."""
    found = judge(delivered(replace(ISSUE, repo="Acme/SHOP")), section(name="corp"), kill_switch=False)
    assert isinstance(found, Relevant)
    assert str(found.issue) == "corp:acme/shop#161"


@pytest.mark.parametrize(
    ("action", "label", "labels", "concerns"),
    [
        ("label_updated", None, {"agent"}, True),  # Gitea: put on, or another one was
        ("label_updated", None, {"bug"}, True),  # Gitea: may have been taken off
        ("label_cleared", None, set(), True),
        ("labeled", "agent", {"agent"}, True),
        ("labeled", "bug", {"bug"}, False),
        ("labeled", "bug", {"bug", "agent"}, True),
        ("labeled", "agent", set(), False),  # overtaken: it is off again
        ("unlabeled", "agent", set(), True),
        ("unlabeled", "bug", set(), False),
        ("unlabeled", None, set(), True),
        ("unlabeled", "ready-for-human", {"agent"}, True),
        ("opened", None, set(), False),
        ("edited", None, {"agent"}, True),
        ("assigned", None, set(), True),  # Gitea: comes before `opened`
        ("closed", None, set(), True),  # it may block others
        ("reopened", None, set(), True),
    ],
)
def test_label_of_the_agents(action: str, label: str | None, labels: set[str], *, concerns: bool) -> None:
    """With a label set, an issue that has not got it and cannot just have lost it is left alone."""
    news = replace(ISSUE, action=action, label=label, labels=frozenset(labels))
    assert (reason(news, label="agent") == "") is concerns
    assert reason(news) == ""


def test_own_actions_other_than_comments_concern_us() -> None:
    """A small team's agents may write under a person's account: its labels and assignments count."""
    assert reason(replace(ISSUE, action="labeled", actor="agentbot")) == ""
