"""The console as a process, over real sockets and a real server."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import redis

from routing.backlog.intake import Intake
from routing.embedded.private_server import PrivateServer
from routing.events import WEBHOOK_ACCEPTED
from routing.store.backlog.delivery_store import DeliveryStore
from routing.store.events.event_store import EventStore
from routing.store.redis.keys import Keys
from tests.fakes.deliveries import payload, recorded, sent
from tests.leaks import leaks
from tests.programs.web_process import COALMINE, Console, console, door_variables
from tests.servers.private_server import private_server
from tests.waiting import communicated, run, wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("console")

KEYS = Keys()


@pytest.fixture(scope="module")
def running(redis_server: PrivateServer) -> Iterator[Console]:
    """A console, which keeps nothing of what it was sent."""
    with console(redis_server.url) as web:
        yield web


@pytest.fixture
def web(running: Console, redis_client: redis.Redis) -> Console:
    """The console on an empty server: what it does after an answer may have come late."""
    redis_client.flushall()
    return running


def test_recorded_deliveries_of_gitea(web: Console, redis_client: redis.Redis) -> None:
    """In their order, with the one that came twice: each issue waits once, each delivery has one event."""
    answers = [web.post(request).json() for request in recorded()]
    assert [answer["status"] for answer in answers] == [
        "success", "success", "duplicate", "success", "ignored", "success", "success", "success", "success",
        "success",
    ]  # fmt: skip
    assert answers[1] | {"action": "assigned", "issue_number": 1} == answers[1]
    arrivals = Intake(DeliveryStore(redis_client, KEYS)).take_intake()
    assert [str(arrival.issue) for arrival in arrivals] == ["gitea:boss/proj#1", "gitea:boss/proj#2"]
    accepted = [event for event in EventStore(redis_client, KEYS).all() if event.kind == WEBHOOK_ACCEPTED]
    assert len(accepted) == 8
    assert leaks(redis_client, KEYS) == []


def test_replay_changes_nothing(web: Console, redis_client: redis.Redis) -> None:
    """The whole recording once more: no new event, no new issue."""
    for request in recorded():
        web.post(request)
    before = redis_client.xlen("coalmine:events"), redis_client.hgetall("coalmine:intake_notes")
    assert {web.post(request).json()["status"] for request in recorded()} == {"duplicate", "ignored"}
    assert (redis_client.xlen("coalmine:events"), redis_client.hgetall("coalmine:intake_notes")) == before


def test_delivery_that_comes_many_times_at_once_counts_once(web: Console, redis_client: redis.Redis) -> None:
    """In any order: one success, one event, and duplicates."""
    with ThreadPoolExecutor(max_workers=8) as senders:
        request = sent("github", payload(), delivery="d1")
        answers = list(senders.map(lambda _: web.post(request).json()["status"], range(24)))
    assert sorted(answers) == ["duplicate"] * 23 + ["success"]
    assert redis_client.xlen("coalmine:events") == 1


@pytest.mark.long
def test_bad_signature_and_rotation(redis_server: PrivateServer, redis_client: redis.Redis) -> None:
    """Two secrets while they are changed; a third opens nothing."""
    variables = door_variables(WEBHOOK_SECRET="new", PREVIOUS_WEBHOOK_SECRET="old")  # noqa: S106 - of the test
    with console(redis_server.url, variables=variables) as web:
        request = sent("github", payload())
        codes = [web.post(request.signed_with(secret)).status_code for secret in ("new", "old", "s3cr3t")]
    assert codes == [200, 200, 401]
    assert redis_client.zcard("coalmine:intake") == 1


def test_without_headers_and_with_nonsense(web: Console) -> None:
    """No signature is 401; signed nonsense is 422; the console lives on."""
    assert web.client.post("/webhook/github", content=b"{}").status_code == 401
    assert web.client.post("/webhook/github").json() == {"detail": "Invalid or missing signature"}
    assert web.post(sent("gitea", b"{", event="")).status_code == 422
    assert web.post(sent("gitea", payload(), event="")).status_code == 200


def test_oversize_body_in_chunks_is_cut_off(web: Console) -> None:
    """A body that does not say its length is refused while it comes, not when it has come."""
    with closing(web.connect()) as line:
        line.sendall(b"POST /webhook/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        for _ in range(17):  # 1 MiB and one chunk; the end never comes
            line.sendall(chunk)
        answer = line.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert web.client.get("/healthz").status_code == 200


def test_oversize_length_is_refused_at_once(web: Console) -> None:
    """Not a byte of the body need be sent."""
    with closing(web.connect()) as line:
        line.sendall(b"POST /webhook/github HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        assert line.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_no_http_is_refused(web: Console) -> None:
    """Noise gets an answer and no more."""
    with closing(web.connect()) as line:
        line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert line.recv(65_536).startswith(b"HTTP/1.1 400 ")
    assert web.client.get("/healthz").status_code == 200


def test_answers_do_not_name_the_server(web: Console) -> None:
    """Nothing to look up weaknesses by."""
    assert "server" not in web.client.get("/healthz").headers


def test_console_outlives_its_store(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without the store it is alive and not ready; when the store is back, so is the door.

    From a frozen server the forge hears 503 before it gives up, and /healthz answers meanwhile.
    """
    with private_server(tmp_path_factory.mktemp("web")) as server, console(server.url) as web:
        assert web.client.get("/readyz").json() == {"status": "ready"}
        server.stop()
        assert web.client.get("/readyz").status_code == 503
        assert web.post(sent("github", payload())).status_code == 503
        assert web.client.get("/healthz").json() == {"status": "ok"}
        server.start()
        wait_until(
            lambda: web.client.get("/readyz").status_code == 200, description="the console is ready again"
        )
        assert web.post(sent("github", payload())).json()["status"] == "success"
        os.kill(server.pid, signal.SIGSTOP)
        try:
            answer = web.post(sent("github", payload()))
            assert (answer.status_code, answer.elapsed.total_seconds() < 8) == (503, True)
            assert web.client.get("/healthz").status_code == 200
        finally:
            os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_console_ends_at_a_signal(redis_server: PrivateServer, number: signal.Signals) -> None:
    """Within its grace, without a traceback and without the secret in its log."""
    with console(redis_server.url) as web:
        web.post(sent("github", payload()))
        web.process.send_signal(number)
        _, said = communicated(web.process)
    assert web.process.returncode == (0 if number == signal.SIGTERM else 130)
    assert "Traceback" not in said
    assert "webhook.answered" in said
    assert "s3cr3t" not in said


