"""Budgets of a day: what a fleet, a template or a repository may use until midnight (UTC). Pure records.

Jobs that find one used up are held until then, as for a closed account: nothing is lost, and both arms of a
trial wait alike. What runs goes on: a day may end a little above.
"""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: The label of all templates together.
ALL: Final = ""

#: What stands before the label of a repository in the sums of a day.
REPOSITORY: Final = "@"

Tokens = Annotated[int, Field(ge=0, le=10**15)]
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Budget(BaseModel):
    """A table `[[budget]]`: for one template, or one repository."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    model_config = ConfigDict(frozen=True)

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
