"""GitHub's merge queue: it judges what a merge makes of the branch, so its word is better than ours.

https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository. A branch says by its
rules that it has one; what became of a pull request in it is among the events of its issue. Only GraphQL puts
one in: https://docs.github.com/graphql/reference/mutations#enqueuepullrequest.
"""

from collections.abc import Mapping
from typing import Any, Final

from routing.forges.errors import ForgeError, ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Items, Text, Wire

#: Words of the refusal of a merge that must go through the queue.
THROUGH_THE_QUEUE: Final = "merge queue"

_ADDED, _REMOVED = "added_to_merge_queue", "removed_from_merge_queue"

_ENQUEUE = (
    "mutation($pull: ID!, $head: GitObjectID!) { enqueuePullRequest(input: {pullRequestId: $pull, "
    "expectedHeadOid: $head}) { mergeQueueEntry { position } } }"
)


class WireQueueEvent(Wire):
    """Something that happened to a pull request."""

    event: Text = ""


class WirePullNode(Wire):
    """A pull request by the id that GraphQL knows it by."""

    node_id: Text = ""


class WireGraphError(Wire):
    """Why GraphQL did not do what was asked, in words."""

    message: Text = ""


class WireGraphAnswer(Wire):
    """An answer of GraphQL: its refusals come with status 200."""

    errors: Items[WireGraphError] = ()


def has_merge_queue(client: ForgeClient, repo: str, branch: str) -> bool:
    """Whether the branch is merged into by a queue; what is not shown counts as no."""
    try:
        listing = client.read_all(f"{repository_path(repo)}/rules/branches/{path_segment(branch)}")
    except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError):
        return False
    return any(_type_of(item) == "merge_queue" for item in listing.items)


def enqueue(client: ForgeClient, repo: str, number: int, head: str) -> None:
    """Put a pull request into the queue at exactly its head, once.

    Nothing is done when it is there. ForgeRefusedError when the queue took it out, or does not take it: a
    person sees why.
    """
    path = repository_path(repo)
    listing = client.read_all(f"{path}/issues/{int(number)}/events")
    events = [one.event for one in client.parsed_all(WireQueueEvent, listing)]
    last = next((event for event in reversed(events) if event in {_ADDED, _REMOVED}), "")
    if last == _ADDED:
        return
    if last == _REMOVED:
        message = f"the merge queue took pull request {number} of {repo} out; see why, then put it back"
        raise ForgeRefusedError(message)
    pull = client.parsed(WirePullNode, client.get(f"{path}/pulls/{int(number)}"))
    asked = {"query": _ENQUEUE, "variables": {"pull": pull.node_id, "head": head}}
    try:
        said = client.parsed(WireGraphAnswer, client.write("POST", "/graphql", asked, repeatable=False))
    except (ForgeGoneError, ForgeInvalidError) as error:  # a server of one's own has it elsewhere
        raise _not_taken(number, error) from error
    if said.errors:
        raise _not_taken(number, said.errors[0].message)


def _not_taken(number: int, why: ForgeError | str) -> ForgeRefusedError:
    return ForgeRefusedError(f"pull request {number} was not put into the merge queue, do it by hand: {why}")


def _type_of(item: Any) -> Any:
    return item.get("type") if isinstance(item, Mapping) else None
