"""The branch that work is merged into, where a forge is reached over HTTP."""

from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import repository_path
from routing.forges.rest.wire import WireRepository
from routing.forges.written_text import checked_name


def default_branch(client: ForgeClient, repo: str) -> str:
    """The forge's default branch, asked each time as it may be changed."""
    wire = client.get(repository_path(repo))
    return checked_name(client.parsed(WireRepository, wire).default_branch)
