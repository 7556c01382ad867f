"""What Linear sends, as far as it is read. All text in it is from outside."""

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _LinearAnswer(BaseModel):
    """A part of an answer; what is not named here is not read."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore", populate_by_name=True)


class LinearId(_LinearAnswer):
    """Something by its id."""

    id: str = Field(min_length=1, max_length=200)


class LinearName(_LinearAnswer):
    """Something by its name."""

    name: str


class LinearState(_LinearAnswer):
    """A state of a team's workflow."""

    id: str
    name: str
    type: str  # triage, backlog, unstarted, started, completed, canceled or duplicate
    position: float = 0.0

    @property
    def is_end(self) -> bool:
        """Whether an issue in it counts as closed."""
        return self.type in ENDS


#: The types of states that end an issue.
ENDS = ("completed", "canceled", "duplicate")


class LinearLabel(_LinearAnswer):
    """A label; without a team it is the workspace's."""

    id: str
    name: str
    team: dict[str, str] | None = None


class LinearLabels(_LinearAnswer):
    """Labels of an issue."""

    nodes: tuple[LinearLabel, ...] = ()


class LinearIssue(_LinearAnswer):
    """An issue."""

    id: str
    key: str = Field(alias="identifier")
    title: str = ""
    description: str | None = None
    url: str = ""
    updated: AwareDatetime = Field(alias="updatedAt")
    trashed: bool | None = None
    state: LinearState
    labels: LinearLabels = LinearLabels()
    assignee: LinearId | None = None
    creator: LinearId | None = None
    project: LinearName | None = None


class LinearComment(_LinearAnswer):
    """A comment; without a user it is an application's."""

    id: str
    body: str = ""
    created: AwareDatetime | None = Field(default=None, alias="createdAt")
    user: LinearId | None = None


class LinearChange(_LinearAnswer):
    """What was changed at once; without an actor, by Linear itself."""

    created: AwareDatetime = Field(alias="createdAt")
    actor: LinearId | None = None
    added: tuple[LinearName, ...] | None = Field(default=None, alias="addedLabels")
    assignee: LinearId | None = Field(default=None, alias="toAssignee")


class LinearIdentifier(_LinearAnswer):
    """An issue by its key."""

    key: str = Field(alias="identifier")


class LinearRelation(_LinearAnswer):
    """A relation from another issue to this one."""

    type: str = ""
    issue: LinearIdentifier | None = None


class LinearUser(_LinearAnswer):
    """A member of the workspace."""

    id: str
    active: bool = False
    guest: bool = True


class LinearPageInfo(_LinearAnswer):
    """Where the next page begins."""

    more: bool = Field(default=False, alias="hasNextPage")
    end: str | None = Field(default=None, alias="endCursor")


class LinearPage(_LinearAnswer):
    """A page of a connection."""

    nodes: tuple[Any, ...] = ()
    info: LinearPageInfo = Field(default=LinearPageInfo(), alias="pageInfo")
