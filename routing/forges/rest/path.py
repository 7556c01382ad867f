"""Paths of a forge's API, made of checked parts only.

Names come from issues, deliveries and settings. A `..` or a `?` in one of them would lead the token to
another thing than was asked for, so whatever is not plainly a name is refused before it is sent.
"""

import re
from collections.abc import Callable
from urllib.parse import quote

from routing.forges.errors import ForgeGoneError, ForgeInvalidError
from routing.issues.issue import is_repository_name

#: What a path in a repository begins with.
_IN_REPOSITORY = re.compile(r"/repos/([^/?]+/[^/?]+)")


def path_under(path: str, called: Callable[[str], str]) -> str:
    """The path with the name that `called` gives for the repository in it; any other stays as it is."""
    found = _IN_REPOSITORY.match(path)
    return path if found is None else f"{repository_path(called(found[1]))}{path[found.end() :]}"


def repository_path(repo: str) -> str:
    """The path of `owner/name`; see `repository_name`."""
    return f"/repos/{repository_name(repo)}"


def repository_name(repo: str, *, nested: bool = False) -> str:
    """The name itself, once it is known to be one; `nested`: its owner may be a group within groups.

    ForgeInvalidError for what cannot be a name anywhere, ForgeGoneError for a name that this kind of forge
    cannot have, such as the local forge's.
    """
    if not is_repository_name(repo):
        message = f"{repo[:80]!r} is not the name of a repository; write OWNER/NAME"
        raise ForgeInvalidError(message)
    if "/" not in repo or (repo.count("/") > 1 and not nested):
        message = f"there is no repository {repo!r} here; this forge's are called OWNER/NAME"
        raise ForgeGoneError(message)
    return repo


def path_segment(text: str) -> str:
    """Text from outside as one segment of a path; what a client would fold into another path is refused."""
    if text in {"", ".", ".."} or not text.isprintable():
        message = f"{text[:80]!r} cannot be a name here"
        raise ForgeInvalidError(message)
    return quote(text, safe="")
