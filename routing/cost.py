"""What turns of agents have cost: dollars as far as they are known, tokens, and time.

A program may say dollars, tokens alone, or nothing. What nobody said is unknown and never 0: a sum has the
dollars that are known, and how many turns are not, or not wholly, in it. A price table may fill them in; such
turns are counted, too, since its prices may differ from the bill.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one turn, or several together, have consumed. A new measure needs a field here alone."""

    turns: int = 0
    usd: float = 0.0  # as far as it is known
    unknown: int = 0  # turns whose dollars are not known, or for a part of them only
    priced: int = 0  # turns whose dollars come from a price table, for a part of them at least
    seconds: float = 0.0  # that the turns took
    input_tokens: int = 0  # with those from and to the cache
    output_tokens: int = 0
    cache_read_tokens: int = 0  # of the input
    cache_write_tokens: int = 0  # of the input

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in MEASURES})

    @property
    def known_usd(self) -> float | None:
        """The dollars that are known; None where they are of no turn."""
        return self.usd if self.usd or self.turns > self.unknown else None

    @property
    def is_whole(self) -> bool:
        """Whether the dollars of every turn are known."""
        return self.unknown == 0

    def measures(self) -> Mapping[str, float]:
        """The measures that are not 0, by name, as stores add them up."""
        return {name: value for name in MEASURES if (value := getattr(self, name))}

    @classmethod
    def stored(cls, values: Mapping[str, str]) -> Self:
        """A sum as a store has it. Measures of a later release are passed over."""
        found: dict[str, Any] = {name: float(values[name]) for name in MEASURES if name in values}
        counts = {name: round(value) for name, value in found.items() if name not in {"usd", "seconds"}}
        return cls(**found | counts)


#: Names of the measures, which are stored.
MEASURES = tuple(each.name for each in fields(Cost))

#: Of no turn.
NO_COST = Cost()


@dataclass(frozen=True, kw_only=True, slots=True)
class Payer:
    """Whose sums a turn is added to: those of its version, and of its arm where a trial counts its job."""

    template: str
    version: int
    trial: str = ""  # "" outside trials
    arm: str = ""
    repository: str = ""  # "" for none

    @property
    def labels(self) -> tuple[str, str]:
        """The names of its version's and its arm's sums; '' for no arm."""
        return f"v{self.version}", self.arm if self.trial else ""
