"""Tools that change something: they make jobs, and answer agents that wait for a decision."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from console.decisions.mail_decisions import answer_mail
from console.decisions.noting import DecisionDoor, note_decision
from console.mcp.tool import Arguments, Caller, Document, Tool
from console.output.job_views import enqueued_document
from console.output.mail_views import receipt_document
from routing.errors import ConflictError
from routing.jobs.job import JobRequest, Priority
from tasks.agents.mail.mail import MailType
from tasks.composition.composition import Coalmine

Reason = Annotated[str, StringConstraints(max_length=500)]


class EnqueueArguments(Arguments):
    """A job that is asked for."""

    template: str = Field(description="NAME, or NAME@v3 to pin a version.")
    task: str = Field(description="What to do, in words.")
    title: str = Field(default="", description="A short name, for lists and pages.")
    priority: Priority = Priority.NORMAL
    repository: str = Field(default="", description="Where to work; by default an empty folder.")
    key: str = Field(default="", description="Asking again with the same key makes no second job.")
    reason: Reason = Field(default="", description="Why; kept with the decision.")


class AnswerArguments(Arguments):
    """An answer to an agent."""

    mail: str = Field(description="The id of the gate's mail, from list_gates.")
    option: str = Field(default="", description="One of those that the gate offers.")
    words: Annotated[str, StringConstraints(max_length=8_000)] = Field(
        default="", description="The answer in words, or what is to be said beside the option."
    )
    reason: Reason = Field(default="", description="Why; kept with the decision.")


def _enqueue(parts: Coalmine, asked: EnqueueArguments, caller: Caller) -> Document:
    request = JobRequest.checked(**asked.model_dump(exclude={"key", "reason"}), idempotency_key=asked.key)
    made = enqueued_document(parts.mailbox.enqueue(request))
    if made["created"]:
        job = str(made["job"])
        note_decision(parts, "enqueue", job, by=caller.name, way=DecisionDoor.MCP, reason=asked.reason)
    return made


def _answer(parts: Coalmine, asked: AnswerArguments, caller: Caller) -> Document:
    gate = parts.post_office.find(asked.mail)
    if gate.type is not MailType.DECISION_GATE:
        message = f"mail {gate.id} asks for no decision; nothing was sent: list_gates has those that do"
        raise ConflictError(message)
    receipts = answer_mail(parts, gate.id, option=asked.option, words=asked.words, by=caller.name)
    note_decision(
        parts,
        "mail answer",
        gate.id,
        by=caller.name,
        way=DecisionDoor.MCP,
        reason=asked.reason or asked.option,
    )
    return {"sent": [receipt_document(each) for each in receipts]}


ACTING: tuple[Tool[Any], ...] = (
    Tool(
        name="enqueue", form=EnqueueArguments, call=_enqueue, acts=True,
        description="Make a job: its id, version, arm and draw. A worker of the fleet does it.",
    ),
    Tool(
        name="answer_gate", form=AnswerArguments, call=_answer, acts=True,
        description="Answer an agent that waits for a person's decision; it goes on with that.",
    ),
)  # fmt: skip
