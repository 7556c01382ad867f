"""A tool: what a program may ask of the fleet over the Model Context Protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.errors import InvalidInputError
from tasks.composition.composition import Coalmine

Document = dict[str, Any]


class Arguments(BaseModel):
    """What a tool is given; one that has no field is asked without any."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


F = TypeVar("F", bound=Arguments)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: for the record of what was decided."""

    user: str  # of this machine
    client: str = ""  # the program's own name, printable; "" where it gave none

    @property
    def name(self) -> str:
        """Who is noted with a decision."""
        return f"{self.user} by {self.client}" if self.client else self.user


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool(Generic[F]):
    """A tool with its arguments, as models are shown it."""

    name: str
    description: str
    form: type[F]
    call: Callable[[Coalmine, F, Caller], Document]
    acts: bool = False  # whether it changes anything; then the acting token is needed

    def described(self) -> Document:
        """How `tools/list` shows it."""
        schema = self.form.model_json_schema()
        schema.pop("description", None)
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": schema,
            "annotations": {"readOnlyHint": not self.acts, "openWorldHint": False}
            | ({"destructiveHint": False, "idempotentHint": False} if self.acts else {}),
        }

    def answer(self, parts: Coalmine, given: Any, caller: Caller) -> Document:
        """What it says; InvalidInputError for other arguments than it takes."""
        try:
            arguments = self.form.model_validate(given)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            words = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in faults
            )
            message = f"{self.name} does not take these arguments, and nothing was changed: {words}"
            raise InvalidInputError(message) from error
        return self.call(parts, arguments, caller)
