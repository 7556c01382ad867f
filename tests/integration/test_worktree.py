"""Work trees with real git: made, resumed, pushed, and safe from what an agent leaves in them."""

import json
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from routing.errors import InvalidInputError, NotFoundError, UnavailableError
from routing.git.git import Git, GitError
from routing.git.push_refusal import PushRefusedError
from routing.git.remote import Remote, without_password
from tasks.agents.environment import AgentIdentity, agent_environment
from tasks.agents.repository.hand_out import sweep_worktrees
from tasks.agents.repository.leftovers import subject_of
from tasks.agents.repository.mirror import host_lock
from tasks.agents.repository.place import (
    RepositoryPlace,
    checked_remote,
    folder_name,
    scratch,
    turn_files,
)
from tasks.agents.repository.worktree import Worktree, open_worktree
from tasks.agents.runtimes.runtime import RuntimeSpec
from tests.waiting import wait_until

JOB = "00000000000000aa"
OTHER_JOB = "00000000000000bb"
BRANCH = f"coalmine/{JOB}"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository whose main branch is called trunk and has one commit."""
    seed = tmp_path / "seed"
    seed.mkdir()
    git = Git(seed)
    git("init", "--quiet", "--initial-branch=trunk")
    (seed / "sum.py").write_text("2 + 2\n")
    (seed / ".gitignore").write_text("*.log\n")
    git("add", "--all")
    git("commit", "--quiet", "--message=Begin")
    bare = tmp_path / "remote.git"
    Git(tmp_path)("clone", "--quiet", "--bare", str(seed), str(bare))
    return bare


@pytest.fixture
def place(tmp_path: Path) -> RepositoryPlace:
    """One host's folder."""
    return RepositoryPlace(work_dir=tmp_path / "work", repository="team/shop")


def _open(place: RepositoryPlace, remote: Path, job_id: str = JOB) -> Worktree:
    return open_worktree(place, remote=Remote(address=str(remote)), job_id=job_id)


def _commit(tree: Path, name: str, text: str = "x\n") -> str:
    (tree / name).write_text(text)
    git = Git(tree)
    git("add", "--all")
    git("commit", "--quiet", f"--message=Add {name}")
    return git("rev-parse", "HEAD")


def _on_remote(remote: Path, branch: str = BRANCH) -> str | None:
    done = Git(remote).attempt("rev-parse", "--verify", f"refs/heads/{branch}")
    return done.stdout.strip() if done.returncode == 0 else None


