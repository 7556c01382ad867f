"""The client of forges: when it asks again, when it gives up, what it believes, and what it never shows."""

import random
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
import requests
from pydantic import BaseModel, SecretStr, ValidationError

from routing.errors import UnavailableError
from routing.forges.config import RemoteConfig
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeOutcomeUnknownError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.rest.client import ForgeClient, HttpDialect
from routing.http.circuit import Circuit
from routing.http.connection import Surroundings, TokenAuth
from routing.http.rate_limit import RateLimitBoard
from routing.http.settings import HttpLimits
from routing.store.fleet.token_store import TokenStore
from routing.store.redis.keys import Keys
from tests.fakes.forge_world import TOKEN
from tests.servers.forge_server import Answer, AskedRequest, ForgeServer

LIMITS = HttpLimits(
    connect_seconds=2, read_seconds=2, answer_seconds=5, attempts=3, back_off_first_seconds=1,
    back_off_cap_seconds=8, patience_seconds=15, failures_to_open=6, open_seconds=30, max_answer_bytes=4096,
    max_pages=3, page_size=2, cached_replies=4, cached_bytes=2048,
)  # fmt: skip

BUSY = Answer(status=503, value={"message": "busy"})
PAGE = Answer(
    raw=b"<html><title>Sign\n in</title></html>", headers={"Content-Type": "text/html; charset=utf-8"}
)


@dataclass(slots=True)
class ClientClock:
    """Time that passes only while somebody sleeps."""

    now: float = 1_800_000_000.0
    jumped: float = 0.0  # by how much the time of day was set forward
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """The time."""
        return self.now + self.jumped

    def monotonic(self) -> float:
        """The time since some moment, which nobody sets."""
        return self.now - 1_700_000_000.0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientBench:
    """A server, a client of it, and the time."""

    server: ForgeServer
    client: ForgeClient
    clock: ClientClock

    @property
    def paths(self) -> list[str]:
        """What was asked for."""
        return [asked.path for asked in self.server.asked]


def items(_asked: AskedRequest, _found: re.Match[str]) -> Answer:
    """A listing of seven."""
    return Answer(value=[{"number": number} for number in range(7)], paged="link")


def client_of(
    address: str, clock: ClientClock, *, limits: HttpLimits = LIMITS, numbered: bool = False,
    board: RateLimitBoard | None = None, token: str = TOKEN,
) -> ForgeClient:  # fmt: skip
    """A client with the tests' limits and time."""
    config = RemoteConfig(kind="hub", name="hub", base_url=address, token=SecretStr(token))
    dialect = HttpDialect(api_root="", scheme="Bearer", headers={"Accept": "x"}, numbered_pages=numbered)
    surroundings = Surroundings(
        limits=limits,
        generator=random.Random(1),
        clock=clock,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
        board=board,
    )
    return ForgeClient(config, dialect, surroundings)


@pytest.fixture
def bench() -> Iterator[ClientBench]:
    """A server with a thing, a listing, and a place to write."""
    routes = {
        "GET /thing": lambda _asked, _found: Answer(value={"a": 1}),
        "GET /items": items,
        "POST /things": lambda _asked, _found: Answer(status=201, value={"a": 2}),
        "(PUT|DELETE) /thing": lambda _asked, _found: Answer(status=204),
    }
    server, clock = ForgeServer(routes, scheme="Bearer"), ClientClock()
    client = client_of(server.address, clock)
    yield ClientBench(server=server, client=client, clock=clock)
    client.close()
    server.stop()


def test_reading_is_tried_again_with_growing_pauses(bench: ClientBench) -> None:
    """Server errors and lost connections pass; the pauses double and half of each is chance."""
    bench.server.next.extend([BUSY, Answer(drop=True)])
    assert bench.client.get("/thing") == {"a": 1}
    first, second = bench.clock.slept
    assert 0.5 <= first <= 1
    assert 1 <= second <= 2


def test_it_gives_up_in_the_end(bench: ClientBench) -> None:
    """After the last attempt the forge is unreachable, and the message says why."""
    bench.server.next.extend([BUSY] * 3)
    with pytest.raises(ForgeUnreachableError, match="503 busy"):
        bench.client.get("/thing")
    assert len(bench.server.asked) == 3


