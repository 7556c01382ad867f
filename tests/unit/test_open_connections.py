"""Which connection gives way when there are too many."""

import pytest

from console.web.open_connections import ConnectionLimits, OpenConnection, Phase, one_to_close, origin

LIMITS = ConnectionLimits(most=6, of_address=3)


def opened(address: str, phase: Phase = Phase.HEADERS, since: float = 0.0) -> OpenConnection:
    """A connection."""
    return OpenConnection(address=address, phase=phase, since=since)


def test_none_gives_way_where_there_is_room() -> None:
    """Up to the limits, however long one waits."""
    held = [opened("a"), opened("a"), opened("b")]
    assert one_to_close(held, held[-1], LIMITS) is None


def test_client_with_too_many_loses_its_own_that_waits_longest() -> None:
    """Not the newest, and nobody else's; headers before bodies, and never one that waits for its answer."""
    waiting, body, old, other = (
        opened("a", Phase.ANSWER, 1), opened("a", Phase.BODY, 2), opened("a", since=3), opened("b"),
    )  # fmt: skip
    newest = opened("a", since=9)
    assert one_to_close([waiting, body, old, other, newest], newest, LIMITS) is old
    assert one_to_close([waiting, body, opened("a", Phase.ANSWER), newest], newest, LIMITS) is body


def test_newest_gives_way_where_all_others_wait_for_their_answers() -> None:
    """Its caller lets it in for `/healthz` alone."""
    held = [opened("a", Phase.ANSWER) for _ in range(3)]
    newest = opened("a")
    assert one_to_close([*held, newest], newest, LIMITS) is newest
    everybody = [opened(f"c{number}", Phase.ANSWER) for number in range(6)]
    assert one_to_close([*everybody, newest], newest, LIMITS) is newest


def test_of_all_the_client_with_most_loses_one() -> None:
    """A newcomer with one connection takes the place of somebody who holds many."""
    greedy = [opened("greedy", since=number) for number in range(3)]
    modest = [opened(f"m{number}", since=-1) for number in range(3)]
    newest = opened("new", since=10)
    assert one_to_close([*modest, *greedy, newest], newest, LIMITS) is greedy[0]


def test_no_limit_of_one_client_leaves_that_of_all() -> None:
    """A proxy holds as many as there may be, and then its own that waits longest."""
    limits = ConnectionLimits(most=6, of_address=0)
    held = [opened("proxy", since=number) for number in range(7)]
    assert one_to_close(held[:6], held[5], limits) is None
    assert one_to_close(held, held[6], limits) is held[0]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
        ("a socket", "a socket"),
    ],
)
def test_one_ipv6_client_has_a_network_to_itself(address: str | None, client: str) -> None:
    """Counting single addresses would count nothing there."""
    assert origin(address) == client
