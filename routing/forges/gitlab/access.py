"""What a token may do on GitLab, what people may do there, and which version answers."""

import re
from typing import Annotated

from pydantic import Field

from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.forge import Permission
from routing.forges.gitlab.issues import GitLabIssues
from routing.forges.gitlab.projects import GitLabProjects
from routing.forges.gitlab.wire import (
    DEVELOPER,
    GUEST,
    MAINTAINER,
    GitLabMember,
    GitLabProject,
    GitLabUser,
    rights_of,
)
from routing.forges.rest.access import RestAccess
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment
from routing.forges.rest.wire import Items, Text, Wire, WireRepository, WireRights
from routing.forges.work_branch import WORK_PREFIX
from routing.printable import printable

#: The first whose API leads from the old name of a project to the new one.
OLDEST = (16, 7)

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")

#: A branch as ours are called.
_ANY_WORK = f"{WORK_PREFIX}{'0' * 16}"

_ACTIVE = "active"
_NOT_SHOWN = (ForgeGoneError, ForgeRefusedError, ForgeInvalidError)


class GitLabVersion(Wire):
    """The server's version."""

    version: Annotated[str, Field(min_length=1, max_length=100)]


class WirePusher(Wire):
    """Who may push to protected branches: a role, a user, or a group."""

    access_level: int | None = None  # 0: nobody
    user_id: int | None = None
    group_id: int | None = None


class GitLabProtection(Wire):
    """A branch, or a pattern of them, whose pushes are restricted."""

    name: Text = ""
    push_access_levels: Items[WirePusher] = ()


class GitLabAccess(RestAccess):
    """What is GitLab's own way."""

    def __init__(self, client: ForgeClient, projects: GitLabProjects, issues: GitLabIssues) -> None:
        super().__init__(client)
        self._projects = projects
        self._issues = issues

    def permission(self, repo: str, user: str) -> Permission:
        """Ask what the user may do, by the role that is inherited too: Developers may write."""
        path = self._projects.path(repo)
        if not user.strip():
            return Permission.NONE
        found = self._issues.user(user.strip())
        if found is None or found.state not in {"", _ACTIVE}:
            return Permission.NONE
        level = self._level(path, found.id)
        if level >= MAINTAINER:
            return Permission.ADMIN
        if level >= DEVELOPER:
            return Permission.WRITE
        return Permission.READ if level >= GUEST else Permission.NONE

    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """Those of a group, without its subgroups, or of a user; without archived ones."""
        name = path_segment(owner)
        asked = {"archived": "false", "order_by": "id", "sort": "asc"}
        try:
            alone = {"include_subgroups": "false", "with_shared": "false"}
            listing = self._client.read_all(f"/groups/{name}/projects", asked | alone)
        except ForgeGoneError:  # a user, and no group
            listing = self._client.read_all(f"/users/{name}/projects", asked | {"pagination": "keyset"})
        found = self._client.parsed_all(GitLabProject, listing)
        return tuple(one.full_name for one in found if not one.archived)

    def fault_of(self, repo: str) -> str:
        """Also a project that is about to be deleted."""
        found = super().fault_of(repo)
        if not found and (project := self._projects.read(repo)).doomed_on:
            return f"{repo} is to be deleted on {printable(project.doomed_on)}; take it out of the settings"
        return found

    def read(self, repo: str) -> WireRepository:
        """The project; where it shows no role of ours (it was shared with a group), that is asked for."""
        project = self._projects.read(repo)
        if project.permissions is None and (level := self._own_level(project.id)):
            return project.model_copy(update={"permissions": rights_of(level)})
        return project

    def _look_at_issues(self, repo: str) -> None:
        self._client.get(f"{self._projects.path(repo)}/issues", {"state": "opened", "per_page": "1"})

    def _branch_path(self, repo: str, branch: str) -> str:
        return self._projects.branch_path(repo, branch)

    def _version(self) -> str:
        """An old version is noted, and refused nowhere; some tokens may not ask for it."""
        try:
            version = self._client.parsed(GitLabVersion, self._client.get("/version")).version
        except _NOT_SHOWN:
            return "a GitLab that does not show its version to this token"
        found = _VERSION.match(version)
        if found is None:
            return f"a GitLab of version {printable(version)!r}, which is not known"
        if (int(found[1]), int(found[2])) < OLDEST:
            needed = ".".join(map(str, OLDEST))
            return f"a GitLab of version {version}, older than {needed}: it does not follow renamed projects"
        return f"a GitLab of version {version}"

    def _shut(self, repo: str) -> str:
        """A protection of our branches that does not let us push; one that is not shown says nothing."""
        path = self._projects.path(repo)
        try:
            listing = self._client.read_all(f"{path}/protected_branches")
            rules = [self._client.parsed(GitLabProtection, item) for item in listing.items]
            shut = next(
                (rule for rule in rules if names(rule.name, _ANY_WORK) and not self._lets_in(path, rule)),
                None,
            )
        except _NOT_SHOWN:
            return ""
        if shut is None:
            return ""
        return (
            f"the branch protection {printable(shut.name)} of {repo} does not let us push branches "
            f"{WORK_PREFIX}JOB; let our user push there, or leave {WORK_PREFIX}* out of it"
        )

    def _lets_in(self, path: str, rule: GitLabProtection) -> bool:
        """Whether our role or our user is named; of whom a group consists is not looked at."""
        if not rule.push_access_levels or any(one.group_id for one in rule.push_access_levels):
            return True
        own = self._own()
        if own.id in {one.user_id for one in rule.push_access_levels}:
            return True
        needed = [one.access_level for one in rule.push_access_levels if one.access_level and not one.user_id]
        level = self._level(path, own.id)
        return bool(needed) and (not level or level >= min(needed))

    def _own(self) -> GitLabUser:
        return self._client.parsed(GitLabUser, self._client.get("/user"))

    def _own_level(self, project: int) -> int:
        return self._level(f"/projects/{project}", self._own().id)

    def _level(self, path: str, user: int) -> int:
        """The role of a user, 0 for none."""
        try:
            member = self._client.parsed(GitLabMember, self._client.get(f"{path}/members/all/{user}"))
        except ForgeGoneError:
            return 0
        return member.access_level if member.state == _ACTIVE else 0

    def _lacks(self, rights: WireRights | None) -> list[str]:
        """GitLab shows the user's role; a token may have been given less."""
        note = "the token may have fewer rights than its user: see docs/forges.md"
        return [note] if rights is not None and rights.push else []


def names(pattern: str, branch: str) -> bool:
    """Whether a protection names a branch: `*` stands for anything, slashes too."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), branch) is not None
