"""What every forge must do, run against each that can be set up here.

A new adapter adds a function that returns a `ForgeUnderTest`, and its name to `FORGES`.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import SecretStr

from routing.errors import CoalmineError, ConflictError, InvalidInputError, NotFoundError, UnavailableError
from routing.forges.change_request import ChangeState
from routing.forges.commit_status import CiVerdict, StatusState
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.forge import Forge
from routing.forges.gitea.kind import GiteaConfig, gitea_forge
from routing.forges.github.kind import GitHubConfig, github_forge
from routing.forges.gitlab.kind import GitLabConfig, gitlab_forge
from routing.forges.local.config import LocalConfig
from routing.forges.local.forge import LocalForge
from routing.forges.rest.forge import RestForge
from routing.http.connection import Surroundings
from routing.issues.issue import IssueRef
from routing.sandbox.profile import SandboxKind
from tests.fakes.forge_world import TOKEN, ForgeWorld
from tests.fakes.memory_forge import MemoryForge
from tests.fakes.memory_repository import MemoryRepository
from tests.fakes.mishaps import ANY
from tests.repositories import TemporaryRepository, new_repository
from tests.servers.forge_server import ForgeServer
from tests.servers.gitea_server import gitea_server
from tests.servers.github_server import github_server
from tests.servers.gitlab_server import gitlab_server

BRANCH = "coalmine/0123456789abcdef"

#: The local forge's CI, which is content unless it finds a file.
CI = "test ! -e red.txt || { echo the cart is broken; exit 1; }"


class OpensIssues(Protocol):
    """How a person opens an issue on the forge."""

    def __call__(
        self, title: str, body: str, *, labels: Sequence[str] = (), blocked_by: Sequence[int] = ()
    ) -> IssueRef:
        """Open it and return its name."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeUnderTest:
    """A forge with one repository, and what people do to it without Coalmine's knowledge."""

    forge: Forge
    repo: str
    repository: TemporaryRepository | MemoryRepository  # what is pushed here arrives on the forge
    open_issue: OpensIssues
    person_comments: Callable[[IssueRef, str], object]
    judge: Callable[[str], object]  # CI says green of a commit
    fail: Callable[[str], object]  # CI says of a commit that holds a file `red.txt` that the cart is broken
    person_merges: Callable[[str], object]  # a branch
    vanish: Callable[[], object]  # the forge can no longer be asked
    stop: Callable[[], object] = lambda: None  # ends what the forge runs on


def local_forge(folder: Path) -> ForgeUnderTest:
    """A folder of issues, a repository, and a CI command that is content."""
    repository, issues = new_repository(folder), folder / "issues"
    issues.mkdir()
    settings = LocalConfig(
        ci_sandbox=SandboxKind.NONE,
        repository=repository.path,
        issues=issues,
        state=folder / "state",
        ci=CI,
        merge="green",
    )
    forge = LocalForge.of(settings)
    opened: list[Path] = []

    def open_issue(
        title: str, body: str, *, labels: Sequence[str] = (), blocked_by: Sequence[int] = ()
    ) -> IssueRef:
        number = len(opened) + 1
        opened.append(issues / f"{number}.md")
        front = f"title: '{title}'\nlabels: {list(labels)}\nblocked_by: {list(blocked_by)}\n"
        opened[-1].write_text(f"---\n{front}---\n{body}\n")
        return IssueRef(forge="local", repo="shop", number=number)

    def person_comments(ref: IssueRef, text: str) -> None:
        path = opened[ref.number - 1]
        path.write_text(
            path.read_text().replace("\n---\n", f"\ncomments: [{{id: 1, body: {text}}}]\n---\n", 1)
        )

    return ForgeUnderTest(
        forge=forge,
        repo="shop",
        repository=repository,
        open_issue=open_issue,
        person_comments=person_comments,
        judge=forge.run_ci,
        fail=forge.run_ci,
        person_merges=lambda branch: repository.git("merge", "--no-ff", "--no-edit", branch),
        vanish=lambda: issues.rename(folder / "elsewhere"),
    )


