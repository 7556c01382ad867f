"""Branches and commits that carry an agent's work: their names are checked before a forge or git sees them.

Only a checked name becomes part of a path, of an address or of a command line of git.
"""

import re

from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.errors import ForgeInvalidError, ForgeRefusedError

#: Branches that hold Coalmine's work begin so.
WORK_PREFIX = "coalmine/"

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")


def checked_commit(text: str) -> str:
    """Return the full commit hash (SHA-1 or SHA-256), or raise ForgeInvalidError."""
    if not _COMMIT.fullmatch(text):
        message = f"{text[:80]!r} is not a commit; give the whole hash, as `git rev-parse` prints it"
        raise ForgeInvalidError(message)
    return text


def checked_branch(text: str) -> str:
    """Return the branch's name, or raise ForgeInvalidError."""
    if not _BRANCH.fullmatch(text) or ".." in text or "//" in text or text.endswith(("/", ".", ".lock")):
        message = f"{text[:80]!r} is not the name of a branch; work branches are called {WORK_PREFIX}JOB"
        raise ForgeInvalidError(message)
    return text


def branch_to_delete(change: ChangeRequest) -> str:
    """The branch of a change, if its work is done with; ForgeRefusedError when it is to be kept."""
    if not change.branch.startswith(WORK_PREFIX):
        why = f"it is not a branch of ours ({WORK_PREFIX}JOB)"
    elif change.state is not ChangeState.MERGED:
        why = "its work is not merged"
    elif change.reverted_at is not None:
        why = "its work was taken back"
    else:
        return checked_branch(change.branch)
    message = f"the branch {change.branch[:80]!r} was not deleted: {why}"
    raise ForgeRefusedError(message)


def merge_message(branch: str, issue: str) -> str:
    """The message of a merge; its last line lets a revert be found by the issue's number."""
    if not issue:
        return f"Merge {branch}\n"
    return f"Merge {branch} for {issue}\n\nCoalmine-Issue: {issue}\n"
