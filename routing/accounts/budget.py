"""Budgets of a day: what a fleet, a template or a repository may use until midnight (UTC). Pure records.

Jobs that find one used up are held until then, as for a closed account: nothing is lost, and both arms of a
trial wait alike. What runs goes on: a day may end a little above.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from routing.cost import NO_COST, Cost

#: The label of all templates together.
ALL: Final = ""

#: What stands before the label of a repository in the sums of a day.
REPOSITORY: Final = "@"

Tokens = Annotated[int, Field(ge=0, le=10**15)]
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Budget(BaseModel):
    """A table `[[budget]]`: for one template, or one repository."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    template: Annotated[str, Field(max_length=40)] = ""
    repository: Annotated[str, Field(max_length=500)] = ""  # as jobs name it, `local:shop`
    usd_per_day: Usd = 0.0  # 0: no limit
    tokens_per_day: Tokens = 0  # input, with that from the cache, and output; 0: no limit

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if bool(self.template) == bool(self.repository):
            raise ValueError("names either a template or a repository")
        if not (self.usd_per_day or self.tokens_per_day):
            raise ValueError("limits nothing; give usd_per_day or tokens_per_day")
        return self

    @property
    def label(self) -> str:
        """Under which its day is summed up."""
        return self.template or f"{REPOSITORY}{self.repository}"


class DayBudgets(BaseModel):
    """All budgets of a fleet."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    fleet_tokens: Tokens = 0
    tables: tuple[Budget, ...] = ()

    @property
    def are_of_repositories(self) -> bool:
        """Whether a job's repository matters."""
        return any(table.repository for table in self.tables)

    def of(self, template: str, repository: str) -> tuple[tuple[str, float, int], ...]:
        """What concerns a job: label, dollars and tokens of each; 0 for no limit."""
        labels = {template, f"{REPOSITORY}{repository}"}
        found = [
            (table.label, table.usd_per_day, table.tokens_per_day)
            for table in self.tables
            if table.label in labels
        ]
        fleet = [(ALL, 0.0, self.fleet_tokens)] if self.fleet_tokens else []
        return (*fleet, *found)

    def uses(self, sums: Mapping[str, Cost]) -> list["DayUse"]:
        """How much of each is used up, by the sums of the day by label."""
        everything = sum((cost for label, cost in sums.items() if not label.startswith(REPOSITORY)), NO_COST)
        fleet = (
            [DayUse(of="the fleet", cost=everything, tokens=self.fleet_tokens)] if self.fleet_tokens else []
        )
        return [
            *fleet,
            *(
                DayUse(
                    of=table.template or table.repository,
                    cost=sums.get(table.label, NO_COST),
                    usd=table.usd_per_day,
                    tokens=table.tokens_per_day,
                )
                for table in self.tables
            ),
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class DayUse:
    """A budget of the day, and what was used of it."""

    of: str  # a template, a repository, or `the fleet`
    cost: Cost  # of today, UTC
    usd: float = 0.0  # that may be spent; 0: no limit
    tokens: int = 0  # that may be used; 0: no limit

    @property
    def is_reached(self) -> bool:
        """Whether no job of it begins until midnight UTC."""
        return 0 < self.usd <= self.cost.usd or 0 < self.tokens <= self.tokens_used

    @property
    def tokens_used(self) -> int:
        """Input, with that from the cache, and output."""
        return self.cost.input_tokens + self.cost.output_tokens

    def __str__(self) -> str:
        """`implementer: 3.10 of 50.00 USD, 12,000 of 1,000,000 tokens`."""
        parts = [f"{self.cost.usd:,.2f} of {self.usd:,.2f} USD"] if self.usd else []
        parts += [f"{self.tokens_used:,} of {self.tokens:,} tokens"] if self.tokens else []
        return f"{self.of}: {', '.join(parts)}"
