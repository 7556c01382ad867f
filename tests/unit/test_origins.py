"""One order of settings, for each of them: option, environment, file, the last `up`, default."""

import grp
import json
import os
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import typer
from pydantic import BaseModel, SecretStr
from typer.main import get_command

from console.cli import app
from console.commands.up import _plan
from console.input.up_options import UpOptions
from console.invocation import Invocation
from console.local.fleet import LocalFleet
from console.local.last_options import LastOptions, unsaid
from console.output.settings_view import changed_settings
from routing.errors import SettingsError
from routing.git.git import Git
from tasks.settings.forge_tables import variable_of
from tasks.settings.origins import Origin, Origins, Place, flat, open_variables
from tasks.settings.settings import Settings, load_settings
from tests.programs.command_line import own_surroundings, whole_command_line

#: Settings whose values are neither numbers nor switches, and another value than the default that is allowed,
#: as a file has it. All of them are allowed together.
WORDS: dict[str, Any] = {
    "redis_url": "redis://127.0.0.1:1/3",
    "broker_url": "redis://127.0.0.1:1/4",
    "namespace": "other",
    "seed": 7,
    "log_format": "json",
    "log_level": "error",
    "account": [{"name": "team-a", "runtime": "claude", "secrets": ["KEY=KEY_OF_A"]}],
    "price": [{"model": "small", "input": 1.0, "output": 2.0}],
    "budget": [{"template": "writer", "usd_per_day": 5.0}],
    "agent.work_dir": "elsewhere",
    "agent.cost_usd": 2.5,
    "agent.job_cost_usd": 4.5,
    "agent.tokens": 1000,
    "agent.job_tokens": 2000,
    "agent.memory_megabytes": 4000,
    "agent.processes": 300,
    "agent.sandbox": "bubblewrap",
    "agent.require_sandbox": "bubblewrap",
    "agent.container": "podman",
    "agent.group": grp.getgrall()[0].gr_name,
    "backtest.cases": "past",
    "backtest.allow": ["a.example.com"],
    "canary.on_rollback": "cancel",
    "canary.policy.guardrails": [{"name": "cost_usd", "cap": 2.5}],
    "canary.policy.mode": "shadow",
    "canary.policy.strata": "difficulty",
    "canary.steps": ["shadow", "draw"],
    "job.children": "keep",
    "judge.command": "make judge",
    "web.flower_address": "https://flower.example.org",
    "web.host": "127.0.0.2",
    "web.token": "a-token-for-all-that-is-asked",
    "web.read_token": "a-token-for-those-who-look",
    "web.address": "https://coalmine.example.org",
    "web.link_secret": "a-secret-that-links-have",
    "web.user_header": "X-User",
    "web.user_header_from": ["10.0.0.7/32"],
    "issues.backlog.unknown_blocker": "blocked",
    "issues.model.api_key": "k-1",
    "issues.model.model": "large",
    "issues.model.url": "https://models.example.com",
    "issues.watch.on_edit": "anew",
    "issues.watch.in_progress_label": "begun",
    "issues.watch.in_review_label": "to-merge",
    "issues.watch.escalation_label": "for-people",
    "notify.log.kinds": ["done", "frozen"],
    "notify.slack.kinds": ["graduated"],
    "notify.slack.url": "https://hooks.example.com/slack",
    "notify.webhook.kinds": ["rolled_back"],
    "notify.webhook.url": "https://hooks.example.com/own",
    "notify.webhook.secret": "what-is-signed-with-now",
    "notify.webhook.previous_secret": "what-was-signed-with-once",
    "telemetry.endpoint": "https://traces.example.com/v1/traces",
    "telemetry.headers": "key=value",
    "up.runtime": "codex",
    "up.agent": "./other.sh",
    "up.model": "small",
    "up.prompt": "Be careful.",
    "up.allow": ["a.example.com"],
    "up.secrets": ["A", "B"],
}

