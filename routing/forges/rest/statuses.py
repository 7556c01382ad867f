"""Commit statuses of a forge that is reached over HTTP.

GitHub: https://docs.github.com/rest/commits/statuses. Gitea's API has the same under other words; `wire.py`
takes both.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from routing.forges.commit_status import CommitStatus, StatusState
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.wire import WireStatus

#: What the words mean. Gitea merges with neither `warning` nor `failure`.
STATES: Mapping[str, StatusState] = {
    "success": StatusState.SUCCESS,
    "pending": StatusState.PENDING,
    "failure": StatusState.FAILURE,
    "warning": StatusState.FAILURE,
    "error": StatusState.ERROR,
    "skipped": StatusState.NEUTRAL,
}


def read_statuses(client: ForgeClient, path: str, *, under: str = "") -> list[CommitStatus]:
    """Read all statuses that a path lists, in the order of the forge.

    `under` names the member that holds them, where the answer is an object. A state that we do not know
    counts as pending: waiting is repaired by time, a wrong verdict is not. A cut listing is
    ForgeUnreachableError, as the red status may be on the page that is missing.
    """
    wires = client.parsed_all(WireStatus, client.read_all(path, under=under))
    return [
        CommitStatus(
            context=wire.context or "default",
            state=STATES.get(wire.state, StatusState.PENDING),  # unknown: wait
            description=wire.description,
            url=wire.target_url,
            at=wire.updated_at or wire.created_at or datetime.fromtimestamp(0, UTC),
        )
        for wire in wires
    ]
