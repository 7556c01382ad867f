"""Prices of models, for programs that report tokens and no dollars. Pure, and dated.

List prices of providers change, differ by contract and by the size of a request, and a subscription has
none: what comes of them is an estimate, and is shown as such. A table `[[price]]` of the settings wins over
the rows here; a model that no row knows has no price, and its dollars stay unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

#: When the rows below were put together, from the public price lists of the providers.
AS_OF: Final = date(2026, 11, 29)

#: Tokens that a price is for.
_MILLION: Final = 1_000_000


def _day(value: object) -> object:
    """A date as people write it; TOML has dates of its own."""
    return date.fromisoformat(value) if isinstance(value, str) else value


Usd = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class ModelPrice(BaseModel):
    """US dollars for a million tokens of a model, from a day on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]  # its name; `*` stands for any end
    input: Usd
    output: Usd
    cache_read: Usd | None = None  # of input from the cache; None: as other input
    cache_write: Usd | None = None  # of input to the cache; None: as other input
    since: Annotated[date, BeforeValidator(_day)] = AS_OF  # the day from which it holds (UTC)

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


def _row(model: str, given: float, made: float, read: float | None = None) -> ModelPrice:
    return ModelPrice(model=model, input=given, output=made, cache_read=read)


#: What is known without any setting: models of the programs that report no dollars. The first that fits.
KNOWN: Final[tuple[ModelPrice, ...]] = (
    _row("gpt-5.4", 2.50, 15.0, 0.25),
    _row("gpt-5.3-codex", 1.75, 14.0, 0.175),
    _row("gpt-5.2", 1.75, 14.0, 0.175),
    _row("gpt-5.2-codex", 1.75, 14.0, 0.175),
    _row("gpt-5.1", 1.25, 10.0, 0.125),
    _row("gpt-5.1-codex", 1.25, 10.0, 0.125),
    _row("gpt-5", 1.25, 10.0, 0.125),
    _row("gpt-5-codex", 1.25, 10.0, 0.125),
    _row("gpt-5-mini", 0.25, 2.0, 0.025),
    _row("gpt-5-nano", 0.05, 0.40, 0.005),
    _row("gemini-2.5-pro", 1.25, 10.0, 0.125),
    _row("gemini-2.5-flash", 0.30, 2.50, 0.03),
    _row("gemini-2.5-flash-lite", 0.10, 0.40, 0.01),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceTable:
    """The prices of a fleet: those of its settings before those that are known."""

    own: Sequence[ModelPrice] = ()

    def of(self, model: str | None, today: date) -> ModelPrice | None:
        """The price of a model; of several that fit the newest that holds. None: it is not known."""
        if not model:
            return None
        for rows in (self.own, KNOWN):
            fitting = [row for row in rows if row.fits(model) and (row.since <= today or rows is KNOWN)]
            if fitting:
                return max(fitting, key=lambda row: (row.since, len(row.model)))
        return None
