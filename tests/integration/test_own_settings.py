"""What the worker's user has in `~/.gitconfig` changes neither a merge nor what CI judges."""

import os
from pathlib import Path

import pytest

from routing.forges.commit_status import StatusState
from routing.forges.local.ci import LocalCI
from routing.forges.local.git import LocalGit
from routing.forges.local.merge import LocalMerge
from routing.git.git import Git
from routing.git.own_settings import trust_in
from routing.git.remote import Remote
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import open_worktree
from tests.repositories import TemporaryRepository, new_repository

JOB = "00000000000000aa"

#: What each program, address or rule of the user does, if it is obeyed: {mark} is a file that says so.
SETTINGS = """\
[core]
	hooksPath = {home}/hooks
	autocrlf = true
	fsmonitor = touch {mark}
	attributesFile = {home}/attributes
[init]
	templateDir = {home}/template
[commit]
	gpgSign = true
[push]
	followTags = true
	gpgSign = true
[fetch]
	fsckObjects = true
[merge]
	verifySignatures = true
	autoStash = true
[gpg]
	program = touch {mark}; false
[merge "ours"]
	driver = touch {mark}
[filter "odd"]
	clean = touch {mark}; cat
	smudge = touch {mark}; tr a-z A-Z
	required = true
[url "{home}/elsewhere/"]
	insteadOf = {folder}/
[alias]
	merge-tree = !touch {mark}
"""


@pytest.fixture
def repository(tmp_path: Path) -> TemporaryRepository:
    """A repository whose attributes name a filter and a merge driver."""
    made = new_repository(tmp_path, bare=True)
    made.work("main", {".gitattributes": "cart.txt merge=ours filter=odd\n"})
    return made


@pytest.fixture
def mark(tmp_path: Path, repository: TemporaryRepository, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once something of the user's has run; everything else is made before that."""
    home, mark = tmp_path / "home", tmp_path / "mark"
    for folder in ("hooks", "template/hooks"):
        (home / folder).mkdir(parents=True)
        for name in ("post-checkout", "post-merge", "pre-push", "reference-transaction", "post-index-change"):
            hook = home / folder / name
            hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
            hook.chmod(0o755)
    (home / "attributes").write_text("*.md filter=odd\n")
    (home / ".gitconfig").write_text(SETTINGS.format(home=home, mark=mark, folder=tmp_path))
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "attributes").write_text("*.md filter=odd\n")
    del repository
    monkeypatch.setenv("HOME", str(home))
    return mark


def ci(repository: TemporaryRepository, tmp_path: Path, command: str) -> LocalCI:
    """CI with that command."""
    return LocalCI(
        repo=repository.path, command=command, timeout_seconds=60, work_dir=tmp_path / "ci",
        state_dir=tmp_path / "state", environment={"PATH": os.environ["PATH"]},
    )  # fmt: skip


def test_ci_judges_the_files_of_the_commit(
    repository: TemporaryRepository, tmp_path: Path, mark: Path
) -> None:
    """No carriage return, no filter, and no hook, in the clone either."""
    command = "! grep -q \"$(printf '\\r')\" README.md && grep -q one cart.txt && ! ls .git/hooks/*"
    verdict = ci(repository, tmp_path, command).run(repository.tip())

    assert verdict.state is StatusState.SUCCESS, verdict.description
    assert not mark.exists()


def test_merge_is_what_git_makes_of_the_commits(
    repository: TemporaryRepository, tmp_path: Path, mark: Path
) -> None:
    """A driver of the user's that takes one side would lose the other; a work tree is not there."""
    bench = tmp_path / "plain"
    with pytest.MonkeyPatch.context() as plain:
        plain.setenv("HOME", str(bench))
        head = repository.work("coalmine/job", {"cart.txt": "ONE\ntwo\nthree\n"})
        repository.work("main", {"cart.txt": "one\ntwo\nTHREE\n"})
    made = LocalMerge(git=LocalGit(repository.path)).merge("coalmine/job", head, "Merge\n")

    assert LocalGit(repository.path).run("show", f"{made}:cart.txt") == "ONE\ntwo\nTHREE"
    assert not mark.exists()


