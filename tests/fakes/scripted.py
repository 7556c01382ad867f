"""Generators with a script, in place of chance."""

from collections.abc import Iterable


class ScriptedDraws:
    """Says the numbers that it was given, in turn, and counts how often it was asked."""

    def __init__(self, numbers: Iterable[float]) -> None:
        self._numbers = iter(numbers)
        self.asked = 0

    def random(self) -> float:
        """The next number; it is an error to ask for more than there are."""
        self.asked += 1
        return next(self._numbers)


class Alternating:
    """Canary, champion, canary, … for a share of one half; never ends."""

    def __init__(self) -> None:
        self.asked = 0

    def random(self) -> float:
        """Below and above one half in turn."""
        self.asked += 1
        return 0.25 if self.asked % 2 else 0.75
