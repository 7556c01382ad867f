"""Prices of models, for programs that report tokens and no dollars. Pure, and dated.

List prices of providers change, differ by contract and by the size of a request, and a subscription has
none: what comes of them is an estimate, and is shown as such. A table `[[price]]` of the settings wins over
the list that ships with the project, `price_list.json`, which is taken from the package `genai-prices`. A
model that no row knows has no price, and its dollars stay unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

#: What `make prices` writes.
LIST_FILE: Final = Path(__file__).with_name("price_list.json")

#: A price without a day has always held.
_ALWAYS: Final = date(2000, 1, 1)

#: Tokens that a price is for.
_MILLION: Final = 1_000_000


def _day(value: object) -> object:
    """A date as people write it; TOML has dates of its own."""
    return date.fromisoformat(value) if isinstance(value, str) else value


Usd = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class ModelPrice(BaseModel):
    """US dollars for a million tokens of a model, from a day on."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]  # its name; `*` stands for any end
    input: Usd
    output: Usd
    cache_read: Usd | None = None  # of input from the cache; None: as other input
    cache_write: Usd | None = None  # of input to the cache; None: as other input
    since: Annotated[date, BeforeValidator(_day)] = _ALWAYS  # the day from which it holds (UTC)

    def fits(self, model: str) -> bool:
        """Whether it is for that model, however its provider stands before the name (`openai/gpt-5`)."""
        return fnmatchcase(model, self.model) or fnmatchcase(model.rpartition("/")[2], self.model)

    def usd(
        self,
        *,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
    ) -> float:
        """What these tokens cost; the input has those from and to the cache."""
        read, written = min(cache_read_tokens, input_tokens), min(cache_write_tokens, input_tokens)
        plain = max(0, input_tokens - read - written)
        dollars = plain * self.input + output_tokens * self.output
        dollars += read * (self.input if self.cache_read is None else self.cache_read)
        dollars += written * (self.input if self.cache_write is None else self.cache_write)
        return dollars / _MILLION


class PriceList(BaseModel):
    """The list prices that are known without any setting, and where they come from."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    source: str  # the package that has them, with its version
    as_of: date  # the day (UTC) on which they were taken from it
    rows: tuple[ModelPrice, ...]  # of a price that will change, one for each day on which it does


@cache
def known() -> PriceList:
    """The list that ships with the project. Read once, and only where a price is asked for."""
    return PriceList.model_validate_json(LIST_FILE.read_text())


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceTable:
    """The prices of a fleet: those of its settings before those that are known."""

    own: Sequence[ModelPrice] = ()

    def of(self, model: str | None, today: date) -> ModelPrice | None:
        """The price of a model; of several that fit the newest that holds. None: it is not known.

        Of the known ones the row with the longest name holds: `gpt-5-mini` before `gpt-5-*`.
        """
        if not model:
            return None
        fitting = [row for row in self.own if row.fits(model) and row.since <= today]
        if fitting:
            return max(fitting, key=lambda row: (row.since, len(row.model)))
        fitting = [row for row in known().rows if row.fits(model) and row.since <= today]
        return max(fitting, key=lambda row: (len(row.model), row.since), default=None)
