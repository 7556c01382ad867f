"""GitHub's merge queue: it judges what a merge makes of the branch, so its word is better than ours.

https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository. A branch says by its
rules that it has one; what became of a pull request in it is among the events of its issue. Only GraphQL puts
one in, or takes it out: https://docs.github.com/graphql/reference/mutations#enqueuepullrequest.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import AliasPath, AwareDatetime, Field

from routing.forges.errors import (
    ForgeDequeuedError,
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeQueuedError,
    ForgeRefusedError,
    ForgeTakenOutError,
)
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Items, Login, Text, Wire
from routing.printable import printable

#: Words of the refusal of a merge that must go through the queue.
THROUGH_THE_QUEUE: Final = "merge queue"

_ADDED, _REMOVED = "added_to_merge_queue", "removed_from_merge_queue"

_ENQUEUE = (
    "mutation($pull: ID!, $head: GitObjectID!) { enqueuePullRequest(input: {pullRequestId: $pull, "
    "expectedHeadOid: $head}) { mergeQueueEntry { position } } }"
)
_DEQUEUE = "mutation($pull: ID!) { dequeuePullRequest(input: {id: $pull}) { mergeQueueEntry { position } } }"
_PLACE = "query($pull: ID!) { node(id: $pull) { ... on PullRequest { mergeQueueEntry { position state } } } }"


#: How logins of programs end: the queue is one.
_PROGRAM = "[bot]"


class WireQueueEvent(Wire):
    """Something that happened to a pull request."""

    event: Text = ""
    actor: Login = ""
    created_at: AwareDatetime


class WirePullNode(Wire):
    """A pull request by the id that GraphQL knows it by."""

    node_id: Text = ""
    branch: Text = Field("", validation_alias=AliasPath("head", "ref"))


class WirePush(Wire):
    """When a branch came to a commit, by the server's clock: commits have any times, as their authors say."""

    after: Text = ""
    timestamp: AwareDatetime


class WireGraphError(Wire):
    """Why GraphQL did not do what was asked, in words."""

    message: Text = ""


class WireQueueEntry(Wire):
    """A place in the queue, and what is done there, in GitHub's word."""

    position: int = 0
    state: Text = ""


class WireQueued(Wire):
    """A pull request with its place in the queue."""

    entry: WireQueueEntry | None = Field(None, validation_alias="mergeQueueEntry")


class WireGraphData(Wire):
    """What a query found."""

    node: WireQueued | None = None


class WireGraphAnswer(Wire):
    """An answer of GraphQL: its refusals come with status 200."""

    errors: Items[WireGraphError] = ()
    data: WireGraphData | None = None

    @property
    def refusal(self) -> str:
        """Its words, "" for none."""
        return self.errors[0].message or "no reason was given" if self.errors else ""


def has_merge_queue(client: ForgeClient, repo: str, branch: str) -> bool:
    """Whether the branch is merged into by a queue; what is not shown counts as no."""
    try:
        listing = client.read_all(f"{repository_path(repo)}/rules/branches/{path_segment(branch)}")
    except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError):
        return False
    return any(_type_of(item) == "merge_queue" for item in listing.items)


def enqueue(
    client: ForgeClient, repo: str, number: int, head: str, *, own_login: Callable[[], str]
) -> ForgeQueuedError:
    """Put a pull request into the queue at exactly its head, once; returns its place there, to be raised.

    ForgeTakenOutError when a person took it out, whatever was pushed since; ForgeDequeuedError when the queue
    did, unless it has another commit since; ForgeRefusedError when it is not taken. One that we took out
    ourselves, as its job was cancelled, goes in again.
    """
    last = _last_move(client, repo, number)
    by = last.actor if last else ""
    is_out = last is not None and last.event == _REMOVED and by.casefold() != own_login().casefold()
    if is_out and not by.endswith(_PROGRAM):
        message = f"{by or 'somebody'} took pull request {number} of {repo} out of the merge queue"
        raise ForgeTakenOutError(printable(f"{message}; put it back if it is to be merged"))
    if last is not None and is_out and not _was_pushed(client, repo, number, head, since=last.created_at):
        message = f"the merge queue took pull request {number} of {repo} out; see why, then put it back"
        raise ForgeDequeuedError(message)
    if last is None or last.event != _ADDED:
        try:
            said = _ask(client, repo, number, _ENQUEUE, head=head)
        except (ForgeGoneError, ForgeInvalidError) as error:  # a server of one's own has it elsewhere
            raise _not_taken(number, error) from error
        if said.refusal:
            raise _not_taken(number, said.refusal)
    message = f"pull request {number} of {repo} is in the merge queue"
    place = _place(client, repo, number)
    return ForgeQueuedError(f"{message} ({place})" if place else message, place=place)


