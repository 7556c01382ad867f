"""The local forge with real git, a real CI command and real processes."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from routing.base import Base
from routing.errors import SettingsError
from routing.folder_removal import remove_all
from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.commit_status import CiVerdict, StatusState
from routing.forges.errors import (
    ForgeGoneError,
    ForgeHeldError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.local.ci import LocalCI
from routing.forges.local.ci_sandbox import CiSandbox
from routing.forges.local.config import LocalConfig
from routing.forges.local.forge import LocalForge
from routing.forges.local.git import LocalGit
from routing.forges.local.merge import STALE_LOCK_SECONDS, LocalMerge
from routing.git.git import Git
from routing.issues.issue import IssueRef
from routing.process.bounded_command import BoundedLog
from routing.sandbox.mount import ProcessLimits
from routing.sandbox.profile import SandboxKind
from tests.repositories import TemporaryRepository, new_repository
from tests.servers.private_server import process_runs
from tests.waiting import until_ended, wait_until

BRANCH = "coalmine/0123456789abcdef"
ISSUE = IssueRef(forge="local", repo="shop", number=3)


@pytest.fixture
def repository(tmp_path: Path) -> TemporaryRepository:
    """A repository in whose work tree `main` is checked out."""
    return new_repository(tmp_path)


def forge_of(
    repository: TemporaryRepository,
    *,
    ci: str = "true",
    merge: Literal["green", "never"] = "green",
    issues: Path | None = None,
    timeout_seconds: float = 60.0,
) -> LocalForge:
    """A local forge on the repository."""
    beside = repository.bench.parent
    folder = issues or beside / "issues"
    folder.mkdir(exist_ok=True)
    return LocalForge.of(
        LocalConfig(
            ci_sandbox=SandboxKind.NONE,
            repository=repository.path,
            issues=folder,
            state=beside / "state",
            ci=ci,
            ci_seconds=timeout_seconds,
            merge=merge,
        )
    )


def change_of(forge: LocalForge, branch: str = BRANCH) -> ChangeRequest:
    """The change of a branch that must have one."""
    change = forge.change_of_branch("shop", branch)
    assert change is not None
    return change


def merged(forge: LocalForge) -> ChangeRequest:
    """Judge the branch and merge it."""
    change = change_of(forge)
    forge.run_ci(change.head)
    return forge.merge(change, issue=ISSUE)


# Merging


def test_a_green_branch_is_merged_and_a_clean_work_tree_goes_along(repository: TemporaryRepository) -> None:
    """The merge names issue and branch, has both parents, and the user sees the files at once."""
    before = repository.tip()
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    change = merged(forge_of(repository))
    assert change.state is ChangeState.MERGED
    assert change.merge_commit == repository.tip()
    assert repository.git("log", "-1", "--format=%P") == f"{before} {head}"
    message = repository.git("log", "-1", "--format=%B")
    assert BRANCH in message
    assert "local:shop#3" in message
    assert (repository.path / "new.txt").read_text() == "new\n"
    assert repository.git("status", "--porcelain") == ""
    assert change.merged_at is not None
    assert abs(datetime.now(UTC) - change.merged_at) < timedelta(minutes=5)


def test_merging_again_changes_nothing(repository: TemporaryRepository) -> None:
    """A merge may be repeated; there is one merge commit."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository)
    first = merged(forge)
    assert forge.merge(first) == first
    assert repository.tip() == first.merge_commit


def test_uncommitted_work_is_waited_for_and_kept(repository: TemporaryRepository) -> None:
    """A dirty work tree is left exactly as it is, and so is the main branch."""
    before = repository.tip()
    repository.work(BRANCH, {"new.txt": "new\n"})
    (repository.path / "cart.txt").write_text("half done")
    with pytest.raises(ForgeHeldError, match=r"uncommitted changes \('cart.txt'\)"):
        merged(forge_of(repository))
    assert repository.tip() == before
    assert (repository.path / "cart.txt").read_text() == "half done"
    assert change_of(forge_of(repository)).state is ChangeState.OPEN


def test_an_untracked_file_is_never_overwritten(repository: TemporaryRepository) -> None:
    """A file that git does not know and the merge would bring stays the user's."""
    before = repository.tip()
    repository.work(BRANCH, {"new.txt": "new\n"})
    (repository.path / "new.txt").write_text("mine")
    with pytest.raises(ForgeHeldError, match=r"new\.txt"):
        merged(forge_of(repository))
    assert repository.tip() == before
    assert (repository.path / "new.txt").read_text() == "mine"


