"""Whether a history of concurrent steps could have happened one after the other.

A history is a list of operations on one thing, each with the moment when it was asked for and, if an answer
came, the moment of that. It is linearizable if every answered operation can be given a moment between the two
so that, in the order of these moments, each answer is what the thing's model says. An operation without an
answer (its process was killed, its connection was cut) may have been carried out at any later moment,
or never.

The search is Wing and Gong's ("Testing and Verifying Concurrent Objects", 1993), with Lowe's memory of the
states that were reached ("Testing for linearizability", 2017). It knows nothing of Coalmine.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any

#: States of a search after which it is given up.
MOST_STATES = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryStep:
    """One step: what was asked, what was answered, and when, in seconds of one clock."""

    name: str
    asked: Any  # what the model needs to know of the question
    answer: Any = None  # of no meaning without an answer
    begun_at: float
    ended_at: float = inf  # infinite: no answer came
    by: str = ""  # for people

    @property
    def is_pending(self) -> bool:
        """Whether no answer came."""
        return self.ended_at == inf


#: The states in which a thing may be after an operation; none: in this state the answer is impossible.
Model = Callable[[Hashable, HistoryStep], Iterable[Hashable]]


class Verdict(StrEnum):
    """What the search found."""

    LINEARIZABLE = "linearizable"
    IMPOSSIBLE = "impossible"
    UNDECIDED = "undecided"  # the search was given up


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The answer, and for an impossible history how far an order could be found."""

    verdict: Verdict
    reached: int = 0  # answered operations of the longest order
    stuck_at: tuple[HistoryStep, ...] = ()  # the operations that could have come next, and fit nowhere


def check(
    history: Sequence[HistoryStep], model: Model, initial: Hashable, *, most_states: int = MOST_STATES
) -> Finding:
    """Search for an order of a history in which each answer is what the model says."""
    search = _Search(sorted(history, key=lambda each: (each.begun_at, each.ended_at)), model)
    return search.run(initial, most_states)


class _Search:
    """Depth first: the done operations as bits of a number, and the state that they lead to."""

    def __init__(self, history: list[HistoryStep], model: Model) -> None:
        self._history, self._model = history, model
        self._answered = sum(1 << place for place, each in enumerate(history) if not each.is_pending)
        self._reached = -1
        self._stuck_at: tuple[HistoryStep, ...] = ()

    def run(self, initial: Hashable, most_states: int) -> Finding:
        seen: set[tuple[int, Hashable]] = {(0, initial)}
        stack: list[tuple[int, int, Hashable]] = [(0, 0, initial)]  # first that is not done, done, state
        while stack:
            first, done, state = stack.pop()
            if done & self._answered == self._answered:
                return Finding(verdict=Verdict.LINEARIZABLE, reached=self._answered.bit_count())
            if len(seen) > most_states:
                return Finding(verdict=Verdict.UNDECIDED, reached=self._reached, stuck_at=self._stuck_at)
            following = [
                (done | 1 << place, after)
                for place in self._candidates(first, done)
                for after in self._model(state, self._history[place])
            ]
            self._note(first, done)
            for after_done, after in following:
                if (after_done, after) not in seen:
                    seen.add((after_done, after))
                    stack.append((self._first(first, after_done), after_done, after))
        return Finding(verdict=Verdict.IMPOSSIBLE, reached=self._reached, stuck_at=self._stuck_at)

    def _candidates(self, first: int, done: int) -> list[int]:
        """Operations that may come next, the likeliest last: none was answered before they were asked.

        Those without an answer come first, so that the search tries the others before them.
        """
        found: list[int] = []
        earliest = inf
        for place in range(first, len(self._history)):
            each = self._history[place]
            if each.begun_at > earliest:
                break
            if not done >> place & 1:
                found.append(place)
                earliest = min(earliest, each.ended_at)
        return sorted(found, key=lambda place: -self._history[place].ended_at)

    def _first(self, first: int, done: int) -> int:
        """The first operation that is not done."""
        while done >> first & 1:
            first += 1
        return first

    def _note(self, first: int, done: int) -> None:
        """Remember the longest order, and what could have come after it."""
        reached = (done & self._answered).bit_count()
        if reached > self._reached:
            self._reached = reached
            places = self._candidates(first, done)
            self._stuck_at = tuple(each for place in places if not (each := self._history[place]).is_pending)