#: Lists that variables have as names with commas between them, and not as JSON.
WITH_COMMAS = {("up", "allow"), ("up", "secrets")}

#: Options of `up`, and the setting of the local forge that each makes.
UP_OPTIONS = {"merge": "merge", "template": "template", "label": "label", "ci": "ci", "agents": "per_repo"}

#: Options of `up` that describe an agent, each with a value, and the settings that they make.
AGENT_OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "runtime": ("codex", {"runtime": "codex", "agent": None, "model": None}),
    "agent": ("./other.sh", {"runtime": "command", "agent": "./other.sh", "model": None}),
    "model": ("small", {"model": "small"}),
    "prompt": ("Hurry.", {"prompt": "Hurry."}),
    "secrets": (["A", "B"], {"secrets": ("A", "B")}),
    "allow": (["a.example.com"], {"allow": ("a.example.com",)}),
}


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)
    with own_surroundings():
        yield


def changed(place: Place, value: Any, words: Mapping[str, Any]) -> Any:
    """Another value of the same kind: from the words, or made up for a number and a switch.

    AssertionError for a setting of which neither is known: it needs a word in the table above.
    """
    if ".".join(place) in words:
        return words[".".join(place)]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - 1 if value > 1 else value + 1
    assert isinstance(value, float), f"no test tries {'.'.join(place)}: give it a value in the test's table"
    return value / 2 or 0.01


def other_settings() -> dict[Place, Any]:
    """Every setting with another value; forges and trackers are tried in `test_source_origins`."""
    return {place: changed(place, value, WORDS) for place, value in flat(Settings())}


def for_the_file(default: Any, other: Any) -> Any:
    """What a file has where a variable says another value: the default, or a third one where that is none."""
    if default is not None:
        return as_read(default)
    if isinstance(other, list):
        return other[-1:]
    return f"{other}2" if isinstance(other, str) else other + 1


def as_variable(place: Place, value: Any) -> str:
    """A value as the environment has it."""
    if isinstance(value, list):
        return ",".join(value) if place in WITH_COMMAS else json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_tree(values: dict[Place, Any]) -> dict[str, Any]:
    """The settings as a file has them."""
    tree: dict[str, Any] = {}
    for place, value in values.items():
        section = tree
        for name in place[:-1]:
            section = section.setdefault(name, {})
        section[place[-1]] = value
    return tree


def as_read(value: Any) -> Any:
    """A value of the settings as it was written."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, tuple):
        return [as_read(each) for each in value]
    return str(value) if isinstance(value, Path | StrEnum | IPv4Network) else value


def written(values: dict[Place, Any]) -> None:
    """A settings file in the current folder."""
    Path("coalmine.toml").write_text(tomli_w.dumps(as_tree(values)))


def shop(folder: Path) -> dict[str, str]:
    """A repository with a commit, and a folder of issues, as settings of the local forge."""
    repository, issues = folder / "shop", folder / "issues"
    issues.mkdir()
    repository.mkdir()
    Git(repository)("init", "--quiet", "--initial-branch=main")
    (repository / "a").write_text("1\n")
    Git(repository)("add", "--all")
    Git(repository)("commit", "--quiet", "--message", "Begin")
    return {"repository": str(repository), "issues": str(issues)}


def effective(state: Path, **given: Any) -> tuple[Settings, Origins]:
    """What `up` with these options runs with; no server is needed, as the settings name one."""
    with LocalFleet(_plan(Invocation(), UpOptions(**given), state)) as fleet:
        LastOptions(state).keep(_plan(Invocation(), UpOptions(**given), state).variables)
        return fleet.coalmine.settings, fleet.origins


def test_a_setting_of_the_file_holds_in_up() -> None:
    """Each one, those that `up` has an opinion on included; none is overridden by an option not given."""
    wanted, defaults = other_settings(), dict(flat(Settings()))
    written(wanted)
    settings, origins = effective(Path("state"))
    assert {place: as_read(value) for place, value in flat(settings) if place in wanted} == wanted
    assert not [place for place, value in defaults.items() if as_read(value) == wanted[place]]
    assert {place: origins.of(place) for place in wanted} == dict.fromkeys(wanted, Origin.FILE)
    said = "\n".join(changed_settings(settings, origins))
    for place in wanted:
        assert f"  {'.'.join(place)} = " in said, "what differs from the default is said"


def test_the_environment_holds_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting that both give."""
    wanted = other_settings()
    written({place: for_the_file(default, wanted[place]) for place, default in flat(Settings())})
    for place, value in wanted.items():
        monkeypatch.setenv(variable_of(*place), as_variable(place, value))
    settings, origins = effective(Path("state"))
    assert {place: as_read(value) for place, value in flat(settings) if place in wanted} == wanted
    assert {place: origins.of(place) for place in wanted} == dict.fromkeys(wanted, Origin.ENVIRONMENT)


