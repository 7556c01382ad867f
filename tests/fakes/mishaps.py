"""What a test has go wrong: one call of many, before its effect was made or after it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: Stands for a call of any name; only those that change something are counted under it.
ANY = "*"


class ProcessDiedError(BaseException):
    """The process ended here, without a word: nothing that it holds in its hands is finished."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mishap:
    """What happens at one call."""

    error: Callable[[], BaseException]
    nth: int = 1  # call of that name, from 1
    call: str = ANY
    after: bool = False  # the effect was made, and its answer was lost


def death(nth: int, *, after: bool = False) -> Mishap:
    """The process dies at the n-th effect."""
    return Mishap(error=ProcessDiedError, nth=nth, after=after)


class Mishaps:
    """The plan of a test, and what was called so far."""

    def __init__(self) -> None:
        self.made: list[str] = []  # the names of all calls that change something
        self.lasting: dict[str, Callable[[], BaseException]] = {}  # by name: every call fails so
        self._planned: list[Mishap] = []
        self._counts: Counter[str] = Counter()

    def plan(self, *mishaps: Mishap) -> None:
        """Count anew from here on, and have these happen."""
        self._planned = list(mishaps)
        self._counts.clear()
        self.made.clear()

    @property
    def is_near(self) -> bool:
        """Whether any mishap is planned."""
        return bool(self._planned)

    @contextmanager
    def during(self, name: str, *, effect: bool) -> Iterator[None]:
        """Around one call."""
        names = {name, ANY} if effect else {name}
        for each in names:
            self._counts[each] += 1
        if effect:
            self.made.append(name)
        self._happen(names, after=False)
        for each in (name, ANY):
            if each in self.lasting:
                error = self.lasting[each]()
                raise error
        yield
        self._happen(names, after=True)

    def _happen(self, names: set[str], *, after: bool) -> None:
        for one in self._planned:
            if one.call in names and one.after is after and self._counts[one.call] == one.nth:
                self._planned.remove(one)
                raise one.error()
