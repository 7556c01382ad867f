"""Whether a delivery concerns us: pure, and with a reason when it does not."""

from collections.abc import Callable
from dataclasses import dataclass

from routing.forges.config import RemoteConfig
from routing.forges.work_branch import WORK_PREFIX
from routing.issues.issue import IssueRef
from routing.webhook.delivery import Delivery
from routing.webhook.dialect import IssueNews, WorkNews

#: Actions after which an issue may be worked on, may no longer be, or blocks others differently.
ISSUE_ACTIONS = frozenset(
    {
        *("opened", "edited", "reopened", "closed", "deleted", "transferred"),
        *("assigned", "unassigned"),
        *("labeled", "unlabeled", "label_updated", "label_cleared"),
    }
)

#: Actions of comments: a person may have answered an agent.
COMMENT_ACTIONS = frozenset({"created", "edited"})

#: Actions that say nothing to us unless the issue carries the agents' label.
_OF_LABELLED = frozenset({"opened", "edited", "labeled", "created"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Relevant:
    """The issue is to be looked at again."""

    issue: IssueRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Pushed work is to be looked at now."""

    repository: str  # `FORGE:owner/name`
    branch: str = ""  # "": any of the repository's


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """Nothing is done."""

    reason: str


def judge(
    delivery: Delivery, forge: RemoteConfig, *, kill_switch: bool,
    set_as: Callable[[str], str | None] = lambda _: None,
) -> Relevant | Look | Ignored:  # fmt: skip
    """Say whether the delivery concerns us. Whether its author is trusted is asked of the forge later.

    `set_as` gives the name in the settings of a repository that is called otherwise now, None for others.

    The order of the questions is the order of the reasons that people see: a kill switch hides all others. A
    doubt counts as "relevant": reading an issue once too often does no harm.
    """
    if kill_switch:
        return Ignored(reason="the kill switch is on: nothing is dispatched")
    if delivery.event == "ping":
        return Ignored(reason="ping: the signature is right, the door is open")
    news = delivery.news
    if news is None:
        return Ignored(reason=f"event {delivery.event!r} is not about an issue, or work of ours")
    repo = forge.served.spelled(news.repo) or set_as(news.repo)
    if repo is None:
        return Ignored(reason=f"repository {news.repo!r} is not among forge.{forge.name}.repositories")
    if isinstance(news, WorkNews):
        return _of_work(news, f"{forge.name}:{repo}")
    return _of_issue(news, forge, repo)


def _of_issue(news: IssueNews, forge: RemoteConfig, repo: str) -> Relevant | Look | Ignored:
    """A comment on a request does not name its branch: any of the repository's may be meant."""
    if _may_be_feedback(news, forge):
        return Look(repository=f"{forge.name}:{repo}")
    reason = _unwanted(news, forge)
    if reason:
        return Ignored(reason=reason)
    return Relevant(issue=IssueRef(forge=forge.name, repo=repo, number=news.number))


def _may_be_feedback(news: IssueNews, forge: RemoteConfig) -> bool:
    comments = news.is_comment and news.is_pull_request and news.action in COMMENT_ACTIONS
    return comments and not _is_ours(news, forge)


def _of_work(news: WorkNews, repository: str) -> Look | Ignored:
    """A branch of somebody else's is none of our business; the main one may hold work of ours by now."""
    if news.branch and not news.branch.startswith(WORK_PREFIX):
        return Ignored(reason=f"branch {news.branch[:80]!r} holds no work of ours")
    return Look(repository=repository, branch=news.branch)


def _is_ours(news: IssueNews, forge: RemoteConfig) -> bool:
    return forge.login != "" and news.commenter.lower() == forge.login.lower()


def _unwanted(news: IssueNews, forge: RemoteConfig) -> str:
    """Why nothing is to be done about an issue of ours, or ''."""
    if news.is_pull_request and not (news.is_comment and _is_ours(news, forge)):
        return "it is about a pull request, not an issue"
    if news.action not in (COMMENT_ACTIONS if news.is_comment else ISSUE_ACTIONS):
        return f"action {news.action!r} changes nothing for us"
    if news.is_comment and _is_ours(news, forge):
        return "it is our own comment"
    if forge.label is not None and not _may_concern(news, forge.label):
        return f"the issue does not carry the label {forge.label!r}"
    return ""


def _may_concern(news: IssueNews, label: str) -> bool:
    """Whether the issue carries the agents' label, or may have lost it just now.

    Gitea's `label_updated` does not say which label it is about: when the issue has not got ours, it may
    have been taken off.
    """
    wanted = label.casefold()  # some forges tell labels apart by case; the live issue decides
    if wanted in {name.casefold() for name in news.labels}:
        return True
    if news.action == "unlabeled":
        return news.label is None or news.label.casefold() == wanted
    return news.action not in _OF_LABELLED