FORGE = {"merge": "never", "template": "writer", "label": "mine", "ci": "true", "per_repo": 7}
GIVEN = {"merge": "green", "template": "reviewer", "label": "yours", "ci": "false", "agents": 3}


@pytest.mark.parametrize("name", ["local", "mine"])
def test_options_of_up_hold_over_all_else_and_alone_override_nothing(name: str, tmp_path: Path) -> None:
    """Each option over file and environment; not given, the file holds, for whatever the forge is called."""
    forge = {"kind": "local", "name": name, **shop(tmp_path), **FORGE}
    Path("coalmine.toml").write_text(tomli_w.dumps({"redis_url": "redis://127.0.0.1:1", "forge": [forge]}))
    settings, origins = effective(Path("state"))
    (found,) = settings.forge
    assert {field: getattr(found, field) for field in FORGE} == FORGE
    assert {origins.of(("forge", name, field)) for field in FORGE} == {Origin.FILE}
    for option, value in GIVEN.items():
        with own_surroundings():
            settings, origins = effective(Path(option), **{option: value})
        (found,) = settings.forge
        field = UP_OPTIONS[option]
        assert getattr(found, field) == value
        assert origins.of(("forge", name, field)) is Origin.OPTION
        others = FORGE.keys() - {field}
        assert {other: getattr(found, other) for other in others} == {other: FORGE[other] for other in others}


def test_every_option_of_up_is_tried() -> None:
    """An option that is added to `up` is one of those that make settings, or of those that make none."""
    none = {"repo", "issues", "state", "as_json", "allow_red"}
    root = {parameter.name for parameter in get_command(app).params}
    names = {parameter.name for parameter in whole_command_line().commands["up"].params}
    assert names - root == UP_OPTIONS.keys() | AGENT_OPTIONS.keys() | none


OF_THE_FILE = {"runtime": "claude", "model": "large", "prompt": "Be careful.", "secrets": ["C"]}


@pytest.mark.parametrize("option", AGENT_OPTIONS)
def test_an_option_about_the_agent_holds_over_the_file(option: str) -> None:
    """One that names a program takes the other one away with its model; the rest of the file holds."""
    Path("coalmine.toml").write_text(tomli_w.dumps({"redis_url": "redis://127.0.0.1:1", "up": OF_THE_FILE}))
    value, wanted = AGENT_OPTIONS[option]
    settings, origins = effective(Path("state"), **{option: value})
    before = {**OF_THE_FILE, "agent": None, "secrets": ("C",), "allow": ()}
    assert settings.up.model_dump() == before | wanted
    assert {origins.of(("up", name)) for name in wanted} == {Origin.OPTION}


