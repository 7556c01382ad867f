"""Settings: strict, all faults named at once, and never half understood."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from routing.errors import SettingsError
from tasks.settings.refused import PREFIX
from tasks.settings.settings import CanarySettings, Settings, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder and an environment without settings of ours."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_are_safe() -> None:
    """Without a file and variables nothing is configured and nothing is reachable."""
    settings = load_settings()
    assert settings.redis_url is None
    assert settings.forge == ()
    assert settings.model_dump() == Settings().model_dump()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(word, True) for word in ("1", "true", "YES", "on")],
        *[(word, False) for word in ("0", "False", "no", "OFF")],
    ],
)
def test_switches_know_these_words(monkeypatch: pytest.MonkeyPatch, text: str, value: object) -> None:
    """Eight words, in any case."""
    monkeypatch.setenv("COALMINE_CANARY__ENABLED", text)
    monkeypatch.setenv("COALMINE_KILL_SWITCH", text)
    settings = load_settings()
    assert (settings.canary.enabled, settings.kill_switch) == (value, value)


@pytest.mark.parametrize("text", ["", "maybe", "2", "t", "y", "yes ", "enabled", "None"])
@pytest.mark.parametrize(
    "name",
    [
        *("COALMINE_CANARY__ENABLED", "COALMINE_KILL_SWITCH", "COALMINE_AGENT__COMMIT_LEFTOVERS"),
        *("COALMINE_FORGE__GITHUB__KILL_SWITCH", "COALMINE_FORGE__GITEA__ENABLED"),
        *("COALMINE_FORGE__FORGEJO__CI", "COALMINE_ISSUES__MODEL__ENABLED"),
    ],
)
def test_other_words_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """A typo does not switch a fleet on or off: the variable is named."""
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize("text", ["", "maybe", "2", "t", "y"])
@pytest.mark.parametrize("name", ["RAMP", "STRICT"])
def test_switches_of_the_policy_are_as_strict(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """A trial's policy is read by the same rules."""
    monkeypatch.setenv(f"COALMINE_CANARY__POLICY__{name}", text)
    with pytest.raises(SettingsError, match=f"COALMINE_CANARY__POLICY__{name}"):
        load_settings()


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "", "soon", "1e99"])
@pytest.mark.parametrize(
    "name",
    [
        *("TIMES__LEASE_SECONDS", "TIMES__HARVEST_INTERVAL_SECONDS", "AGENT__STALL_SECONDS"),
        *("FORGE__GITHUB__PER_REPO", "FORGE__GITHUB__USD_PER_DAY", "FORGE__GITEA__USD_PER_JOB"),
        *("ISSUES__WATCH__FIX_FORWARDS", "ISSUES__WATCH__FIX_FORWARD_SECONDS", "HTTP__READ_SECONDS"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """Not a number, infinite, negative, empty, words, and more than a year."""
    monkeypatch.setenv(PREFIX + name, text)
    with pytest.raises(SettingsError, match=PREFIX + name):
        load_settings()


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "tökén"])
@pytest.mark.parametrize("forge", ["GITHUB", "GITEA", "FORGEJO"])
def test_a_token_that_could_not_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, forge: str, text: str
) -> None:
    """Before any process begins: one such forge would end the work for all others."""
    monkeypatch.setenv(f"COALMINE_FORGE__{forge}__BASE_URL", "https://git.example.com")
    monkeypatch.setenv(f"COALMINE_FORGE__{forge}__TOKEN", text)
    with pytest.raises(SettingsError, match=f"COALMINE_FORGE__{forge}__TOKEN") as raised:
        load_settings()
    assert not text or text not in str(raised.value)


def test_a_setting_that_there_is_not_is_called_that(elsewhere: Path) -> None:
    """A typo in a section's file is named, with where to look for the right word."""
    (elsewhere / "coalmine.toml").write_text('[forge.github]\nrepository = ["acme/shop"]\n', encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"forge\.github\.repository .*no such setting; `coalmine config show`"
    ):
        load_settings()