def served_forge(
    folder: Path, server_of: Callable[[ForgeWorld], ForgeServer], forge_of: Callable[[str], RestForge]
) -> ForgeUnderTest:
    """A forge over HTTP: a server of the suite's own, and our client of it."""
    world = ForgeWorld(new_repository(folder, bare=True))
    server = server_of(world)
    forge = forge_of(server.address)

    def open_issue(
        title: str, body: str, *, labels: Sequence[str] = (), blocked_by: Sequence[int] = ()
    ) -> IssueRef:
        issue = world.open_issue(title, body, labels=labels, blocked_by=blocked_by)
        return IssueRef(forge=forge.name, repo=world.repo, number=issue.number)

    def stop() -> None:
        forge.close_connections()
        server.stop()

    return ForgeUnderTest(
        forge=forge,
        repo=world.repo,
        repository=world.repository,
        open_issue=open_issue,
        person_comments=lambda ref, text: world.comment(ref.number, "ann", text),
        judge=lambda commit: world.say(commit, "ci/build", "success"),
        fail=lambda commit: world.say(commit, "ci/build", "failure", description="the cart is broken"),
        person_merges=lambda branch: world.merge(world.pull_of(branch), "Merge it"),
        vanish=lambda: setattr(server, "silent", True),
        stop=stop,
    )


def unhurried() -> Surroundings:
    """No time passes between attempts."""
    return Surroundings(generator=random.Random(7), sleep=lambda _seconds: None)


def github(address: str) -> RestForge:
    """Our client of GitHub."""
    settings = GitHubConfig(base_url=address, token=SecretStr(TOKEN), merge="green")
    return github_forge(settings, unhurried())


def gitea(address: str) -> RestForge:
    """Our client of Gitea."""
    settings = GiteaConfig(base_url=address, token=SecretStr(TOKEN), merge="green")
    return gitea_forge(settings, unhurried())


def gitlab(address: str) -> RestForge:
    """Our client of GitLab."""
    settings = GitLabConfig(base_url=address, token=SecretStr(TOKEN), merge="green")
    return gitlab_forge(settings, unhurried())


def memory_forge(_folder: Path) -> ForgeUnderTest:
    """The stand-in that other suites use: it must be honest."""
    forge = MemoryForge(time.time)
    repo = next(iter(forge.repositories))
    numbers = itertools.count(1)

    def open_issue(
        title: str, body: str, *, labels: Sequence[str] = (), blocked_by: Sequence[int] = ()
    ) -> IssueRef:
        ref = forge.person_opens(next(numbers), body, label="", title=title)
        for label in labels:
            forge.label(ref, label)
        forge.issues[ref].blocked_by += [ref.model_copy(update={"number": one}) for one in blocked_by]
        return ref

    return ForgeUnderTest(
        forge=forge,
        repo=repo,
        repository=forge.repositories[repo],
        open_issue=open_issue,
        person_comments=forge.person_comments,
        judge=lambda commit: forge.say(commit, StatusState.SUCCESS),
        fail=lambda commit: forge.say(commit, StatusState.FAILURE, text="the cart is broken"),
        person_merges=forge.person_merges,
        vanish=lambda: forge.mishaps.lasting.update({ANY: lambda: ForgeUnreachableError("it is gone")}),
    )


FORGES: dict[str, Callable[[Path], ForgeUnderTest]] = {
    "local": local_forge,
    "memory": memory_forge,
    "github": partial(served_forge, server_of=github_server, forge_of=github),
    "gitea": partial(served_forge, server_of=gitea_server, forge_of=gitea),
    "gitlab": partial(served_forge, server_of=gitlab_server, forge_of=gitlab),
}


@pytest.fixture(params=list(FORGES))
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ForgeUnderTest]:
    """Each forge in turn."""
    forge = FORGES[request.param](tmp_path)
    yield forge
    forge.stop()


def test_issues_are_listed_by_label(there: ForgeUnderTest) -> None:
    """Only open issues with the label are listed, by number; without a label all that are open."""
    first = there.open_issue("Cart is slow", "Make it fast", labels=["agent", "bug"])
    second = there.open_issue("Think about it", "For people")
    third = there.open_issue("Done", "Was done", labels=["agent"])
    there.forge.close(third)
    assert [issue.ref for issue in there.forge.list_issues(there.repo, "agent").issues] == [first]
    assert [issue.ref for issue in there.forge.list_issues(there.repo, None).issues] == [first, second]


def test_an_issue_is_read_whole(there: ForgeUnderTest) -> None:
    """Title, body, labels, state and comments arrive as they were written."""
    ref = there.open_issue("Cart is slow", "First line\n\nsecond <b>line</b>", labels=["agent"])
    issue = there.forge.read_issue(ref)
    assert (issue.ref, issue.title, issue.body) == (ref, "Cart is slow", "First line\n\nsecond <b>line</b>")
    assert (issue.labels, issue.state, issue.comments) == (("agent",), "open", ())


