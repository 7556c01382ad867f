"""The lines of a trial's ledger, whatever its unit is: what a test knows of them, and how they are read."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from routing.errors import CorruptRecordError

#: The kind of a line that says that a unit is open, and late with its score. It settles nothing.
AGED_KIND = "aged"


class DispatchLine(Protocol):
    """A line of the ledger: a unit was dispatched, with its frozen bet."""

    @property
    def index(self) -> int:
        """Place in the order of dispatch, from 0."""

    @property
    def subject(self) -> str:
        """Id of the job to look at."""

    @property
    def words(self) -> str:
        """What it is, for people."""


class SettlementLine(Protocol):
    """A line of the ledger: what became of a unit."""

    @property
    def index(self) -> int:
        """Of the unit, in the order of dispatch."""

    @property
    def kind(self) -> str:
        """What became of it, in a word."""

    @property
    def final(self) -> bool:
        """Whether the unit is closed by it."""

    @property
    def at(self) -> float:
        """When, in seconds since the epoch."""


Line = TypeVar("Line", bound=BaseModel)


def parsed_lines(form: type[Line], texts: Iterable[str], *, of: str, first: int = 0) -> list[Line]:
    """Lines of a ledger as they are stored, `of` a list that starts at `first`; or CorruptRecordError."""
    found = []
    for place, text in enumerate(texts, start=first):
        try:
            found.append(form.model_validate_json(text))
        except ValidationError as error:
            why = f"{error.error_count()} fault(s), the first: {error.errors()[0]['msg']}"
            message = f"line {place} of {of} cannot be read ({why}); restore it from a backup"
            raise CorruptRecordError(message) from error
    return found
