"""The forges of the settings: tables, variables that name them, and the sections of before."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routing.errors import SettingsError
from routing.forges.gitea.kind import ForgejoConfig, GiteaConfig
from routing.forges.github.kind import GitHubConfig
from routing.forges.local.config import LocalConfig
from tasks.settings.forge_tables import ForgeTables
from tasks.settings.origins import Origins, flat
from tasks.settings.refused import PREFIX
from tasks.settings.settings import Settings, load_settings

#: A whole settings file of before: coalmine.example.toml of commit 134cb88.
OF_BEFORE = Path(__file__).parents[1] / "recordings" / "settings" / "one-section-a-kind.toml"

Load = Callable[..., Settings]


@pytest.fixture
def said() -> list[str]:
    """What was said of old forms."""
    return []


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Load:
    """Reads a settings file of this text with these variables and no other."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)

    def loaded(text: str = "", **variables: str) -> Settings:
        file = tmp_path / "coalmine.toml"
        file.write_text(text, encoding="utf-8")
        for name, value in variables.items():
            monkeypatch.setenv(f"{PREFIX}{name}", value)
        return load_settings(file, warn=said.append)

    return loaded


def test_a_table_a_forge_each_of_its_kind(load: Load, said: list[str]) -> None:
    """Several of one kind have names of their own; each is of its kind's own class."""
    settings = load(
        '[[forge]]\nkind = "github"\n[[forge]]\nkind = "gitea"\nname = "corp"\n'
        '[[forge]]\nkind = "gitea"\nlabel = "agent"\n[[forge]]\nkind = "local"\n'
        '[[forge]]\nkind = "forgejo"\nusd_per_day = 5\n'
    )
    assert [(type(forge), forge.name) for forge in settings.forge] == [
        (GitHubConfig, "github"),
        (GiteaConfig, "corp"),
        (GiteaConfig, "gitea"),
        (LocalConfig, "local"),
        (ForgejoConfig, "forgejo"),
    ]
    assert [forge.label for forge in settings.forge[1:4]] == ["coalmine", "agent", None]
    assert said == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[forge]]\nkind = "github"\n[[forge]]\nkind = "github"', "two forges are called github"),
        (
            '[[forge]]\nkind = "bitbucket"',
            "no kind of forge is called 'bitbucket'; use one of: local, github",
        ),
        ('[[forge]]\nname = "corp"', r"forge\.corp\.kind \(COALMINE_FORGE__CORP__KIND\): kind is missing"),
        ("[[forge]]", r"forge\.0\.kind .*kind is missing"),
        ('[[forge]]\nkind = "gitea"\nname = "Corp"', r"forge\.Corp\.name \(COALMINE_FORGE__CORP__NAME\)"),
        ('[[forge]]\nkind = "gitea"\nname = "my-corp"\nper_repo = 0', "COALMINE_FORGE__MY_CORP__PER_REPO"),
        ('[[forge]]\nkind = "github"\nissues = "x"', r"forge\.github\.issues .*there is no such setting"),
        ('[[forge]]\nkind = "github"\n[forge.watch]\nfix_forwards = 1', r"write issues\.watch"),
        ("forge = [7]", "is a table"),
    ],
)
def test_wrong_tables_are_named(load: Load, text: str, says: str) -> None:
    """By the name of the forge, with the variable that would set the field."""
    with pytest.raises(SettingsError, match=says):
        load(text)


def test_variables_name_their_forge_and_win_over_its_table(load: Load) -> None:
    """The other forge of the kind gets nothing of it; a dash is an underscore there."""
    settings = load(
        '[[forge]]\nkind = "gitea"\nname = "my-corp"\nbase_url = "https://a.example"\nper_repo = 2\n'
        '[[forge]]\nkind = "gitea"\nname = "old"\nbase_url = "https://b.example"\n',
        FORGE__MY_CORP__TOKEN="t0ken",  # noqa: S106 - of the test
        FORGE__MY_CORP__PER_REPO="3",
    )
    mine, other = settings.forge
    assert (mine.is_served, mine.per_repo) == (True, 3)
    assert (other.is_served, other.per_repo) == (False, 1)


def test_variables_alone_make_a_forge(load: Load) -> None:
    """One that is called like its kind, or one that they name the kind of."""
    settings = load(
        FORGE__GITHUB__REPOSITORIES="acme/shop,acme/app",
        FORGE__CORP__KIND="gitea",
        FORGE__CORP__BASE_URL="https://git.example.com",
    )
    assert {forge.name: (forge.kind, forge.allow_list) for forge in settings.forge} == {
        "github": ("github", ("acme/shop", "acme/app")),
        "corp": ("gitea", ()),
    }


