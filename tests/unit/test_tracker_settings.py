"""The trackers of the settings: tables, variables that name them, and what does not fit together."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from routing.errors import SettingsError
from routing.trackers.jira.kind import JiraConfig
from routing.trackers.linear.kind import LinearConfig
from tasks.settings.origins import Origin, Origins, flat
from tasks.settings.refused import PREFIX
from tasks.settings.settings import Settings, load_settings
from tests.fakes.issues import issue

Load = Callable[..., Settings]

JIRA = """
[[tracker]]
kind = "jira"
base_url = "https://acme.atlassian.net"
project = "SHOP"
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Reads a settings file of this text with these variables and no other."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)

    def loaded(text: str = "", **variables: str) -> Settings:
        file = tmp_path / "coalmine.toml"
        file.write_text(text, encoding="utf-8")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings(file)

    return loaded


def token(tracker: str, value: str = "t") -> dict[str, str]:
    """The variable of a tracker's token."""
    return {f"COALMINE_TRACKER__{tracker}__TOKEN": value}


def refused(load: Load, text: str = "", **variables: str) -> str:
    """What is said of settings that are refused."""
    with pytest.raises(SettingsError) as caught:
        load(text, **variables)
    return str(caught.value)


def test_a_tracker_is_off_until_it_is_switched_on(load: Load) -> None:
    """It has a kill switch that is on, and is not served without address, token and project."""
    (jira,) = load(JIRA).tracker
    assert isinstance(jira, JiraConfig)
    assert (jira.kill_switch, jira.is_served, jira.label) == (True, False, "coalmine")
    assert jira.lack is not None
    assert (jira.lack.setting, jira.name) == ("token", "jira")
    assert load(JIRA, **token("JIRA")).poll_intervals == {}
    on = token("JIRA") | {"COALMINE_TRACKER__JIRA__KILL_SWITCH": "off"}
    assert load(JIRA, **on).poll_intervals == {"jira": 60.0}


def test_both_forms_of_a_table_are_read(load: Load) -> None:
    """A list, and tables with names; what is called after a kind is of that kind."""
    text = '[tracker.linear]\nproject = "SHOP"\n[tracker.corp-jira]\nkind = "jira"\nproject = "OPS"\n'
    linear, jira = load(text, **token("CORP_JIRA")).tracker
    assert isinstance(linear, LinearConfig)
    assert (linear.name, linear.base_url) == ("linear", "https://api.linear.app")
    assert (jira.name, jira.kind, jira.credential.get_secret_value()) == ("corp-jira", "jira", "t")


def test_variables_alone_are_enough(load: Load) -> None:
    """For a tracker that is called after its kind; a secret may lie in a file."""
    (linear,) = load("", COALMINE_TRACKER__LINEAR__PROJECT="SHOP", **token("LINEAR")).tracker
    assert (linear.is_served, linear.project) == (True, "SHOP")


def test_a_variable_for_nobody_is_refused(load: Load) -> None:
    """Its token would be where nobody looks."""
    said = refused(load, JIRA, **token("CORP", "s3cret-token"))
    assert "COALMINE_TRACKER__CORP" in said
    assert "there are: jira" in said
    assert "s3cret-token" not in said


def test_a_fault_is_named_with_its_variable(load: Load) -> None:
    """By the tracker's name, and without a secret."""
    said = refused(load, JIRA, COALMINE_TRACKER__JIRA__PER_REPO="none", **token("JIRA", "s3cret"))
    assert "tracker.jira.per_repo (COALMINE_TRACKER__JIRA__PER_REPO)" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('filter = "a = b order by key"', "ORDER BY"),
        ('label = "for agents"', "space"),
        ('stop_states = ["in progress"]', "while they are worked on"),
        ('token = "a"\ntoken_path = "/b"', "set one of them"),
        ('route = [{ repository = "github:acme/shop" }]', "a label or a component"),
        ('repository = "acme/shop"', "pattern"),
        ('project = "shop floor"', "pattern"),
        ('email = "a:b@c.test"', "pattern"),
        ('webhook_secret = "x"', "there is no such setting"),
        ("name = 'jira'\n" + JIRA, "two trackers are called jira"),
        ('[[forge]]\nkind = "gitea"\nname = "jira"', "a tracker and a forge are both called jira"),
        ('[[tracker]]\nkind = "trello"', "no kind of tracker is called 'trello'; use one of: jira, linear"),
        ("[[tracker]]\n", "kind is missing"),
    ],
)
def test_what_does_not_fit_is_refused(load: Load, more: str, words: str) -> None:
    """With what to do about it."""
    text = JIRA.replace('project = "SHOP"\n', "") if more.startswith("project") else JIRA
    assert words in refused(load, text + more)


def test_settings_say_where_they_come_from(load: Load, tmp_path: Path) -> None:
    """By the tracker's name, as those of forges."""
    settings = load(JIRA, COALMINE_TRACKER__JIRA__LABEL="agents")
    origins = Origins.read(tmp_path / "coalmine.toml")
    places = dict(flat(settings))
    assert places["tracker", "jira", "states", "done"] == "Done"
    found = {name: origins.of(("tracker", "jira", name)) for name in ("label", "project", "template")}
    assert found == {"label": Origin.ENVIRONMENT, "project": Origin.FILE, "template": Origin.DEFAULT}


def test_the_first_route_that_fits_says_where_work_goes() -> None:
    """All that a route names must fit, in any case; else the tracker's repository, or none."""
    routes = (
        {"repository": "github:a/both", "label": "Infra", "component": "Cart"},
        {"repository": "github:a/label", "label": "infra"},
        {"repository": "github:a/part", "component": "cart"},
    )
    config = JiraConfig.model_validate({"project": "SHOP", "route": routes})
    made = issue(1, labels=("x",))
    asked = [(("infra",), ("cart",)), (("INFRA",), ()), (("x",), ("CART", "y")), ((), ())]
    found = [config.place_of(made.model_copy(update={"labels": a, "parts": b})) for a, b in asked]
    assert found == ["github:a/both", "github:a/label", "github:a/part", ""]
    assert config.places == ("github:a/both", "github:a/label", "github:a/part")