@pytest.mark.parametrize("source", ["file", "environment"])
def test_nothing_of_the_last_agent_is_added_to_another_one(source: str) -> None:
    """The model that the last `up` was given goes with its program."""
    os.environ["COALMINE_REDIS_URL"] = "redis://127.0.0.1:1"
    with own_surroundings():
        effective(Path("state"), runtime="claude", model="large")
    os.environ["COALMINE_REDIS_URL"] = "redis://127.0.0.1:1"
    with own_surroundings():
        assert effective(Path("state"))[0].up.model == "large"
    os.environ["COALMINE_REDIS_URL"] = "redis://127.0.0.1:1"
    if source == "file":
        Path("coalmine.toml").write_text(tomli_w.dumps({"up": {"agent": "./mine.sh"}}))
    else:
        os.environ["COALMINE_UP__AGENT"] = "./mine.sh"
    up = effective(Path("state"))[0].up
    assert (up.agent, up.runtime, up.model) == ("./mine.sh", None, None)


def test_the_next_up_goes_on_with_the_options_of_the_last(tmp_path: Path) -> None:
    """Until the environment or the file says otherwise, or an option is given."""
    folders = shop(tmp_path)
    local = {"repo": Path(folders["repository"]), "issues": Path(folders["issues"])}
    os.environ["COALMINE_REDIS_URL"] = "redis://127.0.0.1:1"
    state = Path("state")
    with own_surroundings():
        effective(state, **local, merge="never", agents=5)
    os.environ["COALMINE_REDIS_URL"] = "redis://127.0.0.1:1"
    with own_surroundings():
        settings, origins = effective(state)
    (forge,) = settings.forge
    assert (forge.merge, forge.per_repo, forge.is_served) == ("never", 5, True)
    assert origins.of(("forge", "local", "merge")) is Origin.LAST_UP
    os.environ["COALMINE_REDIS_URL"] = "redis://127.0.0.1:1"
    Path("coalmine.toml").write_text('[[forge]]\nkind = "local"\nmerge = "green"\n')
    settings, origins = effective(state)
    assert settings.forge[0].merge == "green"
    assert origins.of(("forge", "local", "merge")) is Origin.FILE
    assert (Path("state/last-up.json").stat().st_mode & 0o777) == 0o600


STORE, BROKER = "redis://:secret@127.0.0.1:1/3", "redis://127.0.0.1:2/0"


def started_with(invocation: Invocation, **environment: str) -> tuple[Any, ...]:
    """Store, broker and namespace of an `up` with these options before it, and where the store is from."""
    folder = Path("state")
    with own_surroundings():
        os.environ.update(environment)
        with LocalFleet(plan := _plan(invocation, UpOptions(), folder)) as fleet:
            LastOptions(folder).keep(plan.variables)
            found, origin = fleet.coalmine.settings, fleet.origins.of(("redis_url",))
        return as_read(found.redis_url), as_read(found.broker_url), found.namespace, origin


def test_the_next_up_goes_on_with_the_store_of_the_last() -> None:
    """With its broker and namespace: it neither begins an empty store nor mixes two fleets."""
    given = {"redis_url": STORE, "broker_url": BROKER, "namespace": "shop"}
    assert started_with(Invocation(given=given)) == (STORE, BROKER, "shop", Origin.OPTION)
    assert started_with(Invocation()) == (STORE, BROKER, "shop", Origin.LAST_UP)
    assert started_with(Invocation(given={"redis_url": STORE})) == (STORE, BROKER, "shop", Origin.OPTION)
    assert (Path("state/last-up.json").stat().st_mode & 0o777) == 0o600


@pytest.mark.parametrize("source", ["option", "environment", "file"])
def test_a_kept_broker_is_not_that_of_another_store(source: str) -> None:
    """Wherever the other store is named; an option is kept in place of the last one."""
    other, invocation, environment = "redis://127.0.0.1:3/0", Invocation(), dict[str, str]()
    started_with(Invocation(given={"redis_url": STORE, "broker_url": BROKER}))
    if source == "option":
        invocation = Invocation(given={"redis_url": other})
    elif source == "environment":
        environment["COALMINE_REDIS_URL"] = other
    else:
        Path("coalmine.toml").write_text(tomli_w.dumps({"redis_url": other}))
    assert started_with(invocation, **environment)[:2] == (other, None)
    if source == "option":
        assert started_with(Invocation())[:2] == (other, None)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"variables": 3}', '{"variables": {"PATH": "x"}}'])