def test_a_variable_of_no_forge_is_refused(load: Load) -> None:
    """A name that was misspelt leaves no token behind where nobody looks."""
    with pytest.raises(
        SettingsError, match=r"COALMINE_FORGE__CROP__TOKEN names the forge crop.*there are: corp"
    ):
        load('[[forge]]\nkind = "gitea"\nname = "corp"\n', FORGE__CROP__TOKEN="t0ken")  # noqa: S106 - of the test


def test_all_forges_may_be_one_variable(load: Load) -> None:
    """As JSON, the way every section may be."""
    settings = load(FORGE='[{"kind": "github", "login": "bot"}]', FORGE__GITHUB__PER_REPO="2")
    assert [(forge.name, forge.per_repo) for forge in settings.forge] == [("github", 2)]


def test_the_file_of_before_means_the_same(load: Load, said: list[str]) -> None:
    """Every value of it is where it is now, and one warning shows how to write it."""
    old = load(OF_BEFORE.read_text(encoding="utf-8"), FORGE__GITEA__BASE_URL="https://git.example.com")
    (warning,) = said
    lines = warning.partition("write:\n")[2].splitlines()
    shown = "\n".join(line for line in lines if not line.endswith(" now"))
    new = load(_without_forges(OF_BEFORE) + shown)
    assert dict(flat(new)) == dict(flat(old))
    assert [forge.name for forge in old.forge] == ["local", "github", "gitea", "forgejo"]
    assert not any("[[forge]]" in text for text in said[1:])


def _without_forges(file: Path) -> str:
    """The sections of the file that have not changed."""
    kept, is_kept = list[str](), True
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            is_kept = not line.startswith("[forge")
        if is_kept:
            kept.append(line)
    return "\n".join(kept)


def test_old_sections_are_shown_as_they_are_written_now(load: Load, said: list[str]) -> None:
    """Ready to paste; secrets are masked, and what has another name has it."""
    settings = load(
        '[forge.local]\nrepository = "."\nissues = "."\nat_once = 3\n'
        '[forge.github]\nname = "hub"\ntoken = "s3cret-t0ken"\nrepositories = ["acme/shop"]\n'
        '[forge.watch]\nfix_forwards = 2\n[forge.http]\nattempts = 7\n[forge.model]\napi_key = "s3cret-k3y"\n'
    )
    (text,) = said
    pasted = text.partition("write:\n")[2]
    assert pasted == (
        '\n[[forge]]\nkind = "local"\nrepository = "."\nissues = "."\nper_repo = 3\n'
        '\n[[forge]]\nkind = "github"\nname = "hub"\n'
        '# token = "********"  (the value stays; better in the environment)\nrepositories = ["acme/shop"]\n'
        "\n[issues.watch]\nfix_forwards = 2\n"
        '\n[issues.model]\n# api_key = "********"  (the value stays; better in the environment)\n'
        "\n[http]\nattempts = 7\n"
    )
    assert "s3cret" not in text
    assert [(forge.name, forge.per_repo) for forge in settings.forge] == [("local", 3), ("hub", 1)]
    assert (settings.issues.watch.fix_forwards, settings.http.attempts) == (2, 7)


@pytest.mark.parametrize(
    ("variables", "value", "renamed"),
    [
        (
            {"FORGE__WATCH__FIX_FORWARDS": "2"},
            lambda settings: settings.issues.watch.fix_forwards,
            "COALMINE_FORGE__WATCH__FIX_FORWARDS is called COALMINE_ISSUES__WATCH__FIX_FORWARDS now",
        ),
        (
            {"FORGE__FLEET_SIZE": "2"},
            lambda settings: settings.issues.fleet_size,
            "COALMINE_FORGE__FLEET_SIZE is called COALMINE_ISSUES__FLEET_SIZE now",
        ),
        (
            {"FORGE__HTTP": '{"attempts": 2}'},
            lambda settings: settings.http.attempts,
            "COALMINE_FORGE__HTTP is called COALMINE_HTTP now",
        ),
        (
            {"FORGE__LOCAL__AT_ONCE": "2"},
            lambda settings: settings.forge[0].per_repo,
            "COALMINE_FORGE__LOCAL__AT_ONCE is called COALMINE_FORGE__LOCAL__PER_REPO now",
        ),
    ],
)
def test_variables_of_before_are_read(
    load: Load, said: list[str], variables: dict[str, str], value: Callable[[Settings], Any], renamed: str
) -> None:
    """Each with one line that says what it is called now."""
    assert value(load(**variables)) == 2
    assert said == [f"environment: {renamed}"]