def test_work_tree_of_a_person_keeps_that_persons_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files have their line endings, are not thought changed, and hooks do not run."""
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    hook = home / "hooks" / "post-merge"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\n")
    hook.chmod(0o755)
    made = new_repository(tmp_path)
    head = made.work("coalmine/job", {"new.txt": "one\ntwo\n"})
    (home / ".gitconfig").write_text(
        f"[core]\n\tautocrlf = true\n\thooksPath = {home}/hooks\n[merge]\n\tverifySignatures = true\n"
    )
    monkeypatch.setenv("HOME", str(home))
    (made.path / "README.md").unlink()
    made.git("checkout", "--", "README.md")
    LocalMerge(git=LocalGit(made.path)).merge("coalmine/job", head, "Merge\n")

    assert (made.path / "new.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert made.git("status", "--porcelain") == ""
    assert not (tmp_path / "mark").exists()


def test_work_arrives_as_it_was_made(repository: TemporaryRepository, tmp_path: Path, mark: Path) -> None:
    """Neither tags, nor signatures, nor checks of old history come with a push or a fetch."""
    with pytest.MonkeyPatch.context() as plain:
        plain.setenv("HOME", str(tmp_path / "plain"))
        raw = repository.git("cat-file", "commit", "main").replace(
            "author Coalmine <coalmine@", "author A<a b "
        )
        odd = repository.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=f"{raw}\n")
        repository.git("update-ref", "refs/heads/main", odd)
    place = RepositoryPlace(work_dir=tmp_path / "work", repository="shop")
    tree = open_worktree(place, remote=Remote(address=str(repository.path)), job_id=JOB)
    (tree.path / "new.txt").write_text("new\n")
    with pytest.MonkeyPatch.context() as plain:
        plain.setenv("HOME", str(tmp_path / "plain"))
        Git(tree.path)("tag", "--annotate", "--message=Mine", "mine")
    pushed = tree.push()

    assert pushed.commit == LocalGit(repository.path).tip(tree.branch)
    assert LocalGit(repository.path).run("tag") == ""
    assert not mark.exists()


def test_the_users_way_to_a_remote_is_kept_and_nothing_else(
    repository: TemporaryRepository, tmp_path: Path, mark: Path
) -> None:
    """Without a token the program for ssh is the user's; tags and signatures do not come with a push."""
    home = Path(os.environ["HOME"])
    ssh = home / "ssh"
    there = f'GIT_CONFIG_GLOBAL=/dev/null sh -c "${{2%% *}} {repository.path}"'
    ssh.write_text(f"#!/bin/sh\ntouch {home}/asked\n{there}\n")
    ssh.chmod(0o755)
    with (home / ".gitconfig").open("a") as file:
        file.write(f"[core]\n\tsshCommand = {ssh}\n[ssh]\n\tvariant = simple\n")
    place = RepositoryPlace(work_dir=tmp_path / "work", repository="shop")

    tree = open_worktree(place, remote=Remote(address="ssh://far.test/shop"), job_id=JOB)
    (tree.path / "new.txt").write_text("new\n")
    git_dir = LocalGit(tree.git_dir)
    git_dir.run("tag", "--annotate", "--message=Mine", "mine", tree.start)
    pushed = tree.push()

    assert (home / "asked").exists()
    assert pushed.commit == LocalGit(repository.path).tip(tree.branch)
    assert LocalGit(repository.path).run("tag") == ""
    assert not mark.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
def test_repository_of_another_user_needs_that_users_word(
    repository: TemporaryRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was allowed by `safe.directory` is allowed to us; CI's clone comes of it, too."""
    for path in [repository.path, *repository.path.rglob("*")]:
        os.chown(path, 61001, 61001)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(Exception, match="dubious ownership"):
        LocalGit(repository.path).main_tip()
    (home / ".gitconfig").write_text(
        f"[safe]\n\tdirectory = {tmp_path}/other\n\tdirectory = {repository.path}\n"
    )

    assert LocalGit(repository.path).main_tip() == repository.tip()
    assert ci(repository, tmp_path, "true").run(repository.tip()).state is StatusState.SUCCESS


def test_own_repository_needs_no_word(repository: TemporaryRepository) -> None:
    """No git is asked for what is ours."""
    with trust_in(repository.path) as given:
        assert given == {}