def test_a_file_of_last_options_that_is_not_ours_counts_as_none(tmp_path: Path, text: str) -> None:
    """Damaged, cut off, or with variables that are none of ours."""
    (tmp_path / "last-up.json").write_text(text)
    assert LastOptions(tmp_path).read() == {}


def test_what_is_said_anywhere_is_not_unsaid(tmp_path: Path) -> None:
    """Old names of settings count as well."""
    file = tmp_path / "c.toml"
    file.write_text("[job]\nlease_seconds = 40\n")
    variables = {"COALMINE_TIMES__LEASE_SECONDS": "9", "COALMINE_TIMES__RENEWALS": "9"}
    assert unsaid(variables, Origins.read(file, {})) == {"COALMINE_TIMES__RENEWALS": "9"}


@pytest.mark.parametrize("source", ["file", "environment"])
def test_a_command_below_has_the_settings_of_the_fleet(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that its file says, wherever that is; all that its environment says, but for secrets."""
    shop(tmp_path)
    wanted, folders = other_settings(), {"repository": "shop", "issues": "issues"}
    defaults = {place: full(value) for place, value in flat(Settings())}
    if source == "file":
        tree = as_tree(wanted) | {"forge": [{"kind": "local", "merge": "never", **folders}]}
        Path("coalmine.toml").write_text(tomli_w.dumps(tree))
    else:
        of_forge = {("forge", "local", name): value for name, value in folders.items()}
        for place, value in (wanted | of_forge).items():
            os.environ[variable_of(*place)] = as_variable(place, value)
    with LocalFleet(_plan(Invocation(), UpOptions(), Path("kept"))) as fleet:
        there = {place: full(value) for place, value in flat(fleet.coalmine.settings)}
        note = Path("kept/running.json").read_text()
        Path("shop/src").mkdir()
        monkeypatch.chdir("shop/src")
        with own_surroundings():
            command = Invocation()
            origins, below = command.origins, command.settings
        said_by = {"file": Origin.FILE, "environment": Origin.FLEET}[source]
        assert origins.of(("job", "max_attempts")) is said_by
        assert origins.of(("agent", "work_dir")) is Origin.FLEET, "it begins at the fleet's folder"
        found = {place: full(value) for place, value in flat(below)}
    if source == "environment":
        secrets = {place for place in there if place[1:] and isinstance(there[place], SecretStr)}
        assert not [place for place in secrets if as_read(there[place]) in note], "for no agent to read"
        # Nor is noted what would be wrong without them.
        there |= {place: value for place, value in defaults.items() if is_beside(place, secrets)}
    assert found == there
    with own_surroundings():
        named = Invocation().file
    assert named == {"file": tmp_path / "coalmine.toml"}.get(source, Path("coalmine.toml")), "after its end"


def is_beside(place: Place, secrets: set[Place]) -> bool:
    """Whether a setting is in a section that has a secret."""
    return any(place[: len(secret) - 1] == secret[:-1] for secret in secrets)


def full(value: Any) -> Any:
    """A path as it is from everywhere."""
    return value.absolute() if isinstance(value, Path) else value


def test_a_fleet_whose_server_is_known_to_it_alone_still_runs() -> None:
    """Its address has a password, which is not noted: the fleet runs, and it is said what to set."""
    os.environ["COALMINE_REDIS_URL"] = "redis://:s3cret@127.0.0.1:1/0"
    with LocalFleet(_plan(Invocation(), UpOptions(), Path(".coalmine"))):
        assert "s3cret" not in Path(".coalmine/running.json").read_text()
        with own_surroundings(), pytest.raises(SettingsError, match=r"runs, .* set COALMINE_REDIS_URL here"):
            _ = Invocation().coalmine


def test_nothing_of_a_section_with_a_secret_is_noted() -> None:
    """A section as JSON is one text, and what is set within it means nothing without it."""
    os.environ |= {
        "COALMINE_FORGE": '[{"kind": "gitea", "name": "corp", "base_url": "https://x.org", "token": "t0"}]',
        "COALMINE_FORGE__CORP__LABEL": "mine",
        "COALMINE_JOB": '{"max_attempts": 7}',
        "COALMINE_TIMES__RENEWALS": "9",
    }
    noted = open_variables(load_settings(), Origins.read(Path("coalmine.toml")))
    said = {name: text for name, text in noted.items() if name in os.environ}
    assert said == {"COALMINE_JOB": '{"max_attempts": 7}', "COALMINE_TIMES__RENEWALS": "9"}


OPTIONS = {"config": "other.toml", "redis_url": "redis://127.0.0.1:1/7", "broker_url": "memory://",
           "namespace": "mine"}  # fmt: skip


def test_every_option_before_a_command_is_tried() -> None:
    """One that is added to the root is among those that the tests below go through."""
    assert OPTIONS.keys() == {option.name for option in whole_command_line().shared_options}


def leaves(group: Any, *names: str) -> Any:
    """Every command that does something, with its name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *names, name)
        else:
            yield pytest.param(command, id=" ".join((*names, name)))


