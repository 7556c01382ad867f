"""`coalmine notify …`: try out sinks, and list or send again what they did not take.

`test` sends from this process, straight to the sinks, so it also works before there is a server.
`retry-dead` does not send: it puts the letters back, and a worker's next tick sends them. Ids stay the
same, so a receiver that got one the first time can tell that it is a repetition.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from console.invocation import AsJson, examples, noted, opened, started
from console.output.rendering import iso, one_line, table, when, word
from console.output.terminal import Terminal
from routing.errors import SettingsError
from tasks.logs import configure_logs
from tasks.notify.notices import DeadLetter, dead_letters, revive
from tasks.notify.notification import NotificationKind, notification_kind, sample

notify_app = typer.Typer(help="Notifications to people.", no_args_is_help=True)

_KINDS = ", ".join(NotificationKind)


@notify_app.command("test", epilog=examples("notify test done", "notify test needs-human --json"))
def try_out(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {_KINDS}.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Send a sample to every sink that takes this kind. Needs no server."""
    wanted = notification_kind(kind)
    invocation = started(ctx)
    configure_logs(invocation.settings)
    sinks = [sink for sink, kinds in invocation.settings.notify.configured(time.time) if wanted in kinds]
    if not sinks:
        message = (
            f"no sink takes {wanted} and nothing was sent; set notify.log.enabled "
            "(COALMINE_NOTIFY__LOG__ENABLED), notify.webhook.url or notify.slack.url, and look at its kinds"
        )
        raise SettingsError(message)
    notification = sample(wanted, at=time.time(), by=invocation.user)
    terminal = Terminal(as_json=as_json)
    for sink in sinks:
        # The first sink that fails raises, and ends the command: those before it have been printed.
        sink.send(notification)
        terminal.line({"sink": sink.name, "id": notification.id}, f"{sink.name} took {notification.id}")


@notify_app.command("list-dead", epilog=examples("notify list-dead", "notify list-dead --json"))
def list_dead(
    ctx: typer.Context,
    *,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="List at most this many for each sink, the newest.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """List notifications that a sink refused, or did not take in all its attempts."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    letters = list(dead_letters(coalmine.notices, most=limit))
    terminal.answer({"dead": [_letter_document(letter) for letter in letters]}, _letters_view(letters))


@notify_app.command(
    "retry-dead", epilog=examples("notify retry-dead", "notify retry-dead 1700000000000-0:done")
)
def retry_dead(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which to send again. (default: all)")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Have dead letters sent again by the next tick, with the ids that they had."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    letters = revive(coalmine.notices, ids or [])
    if letters:
        noted(ctx, reason=f"{len(letters)} notifications")
    document = {"revived": [{"id": letter.id, "sink": letter.sink} for letter in letters]}
    terminal.answer(document, f"{len(letters)} will be sent again")


def _letter_document(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter for scripts; what it says is null when its record cannot be read any more."""
    notification = letter.notice.notification if letter.notice is not None else None
    return {
        "id": letter.id,
        "sink": letter.sink,
        "kind": notification.kind.value if notification else None,
        "subject": notification.subject if notification else None,
        "title": notification.title if notification else None,
        "at": iso(notification.at if notification else None),
        "attempts": letter.notice.attempts if letter.notice else None,
        "reason": letter.reason,
    }


def _letters_view(letters: Sequence[DeadLetter]) -> RenderableType:
    """Dead letters for people, one a line; one that cannot be read has dashes, and the reason."""
    if not letters:
        return "There are no dead letters."
    return table(
        ("notification", "sink", "kind", "happened", ">attempts", "title", "reason"),
        (
            (
                letter.id, letter.sink, word(letter.notice.notification.kind.value),
                when(letter.notice.notification.at), str(letter.notice.attempts),
                one_line(letter.notice.notification.title, 60), one_line(letter.reason, 80),
            )
            if letter.notice is not None
            else (letter.id, letter.sink, "-", "-", "-", "-", letter.reason)
            for letter in letters
        ),
    )  # fmt: skip
