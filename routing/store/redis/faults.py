"""Redis's errors in our words: translated once, here, with what to do next."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
    NoScriptError,
    RedisError,
)

from routing.errors import CoalmineError, LockedOutError, StoreAwayError, StoreRefusedError

#: Our connections note here, on the driver's error, which server it was about.
PLACE_ATTRIBUTE = "coalmine_place"

#: And here, whether it was raised while they connected, so that no command was sent.
CONNECTING_ATTRIBUTE = "coalmine_connecting"

#: And here, whether another server may take the place of that one, and serve others already.
FAILOVER_ATTRIBUTE = "coalmine_failover"

_LONGEST_DETAIL = 300
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class _Fault(NamedTuple):
    """What a code of the server means."""

    happened: str  # completes "Redis …"
    remedy: str  # what to do next


#: A step of the store has several keys, and a cluster carries out a step on one node alone.
_ONE_NODE = (
    "write the namespace in braces, which keeps its keys together (COALMINE_NAMESPACE={coalmine}), and let "
    "COALMINE_REDIS_URL name the node that has them: it is the one that no longer says this"
)

# By the code with which the server's answer begins.
_FAULTS = {
    "OOM": _Fault(
        "is full: it has reached its maxmemory and evicts nothing",
        "raise maxmemory (CONFIG SET maxmemory …) or shorten the retention of finished jobs",
    ),
    "READONLY": _Fault(
        "is a read-only replica",
        "let COALMINE_REDIS_URL name the master, or use sentinel:// so that it is found",
    ),
    "MISCONF": _Fault(
        "refuses writes because it cannot save its data",
        "look for a full disk or wrong permissions in the server's log, and fix it",
    ),
    "LOADING": _Fault("is still reading its data after a start", "try again in a moment"),
    "MASTERDOWN": _Fault("is a replica without its master", "wait for the failover or start the master"),
    "NOREPLICAS": _Fault("has fewer replicas than it wants for a write", "start its replicas"),
    "CLUSTERDOWN": _Fault("is a cluster, and down", "see CLUSTER INFO, and start its nodes"),
    "MOVED": _Fault("is a node of a cluster, and the fleet's keys are on another one", _ONE_NODE),
    "ASK": _Fault("is a node of a cluster, and the fleet's keys are moving to another one", _ONE_NODE),
    "CROSSSLOT": _Fault("is a cluster, and the fleet's keys are on several of its nodes", _ONE_NODE),
    "BUSY": _Fault("is busy with a script that does not end", "see SLOWLOG, then SCRIPT KILL"),
}
#: What a server says that is not, or no longer, the one that others write to.
_SET_ASIDE = frozenset({"READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "MOVED", "ASK", "CROSSSLOT"})

# At the beginning, after the name of a pipeline's command, or within a script's error on Redis 6.2.
_CODE = re.compile(rf"(?:^|caused error: |: -)({'|'.join(_FAULTS)})\b")
_UNREACHABLE = _Fault(
    "does not answer",
    "see that it runs and that COALMINE_REDIS_URL is right (coalmine doctor), then try again",
)
_RESTARTED = _Fault("has forgotten our scripts: it was restarted, or flushed", "try again")
_CREDENTIALS = (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
)


@contextmanager
def redis_errors(doing: str) -> Iterator[None]:
    """Around calls of Redis, or as a decorator: its errors leave as ours, with `doing` and where it was.

    An answer about our own scripts or arguments is a fault of ours: it passes unchanged.
    """
    try:
        yield
    except RedisError as error:
        translated = translate(error, doing=doing, where=getattr(error, PLACE_ATTRIBUTE, ""))
        if translated is None:
            raise
        raise translated from error


def translate(error: RedisError, *, doing: str, where: str = "") -> CoalmineError | None:
    """Our error for the driver's; None when the driver's is not about the server's state."""
    said = _UNPRINTABLE.sub(" ", str(error)).strip()[:_LONGEST_DETAIL]
    who = f"Redis at {where}" if where else "Redis"
    if isinstance(error, _CREDENTIALS):
        message = (
            f"{doing} failed: {who} does not accept the user or password of COALMINE_REDIS_URL, or does not "
            f"let that user do this ({said}): correct the URL's credentials or the server's ACL"
        )
        return LockedOutError(message)
    code = _code(error, said)
    fault = _fault(error, code)
    if fault is None:
        return None
    kind = StoreRefusedError if _serves_nobody(error, code, fault) else StoreAwayError
    return kind(f"{doing} failed: {who} {fault.happened} ({said}): {fault.remedy}")


def _code(error: RedisError, said: str) -> str:
    code = error.status_code or ""
    if code not in _FAULTS and (found := _CODE.search(said)):
        code = found[1]
    return code


def _fault(error: RedisError, code: str) -> _Fault | None:
    if isinstance(error, NoScriptError):  # among several calls: the text was sent before the first
        return _RESTARTED
    if code in _FAULTS:
        return _FAULTS[code]
    return _UNREACHABLE if isinstance(error, (redis.ConnectionError, redis.TimeoutError)) else None


def _serves_nobody(error: RedisError, code: str, fault: _Fault) -> bool:
    """Whether nobody else can have been served meanwhile, by this server or by another in its place."""
    if getattr(error, FAILOVER_ATTRIBUTE, False) or code in _SET_ASIDE:
        return False
    return fault is not _UNREACHABLE or _nobody_listens(error)


def _nobody_listens(error: RedisError) -> bool:
    """Whether we were turned away when we connected, rather than not answered.

    By the system, or by a proxy whose server is down.
    """
    if getattr(error, CONNECTING_ATTRIBUTE, False) and "closed by server" in str(error):
        return True
    kinds: tuple[type[OSError], ...] = (ConnectionRefusedError, FileNotFoundError)
    if getattr(error, CONNECTING_ATTRIBUTE, False):
        kinds += (ConnectionResetError, BrokenPipeError)
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