def why_out(client: ForgeClient, repo: str, number: int, head: str) -> str:
    """Why the queue took a pull request out by itself; "" unless it did, and no other commit came since."""
    last = _last_move(client, repo, number)
    if last is None or last.event != _REMOVED or not last.actor.endswith(_PROGRAM):
        return ""
    if _was_pushed(client, repo, number, head, since=last.created_at):
        return ""
    return f"the merge queue took pull request {number} of {repo} out; see why, then put it back"


def dequeue(client: ForgeClient, repo: str, number: int) -> None:
    """Take a pull request out of the queue, if it is in it; ForgeRefusedError when it stays there."""
    last = _last_move(client, repo, number)
    if last is None or last.event != _ADDED:
        return
    said = _ask(client, repo, number, _DEQUEUE)
    if said.refusal and _place(client, repo, number):
        message = f"pull request {number} of {repo} was not taken out of the merge queue: {said.refusal}"
        raise ForgeRefusedError(message)


def _last_move(client: ForgeClient, repo: str, number: int) -> WireQueueEvent | None:
    """When it was last put into the queue, or taken out, and by whom; None for neither."""
    listing = client.read_all(f"{repository_path(repo)}/issues/{int(number)}/events")
    events = client.parsed_all(WireQueueEvent, listing)
    moves = [one for one in events if one.event in {_ADDED, _REMOVED}]
    moves.sort(key=lambda one: one.created_at)  # of two in one second the later one stays last
    return moves[-1] if moves else None


def _was_pushed(client: ForgeClient, repo: str, number: int, head: str, *, since: datetime) -> bool:
    """Whether its branch came to the commit since a time; False where that is not shown.

    A repository's activity has the times of pushes. A timeline is in the order of what commits say of
    themselves.
    """
    try:
        branch = _pull(client, repo, number).branch
        asked = {"ref": branch, "direction": "desc"}
        listing = client.read_all(f"{repository_path(repo)}/activity", asked, enough=lambda _page: True)
    except (ForgeGoneError, ForgeInvalidError, ForgeRefusedError):
        return False
    pushes = [client.parsed(WirePush, item) for item in listing.items]
    return any(one.after == head and one.timestamp >= since for one in pushes)


def _place(client: ForgeClient, repo: str, number: int) -> str:
    """Where in the queue it is, "" where that is not known; that makes nobody wait less."""
    try:
        said = _ask(client, repo, number, _PLACE)
    except (ForgeGoneError, ForgeInvalidError, ForgeRefusedError):
        return ""
    entry = said.data.node.entry if said.data and said.data.node else None
    return f"place {entry.position}, {entry.state.lower()}" if entry else ""


def _ask(client: ForgeClient, repo: str, number: int, query: str, **variables: str) -> WireGraphAnswer:
    """Ask GraphQL about a pull request; a query may be repeated, what changes something may not."""
    node = _pull(client, repo, number).node_id
    asked = {"query": query, "variables": {"pull": node, **variables}}
    said = client.write("POST", "/graphql", asked, repeatable=query == _PLACE)
    return client.parsed(WireGraphAnswer, said)


def _pull(client: ForgeClient, repo: str, number: int) -> WirePullNode:
    return client.parsed(WirePullNode, client.get(f"{repository_path(repo)}/pulls/{int(number)}"))


def _not_taken(number: int, why: ForgeError | str) -> ForgeRefusedError:
    return ForgeRefusedError(f"pull request {number} was not put into the merge queue, do it by hand: {why}")


def _type_of(item: Any) -> Any:
    return item.get("type") if isinstance(item, Mapping) else None