def test_a_lock_of_a_git_that_ended_long_ago_needs_a_person_at_once(repository: TemporaryRepository) -> None:
    """Nobody's work ends by itself there, so it is refused by the lock's name; a fresh lock is waited for."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    lock = repository.path / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(ForgeHeldError, match=r"index\.lock"):
        merged(forge_of(repository))
    old = lock.stat().st_mtime - STALE_LOCK_SECONDS
    os.utime(lock, (old, old))
    with pytest.raises(ForgeRefusedError, match=r"shop/\.git/index\.lock is the lock of a git that ended"):
        merged(forge_of(repository))
    lock.unlink()
    assert merged(forge_of(repository)).state is ChangeState.MERGED


def test_issue_files_in_the_repository_do_not_make_it_dirty(repository: TemporaryRepository) -> None:
    """Our own comments in issues that are tracked by git do not stand in the way of merges."""
    issues = repository.path / "issues"
    issues.mkdir()
    (issues / "3-cart.md").write_text("The cart is slow")
    repository.git("add", "issues")
    repository.git("commit", "--quiet", "--message", "Track issues")
    repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository, issues=issues)
    forge.comment(ISSUE, "On it")
    assert merged(forge).state is ChangeState.MERGED
    assert forge.read_issue(ISSUE).comments is not None
    assert repository.git("status", "--porcelain", "-uno").split() == ["M", "issues/3-cart.md"]


def test_another_branch_in_the_work_tree_is_not_touched(repository: TemporaryRepository) -> None:
    """When the user works on another branch, main moves and their files do not, dirty or not."""
    repository.git("checkout", "--quiet", "-b", "mine")
    (repository.path / "cart.txt").write_text("half done")
    repository.work(BRANCH, {"new.txt": "new\n"})
    assert merged(forge_of(repository)).merge_commit == repository.tip()
    assert not (repository.path / "new.txt").exists()
    assert (repository.path / "cart.txt").read_text() == "half done"


def test_a_rebase_of_main_in_progress_is_waited_for(repository: TemporaryRepository) -> None:
    """Main is not moved under somebody who is rebasing it."""
    other = repository.work("other", {"cart.txt": "theirs\n"})
    (repository.path / "cart.txt").write_text("ours\n")
    repository.git("commit", "--quiet", "--all", "--message", "Ours")
    assert repository.git.attempt("rebase", other).returncode != 0
    repository.work(BRANCH, {"new.txt": "new\n"})
    with pytest.raises(ForgeHeldError, match="being rebased"):
        merged(forge_of(repository))


def test_a_work_branch_that_somebody_has_checked_out_is_waited_for(repository: TemporaryRepository) -> None:
    """It is brought up to date when they have left it; merging what is up to date needs no wait."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    repository.work("main-next", {"other.txt": "ours\n"})
    repository.git("merge", "--quiet", "--ff-only", "main-next")
    repository.git("checkout", "--quiet", BRANCH)
    forge = forge_of(repository)
    change, onto = change_of(forge), forge.newest("shop", None)
    with pytest.raises(ForgeHeldError, match="is checked out in"):
        forge.bring_up_to_date(change, onto=onto)
    assert (repository.tip(BRANCH), repository.git("status", "--porcelain")) == (head, "")
    repository.git("checkout", "--quiet", "main")
    assert forge.bring_up_to_date(change, onto=onto) != head
    repository.git("checkout", "--quiet", BRANCH)
    assert merged(forge).state is ChangeState.MERGED
    assert repository.git("status", "--porcelain") == ""


def test_a_bare_repository_merges(tmp_path: Path) -> None:
    """A repository without a work tree is merged into like any other."""
    repository = new_repository(tmp_path, bare=True)
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    change = merged(forge_of(repository))
    assert change.merge_commit == repository.tip()
    assert repository.git("rev-parse", f"{repository.tip()}^2") == head


