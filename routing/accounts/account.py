"""An account: a named credential of a runtime, from a table `[[account]]` of the settings.

A runtime without a table has one account all the same, `default`: whatever its program is logged in with, and
the secrets that a version names. So a limit holds the jobs of that runtime in every fleet.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

#: The name of the account that a runtime has without any table.
DEFAULT: Final = "default"

#: The families of variables that belong to the worker: no account gives them to an agent.
_RESERVED: Final = ("COALMINE_", "CELERY_", "FLOWER_")

_SECRET: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}(=[A-Za-z_][A-Za-z0-9_]{0,127})?")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
RuntimeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Value = Annotated[str, StringConstraints(max_length=4096)]


class Account(BaseModel):
    """A credential. It holds names of variables, and never a secret's value."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    name: Name  # unique among those of its runtime
    runtime: RuntimeName
    secrets: tuple[str, ...] = ()  # variables that its agents get: NAME, or NAME=VARIABLE of the worker
    environment: dict[Variable, Value] = {}  # plain variables that its agents get, like a folder of a log-in
    models: tuple[str, ...] = ()  # that it may be used for, in the runtime's words; none: for all

    @field_validator("secrets")
    @classmethod
    def _are_variables(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if not _SECRET.fullmatch(text):
                raise ValueError(f"{text[:60]!r} is neither NAME nor NAME=VARIABLE_OF_THE_WORKER")
        _refuse_reserved([text.partition("=")[0] for text in value])
        return value

    @field_validator("environment")
    @classmethod
    def _is_not_ours(cls, value: dict[str, str]) -> dict[str, str]:
        _refuse_reserved(list(value))
        return value

    @property
    def id(self) -> str:
        """`claude:team-a`: what people, records and keys call it."""
        return f"{self.runtime}:{self.name}"

    @property
    def sources(self) -> Mapping[str, str]:
        """The worker's variable by the name under which the agent gets its value."""
        parts = [text.partition("=") for text in self.secrets]
        return {name: source or name for name, _, source in parts}

    def serves(self, model: str | None) -> bool:
        """Whether it may be used for a model; None is the runtime's default."""
        return not self.models or model in self.models

    def missing(self, environment: Mapping[str, str]) -> list[str]:
        """The variables that it needs and that this worker's environment does not have."""
        return sorted(source for source in self.sources.values() if not environment.get(source))


def default_account(runtime: str) -> Account:
    """The account of a runtime that no table names."""
    return Account(name=DEFAULT, runtime=runtime)


def _refuse_reserved(names: list[str]) -> None:
    reserved = sorted(name for name in names if name.startswith(_RESERVED))
    if reserved:
        raise ValueError(f"{', '.join(reserved)} belong to the worker; give the agent another variable")