def test_what_was_refused_is_not_tried_again(bench: ClientBench) -> None:
    """An answer is an answer: gone, refused, or invalid."""
    kinds: list[tuple[int, type[ForgeError]]] = [
        (404, ForgeGoneError), (410, ForgeGoneError), (401, ForgeRefusedError), (403, ForgeRefusedError),
        (400, ForgeInvalidError), (409, ForgeInvalidError), (422, ForgeInvalidError),
    ]  # fmt: skip
    for status, kind in kinds:
        bench.server.next.append(
            Answer(status=status, value={"message": "no\x1b[31m", "errors": ["bad name"]})
        )
        with pytest.raises(
            kind, match=rf"hub answered GET /thing with {status} 'no \[31m; bad name'"
        ) as caught:
            bench.client.get("/thing", {"secret": "query"})
        assert "query" not in str(caught.value)
    assert len(bench.server.asked) == len(kinds)


def test_a_conflict_may_mean_refused(bench: ClientBench) -> None:
    """Who writes may name statuses that mean that the thing may not be done."""
    bench.server.next.append(Answer(status=409, value={"message": "head moved"}))
    with pytest.raises(ForgeRefusedError, match="head moved"):
        bench.client.write("POST", "/things", {}, repeatable=False, refused=frozenset({409}))


@pytest.mark.parametrize("lost", [BUSY, Answer(drop=True), PAGE, Answer(raw=b"x" * 5000)])
def test_a_write_of_unknown_outcome_is_not_repeated(bench: ClientBench, lost: Answer) -> None:
    """Whether it was carried out is not known, which is neither a success nor a failure."""
    bench.server.next.append(lost)
    with pytest.raises(ForgeOutcomeUnknownError, match="whether POST was carried out is not known"):
        bench.client.write("POST", "/things", {"x": 1}, repeatable=False)
    assert len(bench.server.asked) == 1


def test_a_write_that_changes_nothing_twice_is_repeated(bench: ClientBench) -> None:
    """What is idempotent by its nature is tried again like reading."""
    bench.server.next.extend([Answer(drop=True), BUSY])
    assert bench.client.write("DELETE", "/thing", repeatable=True) is None
    assert len(bench.server.asked) == 3


def test_a_write_that_surely_never_arrived_is_repeated(bench: ClientBench) -> None:
    """A rate limit carries nothing out, so that the comment may be sent again."""
    bench.server.next.append(Answer(status=429, value={"message": "slow down"}, headers={"Retry-After": "7"}))
    assert bench.client.write("POST", "/things", {}, repeatable=False) == {"a": 2}
    assert bench.clock.slept == [7]


def test_nobody_listening_is_unreachable_also_for_writing(bench: ClientBench) -> None:
    """A connection that was refused has carried nothing out: unreachable, and not unknown."""
    elsewhere = client_of("http://127.0.0.1:1", bench.clock)
    with pytest.raises(ForgeUnreachableError, match="no connection") as caught:
        elsewhere.write("POST", "/things", {}, repeatable=False)
    assert not isinstance(caught.value, ForgeOutcomeUnknownError)


def test_the_circuit_opens_and_closes(bench: ClientBench) -> None:
    """After six failures in a row nothing is sent; half a minute later one call tries."""
    bench.server.next.extend([BUSY] * 6)
    for _ in range(2):
        with pytest.raises(ForgeUnreachableError):
            bench.client.get("/thing")
    opened_at = bench.clock.now
    with pytest.raises(ForgeUnreachableError, match="6 times in a row") as caught:
        bench.client.get("/thing")
    assert len(bench.server.asked) == 6
    assert caught.value.retry_at == opened_at + 30
    bench.clock.now += 30
    assert bench.client.get("/thing") == {"a": 1}
    bench.server.next.append(BUSY)
    assert bench.client.get("/thing") == {"a": 1}


def test_a_failed_trial_keeps_the_circuit_open(bench: ClientBench) -> None:
    """The call that tries again is one call, and its failure is enough."""
    bench.server.next.extend([BUSY] * 7)
    for _ in range(2):
        with pytest.raises(ForgeUnreachableError):
            bench.client.get("/thing")
    bench.clock.now += 30
    with pytest.raises(ForgeUnreachableError):
        bench.client.get("/thing")
    assert len(bench.server.asked) == 7


