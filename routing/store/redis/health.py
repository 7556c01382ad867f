"""What `coalmine doctor` asks of Redis, to see whether it is fit to be the system of record.

`judge` is pure; `look_at` asks the server and writes nothing.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import redis

from routing.embedded.server_program import MINIMUM_VERSION
from routing.store.redis.faults import redis_errors

#: From this part of maxmemory on there is little headroom left.
MEMORY_WARNING_SHARE = 0.8
MEMORY_PROBLEM_SHARE = 0.95

#: Clocks that differ by more than this make times in logs and pages misleading; leases use the server's.
CLOCK_WARNING_SECONDS = 2.0
CLOCK_PROBLEM_SECONDS = 60.0

#: What to do about a wrong clock.
CLOCK_REMEDY = "let NTP set the clocks of both machines (timedatectl set-ntp true)"

_ASKED_SETTINGS = ("appendfsync",)


class Status(StrEnum):
    """How bad a finding is, mildest first."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthFinding:
    """What one check found."""

    check: str  # the check's name, stable for scripts
    status: Status
    message: str  # what is the case
    remedy: str = ""  # what to do about it; empty when all is well


class ServerFacts(NamedTuple):
    """What a server says about itself."""

    info: Mapping[str, Any] | None  # the answer to INFO; None: not allowed
    hello: Mapping[str, Any]  # the answer to HELLO in place of INFO; empty where that was answered
    settings: Mapping[str | None, str | None] | None  # the answer to CONFIG GET; None: not allowed
    server_time: float  # the server's clock, seconds since the epoch
    our_time: float  # our clock at the same moment, seconds since the epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryUse:
    """How much memory a server uses, in bytes."""

    used_bytes: int
    limit_bytes: int  # 0: none


def memory_use(client: redis.Redis) -> MemoryUse | None:
    """Ask the server; None where it does not say, as on a shared server that forbids INFO."""
    with redis_errors("asking for the server's memory"):
        try:
            info: Mapping[str, Any] = client.info("memory")
        except redis.ResponseError:
            return None
    if "used_memory" not in info:
        return None
    return MemoryUse(used_bytes=_number(info["used_memory"]), limit_bytes=_number(info.get("maxmemory", 0)))


def look_at(client: redis.Redis, clock: Callable[[], float]) -> list[HealthFinding]:
    """Ask the server, then judge its answers."""
    with redis_errors("examining Redis"):
        client.ping()  # a server that is away, or does not let us in, says so here
        info: Mapping[str, Any] | None = None
        hello: Mapping[str, Any] = {}
        settings: Mapping[str | None, str | None] | None = None
        # Shared servers and managed services forbid INFO and CONFIG; what they do not say stays unknown.
        with contextlib.suppress(redis.ResponseError):
            info = client.info()
        if info is None:
            with contextlib.suppress(redis.ResponseError):
                hello = _pairs(client.execute_command("HELLO"))  # type: ignore[no-untyped-call] # theirs
        with contextlib.suppress(redis.ResponseError):
            settings = client.config_get(*_ASKED_SETTINGS)
        before = clock()
        seconds, microseconds = client.time()
        after = clock()
    # The answer was written somewhere between the question and its arrival: take the middle.
    return judge(ServerFacts(info, hello, settings, seconds + microseconds / 1e6, (before + after) / 2))


def judge(facts: ServerFacts) -> list[HealthFinding]:
    """All findings, in the order in which a person should fix them.

    A user who may not ask INFO learns version and role all the same, and of the rest that it is unknown.
    """
    if facts.info is None:
        role = "slave" if facts.hello.get("role") in {"slave", "replica"} else "master"
        said = facts._replace(info={"redis_version": facts.hello.get("version", ""), "role": role})
        return [_version(said), _role(said), _unknown(), _clock(said)]
    checks = (
        _version,
        _role,
        _append_only,
        _append_fsync,
        _append_write,
        _eviction,
        _memory,
        _clock,
    )
    found = [check(facts) for check in checks]
    return [*found, _cluster()] if _number(_info(facts).get("cluster_enabled")) else found


def _unknown() -> HealthFinding:
    return HealthFinding(
        check="redis-info",
        status=Status.WARNING,
        message="this user may not ask for INFO, so append-only file, eviction and memory are unknown",
        remedy="ask those who run the server to see that appendonly is yes and maxmemory-policy noeviction",
    )


def _pairs(answer: Any) -> Mapping[str, Any]:
    """The answer to HELLO, which comes as a list from RESP2."""
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items()}
    return dict(zip(map(str, answer[::2]), answer[1::2], strict=False))


def _info(facts: ServerFacts) -> Mapping[str, Any]:
    return facts.info or {}


