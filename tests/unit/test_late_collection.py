"""The command line looks for garbage late, once; what runs for long looks for it as usual from then on."""

import gc
from collections.abc import Iterator

import pytest

from coalmine.__main__ import OBJECTS_BEFORE_COLLECTION, collect_late


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """This process collects as it did."""
    usual, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*usual)
    gc.callbacks[:] = callbacks


def test_the_first_look_for_garbage_is_late_and_the_others_as_usual() -> None:
    """A web process that went on so kept the garbage of hundreds of requests."""
    usual = gc.get_threshold()
    collect_late()
    assert gc.get_threshold()[0] == OBJECTS_BEFORE_COLLECTION
    gc.collect()
    assert gc.get_threshold() == usual
    gc.collect()
    assert gc.get_threshold() == usual