def test_a_variable_of_before_is_over_the_file_and_under_its_own_new_name(load: Load) -> None:
    """Renaming it in one place of two does no harm."""
    file = "[issues.watch]\nfix_forwards = 1\n"
    assert load(file, FORGE__WATCH__FIX_FORWARDS="2").issues.watch.fix_forwards == 2
    assert load(file, ISSUES__WATCH__FIX_FORWARDS="3").issues.watch.fix_forwards == 3


def test_the_old_section_answers_to_both_of_its_names(load: Load) -> None:
    """Its variables were called after the section, whatever the forge is called."""
    section = '[forge.github]\nname = "hub"\n'
    assert load(section, FORGE__GITHUB__PER_REPO="2").forge[0].per_repo == 2
    assert load(section, FORGE__HUB__PER_REPO="3").forge[0].per_repo == 3


def test_a_section_of_no_kind_is_refused(load: Load) -> None:
    """A misspelt one is not taken for a forge."""
    with pytest.raises(SettingsError, match="no kind of forge is called 'gihub'"):
        load('[forge.gihub]\nrepositories = ["acme/shop"]\n')


def test_local_forges_remember_in_places_of_their_own(load: Load) -> None:
    """Verdicts of one are not those of another."""
    settings = load('[[forge]]\nkind = "local"\n[[forge]]\nkind = "local"\nname = "other"\n')
    places = [forge.memory for forge in settings.forge if isinstance(forge, LocalConfig)]
    assert places == [Path(".coalmine/forge"), Path(".coalmine/forge/other")]


@pytest.mark.parametrize(
    "text",
    [
        '[forge.gihub]\ntoken = "s3cret"\n',
        '[forge.github]\ntokn = "s3cret"\n',
        '[forge.github.foo]\ntoken = "s3cret"\n',
        '[forge.gitea]\nbase_url = "https://u:s3cret@git.example.com"\n',
        '[forge.gitea]\nbase_url = "https://s3cret@git.example.com"\n[forge.watch]\nnope = "s3cret"\n',
    ],
)
def test_no_secret_is_said_of_wrong_settings(load: Load, said: list[str], text: str) -> None:
    """What is wrong may be a secret in a wrong place; nothing is said but what is wrong."""
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert said == []
    assert "s3cret" not in str(caught.value)


def test_what_may_be_a_secret_is_masked() -> None:
    """Unknown fields, tables, and URLs with user information, whatever the settings would say of them."""
    file = {
        "forge": {
            "github": {
                "tokn": "s3cret",
                "foo": {"token": "s3cret"},
                "base_url": "https://u:s3cret@x.example",
            },
            "gihub": {"token": "s3cret", "login": "s3cret"},
            "local": {"repository": "https://s3cret@x.example/a", "main": "kept", "ci": ["ssh://s3cret@x"]},
            "watch": {"nope": "s3cret"},
            "model": {"url": "https://u:s3cret@x.example", "nope": {"deep": "s3cret"}},
        }
    }
    warning = ForgeTables.read(file, {}).file_warning(file)
    assert "s3cret" not in warning
    assert 'main = "kept"' in warning


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("[forge]\nfleet_sze = 5", {}, r"forge\.fleet_sze is neither a setting.*correct its name"),
        ('forge = "x"', {}, r"write one \[\[forge\]\] table"),
        ("[forge]\nhttp = 5", {}, r"forge\.http is a section.*write \[http\]"),
        ('[[forge]]\nkind = "github"\nname = 5', {}, r"forge\.github\.name .*a name is"),
        ('[[forge]]\nkind = "github"\nname = ["a"]', {"FORGE__GITHUB__TOKEN": "t"}, "a name is"),
        ("", {"FORGE__GITHUB": "[1]"}, "COALMINE_FORGE__GITHUB holds a list; give a JSON object"),
        ("", {"FORGE__HTTP": "[1]"}, "COALMINE_FORGE__HTTP holds a list; give a JSON object"),
        ("", {"FORGE__GITHUB": '{"name": 5}'}, "a name is"),
        ("", {"FORGE__CORP": "{}"}, "COALMINE_FORGE__CORP names the forge corp"),
        ("", {"FORGE": '{"github": null}'}, "COALMINE_FORGE: github is neither a setting"),
        ("", {"FORGE": '{"http": 5}'}, "COALMINE_FORGE: http is a section"),
        ("", {"FORGE": "[1]"}, "each forge in COALMINE_FORGE is a table"),
        ("", {"FORGE__FLEET_SIZE": "5", "FORGE__FLEET_SIZE__X": "5"}, "FLEET_SIZE__X is set, and fleet_size"),
    ],
)
def test_malformed_input_is_named(load: Load, text: str, variables: dict[str, str], says: str) -> None:
    """It is an error in the settings, never of the program."""
    with pytest.raises(SettingsError, match=says):
        load(text, **variables)


