"""The end of what an agent said, for people who ask how a job ended."""

from routing.printable import printable

#: Characters that are kept.
TAIL_CHARACTERS = 4096


class OutputTail:
    """Keeps the last characters of the lines it is given."""

    def __init__(self, cap: int = TAIL_CHARACTERS) -> None:
        self._cap = cap
        self._text = ""

    def add(self, text: str) -> None:
        """Append a line or several."""
        self._text = f"{self._text}{printable(text[-self._cap :])}\n"[-self._cap :]

    def ends_with(self, text: str) -> bool:
        """Whether this text was the last that was added."""
        return self._text.endswith(f"{printable(text[-self._cap :])}\n"[-self._cap :])

    @property
    def text(self) -> str:
        """What is kept, without the last newline."""
        return self._text.rstrip("\n")
