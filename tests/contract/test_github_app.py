"""A GitHub App: real signatures, tokens that are lent for an hour, an account each, and shown nowhere."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from routing.forges.errors import ForgeGoneError, ForgeTokenError, ForgeUnreachableError
from routing.forges.github.app import RENEW_SECONDS
from routing.forges.github.kind import GITHUB, GitHubConfig, github_forge
from routing.forges.rest.forge import RestForge
from routing.git.remote import RemoteAwayError, RemoteRefusedError
from routing.http.connection import Surroundings
from routing.http.settings import HttpLimits
from tests.fakes.forge_world import ForgeWorld
from tests.fleets.stepped_fleet import SteppedClock
from tests.repositories import new_repository
from tests.servers.forge_server import Answer
from tests.servers.github_app import AppServer, make_key
from tests.servers.github_server import github_server

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("github-app")

APP_ID = 4711


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The App's key."""
    return make_key(tmp_path_factory.mktemp("key"))


class AppBench:
    """A forge that is an App, and its server; both have a clock that a test moves."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.world = ForgeWorld(new_repository(folder, bare=True))
        self.server = github_server(self.world)
        self.clock = SteppedClock(time.time())
        self.door = AppServer(self.server, app_id=APP_ID, key=key, clock=self.clock)
        self.config = GitHubConfig(base_url=self.server.address, app_id=APP_ID, app_key_path=key)
        limits = HttpLimits(attempts=1, page_size=2)
        surroundings = Surroundings(limits=limits, clock=self.clock, sleep=lambda _seconds: None)
        self.forge: RestForge = github_forge(self.config, surroundings)
        assert self.config.app is not None
        self.app = self.config.app

    def look(self) -> bool:
        """One call about a repository."""
        return self.forge.list_issues(self.world.repo, None).complete

    def asked_as(self) -> list[str]:
        """With what each call about issues was made."""
        asked = [one for one in self.server.asked if one.path.endswith("/issues")]
        return [one.headers["Authorization"].removeprefix("Bearer ") for one in asked]

    def stop(self) -> None:
        """Close all of it, the App's own connections, too."""
        self.forge.close_connections()
        self.server.stop()


@pytest.fixture
def bench(tmp_path: Path, key: Path) -> Iterator[AppBench]:
    """A new one."""
    made = AppBench(tmp_path, key)
    yield made
    made.stop()


def test_a_token_is_asked_for_once_and_used(bench: AppBench) -> None:
    """The installation is found by the repository; the proof is signed as RFC 7518 says."""
    assert bench.look()
    assert bench.look()
    assert (bench.asked_as(), bench.door.lent) == (["ghs_0s3cret"] * 2, ["ghs_0s3cret"])
    assert bench.forge.own_login() == "coalmine[bot]"


def test_a_token_is_renewed_before_it_ends(bench: AppBench) -> None:
    """Nothing goes out with one that ends on the way."""
    bench.look()
    bench.clock.forward(3600 - RENEW_SECONDS - 5)
    bench.look()
    bench.clock.forward(10)
    bench.look()
    assert bench.asked_as() == ["ghs_0s3cret", "ghs_0s3cret", "ghs_1s3cret"]


def test_each_account_has_a_token_of_its_own(bench: AppBench) -> None:
    """Several installations of one App; GraphQL goes with the account that was asked about before."""
    assert bench.look()
    assert bench.forge.repositories_of("ann")[0] == "ann/dots"
    assert sorted(bench.door.live.values()) == [1, 2]
    bench.door.installations["acme"] = 1
    assert bench.forge.repository_fault(bench.world.repo) == ""
    asked = [one for one in bench.server.asked if one.path == "/graphql"]
    assert {one.headers["Authorization"] for one in asked} == {"Bearer ghs_0s3cret"}


def test_git_gets_the_token_of_its_repository(bench: AppBench) -> None:
    """As it is when git is run; nothing shows it."""
    remote = GITHUB.remote(bench.config, bench.world.repo)
    assert remote.credential is not None
    assert bench.server.asked == [], "making a remote asks nobody"
    held = remote.credential.held(remote.address)
    assert held.lines == b"username=x-access-token\npassword=ghs_0s3cret\n"
    bench.clock.forward(3600)
    assert b"ghs_1s3cret" in remote.credential.held(remote.address).lines
    assert "s3cret" not in f"{remote!r}{held!r}{bench.config!r}{bench.config.model_dump_json()}"
    assert held.hidden("it is ghs_0s3cret") == "it is [token]", "the one that this git used"


@pytest.mark.parametrize("wrong_by", [7200.0, -7200.0])
def test_a_clock_that_is_wrong_is_put_right_by_the_servers(bench: AppBench, wrong_by: float) -> None:
    """GitHub takes no proof from the future, and none of the past."""
    bench.door.clock = time.time
    bench.clock.forward(wrong_by)
    assert bench.look()
    assert bench.door.lent == ["ghs_0s3cret"]


def test_a_token_that_was_revoked_is_given_up(bench: AppBench) -> None:
    """One call is refused; the next one has another."""
    bench.look()
    bench.door.live.clear()
    with pytest.raises(ForgeTokenError):
        bench.look()
    assert bench.look()
    assert bench.asked_as()[-1] == "ghs_1s3cret"


