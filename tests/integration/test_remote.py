"""Git at a forge over HTTP with the forge's token: it works, and nobody else learns the token."""

import base64
import contextlib
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr

from routing.forges.registry import KINDS
from routing.git.git import Git, GitError
from routing.git.limits import GitLimits
from routing.git.remote import Remote, RemoteGoneError, RemoteRefusedError
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import open_worktree
from tests.fakes.forge_world import OWN_LOGIN, TOKEN, ForgeWorld
from tests.repositories import new_repository
from tests.servers.forge_server import ForgeServer
from tests.servers.git_server import GitDoor
from tests.servers.gitea_server import gitea_server
from tests.servers.github_server import github_server
from tests.servers.private_server import process_runs
from tests.waiting import wait_until

JOB = "00000000000000aa"
BRANCH = f"coalmine/{JOB}"
WRONG = "tok-of-s0meb0dy-else"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedRepository:
    """A forge with its repository, and a host that works on it."""

    kind: str
    server: ForgeServer
    world: ForgeWorld
    place: RepositoryPlace

    @property
    def door(self) -> GitDoor:
        """What git speaks to."""
        assert self.server.git is not None
        return self.server.git

    def remote(self, token: str = TOKEN, *, repo: str = "acme/shop") -> Remote:
        """The repository as settings make it."""
        kind = KINDS[self.kind]
        config = kind.config(base_url=self.server.address, token=SecretStr(token), login=OWN_LOGIN)
        return kind.remote(config, repo)


