"""What an agent can ask of the post office through its command, and what it is answered.

One form for each verb, strict: an unknown field is an error. None has a field for the sender. Answers are
JSON objects, which the command prints or shows; `docs/mail.md` describes them for agents.

A worker may be newer than the command in a running turn, so verbs and fields are only added. Bounds of bodies
and payloads are the letter's own, see `tasks.agents.mail.letter`.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from routing.errors import InvalidInputError
from routing.printable import printable
from tasks.agents.mail.address import COALMINE, Author
from tasks.agents.mail.delivery import written
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import MOST_SUBJECT, Mail, MailType
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail.receipt import Receipt
from tasks.agents.mail.role import ENDING_TYPES
from tasks.agents.mail_socket.child_dispatch import Child

_NO_END = (
    "this mail does not end your task: that takes the type that ends the tasks of your role, "
    "about your own task and no other"
)

_AWAITING = "noted: when this turn has ended cleanly, the next one begins with the mail that arrives for you"


class _Form(BaseModel):
    """A request: strict, and without unknown fields."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)


class _Writing(_Form):
    """What a letter and an answer have in common; empty fields are filled in by the post office."""

    type: str = ""
    subject: str = ""
    body: str = ""
    payload: dict[str, Any] | None = None
    priority: str = ""
    dedupe_key: str = ""


class SendForm(_Writing):
    """Send a letter. It has no field for the sender: that is the agent whose turn it is."""

    do: Literal["send"]
    to: str


class ReplyForm(_Writing):
    """Answer the other side of a mail."""

    do: Literal["reply"]
    mail: str


class ListForm(_Form):
    """The newest mails that the agent was sent."""

    do: Literal["list"]
    limit: Annotated[int, Field(ge=1, le=200)] = 20


class ReadForm(_Form):
    """One mail that the agent sent or was sent."""

    do: Literal["read"]
    mail: str


class AwaitForm(_Form):
    """The agent ends its turn to wait for mail."""

    do: Literal["await"]


Form = SendForm | ReplyForm | ListForm | ReadForm | AwaitForm

_FORMS: TypeAdapter[Form] = TypeAdapter(Annotated[Form, Field(discriminator="do")])


def checked_form(given: object) -> Form:
    """The request as a form, or InvalidInputError that names every wrong field."""
    try:
        return _FORMS.validate_python(given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, part['loc'])) or 'request'}: {part['msg']}" for part in error.errors()
        )
        message = f"the mail command asked for something that does not exist: {problems[:1000]}"
        raise InvalidInputError(message) from error


def run(
    form: Form, office: PostOffice, author: Author, *, may_send: Callable[[], None],
    dispatch: Callable[[Letter], Child] | None = None, await_mail: Callable[[], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Do what was asked, in the author's name; returns the answer. Errors are CoalmineErrors.

    `may_send` is called before anything is sent, and raises when the turn has sent too much. `dispatch` and
    `await_mail` are None where a turn can do neither. Reading is bound to the author as well: only mail that
    it sent or was sent is found.
    """
    match form:
        case SendForm():
            may_send()
            letter = _letter(form)
            if dispatch is not None and letter.to == COALMINE and letter.type is MailType.DISPATCH:
                return _dispatched(dispatch(letter))
            return _sent(office.send(author, letter))
        case ReplyForm():
            may_send()
            fields = form.model_dump(exclude={"do", "mail", "type"})
            return _sent(office.reply(author, form.mail, type_=form.type, **fields))
        case ListForm():
            mails = office.newest(form.limit, recipient=author.address)
            return {"mails": [_entry(mail) for mail in mails]}
        case ReadForm():
            mail = office.find(form.mail, reader=author.address)
            return {"mail": _entry(mail), "text": written(mail)}
        case AwaitForm():
            if await_mail is None:
                raise InvalidInputError("this turn has no session that could wait; nothing was noted")
            await_mail()
            return {"awaiting": True, "text": _AWAITING}


def _letter(form: SendForm) -> Letter:
    """The letter that was asked for; a dispatch needs no subject, as its task has a name."""
    fields = form.model_dump(exclude={"do", "type"})
    if form.type == MailType.DISPATCH and form.payload and not form.subject:
        fields["subject"] = str(form.payload.get("task_id", ""))[:MOST_SUBJECT]
    return Letter.checked(type_=form.type, **fields)


def _dispatched(child: Child) -> dict[str, Any]:
    """The answer to a dispatch. It never ends the sender's task."""
    known = {"job": child.job, "agent": child.agent, "created": child.created}
    return {"child": known, "terminal": False, "note": ""}


def _sent(receipts: list[Receipt]) -> dict[str, Any]:
    """The answer to a sent letter, with a note if its type ends tasks and it did not end this one."""
    first = receipts[0]
    silent = first.type not in ENDING_TYPES or first.terminal
    return {
        "sent": [
            {"id": receipt.id, "to": receipt.recipient, "created": receipt.created} for receipt in receipts
        ],
        "terminal": first.terminal,
        "note": "" if silent else _NO_END,
    }


def _entry(mail: Mail) -> dict[str, Any]:
    """One line of a list: the head alone, as bodies are long."""
    return {
        "id": mail.id,
        "from": mail.sender,
        "type": mail.type.value,
        "priority": mail.priority.value,
        "state": mail.state.value,
        "subject": printable(mail.subject),
        "sent_at": mail.sent_at,
    }
