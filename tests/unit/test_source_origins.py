"""One order of settings for forges and trackers: each field of each kind, in the file and in a variable."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from routing.forges.registry import KINDS
from routing.trackers.registry import TRACKER_KINDS
from tasks.settings.forge_tables import variable_of
from tasks.settings.origins import Origin, Origins, Place, flat
from tasks.settings.settings import load_settings
from tests.programs.command_line import own_surroundings
from tests.unit.test_origins import as_read, as_tree, changed, effective, for_the_file, shop

#: Another value of each field that is neither a number nor a switch, by its name.
WORDS: dict[str, Any] = {
    "label": "mine",
    "template": "writer",
    "usd_per_day": 9.5,
    "usd_per_job": 2.5,
    "base_url": "https://forge.example.com/api/v3",
    "token": "t-1",
    "token_path": "token.txt",
    "app_id": 7,
    "app_key_path": "app.pem",
    "login": "fleet",
    "repositories": ["acme/shop", "acme/tools-*"],
    "webhook_secret": "what-is-signed-with-now",
    "previous_webhook_secret": "what-was-signed-with-once",
    "git_url": "https://git.example.com",
    "change": "none",
    "merge_method": "squash",
    "checks": ["unit", "lint"],
    "people_checks": ["approval"],
    "bots": ["renovate", "mergify"],
    "project": "SHOP",
    "route": [{"repository": "github:acme/shop", "label": "web"}],
    "stop_label": "stop",
    "stop_states": ["Paused"],
    "states.in_progress": "Begun",
    "states.in_review": "Review",
    "states.done": "Merged",
    "states.handed_back": "For people",
    "email": "fleet@example.com",
    "filter": "priority = High",
    "site_url": "https://issues.example.com",
}

#: Those that a kind has in another way than the others.
OF_KIND: dict[str, dict[str, Any]] = {
    "local": {
        "label": "mine",
        "merge": "never",
        "state": "elsewhere",
        "ci": "make test",
        "ci_sandbox": "bubblewrap",
        "ci_network": "full",
        "ci_read": ["/srv/read"],
        "ci_write": ["/srv/write"],
        "main": "main",
    },
    **{name: {"merge": "green"} for name in ("github", "gitea", "forgejo", "gitlab")},
    **{name: {"repository": "github:acme/shop"} for name in ("jira", "linear")},
}

#: Fields that exclude others; each set is tried alone, with the address that a kind may lack.
APART = ({"token_path", "change"}, {"app_id", "app_key_path"})

SOURCES = [
    *(pytest.param("forge", kind, id=name) for name, kind in KINDS.items()),
    *(pytest.param("tracker", kind, id=name) for name, kind in TRACKER_KINDS.items()),
]


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with own_surroundings():
        yield


def defaults_of(kind: Any) -> dict[Place, Any]:
    """Each field of a kind with its default, but for what the table is called by."""
    return {place: value for place, value in flat(kind.config()) if place not in {("kind",), ("name",)}}


def sets_of(kind: Any) -> Iterator[dict[Place, Any]]:
    """Other values of all fields, in sets that are allowed together."""
    words = WORDS | OF_KIND[kind.name] | (shop(Path.cwd()) if kind.name == "local" else {})
    other = {place: changed(place, value, words) for place, value in defaults_of(kind).items()}
    apart = set().union(*APART)
    yield {place: value for place, value in other.items() if place[0] not in apart}
    for names in APART:
        found = {place: value for place, value in other.items() if place[0] in names}
        if found:
            yield found | {("base_url",): other[("base_url",)]}


def read(section: str, kind: Any) -> tuple[dict[Place, Any], Origins]:
    """What holds for the only forge, or the only tracker, and where it comes from; a local one in `up`."""
    if kind.name == "local":
        settings, origins = effective(Path("state"))
    else:
        settings, origins = load_settings(), Origins.read(Path("coalmine.toml"))
    found = {place[2:]: as_read(value) for place, value in flat(settings) if place[:2] == (section, "mine")}
    return {place: value for place, value in found.items() if place not in {("kind",), ("name",)}}, origins


def written(section: str, kind: Any, fields: dict[Place, Any]) -> None:
    """A file with one table; no server is needed, as it names one."""
    table = {"kind": kind.name, "name": "mine", **as_tree(fields)}
    Path("coalmine.toml").write_text(tomli_w.dumps({"redis_url": "redis://127.0.0.1:1", section: [table]}))


@pytest.mark.parametrize(("section", "kind"), SOURCES)
def test_each_field_of_a_table_holds(section: str, kind: Any) -> None:
    """And no other field is changed by it."""
    defaults = {place: as_read(value) for place, value in defaults_of(kind).items()}
    tried = set[Place]()
    for wanted in sets_of(kind):
        written(section, kind, wanted)
        with own_surroundings():
            found, origins = read(section, kind)
        assert found == defaults | wanted
        assert not [place for place, value in wanted.items() if value == defaults[place]]
        assert {origins.of((section, "mine", *place)) for place in wanted} == {Origin.FILE}
        tried |= wanted.keys()
    assert tried == defaults.keys()


@pytest.mark.parametrize(("section", "kind"), SOURCES)
def test_a_variable_of_each_field_holds_over_the_table(
    section: str, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the forge or tracker, lists as JSON."""
    defaults = defaults_of(kind)
    for wanted in sets_of(kind):
        written(section, kind, {place: for_the_file(defaults[place], wanted[place]) for place in wanted})
        with own_surroundings(), monkeypatch.context() as environment:
            for place, value in wanted.items():
                text = json.dumps(value) if isinstance(value, list | bool) else str(value)
                environment.setenv(variable_of(section, "mine", *place), text)
            found, origins = read(section, kind)
        assert {place: found[place] for place in wanted} == wanted
        assert {origins.of((section, "mine", *place)) for place in wanted} == {Origin.ENVIRONMENT}


def test_a_variable_of_one_state_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in any section: fields are put over the file's one by one."""
    jira = TRACKER_KINDS["jira"]
    written("tracker", jira, {("states", "in_progress"): "Begun", ("states", "done"): "Merged"})
    monkeypatch.setenv("COALMINE_TRACKER__MINE__STATES__DONE", "Shipped")
    found, origins = read("tracker", jira)
    assert (found["states", "in_progress"], found["states", "done"]) == ("Begun", "Shipped")
    assert origins.of(("tracker", "mine", "states", "in_progress")) is Origin.FILE
