"""The console while its server refuses, in every way: clear answers, and at work again soon after it."""

import itertools
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.deliveries import payload, sent
from tests.programs.web_process import Console, console
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("web-refusals")

#: Seconds after the server's return within which deliveries are taken.
AT_WORK_SECONDS = 5.0

REFUSALS = [
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN The cluster is down",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOAUTH Authentication required.",
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOREPLICAS Not enough good replicas to write.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "ERR max number of clients reached",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyProxy, Console]]:
    """A server behind a proxy, and a console; one for all tests."""
    with (
        private_server(tmp_path_factory.mktemp("web")) as server,
        faulty_proxy(server.url) as proxy,
        console(proxy.url) as web,
    ):
        yield proxy, web


_numbers = itertools.count()


def deliver(web: Console) -> httpx.Response:
    """The answer to one more delivery."""
    return web.post(sent("github", payload(), delivery=f"d{next(_numbers)}"))


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_a_503_that_passes(both: tuple[FaultyProxy, Console], refusal: str) -> None:
    """The forge is to send it again; it learns nothing of the server. The process itself is well."""
    proxy, web = both
    assert deliver(web).status_code == 200
    proxy.refuse(refusal)
    asked_at = time.monotonic()
    answers = [deliver(web), web.client.get("/readyz")]
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert answer.json() == {"detail": "a server that is needed does not answer; try again later"}
    assert time.monotonic() - asked_at < 20, "forges wait for ten seconds each"
    assert web.client.get("/healthz").status_code == 200
    proxy.heal()
    wait_until(
        lambda: deliver(web).status_code == 200,
        description="deliveries are taken again",
        timeout=AT_WORK_SECONDS,
    )
    assert web.client.get("/readyz").status_code == 200


def test_what_is_refused_to_writers_alone(both: tuple[FaultyProxy, Console]) -> None:
    """A full disk: reads are served, and a delivery is not taken for one that was stored."""
    proxy, web = both
    proxy.refuse("MISCONF it cannot save", only_writes=True)
    assert deliver(web).status_code == 503
    proxy.heal()
    assert deliver(web).status_code == 200