@pytest.fixture(params=["github", "gitea"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedRepository]:
    """Each of the suite's forges."""
    world = ForgeWorld(new_repository(tmp_path, bare=True))
    server = github_server(world) if request.param == "github" else gitea_server(world)
    place = RepositoryPlace(work_dir=tmp_path / "work", repository=f"{request.param}:acme/shop")
    yield ServedRepository(kind=str(request.param), server=server, world=world, place=place)
    server.stop()


def _forms(user: str, token: str = TOKEN) -> tuple[bytes, ...]:
    """The token as it is, and as a header has it."""
    return token.encode(), base64.b64encode(f"{user}:{token}".encode())


def _hold_token(paths: Path, user: str) -> list[Path]:
    files = [path for path in paths.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [path for path in files if any(form in path.read_bytes() for form in _forms(user))]


def _work(served: ServedRepository, remote: Remote) -> str | None:
    """One turn's git: a tree, a commit that is too large for one piece, a push."""
    tree = open_worktree(served.place, remote=remote, job_id=JOB)
    (tree.path / "large.bin").write_bytes(random.Random(5).randbytes(2_000_000))
    return tree.push().commit


def test_a_turn_fetches_and_pushes_with_the_token(served: ServedRepository) -> None:
    """Tree, commit, push and the next turn's fetch go through HTTP; the token is in no file afterwards."""
    pushed = _work(served, served.remote())

    assert pushed == served.world.repository.tip(BRANCH)
    again = open_worktree(served.place, remote=served.remote(), job_id=JOB)
    assert (again.start, again.resumed) == (pushed, True)
    services = {asked.query or asked.path.rpartition("/")[2] for asked in served.door.asked}
    assert services == {
        *("service=git-upload-pack", "service=git-receive-pack"),
        *("git-upload-pack", "git-receive-pack"),
    }
    assert {asked.authorization for asked in served.door.asked} == {"", served.door.expected}
    assert _hold_token(served.place.work_dir, served.door.user) == []


def test_the_agents_tree_knows_the_address_alone(served: ServedRepository) -> None:
    """What git shows in the tree holds no credential, and gives no access."""
    tree = open_worktree(served.place, remote=served.remote(), job_id=JOB)
    git = Git(tree.path)
    address = f"{served.server.address}/acme/shop.git"

    assert git("remote", "-v").splitlines() == [f"origin\t{address} (fetch)", f"origin\t{address} (push)"]
    assert "credential" not in git("config", "--local", "--list")
    assert git.attempt("ls-remote", "origin").returncode != 0


def test_a_wrong_token_has_its_own_error_and_is_not_repeated(served: ServedRepository) -> None:
    """The forge refuses, and says the header back: neither form is in the error."""
    remote = served.remote(WRONG)
    assert remote.credential is not None
    with pytest.raises(RemoteRefusedError, match="token is valid") as caught:
        _work(served, remote)

    said = str(caught.value).encode()
    assert b"We do not know" in said
    assert not [form for form in _forms(remote.credential.user, WRONG) if form in said]
    assert served.door.asked[-1].authorization != served.door.expected


def test_no_token_where_one_is_needed_is_refused(served: ServedRepository) -> None:
    """Git does not prompt for a name; the message says what is missing."""
    remote = Remote(address=served.remote().address)
    with pytest.raises(RemoteRefusedError, match="give the forge a token"):
        _work(served, remote)


def test_a_token_that_may_not_push_has_its_own_error(served: ServedRepository) -> None:
    """Fetching works, pushing is refused: a person gives the token its permission."""
    served.door.read_only = True
    with pytest.raises(RemoteRefusedError, match="contents"):
        _work(served, served.remote())
    assert BRANCH not in served.world.repository.git("for-each-ref", "refs/heads")


def test_a_repository_that_is_not_there_is_gone(served: ServedRepository) -> None:
    """It is not taken for a forge that does not answer, and not for a wrong token."""
    with pytest.raises(RemoteGoneError, match="not there"):
        _work(served, served.remote(repo="acme/gone"))


def test_a_forge_that_is_down_is_unreachable(served: ServedRepository) -> None:
    """Nothing listens: the error is git's, and may pass."""
    stopped = github_server(served.world)
    stopped.stop()
    with pytest.raises(GitError, match="connect") as caught:
        _work(served, replace(served.remote(), address=f"{stopped.address}/acme/shop.git"))
    assert TOKEN not in str(caught.value)


def test_another_host_gets_no_credential(served: ServedRepository) -> None:
    """A redirect is not followed at all."""
    other = github_server(served.world)
    try:
        served.door.moved_to = other.address
        with pytest.raises(RemoteGoneError, match="has moved"):
            _work(served, served.remote())
        assert other.git is not None
        assert other.git.asked == []
    finally:
        other.stop()


def test_a_helper_answers_for_its_own_origin_alone(served: ServedRepository) -> None:
    """Git that is pointed at another host with the same access learns nothing."""
    other = github_server(served.world)
    try:
        elsewhere = f"{other.address}/acme/shop.git"
        with pytest.raises(RemoteRefusedError):
            served.remote().run(served.world.repository.git, "ls-remote", "--", elsewhere)
        assert other.git is not None
        assert {asked.authorization for asked in other.git.asked} == {""}
    finally:
        other.stop()


def test_no_process_shows_the_token(served: ServedRepository) -> None:
    """While the forge holds a request of git's, arguments and environments of all our children are read."""
    served.door.open.clear()
    thread = threading.Thread(target=_work, args=(served, served.remote()))
    thread.start()
    wait_until(served.door.holding.is_set, description="the forge holds a request", timeout=30)
    children = psutil.Process().children(recursive=True)
    seen = {
        child.name(): Path(f"/proc/{child.pid}/environ").read_bytes() + "\0".join(child.cmdline()).encode()
        for child in children
        if child.name().startswith("git")
    }
    served.door.open.set()
    wait_until(lambda: not thread.is_alive(), description="git has ended", timeout=60)

    assert {"git", "git-remote-http"} <= set(seen)
    assert not [name for name, text in seen.items() for form in _forms(served.door.user) if form in text]
    assert TOKEN not in str(dict(os.environ))


def test_a_forge_that_does_not_end_its_answer_runs_into_the_time_limit(served: ServedRepository) -> None:
    """Git is ended, and with it the programs that transfer for it."""
    served.door.open.clear()
    errors: list[GitError] = []

    def work() -> None:
        try:
            _work(served, replace(served.remote(), limits=GitLimits(answer_seconds=5)))
        except GitError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(served.door.holding.is_set, description="the forge holds a request", timeout=30)
    children = [one.pid for one in psutil.Process().children(recursive=True) if one.name().startswith("git")]
    wait_until(lambda: not thread.is_alive(), description="git has ended", timeout=60)

    assert [str(error).split(" in ")[0] for error in errors] == ["git ls-remote --symref took over 5 s"]
    assert len(children) > 1
    wait_until(lambda: not any(map(process_runs, children)), description="no git is left")


def test_the_machines_users_own_git_is_left_out(
    served: ServedRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Helpers, netrc, askpass and rewritten addresses of the home neither see the token nor replace it."""
    home, seen = tmp_path / "home", tmp_path / "seen"
    home.mkdir()
    trap = home / "trap"
    trap.write_text(f"#!/bin/sh\necho trap $* >> {seen}\ncat >> {seen}\n")
    trap.chmod(0o755)
    origin, host = served.server.address, urlsplit(served.server.address).hostname
    (home / ".netrc").write_text(f"machine {host} login ann password {WRONG}\n")
    (home / ".gitconfig").write_text(
        f"[credential]\n\thelper = store --file {seen}\n[core]\n\taskPass = {trap}\n"
        f'[credential "{origin}"]\n\thelper = "!{trap}"\n'
        f'[url "http://127.0.0.1:1/"]\n\tinsteadOf = {origin}/\n'
    )
    monkeypatch.setenv("HOME", str(home))

    remote = served.remote()
    tree = open_worktree(served.place, remote=remote, job_id=JOB)
    (tree.path / "left.py").write_text("left\n")
    assert tree.push().commit == served.world.repository.tip(BRANCH)

    assert not seen.exists(), seen.read_text()
    assert {asked.authorization for asked in served.door.asked} == {"", served.door.expected}


def test_the_helper_reads_pipes_of_any_number(served: ServedRepository) -> None:
    """A worker has many files open; shells know descriptors of one digit only."""
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    try:
        assert "refs/heads/main" in served.remote().run(
            served.world.repository.git, "ls-remote", "--", served.remote().address
        )
    finally:
        for descriptor in held:
            os.close(descriptor)


def test_helpers_of_the_machine_are_not_run(served: ServedRepository, tmp_path: Path) -> None:
    """Whatever configuration git still reads, no other helper takes part."""
    seen = tmp_path / "seen"
    git = Git(served.world.repository.bench)
    for section in ("credential", f"credential.{served.server.address}"):
        git("config", f"{section}.helper", f"store --file {seen}")
    served.remote().run(git, "ls-remote", "--", served.remote().address)
    assert not seen.exists(), seen.read_text()


def test_no_pipe_is_left_open(served: ServedRepository) -> None:
    """Neither when git did its work nor when it was refused."""
    before = _pipes()
    git, address = served.world.repository.git, served.remote().address
    served.remote().run(git, "ls-remote", "--", address)
    with pytest.raises(RemoteRefusedError):
        served.remote(WRONG).run(git, "ls-remote", "--", address)
    wait_until(lambda: _pipes() <= before, description="all pipes are closed")


def _pipes() -> set[str]:
    """Our open pipes, by their numbers in the kernel."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.add(str(link.readlink()))
    return {name for name in found if name.startswith("pipe:")}
