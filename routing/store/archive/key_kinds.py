"""Every kind of key under a namespace: what type it has, and whether it is exported or why not.

The order is that of an export. Records come first and the lists that point at them last, so that a reader of
a list that was put back finds what it names.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

#: The types of the server.
KeyType = Literal["string", "hash", "list", "set", "zset", "stream"]


@dataclass(frozen=True, slots=True)
class KeyKind:
    """Keys of one form. `*` in the pattern stands for one character or more."""

    pattern: str  # without the namespace
    type: KeyType
    left_out: str = ""  # why it is not exported; "": it is


_S: Final = "string"
_H: Final = "hash"
_L: Final = "list"
_SET: Final = "set"
_Z: Final = "zset"
_X: Final = "stream"

_SOON = "it is found out again within seconds"
_LEASE = "a lease is worth nothing elsewhere"
_BROKER = "the broker's: jobs are published again"
_FORGE = "what a forge says now is asked again"
_TRACED = "traces go on with what happens next"

#: All kinds. Where two patterns fit a key, the one with more colons counts.
KINDS = (
    # Templates, trials and backtests.
    KeyKind("template:*", _H),
    KeyKind("template:*:versions", _H),
    KeyKind("template:*:hashes", _H),
    KeyKind("template:*:reviews", _L),
    KeyKind("template:*:costs", _H),
    KeyKind("trial:*", _H),
    KeyKind("trial:*:dispatches", _L),
    KeyKind("trial:*:settlements", _L),
    KeyKind("trial:*:history", _L),
    KeyKind("trial:*:costs", _H),
    KeyKind("backtest:*", _H),
    KeyKind("backtest:*:pairs", _L),
    KeyKind("backtest:*:settlements", _L),
    KeyKind("case:*", _S),
    KeyKind("case_result:*", _S),
    KeyKind("costs:*", _H),
    # Jobs.
    KeyKind("job:*", _H),
    KeyKind("job:*:signals", _H),
    KeyKind("job:*:log", _X),
    KeyKind("job:*:spending", _S, "what a turn that runs has cost so far: it does not run elsewhere"),
    KeyKind("pair:*", _H),
    KeyKind("run:*", _H),
    KeyKind("issue:*", _H),
    KeyKind("once:*", _S),
    KeyKind("spent", _H),
    KeyKind("outcomes", _H),
    # Issues as forges reported them.
    KeyKind("delivery:*", _S),
    KeyKind("model_answer:*", _S),
    KeyKind("issue_problems:*", _S, _FORGE),
    KeyKind("repositories:*", _S, _FORGE),
    KeyKind("new_names:*", _S, _FORGE),
    KeyKind("repository_ids", _H),
    KeyKind("main_look:*", _H, _FORGE),
    KeyKind("rate_limit:*", _S, _FORGE),
    KeyKind("token_refused:*", _S, _FORGE),
    KeyKind("intake_notes", _H),
    KeyKind("backlog", _H),
    KeyKind("backlog_outside", _H),
    # Agents, sessions and mail.
    KeyKind("agent:*", _H),
    KeyKind("session:*", _H),
    KeyKind("mail:*", _H),
    KeyKind("mail_once:*", _H),
    KeyKind("mail_thread:*", _Z),
    KeyKind("mailbox:*:waiting", _Z),
    KeyKind("mailbox:*:claimed", _Z),
    KeyKind("mailbox:*:received", _Z),
    KeyKind("mail_sequence", _S),
    # Events, and what is to be sent of them.
    KeyKind("events", _X),
    KeyKind("decisions", _X),
    KeyKind("traced", _S, _TRACED),
    KeyKind("traced:*", _S, _TRACED),
    KeyKind("notify:*", _H),
    KeyKind("notify:*:notes", _H),
    # Accounts.
    KeyKind("breakers", _H),
    KeyKind("gates", _H),
    # Lists of what there is, and of what is to be done.
    KeyKind("templates", _SET),
    KeyKind("champions", _H),
    KeyKind("rejected", _SET),
    KeyKind("trials:open", _SET),
    KeyKind("trials:moved", _SET),
    KeyKind("backtests:open", _SET),
    KeyKind("backtests:refusing", _SET),
    KeyKind("jobs", _Z),
    KeyKind("children", _Z),
    KeyKind("bereaved", _SET),
    KeyKind("waiting", _Z),
    KeyKind("landing", _Z),
    KeyKind("judging", _Z),
    KeyKind("due", _Z),
    KeyKind("effects", _SET),
    KeyKind("dead", _Z),
    KeyKind("looks", _SET),
    KeyKind("intake", _Z),
    KeyKind("backlog_edges", _Z),
    KeyKind("backlog_asks", _Z),
    KeyKind("backlog_ready", _Z),
    KeyKind("backlog_open", _Z),
    KeyKind("backlog_working", _SET),
    KeyKind("backlog_finished", _Z),
    KeyKind("backlog_states", _Z),
    KeyKind("agents", _SET),
    KeyKind("sessions", _Z),
    KeyKind("turns", _Z),
    KeyKind("mails", _Z),
    KeyKind("mail_dead", _Z),
    KeyKind("mail_waiting", _Z),
    KeyKind("notify:*:due", _Z),
    KeyKind("notify:*:dead", _Z),
    KeyKind("held", _Z),
    KeyKind("limited", _Z),
    KeyKind("leases", _Z),  # of jobs that are being cancelled, as having run out; others are put back
    KeyKind("outbox", _Z),  # with what was published, and with the jobs that are put back
    # What stays.
    KeyKind("unclaimed", _Z, "these jobs are exported in the outbox, as their messages are not"),
    KeyKind("at_work", _Z, "the jobs that run are put back into the queue"),
    KeyKind("paused", _S, "an imported fleet is paused until a person resumes it"),
    KeyKind("importing", _H, "an import of another file"),
    KeyKind("pulse", _H, _SOON),
    KeyKind("clocks", _Z, _SOON),
    KeyKind("limits", _S, _SOON),
    KeyKind("switches", _S, _SOON),
    KeyKind("tick:*", _S, _LEASE),
    *(KeyKind(queue, _L, _BROKER) for queue in ("champion", "canary", "backtest", "control")),
    *(KeyKind(f"{queue}\x06*", _L, _BROKER) for queue in ("champion", "canary", "backtest", "control")),
    KeyKind("_kombu.binding.*", _SET, _BROKER),
    KeyKind("*.reply.celery.pidbox", _L, _BROKER),
    KeyKind("unacked", _H, _BROKER),
    KeyKind("unacked_index", _Z, _BROKER),
    KeyKind("unacked_mutex", _S, _BROKER),
)


def kind_of(name: str) -> KeyKind | None:
    """The kind of a key, by its name without the namespace; None for one that is not ours."""
    return next((kind for pattern, kind in _patterns() if pattern.fullmatch(name)), None)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], KeyKind], ...]:
    longest_first = sorted(KINDS, key=lambda kind: -kind.pattern.count(":"))
    return tuple(
        (re.compile(re.escape(kind.pattern).replace(r"\*", ".+"), re.DOTALL), kind) for kind in longest_first
    )
