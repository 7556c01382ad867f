"""Whether the content of an entry can be read by the store of its kind."""

import json
from collections.abc import Callable, Mapping, Sequence

from routing.errors import CoalmineError
from routing.issues.issue import IssueRef
from routing.jobs.job import checked_job_id
from routing.jobs.signal import parsed_signal
from routing.store.archive.line import Entry, HashEntry, ListEntry
from routing.store.backlog.stored_item import parsed_item
from routing.store.backtests.backtest_store import parsed_backtest
from routing.store.jobs.record import parsed_job
from routing.store.trials.trial_store import parsed_trial
from routing.store.trials.version_store import parsed_version
from routing.templates.version import VersionState


def fault_of(entry: Entry, pattern: str) -> str:
    """What is wrong with the content of an entry of a kind of keys, in words; "" when it can be read."""
    try:
        if isinstance(entry, HashEntry) and pattern in _HASHES:
            _HASHES[pattern](entry.key.split(":", 1)[-1], entry.value)
        elif isinstance(entry, ListEntry) and pattern in _LEDGERS:
            _ledger(entry.value)
    except KeyError as error:
        return f"{error} is missing"
    except (CoalmineError, ValueError, TypeError) as error:
        return " ".join(str(error).split())
    return ""


def _job(name: str, fields: Mapping[str, str]) -> object:
    return parsed_job(checked_job_id(name), fields)


def _versions(name: str, fields: Mapping[str, str]) -> None:
    template = name.removesuffix(":versions")
    for number, record in fields.items():
        identifier = f"{template}@v{int(number)}"
        version = parsed_version(record, VersionState.PENDING, identifier)
        if version.id != identifier:
            message = f"the record of {identifier} is that of {version.id}"
            raise ValueError(message)


def _signals(_name: str, fields: Mapping[str, str]) -> None:
    for record in fields.values():
        parsed_signal(record)


def _items(_name: str, fields: Mapping[str, str]) -> None:
    for issue, record in fields.items():
        parsed_item(IssueRef.parse(issue), record)


def _costs(_name: str, fields: Mapping[str, str]) -> None:
    for amount in fields.values():
        float(amount)


def _breakers(_name: str, fields: Mapping[str, str]) -> None:
    for record in fields.values():
        json.loads(record)


def _ledger(records: Sequence[str]) -> None:
    for record in records:
        if not isinstance(json.loads(record), dict):
            message = f"{record:.50} is not a record"
            raise TypeError(message)


_HASHES: Mapping[str, Callable[[str, dict[str, str]], object]] = {
    "job:*": _job,
    "job:*:signals": _signals,
    "template:*:versions": _versions,
    "template:*:costs": _costs,
    "trial:*": parsed_trial,
    "trial:*:costs": _costs,
    "backtest:*": parsed_backtest,
    "backlog": _items,
    "breakers": _breakers,
    "costs:*": _costs,
    "spent": _costs,
    "outcomes": _costs,
}
_LEDGERS = frozenset(
    {
        "trial:*:dispatches",
        "trial:*:settlements",
        "trial:*:history",
        "backtest:*:pairs",
        "backtest:*:settlements",
        "template:*:reviews",
    }
)
