"""The gates: each refusal has its reason, and the kill switch asks for nothing."""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from routing.backlog.gates import GateFacts, Inputs, choose, refusal
from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Gate
from routing.backlog.settings import BacklogSettings
from routing.forges.config import RemoteConfig
from routing.forges.forge import Permission
from routing.issues.metadata import IssueMetadata
from routing.issues.model_settings import ModelSettings
from tests.fakes.issues import ref


def forge(**fields: Any) -> RemoteConfig:
    """The settings of a forge."""
    return RemoteConfig.model_validate({"kind": "memory", "name": "local"} | fields)


OPEN = forge(kill_switch=False, repositories=("shop", "owner/app"))
FINE = GateFacts(
    permission=Permission.WRITE, busy=0, working=0, fleet_size=4, spent_today_usd=0.0, spent_usd=0.0
)


def item(
    number: int, *, repo: str = "shop", priority: int = 5, by: str = "ada", **fields: Any
) -> BacklogItem:
    """An item that is ready."""
    plain = BacklogItem(
        ref=ref(number, repo), title="", state=BacklogState.READY, reason="", revision="", requested_by=by,
        metadata=IssueMetadata(priority=priority), ring=(), job="", fence=0, added_at=0.0, changed_at=0.0,
        started_at=None,
    )  # fmt: skip
    return replace(plain, **fields)