@pytest.mark.parametrize("old_git", [False, True])
def test_conflicts_are_refused_with_their_files(repository: TemporaryRepository, *, old_git: bool) -> None:
    """A conflict names the files, leaves main where it was, and leaves no work tree behind."""
    head = repository.work(BRANCH, {"cart.txt": "theirs\n", "new.txt": "new\n"})
    repository.work("main-next", {"cart.txt": "ours\n"})
    repository.git("merge", "--quiet", "--ff-only", "main-next")
    before = repository.tip()
    merger = LocalMerge(git=LocalGit(repository.path))
    with pytest.raises(ForgeRefusedError, match=r"conflicts in 'cart\.txt';"):
        _ = merger.tree_by_work_tree(before, head) if old_git else merged(forge_of(repository))
    assert repository.tip() == before
    assert len(repository.git("worktree", "list").splitlines()) == 1
    assert repository.git("status", "--porcelain") == ""


def test_both_ways_to_merge_make_the_same_tree(repository: TemporaryRepository) -> None:
    """The way for an old git and the way for a new one agree."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    repository.work("main-next", {"cart.txt": "ours\n"})
    main = repository.tip("main-next")
    merger = LocalMerge(git=LocalGit(repository.path))
    assert merger.tree_by_work_tree(main, head) == merger.merged_tree(main, head)


@pytest.mark.parametrize("bare", [True, False])
def test_main_that_moves_meanwhile_loses_nothing(tmp_path: Path, *, bare: bool) -> None:
    """A commit that lands on main during the merge stays, and the branch is merged on top of it."""
    repository = new_repository(tmp_path, bare=bare)
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    between = repository.work("between", {"between.txt": "between\n"})
    moved: list[str] = []

    class MovesOnce(LocalMerge):
        """Main moves after the merge was made and before it is published."""

        def merged_tree(self, main: str, head: str) -> str:
            tree = super().merged_tree(main, head)
            if not moved:
                moved.append(between)
                move = ("update-ref", "refs/heads/main") if bare else ("merge", "--quiet", "--ff-only")
                repository.git(*move, between)
            return tree

    MovesOnce(git=LocalGit(repository.path)).merge(BRANCH, head, "Merge\n")
    assert moved
    assert repository.git("log", "-1", "--format=%P", "main") == f"{between} {head}"


def test_history_that_has_nothing_in_common_with_main_is_refused_not_awaited(
    repository: TemporaryRepository,
) -> None:
    """Git says no each time, so a person is asked."""
    tree = repository.git("rev-parse", "main^{tree}")
    other = repository.git("commit-tree", tree, "-m", "Initial commit")
    with pytest.raises(ForgeRefusedError, match="no history in common"):
        LocalMerge(git=LocalGit(repository.path)).merged_tree(repository.tip(), other)


def test_only_the_judged_commit_is_merged(repository: TemporaryRepository) -> None:
    """A branch that got another commit since its CI is not merged."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository)
    change = change_of(forge)
    forge.run_ci(change.head)
    repository.more_work(BRANCH, {"new.txt": "newer\n"})
    with pytest.raises(ForgeRefusedError, match="no longer at"):
        forge.merge(change)
    assert change_of(forge).state is ChangeState.OPEN


def test_what_is_not_green_or_not_ours_is_not_merged(repository: TemporaryRepository) -> None:
    """No CI, red CI, the setting `never` and foreign branches are refused, each with its reason."""
    before = repository.tip()
    repository.work(BRANCH, {"new.txt": "new\n"})
    with pytest.raises(ForgeRefusedError, match="unknown, not green"):
        forge_of(repository).merge(change_of(forge_of(repository)))
    with pytest.raises(ForgeRefusedError, match="red, not green"):
        merged(forge_of(repository, ci="exit 3"))
    with pytest.raises(ForgeRefusedError, match="never"):
        merged(forge_of(repository, merge="never"))
    repository.work("feature", {"f.txt": "f\n"})
    with pytest.raises(ForgeInvalidError, match="not a branch of ours"):
        forge_of(repository).merge(change_of(forge_of(repository), "feature"))
    assert repository.tip() == before