@pytest.mark.parametrize("command", list(leaves(whole_command_line())))
def test_options_before_a_command_may_stand_after_it(command: Any) -> None:
    """For every command; there they win over those before it, and a variable never stands for them."""
    os.environ |= {variable_of(name): "of-the-environment" for name in OPTIONS}
    root = typer.Context(get_command(app))
    root.obj = Invocation(given={"namespace": "before"})
    words = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", value)]
    context = command.context_class(command, parent=root, resilient_parsing=True)
    context.resilient_parsing = False
    parser = command.make_parser(context)
    values, _, order = parser.parse_args(args=list(words))
    for parameter in order:
        if parameter.name in OPTIONS:
            parameter.handle_parse_result(context, values, [])
    assert root.obj.config == Path("other.toml")
    assert root.obj.given == {name: value for name, value in OPTIONS.items() if name != "config"}
    assert root.obj.variables["COALMINE_CONFIG"] == str(Path("other.toml").absolute())


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"config"}))
@pytest.mark.parametrize("place", ["before", "after"])
def test_an_option_holds_over_environment_and_file(
    place: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In either place; the settings show it as from an option."""
    written({(name,): "of-the-file"})
    monkeypatch.setenv(variable_of(name), "of-the-environment")
    assert shown_setting(capsys, place, name, name) == [OPTIONS[name], "option"]
    assert as_read(getattr(load_settings(), name)) == "of-the-environment", "and nothing else was changed"


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_option_for_the_file_holds_over_its_variable(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And both over the file of the folder."""
    for file in ("coalmine.toml", "named.toml", OPTIONS["config"]):
        Path(file).write_text(f'namespace = "of-{Path(file).stem}"\n')
    monkeypatch.setenv("COALMINE_CONFIG", "named.toml")
    assert shown_setting(capsys, place, "config", "namespace") == ["of-other", "file"]


def shown_setting(capsys: pytest.CaptureFixture[str], place: str, option: str, setting: str) -> list[str]:
    """What `config show` prints of a setting, with an option before the command or after it."""
    given, command = [f"--{option.replace('_', '-')}", OPTIONS[option]], ["config", "show"]
    words = [*given, *command] if place == "before" else [*command, *given]
    assert get_command(app).main(words, standalone_mode=False) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{setting} ")]
    return line.split()[1:3]


def test_the_demonstration_refuses_settings() -> None:
    """They could not hold for it."""
    assert get_command(app).main(["demo", "--namespace", "x"], standalone_mode=False) == 2
