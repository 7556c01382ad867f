"""What GitHub and Gitea send, where the two agree. Unknown fields are ignored, empty ones may be null.

A field is here only if something is done with it, and is required only if nothing can be done without it: so
a new version of a forge breaks nothing by sending more, or null. Names are the forges' own; the records of
Coalmine are made from these in the adapters.

See https://docs.github.com/rest, and `/api/swagger` of a Gitea.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

Item = TypeVar("Item")


def _null_is_empty(value: Any) -> Any:
    """Both send null for a text that nobody has written."""
    return "" if value is None else value


def _null_is_none_of_them(value: Any) -> Any:
    """Gitea sends null for an empty list."""
    return () if value is None else value


def _named(value: Any) -> Any:
    """GitHub's description lets a label be its bare name."""
    return {"name": value} if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_null_is_empty)]
Items = Annotated[tuple[Item, ...], BeforeValidator(_null_is_none_of_them)]
# The login of a user object; "" for null, which stands for a user who was deleted.
Login = Annotated[
    str, BeforeValidator(lambda user: user.get("login") or "" if isinstance(user, Mapping) else "")
]


class Wire(BaseModel):
    """The base of all bodies: frozen, and never shown in an error, as it may hold a secret."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class WireLabel(Wire):
    """A label; Gitea asks for its id."""

    id: int = 0
    name: str


class WireUser(Wire):
    """The user whose token it is."""

    login: Annotated[str, Field(min_length=1)]


class WireRights(Wire):
    """What the user whose token it is may do in a repository."""

    admin: bool = False
    push: bool = False
    pull: bool = False

    @property
    def denies_push(self) -> bool:
        """Whether it is a plain no. GitHub shows no right at all for the token of an App's installation."""
        return self.pull and not self.push


class WireRepository(Wire):
    """A repository; within an issue Gitea sends its full name only."""

    id: int = 0  # which it keeps under all of its names
    full_name: str
    default_branch: str = "main"
    archived: bool = False
    has_issues: bool = True
    permissions: WireRights | None = None  # which GitHub leaves out for some tokens of Apps


class WireIssue(Wire):
    """An issue, or on GitHub a pull request that is listed among them."""

    number: Annotated[int, Field(gt=0)]  # GitHub's `id` is another number and is not what people write
    title: Annotated[str, Field(min_length=1)]
    body: Text = ""
    labels: Items[Annotated[WireLabel, BeforeValidator(_named)]] = ()
    state: Literal["open", "closed"]
    user: Login = ""
    assignees: Items[WireUser] = ()
    updated_at: AwareDatetime
    html_url: Text = ""
    pull_request: Any = None  # null unless it is a pull request
    repository: WireRepository | None = None
    repository_url: Text = ""


class WireComment(Wire):
    """A comment on an issue."""

    id: int
    user: Login = ""
    body: Text = ""
    created_at: AwareDatetime | None = None
    issue_url: Text = ""  # ends with the number of its issue
    pull_request_url: Text = ""  # Gitea's, in place of the former


class WirePermission(Wire):
    """What a user may do, as a word: the forges' words are mapped in `forge.py`."""

    permission: str


class WireStatus(Wire):
    """What one context says of a commit: `state` on GitHub, `status` on Gitea."""

    context: Text = ""
    state: str = Field(validation_alias=AliasChoices("state", "status"))
    description: Text = ""
    target_url: Text = ""
    updated_at: AwareDatetime | None = None
    created_at: AwareDatetime | None = None


class WireSignature(Wire):
    """Who made a commit, of which only the time matters."""

    date: AwareDatetime


class WireCommitFacts(Wire):
    """What git itself knows of a commit."""

    message: Text = ""
    committer: WireSignature


class WireCommit(Wire):
    """A commit of a listing; `sha` is the whole hash."""

    sha: str
    commit: WireCommitFacts


class WireBranchTip(Wire):
    """The newest commit of a branch: `sha` on GitHub, `id` on Gitea."""

    sha: Text = Field("", validation_alias=AliasChoices("sha", "id"))


class WireBranchName(Wire):
    """A branch; a renamed one is shown under its new name."""

    name: str
    commit: WireBranchTip = WireBranchTip()
    protected: bool = False  # by whatever rule


class WireTipCommit(Wire):
    """The newest commit of a branch: `sha` on GitHub, `id` on Gitea."""

    sha: Annotated[str, Field(validation_alias=AliasChoices("sha", "id"))]


class WireTip(Wire):
    """A branch with its newest commit."""

    commit: WireTipCommit


class WireBranch(Wire):
    """One end of a pull request."""

    ref: Text = ""  # the branch; on Gitea `refs/pull/N/head` once the branch is deleted
    label: Text = ""  # `owner:branch` on GitHub, the branch on Gitea
    sha: Text = ""
    repo: WireRepository | None = None  # null when the repository is gone


class WirePull(Wire):
    """A pull request."""

    number: int
    title: Text = ""
    body: Text = ""
    state: Literal["open", "closed"]
    head: WireBranch
    base: WireBranch
    merged_at: AwareDatetime | None = None
    mergeable: bool | None = None  # null while GitHub looks for conflicts; listings leave it out
    merge_commit_sha: Text = ""  # of an open one on GitHub: a trial merge
    html_url: Text = ""


class WireReview(Wire):
    """A review of a pull request."""

    id: int = 0
    user: Login = ""
    state: Text = ""
    body: Text = ""
    comments_count: int | None = None  # remarks that it has, as Gitea says; GitHub does not
    commit_id: Text = ""
    submitted_at: AwareDatetime | None = None  # null while it is being written
    dismissed: bool | None = None  # Gitea's; GitHub says it in the state


def is_of(pull: WirePull, repo: str, branch: str) -> bool:
    """Whether it is of this branch of this repository, and not of a fork's branch of the same name."""
    # Forges redirect from a repository's old name, and send the new one.
    ours = pull.base.repo.full_name if pull.base.repo is not None else repo
    if pull.head.repo is not None and pull.head.repo.full_name.casefold() != ours.casefold():
        return False
    owner = ours.partition("/")[0].casefold()
    label_owner, _, label_branch = pull.head.label.rpartition(":")
    named = branch in {pull.head.ref, label_branch}
    return named and (not label_owner or label_owner.casefold() == owner)