def test_hooks_that_the_work_may_have_left_do_not_run(
    repository: TemporaryRepository, tmp_path: Path
) -> None:
    """A merge runs no hook of the repository."""
    hooks = repository.path / ".git" / "hooks"
    for name in ("post-merge", "reference-transaction", "post-checkout", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {shlex.quote(str(tmp_path / 'ran'))}\n")
        (hooks / name).chmod(0o755)
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    (tmp_path / "ran").unlink(missing_ok=True)  # the push into the repository ran one
    forge = forge_of(repository)
    assert change_of(forge).head == head
    assert merged(forge).state is ChangeState.MERGED
    assert not (tmp_path / "ran").exists()


# What became of a branch


def test_an_untouched_branch_is_not_a_change(repository: TemporaryRepository) -> None:
    """A branch without a commit of its own is neither open nor merged, also after main went on."""
    repository.git("branch", BRANCH)
    forge = forge_of(repository)
    assert forge.change_of_branch("shop", BRANCH) is None
    repository.git("commit", "--quiet", "--allow-empty", "--message", "Next")
    assert forge.change_of_branch("shop", BRANCH) is None
    assert forge.change_of_branch("shop", "coalmine/never-was") is None


@pytest.mark.parametrize("how", ["--no-ff", "--ff-only"])
def test_a_persons_own_merge_is_seen(repository: TemporaryRepository, how: str) -> None:
    """Merged by hand is merged, and the commit and the time are found, with the branch deleted too."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository)
    assert change_of(forge).state is ChangeState.OPEN
    repository.git("merge", "--quiet", how, "--no-edit", BRANCH)
    landed = repository.tip()
    assert (landed == head) is (how == "--ff-only")
    repository.git("commit", "--quiet", "--allow-empty", "--message", "Later")
    for _ in range(2):
        change = change_of(forge)
        assert (change.state, change.merge_commit) == (ChangeState.MERGED, landed)
        assert change.merged_at is not None
        assert change.reverted_at is None
        repository.git.attempt("branch", "-D", BRANCH)


def test_a_merge_that_was_never_seen_open_is_found(repository: TemporaryRepository) -> None:
    """A merge commit says by itself that there was a branch."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", BRANCH)
    assert change_of(forge_of(repository)).merge_commit == repository.tip()


@pytest.mark.parametrize("how", ["squash", "rebase"])
def test_squashed_and_rebased_work_is_merged(repository: TemporaryRepository, how: str) -> None:
    """A person may rewrite the commits; the work is in all the same."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    repository.more_work(BRANCH, {"cart.txt": "one\n2\nthree\n"})
    forge = forge_of(repository)
    assert change_of(forge).state is ChangeState.OPEN
    repository.git("commit", "--quiet", "--allow-empty", "--message", "Meanwhile")
    if how == "squash":
        repository.git("merge", "--quiet", "--squash", BRANCH)
        repository.git("commit", "--quiet", "--message", "Squashed")
    else:
        repository.git("cherry-pick", f"main..{BRANCH}")
    landed = repository.tip()
    repository.git("branch", "-D", BRANCH)
    repository.work("later", {"cart.txt": "all new\n"})
    repository.git("merge", "--quiet", "--ff-only", "later")
    change = change_of(forge)
    assert (change.state, change.merge_commit) == (ChangeState.MERGED, landed)


def test_what_has_not_moved_costs_one_question(
    repository: TemporaryRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks ask often, and commits never change: git is asked anew when a branch has moved alone."""
    forge, asked = forge_of(repository), list[str]()
    head = repository.work(BRANCH, {"done.txt": "done"})
    run = Git._captured  # noqa: SLF001 - each call is a process

    def counted(git: Git, arguments: Sequence[str], *more: Any) -> Any:
        asked.append(arguments[0])
        return run(git, arguments, *more)

    def look() -> tuple[ChangeState, bool]:
        asked.clear()
        return change_of(forge).state, forge.contains("shop", head)

    monkeypatch.setattr(Git, "_captured", counted)
    assert look() == (ChangeState.OPEN, False)
    assert look() == (ChangeState.OPEN, False)
    assert asked == ["for-each-ref"] * 2
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", BRANCH)
    assert look() == (ChangeState.MERGED, True)
    assert len(asked) > 2
    assert look() == (ChangeState.MERGED, True)
    assert asked == ["for-each-ref"] * 2
    repository.git("reset", "--quiet", "--hard", "HEAD^")
    assert look() == (ChangeState.MERGED, False)
    assert change_of(forge).reverted_at is not None


