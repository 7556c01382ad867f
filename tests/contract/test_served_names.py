"""A repository that was renamed, or moved, goes on under its new name, for the API and for git."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis

from routing.errors import StoreAwayError
from routing.forges.change_request import ChangeState
from routing.forges.config import RemoteConfig
from routing.forges.errors import ForgeGoneError, ForgeReplacedError, ForgeUnreachableError
from routing.forges.forge import HoldsConnections
from routing.forges.gitea.kind import GiteaConfig
from routing.forges.registry import KINDS
from routing.forges.rest.clone import KNOWN_SECONDS, SILENT_SECONDS, RepositoryNames, server_of
from routing.forges.rest.wire import WireRepository
from routing.forges.site import ForgeSite, ServedRemotes
from routing.git.git import Git
from routing.git.limits import GitLimits
from routing.git.remote import Remote, RemoteAwayError, RemoteMovedError, RemoteRefusedError
from routing.http.connection import IdBoard
from routing.issues.issue import IssueRef
from routing.store.fleet.repository_id_store import RepositoryIdStore
from routing.store.redis.keys import Keys
from tasks.composition.forge_parts import ForgeParts
from tests.fakes.forge_world import TOKEN
from tests.fleets.stepped_fleet import SteppedFleet
from tests.servers.served_forges import ServedForge

BRANCH = "coalmine/0123456789abcdef"
OLD, NEW = "acme/shop", "acme/store"


def remote_of(served: ServedForge, *more: str) -> Remote:
    """Where a worker that starts now looks for the repository by its former name."""
    given = {"base_url": served.server.address, "token": TOKEN, "repositories": (OLD, *more)}
    config = KINDS[served.kind].config.model_validate(given)
    forge = served.with_settings()
    site = ForgeSite(config=config, forge=forge, remote=partial(KINDS[served.kind].remote, config))
    try:
        return ServedRemotes({served.kind: site}, GitLimits())[f"{served.kind}:{OLD}"]
    finally:
        forge.close_connections()


def rename(served: ServedForge) -> None:
    """The forge leads on from the former name; git is sent on, and follows nobody."""
    served.world.repo, served.world.former_names = NEW, [OLD]


def test_git_goes_to_the_new_name(served: ServedForge, tmp_path: Path) -> None:
    """Before a turn the API is asked what the repository is called."""
    assert remote_of(served).address.endswith(f"/{OLD}.git")
    before = remote_of(served)
    rename(served)
    found, git = remote_of(served), Git(tmp_path)
    assert found.address.endswith(f"/{NEW}.git")
    said = found.run(git, "ls-remote", "--", found.address, "HEAD")
    assert said.split()[0] == served.world.repository.tip()
    with pytest.raises(RemoteMovedError, match="not followed"):
        before.run(git, "ls-remote", "--", before.address, "HEAD")


def test_nothing_is_followed_to_a_name_that_is_excluded_or_served(served: ServedForge) -> None:
    """Nothing is to be done there, or its issues are found under that name, and would be worked twice."""
    rename(served)
    for entry in (f"!{NEW}", NEW, "acme/*"):
        assert remote_of(served, entry).address.endswith(f"/{OLD}.git"), entry


@pytest.mark.parametrize(("more", "noted"), [((), {NEW: OLD}), ((f"!{NEW}",), {}), (("acme/*",), {})])
def test_a_poll_notes_the_new_name(
    served: ServedForge, redis_client: redis.Redis, more: tuple[str, ...], noted: dict[str, str]
) -> None:
    """Deliveries come under it. Not where it is left out, or served itself; and not once it is set."""
    given = {"base_url": served.server.address, "token": TOKEN, "repositories": (OLD, *more)}
    config = KINDS[served.kind].config.model_validate(given | {"kill_switch": False})
    forge = served.with_settings()
    site = ForgeSite(config=config, forge=forge, remote=partial(KINDS[served.kind].remote, config))
    parts = ForgeParts(
        coalmine=SteppedFleet(redis_client).app, run_ci=lambda _: None, given={served.kind: site}
    )
    parts.problems.note_names(served.kind, {"of/before": OLD})
    rename(served)
    parts.collector.poll(site)
    forge.close_connections()
    assert parts.problems.names(served.kind) == noted


@pytest.mark.parametrize(
    "served", ["github", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("gitea", "gitlab"))],
    indirect=True,
)  # fmt: skip
def test_what_landed_is_looked_for_under_the_new_name(served: ServedForge) -> None:
    """The main branch is read by git, too."""
    served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    served.forge.open_change(OLD, BRANCH, title="Cart is fast", body="")
    served.world.merge(served.world.pull_of(BRANCH), "Merge it")
    rename(served)
    forge = served.with_settings()  # what was asked less than a minute ago is believed
    change = forge.change_of_branch(OLD, BRANCH)
    forge.close_connections()
    assert change is not None
    assert (change.state, change.looked, change.reverted_at) == (ChangeState.MERGED, True, None)


class Ids:
    """What is kept, in a dictionary; None: nobody says."""

    def __init__(self, **kept: int) -> None:
        self.by_name: dict[str, int] | None = {name.replace("__", "/"): id_ for name, id_ in kept.items()}

    def kept(self, forge: str, server: str, name: str) -> int | None:
        """By the name alone."""
        del forge, server
        if self.by_name is None:
            raise StoreAwayError
        return self.by_name.get(name)

    def keep(self, forge: str, server: str, name: str, id_: int) -> int:
        """The first one stays."""
        if self.by_name is not None:
            self.by_name.setdefault(name, id_)
        return self.kept(forge, server, name) or id_


def site_of(
    served: ServedForge, ids: IdBoard, *more: str, monotonic: Callable[[], float] = time.monotonic
) -> ForgeSite:
    """A process that starts now, and keeps ids; the caller closes its connections."""
    forge = served.with_settings(repositories=(OLD, *more), ids=ids, monotonic=monotonic)
    given = {"base_url": served.server.address, "token": TOKEN, "repositories": (OLD, *more)}
    config = KINDS[served.kind].config.model_validate(given | {"kill_switch": False})
    return ForgeSite(config=config, forge=forge, remote=partial(KINDS[served.kind].remote, config))


def git_of(site: ForgeSite) -> Remote:
    """Where git goes for the repository."""
    return ServedRemotes({site.name: site}, GitLimits())[site.full_name(OLD)]


def address_of(site: ForgeSite) -> str:
    """Under which ids are kept."""
    assert isinstance(site.config, RemoteConfig)
    return server_of(site.config)


def asked_below(served: ServedForge, name: str) -> list[str]:
    """What was asked in a repository by its name, and not about it."""
    return [one.path for one in served.server.asked if f"/{name}/" in one.path]


def test_a_repository_is_followed_by_its_id(served: ServedForge, redis_client: redis.Redis) -> None:
    """Once another one has the former name, all goes to the new name, and nothing to the other one."""
    ids = RepositoryIdStore(redis_client, Keys())
    issue = served.world.open_issue("Cart is slow", "Make it fast")
    ref = IssueRef(forge=served.kind, repo=OLD, number=issue.number)
    with closing_of(site_of(served, ids)) as site:
        assert site.forge.read_issue(ref).title == "Cart is slow"
    rename(served)
    served.world.others[OLD] = 99
    served.server.asked.clear()
    with closing_of(site_of(served, ids)) as site:
        assert site.forge.read_issue(ref).ref == ref
        assert [one.ref for one in site.forge.list_issues(OLD, None).issues] == [ref]
        site.forge.comment(ref, "Done")
        assert site.forge.repository_fault(OLD) == ""
        assert site.forge.access(OLD).readable
        assert git_of(site).address.endswith(f"/{NEW}.git")
        served.world.repository.work(BRANCH, {"new.txt": "new\n"})
        assert site.forge.open_change(OLD, BRANCH, title="Cart is fast", body="").number is not None
    assert asked_below(served, OLD) == []
    assert [one.body for one in served.world.comments.values()] == ["Done"]


def test_nothing_is_done_in_another_repository(served: ServedForge, redis_client: redis.Redis) -> None:
    """The one that was served is deleted, and its name taken: work is held until a person accepts that."""
    ids = RepositoryIdStore(redis_client, Keys())
    with closing_of(site_of(served, ids)) as site:
        served.forge.close_connections()
        assert git_of(site).address.endswith(f"/{OLD}.git")
    served.world.deleted, served.world.others[OLD] = True, 99
    served.server.asked.clear()
    with closing_of(site_of(served, ids)) as site:
        said = f"`coalmine issue accept {served.kind}:{OLD}`"
        with pytest.raises(ForgeReplacedError, match=said):
            site.forge.list_issues(OLD, None)
        with pytest.raises(ForgeReplacedError, match="id 99"):
            site.forge.open_change(OLD, BRANCH, title="Cart is fast", body="")
        with pytest.raises(RemoteMovedError, match=said):
            git_of(site)
        assert said in site.forge.repository_fault(OLD)
        found = site.forge.access(OLD)
        assert (found.readable, said in found.note) == (False, True)
        assert len(served.server.asked) <= 2  # one question about the name, and one about the id
    assert asked_below(served, OLD) == []
    assert ids.forget(served.kind, address_of(site), OLD) == served.world.id
    with closing_of(site_of(served, ids)) as site:
        assert git_of(site).address.endswith(f"/{OLD}.git")
    assert ids.kept(served.kind, address_of(site), OLD) == 99


def test_it_is_not_followed_to_a_name_that_is_excluded_or_served(served: ServedForge) -> None:
    """Nor is anything done in the one that has its former name."""
    rename(served)
    served.world.others[OLD] = 99
    for entry in (f"!{NEW}", NEW, "acme/*"):
        with closing_of(site_of(served, Ids(acme__shop=served.world.id), entry)) as site:
            with pytest.raises(RemoteMovedError, match=NEW):
                git_of(site)
            assert NEW in site.forge.repository_fault(OLD)


def test_a_name_that_leads_nowhere_is_followed_by_the_id(served: ServedForge) -> None:
    """A forge may forget former names. One that is gone under both is gone as before."""
    served.world.repo = NEW
    with closing_of(site_of(served, Ids(acme__shop=served.world.id))) as site:
        assert git_of(site).address.endswith(f"/{NEW}.git")
    served.world.deleted = True
    with closing_of(site_of(served, Ids(acme__shop=served.world.id))) as site:
        assert git_of(site).address.endswith(f"/{OLD}.git")
        with pytest.raises(ForgeGoneError):
            site.forge.list_issues(OLD, None)


def test_what_cannot_be_known_from_another_one_waits(served: ServedForge) -> None:
    """Without the store nobody knows which repository is meant; nor where the forge does not say."""
    ids = Ids()
    ids.by_name = None
    with closing_of(site_of(served, ids)) as site, pytest.raises(RemoteAwayError):
        git_of(site)
    served.server.token_has_ended = True
    with closing_of(site_of(served, Ids())) as site, pytest.raises(RemoteRefusedError):
        git_of(site)


def test_a_name_that_is_taken_during_a_turn_gets_no_push(served: ServedForge, tmp_path: Path) -> None:
    """Before each git it is looked at again; the next attempt goes to the new name."""
    ahead = 0.0
    ids = Ids(acme__shop=served.world.id)
    with closing_of(site_of(served, ids, monotonic=lambda: time.monotonic() + ahead)) as site:
        git, remote = Git(tmp_path), git_of(site)
        asked = ("ls-remote", "--", remote.address, "HEAD")
        assert served.world.repository.tip() in remote.run(git, *asked)
        assert served.server.git is not None
        before = len(served.server.git.asked)
        rename(served)
        served.world.others[OLD] = 99
        ahead += KNOWN_SECONDS + 1
        with pytest.raises(RemoteMovedError, match=NEW):
            remote.run(git, *asked)
        assert git_of(site).address.endswith(f"/{NEW}.git")
        served.world.deleted = True
        ahead += KNOWN_SECONDS + 1
        with pytest.raises(RemoteMovedError, match="coalmine issue accept"):
            remote.run(git, *asked)
        assert len(served.server.git.asked) == before


def test_a_poll_says_what_is_held(served: ServedForge, redis_client: redis.Redis) -> None:
    """`issue list` and `doctor` show it, and other repositories are looked through all the same."""
    served.world.deleted, served.world.others[OLD] = True, 99
    with closing_of(site_of(served, Ids(acme__shop=served.world.id))) as site:
        fleet = SteppedFleet(redis_client).app
        parts = ForgeParts(coalmine=fleet, run_ci=lambda _: None, given={served.kind: site})
        parts.collector.poll(site)
    name = site.full_name(OLD)
    assert "coalmine issue accept" in parts.problems.read([name])[name][0].message


@contextmanager
def closing_of(site: ForgeSite) -> Iterator[ForgeSite]:
    """The site; its connections are closed after it."""
    try:
        yield site
    finally:
        assert isinstance(site.forge, HoldsConnections)
        site.forge.close_connections()


def test_a_name_is_asked_for_once_a_minute_and_doubts_change_nothing() -> None:
    """A forge that is away leaves the name as it is, and is asked again after some seconds."""
    said: list[object] = [ForgeUnreachableError("away"), "Acme/Shop", NEW]
    now = [0.0]

    def read(_repo: str) -> WireRepository:
        answer = said.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return WireRepository(full_name=str(answer))

    def by_id(_id: int) -> WireRepository:
        raise AssertionError

    config = GiteaConfig(repositories=(OLD,))
    names = RepositoryNames(config, by_name=read, by_id=by_id, monotonic=lambda: now[0])
    assert [names.now(OLD) for _ in range(3)] == [OLD] * 3
    assert len(said) == 2
    now[0] += SILENT_SECONDS + 1
    assert [names.now(OLD) for _ in range(3)] == [OLD] * 3  # one that spells it otherwise
    assert said == [NEW]
    now[0] += KNOWN_SECONDS + 1
    assert [names.now(OLD) for _ in range(2)] == [NEW] * 2
