"""Commit messages that keep CI away: they are changed before the push, and nothing else is."""

from pathlib import Path

import pytest

from routing.git.git import Git
from routing.git.remote import Remote
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree

JOB = "00000000000000aa"
BRANCH = f"coalmine/{JOB}"


@pytest.fixture
def remote(tmp_path: Path) -> Git:
    """A bare repository with one commit, whose message keeps CI away."""
    bare = Git(tmp_path)
    bare("init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    seed = tmp_path / "seed"
    bare("clone", "--quiet", "remote.git", "seed")
    (seed / "sum.py").write_text("2 + 2\n")
    git = Git(seed)
    git("add", "--all")
    git("commit", "--quiet", "--message=Begin [skip ci]")
    git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    return Git(tmp_path / "remote.git")


def opened(remote: Git, tmp_path: Path) -> Worktree:
    """The job's tree, as it is handed to an agent."""
    place = RepositoryPlace(work_dir=tmp_path / "work", repository="team/shop")
    return open_worktree(place, remote=Remote(address=str(remote.directory)), job_id=JOB)


def commit(tree: Worktree, name: str, message: str) -> str:
    """The agent commits a file."""
    (tree.path / name).write_text(f"{name}\n")
    git = Git(tree.path)
    git("add", "--all")
    git("-c", "user.name=Agent Émile", "-c", "user.email=a@b.c", "commit", "--quiet", f"--message={message}")
    return git("rev-parse", "HEAD")


def test_messages_that_keep_ci_away_are_changed(remote: Git, tmp_path: Path) -> None:
    """The content, the authors and the times stay; commits of the main branch are nobody's to change."""
    tree = opened(remote, tmp_path)
    first = commit(tree, "a.txt", "Add a [skip ci]")
    second = commit(tree, "b.txt", "Add b, as it is: é")
    pushed = tree.push().commit
    assert pushed == remote("rev-parse", BRANCH)
    assert pushed not in {None, second}
    said = remote("log", "--format=%s", BRANCH).splitlines()
    assert said == ["Add b, as it is: é", "Add a", "Begin [skip ci]"]
    agents = Git(tree.path)
    for ours, theirs in ((BRANCH, second), (f"{BRANCH}^", first)):
        facts = "--format=%T %an %ae %ad %cn %cd"
        assert remote("log", "-1", facts, ours) == agents("log", "-1", facts, theirs)


def test_a_later_turn_adds_to_what_was_pushed(remote: Git, tmp_path: Path) -> None:
    """The same commits give the same new ones, so that nothing that was pushed is replaced."""
    tree = opened(remote, tmp_path)
    commit(tree, "a.txt", "Add a\n\n\nskip-checks: true")
    before = tree.push().commit
    again = opened(remote, tmp_path)
    commit(again, "b.txt", "Add b [ci skip]")
    after = again.push().commit
    assert remote("rev-parse", f"{BRANCH}^") == before
    assert remote("log", "-1", "--format=%B", BRANCH).strip() == "Add b"
    assert opened(remote, tmp_path).push().commit == after


def test_other_commits_are_pushed_as_they_are(remote: Git, tmp_path: Path) -> None:
    """Their hashes are those that the agent knows."""
    tree = opened(remote, tmp_path)
    made = commit(tree, "a.txt", "Add a to the ci")
    assert tree.push().commit == made


def test_commits_of_a_newer_main_branch_are_nobodys_to_change(remote: Git, tmp_path: Path) -> None:
    """An agent may fetch and merge what people pushed there during its turn."""
    tree = opened(remote, tmp_path)
    commit(tree, "a.txt", "Add a [skip ci]")
    seed = Git(tmp_path / "seed")
    seed("commit", "--quiet", "--allow-empty", "--message=A person's [skip ci]")
    seed("push", "--quiet", "origin", "HEAD:refs/heads/main")
    Git(tree.path)("fetch", "--quiet", "origin", "main")
    Git(tree.path)("merge", "--quiet", "--no-edit", "FETCH_HEAD")
    tree.push()
    assert remote("log", "--format=%s", "--no-merges", f"main..{BRANCH}") == "Add a"
    assert remote("merge-base", "main", BRANCH) == remote("rev-parse", "main")


def test_what_an_agent_pushed_by_itself_stays(remote: Git, tmp_path: Path) -> None:
    """It is there already, and may have been seen."""
    tree = opened(remote, tmp_path)
    made = commit(tree, "a.txt", "Add a [skip ci]")
    Git(tree.path)("push", "--quiet", "origin", f"HEAD:refs/heads/{BRANCH}")
    assert tree.push().commit == made
    commit(tree, "b.txt", "Add b [skip ci]")
    tree.push()
    assert remote("log", "--format=%s", f"main..{BRANCH}").splitlines() == ["Add b", "Add a [skip ci]"]
