"""A repository that was renamed, or moved, goes on under its new name, for the API and for git."""

from functools import partial
from pathlib import Path

import pytest
import redis

from routing.forges.change_request import ChangeState
from routing.forges.errors import ForgeUnreachableError
from routing.forges.registry import KINDS
from routing.forges.rest.clone import KNOWN_SECONDS, RepositoryNames
from routing.forges.rest.wire import WireRepository
from routing.forges.site import ForgeSite, ServedRemotes
from routing.git.git import Git
from routing.git.limits import GitLimits
from routing.git.remote import Remote, RemoteMovedError
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


@pytest.mark.parametrize("entry", [f"!{NEW}", NEW, "acme/*"])
def test_nothing_is_followed_to_a_name_that_is_excluded_or_served(served: ServedForge, entry: str) -> None:
    """Nothing is to be done there, or its issues are found under that name, and would be worked twice."""
    rename(served)
    assert remote_of(served, entry).address.endswith(f"/{OLD}.git")


@pytest.mark.parametrize(("more", "noted"), [((), {NEW: OLD}), ((f"!{NEW}",), {}), (("acme/*",), {})])
def test_a_poll_notes_the_new_name(
    served: ServedForge, fake_redis: redis.Redis, more: tuple[str, ...], noted: dict[str, str]
) -> None:
    """Deliveries come under it. Not where it is left out, or served itself; and not once it is set."""
    given = {"base_url": served.server.address, "token": TOKEN, "repositories": (OLD, *more)}
    config = KINDS[served.kind].config.model_validate(given | {"kill_switch": False})
    forge = served.with_settings()
    site = ForgeSite(config=config, forge=forge, remote=partial(KINDS[served.kind].remote, config))
    parts = ForgeParts(
        coalmine=SteppedFleet(fake_redis).app, run_ci=lambda _: None, given={served.kind: site}
    )
    parts.problems.note_names(served.kind, {"of/before": OLD})
    rename(served)
    parts.collector.poll(site)
    forge.close_connections()
    assert parts.problems.names(served.kind) == noted


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


def test_a_name_is_asked_for_once_a_minute_and_doubts_change_nothing() -> None:
    """A forge that is away leaves the name as it is, and so does one that spells it otherwise."""
    said: list[object] = [ForgeUnreachableError("away"), "Acme/Shop", NEW]
    now = [0.0]

    def read(_repo: str) -> WireRepository:
        answer = said.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return WireRepository(full_name=str(answer))

    names = RepositoryNames(read, monotonic=lambda: now[0])
    assert [names.now(OLD) for _ in range(3)] == [OLD] * 3
    assert said == [NEW]
    now[0] += KNOWN_SECONDS + 1
    assert [names.now(OLD) for _ in range(2)] == [NEW] * 2