def test_the_revision_is_of_what_the_job_is_made_from(there: ForgeUnderTest) -> None:
    """Comments and labels do not change the revision; another body does."""
    ref = there.open_issue("Cart is slow", "one")
    other = there.open_issue("Cart is slow", "two")
    before = there.forge.read_issue(ref).revision
    there.forge.comment(ref, "On it")
    there.forge.add_label(ref, "agent-in-progress")
    assert there.forge.read_issue(ref).revision == before
    assert there.forge.read_issue(other).revision != before


def test_our_comments_can_be_edited_and_others_cannot(there: ForgeUnderTest) -> None:
    """The checklist is one comment edited in place; a person's comment is theirs."""
    ref = there.open_issue("Cart is slow", "text")
    there.person_comments(ref, "mine")
    ours = there.forge.comment(ref, "- [ ] tests\n---\n`x`: *y*")
    there.forge.edit_comment(ref, ours.id, "- [x] tests")
    comments = there.forge.read_issue(ref).comments or ()
    assert [comment.body for comment in comments] == ["mine", "- [x] tests"]
    with pytest.raises(ForgeRefusedError):
        there.forge.edit_comment(ref, comments[0].id, "theirs no more")
    with pytest.raises(ForgeGoneError):
        there.forge.edit_comment(ref, 999_999, "nobody's")
    with pytest.raises(ForgeInvalidError):
        there.forge.comment(ref, " ")


def test_writing_twice_is_writing_once(there: ForgeUnderTest) -> None:
    """Labels, assignees and closing may be repeated, and what is not there may be removed."""
    ref = there.open_issue("Cart is slow", "text", labels=["agent"])
    for _ in range(2):
        there.forge.add_label(ref, "ready-for-human")
        there.forge.remove_label(ref, "agent")
        there.forge.assign(ref, "coalmine")
        there.forge.close(ref)
    issue = there.forge.read_issue(ref)
    assert (issue.labels, issue.assignees, issue.state) == (("ready-for-human",), ("coalmine",), "closed")


def test_blockers_are_named_also_when_closed(there: ForgeUnderTest) -> None:
    """The forge's own dependencies are listed; whether they are done is asked separately."""
    blocker = there.open_issue("First", "text")
    ref = there.open_issue("Then", "text", blocked_by=[blocker.number])
    there.forge.close(blocker)
    assert there.forge.dependencies(ref) == (blocker,)
    assert there.forge.dependencies(blocker) == ()


def test_what_is_not_there_is_gone(there: ForgeUnderTest) -> None:
    """Unknown issues, repositories and commits are gone; an unknown branch has no change."""
    unknown = IssueRef(forge=there.forge.name, repo=there.repo, number=999_999)
    elsewhere = IssueRef(forge=there.forge.name, repo=f"{there.repo}-not-there", number=1)
    for ref in (unknown, elsewhere):
        with pytest.raises(ForgeGoneError):
            there.forge.read_issue(ref)
        with pytest.raises(ForgeGoneError):
            there.forge.comment(ref, "hello?")
    with pytest.raises(ForgeGoneError):
        there.forge.list_issues("not-there", None)
    with pytest.raises(ForgeGoneError):
        there.forge.statuses(there.repo, "0" * 40)
    assert there.forge.change_of_branch(there.repo, BRANCH) is None


def test_no_answer_is_not_an_empty_one(there: ForgeUnderTest) -> None:
    """A forge that cannot be asked lists nothing, and says so by an error."""
    ref = there.open_issue("Cart is slow", "text")
    there.vanish()
    with pytest.raises(ForgeUnreachableError):
        there.forge.list_issues(there.repo, None)
    with pytest.raises(ForgeUnreachableError):
        there.forge.read_issue(ref)
    with pytest.raises(ForgeUnreachableError):
        there.forge.close(ref)


def test_a_change_goes_from_open_to_green_to_merged(there: ForgeUnderTest) -> None:
    """CI is unknown until it spoke; then the change is merged at the commit that was judged."""
    head = there.repository.work(BRANCH, {"new.txt": "new\n"})
    change = there.forge.open_change(there.repo, BRANCH, title="Cart is fast", body="It was slow.")
    assert there.forge.change_of_branch(there.repo, BRANCH) == change
    assert there.forge.open_change(there.repo, BRANCH, title="Cart is fast", body="") == change
    assert (change.state, change.head, change.base) == (ChangeState.OPEN, head, "main")
    assert there.forge.statuses(there.repo, head).verdict is CiVerdict.UNKNOWN
    there.judge(head)
    assert there.forge.statuses(there.repo, head).has_real_ci
    merged = there.forge.merge(change)
    assert merged.state is ChangeState.MERGED
    assert merged.merge_commit != ""
    assert there.forge.change_of_branch(there.repo, BRANCH) == merged
    assert there.forge.reverts_of(there.repo, merged.merge_commit) == ()
    assert there.forge.reviews(merged) == ()
    assert there.forge.feedback(merged) == ()


