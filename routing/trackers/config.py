"""The description of a tracker: everything that is set about one, in one record that is passed down."""

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from routing.forges.allow_list import AllowList
from routing.forges.config import IssueSourceConfig, Label, Lack, Token, listed, none_if_empty
from routing.forges.renewed_token import RenewedToken
from routing.http.settings import BaseUrl
from routing.issues.issue import Issue

#: `github:acme/shop`: a repository of a forge of the settings.
Place = Annotated[
    str,
    Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?:[A-Za-z0-9._-]{1,100}(/[A-Za-z0-9._-]{1,100}){0,4}$"),
]
#: The name of a state, as people see it.
StateName = Annotated[str, Field(max_length=100)]
#: `SHOP`: the project of a Jira, the team of a Linear; it stands before the number of each issue.
ProjectKey = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,49}$")]


def _tables(value: object) -> object:
    """Tables as JSON, as a variable has them; a file has a list."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not JSON; write a list of tables, or the tables in the file") from None


class PlaceRoute(BaseModel):
    """Which issues' work goes to a repository: all that are named of it must fit."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    repository: Place
    label: Label | None = None
    component: Annotated[str, Field(min_length=1, max_length=200)] | None = None  # a component of Jira, a
    # project of Linear

    @model_validator(mode="after")
    def _chooses(self) -> Self:
        if self.label is None and self.component is None:
            raise ValueError("a route names a label or a component; for all other issues set `repository`")
        return self

    def fits(self, issue: Issue) -> bool:
        """Whether it is for an issue; names are compared in any case."""
        parts = {part.casefold() for part in issue.parts}
        return (self.label is None or issue.carries(self.label)) and (
            self.component is None or self.component.casefold() in parts
        )


class StateNames(BaseModel):
    """Which state an issue is moved to, by name; "" moves it nowhere."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    in_progress: StateName = "In Progress"
    in_review: StateName = ""
    done: StateName = "Done"  # "": the first one that ends an issue
    handed_back: StateName = ""  # a person must go on


class TrackerConfig(IssueSourceConfig):
    """What every tracker has. A kind gives `kind` and `name` their defaults, and adds what it alone has."""

    base_url: BaseUrl | None = None  # of its API; None: it is not set up
    token: Token | None = None
    token_path: Path | None = None  # a file that has the token and is read again at each use, in its place
    project: ProjectKey | None = None  # whose issues are read; one tracker for each
    repository: Place | None = None  # that work goes to where no route fits; None: nobody takes the issue
    route: Annotated[
        tuple[PlaceRoute, ...], Field(max_length=1000), BeforeValidator(_tables)
    ] = ()  # the first that fits counts
    stop_label: Annotated[Label | None, BeforeValidator(none_if_empty)] = None  # of issues that no agent may
    # work on, whatever else they carry
    stop_states: Annotated[
        tuple[StateName, ...], BeforeValidator(listed)
    ] = ()  # in which an issue is not for agents, beside those that end it
    states: StateNames = StateNames()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.token is not None and self.token_path is not None:
            raise ValueError("token and token_path are both set; set one of them")
        shown = {name.casefold() for name in (self.states.in_progress, self.states.in_review) if name}
        if both := [name for name in self.stop_states if name.casefold() in shown]:
            raise ValueError(
                f"stop_states has {both[0]}, to which issues are moved while they are worked on; take it out"
            )
        return self

    @property
    def allow_list(self) -> tuple[str, ...]:
        """Its project, which stands where forges have a repository."""
        return () if self.project is None else (self.project,)

    @property
    def served(self) -> AllowList:
        """The same."""
        return AllowList(names=self.allow_list)

    @property
    def lack(self) -> Lack | None:
        """An address first, then a token, then a project."""
        for setting, lacks, what in (
            ("base_url", self.base_url is None, "address"),
            ("token", self.token is None and self.token_path is None, "token"),
            ("project", self.project is None, "project"),
        ):
            if lacks:
                return Lack(setting=setting, because=f"it has no {what}, so it is not asked for anything")
        return None

    @property
    def places(self) -> tuple[str, ...]:
        """All repositories that work may go to, each once."""
        named = [route.repository for route in self.route]
        return tuple(dict.fromkeys([*named, *([self.repository] if self.repository else [])]))

    def place_of(self, issue: Issue) -> str:
        """The repository that work on an issue goes to; "" when nothing says which."""
        return next((one.repository for one in self.route if one.fits(issue)), self.repository or "")

    @property
    def address(self) -> str:
        """The API's address; only a tracker that is served may be asked for it."""
        if self.base_url is None:
            raise ValueError(self.name)
        return self.base_url

    @cached_property
    def credential(self) -> SecretStr:
        """The token; only a tracker that is served may be asked for it."""
        if self.token_path is not None:
            return RenewedToken(self.token_path)
        if self.token is None:
            raise ValueError(self.name)
        return self.token
