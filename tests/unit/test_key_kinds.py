"""Every kind of key has a decision: it is exported, or left out for a reason."""

import inspect
import re

import pytest
import redis

from routing.store.archive.key_kinds import KINDS, kind_of
from routing.store.redis.keys import PERMANENT_KINDS, Keys
from tests.fleets.stepped_fleet import SteppedFleet
from tests.source import ROOT
from tests.unit.test_keys import whole_story


def names() -> list[str]:
    """A key of each kind that docs/keys.md, `Keys` and the list of permanent kinds have."""
    page = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\| `([a-zA-Z_:]+)` \|", page, re.MULTILINE))
    keys = Keys("n")
    made = {
        method(keys, "PART").removeprefix("n:")
        for name, method in vars(Keys).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    alone = PERMANENT_KINDS - {"template", "trial", "trials", "backtests", "notify", "_kombu"}
    return sorted(written | made | alone)


@pytest.mark.parametrize("name", names())
def test_every_key_has_a_decision(name: str) -> None:
    """A key that is added is exported, or the table says why it is not."""
    assert kind_of(name) is not None, f"decide about {name} in routing/store/archive/key_kinds.py"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.pattern)
def test_every_decision_is_about_a_key(kind: object) -> None:
    """No line of the table is hidden by another, or about keys that are no longer written."""
    pattern = getattr(kind, "pattern", "")
    assert kind_of(pattern.replace("*", "x")) == kind
    known = {re.sub(r"[A-Z]{2,}", "x", name) for name in names()} | {"unacked", "x.reply.celery.pidbox"}
    known |= {f"{queue}\x06x" for queue in ("champion", "canary", "backtest", "control")} | {
        "_kombu.binding.x"
    }
    assert pattern.replace("*", "x") in known


def test_keys_of_a_story_are_of_their_types(redis_client: redis.Redis) -> None:
    """What stores write has the type that the table says."""
    whole_story(SteppedFleet(redis_client, draws=[0.1, 0.9] * 6))
    found = {str(key).removeprefix("coalmine:"): key for key in redis_client.scan_iter()}
    kinds = {name: kind_of(name) for name in found}
    assert {name for name, kind in kinds.items() if kind is None} == set()
    wrong = {
        name
        for name, kind in kinds.items()
        if kind is not None and redis_client.type(found[name]) != kind.type
    }
    assert wrong == set()
