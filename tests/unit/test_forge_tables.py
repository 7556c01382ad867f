"""The forges of the settings: tables, variables that name them, and the sections of before."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.commands.config import flat
from routing.errors import SettingsError
from routing.forges.gitea.kind import ForgejoConfig, GiteaConfig
from routing.forges.github.kind import GitHubConfig
from routing.forges.local.forge import LocalConfig
from tasks.settings.settings import PREFIX, Settings, load_settings

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
        ('[[forge]]\nkind = "gitlab"', "no kind of forge is called 'gitlab'; use one of: local, github"),
        ('[[forge]]\nname = "corp"', "no kind of forge is called ''"),
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
        "\nenvironment: COALMINE_FORGE__GITHUB__… is called COALMINE_FORGE__HUB__… now"
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
