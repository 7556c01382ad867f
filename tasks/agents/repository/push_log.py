"""What an agent pushed by itself, as git noted it in the tree. Read as a file: no git of ours runs there."""

from pathlib import Path

from routing.errors import CorruptRecordError
from routing.forges.local.durable_file import read_regular

#: More is not read of a log of pushes; an agent that wrote more is not believed.
_MAX_BYTES = 4 * 1024 * 1024

_PUSHED = b"update by push"


def pushed_commits(tree: Path, branch: str) -> frozenset[str]:
    """The commits that were pushed from the tree to a branch of its origin.

    Commits that came by a fetch are not among them: those are somebody else's.
    """
    try:
        content, _ = read_regular(
            tree / ".git" / "logs" / "refs" / "remotes" / "origin" / branch, max_bytes=_MAX_BYTES
        )
    except (OSError, CorruptRecordError):  # no push, or a repository that the agent has broken
        return frozenset()
    entries = (line.partition(b"\t") for line in content.splitlines())
    return frozenset(
        words[1].decode("ascii", "replace")
        for head, _, message in entries
        if message == _PUSHED and len(words := head.split()) > 1  # OLD NEW NAME EMAIL TIME ZONE
    )