@pytest.mark.parametrize(
    ("text", "json"),
    [
        ('[forge.github]\nlabel = "a"\nper_repo = 2\n', '{"github": {"label": "b"}}'),
        ('[forge.github]\nlabel = "a"\nper_repo = 2\n', '[{"kind": "github", "label": "b"}]'),
        ('[[forge]]\nkind = "github"\nlabel = "a"\nper_repo = 2\n', '{"github": {"label": "b"}}'),
        ('[[forge]]\nkind = "github"\nlabel = "a"\nper_repo = 2\n', '[{"kind": "github", "label": "b"}]'),
    ],
)
@pytest.mark.parametrize("variable", ["COALMINE_FORGE", "coalmine_forge"])
def test_forges_as_json_are_merged_into_the_tables(
    load: Load, monkeypatch: pytest.MonkeyPatch, text: str, json: str, variable: str
) -> None:
    """By the name of the forge or of its section, as every variable wins over the file."""
    monkeypatch.setenv(variable, json)
    (forge,) = load(text).forge
    assert (forge.name, forge.label, forge.per_repo) == ("github", "b", 2)


def test_two_forges_of_one_name_in_json_are_refused(load: Load) -> None:
    """They are not merged with each other."""
    with pytest.raises(SettingsError, match="two forges in COALMINE_FORGE are called github"):
        load(FORGE='[{"kind": "github"}, {"kind": "github"}]')


def test_hints_name_variables_that_are_set(load: Load, said: list[str]) -> None:
    """Those that are called after an old section whose forge has a name of its own."""
    load('[forge.github]\nname = "hub"\n', FORGE__GITHUB__PER_REPO="2", FORGE__HUB__LABEL="x")
    hints = said[0].partition("environment: ")[2]
    assert hints == "COALMINE_FORGE__GITHUB__PER_REPO is called COALMINE_FORGE__HUB__PER_REPO now"