def test_a_persons_merge_counts_as_one(there: ForgeUnderTest) -> None:
    """Who merged does not matter."""
    there.repository.work(BRANCH, {"new.txt": "new\n"})
    there.forge.open_change(there.repo, BRANCH, title="Cart is fast", body="It was slow.")
    there.person_merges(BRANCH)
    change = there.forge.change_of_branch(there.repo, BRANCH)
    assert change is not None
    assert change.state is ChangeState.MERGED
    assert change.merged_at is not None


def has_branch(there: ForgeUnderTest) -> bool:
    """Whether the branch of our work is there."""
    if isinstance(there.repository, MemoryRepository):
        return BRANCH in there.repository.branches
    return there.repository.git("for-each-ref", f"refs/heads/{BRANCH}") != ""


def test_the_branch_of_merged_work_is_deleted(there: ForgeUnderTest) -> None:
    """Also when it was deleted already; what became of its work stays known."""
    there.repository.work(BRANCH, {"new.txt": "new\n"})
    there.forge.open_change(there.repo, BRANCH, title="Cart is fast", body="")
    there.forge.change_of_branch(there.repo, BRANCH)
    there.person_merges(BRANCH)
    merged = there.forge.change_of_branch(there.repo, BRANCH)
    assert merged is not None
    for _ in range(2):
        there.forge.delete_branch(merged)
        assert not has_branch(there)
    assert there.forge.change_of_branch(there.repo, BRANCH) == merged


def test_a_branch_that_is_needed_is_kept(there: ForgeUnderTest) -> None:
    """While it is not merged, once somebody pushed to it afterwards, and when it is not ours."""
    there.repository.work(BRANCH, {"new.txt": "new\n"})
    change = there.forge.open_change(there.repo, BRANCH, title="Cart is fast", body="")
    with pytest.raises(ForgeRefusedError, match="not merged"):
        there.forge.delete_branch(change)
    there.forge.change_of_branch(there.repo, BRANCH)
    there.person_merges(BRANCH)
    merged = there.forge.change_of_branch(there.repo, BRANCH)
    assert merged is not None
    with pytest.raises(ForgeRefusedError, match="not a branch of ours"):
        there.forge.delete_branch(merged.model_copy(update={"branch": "main"}))
    with pytest.raises(ForgeRefusedError, match="taken back"):
        there.forge.delete_branch(merged.model_copy(update={"reverted_at": datetime.now(UTC)}))
    there.repository.more_work(BRANCH, {"more.txt": "more\n"})
    with pytest.raises(ForgeRefusedError):
        there.forge.delete_branch(merged)
    assert has_branch(there)


def test_permission_is_asked_for(there: ForgeUnderTest) -> None:
    """Nobody in particular may do nothing."""
    assert not there.forge.permission(there.repo, "").can_write


def test_who_asked_is_asked_of_the_forge(there: ForgeUnderTest) -> None:
    """By the label if it is on the issue, else by the issue; it is somebody whose permission can be asked."""
    ref = there.open_issue("Cart is slow", "text", labels=["agent"])
    for label in ("agent", None):
        who = there.forge.requested_by(ref, label)
        assert there.forge.permission(there.repo, who).can_write
    assert there.forge.requested_by(ref, "other") == ""
    there.forge.remove_label(ref, "agent")
    assert there.forge.requested_by(ref, "agent") == ""
    with pytest.raises(ForgeGoneError):
        there.forge.requested_by(ref.model_copy(update={"number": 999_999}), "agent")


def test_our_comments_differ_from_others(there: ForgeUnderTest) -> None:
    """By their author, whatever they say."""
    ref = there.open_issue("Cart is slow", "text")
    there.person_comments(ref, "progress")
    there.forge.comment(ref, "progress")
    login = there.forge.own_login()
    assert [one.is_by(login) for one in there.forge.read_issue(ref).comments or ()] == [False, True]
    assert not (there.forge.read_issue(ref).comments or ())[0].is_by("")


def test_conflicts_are_named(there: ForgeUnderTest) -> None:
    """The files that both sides changed otherwise; nothing where git merges them."""
    there.repository.work(BRANCH, {"new.txt": "mine\n", "only.txt": "mine\n"})
    change = there.forge.open_change(there.repo, BRANCH, title="Socks", body="For #1")
    began = there.forge.newest(there.repo, None)
    assert there.forge.conflicts(change, onto=began) == ()
    other = f"{BRANCH[:-1]}0"
    there.repository.work(other, {"new.txt": "theirs\n", "other.txt": "theirs\n"})
    there.forge.open_change(there.repo, other, title="Shoes", body="For #2")
    there.person_merges(other)
    onto = there.forge.newest(there.repo, began)
    assert there.forge.conflicts(change, onto=onto) == ("new.txt",)
    with pytest.raises((ForgeRefusedError, ForgeUnreachableError)):  # GitLab rebases after it has answered
        there.forge.bring_up_to_date(change, onto=onto)