def test_one_caller_tries_for_all() -> None:
    """When the rest is over, the first that asks may call; the others wait for what it finds."""
    circuit = Circuit(failures_to_open=1, open_seconds=30)
    circuit.failed(now=100)
    assert circuit.open_until(129) == 130
    assert circuit.open_until(130) is None
    assert circuit.open_until(130) == 160
    circuit.answered()
    assert circuit.open_until(131) is None


@pytest.mark.parametrize("status", [403, 429])
def test_a_used_up_rate_limit_is_waited_for_when_that_is_short(bench: ClientBench, status: int) -> None:
    """GitHub refuses with 403 as well; its reset is a time since the epoch."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{bench.clock.now + 9:.0f}"}
    bench.server.next.append(
        Answer(status=status, value={"message": "API rate limit exceeded"}, headers=headers)
    )
    assert bench.client.get("/thing") == {"a": 1}
    assert bench.clock.slept == [9]


def test_a_long_rate_limit_makes_the_forge_unreachable_until_then(bench: ClientBench) -> None:
    """Nothing is sent meanwhile, and the error says when to ask again."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{bench.clock.now + 600:.0f}"}
    bench.server.next.append(
        Answer(status=403, value={"message": "API rate limit exceeded"}, headers=headers)
    )
    until = bench.clock.now + 600
    for _ in range(2):
        with pytest.raises(ForgeUnreachableError, match="ask again in 600 s") as caught:
            bench.client.get("/thing")
        assert caught.value.retry_at == until
    assert len(bench.server.asked) == 1
    bench.clock.now = until
    assert bench.client.get("/thing") == {"a": 1}


class AwayBoard:
    """A board whose store does not answer."""

    def closed_seconds(self, token: str) -> float:
        """No answer."""
        raise UnavailableError(token)

    def close(self, token: str, seconds: float) -> None:
        """No answer."""
        raise UnavailableError(f"{token} {seconds}")


def test_one_limit_holds_for_all_processes_of_a_token(bench: ClientBench, fake_redis: redis.Redis) -> None:
    """The second client of it sends nothing, one of another token does, and a lost store stops neither."""
    board = TokenStore(fake_redis, Keys())
    one, other, alone = (
        client_of(bench.server.address, bench.clock, board=board, token=token)
        for token in (TOKEN, TOKEN, "tok-of-an0ther")
    )
    bench.server.next.append(Answer(status=429, value={}, headers={"Retry-After": "600"}))
    for client in (one, other):
        with pytest.raises(ForgeUnreachableError, match="rate limit"):
            client.get("/thing")
    assert len(bench.server.asked) == 1
    with pytest.raises(ForgeRefusedError, match="401"):  # it was sent; the server knows the first token
        alone.get("/thing")
    assert 0 < fake_redis.pttl(next(iter(fake_redis.keys()))) <= 600_000

    without = client_of(bench.server.address, bench.clock, board=AwayBoard())
    bench.server.next.append(Answer(status=429, value={}, headers={"Retry-After": "1"}))
    assert without.get("/thing") == {"a": 1}


def test_limits_that_do_not_say_their_end_are_left_alone_for_longer_each_time(bench: ClientBench) -> None:
    """A minute, two, four; and a minute again when one request got through."""
    waits = []
    for _ in range(3):
        bench.server.next.append(Answer(status=429, value={}))
        with pytest.raises(ForgeUnreachableError) as caught:
            bench.client.get("/thing")
        waits.append((caught.value.retry_at or 0) - bench.clock.now)
        bench.clock.now += waits[-1]
    assert waits == [60, 120, 240]


def test_graphqls_limit_is_met_in_a_success(bench: ClientBench) -> None:
    """It is waited for like any other."""
    refused = Answer(value={"errors": [{"type": "RATE_LIMITED"}]}, headers={"X-RateLimit-Remaining": "0"})
    bench.server.next.append(refused)
    with pytest.raises(ForgeUnreachableError, match="rate limit"):
        bench.client.write("POST", "/things", {"query": "q"}, repeatable=False)


def test_a_secondary_limit_is_seen_by_its_words(bench: ClientBench) -> None:
    """Without a number a minute is waited, which here is too long to wait for."""
    said = {"message": "You have exceeded a secondary rate limit."}
    bench.server.next.append(Answer(status=403, value=said, headers={"X-RateLimit-Remaining": "40"}))
    with pytest.raises(ForgeUnreachableError) as caught:
        bench.client.get("/thing")
    assert caught.value.retry_at == bench.clock.now + 60


