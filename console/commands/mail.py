"""`coalmine mail …`: mail that people write to agents, and read from them.

People have one address, `operator`; the mail also carries the user's name, so that agents and others see
who wrote. Mail to a group is sent to each agent that is alive now, with a receipt for each. What a type of
mail must contain is checked where it is sent (`tasks.agents.mail`); this file checks the options alone.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from console.completion import complete_agent
from console.input.input_text import read_text
from console.invocation import AsJson, examples, noted, opened, started
from console.output.mail_views import (
    agent_document,
    agents_view,
    mail_document,
    mail_view,
    mails_view,
    receipt_document,
    receipts_view,
)
from routing.errors import InvalidInputError
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter

mail_app = typer.Typer(help="Mail between people and agents.", no_args_is_help=True)

MailId = Annotated[str, typer.Argument(metavar="MAIL", help="The mail's id, 16 hex digits.")]
Type = Annotated[str, typer.Option("--type", help="status, question, dispatch, … (default: status)")]
Subject = Annotated[
    str, typer.Option(help="One line on what it is about. (default: the beginning of the body)")
]
Body = Annotated[str, typer.Option(help="The text of the mail.")]
BodyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Read the body from a file; - is stdin.")]
Payload = Annotated[str, typer.Option(metavar="JSON", help="The fields of the type, as a JSON object.")]
Priority = Annotated[str, typer.Option(help="urgent, high, normal or low.")]
Key = Annotated[str, typer.Option("--key", help="A second mail with the same key is not sent.")]


@mail_app.command(
    epilog=examples(
        "mail send --to builder-4f1d0c2a --subject 'Use port 8080' --priority urgent",
        "mail send --to @all --body-file freeze.md --key freeze-1",
        "mail send --to coordinator --type escalation --subject Slow "
        '--payload \'{"severity": "warning", "context": "CI takes an hour"}\'',
    )
)
def send(
    ctx: typer.Context,
    *,
    to: Annotated[
        str,
        typer.Option(autocompletion=complete_agent, help="An agent, or a group: @all, @builders, @leads, …"),
    ],
    type_: Type = "",
    subject: Subject = "",
    body: Body = "",
    body_file: BodyFile = None,
    payload: Payload = "",
    priority: Priority = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Send mail to an agent, or to all live agents of a group. Their next turns begin with it."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    letter = Letter.checked(
        to=to,
        type_=type_,
        subject=subject,
        body=_body(body, body_file),
        payload=_payload(payload),
        priority=priority,
        dedupe_key=key,
    )
    receipts = coalmine.post_office.send(_author(ctx), letter)
    if any(made.created for made in receipts):
        noted(ctx, to)
    terminal.answer({"sent": [receipt_document(made) for made in receipts]}, *receipts_view(receipts))


@mail_app.command(epilog=examples("mail reply 4f1d0c2ab39e8876 --body 'Take the first.'"))
def reply(
    ctx: typer.Context,
    mail: MailId,
    *,
    type_: Type = "",
    subject: Subject = "",
    body: Body = "",
    body_file: BodyFile = None,
    payload: Payload = "",
    priority: Priority = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Answer an agent that sent you a mail, in the same thread. If it waits for a decision, it goes on."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    receipts = coalmine.post_office.reply(
        _author(ctx),
        mail,
        type_=type_,
        subject=subject,
        body=_body(body, body_file),
        payload=_payload(payload),
        priority=priority,
        dedupe_key=key,
    )
    if any(made.created for made in receipts):
        noted(ctx, mail)
    terminal.answer({"sent": [receipt_document(made) for made in receipts]}, *receipts_view(receipts))


@mail_app.command(
    "list", epilog=examples("mail list", "mail list --to operator", "mail list --thread 4f1d0c2ab39e8876")
)
def list_(
    ctx: typer.Context,
    *,
    to: Annotated[
        str,
        typer.Option(autocompletion=complete_agent, help="Only mail to this address; people are operator."),
    ] = "",
    thread: Annotated[
        str, typer.Option(metavar="MAIL", help="Only mail of the thread that began with it.")
    ] = "",
    dead: Annotated[bool, typer.Option("--dead", help="Only mail that could not be delivered.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="List at most this many, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the mail of the whole fleet, the newest first."""
    if sum(map(bool, (to, thread, dead))) > 1:
        raise InvalidInputError("--to, --thread and --dead name different lists; give only one")
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    office = coalmine.post_office
    mails = office.dead(limit) if dead else office.newest(limit, recipient=to, thread=thread)
    terminal.answer({"mails": [mail_document(mail) for mail in mails]}, mails_view(mails))


@mail_app.command(epilog=examples("mail read 4f1d0c2ab39e8876"))
def read(ctx: typer.Context, mail: MailId, *, as_json: AsJson = False) -> None:
    """Print one mail in full. Mail to operator is then marked as read."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    found = coalmine.post_office.find(mail)
    # Only mail to people is marked; an agent must still get its own. It is read again to show its new
    # state.
    if coalmine.post_office.seen(found, by=started(ctx).user):
        found = coalmine.post_office.find(mail)
    terminal.answer(mail_document(found), *mail_view(found))


@mail_app.command(epilog=examples("mail agents", "mail agents --json"))
def agents(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List the live agents with their names, which are their addresses."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    live = coalmine.agents.live()
    terminal.answer({"agents": [agent_document(agent) for agent in live]}, agents_view(live))


def _author(ctx: typer.Context) -> Author:
    """People send as `operator`; the mail also has the name of the user."""
    return Author.of_person(started(ctx).user)


def _body(body: str, file: Path | None) -> str:
    """The text of `--body` or of the file; InvalidInputError when both were given. It may be empty."""
    if file is None:
        return body
    if body:
        raise InvalidInputError("both --body and --body-file were given; give only one")
    return read_text(file, what="a mail")


def _payload(text: str) -> dict[str, Any] | None:
    """The fields as given, None for none. Whether they fit the type of mail is checked when it is sent.

    InvalidInputError for text that is not JSON, or not an object.
    """
    if not text:
        return None
    try:
        given = json.loads(text)
    except ValueError as error:
        message = f"--payload is not JSON ({error}) and nothing was sent; give an object in quotes"
        raise InvalidInputError(message) from error
    if not isinstance(given, dict):
        raise InvalidInputError(
            "--payload is not a JSON object and nothing was sent; give its fields by name"
        )
    return given
