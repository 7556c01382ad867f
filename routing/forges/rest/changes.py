"""Pull requests of a forge over HTTP: opening, merging, reverts and reviews.

A merge is asked for at exactly one commit, which CI has passed; the forge refuses if the branch moved. Only
branches of ours are merged, only when they are green, and only if the settings allow it: all of that is
checked here, right before the call.

GitHub: https://docs.github.com/rest/pulls. What a forge does not say by a field (reverts, and whether work
came to the main branch by another way) is read from the content of that branch, see `history`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from routing.base import Base
from routing.forges.change_request import ChangeRequest, ChangeState, Revert, Review, ReviewVerdict, in_rounds
from routing.forges.commit_status import CiReading, CiVerdict, CombinedStatus, read_ci
from routing.forges.config import RemoteConfig
from routing.forges.errors import (
    ForgeBaseGoneError,
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.default_branch import default_branch
from routing.forges.rest.history import HistoryAwaitedError, RestHistory, SoughtWork
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import WireBranchName, WireCommit, WirePull, WireReview, WireTip, is_of
from routing.forges.work_branch import (
    WORK_PREFIX,
    branch_to_delete,
    checked_branch,
    checked_commit,
    merge_message,
)
from routing.forges.written_text import checked_name, checked_text
from routing.git.main_history import Landing
from routing.issues.issue import IssueRef

#: Statuses with which both forges say that a change cannot be merged: not mergeable, head moved.
NOT_MERGED = frozenset({405, 409})

#: Statuses with which both say that a branch cannot be brought up to date.
NOT_UPDATED = frozenset({409, 422})

#: Words of a refusal that will pass: somebody else merged just now, or conflicts are still looked for.
_PASSING = (
    "try again later",
    "base branch was modified",
    "merge already in progress",
    "mergeability",
    "is being checked",
    "is still being computed",
    "is expected",  # a required status that has not come yet
)

_log = structlog.get_logger(__name__)


class RestChanges(ABC):
    """The pull requests of one forge. It keeps no state: each call asks for what is true now."""

    #: What its states of a review mean; the others say nothing, or nothing any more.
    verdicts: Mapping[str, ReviewVerdict]
    #: The shape of a request, where a forge has other words for the same.
    pull_model: type[WirePull] = WirePull

    def __init__(
        self,
        client: ForgeClient,
        *,
        config: RemoteConfig,
        statuses: Callable[[str, str, str], CombinedStatus],
        history: RestHistory,
    ) -> None:
        self._client = client
        self._config = config
        self._statuses = statuses
        self._history = history

    def of_branch(self, repo: str, branch: str) -> ChangeRequest | None:
        """Return the pull request of a branch: the open one, else the newest; None when there was none.

        Requests from forks with a branch of the same name are not ours and are left out.
        """
        checked_branch(branch)
        pulls = [pull for pull in self._pulls_of(repo, branch) if is_of(pull, repo, branch)]
        if not pulls:
            return None
        newest = max(pulls, key=lambda pull: (pull.state == "open", pull.number))
        return self._change(repo, branch, newest)

    def open(self, repo: str, branch: str, title: str, body: str, base: Base | None = None) -> ChangeRequest:
        """Open a pull request, unless one is open or this work was merged.

        A closed one is left closed and another opened. Two processes may try at once: the forge refuses the
        second, which then returns the first one's.
        """
        known = self.of_branch(repo, branch)
        if known is not None and known.state is not ChangeState.CLOSED:
            return known
        target = self.target(repo, base)
        self._refuse_foreign(repo, branch, target, base)
        words, text = checked_text(title).replace("\n", " "), checked_text(body) if body.strip() else ""
        try:
            pull = self._send_open(repo, branch, target, words, text)
        except ForgeInvalidError:
            other = self.of_branch(repo, branch)  # that somebody opened meanwhile
            if other is None or other.state is not ChangeState.OPEN:
                raise
            return other
        return self._change(repo, branch, self._client.parsed(self.pull_model, pull))

    def newest(self, repo: str, base: Base | None) -> Base:
        """Return the branch that work goes to, as it is now."""
        branch = self._branch(repo, self.target(repo, base))
        return Base(branch=branch.name, commit=checked_commit(branch.commit.sha))

    def target(self, repo: str, base: Base | None) -> str:
        """The branch that work goes to: the one it began from, by its name of today, else the main branch."""
        main = self._main_branch(repo)
        if base is None or base.branch == main:
            return main
        try:
            return checked_name(self._branch(repo, base.branch).name)
        except ForgeGoneError:
            return main

    def bring_up_to_date(self, change: ChangeRequest, onto: Base, base: Base | None) -> str:
        """Have the forge merge `onto` into the branch; it may need a moment to show that."""
        pull = self._pull(change)
        if pull.head.sha != change.head or self._contains(change.repo, change.head, onto.commit):
            return pull.head.sha
        self._refuse_foreign(change.repo, change.branch, onto.branch, base)
        self._send_update(self._path(change.repo, pull.number), change.head)
        head = self._pull(change).head.sha
        if head == change.head:
            message = f"{change.branch} of {change.repo} is being brought up to date with {onto.branch}"
            raise ForgeUnreachableError(message)
        return head

    def conflicts(self, change: ChangeRequest, onto: Base) -> tuple[str, ...]:
        """Name the files that git cannot merge: an API says "not mergeable" for other reasons too."""
        return self._history.conflicts(change, onto)

    def merge(self, change: ChangeRequest, issue: IssueRef | None, base: Base | None = None) -> ChangeRequest:
        """Merge a green pull request of ours when the settings say so, at exactly its head.

        Merging again what is merged returns it. ForgeRefusedError: the settings, CI, a conflict, or a head
        that has moved; a person or a new verdict is needed. ForgeUnreachableError: not now, ask again.
        """
        if not change.branch.startswith(WORK_PREFIX):
            message = f"{change.branch!r} is not a branch of ours ({WORK_PREFIX}JOB); merge it by hand"
            raise ForgeInvalidError(message)
        pull = self._pull(change)
        if pull.merged_at is not None and pull.head.sha == change.head:
            return self._change(change.repo, change.branch, pull)
        self._refuse_unless_due(change, pull)
        self._refuse_foreign(change.repo, change.branch, pull.base.ref, base)
        title, _, text = merge_message(change.branch, str(issue or "")).partition("\n")
        try:
            self._ask_to_merge(change.repo, pull.number, change.head, title, text.strip())
        except ForgeRefusedError as error:
            said = str(error).lower()
            if any(words in said for words in _PASSING) or self._is_undecided(change, said):
                raise ForgeUnreachableError(str(error)) from error
            raise
        merged = self._change(change.repo, change.branch, self._pull(change))
        if merged.state is not ChangeState.MERGED:
            message = f"pull request {pull.number} of {change.repo} was merged, and that is not there yet"
            raise ForgeUnreachableError(message)
        return merged

    def withdraw_merge(self, change: ChangeRequest) -> None:
        """Have a merge that waits not be made; here one is made at once, or not at all."""
        del change

    def why_dequeued(self, change: ChangeRequest) -> str:  # noqa: ARG002 - forges with a queue look at it
        """Say why a merge queue took the change out; here is none."""
        return ""

    def delete_branch(self, change: ChangeRequest) -> None:
        """Delete the branch of merged work, by git, at exactly its head.

        The API would delete whatever is there by then. Forges may have deleted it by a setting of theirs.
        """
        branch = branch_to_delete(change)
        try:
            known = self._branch(change.repo, branch)
        except ForgeGoneError:
            return
        why = "its repository protects it" if known.protected else ""
        if known.name != branch or known.commit.sha != change.head:
            why = f"it is no longer at {change.head[:12]}"
        if why:
            message = f"the branch {branch!r} of {change.repo} was not deleted: {why}"
            raise ForgeRefusedError(message)
        self._history.delete_branch(change.repo, branch, change.head)

    def reverts_of(self, repo: str, commit: str, base: Base | None) -> tuple[Revert, ...]:
        """Find the commit on the branch that work goes to that took this one back; () while it is there."""
        self._commit(repo, checked_commit(commit))
        branch, since = self.target(repo, base), base.commit if base is not None else ""
        tip = self._tip(repo, branch)
        landing = self._history.landing(
            SoughtWork(repo=repo, base=branch, tip=tip, branch="", head=commit, since=since)
        )
        if landing is None or landing.reverted_at is None:
            return ()
        return (Revert(commit=landing.revert, at=landing.reverted_at),)

    def contains(self, repo: str, commit: str, base: Base | None) -> bool:
        """Whether the branch that work goes to holds the commit; ForgeGoneError for an unknown one."""
        return self._contains(repo, self.target(repo, base), checked_commit(commit))

    def message_of(self, repo: str, commit: str) -> str:
        """What a commit says of itself: anybody's text."""
        return self._commit(repo, checked_commit(commit)).commit.message

    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """Return the verdicts of reviewers with their rounds; drafts and dismissed ones are none.

        Anybody who can see a public repository may review: who counts is decided by the caller.
        """
        if change.number is None:
            return ()
        listing = self._client.read_all(f"{self._path(change.repo, change.number)}/reviews")
        verdicts = self.verdicts
        return in_rounds(
            Review(author=one.user, verdict=verdicts[one.state], commit=one.commit_id, at=one.submitted_at)
            for one in self._client.parsed_all(WireReview, listing)
            if one.state in verdicts and one.submitted_at is not None and not one.dismissed
        )

    @abstractmethod
    def requests_of(self, repo: str, commit: str) -> list[WirePull]:
        """Requests that hold a commit, or were merged as it; ForgeGoneError may mean that there is none."""

    @abstractmethod
    def _pulls_of(self, repo: str, branch: str) -> list[WirePull]:
        """Pull requests among which those of the branch are; others may be among them."""

    def _send_open(self, repo: str, branch: str, target: str, title: str, text: str) -> Any:
        """Ask for a pull request; ForgeInvalidError when there is an open one.

        Not repeatable: after a lost answer the caller asks again, and finds the request if it was made.
        """
        asked = {"title": title, "body": text, "head": branch, "base": target}
        return self._client.write("POST", f"{repository_path(repo)}/pulls", asked, repeatable=False)

    def _ask_to_merge(self, repo: str, number: int, head: str, title: str, text: str) -> None:
        """Ask for a merge as it is done there."""
        self._send_merge(f"{self._path(repo, number)}/merge", head, title, text)

    @abstractmethod
    def _send_merge(self, path: str, head: str, title: str, text: str) -> None:
        """Ask for the merge at exactly `head`, with the method of the settings and this message.

        Refusals with a status of NOT_MERGED become ForgeRefusedError. `title` and `text` are the message's
        first line and the rest.
        """

    @abstractmethod
    def _send_update(self, path: str, head: str) -> None:
        """Ask for the main branch to be merged into the pull request's, which is at `head`."""

    @abstractmethod
    def _contains(self, repo: str, base: str, commit: str) -> bool:
        """Whether a branch holds a commit, or raise ForgeGoneError."""

    @abstractmethod
    def _commit(self, repo: str, commit: str) -> WireCommit:
        """Return one commit, or raise ForgeGoneError."""

    def _refuse_unless_due(self, change: ChangeRequest, pull: WirePull) -> None:
        """Raise ForgeRefusedError, with the reason, unless everything that a merge needs is true now."""
        if self._config.merge == "never":
            why = 'the setting merge is "never"; merge it by hand'
        elif pull.state != "open":
            why = f"pull request {pull.number} is closed; open it again if its work is wanted"
        elif pull.head.sha != change.head:
            why = f"it is no longer at {change.head[:12]}; have its new commit judged first"
        elif (ci := self._judged(change, pull.base.ref)).verdict is not CiVerdict.GREEN:
            why = f"CI of {change.head[:12]} is {ci.verdict}, not green: {ci}"
        else:
            return
        message = f"{change.branch} was not merged: {why}"
        raise ForgeRefusedError(message)

    def _judged(self, change: ChangeRequest, onto: str) -> CiReading:
        """What CI says of the head now; how long more checks were waited for is the caller's to know."""
        return read_ci(self._statuses(change.repo, change.head, onto), self._config.ci_rules)

    def _pull(self, change: ChangeRequest) -> WirePull:
        """The pull request of a change by its number, else by its branch; never one of another branch."""
        number = change.number
        if number is None:
            known = self.of_branch(change.repo, checked_branch(change.branch))
            number = known.number if known else None
        if number is None:
            message = f"{change.repo} has no pull request of the branch {change.branch}"
            raise ForgeGoneError(message)
        pull = self._client.parsed(self.pull_model, self._client.get(self._path(change.repo, number)))
        if not is_of(pull, change.repo, change.branch):
            message = f"pull request {number} of {change.repo} is not of the branch {change.branch}"
            raise ForgeInvalidError(message)
        return pull

    def _change(self, repo: str, branch: str, pull: WirePull) -> ChangeRequest:
        """Our record of a pull request, with what the main branch shows of its work.

        That costs a call, and a fetch for each new commit of the main branch.
        """
        merged = pull.merged_at is not None
        state = ChangeState.MERGED if merged else ChangeState(pull.state)
        change = ChangeRequest(
            repo=repo, branch=branch, head=pull.head.sha, base=pull.base.ref, state=state,
            number=pull.number, merged_at=pull.merged_at, url=pull.html_url,
            merge_commit=pull.merge_commit_sha if merged else "",
        )  # fmt: skip
        try:
            landing = self._history.landing(self._sought(change))
        except ForgeError as error:  # the API's word stands
            if isinstance(error, HistoryAwaitedError) and state is ChangeState.CLOSED:
                raise  # who closed it may have landed its work by another way
            _log.warning("history.not_read", repo=repo, branch=branch, reason=str(error))
            return change.model_copy(update={"looked": False})
        return _with_landing(change, landing, datetime.now(UTC))

    def _sought(self, change: ChangeRequest) -> SoughtWork:
        return SoughtWork(
            repo=change.repo,
            base=change.base,
            tip=self._tip(change.repo, change.base),
            branch=change.branch,
            head=change.head,
            number=change.number,
            merged_as=change.merge_commit,
        )

    def _branch(self, repo: str, branch: str) -> WireBranchName:
        """A branch as it is now, or raise ForgeGoneError."""
        return self._client.parsed(WireBranchName, self._client.get(self._branch_path(repo, branch)))

    def _tip(self, repo: str, branch: str) -> str:
        """The newest commit of a branch."""
        return self._client.parsed(WireTip, self._client.get(self._branch_path(repo, branch))).commit.sha

    def _main_branch(self, repo: str) -> str:
        """The branch that work is merged into."""
        return default_branch(self._client, repo)

    def _refuse_foreign(self, repo: str, branch: str, target: str, base: Base | None) -> None:
        """Raise ForgeBaseGoneError when the branch has commits of its base that the target does not have."""
        if base is None or self._has(repo, target, base.commit) or not self._has(repo, branch, base.commit):
            return
        raise ForgeBaseGoneError(branch, target=target, commit=base.commit)

    def _has(self, repo: str, branch: str, commit: str) -> bool:
        """Whether a branch holds a commit, which need not exist."""
        try:
            return self._contains(repo, branch, checked_commit(commit))
        except ForgeGoneError:
            return False

    def _is_undecided(self, change: ChangeRequest, said: str) -> bool:
        """Whether the forge did not know yet if the change has conflicts: its "not mergeable" may pass.

        It may have found out since that there are none.
        """
        pull = self._pull(change)
        if pull.state != "open" or "mergeable" not in pull.model_fields_set:
            return False
        return pull.mergeable is None or (pull.mergeable and "not mergeable" in said)

    def _branch_path(self, repo: str, branch: str) -> str:
        return f"{repository_path(repo)}/branches/{path_segment(branch)}"

    def _path(self, repo: str, number: int) -> str:
        return f"{repository_path(repo)}/pulls/{int(number)}"


def _with_landing(change: ChangeRequest, landing: Landing | None, now: datetime) -> ChangeRequest:
    """A change request with what its main branch shows: pure.

    One that was merged and is not there any longer was taken back: the branch was reset, or rewritten. Of one
    that was not merged, its own commits on the main branch are a push, which the API answers for.
    """
    if change.state is ChangeState.MERGED:
        return change.model_copy(update={"reverted_at": landing.reverted_at if landing else now})
    if landing is None or landing.kept:
        return change
    facts = {"merge_commit": landing.commit, "merged_at": landing.at, "reverted_at": landing.reverted_at}
    return change.model_copy(update={"state": ChangeState.MERGED, **facts})