def test_a_branch_is_brought_up_to_date(there: ForgeUnderTest) -> None:
    """With the newest commit of the branch that it goes to, by a commit that nobody has judged; once."""
    there.repository.work(BRANCH, {"new.txt": "new\n"})
    change = there.forge.open_change(there.repo, BRANCH, title="Socks", body="For #1")
    began = there.forge.newest(there.repo, None)
    assert (began.branch, began.commit) == ("main", there.repository.tip())
    assert there.forge.bring_up_to_date(change, onto=began) == change.head
    other = f"{BRANCH[:-1]}0"
    there.repository.work(other, {"other.txt": "other\n"})
    there.forge.open_change(there.repo, other, title="Shoes", body="For #2")
    there.person_merges(other)
    onto = there.forge.newest(there.repo, began)
    assert onto.commit != began.commit
    head = there.forge.bring_up_to_date(change, onto=onto)
    assert head not in {change.head, onto.commit}
    updated = there.forge.change_of_branch(there.repo, BRANCH)
    assert updated is not None
    assert updated.head == head
    assert there.forge.bring_up_to_date(updated, onto=onto) == head
    there.judge(head)
    assert there.forge.merge(updated, onto=onto).state is ChangeState.MERGED
    assert there.forge.contains(there.repo, head)


def test_main_holds_what_was_merged(there: ForgeUnderTest) -> None:
    """Not what was only pushed; a commit that is not there is gone, and no history in common is no."""
    head = there.repository.work(BRANCH, {"new.txt": "new\n"})
    there.forge.open_change(there.repo, BRANCH, title="Cart is fast", body="")
    tip = there.repository.tip()
    assert there.forge.contains(there.repo, tip)
    assert not there.forge.contains(there.repo, head)
    there.person_merges(BRANCH)
    assert there.forge.contains(there.repo, head)
    assert there.forge.contains(there.repo, tip)
    tree = there.repository.git("rev-parse", f"{tip}^{{tree}}")
    orphan = there.repository.git("commit-tree", "-m", "Begin anew", tree)
    assert not there.forge.contains(there.repo, orphan)
    with pytest.raises(ForgeGoneError):
        there.forge.contains(there.repo, "0" * 40)
    with pytest.raises(ForgeInvalidError):
        there.forge.contains(there.repo, "main")


def test_access_is_plain(there: ForgeUnderTest) -> None:
    """What is there can be read and written; what is not there is said, and no answer proves nothing."""
    access = there.forge.access(there.repo)
    assert (access.readable, access.writable) == (True, True), access.note
    assert access.note
    elsewhere = there.forge.access(f"{there.repo}-not-there")
    assert (elsewhere.readable, elsewhere.writable) == (False, False)
    assert "not-there" in elsewhere.note
    there.vanish()
    with pytest.raises(ForgeUnreachableError):
        there.forge.access(there.repo)


def test_what_failed_can_be_read(there: ForgeUnderTest) -> None:
    """The failing checks by name, and what they say of it, no longer than asked; nothing when none failed."""
    green = there.repository.work(BRANCH, {"new.txt": "new\n"})
    there.judge(green)
    assert there.forge.statuses(there.repo, green).failing == ()
    assert there.forge.failing_log(there.repo, green, most_characters=500) == ""
    red = there.repository.more_work(BRANCH, {"red.txt": "red\n"})
    there.fail(red)
    (context,) = there.forge.statuses(there.repo, red).failing
    log = there.forge.failing_log(there.repo, red, most_characters=500)
    assert "the cart is broken" in log
    assert context in log
    for most in (0, 1, 20):
        assert len(there.forge.failing_log(there.repo, red, most_characters=most)) <= most


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ForgeGoneError, NotFoundError),
        (ForgeRefusedError, ConflictError),
        (ForgeInvalidError, InvalidInputError),
        (ForgeUnreachableError, UnavailableError),
    ],
)
def test_errors_of_forges_are_ours(error: type[ForgeError], kind: type[CoalmineError]) -> None:
    """Each kind of answer has the exit code of its kind."""
    assert issubclass(error, kind)
    assert error.exit_code == kind.exit_code
