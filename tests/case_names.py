"""Cases of a test by name: which of them the quick suite tries, and which the long one."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def cases(names: Iterable[str], *, quick: frozenset[str] | set[str]) -> list[ParameterSet]:
    """A case for each name; those that are not among `quick`, which are some of them, are `long`."""
    named = list(names)
    assert quick < set(named), f"not among the cases: {sorted(quick - set(named))}"
    return [pytest.param(name, id=name, marks=() if name in quick else pytest.mark.long) for name in named]
