"""A person's mail to agents: an answer at a gate, once, or to any other mail, and a message about a job."""

from collections.abc import Sequence

from routing.errors import ConflictError, InvalidInputError, NotFoundError
from routing.jobs.job import Job
from tasks.agents.mail.address import OPERATOR, Author, agent_name
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import Mail, MailType
from tasks.agents.mail.receipt import Receipt
from tasks.agents.mail.role import Role
from tasks.composition.composition import Coalmine


def answer_mail(parts: Coalmine, mail: str, *, option: str, words: str, by: str) -> Sequence[Receipt]:
    """Answer a mail to people; the answer to a gate begins with the option, and is given once.

    InvalidInputError without an answer, and for an option that the gate does not have; ConflictError when
    the agent no longer waits at it: somebody was faster, its time is over, or it asks something else.
    """
    asked = parts.post_office.find(mail)
    if asked.recipient != OPERATOR:
        message = f"mail {asked.id} was sent to {asked.recipient}: nothing was answered"
        raise InvalidInputError(message)
    by_person = Author.of_person(by)
    if asked.type is not MailType.DECISION_GATE:
        return parts.post_office.reply(by_person, asked.id, body=_said(words))
    body = _said("\n\n".join(filter(None, [_chosen(asked, option), words.strip()])))
    waits = parts.agents.find(asked.sender)
    if waits.gate != asked.id or not waits.waits_for_person(parts.now()):
        message = f"agent {asked.sender} no longer waits at this gate; nothing was sent"
        raise ConflictError(message)
    letter = Letter.checked(
        to=asked.sender, subject=f"Re: {asked.subject}"[:200], body=body, priority=asked.priority.value
    )
    made = parts.post_office.send(by_person, letter, replied=asked, if_undecided=True)
    parts.post_office.seen(asked, by=by)
    return made


def read_by(parts: Coalmine, mail: str, *, by: str) -> bool:
    """Note that a person has read a mail to people; False when one had before."""
    return parts.post_office.seen(parts.post_office.find(mail), by=by)


def message_job(parts: Coalmine, job: str, words: str, *, by: str) -> str:
    """Send mail to the agent at work on a job; its next turn begins with it. Returns the agent's name.

    ConflictError for a job that has ended, that no agent has begun, or that is a shadow: nobody helps one arm
    of a pair. InvalidInputError without words.
    """
    found = parts.jobs.find(job)
    if not words.strip():
        message = "the message is empty; nothing was sent"
        raise InvalidInputError(message)
    if found.state.is_final or found.shadow:
        what = "a shadow, whose work is judged as it is" if found.shadow else f"{found.state.value}"
        message = f"job {found.id} is {what}: its agent gets no mail; nothing was sent"
        raise ConflictError(message)
    agent = agent_of(parts, found)
    if agent is None:
        message = f"no agent has begun job {found.id}; send it when one has, nothing was sent"
        raise ConflictError(message)
    letter = Letter.checked(to=agent, body=words.strip(), subject=f"About {found.title or found.id}"[:200])
    parts.post_office.send(Author.of_person(by), letter)
    return agent


def agent_of(parts: Coalmine, job: Job) -> str | None:
    """The name of the agent that works on a job; None before one has begun, and after it has ended."""
    role = Role(job.request.role)
    names = [job.request.agent] if job.request.agent else [agent_name(role, job.id), f"{role.value}-{job.id}"]
    for name in names:
        try:
            agent = parts.agents.find(name)
        except NotFoundError:
            continue
        if agent.is_live and job.id in {agent.job, agent.task}:
            return name
    return None


def _said(words: str) -> str:
    if not words.strip():
        raise InvalidInputError("the answer is empty; nothing was sent")
    return words.strip()


def _chosen(asked: Mail, option: str) -> str:
    """The option that was chosen, or "" for an answer in words alone."""
    options = [str(each) for each in asked.payload.get("options", ())]
    if option and option not in options:
        message = f"the gate does not offer {option[:60]!r}, but {', '.join(options)}; nothing was sent"
        raise InvalidInputError(message)
    return option
