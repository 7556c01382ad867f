"""What Jira sends, as far as it is read. All text in it is from outside."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field


class _JiraAnswer(BaseModel):
    """A part of an answer; what is not named here is not read."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore", populate_by_name=True)


#: The key of the category of states that end an issue; the others are `new` and `indeterminate`.
_ENDED = "done"


def _or_empty(value: object) -> object:
    return () if value is None else value


class JiraUser(_JiraAnswer):
    """A user; names may change, the id does not."""

    id: str = Field(alias="accountId", min_length=1, max_length=200)


class JiraCategory(_JiraAnswer):
    """What kind of state a status is."""

    key: str


class JiraStatus(_JiraAnswer):
    """A status of a workflow."""

    name: str
    category: JiraCategory = Field(alias="statusCategory")

    @property
    def is_done(self) -> bool:
        """Whether an issue in it counts as closed."""
        return self.category.key == _ENDED


class JiraComponent(_JiraAnswer):
    """A component of a project."""

    name: str


class JiraLinkType(_JiraAnswer):
    """What a link between two issues means: `inward` is read from this issue to an inward one."""

    inward: str = ""


class JiraOther(_JiraAnswer):
    """The other issue of a link."""

    key: str


class JiraLink(_JiraAnswer):
    """A link between two issues."""

    type: JiraLinkType
    inward: JiraOther | None = Field(default=None, alias="inwardIssue")


class JiraFields(_JiraAnswer):
    """The fields that are asked for."""

    summary: str | None = None
    description: Any = None  # a document
    labels: Annotated[tuple[str, ...], BeforeValidator(_or_empty)] = ()
    status: JiraStatus
    components: Annotated[tuple[JiraComponent, ...], BeforeValidator(_or_empty)] = ()
    creator: JiraUser | None = None
    assignee: JiraUser | None = None
    updated: AwareDatetime
    links: Annotated[tuple[JiraLink, ...], BeforeValidator(_or_empty)] = Field(default=(), alias="issuelinks")


#: Their names, as a request has them.
FIELDS = "summary,description,labels,status,components,creator,assignee,updated,issuelinks"


class JiraIssue(_JiraAnswer):
    """An issue."""

    key: str
    fields: JiraFields


class JiraPage(_JiraAnswer):
    """A page of a search."""

    issues: tuple[Any, ...] = ()
    next: str | None = Field(default=None, alias="nextPageToken")


class JiraComment(_JiraAnswer):
    """A comment."""

    id: Annotated[int, Field(gt=0)]  # digits in quotes
    author: JiraUser | None = None
    body: Any = None  # a document
    created: AwareDatetime | None = None


class JiraComments(_JiraAnswer):
    """A page of an issue's comments."""

    comments: tuple[JiraComment, ...] = ()
    total: int = 0


class JiraChange(_JiraAnswer):
    """One field that was changed."""

    field: str = ""
    before: str | None = Field(default=None, alias="fromString")
    after: str | None = Field(default=None, alias="toString")
    to: str | None = None  # the id of what it is now: of an assignee, the account


class JiraChanges(_JiraAnswer):
    """What was changed at once."""

    author: JiraUser | None = None
    created: AwareDatetime
    items: tuple[JiraChange, ...] = ()


class JiraHistory(_JiraAnswer):
    """A page of an issue's changes, the oldest first."""

    values: tuple[JiraChanges, ...] = ()
    is_last: bool = Field(default=True, alias="isLast")


class JiraTransition(_JiraAnswer):
    """A way from the state that an issue has now."""

    id: str
    name: str = ""
    to: JiraStatus


class JiraTransitions(_JiraAnswer):
    """All of them."""

    transitions: tuple[JiraTransition, ...] = ()


class JiraPermission(_JiraAnswer):
    """Whether we may do something."""

    have: bool = Field(default=False, alias="havePermission")


class JiraPermissions(_JiraAnswer):
    """What we may do, by the permission's key."""

    permissions: dict[str, JiraPermission] = {}


class JiraType(_JiraAnswer):
    """A type of issue, with the statuses of its workflow."""

    statuses: tuple[JiraStatus, ...] = ()