@pytest.mark.long
def test_port_that_is_taken_is_reported(web: Console, redis_server: PrivateServer) -> None:
    """One line, exit code 5, and what to do."""
    port = web.address.rpartition(":")[2]
    done = run([COALMINE, "--redis-url", redis_server.url, "web", "--port", port])
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
    assert f"port {port} of 127.0.0.1 is in use" in done.stderr


@pytest.mark.long
def test_secret_that_could_be_guessed_is_reported(
    redis_server: PrivateServer, redis_client: redis.Redis
) -> None:
    """With the forges that have it, and without the secret itself; the door opens all the same."""
    assert redis_client.dbsize() == 0
    with console(redis_server.url, variables=door_variables(WEBHOOK_SECRET="s" * 15)) as web:
        assert web.client.get("/healthz").status_code == 200
        code, said = web.stop()
    assert code == 0
    assert "the webhook secret of gitea is shorter than 16 characters" in said
    assert "s" * 15 not in said


@pytest.mark.long
def test_public_console_asks_for_its_token(redis_server: PrivateServer, redis_client: redis.Redis) -> None:
    """Only the door and /healthz are open."""
    assert redis_client.dbsize() == 0
    token = "0123456789abcdef"  # noqa: S105 - of the test
    variables = {**door_variables(), "COALMINE_WEB__TOKEN": token}
    with console(redis_server.url, "--public", variables=variables) as web:
        assert [web.client.get(path).status_code for path in ("/healthz", "/readyz", "/")] == [200, 401, 401]
        assert web.client.get("/readyz", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert web.post(sent("github", payload())).status_code == 200
        assert web.stop()[0] == 0
