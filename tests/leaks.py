"""Keys that would be left behind for ever."""

from typing import Any

from routing.jobs.job import JobState
from routing.store.redis.keys import PERMANENT_KINDS, Keys

#: Kinds whose keys have parts of their own that are as permanent as they are.
_WITH_PARTS = frozenset({"template", "trial", "trials", "backtest", "backtests", "_kombu", "notify"})


def leaks(client: Any, keys: Keys) -> list[str]:
    """Keys that are neither of a permanent kind nor about to expire, and keys outside the namespace."""
    return [
        key
        for key in sorted(client.keys())
        if not (_is_permanent(key, keys) or _expires(client, key, keys) or _is_at_work(client, key, keys))
    ]


def _is_permanent(key: str, keys: Keys) -> bool:
    namespace, _, rest = key.partition(":")
    kind, _, part = rest.partition(":")
    kind = kind.split("\x06")[0].split(".")[0]  # a broker's queue has a list for each priority
    return namespace == keys.namespace and kind in PERMANENT_KINDS and (not part or kind in _WITH_PARTS)


def _expires(client: Any, key: str, keys: Keys) -> bool:
    return key.startswith(f"{keys.namespace}:") and client.ttl(key) > 0


def _is_at_work(client: Any, key: str, keys: Keys) -> bool:
    """A job, with its signals, or an agent that has not come to its end: none is lost by waiting too long."""
    kind, _, rest = key.removeprefix(f"{keys.namespace}:").partition(":")
    if kind == "agent":
        return bool(client.hget(key, "state") == "live")
    if kind != "job":
        return False
    state = client.hget(keys.job(rest.split(":")[0]), "state")
    return state is not None and not JobState(state).is_final