def test_a_deleted_branch_was_closed(repository: TemporaryRepository) -> None:
    """A branch that was seen and then deleted unmerged is closed, also when git forgot its commits."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository)
    head = change_of(forge).head
    repository.git("branch", "-D", BRANCH)
    assert (change_of(forge).state, change_of(forge).head) == (ChangeState.CLOSED, head)
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    assert change_of(forge).state is ChangeState.CLOSED


def test_ci_has_the_tags_of_the_repository(repository: TemporaryRepository) -> None:
    """Versions are often made from tags: the agent's tree has them, and so has what judges its work."""
    repository.git("tag", "v1.0", "main")
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    described = 'git describe --tags | grep "^v1.0-1-g"'
    assert forge_of(repository, ci=described).run_ci(head).state is StatusState.SUCCESS


@pytest.mark.parametrize("what", ["merge", "head"])
def test_a_revert_is_found(repository: TemporaryRepository, what: str) -> None:
    """Reverting the merge or the branch's commit counts, and says when."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository)
    change = merged(forge)
    repository.git("commit", "--quiet", "--allow-empty", "--message", "Later: nothing reverts here")
    assert change_of(forge).reverted_at is None
    target = ("-m", "1", change.merge_commit) if what == "merge" else (head,)
    repository.git("revert", "--no-edit", *target)
    assert change_of(forge).reverted_at is not None
    named = change.merge_commit if what == "merge" else head
    assert [revert.commit for revert in forge.reverts_of("shop", named)] == [repository.tip()]


def test_the_branch_that_work_goes_to_is_asked_what_it_holds(repository: TemporaryRepository) -> None:
    """What landed there, and was taken back there, although the main branch has nothing of it."""
    forge, repo = forge_of(repository), "shop"
    base = Base(branch="release", commit=repository.work("release", {"notes.txt": "1.0\n"}))
    head = repository.work(BRANCH, {"new.txt": "new\n"}, onto="release")
    assert not forge.contains(repo, head, base=base)
    repository.git("branch", "--force", "release", head)
    assert forge.contains(repo, head, base=base)
    assert not forge.contains(repo, head)
    assert forge.reverts_of(repo, head, base=base) == ()
    tree = repository.git("rev-parse", f"{base.commit}^{{tree}}")
    back = repository.git("commit-tree", "-p", head, "-m", "Without it", tree)
    repository.git("branch", "--force", "release", back)
    assert [one.commit for one in forge.reverts_of(repo, head, base=base)] == [back]
    assert not forge.contains(repo, head, base=Base(branch="gone", commit=base.commit))


def test_a_merge_that_is_reset_away_was_taken_back(repository: TemporaryRepository) -> None:
    """A person resets the main branch: what was seen merged is not there any longer, until it is again."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository)
    change = merged(forge)
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    dropped = change_of(forge)
    assert (dropped.state, dropped.merge_commit) == (ChangeState.MERGED, change.merge_commit)
    assert dropped.reverted_at is not None
    assert change_of(forge).reverted_at == dropped.reverted_at
    repository.git("branch", "-D", BRANCH)
    assert change_of(forge).reverted_at == dropped.reverted_at
    repository.git("reset", "--quiet", "--hard", change.merge_commit)
    assert change_of(forge).reverted_at is None


def test_a_repository_that_is_gone_gives_no_answer(repository: TemporaryRepository, tmp_path: Path) -> None:
    """When git cannot answer, nothing is called closed or missing."""
    repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository)
    change = change_of(forge)
    (repository.path / ".git").rename(tmp_path / "elsewhere")
    for ask in (
        lambda: forge.change_of_branch("shop", BRANCH),
        lambda: forge.statuses("shop", change.head),
        lambda: forge.reverts_of("shop", change.head),
        lambda: forge.merge(change),
        lambda: forge.run_ci(change.head),
    ):
        with pytest.raises(ForgeUnreachableError):
            ask()


# CI


