"""One declaration for each thing that is shown of a record: its JSON key, its label, and both forms of it.

A view lists its fields once. `document` makes the JSON object of them and `rows` the lines that people read,
so a field that is added to the list appears in both.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.console import RenderableType
from rich.text import Text

from console.output.rendering import facts, iso, when

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ShownField(Generic[R]):
    """A field of a record `R`. Without `value` it is the attribute that the key names."""

    key: str = ""  # in JSON, where scripts rely on it; "": for people only
    label: str = ""  # of the line that people read; "": in JSON only
    value: Callable[[R], Any] | None = None  # what JSON has
    shown: Callable[[R], str | Text] | None = (
        None  # what people read; None: the value; "" leaves the line out
    )

    def read(self, record: R) -> Any:
        """The value for JSON."""
        return getattr(record, self.key) if self.value is None else self.value(record)

    def text(self, record: R) -> str | Text:
        """The value for people."""
        if self.shown is not None:
            return self.shown(record)
        value = self.read(record)
        return "" if value is None else str(value)


def moment(key: str, label: str = "") -> ShownField[Any]:
    """A time, stored in seconds since the epoch."""
    return ShownField(
        key, label, lambda record: iso(getattr(record, key)), lambda record: when(getattr(record, key))
    )


def document(fields: Iterable[ShownField[R]], record: R) -> dict[str, Any]:
    """The record as a JSON object."""
    return {field.key: field.read(record) for field in fields if field.key}


def rows(fields: Iterable[ShownField[R]], record: R) -> RenderableType:
    """The record as labels and values, one a line; empty values are left out."""
    return facts((field.label, field.text(record)) for field in fields if field.label)