def test_the_last_request_of_a_limit_is_an_answer(bench: ClientBench) -> None:
    """It is believed, and only the next one waits."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{bench.clock.now + 5:.0f}"}
    bench.server.next.append(Answer(value={"a": 0}, headers=headers))
    assert bench.client.get("/thing") == {"a": 0}
    assert bench.clock.slept == []
    assert bench.client.get("/thing") == {"a": 1}
    assert bench.clock.slept == [5]


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_clock_that_is_set_changes_no_wait(bench: ClientBench, jump: float) -> None:
    """Forward or back by a day: limit, rest after failures and patience with an answer are what they were."""
    client, clock, server = bench.client, bench.clock, bench.server
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{clock() + 600:.0f}"}
    server.next.append(Answer(status=403, value={"message": "API rate limit exceeded"}, headers=reset))
    with pytest.raises(ForgeUnreachableError):
        client.get("/thing")
    clock.jumped += jump
    with pytest.raises(ForgeUnreachableError, match="ask again in 600 s") as caught:
        client.get("/thing")
    assert caught.value.retry_at == clock() + 600
    clock.now += 600
    server.next += [BUSY] * 6
    for _ in range(2):
        with pytest.raises(ForgeUnreachableError):
            client.get("/thing")
    clock.jumped += jump
    with pytest.raises(ForgeUnreachableError, match="left alone for now; ask again in 30 s"):
        client.get("/thing")
    clock.now += 30
    server.after = lambda _asked: setattr(clock, "jumped", clock.jumped + jump)
    assert client.get("/thing") == {"a": 1}


def test_a_time_that_is_far_off_is_waited_for_an_hour(bench: ClientBench) -> None:
    """A server whose clock is wrong, or a header that is: nobody waits for years."""
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{bench.clock() + 1e8:.0f}"}
    bench.server.next.append(Answer(status=429, value={}, headers=reset))
    with pytest.raises(ForgeUnreachableError, match="ask again in 3600 s"):
        bench.client.get("/thing")


def test_what_came_after_a_full_page_is_found_although_that_page_is_unchanged(bench: ClientBench) -> None:
    """The page that is known names no next one: there was none when it was read."""
    known = [{"number": 1}, {"number": 2}]
    route = re.compile("GET /grows")
    bench.server.routes[route] = lambda _asked, _found: Answer(value=list(known), paged="link")
    assert len(bench.client.read_all("/grows").items) == 2
    known.append({"number": 3})
    assert bench.client.read_all("/grows").items == tuple(known)


def test_what_is_unchanged_is_not_sent_again(bench: ClientBench) -> None:
    """The second time the ETag goes along; the answer is the one that is known."""
    assert bench.client.get("/thing") == bench.client.get("/thing") == {"a": 1}
    assert "If-None-Match" not in bench.server.asked[0].headers
    assert bench.server.asked[1].headers["If-None-Match"].startswith('W/"')


def test_only_the_newest_replies_are_kept(bench: ClientBench) -> None:
    """The cache is bounded: what was not asked for lately is asked for anew."""
    for page in range(6):
        bench.client.get("/items", {"page": str(page + 1)})
    bench.client.get("/items", {"page": "6"})
    bench.client.get("/items", {"page": "1"})
    assert ["If-None-Match" in asked.headers for asked in bench.server.asked[-2:]] == [True, False]


def test_all_pages_are_read_up_to_the_bound(bench: ClientBench) -> None:
    """Three pages of two are read of four, and the listing says that there are more."""
    listing = bench.client.read_all("/items")
    assert [item["number"] for item in listing.items] == [0, 1, 2, 3, 4, 5]
    assert not listing.complete
    whole = bench.client.read_all("/items", {"x": "1"}, enough=lambda page: page[0]["number"] == 2)
    assert [item["number"] for item in whole.items] == [0, 1, 2, 3]
    assert whole.complete


class Numbered(BaseModel):
    """A part of an answer."""

    number: int


def test_a_part_of_a_listing_is_not_an_answer(bench: ClientBench) -> None:
    """Where everything is needed, an incomplete listing is unreachable and names the setting."""
    with pytest.raises(ForgeUnreachableError, match="max_pages"):
        bench.client.parsed_all(Numbered, bench.client.read_all("/items"))


def test_a_link_to_another_host_is_followed_on_our_own(bench: ClientBench) -> None:
    """A server behind a proxy calls itself by another name; the token stays where it belongs."""
    link = {"Link": '<https://inside.test/api/items?page=2&per_page=2>; rel="next"'}
    bench.server.next.append(Answer(value=[{"number": 0}], headers=link))
    listing = bench.client.read_all("/items", enough=lambda page: len(page) == 2)
    assert [item["number"] for item in listing.items] == [0, 2, 3]


@pytest.mark.parametrize("total", [True, False])
def test_pages_without_links_are_counted(bench: ClientBench, *, total: bool) -> None:
    """Gitea tells a total, or nothing at all: then only an empty page is the end."""
    limits = LIMITS.model_copy(update={"max_pages": 9})
    client = client_of(bench.server.address, bench.clock, limits=limits, numbered=True)
    headers = {"X-Total-Count": "3"} if total else {}
    pages = [[{"number": 0}, {"number": 1}], [{"number": 2}], []]
    bench.server.next.extend(Answer(value=page, headers=headers) for page in pages)
    listing = client.read_all("/items")
    assert [item["number"] for item in listing.items] == [0, 1, 2]
    assert listing.complete
    assert [asked.query.get("page") for asked in bench.server.asked] == [None, "2", "3"][: 2 if total else 3]
    client.close()


def test_a_forge_that_knows_no_pages_is_noticed(bench: ClientBench) -> None:
    """The same items again are the end, and are counted once."""
    client = client_of(bench.server.address, bench.clock, numbered=True)
    bench.server.next.extend([Answer(value=[{"number": 0}])] * 2)
    assert client.read_all("/items").items == ({"number": 0},)
    client.close()


@pytest.mark.parametrize("status", [200, 404, 403])
def test_a_page_for_people_is_not_an_answer(bench: ClientBench, status: int) -> None:
    """A sign-in page or a proxy's error says nothing of the thing: never gone, never refused."""
    bench.server.next.append(Answer(status=status, raw=PAGE.raw, headers=PAGE.headers))
    with pytest.raises(ForgeUnreachableError, match=rf"HTML page.*{status}"):
        bench.client.get("/thing")
    assert len(bench.server.asked) == 1