def test_ci_sees_exactly_the_commit(repository: TemporaryRepository) -> None:
    """The command runs in the commit's files, in a clone that is removed, with the environment it may see."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    repository.more_work(BRANCH, {"new.txt": "newer\n"})
    seen = f'test "$CI $COALMINE_COMMIT" = "true {head}"'
    command = f"grep -x new new.txt && {seen} && git rev-parse HEAD && pwd && env"
    forge = LocalForge.of(
        forge_of(repository, ci=command).config, {"PATH": "/usr/bin:/bin", "COALMINE_SECRET": "s3cret"}
    )
    status = forge.run_ci(head)
    assert status.state is StatusState.SUCCESS
    log = Path(status.url).read_text().splitlines()
    assert log[1] == head
    assert not Path(log[2]).exists()
    assert "s3cret" not in Path(status.url).read_text()
    combined = forge.statuses("shop", head)
    assert (combined.verdict, combined.has_real_ci) == (CiVerdict.GREEN, True)
    assert repository.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("exit 3", StatusState.FAILURE),
        ("kill -9 $$", StatusState.FAILURE),
        ("no-such-program", StatusState.ERROR),
    ],
)
def test_red_ci(repository: TemporaryRepository, command: str, state: StatusState) -> None:
    """A command that fails, dies or cannot be run is red, and is not a real CI that passed."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository, ci=command)
    assert forge.run_ci(head).state is state
    combined = forge.statuses("shop", head)
    assert (combined.verdict, combined.has_real_ci) == (CiVerdict.RED, False)


def test_a_commit_is_judged_once(repository: TemporaryRepository, tmp_path: Path) -> None:
    """A commit with a verdict is not run again, and is no longer among those that need a run."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    forge = forge_of(repository, ci=f"echo run >> {shlex.quote(str(tmp_path / 'runs'))}")
    assert forge.commits_without_ci() == (head,)
    assert forge.run_ci(head) == forge.run_ci(head)
    assert forge.commits_without_ci() == ()
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_command_that_takes_too_long_is_ended_with_its_children(
    repository: TemporaryRepository, tmp_path: Path
) -> None:
    """The time limit ends the whole process group, the children that ignore SIGTERM too."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    pids = tmp_path / "pids"
    child = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(os.getpid(), flush=True); signal.pause()"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(child)} > {shlex.quote(str(pids))} & wait"
    status = forge_of(repository, ci=command, timeout_seconds=1.5).run_ci(head)
    assert status.state is StatusState.FAILURE
    assert "longer than 1.5 s" in status.description
    pid = int(pids.read_text())
    wait_until(lambda: not process_runs(pid), description="the child has ended", timeout=5)


@pytest.mark.parametrize("detached", ["", "setsid "], ids=["in its group", "in a session of its own"])
def test_a_child_left_in_the_background_is_killed(
    repository: TemporaryRepository, tmp_path: Path, detached: str
) -> None:
    """A command that leaves a child, which holds its output open, ends at once and so does the child."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    pids = tmp_path / "pids"
    os.mkfifo(tmp_path / "begun")  # so that the command ends after the child has left its group
    child = f"echo $$ > {shlex.quote(str(pids))}; echo > {shlex.quote(str(tmp_path / 'begun'))}; sleep 600"
    command = f"{detached}sh -c {shlex.quote(child)} & read begun < {shlex.quote(str(tmp_path / 'begun'))}"
    status = forge_of(repository, ci=f"{command} || true").run_ci(head)
    assert status.state is StatusState.SUCCESS
    pid = int(pids.read_text())
    wait_until(lambda: not process_runs(pid), description="the child has ended", timeout=5)


@pytest.mark.parametrize("how", ["written", "copied", "changed"])
def test_a_verdict_that_ci_did_not_give_is_not_believed(repository: TemporaryRepository, how: str) -> None:
    """A file that an agent writes, copies from a green commit or edits leaves the commit unjudged."""
    green = repository.work(BRANCH, {"new.txt": "new\n"})
    red = repository.more_work(BRANCH, {"bad": "bad\n"})
    forge = forge_of(repository, ci="test ! -e bad")
    statuses = Path(forge.run_ci(green).url).parent.parent / "statuses"
    record = json.loads((statuses / f"{green}.json").read_text())
    if how == "written":
        record.pop("seal")
    elif how == "changed":
        assert forge.run_ci(red).state is StatusState.FAILURE
        record = json.loads((statuses / f"{red}.json").read_text())
        record["statuses"][0]["state"] = "success"
    (statuses / f"{red}.json").write_text(json.dumps(record | {"commit": red}))
    assert not forge.statuses("shop", red).has_real_ci
    assert forge.commits_without_ci() == (red,)
    assert forge.run_ci(red).state is StatusState.FAILURE
    assert (statuses / ".key").stat().st_mode & 0o777 == 0o600


def test_what_a_run_leaves_in_its_clone_costs_no_verdict(repository: TemporaryRepository) -> None:
    """Folders within folders, deeper than paths and calls can go, and a pipe: all of it is removed."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    deep = "import os\nfor _ in range(1100): os.mkdir('d'); os.chdir('d')\nos.mkfifo('pipe')"
    forge = forge_of(repository, ci=f"{shlex.quote(sys.executable)} -c {shlex.quote(deep)}")
    clones = repository.bench.parent / "state" / "ci"
    try:
        assert forge.run_ci(head).state is StatusState.SUCCESS
        assert list(clones.iterdir()) == []
    finally:
        remove_all(clones)  # pytest could not