def test_a_key_that_is_revoked_is_said(bench: AppBench, tmp_path: Path) -> None:
    """Which App, which file, and what to do; nothing of the key."""
    bench.door.public = make_key(tmp_path, "another").with_suffix(".pub")
    with pytest.raises(ForgeTokenError, match=r"that the key in .*app\.pem is one") as caught:
        bench.look()
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "no key"])
def test_a_file_without_a_key_is_named(bench: AppBench, tmp_path: Path, content: str | None) -> None:
    """Before anything is asked."""
    file = tmp_path / "none.pem"
    if content is not None:
        file.write_text(content)
    app = GitHubConfig(base_url=bench.server.address, app_id=APP_ID, app_key_path=file).app
    assert app is not None
    with pytest.raises(ForgeTokenError, match=f"{file} .*correct app_key_path"):
        app.token("acme")
    assert bench.server.asked == []
    app.close()


def test_an_app_that_is_not_installed_says_where(bench: AppBench) -> None:
    """Not there, or suspended."""
    bench.door.installations.clear()
    with pytest.raises(ForgeGoneError, match="not installed for acme"):
        bench.look()


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(value={"id": "?"}), Answer(drop=True)])
def test_silence_says_nothing_of_the_key(bench: AppBench, answer: Answer) -> None:
    """It is asked again; nobody hears that the key is wrong."""
    bench.server.next.append(answer)
    with pytest.raises(ForgeUnreachableError):
        bench.look()
    assert bench.look()


def test_git_waits_for_a_token_that_cannot_be_had_now(bench: AppBench) -> None:
    """Silence where tokens are lent is that of the remote, and no fault of the job's."""
    remote = GITHUB.remote(bench.config, bench.world.repo)
    git = bench.world.repository.git
    bench.server.next.append(Answer(drop=True))
    with pytest.raises(RemoteAwayError, match="no token for it now"):
        remote.run(git, "ls-remote", "--", remote.address)
    bench.door.installations.clear()
    with pytest.raises(RemoteRefusedError, match="not installed for acme"):
        remote.run(git, "ls-remote", "--", remote.address)


def test_git_gives_up_a_token_that_is_refused(bench: AppBench) -> None:
    """The next git has another; what the server said of the refused one shows neither."""
    assert bench.server.git is not None
    bench.server.git.token_has_ended = True
    remote = GITHUB.remote(bench.config, bench.world.repo)
    git, asked = bench.world.repository.git, ("ls-remote", "--", remote.address)
    with pytest.raises(RemoteRefusedError, match=r"know Basic \[token\]"):
        remote.run(git, *asked)
    assert bench.door.lent == ["ghs_0s3cret"]
    with pytest.raises(RemoteRefusedError):
        remote.run(git, *asked)
    assert bench.door.lent == ["ghs_0s3cret", "ghs_1s3cret"]


def test_a_refused_token_is_hidden_in_what_is_said_of_it(bench: AppBench) -> None:
    """Although it was given up when the answer came."""
    bench.look()
    bench.server.next.append(Answer(status=401, value={"message": "who is ghs_0s3cret?"}))
    with pytest.raises(ForgeTokenError, match=r"who is \*\*\*\?"):
        bench.look()


def test_tokens_are_not_asked_of_a_server_that_keeps_failing(bench: AppBench) -> None:
    """The circuit breaker and the fleet's limits hold for these requests too."""
    bench.server.next.extend([Answer(status=502)] * 40)
    for _ in range(40):
        with pytest.raises(ForgeUnreachableError):
            bench.look()
    assert len(bench.server.asked) == HttpLimits().failures_to_open


def test_a_limit_is_that_of_an_account(bench: AppBench) -> None:
    """GitHub counts the requests of each installation by itself."""
    bench.look()
    used_up = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(bench.clock()) + 1800)}
    bench.server.next.append(Answer(status=403, value={"message": "rate limit"}, headers=used_up))
    for _ in range(2):
        with pytest.raises(ForgeUnreachableError, match="rate limit"):
            bench.look()
    assert bench.forge.repositories_of("ann")[0] == "ann/dots"


def test_threads_ask_for_one_token(bench: AppBench) -> None:
    """The first one asks, and the others wait for it."""
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(bench.app.token("acme"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["ghs_0s3cret"] * 6


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"app_id": 1}, "belong together"),
        ({"app_key_path": Path("key.pem")}, "belong together"),
        ({"app_id": 1, "app_key_path": Path("key.pem"), "token": SecretStr("t")}, "set one of them"),
        ({"app_id": 0, "app_key_path": Path("key.pem")}, "greater than 0"),
    ],
)
def test_an_app_is_set_whole_or_not_at_all(fields: dict[str, Any], said: str) -> None:
    """And not beside a token."""
    with pytest.raises(ValidationError, match=said):
        GitHubConfig(**fields)
    assert GitHubConfig(app_id=1, app_key_path=Path("key.pem")).lack is None
    assert GitHubConfig().lack is not None


def test_the_apps_own_connections_are_closed_with_its_forge(bench: AppBench) -> None:
    """It asks for tokens by a client of its own, which nobody else would close; it may be asked again."""
    assert bench.look()
    assert bench.forge.beside == (bench.app,)
    closed: list[str] = []
    replace(bench.forge, beside=(_Noted(closed),)).close_connections()
    assert closed == ["closed"]
    assert bench.look()


@dataclass(frozen=True)
class _Noted:
    """Notes that it was closed."""

    closed: list[str]

    def close(self) -> None:
        """Note it."""
        self.closed.append("closed")