def _version(facts: ServerFacts) -> HealthFinding:
    said = str(_info(facts).get("redis_version", ""))
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    product = f"Redis {said or 'of unknown version'}"
    if valkey := _info(facts).get("valkey_version"):
        product = f"Valkey {valkey} (as Redis {said})"
    if version >= MINIMUM_VERSION:
        return _ok("redis-version", product)
    return _problem("redis-version", f"{product} is too old", "install Redis 6.2 or newer, or Valkey")


def _role(facts: ServerFacts) -> HealthFinding:
    if _info(facts).get("role") != "slave":
        return _ok("redis-role", "the server is the master")
    master = f"{_info(facts).get('master_host', '?')}:{_info(facts).get('master_port', '?')}"
    return _problem(
        "redis-role",
        f"the server is a read-only replica of {master}",
        "let COALMINE_REDIS_URL name the master, or use sentinel:// so that it is found",
    )


def _append_only(facts: ServerFacts) -> HealthFinding:
    if _number(_info(facts).get("aof_enabled")):
        return _ok("redis-append-only-file", "every write is kept in the append-only file")
    return _problem(
        "redis-append-only-file",
        "the append-only file is off: a restart of Redis loses jobs and evidence",
        "CONFIG SET appendonly yes, and set it in redis.conf",
    )


def _append_fsync(facts: ServerFacts) -> HealthFinding:
    check = "redis-appendfsync"
    value = (facts.settings or {}).get("appendfsync")
    remedy = "CONFIG SET appendfsync everysec (or always), and set it in redis.conf"
    match value:
        case "always":
            return _ok(check, "every write is on the disk before it is answered")
        case "everysec":
            return _ok(check, "writes reach the disk within a second; a power cut may lose that second")
        case None:
            return HealthFinding(
                check=check,
                status=Status.WARNING,
                message="the server does not say when writes reach the disk (CONFIG GET is not allowed)",
                remedy="ask those who run the server to see that appendfsync is everysec or always",
            )
        case _:
            message = f"appendfsync is {value}: a power cut may lose the last half minute"
            return HealthFinding(check=check, status=Status.WARNING, message=message, remedy=remedy)


def _append_write(facts: ServerFacts) -> HealthFinding:
    check = "redis-last-write"
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status")
        if _info(facts).get(name, "ok") != "ok"
    ]
    if not failed:
        return _ok(check, "the last write and the last rewrite of the append-only file succeeded")
    return _problem(
        check,
        f"the append-only file could not be written ({', '.join(failed)})",
        "look for a full disk or wrong permissions in the server's log, and fix it",
    )


def _eviction(facts: ServerFacts) -> HealthFinding:
    policy = _info(facts).get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return _ok("redis-eviction", "nothing is evicted when memory runs out")
    # Without a limit nothing is evicted today; jobs are lost as soon as somebody sets one.
    limited = _number(_info(facts).get("maxmemory")) > 0
    return HealthFinding(
        check="redis-eviction",
        status=Status.PROBLEM if limited else Status.WARNING,
        message=f"the eviction policy is {policy}: when memory runs out, Redis deletes jobs and evidence",
        remedy="CONFIG SET maxmemory-policy noeviction, and set it in redis.conf",
    )


def _memory(facts: ServerFacts) -> HealthFinding:
    check = "redis-memory"
    used, limit = _number(_info(facts).get("used_memory")), _number(_info(facts).get("maxmemory"))
    if limit <= 0:
        return _ok(check, f"{_mebibytes(used)} are in use; no limit is set")
    share = used / limit
    message = f"{_mebibytes(used)} of {_mebibytes(limit)} are in use ({share:.0%})"
    if share < MEMORY_WARNING_SHARE:
        return _ok(check, message)
    return HealthFinding(
        check=check,
        status=Status.PROBLEM if share >= MEMORY_PROBLEM_SHARE else Status.WARNING,
        message=f"{message}; when it is full, nothing can be enqueued",
        remedy="raise maxmemory, or shorten the retention of finished jobs",
    )


def _cluster() -> HealthFinding:
    return HealthFinding(
        check="redis-cluster",
        status=Status.WARNING,
        message="the server is a node of a cluster: the fleet lives on it alone, and follows no failover",
        remedy="use one server or Sentinel, where this node may be lost; a cluster spreads fleets, not one",
    )


def _clock(facts: ServerFacts) -> HealthFinding:
    skew = facts.our_time - facts.server_time
    message = f"our clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the server's"
    if abs(skew) < CLOCK_WARNING_SECONDS:
        return _ok("clock", message)
    return HealthFinding(
        check="clock",
        status=Status.PROBLEM if abs(skew) >= CLOCK_PROBLEM_SECONDS else Status.WARNING,
        message=message,
        remedy=CLOCK_REMEDY,
    )


def _ok(check: str, message: str) -> HealthFinding:
    return HealthFinding(check=check, status=Status.OK, message=message)


def _problem(check: str, message: str, remedy: str) -> HealthFinding:
    return HealthFinding(check=check, status=Status.PROBLEM, message=message, remedy=remedy)


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