def test_the_log_is_bounded(tmp_path: Path) -> None:
    """Of a long output the beginning and the end are kept."""
    with (tmp_path / "log").open("wb") as file:
        log = BoundedLog(file=file, max_bytes=1000)
        for number in range(5000):
            log.write(f"{number}\n".encode())
        log.finish()
    text = (tmp_path / "log").read_text()
    assert text.startswith("0\n1\n")
    assert text.endswith("4999\n")
    assert "bytes left out" in text
    assert len(text) < 1100


def ci_at(repository: TemporaryRepository, seconds: float, command: str) -> LocalCI:
    """A CI whose clock stands at `seconds`."""
    beside = repository.bench.parent
    return LocalCI(
        repo=repository.path,
        command=command,
        timeout_seconds=60.0,
        work_dir=beside / "ci",
        state_dir=beside / "state",
        clock=lambda: seconds,
    )


def test_ci_that_takes_too_much_is_ended(repository: TemporaryRepository) -> None:
    """It fails the work, and says by what; without a sandbox, too."""
    hungry = "exec python3 -c 'x = bytearray(b\"x\") * (200 << 20); import time; time.sleep(60)'"
    held = CiSandbox(limits=ProcessLimits(memory_bytes=80 << 20))
    done = replace(ci_at(repository, 1000.0, hungry), sandbox=held).run(repository.tip())
    assert (done.state, done.description.endswith("limit: memory")) == (StatusState.FAILURE, True)


def test_a_crashed_runners_claim_expires(repository: TemporaryRepository) -> None:
    """While a claim is fresh nobody else runs; once it is older than its limit, anybody may."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    pending: list[StatusState] = []

    statuses = repository.bench.parent / "state" / "statuses" / f"{head}.json"
    copy = f"cp {shlex.quote(str(statuses))} {shlex.quote(str(statuses))}.seen"
    ci_at(repository, 1000.0, copy).run(head)
    statuses.with_suffix(".json.seen").rename(statuses)  # the claim as it stood while the command ran
    pending.append(ci_at(repository, 1170.0, "true").run(head).state)
    assert not ci_at(repository, 1170.0, "true").needs_run(head)
    assert not ci_at(repository, 900.0, "true").needs_run(head)
    assert ci_at(repository, 870.0, "true").needs_run(head)  # the clock was set back since
    assert ci_at(repository, 1181.0, "true").needs_run(head)
    pending.append(ci_at(repository, 1181.0, "true").run(head).state)
    assert pending == [StatusState.PENDING, StatusState.SUCCESS]


#: Runs a command on a commit that says when it has begun, and does not end.
RUNNER = """
import sys
from pathlib import Path
from routing.forges.local.ci import LocalCI
repository, beside, commit = sys.argv[1:]
LocalCI(
    repo=Path(repository), command=f"touch {beside}/begun; sleep 600", timeout_seconds=60.0,
    work_dir=Path(beside, "ci"), state_dir=Path(beside, "state"), clock=lambda: 1000.0,
).run(commit)
"""


def test_a_claim_ends_with_its_runner(repository: TemporaryRepository) -> None:
    """A commit whose runner was killed is run at once, not after the time limit; one that lives has it."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    beside, other = repository.bench.parent, ci_at(repository, 1001.0, "true")
    with subprocess.Popen([sys.executable, "-c", RUNNER, str(repository.path), str(beside), head]) as runner:
        try:
            wait_until((beside / "begun").exists, description="the command runs")
            assert not other.needs_run(head)
            assert other.run(head).state is StatusState.PENDING
        finally:
            runner.kill()
    assert other.needs_run(head)
    assert other.run(head).state is StatusState.SUCCESS
    assert list((beside / "state" / "statuses").glob(".*.runner")) == []


