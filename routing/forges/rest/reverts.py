"""Reading from commit messages what takes what back: pure."""

import re
from collections.abc import Collection, Iterable

from routing.forges.change_request import Revert
from routing.forges.rest.wire import WireCommit

# What `git revert` writes.
_REVERTS_COMMIT = re.compile(r"^this reverts commit ([0-9a-f]{7,64})\b", re.IGNORECASE | re.MULTILINE)

# What the button of a forge writes: `Reverts owner/repo#12`.
_REVERTS_PULL = re.compile(
    r"^reverts (?P<repo>[\w.-]+/[\w.-]+)?[#!](?P<number>[0-9]{1,9})\b", re.IGNORECASE | re.MULTILINE
)

# How a commit names the pull request that it came by: merged or squashed, on GitHub or Gitea, or by us.
_CAME_BY = re.compile(
    r"\AMerge pull request #([0-9]{1,9})\b|\A[^\n]*\([#!]([0-9]{1,9})\)(?: from [^\n]*)?$"
    r"|^Coalmine-Issue: \S+#([0-9]{1,9})$",
    re.MULTILINE,
)


def numbers_in(message: str) -> frozenset[int]:
    """The pull requests and issues that a commit on the main branch says it belongs to."""
    return frozenset(int(number) for found in _CAME_BY.findall(message) for number in found if number)


def reverts_among(
    commits: Iterable[WireCommit], *, repo: str, wanted: Collection[str], numbers: Collection[int]
) -> tuple[Revert, ...]:
    """The commits that say they take back one of the wanted ones, or one of the numbers; oldest first."""
    found = [
        Revert(commit=one.sha, at=one.commit.committer.date)
        for one in commits
        if one.sha not in wanted and _reverts(one.commit.message, repo, wanted, numbers)
    ]
    return tuple(sorted(found, key=lambda revert: revert.at))


def _reverts(message: str, repo: str, wanted: Collection[str], numbers: Collection[int]) -> bool:
    named = [name.lower() for name in _REVERTS_COMMIT.findall(message)]
    if any(commit.startswith(name) for commit in wanted for name in named):
        return True
    return any(
        int(found["number"]) in numbers and (found["repo"] or repo).lower() == repo.lower()
        for found in _REVERTS_PULL.finditer(message)
    )
