"""The tables that a person can have in another order, and what a row is ordered by in each column.

They are read whole, so that an order is that of all rows. A table of which a page shows a part, as of jobs or
issues, has the order of its store, and filters.
"""

from collections.abc import Mapping
from typing import Any

from console.details.account_lines import AccountLine
from console.details.fleet_lines import ProcessLine
from console.pages.sorting import Columns
from harvest.evidence.difference import Difference
from routing.accounts.closed_account import ClosedAccount
from routing.cost import Cost
from routing.templates.trial import Trial
from routing.templates.version import Version

#: Of trials. A step by how much of the canary's way it is, a difference by its value and not by its interval.
TRIALS: Columns[tuple[Trial, Difference | None]] = {
    "trial": lambda row: row[0].id,
    "state": lambda row: row[0].state.value,
    "step": lambda row: row[0].place.number / row[0].place.total,
    "canary": lambda row: row[0].canary_id,
    "champion": lambda row: row[0].champion_id,
    "share": lambda row: row[0].share,
    "difference": lambda row: row[1].value if row[1] is not None else None,
    "opened": lambda row: row[0].opened_at,
    "closed": lambda row: row[0].closed_at,
    "reason": lambda row: row[0].reason,
}

#: Of templates, as `template_documents` has them.
TEMPLATES: Columns[Mapping[str, Any]] = {
    "template": lambda row: row["template"],
    "champion": lambda row: row["champion"],
    "latest": lambda row: row["latest"],
    "proposals": lambda row: row["policy"],
    "trial": lambda row: row["trial"],
}

#: Of the versions of one template.
VERSIONS: Columns[tuple[Version, Cost]] = {
    "version": lambda row: row[0].number,
    "state": lambda row: row[0].state.value,
    "parent": lambda row: row[0].parent,
    "created": lambda row: row[0].created_at,
    "USD": lambda row: row[1].known_usd,
    "turns": lambda row: row[1].turns,
    "note": lambda row: row[0].note,
}

#: Of accounts; an open one is tried again before all others, one that waits for a person after them.
ACCOUNTS: Columns[tuple[AccountLine, ClosedAccount | None]] = {
    "account": lambda row: row[0].account,
    "model": lambda row: row[0].breaker.model,
    "state": lambda row: row[0].breaker.state.value,
    "why, and until when": lambda row: row[1].seconds_left if row[1] is not None else -1.0,
    "words": lambda row: row[0].breaker.words,
    "used": lambda row: row[0].breaker.used_at,
}

#: Of workers and beat.
PROCESSES: Columns[ProcessLine] = {
    "process": lambda row: row.name,
    "Coalmine": lambda row: row.report.version if row.report else None,
    "queues": lambda row: ", ".join(row.report.queues) if row.report else None,
    "clock ahead, s": lambda row: row.report.ahead_seconds if row.report else None,
    "works on": lambda row: len(row.jobs),
}
