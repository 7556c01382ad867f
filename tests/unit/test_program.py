"""When a program that died is started again, and when no more."""

import sys
import threading
from pathlib import Path

import pytest

from console.local.program import Program, RestartPolicy
from console.local.supervisor import LineRelay
from routing.errors import InvalidInputError
from tests.waiting import wait_until

POLICY = RestartPolicy(
    first_pause_seconds=1, longest_pause_seconds=5, quick_death_seconds=10, quick_deaths_allowed=6
)


def test_pauses_double_up_to_a_limit_and_then_the_policy_gives_up() -> None:
    """Each quick death in a row doubles the pause, up to the longest; too many end it."""
    deaths, pauses = 0, []
    while not POLICY.gives_up(deaths):
        deaths = POLICY.quick_deaths(deaths, lived_seconds=0.1)
        pauses.append(POLICY.pause_seconds(deaths))
    assert pauses == [1, 2, 4, 5, 5, 5]


def test_a_long_life_forgives_earlier_deaths() -> None:
    """A program that ran for a while starts from the first pause again."""
    assert POLICY.quick_deaths(5, lived_seconds=10.0) == 0
    assert POLICY.pause_seconds(0) == 1


def test_a_program_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """The message names the program; one that is found on the given PATH passes."""
    with pytest.raises(InvalidInputError, match="no program no-such-program"):
        Program(name="web", argv=("no-such-program",)).check()
    with pytest.raises(InvalidInputError, match="no command"):
        Program(name="web", argv=()).check()
    found = tmp_path / "no-such-program"
    found.symlink_to(sys.executable)
    Program(name="web", argv=("no-such-program",), env={"PATH": str(tmp_path)}).check()


def test_a_sink_that_fails_is_left_alone_and_holds_nobody_up() -> None:
    """After its first error nothing more is sent to a sink, and giving lines goes on."""
    received: list[str] = []

    def sink(_name: str, line: str) -> None:
        received.append(line)
        message = "the terminal is gone"
        raise BrokenPipeError(message)

    relay = LineRelay(sink, own_name="supervisor")
    for number in range(100):
        relay.put("web", str(number))
    relay.close()
    assert received == ["0"]


def test_a_stuck_sink_costs_lines_that_are_counted_but_no_time() -> None:
    """While the sink is stuck the queue fills, further lines are left out, and the gap is reported."""
    received: list[tuple[str, str]] = []
    release = threading.Event()

    def sink(name: str, line: str) -> None:
        release.wait()
        received.append((name, line))

    relay = LineRelay(sink, own_name="supervisor", capacity=10)
    for number in range(100):
        relay.put("web", str(number))
    release.set()
    wait_until(lambda: len(received) > 10, description="the sink has caught up")
    relay.close()
    gaps = [line for name, line in received if name == "supervisor"]
    shown = [line for name, line in received if name == "web"]
    assert len(gaps) == 1
    assert gaps[0].startswith(f"{100 - len(shown)} lines were left out")
