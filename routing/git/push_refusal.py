"""Why a server refused a push: one pure table, from what git printed to a kind of refusal.

A refusal is an answer. The same commits get the same answer again, so they are not pushed a second time: the
agent repairs its branch, or a person decides. What passes by itself (a lost connection, a lock, a server in
maintenance) does not count as one, and a token that is refused is `RemoteRefusedError`'s subject.

A server's own words begin with `remote:`. They decide here, as nothing else says why; so the worst that a
wrong or forged word can do is a corrective turn, or a question to a person.
"""

import re
from enum import StrEnum

from routing.errors import ConflictError
from routing.printable import printable

#: Characters of a refusal that are kept: the end, where hooks say what to do.
SAID_CHARACTERS = 4000


class RefusalKind(StrEnum):
    """What the server said no to. The values are stored, and stand in reasons."""

    LARGE_FILE = "large file"  # a file, or the whole push, is larger than the server takes
    SECRET = "secret"  # noqa: S105 - what was found in the content, no secret
    PROTECTED_PATH = "protected path"  # a file that may not be changed by this push
    OBJECT = "bad object"  # an object that the server's checks refuse, or one that is missing
    RULE = "rule"  # a hook or a rule, by its own words
    PROTECTED_BRANCH = "protected branch"  # a rule for names of branches, or for who may push
    NAME_TAKEN = "branch name taken"  # another branch's name is a folder of this one's, or the other way
    READ_ONLY = "read-only repository"  # archived, a mirror, or full
    MOVED = "branch moved"  # somebody else has pushed to it
    UNRELATED = "unrelated history"  # the agent made the repository anew
    REWRITTEN = "rewritten branch"  # what the work began from was taken out of the branch that it goes to


#: What an agent can repair on its own branch. All else is for a person.
REPAIRABLE = frozenset(
    {
        RefusalKind.LARGE_FILE,
        RefusalKind.SECRET,
        RefusalKind.PROTECTED_PATH,
        RefusalKind.OBJECT,
        RefusalKind.RULE,
    }
)

#: Refusals that no version could have avoided.
NOT_THE_AGENTS = frozenset(
    {
        RefusalKind.PROTECTED_BRANCH,
        RefusalKind.NAME_TAKEN,
        RefusalKind.READ_ONLY,
        RefusalKind.REWRITTEN,
    }
)


class PushRefusedError(ConflictError):
    """Work was not taken: by the server, or by us before we asked it. Nothing was pushed."""

    def __init__(self, message: str, *, kind: RefusalKind, said: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.said = said or message  # the words of who refused, for an agent that is to repair it


#: Lines by which git, or a server, says that this push was refused and not merely lost.
_REFUSED = re.compile(
    r"^ ! \[(remote )?rejected\]|^(fatal|error): .*(HTTP|error:) 413\b"
    r"|^(remote: |ERROR: ).*(\barchived\b|\bread-?only\b|cannot push)",
    re.MULTILINE | re.IGNORECASE,
)

#: The table: the first row of which a word is found decides; None passes by itself. Rows that name a content
#: come before those that name a state of the server, as a file's name may hold any word.
_TABLE: tuple[tuple[RefusalKind | None, tuple[str, ...]], ...] = (
    (RefusalKind.LARGE_FILE, (
        r"GH001", r"large files? detected", r"larger than the (allowed|maximum)", r"(HTTP|error:) 413\b",
        r"exceeds\b.*(size|limit|\bMi?B\b)", r"would (cause it to )?exceed", r"pack exceeds",
        r"(file|files|push|blob)( \S+)? (is |are )?too (large|big)",
    )),
    (RefusalKind.SECRET, (
        r"push protection", r"secrets? ((was|were) )?(detected|found)", r"contain(s|ing)? (a )?secrets?\b",
        r"gitleaks", r"(private key|credentials?|password) ((was|were) )?(detected|found)",
    )),
    (RefusalKind.PROTECTED_PATH, (
        r"refusing to allow .*workflow", r"protected (file|path)", r"is protected from changing file",
        r"file ?(name|path)?s? .*(prohibited|restricted|not allowed|protected)",
        r"not allowed to (change|modify|edit) ",
    )),
    (RefusalKind.OBJECT, (
        r"fsck error", r"GH008", r"LFS objects", r"missing necessary objects", r"missing (tree|blob)",
        r"bad object", r"did not receive expected object",
    )),
    (None, (r"no space left on device", r"disk quota exceeded")),
    (RefusalKind.READ_ONLY, (
        r"\barchived\b", r"\bread-?only\b", r"quota (is )?exceeded",
        r"exceeded (its|the|your)\b.*(limit|quota)",
        r"(above|over) (its|the) size limit", r"shallow update not allowed",
        r"branch is currently checked out", r"hidden ref", r"insufficient permission for adding",
        r"unable to create temporary object directory",
    )),
    (RefusalKind.NAME_TAKEN, (
        r"' exists; cannot create '", r"directory.?file conflict", r"refname conflict",
        r"\(reference conflict",
    )),
    (RefusalKind.PROTECTED_BRANCH, (
        r"GH006", r"protected branch", r"creations? being restricted", r"not allowed to create",
        r"branch name .*(pattern|not allowed|does not follow|invalid)",
        r"must be made through a (pull|merge) request", r"prohibited by gerrit",
    )),
    (None, (
        r"\(stale info\)", r"\(fetch first\)", r"internal api", r"internal server error", r"maintenance mode",
        r"service unavailable", r"temporarily unavailable",
        r"unable to (write|lock|create temporary file)",
        r"\(failed to (update|lock)", r"cannot lock ref", r"\(unpacker error\)", r"hook timed out",
        r"too many requests", r"rate limit",
    )),
    (RefusalKind.MOVED, (r"\(non-fast-forward\)",)),
    (RefusalKind.RULE, (r"rejected\]",)),
)  # fmt: skip
_ROWS = tuple((kind, re.compile("|".join(words), re.IGNORECASE)) for kind, words in _TABLE)


def push_refusal(stderr: str) -> RefusalKind | None:
    """The kind of refusal that git printed for a push; None when it was none, or one that will pass."""
    if not _REFUSED.search(stderr):
        return None
    return next((kind for kind, pattern in _ROWS if pattern.search(stderr)), None)


def what_was_said(stderr: str) -> str:
    """The words of a refusal for an agent or a person: the end of what git printed, printable."""
    lines = (line.removeprefix("remote:").strip() for line in stderr.splitlines())
    return printable("\n".join(line for line in lines if line))[-SAID_CHARACTERS:]