class AskedGates:
    """Inputs that count who asked for them."""

    def __init__(self, *items: BacklogItem, **facts: Any) -> None:
        self.items = items
        self.facts = facts
        self.calls: list[str] = []

    def inputs(self) -> Inputs:
        """All as functions that note their call."""
        return Inputs(
            fleet_size=self.facts.get("fleet_size", 4),
            paused=self._noted("paused", lambda: self.facts.get("paused")),
            ready=self._noted("ready", self._ready),
            permission=self._noted("permission", self.facts.get("permission", lambda _: Permission.WRITE)),
            busy=self._noted("busy", lambda: self.facts.get("busy", {})),
            spent_today_usd=self._noted("spent_today", lambda: self.facts.get("spent_today_usd", 0.0)),
            spent_usd=self._noted("spent", lambda _: self.facts.get("spent_usd", 0.0)),
            red_mains=self._noted("red_mains", lambda: self.facts.get("red_mains", {})),
            fault=self._noted("fault", lambda _: self.facts.get("fault", "")),
            main_fault=self._noted("main_fault", lambda _: self.facts.get("main_fault", "")),
        )

    def _ready(self) -> Mapping[str, Iterable[BacklogItem]]:
        ordered = sorted(self.items, key=lambda one: one.order)
        names = dict.fromkeys(f"local:{one.ref.repo}" for one in ordered)
        return {name: [one for one in ordered if f"local:{one.ref.repo}" == name] for name in names}

    def _noted(self, name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.calls.append(name)
            return answer(*args)

        return call


def chosen(asked: AskedGates, rules: RemoteConfig = OPEN) -> list[str]:
    """What a tick dispatches."""
    return [str(one.ref).removeprefix("local:") for one in choose(rules, asked.inputs()).chosen]


def test_issues_of_a_tracker_go_to_several_repositories() -> None:
    """One that is busy lets those of others be looked at; each is refused once, not for every issue."""
    going = [
        item(number, works_in="github:a/busy" if number < 5 else "github:a/free") for number in range(1, 7)
    ]
    asked = AskedGates(*going, busy={"github:a/busy": 1})
    choice = choose(OPEN, asked.inputs())
    assert [one.ref.number for one in choice.chosen] == [5]
    assert [(one.issue, one.gate) for one in choice.refusals] == [("local:shop#1", Gate.REPOSITORY_BUSY)]
    assert "github:a/busy" in choice.refusals[0].reason
    unfit = AskedGates(*going, fault="it is archived")
    assert [one.issue for one in choose(OPEN, unfit.inputs()).refusals] == ["local:shop#1", "local:shop#5"]


def test_kill_switch_asks_for_nothing() -> None:
    """With it on, no input is touched at all, and the refusal says why."""
    asked = AskedGates(item(1), paused="lunch")
    choice = choose(OPEN.model_copy(update={"kill_switch": True}), asked.inputs())
    assert asked.calls == []
    assert choice.chosen == ()
    assert [each.gate for each in choice.refusals] == [Gate.KILL_SWITCH]


def test_nothing_is_dispatched_by_default() -> None:
    """A fresh installation has the kill switch on; without it, no repository is allowed."""
    asked = AskedGates(item(1))
    assert chosen(asked, forge()) == []
    assert asked.calls == []
    choice = choose(forge(kill_switch=False), asked.inputs())
    assert [each.gate for each in choice.refusals] == [Gate.NOT_ALLOWED]
    assert "permission" not in asked.calls


@pytest.mark.parametrize(("facts", "gate"), [({"paused": "lunch"}, Gate.PAUSED), ({}, Gate.DISABLED)])
def test_shut_for_all(facts: dict[str, str], gate: Gate) -> None:
    """A pause, and a switch that is off, are reported once and ask for no issue."""
    asked = AskedGates(item(1), item(2, repo="owner/app"), **facts)
    choice = choose(OPEN.model_copy(update={"enabled": False}), asked.inputs())
    assert [(each.gate, each.issue) for each in choice.refusals] == [(gate, "")]
    assert asked.calls == ["paused"]


def test_every_combination_of_gates_refuses_by_the_first_that_is_shut() -> None:
    """The whole small space of inputs: the reason is the one that comes first."""
    permissions = (Permission.ADMIN, Permission.READ, None)
    spaces: Any = itertools.product(
        *([(False, True)] * 3), permissions, tuple(BacklogState), *([(False, True)] * 5)
    )
    for kill, disabled, foreign, permission, state, busy, red, full, day, job in spaces:
        rules = forge(
            kill_switch=kill, enabled=not disabled, repositories=() if foreign else ("SHOP",), per_repo=2,
            usd_per_day=10, usd_per_job=4,
        )  # fmt: skip
        facts = GateFacts(
            permission=permission, busy=2 if busy else 1, working=3 if full else 2,
            red_main="local:shop#9" if red else "",
            fleet_size=3, spent_today_usd=6.01 if day else 6.0, spent_usd=4.0 if job else 3.99,
        )  # fmt: skip
        one = item(1, state=state)
        expected = [
            gate
            for gate, shut in (
                (Gate.KILL_SWITCH, kill), (Gate.DISABLED, disabled), (Gate.NOT_ALLOWED, foreign),
                (Gate.TRUST_UNKNOWN, permission is None), (Gate.UNTRUSTED, permission is Permission.READ),
                (Gate.BLOCKED, state is not BacklogState.READY), (Gate.REPOSITORY_BUSY, busy),
                (Gate.MAIN_RED, red), (Gate.FLEET_FULL, full), (Gate.DAY_BUDGET, day), (Gate.JOB_BUDGET, job),
            )
            if shut
        ]  # fmt: skip
        said = refusal(rules, one, facts)
        assert (said.gate if said else None) == (expected[0] if expected else None)
        assert said is None or (said.reason and said.inputs and said.issue == str(one.ref))
        assert refusal(rules, one, facts) == said


@pytest.mark.parametrize(
    "facts",
    [
        {"busy": 10**9},
        {"working": 10**9},
        {"spent_today_usd": math.inf},
        {"spent_today_usd": math.nan},
        {"spent_usd": math.nan},
        {"permission": Permission.NONE},
    ],
)
def test_senseless_facts_shut_a_gate(facts: dict[str, Any]) -> None:
    """A number that is none opens nothing."""
    rules = OPEN.model_copy(update={"usd_per_day": 10.0, "usd_per_job": 1.0})
    assert refusal(rules, item(1), FINE) is None
    assert refusal(rules, item(1), replace(FINE, **facts)) is not None


def test_best_of_each_repository_goes() -> None:
    """At most one a repository a tick; between them, the most urgent first."""
    asked = AskedGates(item(2), item(1), item(9, repo="owner/app", priority=1), item(8, repo="owner/app"))
    assert chosen(asked) == ["owner/app#9", "shop#1"]


def test_next_best_goes_when_the_best_is_not_trusted() -> None:
    """One that may not run does not keep the others waiting; trust is asked once a person."""
    asked = AskedGates(
        item(1, by="eve"), item(2, by="eve"), item(3),
        permission=lambda one: Permission.WRITE if one.requested_by == "ada" else Permission.READ,
    )  # fmt: skip
    choice = choose(OPEN, asked.inputs())
    assert [one.ref.number for one in choice.chosen] == [3]
    assert [(each.issue, each.gate) for each in choice.refusals] == [
        ("local:shop#1", Gate.UNTRUSTED),
        ("local:shop#2", Gate.UNTRUSTED),
    ]
    assert asked.calls.count("permission") == 2


def test_busy_repository_is_looked_at_once() -> None:
    """What shuts out a repository need not be asked for its other issues."""
    asked = AskedGates(*(item(number) for number in range(1, 9)), busy={"local:shop": 1})
    choice = choose(OPEN, asked.inputs())
    assert [(each.issue, each.gate) for each in choice.refusals] == [("local:shop#1", Gate.REPOSITORY_BUSY)]


def test_fleet_and_budget_count_what_the_tick_has_chosen() -> None:
    """Two that would fit alone do not go together when there is room for one."""
    two = (item(1), item(1, repo="owner/app", priority=1))
    assert chosen(AskedGates(*two, fleet_size=1)) == ["owner/app#1"]
    budget = OPEN.model_copy(update={"usd_per_day": 5.0, "usd_per_job": 3.0})
    assert chosen(AskedGates(*two), budget) == ["owner/app#1"]
    assert chosen(AskedGates(*two), budget.model_copy(update={"usd_per_day": 6.0})) == [
        "owner/app#1",
        "shop#1",
    ]


def test_input_is_never_changed() -> None:
    """Neither the settings nor the items nor the counts are touched."""
    busy = {"local:shop": 0}
    items = {"local:shop": [item(1), item(2)]}
    rules = OPEN.model_copy()
    before = copy.deepcopy((rules, items, busy))
    plain = AskedGates().inputs()
    choice = choose(rules, replace(plain, ready=lambda: items, busy=lambda: busy))
    assert len(choice.chosen) == 1
    assert (rules, items, busy) == before


@pytest.mark.parametrize(
    "wrong",
    [
        *({"kill_switch": word} for word in ("", "maybe", "2", 1, None)),
        *({"per_repo": number} for number in (0, -1, math.nan, True, "", 1.5)),
        *({"usd_per_day": number} for number in (0, -1, math.nan, math.inf, "nan", True)),
        *({"repositories": names} for names in ("*", "own*/x", "../x", ["a b"])),
        {"killswitch": True},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    """What is not plainly a switch, a number in range or a repository names its place."""
    with pytest.raises(ValidationError) as refused:
        forge(**wrong)
    assert refused.value.errors()[0]["loc"][0] in wrong


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF"])
def test_switches_are_words(word: str) -> None:
    """The eight words are all that switches anything."""
    assert forge(kill_switch=word).kill_switch is False


def test_allow_list_may_be_words_between_commas() -> None:
    """As an environment variable has it."""
    assert forge(repositories="owner/shop, shop").allow_list == (
        "owner/shop",
        "shop",
    )


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        (BacklogSettings, {"unknown_blocker": "maybe"}),
        (BacklogSettings, {"ask_again_seconds": math.nan}),
        (BacklogSettings, {"retention_days": 0}),
        (ModelSettings, {"enabled": True}),
        (ModelSettings, {"enabled": "on", "api_key": " "}),
        (ModelSettings, {"url": "file:///etc/passwd"}),
        (ModelSettings, {"timeout_seconds": 0}),
    ],
)
def test_other_sections_are_checked_too(section: Any, wrong: dict[str, object]) -> None:
    """A wrong value is refused before anything runs with it."""
    with pytest.raises(ValidationError):
        section.model_validate(wrong)


def test_key_of_the_model_is_not_shown() -> None:
    """Neither by its text nor by its JSON."""
    section = ModelSettings.model_validate({"enabled": "on", "api_key": "sk-1234"})
    assert "sk-1234" not in f"{section!r}{section.model_dump_json()}"
