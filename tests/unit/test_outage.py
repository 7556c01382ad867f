"""A lost server is said in one line, and its return in another, whichever part of the process notices."""

from structlog.testing import capture_logs

from tasks.work.outage import Outage
from tests.fleets.stepped_fleet import SteppedClock


def test_a_lost_server_is_said_once() -> None:
    """Two parts fail again and again: one line; and one when the last of them was answered."""
    clock = SteppedClock()
    outage = Outage("store", monotonic=clock)
    with capture_logs() as said:
        for _ in range(3):
            outage.begins("leases", "it does\nnot answer")
            outage.begins("consumer", "it does not answer")
        clock.forward(2.0)
        outage.ends("leases")
        outage.ends("leases")
        outage.ends("consumer")
        outage.ends("consumer")
    assert said == [
        {"event": "store.away", "log_level": "warning", "reason": "it does not answer"},
        {"event": "store.back", "log_level": "info", "seconds": 2.0},
    ]


def test_the_next_loss_is_said_again() -> None:
    """Each outage has its two lines."""
    outage = Outage("broker")
    with capture_logs() as said:
        for _ in range(2):
            outage.begins("beat", "refused")
            outage.ends("beat")
    assert [line["event"] for line in said] == ["broker.away", "broker.back"] * 2


def test_a_silent_process_says_nothing() -> None:
    """A pool's children leave it to their worker."""
    outage = Outage("broker", is_silent=True)
    with capture_logs() as said:
        outage.begins("leases", "refused")
        outage.ends("leases")
    assert said == []


def test_an_outage_is_as_long_as_its_first_part_waited() -> None:
    """Not as its last one did."""
    clock = SteppedClock()
    outage = Outage("store", monotonic=clock)
    with capture_logs() as said:
        outage.begins("leases", "refused")
        clock.forward(3.0)
        outage.begins("consumer", "refused")
        for part in ("leases", "consumer"):
            outage.ends(part)
    assert said[-1]["seconds"] == 3.0
