"""One declaration for each thing that is shown of a record: its JSON key, its label, and both forms of it.

A view lists its fields once. `document` makes the JSON object of them and `rows` the lines that people
read, so a field that is added to the list appears in both. The order of the list is the order of the lines
and of the keys. A key that was released stays.
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
    """A field of a record `R`. Without `value` it is the attribute that the key names.

    Declare it with a key and a label for both forms, with a key alone for scripts, or with a label alone
    (and `shown`) for people. The functions are called while the answer is printed and must not read a
    store.
    """

    key: str = ""  # in JSON, where scripts rely on it; "": for people only
    label: str = ""  # of the line that people read; "": in JSON only
    value: Callable[[R], Any] | None = None  # what JSON has
    # what people read; None: the value; "" leaves the line out
    shown: Callable[[R], str | Text] | None = None

    def read(self, record: R) -> Any:
        """The value for JSON; it must be one that `json` can write, so enums and times are converted."""
        return getattr(record, self.key) if self.value is None else self.value(record)

    def text(self, record: R) -> str | Text:
        """The value for people; "" for None, and `rows` leaves out what is ""."""
        if self.shown is not None:
            return self.shown(record)
        value = self.read(record)
        return "" if value is None else str(value)


def moment(key: str, label: str = "") -> ShownField[Any]:
    """A time, stored in seconds since the epoch: ISO 8601 for scripts, null for None; short for people."""
    return ShownField(
        key, label, lambda record: iso(getattr(record, key)), lambda record: when(getattr(record, key))
    )


def document(fields: Iterable[ShownField[R]], record: R) -> dict[str, Any]:
    """The record as a JSON object. A key whose value is None is kept as null: the set of keys is fixed."""
    return {field.key: field.read(record) for field in fields if field.key}


def rows(fields: Iterable[ShownField[R]], record: R) -> RenderableType:
    """The record as labels and values, one a line; empty values are left out."""
    return facts((field.label, field.text(record)) for field in fields if field.label)
