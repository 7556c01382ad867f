"""GitLab's merge train: it judges what a merge makes of the branch, so its word is better than ours.

https://docs.gitlab.com/api/merge_trains/. A project says that it has one; a request that is not on it may
have been taken off, which is among the notes that GitLab writes under it. Of what the train did by itself the
author is the user who had put the request onto it.
"""

from collections.abc import Callable
from datetime import datetime

from routing.forges.errors import (
    ForgeDequeuedError,
    ForgeGoneError,
    ForgeQueuedError,
    ForgeRefusedError,
    ForgeTakenOutError,
)
from routing.forges.gitlab.discussions import WireHead, WireRemark
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.wire import Text, Wire
from routing.printable import printable

#: What GitLab notes: that a request came onto a train, and that it was taken off, by a person or by itself.
_BOARDED = ("started a merge train", "added this merge request to the merge train")
_LEFT = ("removed this merge request from the merge train", "aborted this merge request from the merge train")

#: What follows when the train did so by itself.
_REASON = " because "

#: The reason of a push to its branch, which says nothing against the work.
_PUSHED = "source branch was updated"

#: States of a place on the train that is over.
_OVER = frozenset({"merged", "skip_merged"})

#: Statuses with which GitLab says that a request cannot come onto the train, or be taken off it.
_REFUSED = frozenset({400, 405, 406, 409, 422})


class WireCar(Wire):
    """A request's place on the train."""

    status: Text = ""


def board(
    client: ForgeClient, project: str, number: int, head: str, *, squash: bool, own_login: Callable[[], str]
) -> ForgeQueuedError:
    """Put a request onto the train at exactly its head, once; returns its place there, to be raised.

    ForgeTakenOutError when a person took it off, whatever was pushed since; ForgeDequeuedError when the train
    did, unless it has another commit since; ForgeRefusedError when it is not taken. One that we took off
    ourselves, as its job was cancelled, is put onto it again.
    """
    status = _status(client, project, number)
    if status is None:
        _look_at_last(client, project, number, head, own_login)
        asked = {"sha": head, "squash": squash}
        path = f"{project}/merge_trains/merge_requests/{number}"
        client.write("POST", path, asked, repeatable=False, refused=_REFUSED)
        status = _status(client, project, number) or ""
    return ForgeQueuedError(
        f"merge request {number} is on the merge train ({status or 'begun'})", place=status
    )


def why_off(client: ForgeClient, project: str, number: int, head: str) -> str:
    """Why the train took a request off by itself; "" unless it did, and no other commit came since."""
    last = _last_move(client, project, number)
    is_off = last is not None and last.body.startswith(_LEFT)
    return _by_itself(client, project, number, head, last) if last is not None and is_off else ""


def leave(client: ForgeClient, project: str, number: int) -> None:
    """Take a request off the train, if it is on it; ForgeRefusedError when it stays there."""
    if _status(client, project, number) is None:
        return
    path = f"{project}/merge_requests/{number}/cancel_merge_when_pipeline_succeeds"
    try:
        client.write("POST", path, repeatable=True, refused=_REFUSED)
    except ForgeRefusedError:
        if _status(client, project, number) is not None:
            raise


def _status(client: ForgeClient, project: str, number: int) -> str | None:
    """Where on the train it is; None when it is not, or there is no train."""
    try:
        car = client.parsed(WireCar, client.get(f"{project}/merge_trains/merge_requests/{number}"))
    except (ForgeGoneError, ForgeRefusedError):
        return None
    return None if car.status in _OVER else car.status


def _look_at_last(
    client: ForgeClient, project: str, number: int, head: str, own_login: Callable[[], str]
) -> None:
    """Raise why a request that was taken off the train is not to be put onto it again."""
    last = _last_move(client, project, number)
    if last is None or last.body.startswith(_BOARDED):
        return
    if _REASON not in last.body and last.user.casefold() != own_login().casefold():
        message = f"{last.user or 'somebody'} took merge request {number} off the merge train"
        raise ForgeTakenOutError(printable(f"{message}; put it back if it is to be merged"))
    why = _by_itself(client, project, number, head, last)
    if why:
        raise ForgeDequeuedError(why)


def _by_itself(client: ForgeClient, project: str, number: int, head: str, last: WireRemark) -> str:
    """Why the train took a request off by itself, by its last move; "" unless it did, at this head."""
    _, by_itself, why = last.body.partition(_REASON)
    if not by_itself or _PUSHED in why or _was_pushed(client, project, number, head, since=last.created_at):
        return ""
    return printable(f"the merge train took merge request {number} off, because {why}")


def _was_pushed(client: ForgeClient, project: str, number: int, head: str, *, since: datetime) -> bool:
    """Whether its branch came to the commit since a time, by the server's clock."""
    listing = client.read_all(f"{project}/merge_requests/{number}/versions")
    heads = client.parsed_all(WireHead, listing)
    return any(one.head_commit_sha == head and one.created_at >= since for one in heads)


def _last_move(client: ForgeClient, project: str, number: int) -> WireRemark | None:
    """GitLab's note that it came onto the train, or left it, the newest; None for neither."""
    asked = {"order_by": "created_at", "sort": "desc"}
    path = f"{project}/merge_requests/{number}/notes"

    def tells(page: list[object]) -> bool:
        return any(_is_move(client.parsed(WireRemark, item)) for item in page)

    listing = client.read_all(path, asked, enough=tells)
    for item in listing.items:
        note = client.parsed(WireRemark, item)
        if _is_move(note):
            return note
    if not listing.complete:
        message = (
            f"merge request {number} has more notes than are read, and whether the train took it off is "
            "not among the newest; put it onto the train by hand, or raise limits.max_pages"
        )
        raise ForgeRefusedError(message)
    return None


def _is_move(note: WireRemark) -> bool:
    """Whether GitLab says that a request came onto the train, or left it; anybody can write these words."""
    return note.system and note.body.startswith(_BOARDED + _LEFT)