def test_a_fresh_tree_is_the_main_branch_on_the_jobs_branch(place: RepositoryPlace, remote: Path) -> None:
    """The agent finds a clean checkout of the remote's main branch."""
    tree = _open(place, remote)
    git = Git(tree.path)

    assert tree.path == place.work_dir / "team+shop" / JOB
    assert (tree.path / "sum.py").read_text() == "2 + 2\n"
    assert git("symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
    assert git("status", "--porcelain") == ""
    assert git("rev-parse", "HEAD", "origin/trunk").split() == [_on_remote(remote, "trunk")] * 2
    assert (tree.resumed, tree.start) == (False, tree.base.commit)


def test_commits_are_pushed_and_read_back_from_the_remote(place: RepositoryPlace, remote: Path) -> None:
    """The pushed commit is what the remote has."""
    tree = _open(place, remote)
    commit = _commit(tree.path, "new.py")
    pushed = tree.push()

    assert (pushed.commit, pushed.moved, pushed.kept_leftovers) == (commit, True, False)
    assert _on_remote(remote) == commit


def test_nothing_is_pushed_when_nothing_was_done(place: RepositoryPlace, remote: Path) -> None:
    """Ignored files do not count as work: no commit and no branch on the remote."""
    tree = _open(place, remote)
    (tree.path / "debug.log").write_text("noise")
    pushed = tree.push()

    assert (pushed.commit, pushed.moved) == (None, False)
    assert _on_remote(remote) is None


def test_leftovers_are_called_after_what_was_asked(place: RepositoryPlace, remote: Path) -> None:
    """People find it on their main branch; the job is in a trailer."""
    tree = replace(_open(place, remote), asked="The cart is\n slow \x1b[31m[skip ci]")
    (tree.path / "left.py").write_text("left\n")
    tree.push()

    said = Git(remote)("log", "-1", "--format=%s|%(trailers:key=Coalmine-Job,valueonly)", BRANCH)
    assert said.strip() == f"The cart is slow|{BRANCH.rpartition('/')[2]}"


@pytest.mark.parametrize(
    ("asked", "subject"),
    [
        ("", "Keep what the agent left uncommitted"),
        ("Fix it", "Fix it"),
        (
            "Crash after the fix that closes #12, GH-13 and !14",
            "Crash after the fix that closes no. 12, no. 13 and no. 14",
        ),
        ("word " * 40, "word " * 14 + "…"),
        ("x" * 100, "x" * 71 + "…"),
    ],
)
def test_subject_of_a_commit_of_ours_is_one_short_line(asked: str, subject: str) -> None:
    """Whatever an issue is called."""
    assert subject_of(asked) == subject.replace(" …", "…")


def test_leftovers_are_committed_under_our_name(place: RepositoryPlace, remote: Path) -> None:
    """What the agent did not commit is kept, by a commit that says so."""
    tree = _open(place, remote)
    first = _commit(tree.path, "done.py")
    (tree.path / "left.py").write_text("left\n")
    (tree.path / "sum.py").unlink()
    pushed = tree.push()

    said = Git(remote)("log", "-1", "--format=%an|%s|%P", BRANCH)
    assert said == f"Coalmine|Keep what the agent left uncommitted|{first}"
    assert pushed.kept_leftovers
    assert set(Git(remote)("ls-tree", "--name-only", BRANCH).split()) == {".gitignore", "done.py", "left.py"}


def test_the_same_leftovers_of_two_jobs_are_two_commits(place: RepositoryPlace, remote: Path) -> None:
    """Each says whose it is, so that none is credited, or reverted, as the other."""
    pushed = []
    for job in (JOB, OTHER_JOB):
        tree = _open(place, remote, job)
        (tree.path / "left.py").write_text("left\n")
        pushed.append(tree.push().commit)
    said = [
        Git(remote)("log", "-1", "--format=%(trailers:key=Coalmine-Job,valueonly)", f"{commit}").strip()
        for commit in pushed
    ]
    assert said == [JOB, OTHER_JOB]
    assert pushed[0] != pushed[1]


def test_the_same_commits_of_two_agents_are_two(place: RepositoryPlace, remote: Path) -> None:
    """What two jobs' agents commit in one second, of one content and on one parent, stays two commits."""
    commits = []
    for job in (JOB, OTHER_JOB):
        tree = _open(place, remote, job)
        (tree.path / "new.py").write_text("new\n")
        variables = agent_environment(
            os.environ, spec=RuntimeSpec(),
            identity=AgentIdentity(job_id=job, agent="b-1", version="implementer@v1"),
            turn_kind="first",
            prompt_file=place.work_dir / "prompt.md",
            folder=tree.path,
        )  # fmt: skip
        second = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
        for command in (["add", "--all"], ["commit", "--quiet", "--message=Same"]):
            subprocess.run(["git", *command], cwd=tree.path, env=variables | second, check=True)
        commits.append(tree.push().commit)
    said = [Git(remote)("log", "-1", "--format=%ae %ce", f"{commit}") for commit in commits]
    assert said == [f"coalmine@localhost coalmine+{job}@localhost" for job in (JOB, OTHER_JOB)]
    assert commits[0] != commits[1]


def test_leftovers_can_be_left(place: RepositoryPlace, remote: Path) -> None:
    """With the setting off only commits of the agent are pushed."""
    tree = _open(place, remote)
    (tree.path / "left.py").write_text("left\n")
    assert tree.push(keep_leftovers=False).commit is None


def test_another_host_resumes_from_the_pushed_branch(
    place: RepositoryPlace, remote: Path, tmp_path: Path
) -> None:
    """The branch on the remote is all that another host needs; commits go on from it."""
    tree = _open(place, remote)
    first = _commit(tree.path, "one.py")
    tree.push()

    elsewhere = _open(RepositoryPlace(work_dir=tmp_path / "host2", repository="team/shop"), remote)
    assert (elsewhere.resumed, elsewhere.start) == (True, first)
    assert (elsewhere.path / "one.py").exists()
    unchanged = elsewhere.push()
    assert (unchanged.commit, unchanged.moved) == (first, False)
    second = _commit(elsewhere.path, "two.py")
    assert elsewhere.push().commit == second

    back = _open(place, remote)
    assert back.start == second
    assert (back.path / "two.py").exists()


def test_a_tree_on_the_same_host_keeps_what_was_not_pushed(place: RepositoryPlace, remote: Path) -> None:
    """A turn that died before its push loses neither commits nor changes nor ignored files."""
    tree = _open(place, remote)
    commit = _commit(tree.path, "one.py")
    (tree.path / "half.py").write_text("half\n")
    (tree.path / "cache.log").write_text("kept\n")

    again = _open(place, remote)
    assert (again.resumed, again.start) == (True, commit)
    assert Git(again.path)("status", "--porcelain") == "?? half.py"
    assert (again.path / "cache.log").exists()


def test_a_second_turn_goes_on_from_leftovers_that_were_pushed(place: RepositoryPlace, remote: Path) -> None:
    """The commit that we made is part of the agent's history in its next turn."""
    tree = _open(place, remote)
    (tree.path / "left.py").write_text("left\n")
    kept = tree.push().commit

    again = _open(place, remote)
    assert Git(again.path)("rev-parse", "HEAD") == kept
    assert Git(again.path)("status", "--porcelain") == ""
    commit = _commit(again.path, "more.py")
    assert again.push().commit == commit


def test_pushing_twice_is_pushing_once(place: RepositoryPlace, remote: Path) -> None:
    """A push that is repeated, as after a lost answer, finds its work done."""
    tree = _open(place, remote)
    _commit(tree.path, "one.py")
    (tree.path / "left.py").write_text("left\n")
    assert tree.push().commit == tree.push().commit == _on_remote(remote)
    (tree.path / "more.py").write_text("more\n")
    assert tree.push().commit == _on_remote(remote)


def test_a_half_made_tree_is_made_anew(place: RepositoryPlace, remote: Path) -> None:
    """A crash while a tree was being made leaves nothing that is trusted."""
    tree = _open(place, remote)
    (tree.git_dir / "coalmine.json").unlink()
    (tree.path / "sum.py").unlink()
    assert (_open(place, remote).path / "sum.py").exists()


def test_an_agent_that_pushed_by_itself_is_fine(place: RepositoryPlace, remote: Path) -> None:
    """Its push counts as ours, and rewriting it is allowed on the job's own branch."""
    tree = _open(place, remote)
    commit = _commit(tree.path, "one.py")
    Git(tree.path)("push", "--quiet", "origin", "HEAD")
    pushed = tree.push()
    assert (pushed.commit, pushed.moved) == (commit, True)

    again = _open(place, remote)
    Git(again.path)("commit", "--quiet", "--amend", "--message=Better")
    assert again.push().commit == Git(again.path)("rev-parse", "HEAD")


def test_what_an_agent_pushed_by_itself_and_rewrote_is_kept_aside(
    place: RepositoryPlace, remote: Path
) -> None:
    """Only the job's record says what was pushed: the rewritten work waits for the next attempt."""
    tree = _open(place, remote)
    git = Git(tree.path)
    first = _commit(tree.path, "one.py")
    git("push", "--quiet", "origin", "HEAD")
    git("commit", "--quiet", "--amend", "--message=Better")
    better = git("rev-parse", "HEAD")
    with pytest.raises(PushRefusedError, match="moved"):
        tree.push()
    again = _open(place, remote)
    assert again.start == first == _on_remote(remote)
    assert Git(again.path)("rev-parse", "left/earlier-turn") == better
    assert again.aside == (f"branch left/earlier-turn ({better[:12]})",)


def test_what_the_record_says_was_pushed_may_be_rewritten(place: RepositoryPlace, remote: Path) -> None:
    """A turn that rewrote the pushed branch, and died before its push, goes on where it was."""
    tree = _open(place, remote)
    _commit(tree.path, "one.py")
    pushed = tree.push().commit
    again = _open(place, remote)
    Git(again.path)("commit", "--quiet", "--amend", "--message=Better")
    better = Git(again.path)("rev-parse", "HEAD")
    third = open_worktree(place, remote=Remote(address=str(remote)), job_id=JOB, pushed=[pushed or ""])
    assert third.start == better
    assert third.push().commit == better == _on_remote(remote)


def test_what_an_agent_fetched_is_not_its_own(place: RepositoryPlace, remote: Path, tmp_path: Path) -> None:
    """A late worker's agent that pushed, and saw its successor's work, does not overwrite that."""
    late = _open(place, remote)
    _commit(late.path, "late.py")
    Git(late.path)("push", "--quiet", "origin", "HEAD")
    successor = _open(RepositoryPlace(work_dir=tmp_path / "host2", repository="team/shop"), remote)
    theirs = _commit(successor.path, "theirs.py")
    successor.push()
    Git(late.path)("fetch", "--quiet", "origin")
    Git(late.path)("commit", "--quiet", "--amend", "--message=Better")

    with pytest.raises(PushRefusedError, match="moved"):
        late.push()
    assert _on_remote(remote) == theirs


@pytest.mark.parametrize("attempt", ["the same", "the next"])
def test_what_a_tree_says_of_pushes_overwrites_nobody(
    place: RepositoryPlace, remote: Path, tmp_path: Path, attempt: str
) -> None:
    """A log or a record that was forged does not make a person's commit the agent's."""
    tree = _open(place, remote)
    _commit(tree.path, "one.py")
    pushed = tree.push().commit
    tree = _open(place, remote)
    person = tmp_path / "person"
    Git(tmp_path)("clone", "--quiet", "--branch", BRANCH, str(remote), str(person))
    theirs = _commit(person, "fix.py")
    Git(person)("push", "--quiet", "origin", "HEAD")
    _commit(tree.path, "two.py")
    log = tree.path / ".git" / "logs" / "refs" / "remotes" / "origin" / BRANCH
    log.parent.mkdir(parents=True)
    log.write_text(f"{pushed} {theirs} a <a@x> 1 +0000\tupdate by push\n")
    if attempt == "the next":
        (tree.git_dir / "coalmine.json").write_text(json.dumps({"v": 1, "remote_commit": theirs}))
        tree = open_worktree(place, remote=Remote(address=str(remote)), job_id=JOB, pushed=[pushed or ""])
        assert tree.start == theirs
    else:
        with pytest.raises(PushRefusedError, match="moved"):
            tree.push()
    assert _on_remote(remote) == theirs


def test_a_branch_that_somebody_else_moved_is_not_overwritten(
    place: RepositoryPlace, remote: Path, tmp_path: Path
) -> None:
    """A worker that lost its job unknowingly does not destroy its successor's work."""
    late = _open(place, remote)
    _commit(late.path, "late.py")
    successor = _open(RepositoryPlace(work_dir=tmp_path / "host2", repository="team/shop"), remote)
    theirs = _commit(successor.path, "theirs.py")
    successor.push()

    with pytest.raises(PushRefusedError, match="moved"):
        late.push()
    assert _on_remote(remote) == theirs


def test_nothing_an_agent_plants_is_run_by_our_git(
    place: RepositoryPlace, remote: Path, tmp_path: Path
) -> None:
    """Hooks, monitors, filters, transports and redirections in the tree's repository have no effect."""
    tree = _open(place, remote)
    mark = tmp_path / "owned"
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {mark}\nexit 1\n')
    trap.chmod(0o755)
    _commit(tree.path, "one.py")
    nested = tree.path / "nested"
    nested.mkdir()
    for folder in (tree.path, nested):
        git = Git(folder)
        git("init", "--quiet")
        hooks = folder / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for hook in ("pre-push", "pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
            (hooks / hook).symlink_to(trap)
        for key in ("core.fsmonitor", "core.sshCommand", "filter.x.clean", "filter.x.smudge", "core.askPass"):
            with (folder / ".git" / "config").open("a") as config:
                section, _, name = key.rpartition(".")
                head = f'[{section.split(".")[0]} "x"]' if "filter" in section else f"[{section}]"
                config.write(f"{head}\n\t{name} = {trap}\n")
        with (folder / ".git" / "config").open("a") as config:
            config.write(f'[url "/nowhere/"]\n\tinsteadOf = {remote.parent}/\n[alias]\n\tpush = !{trap}\n')
    (tree.path / ".gitattributes").write_text("* filter=x\n")
    (tree.path / "left.py").write_text("left\n")
    mark.unlink(missing_ok=True)

    pushed = tree.push()
    again = _open(place, remote)
    again.push()

    assert not mark.exists(), mark.read_text()
    assert pushed.commit is not None
    assert pushed.commit == _on_remote(remote)
    assert "left\n" in Git(remote)("show", f"{BRANCH}:left.py") + "\n"


@pytest.mark.parametrize("how", ["removed", "a file", "a link"])
def test_an_agent_that_breaks_its_repository_loses_no_files(
    place: RepositoryPlace, remote: Path, tmp_path: Path, how: str
) -> None:
    """Without a readable `.git` the files are still committed, and the next turn has a repository again."""
    tree = _open(place, remote)
    (tree.path / "left.py").write_text("left\n")
    (tree.path / ".git").rename(tmp_path / "taken")
    if how == "a file":
        (tree.path / ".git").write_text("gitdir: /nowhere\n")
    elif how == "a link":
        (tree.path / ".git").symlink_to(tmp_path / "nowhere")

    assert tree.push().commit == _on_remote(remote)
    assert Git(_open(place, remote).path)("status", "--porcelain") == ""


def test_jobs_of_one_repository_do_not_see_each_other(place: RepositoryPlace, remote: Path) -> None:
    """Two jobs share objects, but neither branches nor configuration."""
    one, two = _open(place, remote), _open(place, remote, OTHER_JOB)
    _commit(one.path, "one.py")
    Git(one.path)("config", "user.name", "one")
    assert Git(two.path)("branch", "--list", "--format=%(refname:short)") == f"coalmine/{OTHER_JOB}"
    assert Git(two.path).attempt("config", "--local", "user.name").returncode != 0


def test_many_jobs_can_open_trees_at_once(place: RepositoryPlace, remote: Path) -> None:
    """Fetches of one mirror wait for each other."""
    trees: list[Worktree] = []
    jobs = [f"{number:016x}" for number in range(6)]
    threads = [
        threading.Thread(target=lambda job=job: trees.append(_open(place, remote, job))) for job in jobs
    ]
    for thread in threads:
        thread.start()
    wait_until(
        lambda: not any(thread.is_alive() for thread in threads), description="all are done", timeout=60
    )
    assert sorted(tree.path.name for tree in trees) == jobs


def test_a_lock_that_is_held_is_given_up_on(tmp_path: Path) -> None:
    """Waiting for another job's fetch has an end."""
    with (
        host_lock(tmp_path / "lock", patience_seconds=1),
        pytest.raises(UnavailableError, match="held"),
        host_lock(tmp_path / "lock", patience_seconds=0),
    ):
        pass
    with host_lock(tmp_path / "lock", patience_seconds=0):
        pass


def test_a_removed_tree_leaves_nothing_but_the_mirror(place: RepositoryPlace, remote: Path) -> None:
    """Folders that an agent made read-only go too, and links are not followed."""
    tree = _open(place, remote)
    locked = tree.path / "cache" / "inner"
    locked.mkdir(parents=True)
    (locked / "file").write_text("x")
    (tree.path / "link").symlink_to(remote)
    locked.chmod(0o500)
    locked.parent.chmod(0o500)
    tree.remove()

    left = [path.name for path in (place.folder / ".coalmine").iterdir()] + os.listdir(place.folder)  # noqa: PTH208
    assert sorted(left) == [".coalmine", "mirror.git", "mirror.lock"]
    assert (remote / "HEAD").exists()


def test_a_sweep_removes_what_no_job_wants(place: RepositoryPlace, remote: Path) -> None:
    """Trees of final jobs go, others stay, and files that belong to no job are left alone."""
    gone, kept = _open(place, remote), _open(place, remote, OTHER_JOB)
    (place.folder / "notes").mkdir()

    assert sweep_worktrees(place.work_dir, is_wanted=lambda job: job == OTHER_JOB) == [JOB]
    assert not gone.path.exists()
    assert not gone.git_dir.exists()
    assert kept.path.exists()
    assert (place.folder / "notes").exists()


@pytest.mark.parametrize("name", ["turns", "scratch"])
def test_a_sweep_removes_what_turns_and_jobs_without_a_repository_left(tmp_path: Path, name: str) -> None:
    """Also where such folders were before; a job that is wanted, and a repository of that name, stay."""
    files = {"turns": turn_files(tmp_path, JOB, 1), "scratch": scratch(tmp_path, JOB)}[name]
    others = {"turns": turn_files(tmp_path, OTHER_JOB, 1), "scratch": scratch(tmp_path, OTHER_JOB)}[name]
    earlier = tmp_path / name / JOB / "1"
    for folder in (files, others, earlier):
        folder.mkdir(parents=True)
        (folder / "prompt.md").write_text("work")

    assert set(sweep_worktrees(tmp_path, is_wanted=lambda job: job == OTHER_JOB)) == {JOB}
    assert not files.exists()
    assert (others / "prompt.md").exists()
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["turns", "scratch"])
def test_a_repository_of_any_name_has_a_folder_of_its_own(tmp_path: Path, remote: Path, name: str) -> None:
    """No name of a repository leads to where turns keep their files; a sweep leaves its mirror alone."""
    place = RepositoryPlace(work_dir=tmp_path / "work", repository=name)
    tree = _open(place, remote)
    ours = [turn_files(place.work_dir, JOB, 1), scratch(place.work_dir, JOB)]
    for folder in ours:
        assert not folder.is_relative_to(place.folder)
    assert sweep_worktrees(place.work_dir, is_wanted=lambda _: False) == [JOB]
    assert not tree.path.exists()
    assert (place.mirror / "HEAD").exists()
    with pytest.raises(InvalidInputError):
        folder_name(ours[0].relative_to(place.work_dir).parts[0])


def test_a_remote_without_commits_is_refused(place: RepositoryPlace, tmp_path: Path) -> None:
    """The message says what to do about it."""
    empty = tmp_path / "empty.git"
    Git(tmp_path)("init", "--quiet", "--bare", str(empty))
    with pytest.raises(NotFoundError, match="push one"):
        _open(place, empty)


def test_a_password_in_an_address_is_in_no_error(place: RepositoryPlace) -> None:
    """What git says of a remote that it cannot reach holds no password, and neither does what agents see."""
    address = "http://user:hunter2@127.0.0.1:1/shop.git"
    with pytest.raises(GitError) as caught:
        open_worktree(place, remote=Remote(address=address), job_id=JOB)
    assert "hunter2" not in str(caught.value) + caught.value.stderr
    assert without_password(address) == "http://127.0.0.1:1/shop.git"


@pytest.mark.parametrize(
    "name", ["", "..", "../up", "a/../b", "a//b", "/etc", "-x", ".git", "a.git", "a b", "a/.b", "a\n"]
)
def test_a_name_that_is_not_a_repository_never_becomes_a_path(name: str) -> None:
    """Whatever leads out of the folder, or into git's own files, is refused."""
    with pytest.raises(InvalidInputError):
        folder_name(name)


def test_different_repositories_have_different_folders() -> None:
    """No two names share a tree."""
    names = ["shop", "team/shop", "team_shop", "local:shop", "local/shop", "local:team/shop"]
    assert len({folder_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("address", ["", "--upload-pack=touch x", "ext::sh -c 'touch x'"])
def test_an_address_that_would_run_something_is_refused(address: str) -> None:
    """Addresses are never options and never programs."""
    with pytest.raises(InvalidInputError):
        checked_remote(address)
