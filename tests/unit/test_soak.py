"""The judgement of the soak: what counts as growing, whatever a look meets by chance."""

import random

import pytest

from tests.soak.series import Measure, trend

MB = 1_000_000.0


def memory(*, an_hour: float, noise: float = 0.0, minutes: int = 30) -> list[tuple[float, float]]:
    """Looks of a process of 50 MB, every five seconds."""
    luck = random.Random(1)
    return [
        (float(at), 50 * MB + an_hour * at / 3600 + luck.uniform(-noise, noise))
        for at in range(0, minutes * 60, 5)
    ]


def test_a_leak_is_found_in_noise() -> None:
    """Ten megabytes an hour, among looks that differ by four."""
    found = trend("w1", Measure.MEMORY, memory(an_hour=10 * MB, noise=2 * MB), warm_up=300)
    assert found.grows
    assert found.an_hour == pytest.approx(10 * MB, rel=0.2)


@pytest.mark.parametrize("an_hour", [0.0, -20 * MB, 2 * MB])
def test_what_is_flat_or_shrinks_does_not_grow(an_hour: float) -> None:
    """A process is never quite still."""
    assert not trend("w1", Measure.MEMORY, memory(an_hour=an_hour, noise=2 * MB), warm_up=300).grows


def test_what_happens_before_the_warm_up_is_over_does_not_count() -> None:
    """Caches fill."""
    filling = [(at, value if at > 600 else value - 30 * MB) for at, value in memory(an_hour=0.0)]
    assert trend("w1", Measure.MEMORY, filling, warm_up=600).grows is False
    assert trend("w1", Measure.MEMORY, filling, warm_up=0).most == 50 * MB


def test_a_fifth_of_the_looks_may_be_anything() -> None:
    """Each fifth one meets a process in the middle of something large."""
    quiet = memory(an_hour=0.0, noise=MB)
    looks = [(at, value + (80 * MB if number % 5 == 0 else 0)) for number, (at, value) in enumerate(quiet)]
    assert not trend("w1", Measure.MEMORY, looks, warm_up=300).grows


@pytest.mark.parametrize("measure", [Measure.DESCRIPTORS, Measure.THREADS, Measure.CONNECTIONS])
def test_pieces_are_counted_closely(measure: Measure) -> None:
    """One more every minute is found in half an hour; a number that changes by one is not taken for it."""
    leaking = [(at, 40.0 + at // 60) for at, _ in memory(an_hour=0.0)]
    changing = [(at, 40.0 + at // 5 % 2) for at, _ in memory(an_hour=0.0)]
    assert trend("w1", measure, leaking, warm_up=300).grows
    assert not trend("w1", measure, changing, warm_up=300).grows


def test_too_few_looks_make_no_trend() -> None:
    """A run that was too short says so, in place of that nothing grows."""
    with pytest.raises(ValueError, match="let it run for longer"):
        trend("w1", Measure.MEMORY, memory(an_hour=0.0)[:2], warm_up=0)