def test_the_title_of_a_page_is_shown_in_one_line(bench: ClientBench) -> None:
    """So that a person sees which page it is."""
    bench.server.next.append(PAGE)
    with pytest.raises(ForgeUnreachableError, match="'Sign in'"):
        bench.client.get("/thing")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(raw=b"x" * 5000), "larger than 4096 bytes"),
        (Answer(raw=b'{"a": '), "not JSON"),
        (Answer(raw=b"\xff\xfe\x00"), "not JSON"),
        (Answer(value={"a": 1}), "no list"),
    ],
)
def test_what_cannot_be_read_is_not_an_answer(bench: ClientBench, answer: Answer, why: str) -> None:
    """Too large, broken, or of another form: unreachable."""
    bench.server.next.append(answer)
    with pytest.raises(ForgeUnreachableError, match=why):
        bench.client.read_all("/items")


def test_an_empty_listing_may_be_null(bench: ClientBench) -> None:
    """Gitea writes null where others write an empty list."""
    bench.server.next.append(Answer(raw=b"null"))
    assert bench.client.read_all("/items").items == ()


def test_what_has_not_the_right_form_is_named_and_not_shown(bench: ClientBench) -> None:
    """The message says which field is wrong, and keeps its value for itself."""
    with pytest.raises(ForgeUnreachableError, match=r"number: .*integer") as caught:
        bench.client.parsed(Numbered, {"number": "s3cr3t"})
    assert "s3cr3t" not in str(caught.value)


def test_an_answer_that_drips_is_cut_off(bench: ClientBench) -> None:
    """The whole answer has its time, however busy the line looks."""
    late = client_of(bench.server.address, bench.clock, limits=LIMITS.model_copy(update={"attempts": 1}))
    bench.server.after = lambda _asked: setattr(bench.clock, "now", bench.clock.now + 6)
    with pytest.raises(ForgeUnreachableError, match="did not end in time"):
        late.get("/thing")
    late.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_to_another_host_gets_no_token(bench: ClientBench, method: str) -> None:
    """It is not followed, and the forge counts as unreachable."""
    other = ForgeServer({"(GET|POST) /thing": lambda _asked, _found: Answer(value={})}, scheme="Bearer")
    bench.server.next.append(Answer(status=307, headers={"Location": f"{other.address}/thing"}))
    with pytest.raises(ForgeUnreachableError, match="another host"):
        bench.client.write(method, "/thing", repeatable=True)
    assert other.asked == []
    other.stop()


