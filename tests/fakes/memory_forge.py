"""A whole forge in memory: all of `routing.forges.forge.Forge`, the people who use it, and any mishap."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Concatenate, Literal, ParamSpec, TypeVar

from routing.base import Base
from routing.forges.change_request import (
    ChangeRequest,
    ChangeState,
    Revert,
    Review,
    ReviewVerdict,
    in_rounds,
)
from routing.forges.commit_status import CombinedStatus, CommitStatus, StatusState
from routing.forges.errors import (
    ForgeDequeuedError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeQueuedError,
    ForgeRefusedError,
)
from routing.forges.feedback import Feedback
from routing.forges.forge import Access, Deed, Permission
from routing.forges.work_branch import branch_to_delete
from routing.issues.issue import Comment, Issue, IssueListing, IssueProblem, IssueRef
from tests.fakes.memory_repository import MemoryRepository
from tests.fakes.mishaps import Mishaps

#: Under which name the forge shows our comments.
OWN_LOGIN = "coalmine-bot"

#: The calls that change something.
WRITES = frozenset(
    {
        "answer", "comment", "edit_comment", "add_label", "remove_label", "assign", "close", "open_change",
        "merge", "delete_branch",
    }
)  # fmt: skip

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


@dataclass(kw_only=True, slots=True)
class MemoryIssue:
    """An issue as it is now."""

    ref: IssueRef
    title: str
    body: str
    author: str
    updated_at: datetime
    labels: dict[str, str] = field(default_factory=dict)  # with who put each on
    state: Literal["open", "closed"] = "open"
    assignees: dict[str, str] = field(default_factory=dict)  # with who assigned each
    blocked_by: list[IssueRef] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)

    def shown(self, *, whole: bool) -> Issue:
        """What the forge answers; `whole` with the comments."""
        return Issue(
            ref=self.ref, title=self.title, body=self.body, labels=tuple(self.labels), state=self.state,
            author=self.author, assignees=tuple(self.assignees), updated_at=self.updated_at,
            comments=tuple(self.comments) if whole else None,
        )  # fmt: skip


def _answered(
    method: Callable[Concatenate["MemoryForge", Given], Answer],
) -> Callable[Concatenate["MemoryForge", Given], Answer]:
    """A call of the API: it is noted, and may meet with a mishap."""

    @wraps(method)
    def call(self: "MemoryForge", /, *args: Given.args, **given: Given.kwargs) -> Answer:
        name = method.__name__
        self.calls.append((name, args))
        with self.mishaps.during(name, effect=name in WRITES):
            return method(self, *args, **given)

    return call


class MemoryForge:
    """Times are to the second, as forges tell them. What people do stands at the end; it always works."""

    def __init__(
        self, clock: Callable[[], float], *, name: str = "github", repos: Sequence[str] = ("acme/shop",),
        mishaps: Mishaps | None = None, merges: bool = True,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._name = name
        self._merges = merges
        self.mishaps = mishaps or Mishaps()
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.repositories = {repo: MemoryRepository(self.now) for repo in repos}
        self.issues: dict[IssueRef, MemoryIssue] = {}
        self.changes: list[ChangeRequest] = []
        self.judges_updates = True  # whether CI says the same of a branch that was brought up to date
        self.has_queue = False  # whether merges go through one
        self.queue: list[int | None] = []  # numbers of the changes in it, the next one first
        self.deeds: dict[tuple[IssueRef, Deed], str] = {}  # who did last what ends work, as it remembers
        self.dropper = ""  # who closes change requests
        self.problems: tuple[IssueProblem, ...] = ()  # what cannot be read as an issue
        self.faults: dict[str, str] = {}  # what is wrong with repositories
        self.required: dict[str, tuple[str, ...]] = {}  # checks that must pass, by branch
        self.said: list[CommitStatus] = []
        self.said_of: list[str] = []  # the commit of each
        self.given_feedback: list[tuple[int, Feedback]] = []
        self.resolved: set[str] = set()  # ids of feedback whose threads are marked as dealt with
        self.thrown_out: set[str] = set()  # heads that the merge queue took out
        self.answers: list[tuple[int | None, str, str]] = []  # to which feedback of which change
        self.given_reviews: list[tuple[int, Review]] = []
        self.history: list[tuple[str, str]] = []  # what happened to which issue
        self.users = {OWN_LOGIN: Permission.WRITE, "ann": Permission.ADMIN, "out": Permission.READ}
        self._ids = itertools.count(501)

    def now(self) -> datetime:
        """The forge's time."""
        return datetime.fromtimestamp(int(self._clock()), UTC)

    def calls_of(self, name: str) -> int:
        """How often something was asked."""
        return sum(called == name for called, _ in self.calls)

    @property
    def name(self) -> str:
        """The configured name."""
        return self._name

    @_answered
    def own_login(self) -> str:
        """Who we are."""
        return OWN_LOGIN

    @_answered
    def access(self, repo: str) -> Access:
        """What may be done in a repository."""
        there = repo in self.repositories
        return Access(readable=there, writable=there, note=f"{repo} is {'' if there else 'not '}there")

    @_answered
    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """All that are there."""
        return tuple(repo for repo in self.repositories if repo.startswith(f"{owner}/"))

    @_answered
    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """The open ones."""
        self._repository(repo)
        found = [one for one in self.issues.values() if one.ref.repo == repo and one.state == "open"]
        found = [one for one in found if label is None or label in one.labels]
        return IssueListing(issues=tuple(one.shown(whole=False) for one in found), problems=self.problems)

    @_answered
    def read_issue(self, ref: IssueRef) -> Issue:
        """With its comments."""
        return self._issue(ref).shown(whole=True)

    @_answered
    def requested_by(self, ref: IssueRef, label: str | None) -> str:
        """Who put the label on, or assigned it, or wrote it."""
        issue = self._issue(ref)
        if label is not None:
            return issue.labels.get(label, "")
        return next(reversed(issue.assignees.values()), issue.author)

    @_answered
    def last_to(self, deed: Deed, ref: IssueRef, label: str | None) -> str:
        """As the test says."""
        del label
        return self.deeds.get((ref, deed), "")

    @_answered
    def last_to_drop(self, change: ChangeRequest) -> str:
        """As the test says."""
        del change
        return self.dropper

    @_answered
    def comment(self, ref: IssueRef, body: str) -> Comment:
        """A comment of ours."""
        if not body.strip():
            raise ForgeInvalidError("a comment needs text")
        return self._commented(ref, OWN_LOGIN, body)

    def repository_fault(self, repo: str) -> str:
        """As the test says."""
        return self.faults.get(repo, "")

    @_answered
    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Only ours."""
        comments = self._issue(ref).comments
        for place, one in enumerate(comments):
            if one.id == comment_id:
                if one.author != OWN_LOGIN:
                    raise ForgeRefusedError(f"comment {comment_id} is {one.author}'s")
                comments[place] = one.model_copy(update={"body": body})
                return comments[place]
        raise ForgeGoneError(f"there is no comment {comment_id}")

    @_answered
    def add_label(self, ref: IssueRef, label: str) -> None:
        """By us."""
        self.label(ref, label, by=OWN_LOGIN)

    @_answered
    def remove_label(self, ref: IssueRef, label: str) -> None:
        """By us."""
        self.unlabel(ref, label)

    @_answered
    def assign(self, ref: IssueRef, user: str) -> None:
        """By us."""
        self._issue(ref).assignees.setdefault(user, OWN_LOGIN)

    @_answered
    def close(self, ref: IssueRef) -> None:
        """By us."""
        self.person_closes(ref)

    @_answered
    def dependencies(self, ref: IssueRef) -> tuple[IssueRef, ...]:
        """The forge's own fields."""
        return tuple(self._issue(ref).blocked_by)

    @_answered
    def permission(self, repo: str, user: str) -> Permission:
        """By the list of collaborators."""
        self._repository(repo)
        return self.users.get(user, Permission.NONE)

    @_answered
    def statuses(self, repo: str, commit: str, *, base: Base | None = None) -> CombinedStatus:
        """What was said of the commit, and what its branch requires."""
        self._commit(repo, commit)
        required = self.required.get(base.branch if base else "main", ())
        return self._status(commit).model_copy(update={"required": required})

    @_answered
    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """The line of each check that failed."""
        self._commit(repo, commit)
        return "\n".join(one.complaint for one in self._status(commit).failed)[:most_characters]

    @_answered
    def contains(self, repo: str, commit: str, *, base: Base | None = None) -> bool:
        """Whether the branch of the base has it, or main when that is gone."""
        if len(commit) != 40:
            raise ForgeInvalidError(f"{commit} is not a commit")
        self._commit(repo, commit)
        repository = self.repositories[repo]
        goes_to = base.branch if base is not None and base.branch in repository.branches else "main"
        return repository.holds(commit, goes_to)

    @_answered
    def newest(self, repo: str, base: Base | None) -> Base:
        """The main branch, as it is."""
        del base
        return Base(branch="main", commit=self._repository(repo).tip())

    @_answered
    def bring_up_to_date(self, change: ChangeRequest, *, onto: Base, base: Base | None = None) -> str:
        """A merge commit on the branch, of which CI says what it said of the branch before."""
        del base
        repository = self._repository(change.repo)
        head = repository.tip(change.branch)
        if head != change.head or repository.holds(onto.commit, change.branch):
            return head
        if repository.conflicts(head, onto.commit):
            raise ForgeRefusedError("merge conflict between base and head")
        made = repository.merge_into(change.branch, onto.commit)
        for said, of in list(zip(self.said, self.said_of, strict=True)):
            if of == head and self.judges_updates:
                self.say(made, said.state, context=said.context, text=said.description)
        return made

    @_answered
    def conflicts(self, change: ChangeRequest, *, onto: Base) -> tuple[str, ...]:
        """By what both sides wrote."""
        return self._repository(change.repo).conflicts(change.head, onto.commit)

    @_answered
    def change_of_branch(self, repo: str, branch: str) -> ChangeRequest | None:
        """The newest."""
        found = [one for one in self.changes if (one.repo, one.branch) == (repo, branch)]
        return self._current(found[-1]) if found else None

    @_answered
    def open_change(
        self, repo: str, branch: str, *, title: str, body: str, base: Base | None = None
    ) -> ChangeRequest:
        """The open one when there is one."""
        del title, body
        tip = self._repository(repo).branches.get(branch)
        if tip is None:
            raise ForgeInvalidError(f"there is no branch {branch}")
        for one in self.changes:
            if (one.repo, one.branch, one.state) == (repo, branch, ChangeState.OPEN):
                return self._current(one)
        number = next(self._ids)
        change = ChangeRequest(
            repo=repo,
            branch=branch,
            head=tip,
            base=base.branch if base else "main",
            state=ChangeState.OPEN,
            number=number,
            url=f"https://{self._name}.test/{repo}/pull/{number}",
        )
        self.changes.append(change)
        return change

    @_answered
    def merge(
        self, change: ChangeRequest, *, issue: IssueRef | None = None, base: Base | None = None,
        onto: Base | None = None,
    ) -> ChangeRequest:  # fmt: skip
        """By us, at exactly its head."""
        del issue, base, onto
        known = self._current(self._change(change.number))
        if not self._merges or known.head != change.head or known.state is ChangeState.CLOSED:
            raise ForgeRefusedError(f"{change.branch} was not merged; merge it by hand")
        if known.head in self.thrown_out:
            raise ForgeDequeuedError("the merge queue took it out")
        if self.has_queue and known.state is ChangeState.OPEN:
            if known.number not in self.queue:
                self.queue.append(known.number)
            raise ForgeQueuedError("it is in the queue", place=str(self.queue.index(known.number)))
        return known if known.state is ChangeState.MERGED else self.person_merges(change.branch)

    @_answered
    def withdraw_merge(self, change: ChangeRequest) -> None:
        """Out of the queue."""
        self.queue = [number for number in self.queue if number != change.number]

    @_answered
    def why_dequeued(self, change: ChangeRequest) -> str:
        """By its head."""
        return "the merge queue took it out" if change.head in self.thrown_out else ""

    @_answered
    def delete_branch(self, change: ChangeRequest) -> None:
        """At its head only."""
        branches = self._repository(change.repo).branches
        if branches.get(branch_to_delete(change), change.head) != change.head:
            raise ForgeRefusedError(f"the branch {change.branch} was not deleted: it has moved on")
        branches.pop(change.branch, None)

    @_answered
    def reverts_of(self, repo: str, commit: str, *, base: Base | None = None) -> tuple[Revert, ...]:
        """By what they do on main."""
        del base
        found = self._repository(repo).reverts_of(commit)
        return tuple(Revert(commit=one.id, at=one.at) for one in found)

    @_answered
    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """In rounds."""
        return in_rounds(review for number, review in self.given_reviews if number == change.number)

    @_answered
    def feedback(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """By others than us."""
        return tuple(one for number, one in self.given_feedback if number == change.number)

    @_answered
    def answer(self, change: ChangeRequest, feedback: Feedback, body: str, *, resolved: bool = False) -> None:
        """Once."""
        if resolved:
            self.resolved.add(feedback.id)
        if (change.number, feedback.id) not in {(number, one) for number, one, _ in self.answers}:
            self.answers.append((change.number, feedback.id, body))

    # What people, and CI, do.

    def person_opens(
        self, number: int, body: str = "It is slow.", *, label: str = "coalmine", by: str = "ann",
        repo: str = "acme/shop", title: str = "",
    ) -> IssueRef:  # fmt: skip
        """Somebody opens an issue and labels it."""
        ref = IssueRef(forge=self._name, repo=repo, number=number)
        self.issues[ref] = MemoryIssue(
            ref=ref, title=title or f"Issue {number}", body=body, author=by, updated_at=self.now(),
            labels={label: by} if label else {},
        )  # fmt: skip
        return ref

    def person_edits(self, ref: IssueRef, body: str) -> None:
        """Another text."""
        self._issue(ref).body = body
        self._touch(ref, "edited")

    def label(self, ref: IssueRef, label: str, by: str = "ann") -> None:
        """Put it on, unless it is."""
        issue = self._issue(ref)
        if label not in issue.labels:
            issue.labels[label] = by
            self._touch(ref, f"labeled {label}")

    def unlabel(self, ref: IssueRef, label: str) -> None:
        """Take it off, if it is on."""
        if self._issue(ref).labels.pop(label, None) is not None:
            self._touch(ref, f"unlabeled {label}")

    def person_closes(self, ref: IssueRef) -> None:
        """Close it, unless it is."""
        if self._issue(ref).state == "open":
            self._issue(ref).state = "closed"
            self._touch(ref, "closed")

    def person_reopens(self, ref: IssueRef) -> None:
        """Open it again."""
        self._issue(ref).state = "open"
        self._touch(ref, "reopened")

    def person_comments(self, ref: IssueRef, body: str, by: str = "ann") -> Comment:
        """Say something."""
        return self._commented(ref, by, body)

    def say(self, commit: str, state: StatusState, *, context: str = "ci/build", text: str = "") -> None:
        """CI says something of a commit."""
        self.said.append(CommitStatus(context=context, state=state, description=text, at=self.now()))
        self.said_of.append(commit)

    def person_merges(self, branch: str, *, squash: bool = False) -> ChangeRequest:
        """Merge the change of a branch."""
        change = self._current(next(one for one in reversed(self.changes) if one.branch == branch))
        repository = self.repositories[change.repo]
        landed = repository.squash("Squashed") if squash else repository.merge(change.head, "Merge it")
        facts = {"state": ChangeState.MERGED, "merge_commit": landed, "merged_at": self.now()}
        return self._keep(change.model_copy(update=facts))

    def person_drops(self, branch: str) -> ChangeRequest:
        """Close the change of a branch without merging it."""
        change = next(one for one in reversed(self.changes) if one.branch == branch)
        return self._keep(self._current(change).model_copy(update={"state": ChangeState.CLOSED}))

    def person_takes_up(self, branch: str) -> ChangeRequest:
        """Open a closed change again."""
        change = next(one for one in reversed(self.changes) if one.branch == branch)
        return self._keep(change.model_copy(update={"state": ChangeState.OPEN}))

    def person_reviews(self, branch: str, review: Review) -> None:
        """Judge a change."""
        change = next(one for one in reversed(self.changes) if one.branch == branch)
        self.given_reviews.append((change.number or 0, review))

    def person_writes(self, branch: str, feedback: Feedback) -> None:
        """Submit a review, or comment on a change."""
        change = next(one for one in reversed(self.changes) if one.branch == branch)
        self.given_feedback.append((change.number or 0, feedback))
        if feedback.verdict is not ReviewVerdict.COMMENTED:
            review = Review(
                author=feedback.author, verdict=feedback.verdict, commit=feedback.commit, at=feedback.at
            )
            self.given_reviews.append((change.number or 0, review))

    def checklists(self, ref: IssueRef) -> list[str]:
        """The texts of our own comments."""
        return [one.body for one in self.issues[ref].comments if one.author == OWN_LOGIN]

    def _touch(self, ref: IssueRef, what: str) -> None:
        self.issues[ref].updated_at = self.now()
        self.history.append((str(ref), what))

    def _commented(self, ref: IssueRef, author: str, body: str) -> Comment:
        comment = Comment(id=next(self._ids), author=author, body=body, created_at=self.now())
        self._issue(ref).comments.append(comment)
        self._touch(ref, f"commented {author}")
        return comment

    def _status(self, commit: str) -> CombinedStatus:
        found = [said for said, of in zip(self.said, self.said_of, strict=True) if of == commit]
        return CombinedStatus.of(commit, found)

    def _change(self, number: int | None) -> ChangeRequest:
        return next(one for one in self.changes if one.number == number)

    def _keep(self, change: ChangeRequest) -> ChangeRequest:
        self.changes = [change if one.number == change.number else one for one in self.changes]
        return change

    def _current(self, change: ChangeRequest) -> ChangeRequest:
        """An open change is at its branch's tip; a merged one knows who took it back."""
        repository = self.repositories[change.repo]
        if change.state is ChangeState.OPEN and change.branch in repository.branches:
            return change.model_copy(update={"head": repository.tip(change.branch)})
        reverts = repository.reverts_of(change.merge_commit, change.head) if change.merge_commit else []
        return change.model_copy(update={"reverted_at": reverts[0].at}) if reverts else change

    def _repository(self, repo: str) -> MemoryRepository:
        if repo not in self.repositories:
            raise ForgeGoneError(f"there is no repository {repo}")
        return self.repositories[repo]

    def _commit(self, repo: str, commit: str) -> None:
        if commit not in self._repository(repo).commits:
            raise ForgeGoneError(f"there is no commit {commit}")

    def _issue(self, ref: IssueRef) -> MemoryIssue:
        if ref not in self.issues:
            raise ForgeGoneError(f"there is no issue {ref}")
        return self.issues[ref]
