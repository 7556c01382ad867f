"""Merge requests on GitLab: https://docs.gitlab.com/api/merge_requests/.

How a project merges (by a merge commit, or by fast-forward alone) is a setting of the project; what is asked
for here is whether its commits are squashed. GitLab brings a branch up to date by a rebase.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import AwareDatetime

from routing.base import Base
from routing.forges.change_request import ChangeRequest, ChangeState, Review, ReviewVerdict, in_rounds
from routing.forges.errors import (
    ForgeGoneError,
    ForgeInvalidError,
    ForgeOutdatedError,
    ForgeRefusedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.gitlab.discussions import GitLabDiscussions
from routing.forges.gitlab.merge_train import board, leave, why_off
from routing.forges.gitlab.projects import GitLabProjects
from routing.forges.gitlab.text import title_text, without_commands
from routing.forges.gitlab.wire import GitLabPull
from routing.forges.rest.changes import NOT_MERGED, RestChanges
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment
from routing.forges.rest.wire import Text, Wire, WireCommit, WireCommitFacts, WirePull, WireSignature
from routing.forges.written_text import checked_name

#: Statuses with which GitLab says that a request cannot be merged, or rebased.
_REFUSED = NOT_MERGED | {403, 406, 422}

#: States of a request that pass by themselves: https://docs.gitlab.com/api/merge_requests/#merge-status
_PASSING: Final = frozenset({"unchecked", "checking", "preparing", "approvals_syncing", "ci_still_running"})

#: Where a project merges by fast-forward, or wants that it could be: the branch lacks commits of its target.
_LACKS_COMMITS: Final = "need_rebase"

_FAST_FORWARD = "ff"


class WireMergeBase(Wire):
    """The commit that two have in common."""

    id: Text = ""


class GitLabCommit(Wire):
    """A commit with what git knows of it."""

    id: str
    message: Text = ""
    committed_date: AwareDatetime


class GitLabChanges(RestChanges):
    """What is GitLab's own way."""

    verdicts: Mapping[str, ReviewVerdict] = {}
    pull_model = GitLabPull

    def __init__(
        self, client: ForgeClient, *, projects: GitLabProjects, discussions: GitLabDiscussions,
        own_login: Callable[[], str], **parts: Any,
    ) -> None:  # fmt: skip
        super().__init__(client, **parts)
        self._projects = projects
        self._discussions = discussions
        self._own_login = own_login

    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """The verdicts as GitLab notes them, each with the commit that was there to be looked at."""
        if change.number is None:
            return ()
        path = self._path(change.repo, change.number)
        return in_rounds(
            Review(author=one.author, verdict=one.verdict, commit=one.commit, at=one.at)
            for one in self._discussions.verdicts(path)
        )

    def bring_up_to_date(self, change: ChangeRequest, onto: Base, base: Base | None) -> str:
        """A merge train judges its own merges: then the branch is left as it is."""
        if self._projects.read(change.repo).merge_trains_enabled:
            return change.head
        return super().bring_up_to_date(change, onto, base)

    def withdraw_merge(self, change: ChangeRequest) -> None:
        """Take it out of the merge train."""
        if change.number is not None and change.state is ChangeState.OPEN:
            leave(self._client, self._projects.path(change.repo), change.number)

    def why_dequeued(self, change: ChangeRequest) -> str:
        """By GitLab's notes, where the project has a merge train."""
        if change.number is None or not self._projects.read(change.repo).merge_trains_enabled:
            return ""
        return why_off(self._client, self._projects.path(change.repo), change.number, change.head)

    def _pulls_of(self, repo: str, branch: str) -> list[WirePull]:
        asked = {"state": "all", "source_branch": branch, "order_by": "created_at", "sort": "desc"}
        listing = self._client.read_all(f"{self._projects.path(repo)}/merge_requests", asked)
        return list(self._client.parsed_all(GitLabPull, listing))

    def requests_of(self, repo: str, commit: str) -> list[WirePull]:
        """Those that hold the commit, or were merged or squashed as it."""
        path = f"{self._projects.path(repo)}/repository/commits/{commit}/merge_requests"
        return list(self._client.parsed_all(GitLabPull, self._client.read_all(path)))

    def _send_open(self, repo: str, branch: str, target: str, title: str, text: str) -> Any:
        """409 when there is an open one. A title that begins with `Draft:` would make a draft of it."""
        asked = {
            "source_branch": branch, "target_branch": target, "title": title_text(title),
            "description": without_commands(text), "squash": self._config.merge_method == "squash",
        }  # fmt: skip
        path = f"{self._projects.path(repo)}/merge_requests"
        return self._client.write("POST", path, asked, repeatable=False)

    def _ask_to_merge(self, repo: str, number: int, head: str, title: str, text: str) -> None:
        """By the merge train, where the project has one."""
        project = self._projects.read(repo)
        if project.merge_trains_enabled:
            squash = self._config.merge_method == "squash"
            path = self._projects.path(repo)
            raise board(self._client, path, number, head, squash=squash, own_login=self._own_login)
        if self._config.merge_method == "rebase" and project.merge_method != _FAST_FORWARD:
            message = (
                f'{repo} makes merge commits, and merge_method is "rebase"; set the merge method of the '
                "project to fast-forward, or merge_method to another"
            )
            raise ForgeRefusedError(message)
        super()._ask_to_merge(repo, number, head, title, text)

    def _send_merge(self, path: str, head: str, title: str, text: str) -> None:
        """PUT …/merge with `sha`: 409 when the head is another commit, 405 when it cannot be merged.

        Why not is in the request's status. 401 is GitLab's word for a user who may not merge this one, too.
        """
        message = f"{title}\n\n{text}".strip()
        squash = self._config.merge_method == "squash"
        asked = {"sha": head, "squash": squash, "merge_commit_message": message}
        if squash:
            asked["squash_commit_message"] = message
        try:
            self._client.write("PUT", path, asked, repeatable=False, refused=_REFUSED)
        except ForgeRefusedError as error:
            why = self._client.parsed(
                GitLabPull, self._client.get(path.removesuffix("/merge"))
            ).detailed_merge_status
            if why == _LACKS_COMMITS:
                message = f"GitLab merges it only once it is rebased ({why}): {error}"
                raise ForgeOutdatedError(message) from error
            if why in _PASSING:
                message = f"GitLab is not ready to merge yet ({why}): {error}"
                raise ForgeUnreachableError(message) from error
            if isinstance(error, ForgeTokenError):
                message = (
                    f"the user whose token it is may not merge this request ({why}); let it, or merge by hand"
                )
                raise ForgeRefusedError(message) from error
            message = f"{error}; its status is {why or 'not known'}"
            raise ForgeRefusedError(message) from error

    def _send_update(self, path: str, head: str) -> None:
        """PUT …/rebase, which is done some time after the answer, or leaves its reason in the request."""
        pull = self._client.parsed(GitLabPull, self._client.get(path, {"include_rebase_in_progress": "true"}))
        if pull.rebase_in_progress or pull.head.sha != head:
            return
        if pull.has_conflicts or "rebase" in pull.merge_error.lower():
            why = pull.merge_error or "it has conflicts with the branch that it goes to"
            message = f"GitLab could not rebase it: {why}"
            raise ForgeRefusedError(message)
        self._client.write("PUT", f"{path}/rebase", repeatable=False, refused=_REFUSED)

    def _contains(self, repo: str, base: str, commit: str) -> bool:
        """A branch holds a commit that is the newest which the two have in common."""
        asked = "&".join(f"refs[]={path_segment(name)}" for name in (base, commit))
        try:
            said = self._client.get(f"{self._projects.path(repo)}/repository/merge_base?{asked}")
        except (ForgeGoneError, ForgeInvalidError):
            self._commit(repo, commit)  # gone itself, or of a history that shares nothing with the branch
            return False
        return self._client.parsed(WireMergeBase, said).id == commit

    def _commit(self, repo: str, commit: str) -> WireCommit:
        value = self._client.get(f"{self._projects.path(repo)}/repository/commits/{commit}")
        known = self._client.parsed(GitLabCommit, value)
        facts = WireCommitFacts(message=known.message, committer=WireSignature(date=known.committed_date))
        return WireCommit(sha=known.id, commit=facts)

    def _main_branch(self, repo: str) -> str:
        return checked_name(self._projects.read(repo).default_branch)

    def _is_undecided(self, change: ChangeRequest, said: str) -> bool:
        """That was found out when it was refused."""
        del change, said
        return False

    def _branch_path(self, repo: str, branch: str) -> str:
        return self._projects.branch_path(repo, branch)

    def _path(self, repo: str, number: int) -> str:
        return f"{self._projects.path(repo)}/merge_requests/{int(number)}"