def test_a_run_that_could_not_be_made_is_not_a_verdict(repository: TemporaryRepository) -> None:
    """When the clone fails, nothing is said of the commit and the next try may run."""
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    broken = ci_at(repository, 1000.0, "true")
    broken.work_dir.write_text("a file where the folder should be")
    with pytest.raises(ForgeUnreachableError, match="could not be run"):
        broken.run(head)
    assert broken.statuses(head).verdict is CiVerdict.UNKNOWN
    assert broken.needs_run(head)


@pytest.mark.parametrize("commit", ["../../etc/passwd", "HEAD", "abc", "--help", "a" * 39 + "\n"])
def test_only_a_whole_hash_becomes_a_path(repository: TemporaryRepository, commit: str) -> None:
    """Anything but a full hash is refused before a file is looked for."""
    with pytest.raises(ForgeInvalidError):
        forge_of(repository).statuses("shop", commit)
    with pytest.raises(ForgeInvalidError):
        forge_of(repository).run_ci(commit)


def test_an_unknown_commit_is_gone(repository: TemporaryRepository) -> None:
    """A hash that the repository does not have is gone, and never red."""
    with pytest.raises(ForgeGoneError):
        forge_of(repository).run_ci("0" * 40)


# Several at once


def test_two_processes_comment_at_once(repository: TemporaryRepository) -> None:
    """No comment is lost and every number is given once, with any number of writers."""
    forge = forge_of(repository)
    (forge.issues.folder / "3.md").write_text("The cart is slow")
    program = (
        "import sys\n"
        "from routing.forges.local.forge import LocalForge, LocalConfig\n"
        "from routing.issues.issue import IssueRef\n"
        "forge = LocalForge.of(LocalConfig.model_validate_json(sys.argv[1]))\n"
        "for number in range(15):\n"
        "    forge.comment(IssueRef.parse('local:shop#3'), f'{sys.argv[2]} {number}')\n"
    )
    settings = forge.config.model_dump_json()
    writers = [
        subprocess.Popen([sys.executable, "-c", program, settings, name], cwd=Path(__file__).parents[2])
        for name in ("left", "right")
    ]
    assert [until_ended(writer, timeout=60) for writer in writers] == [0, 0]
    comments = forge.read_issue(ISSUE).comments or ()
    assert sorted(comment.body for comment in comments) == sorted(
        f"{name} {number}" for name in ("left", "right") for number in range(15)
    )
    assert [comment.id for comment in comments] == list(range(1, 31))


def test_wrong_places_are_named(repository: TemporaryRepository) -> None:
    """A repository or a folder that does not exist is a wrong setting, found at the start."""
    settings = forge_of(repository).config
    for wrong in ("repository", "issues"):
        with pytest.raises(SettingsError, match="nowhere"):
            LocalForge.of(settings.model_copy(update={wrong: Path("nowhere")}))


def test_main_is_found_under_its_own_name(tmp_path: Path) -> None:
    """A repository whose main branch is called otherwise works without a setting."""
    Git(tmp_path)("init", "--quiet", "--initial-branch", "trunk", "old")
    git = LocalGit(tmp_path / "old")
    with pytest.raises(ForgeUnreachableError, match="no commit yet"):
        git.main_tip()
    Git(tmp_path / "old")("commit", "--quiet", "--allow-empty", "--message", "First")
    assert git.main_branch() == "trunk"


def test_branch_that_a_person_has_checked_out_is_deleted_later(tmp_path: Path) -> None:
    """Merged work needs its branch no longer, once nobody works on it."""
    repository = new_repository(tmp_path, bare=True)
    head = repository.work(BRANCH, {"new.txt": "new\n"})
    git = LocalGit(repository.path)
    repository.git("worktree", "add", "--quiet", str(tmp_path / "beside"), BRANCH)
    merger = LocalMerge(git=git)
    merger.merge(BRANCH, head, "Merge\n")
    with pytest.raises(ForgeHeldError, match="beside"):
        merger.delete(BRANCH, head)
    assert git.tip(BRANCH) == head
    repository.git("worktree", "remove", str(tmp_path / "beside"))
    merger.delete(BRANCH, head)
    assert git.tip(BRANCH) is None
