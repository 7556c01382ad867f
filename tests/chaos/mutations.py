"""The guards that the fleet rests on, each taken out by name: then the checks at the end must find a fault.

A mutation changes the product in the processes of a chaos fleet alone, in memory. Each says in which text of
which script the guard stands, and fails at once where that text is not there any more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from routing.store.redis import scripts

#: What may be found when a guard is missing: names of checks, see `conservation`.
Checks = frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """One guard that is missing."""

    removes: str  # in words
    script: str  # whose text is changed
    text: str  # the guard
    instead: str = ""
    found_by: Checks  # checks of which at least one must find a fault


MUTATIONS: Mapping[str, Mutation] = {
    "fence": Mutation(
        removes="a report under an old fence is taken",
        script="job_move",
        text="if fence ~= '' and fence ~= f[2] then return {'stale'} end",
        found_by=frozenset({"history"}),
    ),
    "lease": Mutation(
        removes="a job that is at work may be claimed by a second worker",
        script="job_claim",
        text="if used_up or f[8] or not is_lost(pulse, tonumber(f[2]), now) then",
        instead="if used_up or f[8] then",
        found_by=frozenset({"history", "turns"}),
    ),
    "outbox": Mutation(
        removes="a job whose message was lost is on no list",
        script="job_enqueue",
        text="redis.call('ZADD', pushed and unclaimed or outbox, unpack(looks))",
        found_by=frozenset({"lost"}),
    ),
    "compare-and-set": Mutation(
        removes="the test of a trial is written over what another process wrote meanwhile",
        script="trial_advance",
        text="if redis.call('HGET', trial, 'revision') ~= revision then return 'stale' end",
        found_by=frozenset({"history", "ledger", "verdicts"}),
    ),
    "single-flight": Mutation(
        removes="a tick runs in several processes at once",
        script="tick_begin",
        text="redis.call('SET', tick, token, 'NX', 'PX', lease_milliseconds)",
        instead="redis.call('SET', tick, token, 'PX', lease_milliseconds)",
        found_by=frozenset({"history"}),
    ),
    "pair": Mutation(
        removes="a pair is settled as often as somebody computes what became of it",
        script="pair_settle",
        text="if redis.call('HEXISTS', champion, 'pair_settled_at') == 1\n"
        "  or redis.call('HEXISTS', canary, 'pair_settled_at') == 1 then return 'already' end",
        found_by=frozenset({"pairs"}),
    ),
}


class GuardMovedError(RuntimeError):
    """The text that a mutation removes is not in its script any more: say in `MUTATIONS` where it is."""


def apply(name: str) -> None:
    """Take a guard out of this process, and of those that it forks."""
    mutation = MUTATIONS[name]
    scripts.lua_source = _without(mutation, scripts.lua_source)


def _without(mutation: Mutation, read: Callable[[str], str]) -> Any:
    def source(name: str) -> str:
        text = read(name)
        if name != mutation.script:
            return text
        if text.count(mutation.text) != 1:
            message = f"{mutation.script}.lua does not hold the guard once: {mutation.text!r}"
            raise GuardMovedError(message)
        return text.replace(mutation.text, mutation.instead)

    return source