def test_a_redirect_on_the_same_host_is_followed_for_reading(bench: ClientBench) -> None:
    """A renamed repository is read under its new name; writing says that it has moved."""
    bench.server.next.append(Answer(status=301, headers={"Location": "/thing"}))
    assert bench.client.get("/old") == {"a": 1}
    bench.server.next.append(Answer(status=301, headers={"Location": "/thing"}))
    with pytest.raises(ForgeGoneError, match="moved"):
        bench.client.write("PUT", "/old", repeatable=True)
    bench.server.next.append(Answer(status=307, headers={"Location": "/thing"}))
    assert bench.client.write("PUT", "/old", repeatable=True) is None
    bench.server.next.extend([Answer(status=302, headers={"Location": "/thing"})] * 9)
    with pytest.raises(ForgeUnreachableError, match="more than 3 times"):
        bench.client.get("/thing")


def test_the_token_is_in_its_header_and_nowhere_else(bench: ClientBench) -> None:
    """No message, no representation and no address holds it, even when the forge says it back."""
    bench.server.next.append(Answer(status=422, value={"message": f"bad credentials {TOKEN}"}))
    with pytest.raises(ForgeInvalidError, match=r"bad credentials \*\*\*") as caught:
        bench.client.get("/thing")
    shown = f"{caught.value!r} {bench.client!r} {vars(bench.client)!r}"
    assert TOKEN not in shown
    asked = bench.server.asked[0]
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert [name for name, value in asked.headers.items() if TOKEN in value] == ["Authorization"]


def test_a_report_with_all_locals_does_not_show_the_token(bench: ClientBench) -> None:
    """Some loggers print the variables of every frame; those of a lost connection hold the request."""
    bench.server.silent = True
    with pytest.raises(ForgeUnreachableError) as caught:
        bench.client.get("/thing")
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(report.format())


def test_the_token_is_ours_and_not_that_of_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login for the host in ~/.netrc takes the place of a header, but not of this."""
    (tmp_path / "netrc").write_text("machine forge.test login somebody password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    request = requests.Request("GET", "https://forge.test/user", headers={"Authorization": f"Bearer {TOKEN}"})
    with requests.Session() as session:
        assert session.prepare_request(request).headers["Authorization"].startswith("Basic ")
        session.auth = TokenAuth("Bearer", SecretStr(TOKEN))
        assert session.prepare_request(request).headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "tökén"])
def test_a_token_that_is_none_is_not_shown_either(token: str) -> None:
    """What cannot stand in a header is refused before anything is sent."""
    with pytest.raises(ValidationError) as caught:
        RemoteConfig(kind="hub", name="hub", base_url="https://forge.test", token=SecretStr(token))
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://forge.test", "http://127.0.0.1.forge.test", "ftp://forge.test", "https://", "forge.test",
        "https://user:word@forge.test", "https://forge.test/?a=b", "https://forge.test/#top",
        "https://forge.test/a b", "https://forge.test:port", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_an_address_that_would_give_the_token_away_is_refused(address: str) -> None:
    """Only https, or http on this machine, without anything that a path has not."""
    with pytest.raises(ValidationError):
        RemoteConfig(kind="hub", name="hub", base_url=address, token=SecretStr(TOKEN))


@pytest.mark.parametrize("address", ["http://localhost:3000/", "http://[::1]:80", "https://forge.test/git"])
def test_an_address_on_this_machine_may_be_plain(address: str) -> None:
    """A slash at the end makes no difference."""
    settings = RemoteConfig(kind="hub", name="hub", base_url=address, token=SecretStr(TOKEN))
    assert settings.base_url == address.rstrip("/")


def test_every_limit_is_described() -> None:
    """docs/forges.md has each with its default."""
    page = (Path(__file__).parents[2] / "docs" / "forges.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1]: line.split("|")[2] for line in page.splitlines() if line.startswith("| `")}
    written = {
        name: value.strip()
        for names, values in rows.items()
        for name, value in zip(re.findall("`([a-z_]+)`", names), values.split(","), strict=False)
    }
    for name, value in HttpLimits().model_dump().items():
        shown = f"{value / 2**20:g} MiB" if "bytes" in name else f"{value:g}"
        assert written[name] == shown, name