def test_hints_about_variables_alone_can_be_followed(
    load: Load, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new name has no kind of its own, so the hint says to set it."""
    old = load(FORGE__GITHUB__NAME="corp", FORGE__GITHUB__PER_REPO="2").forge
    (text,) = said
    assert text.splitlines() == [
        "environment: COALMINE_FORGE__GITHUB__PER_REPO is called COALMINE_FORGE__CORP__PER_REPO now",
        "set COALMINE_FORGE__CORP__KIND=github in place of `name` in COALMINE_FORGE__GITHUB__NAME",
    ]
    monkeypatch.delenv("COALMINE_FORGE__GITHUB__NAME")
    monkeypatch.delenv("COALMINE_FORGE__GITHUB__PER_REPO")
    assert load(FORGE__CORP__KIND="github", FORGE__CORP__PER_REPO="2").forge == old
    assert said[1:] == []


def test_a_name_from_a_variable_over_an_old_section_needs_no_hint(load: Load, said: list[str]) -> None:
    """Its variables go on working when the file is rewritten as the warning says."""
    load("[forge.github]\nper_repo = 2\n", FORGE__GITHUB__NAME="corp", FORGE__CORP__LABEL="x")
    assert "environment" not in said[0]


def test_a_variable_of_the_kind_is_not_taken_for_another_forge(load: Load) -> None:
    """The token would be one of a forge that nobody meant."""
    file = '[[forge]]\nkind = "github"\nname = "corp"\n'
    with pytest.raises(SettingsError, match="write COALMINE_FORGE__CORP__TOKEN, or set") as caught:
        load(file, FORGE__GITHUB__TOKEN="s3cret")  # noqa: S106 - of the test
    assert "s3cret" not in str(caught.value)
    forges = load(file, FORGE__GITHUB__KIND="github").forge
    assert [forge.name for forge in forges] == ["corp", "github"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[forge]\nfleet_size = 5\n[issues]\nfleet_size = 9\n", lambda made: made.issues.fleet_size),
        ("[forge.http]\nattempts = 5\n[http]\nattempts = 9\n", lambda made: made.http.attempts),
        ("[forge.local]\nper_repo = 9\nat_once = 5\n", lambda made: made.forge[0].per_repo),
        ("[forge.local]\nat_once = 5\nper_repo = 9\n", lambda made: made.forge[0].per_repo),
    ],
)
def test_in_the_file_the_new_name_counts(load: Load, text: str, value: Callable[[Settings], int]) -> None:
    """A person who adds it beside the old one means it, in whatever order they stand."""
    assert value(load(text)) == 9


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(
            ("gitea", name)
            for name in (
                *("watch", "model", "backlog", "http", "fleet-size", "dispatch-interval-seconds", "local"),
                *("my_corp", "corp-", "-corp", "Corp", "a" * 41, ""),
            )
        ),
        *(("local", name) for name in ("ci", "logs", "statuses", "branches", "watch")),
    ],
)
def test_names_that_cannot_be_used_are_refused(load: Load, kind: str, name: str) -> None:
    """No variable would reach such a forge, or its folder is one of another forge."""
    with pytest.raises(SettingsError, match=rf"forge\.{name}\.name \(COALMINE_FORGE__"):
        load(f'[[forge]]\nkind = "{kind}"\nname = "{name}"\n')


@pytest.mark.parametrize("name", ["a", "a" * 40, "my-corp", "c2"])
def test_other_names_are_reached_by_variables(load: Load, name: str) -> None:
    """Each with a `-` as `_`."""
    variable = f"FORGE__{name.replace('-', '_').upper()}__PER_REPO"
    (forge,) = load(f'[[forge]]\nkind = "gitea"\nname = "{name}"\n', **{variable: "3"}).forge
    assert (forge.name, forge.per_repo) == (name, 3)


def test_a_name_is_checked_before_variables_look_for_it(load: Load) -> None:
    """The name is what is wrong, not the variable."""
    with pytest.raises(SettingsError, match=r"forge\.my_corp\.name .*a name is 1 to 40"):
        load('[[forge]]\nkind = "gitea"\nname = "my_corp"\n', FORGE__MY_CORP__TOKEN="t")  # noqa: S106


def test_an_empty_section_needs_no_other_form(load: Load, said: list[str]) -> None:
    """There is nothing to write in its place."""
    load("[forge]\n")
    assert said == []


def test_infinity_is_written_as_toml() -> None:
    """JSON's word for it would not be read."""
    file = {"forge": {"github": {"usd_per_day": float("inf")}}}
    lines = ForgeTables.read(file, {}).file_warning(file).splitlines()
    assert tomllib.loads("\n".join(lines[1:])) == {"forge": [{"kind": "github", "usd_per_day": float("inf")}]}


def test_what_goes_into_a_section_that_is_there_is_said(load: Load, said: list[str]) -> None:
    """A second section of the name would be refused; what the new section says already is left out."""
    load(
        "[forge]\nfleet_size = 5\ndispatch_interval_seconds = 7\n[forge.http]\nattempts = 2\nmax_pages = 3\n"
        "[issues]\nfleet_size = 9\n[http]\nattempts = 9\n"
    )
    assert said[0].partition("write:\n\n")[2].splitlines() == [
        *("[times]", "dispatch_interval_seconds = 7", ""),
        *("# merge into [http], which is there already:", "max_pages = 3"),
    ]


def test_an_old_time_in_json_is_said(load: Load, said: list[str]) -> None:
    """A section as one variable has old names, too."""
    assert load(JOB='{"lease_seconds": 44}').times.lease_seconds == 44
    assert said == ["environment: lease_seconds in COALMINE_JOB is called COALMINE_TIMES__LEASE_SECONDS now"]


def test_the_source_of_values_is_found_beside_old_forms(tmp_path: Path, load: Load) -> None:
    """Of a section that the file has in its old and in its new form, and of old names in variables."""
    settings = load(
        "[forge]\nfleet_size = 5\n[issues.watch]\nfix_forwards = 2\n[forge.watch]\nfix_forward_seconds = 9\n",
        JOB='{"lease_seconds": 44}',
        FORGE__MODEL='{"max_tokens": 99}',
    )
    origins = Origins.read(tmp_path / "coalmine.toml")
    sources = {".".join(place): origins.of(place) for place, _ in flat(settings)}
    assert {name: source for name, source in sources.items() if source != "default"} == {
        "issues.fleet_size": "file",
        "issues.watch.fix_forwards": "file",
        "issues.watch.fix_forward_seconds": "file",
        "issues.model.max_tokens": "environment",
        "times.lease_seconds": "environment",
    }
