"""Who may act over the API, and what they sent: a JSON body of a known form, with the acting token.

The token is sent as `Authorization: Bearer`. A browser's session is not enough: a page of another site could
use it, as nothing here has the CSRF token of a form.
"""

from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.decisions.issue_decisions import AS_LABELLED, PRIORITY_WORDS
from console.web.people.guard import viewer_of
from console.web.people.session import TOKEN_NAME
from console.web.request_limits import read_body
from routing.errors import InvalidInputError
from routing.issues.stated_words import PRIORITIES
from routing.jobs.job import Priority
from routing.printable import printable

B = TypeVar("B", bound="Act")

#: Bytes of a body.
MOST_BYTES = 262_144

#: The header that makes a creating call safe to repeat.
IDEMPOTENCY_KEY = "Idempotency-Key"


def _one_line(value: Any) -> Any:
    return " ".join(printable(value).split()) if isinstance(value, str) else value


Line = Annotated[str, BeforeValidator(_one_line), StringConstraints(max_length=500)]


class Act(BaseModel):
    """What every call may say."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    by: Annotated[Line, StringConstraints(max_length=100)] = Field(
        default="", description="Who decides; kept with it. By default `token`."
    )
    reason: Line = Field(default="", description="Why; kept with it.")


class ReasonedAct(Act):
    """A decision for which others will ask the reason."""

    reason: Annotated[Line, StringConstraints(min_length=1)] = Field(description="Why; kept with it.")


#: One of PRIORITIES, each of which is one digit, or AS_LABELLED.
_PRIORITY = f"^([{PRIORITIES[0]}-{PRIORITIES[-1]}]|{AS_LABELLED})$"


class IssueAct(Act):
    """A decision about an issue."""

    ref: Annotated[str, StringConstraints(max_length=600)] = Field(examples=["github:acme/shop#7"])


class PriorityAct(IssueAct):
    """How urgent an issue is."""

    priority: Annotated[str, StringConstraints(pattern=_PRIORITY)] = Field(description=f"{PRIORITY_WORDS}.")


class ThumbAct(Act):
    """A judgement of a job's work."""

    thumb: Literal["up", "down"]


class MessageAct(Act):
    """Words to the agent of a job: its next turn begins with them."""

    words: Annotated[str, StringConstraints(min_length=1, max_length=8_000)]


class ProposeAct(ReasonedAct):
    """A version: the champion's content with what is new. The reason is its note."""

    prompt: Annotated[str, StringConstraints(max_length=131_072)] | None = Field(
        default=None, description="What comes before every task; by default the champion's."
    )
    model: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, description="By default the champion's; empty for its program's default."
    )


class AccountAct(Act):
    """A decision about an account."""

    account: Annotated[str, StringConstraints(max_length=200)]
    model: Annotated[str, StringConstraints(max_length=200)] = "*"


class ClosingAct(ReasonedAct, AccountAct):
    """An account that is closed until a person reopens it."""


class AnswerAct(Act):
    """An answer to a mail to people."""

    option: Annotated[str, StringConstraints(max_length=500)] = Field(
        default="", description="Of a gate: one of those that it offers."
    )
    words: Annotated[str, StringConstraints(max_length=8_000)] = ""


class DrainAct(ReasonedAct):
    """A worker that is to end, and to give back what does not end in time."""

    worker: Annotated[str, StringConstraints(max_length=200)] = Field(examples=["jobs@host"])


class EnqueueAct(Act):
    """A job that is asked for."""

    template: str = Field(description="NAME, or NAME@v3 to pin a version.")
    task: str = Field(description="What to do, in words.")
    title: str = ""
    priority: Priority = Priority.NORMAL
    repository: str = ""
    difficulty: str = ""
    max_attempts: int | None = None


class ReplyAct(Act):
    """A mail to an agent, or to a group; or an answer to one."""

    body: str = ""
    subject: str = ""
    type: str = ""
    payload: dict[str, Any] | None = None
    priority: str = ""


class SendAct(ReplyAct):
    """A mail that answers none."""

    to: Annotated[str, StringConstraints(max_length=200)]


async def read_act(request: Request, form: type[B]) -> B:
    """The body of one who may act; 403 without the acting token, InvalidInputError for another form."""
    viewer = viewer_of(request.scope)
    if not viewer.may_act or viewer.name != TOKEN_NAME or viewer.csrf:
        detail = (
            "acting needs the acting token (the setting web.token), sent as Authorization: Bearer; nothing "
            "was changed"
        )
        raise HTTPException(403, detail)
    body = await read_body(request, most=MOST_BYTES)
    try:
        found = form.model_validate_json(body or b"{}")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        words = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in faults)
        message = f"the body is not what is asked for, and nothing was changed: {words}"
        raise InvalidInputError(message) from error
    return found if found.by else found.model_copy(update={"by": TOKEN_NAME})


def idempotency_key(request: Request) -> str:
    """The key of a creating call; "" for one that may make a second thing when it is repeated."""
    return request.headers.get(IDEMPOTENCY_KEY, "")[:500]


@cache
def body_of(form: type[Act]) -> dict[str, Any]:
    """What OpenAPI says of the body."""
    content = {"application/json": {"schema": form.model_json_schema()}}
    needed = any(field.is_required() for field in form.model_fields.values())
    return {"requestBody": {"required": needed, "content": content}}
