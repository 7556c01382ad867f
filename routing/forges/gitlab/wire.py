"""What GitLab sends, under the names that `routing.forges.rest.wire` has for the same.

A shape here can stand where the shared one does, so that the shared parts read GitLab, too. See
https://docs.gitlab.com/api/rest/.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from routing.forges.rest.wire import (
    Items,
    Text,
    Wire,
    WireBranch,
    WireComment,
    WireIssue,
    WirePull,
    WireRepository,
    WireRights,
    WireUser,
)

#: Roles by their levels: https://docs.gitlab.com/api/access_requests/#valid-access-levels
GUEST, DEVELOPER, MAINTAINER = 10, 30, 40

#: The state of a merge request while GitLab is merging it.
_LOCKED = "locked"


def _username(user: Any) -> str:
    return user.get("username") or "" if isinstance(user, Mapping) else ""


#: The name of a user object; "" for null.
GitLabLogin = Annotated[str, BeforeValidator(_username)]
_Flag = Annotated[bool, BeforeValidator(bool)]  # null is no


def _state(value: Any) -> Any:
    return "open" if value == "opened" else value


def _named_by_reference(value: Any) -> Any:
    """`group/project#3` names the project that an issue is in."""
    full = value.get("full") if isinstance(value, Mapping) else None
    return {"id": 0, "path_with_namespace": full.rpartition("#")[0]} if isinstance(full, str) else None


def _rights(value: Any) -> Any:
    """The higher of the roles in the project and in its groups; null where neither is shown."""
    if not isinstance(value, Mapping):
        return None
    roles = [one.get("access_level") for one in value.values() if isinstance(one, Mapping)]
    levels = [level for level in roles if isinstance(level, int)]
    return rights_of(max(levels)) if levels else None


def rights_of(level: int) -> WireRights:
    """What a role may do."""
    return WireRights(admin=level >= MAINTAINER, push=level >= DEVELOPER, pull=level >= GUEST)


class GitLabUser(WireUser):
    """A user; some requests take the number alone."""

    id: int = 0
    login: Annotated[str, Field(min_length=1, validation_alias="username")]
    state: Text = ""  # `active`, or `blocked` and others


class GitLabMember(Wire):
    """What somebody may do in a project, with what is inherited of its groups."""

    access_level: int = 0
    state: Text = "active"  # else the membership is yet to be approved


class GitLabProject(WireRepository):
    """A project."""

    id: int
    full_name: str = Field(validation_alias="path_with_namespace")
    default_branch: Annotated[str, BeforeValidator(lambda name: name or "main")] = "main"
    has_issues: bool = Field(True, validation_alias="issues_enabled")
    permissions: Annotated[WireRights | None, BeforeValidator(_rights)] = None
    doomed_on: Text = Field("", validation_alias="marked_for_deletion_on")
    merge_method: Text = "merge"  # else `rebase_merge` or `ff`
    merge_trains_enabled: _Flag = False


class GitLabIssue(WireIssue):
    """An issue; its number is called `iid`, and is counted in its project."""

    id: int = 0  # of the database, which GraphQL knows it by
    number: Annotated[int, Field(gt=0, validation_alias="iid")]
    body: Text = Field("", validation_alias="description")
    state: Annotated[Literal["open", "closed"], BeforeValidator(_state)]
    user: GitLabLogin = Field("", validation_alias="author")
    assignees: Items[GitLabUser] = ()
    html_url: Text = Field("", validation_alias="web_url")
    repository: Annotated[GitLabProject | None, BeforeValidator(_named_by_reference)] = Field(
        None, validation_alias="references"
    )
    closed_by: GitLabLogin = ""
    moved_to_id: int | None = None  # of the issue that goes on in its place
    link_type: Text = ""  # in a listing of linked issues


class GitLabNote(WireComment):
    """A note: a comment, or with `system` what GitLab itself says that somebody did."""

    user: GitLabLogin = Field("", validation_alias="author")
    system: bool = False


class GitLabPull(WirePull):
    """A merge request."""

    number: int = Field(validation_alias="iid")
    body: Text = Field("", validation_alias="description")
    html_url: Text = Field("", validation_alias="web_url")
    detailed_merge_status: Text = ""  # why it can be merged, or cannot
    has_conflicts: _Flag = False
    rebase_in_progress: _Flag = False
    merge_error: Text = ""  # of the last try to merge or to rebase
    merged_at: AwareDatetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_its_ends(cls, value: Any) -> Any:
        """Branches, and what it was merged as, are members of the request itself."""
        if not isinstance(value, Mapping):
            return value
        foreign = value.get("source_project_id") != value.get("target_project_id")
        elsewhere = {"id": 0, "path_with_namespace": ""} if foreign else None
        head: dict[str, Any] = {"ref": value.get("source_branch"), "sha": value.get("sha")}
        given = GitLabProject.model_validate(elsewhere) if elsewhere else None
        merged = value.get("state") == "merged"
        landed = value.get("merge_commit_sha") or value.get("squash_commit_sha") or value.get("sha")
        return dict(value) | {
            "state": "open" if value.get("state") in {"opened", _LOCKED} else "closed",
            "head": WireBranch.model_validate({**head, "repo": given}),
            "base": WireBranch.model_validate({"ref": value.get("target_branch")}),
            "merge_commit_sha": landed if merged else "",
        }
