"""Where chance comes from. It is passed in, so that a test can script each draw and each jitter."""

from typing import Protocol


class Generator(Protocol):
    """The part of `random.Random` that the product uses."""

    def random(self) -> float:
        """A number in [0,1)."""
