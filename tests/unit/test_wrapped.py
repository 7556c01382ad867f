"""Whom a signal to a sandbox reaches: the program's children first, and never what confines it."""

from routing.process.table import ProcessEntry
from routing.process.wrapped import Wrapped

WRAPPER, FIRST, PROGRAM = 10, 11, 12


def entry(pid: int, parent: int, start: int) -> ProcessEntry:
    """A process of the sandbox."""
    return ProcessEntry(pid, parent, WRAPPER, WRAPPER, start)


SANDBOX = [entry(WRAPPER, 1, 100), entry(FIRST, WRAPPER, 101), entry(PROGRAM, FIRST, 102)]


def test_the_program_is_the_oldest_child_of_the_first_process() -> None:
    """A process that lost its parent becomes a child of the first one too, under any number."""
    found = Wrapped.among([*SANDBOX, entry(5, FIRST, 200), entry(14, PROGRAM, 150)], wrapper=WRAPPER)
    assert found is not None
    assert found.program.pid == PROGRAM
    assert sorted(other.pid for other in found.others) == [5, 14]


def test_a_program_alone_has_no_others() -> None:
    """Then the signal is its own."""
    found = Wrapped.among(SANDBOX, wrapper=WRAPPER)
    assert found is not None
    assert (found.program.pid, list(found.others)) == (PROGRAM, [])


def test_a_sandbox_that_is_starting_or_ending_wraps_nothing() -> None:
    """It is ended as any other program is."""
    assert Wrapped.among(SANDBOX[:2], wrapper=WRAPPER) is None
    assert Wrapped.among([], wrapper=WRAPPER) is None