@pytest.mark.parametrize("text", ["true", "nan", "''"])
def test_numbers_in_the_file_are_as_strict(elsewhere: Path, text: str) -> None:
    """A truth value is not a number."""
    (elsewhere / "coalmine.toml").write_text(f"[times]\nlease_seconds = {text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="COALMINE_TIMES__LEASE_SECONDS"):
        load_settings()


@pytest.mark.parametrize("text", ["0", "1", "1.5", "nan"])
def test_share_outside_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The share of trials lies in (0,1) here as everywhere."""
    monkeypatch.setenv("COALMINE_CANARY__POLICY__SHARE", text)
    with pytest.raises(SettingsError, match="COALMINE_CANARY__POLICY__SHARE"):
        load_settings()


def test_all_faults_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody repairs a file one error at a time."""
    monkeypatch.setenv("COALMINE_KILL_SWITCH", "maybe")
    monkeypatch.setenv("COALMINE_TIMES__LEASE_SECONDS", "nan")
    monkeypatch.setenv("COALMINE_NAMESPACE", "No Such")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    for name in ("COALMINE_KILL_SWITCH", "COALMINE_TIMES__LEASE_SECONDS", "COALMINE_NAMESPACE"):
        assert name in str(raised.value)


@pytest.mark.parametrize("name", ["COALMINE_CANARIES__ENABLED", "COALMINE_CANARY__ENABELD", "COALMINE_REDIS"])
def test_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A variable that is not a setting is not ignored in silence."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_misspelt_name_in_the_file_is_refused(elsewhere: Path) -> None:
    """The same for a line of the file."""
    (elsewhere / "coalmine.toml").write_text("[canary]\nenabeld = true\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="enabeld"):
        load_settings()


def test_section_that_is_not_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole section can be given as JSON; what is none is named."""
    monkeypatch.setenv("COALMINE_CANARY", "{broken")
    with pytest.raises(SettingsError, match=r"(?i)canary"):
        load_settings()


def test_broken_file_is_named(elsewhere: Path) -> None:
    """The message says which file and where in it."""
    (elsewhere / "coalmine.toml").write_text("[canary\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"coalmine\.toml.*line 1"):
        load_settings()


def test_file_that_is_not_text_is_named(elsewhere: Path) -> None:
    """Bytes that are not UTF-8 are reported like any other fault."""
    (elsewhere / "coalmine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"coalmine\.toml"):
        load_settings()


def test_named_file_must_be_there(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody names and that is not there is an error, not an empty file."""
    monkeypatch.setenv("COALMINE_CONFIG", str(elsewhere / "gone.toml"))
    with pytest.raises(SettingsError, match=r"gone\.toml"):
        load_settings()


def test_environment_wins_over_the_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One value is replaced; its neighbours stay the file's."""
    (elsewhere / "fleet.toml").write_text(
        'namespace = "filed"\n[job]\nmax_attempts = 7\n[times]\nlease_seconds = 12\n', encoding="utf-8"
    )
    monkeypatch.setenv("COALMINE_CONFIG", str(elsewhere / "fleet.toml"))
    monkeypatch.setenv("COALMINE_JOB__MAX_ATTEMPTS", "5")
    settings = load_settings()
    assert (settings.namespace, settings.job.max_attempts, settings.times.lease_seconds) == ("filed", 5, 12)


def test_times_are_read_from_where_they_stood_before(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one warning that says the new names; the new name counts where one source says both."""
    (elsewhere / "coalmine.toml").write_text(
        "[job]\nlease_seconds = 12\nsweep_interval_seconds = 3\n[agent]\nwatchdog_interval_seconds = 7\n"
        "[canary]\nharvest_interval_seconds = 9\n[times]\nsweep_interval_seconds = 4\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("COALMINE_JOB__WATCH_INTERVAL_SECONDS", "8")
    said: list[str] = []
    times = load_settings(warn=said.append).times
    assert (times.lease_seconds, times.sweep_interval_seconds, times.watch_interval_seconds) == (12, 4, 8)
    assert (times.watchdog_interval_seconds, times.harvest_interval_seconds) == (7, 9)
    assert said[0].startswith("coalmine.toml: job.lease_seconds is called times.lease_seconds now\n")
    renamed = "COALMINE_JOB__WATCH_INTERVAL_SECONDS is called COALMINE_TIMES__WATCH_INTERVAL_SECONDS now"
    assert said[0].endswith(f"\nenvironment: {renamed}")


def test_the_warning_names_no_file_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old variable is one of the environment, whether there is a file or not."""
    monkeypatch.setenv("COALMINE_JOB__LEASE_SECONDS", "20")
    said: list[str] = []
    load_settings(warn=said.append)
    assert said == ["environment: COALMINE_JOB__LEASE_SECONDS is called COALMINE_TIMES__LEASE_SECONDS now"]


def test_a_variable_of_before_wins_over_the_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However each of them calls the setting."""
    (elsewhere / "coalmine.toml").write_text("[times]\nlease_seconds = 12\n", encoding="utf-8")
    monkeypatch.setenv("COALMINE_JOB__LEASE_SECONDS", "20")
    assert load_settings(warn=lambda _: None).times.lease_seconds == 20


@pytest.mark.parametrize(
    ("file", "variables", "warning"),
    [
        (
            '[issues.watch]\nfor_person_label = "ask"\n',
            {},
            "issues.watch.for_person_label is called issues.watch.escalation_label now",
        ),
        ('[forge.watch]\nfor_person_label = "ask"\n', {}, '[issues.watch]\nescalation_label = "ask"'),
        (
            "",
            {"COALMINE_ISSUES__WATCH__FOR_PERSON_LABEL": "ask"},
            "COALMINE_ISSUES__WATCH__FOR_PERSON_LABEL is called COALMINE_ISSUES__WATCH__ESCALATION_LABEL now",
        ),
        (
            '[issues.watch]\nescalation_label = "of the file"\n',
            {"COALMINE_FORGE__WATCH__FOR_PERSON_LABEL": "ask"},
            "COALMINE_FORGE__WATCH__FOR_PERSON_LABEL is called COALMINE_ISSUES__WATCH__ESCALATION_LABEL now",
        ),
        (
            "",
            {"COALMINE_FORGE__WATCH": '{"for_person_label": "ask"}'},
            "is called COALMINE_ISSUES__WATCH now",
        ),
    ],
)
def test_the_escalation_label_is_read_under_its_old_name(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, file: str, variables: dict[str, str], warning: str
) -> None:
    """From the file and from variables, in the section of before too; one warning says the new name."""
    (elsewhere / "coalmine.toml").write_text(file, encoding="utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said: list[str] = []
    assert load_settings(warn=said.append).issues.watch.escalation_label == "ask"
    assert warning in said[0]


def test_file_switches_routing_and_harvest_together(elsewhere: Path) -> None:
    """One setting holds for the draw and for the decision."""
    (elsewhere / "coalmine.toml").write_text("[canary]\nenabled = false\n", encoding="utf-8")
    assert load_settings().canary.enabled is False


def test_jobs_are_remembered_longer_than_they_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retention that forgets jobs before their score can settle is refused."""
    monkeypatch.setenv("COALMINE_JOB__RETENTION_DAYS", "8")
    with pytest.raises(SettingsError, match="COALMINE_JOB__RETENTION_DAYS"):
        load_settings()
    monkeypatch.setenv("COALMINE_JOB__RETENTION_DAYS", "8.1")
    assert load_settings().retention_seconds == 699_840


def test_half_a_local_forge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository without issues, or the other way round, is not a forge."""
    monkeypatch.setenv("COALMINE_FORGE__LOCAL__REPOSITORY", "repo")
    with pytest.raises(SettingsError, match="COALMINE_FORGE__LOCAL__ISSUES"):
        load_settings()


def test_credentials_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings nor their errors show a password."""
    monkeypatch.setenv("COALMINE_REDIS_URL", "redis://user:hunter2@localhost/0")
    monkeypatch.setenv("COALMINE_NAMESPACE", "hunter2!")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)
    monkeypatch.delenv("COALMINE_NAMESPACE")
    assert "hunter2" not in repr(load_settings())


def test_settings_are_frozen() -> None:
    """No part of a process changes them for another."""
    settings = load_settings()
    with pytest.raises(ValidationError):
        setattr(settings, "canary", CanarySettings(enabled=False))  # noqa: B010 - typed, it would not compile


@pytest.mark.parametrize("steps", ['["draw", "shadow"]', "[]", '["draw", "draw"]', '["live"]'])
def test_steps_are_some_of_all_in_their_order(monkeypatch: pytest.MonkeyPatch, steps: str) -> None:
    """Another order would show users a version before it has passed what shows them none of it."""
    monkeypatch.setenv("COALMINE_CANARY__STEPS", steps)
    with pytest.raises(SettingsError, match=r"canary\.steps"):
        load_settings()


def test_a_mode_that_is_none_of_the_steps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two would be ignored."""
    monkeypatch.setenv("COALMINE_CANARY__POLICY__MODE", "shadow")
    assert load_settings().steps == ("shadow",)
    monkeypatch.setenv("COALMINE_CANARY__STEPS", '["backtest", "draw"]')
    with pytest.raises(SettingsError, match=r"none of canary\.steps"):
        load_settings()
    monkeypatch.setenv("COALMINE_CANARY__STEPS", '["shadow", "draw"]')
    assert load_settings().steps == ("shadow", "draw")
