"""GitLab's merge train: it judges what a merge makes of the branch, so its word is better than ours.

https://docs.gitlab.com/api/merge_trains/. A project says that it has one; a request that is not on it may
have been taken off, which is among the notes that GitLab writes under it.
"""

from collections.abc import Callable

from routing.forges.errors import (
    ForgeGoneError,
    ForgeQueuedError,
    ForgeRefusedError,
    ForgeTakenOutError,
)
from routing.forges.gitlab.wire import GitLabNote
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.wire import Text, Wire

#: What GitLab notes: that a request came onto a train, and that it was taken off, by a person or by itself.
_BOARDED = ("started a merge train", "added this merge request to the merge train")
_LEFT = ("removed this merge request from the merge train", "aborted this merge request from the merge train")

#: What follows when the train did so by itself.
_REASON = " because "

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

    ForgeTakenOutError when a person took it off, ForgeRefusedError when the train did, or it is not taken: a
    person sees why. One that we took off ourselves, as its job was cancelled, is put onto it again.
    """
    status = _status(client, project, number)
    if status is None:
        why, by = _last_move(client, project, number)
        if why and by.casefold() != own_login().casefold():
            message = f"the merge train took merge request {number} off: {why}; see to that, then put it back"
            raise (ForgeRefusedError if _REASON in why else ForgeTakenOutError)(message)
        asked = {"sha": head, "squash": squash}
        path = f"{project}/merge_trains/merge_requests/{number}"
        client.write("POST", path, asked, repeatable=False, refused=_REFUSED)
        status = _status(client, project, number) or ""
    return ForgeQueuedError(
        f"merge request {number} is on the merge train ({status or 'begun'})", place=status
    )


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


def _last_move(client: ForgeClient, project: str, number: int) -> tuple[str, str]:
    """With what words it was taken off, and by whom; "" when it was not, or came onto it again since."""
    asked = {"order_by": "created_at", "sort": "desc"}
    path = f"{project}/merge_requests/{number}/notes"

    def tells(page: list[object]) -> bool:
        return any(_is_move(client.parsed(GitLabNote, item)) for item in page)

    listing = client.read_all(path, asked, enough=tells)
    for item in listing.items:
        note = client.parsed(GitLabNote, item)
        if _is_move(note):
            return ("", "") if note.body.startswith(_BOARDED) else (note.body, note.user)
    if not listing.complete:
        message = (
            f"merge request {number} has more notes than are read, and whether the train took it off is "
            "not among the newest; put it onto the train by hand, or raise limits.max_pages"
        )
        raise ForgeRefusedError(message)
    return "", ""


def _is_move(note: GitLabNote) -> bool:
    """Whether GitLab says that a request came onto the train, or left it; anybody can write these words."""
    return note.system and note.body.startswith(_BOARDED + _LEFT)
