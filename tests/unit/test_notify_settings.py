"""Settings of notifications: strict, nothing by default, and secrets never shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from console.output.settings_view import shown_value
from routing.errors import SettingsError
from tasks.broker import NOTIFY, schedule
from tasks.notify.log_sink import LogSink
from tasks.notify.notification import NotificationKind
from tasks.notify.settings import NotifySettings
from tasks.notify.sink import Sink, SinkSettings
from tasks.settings.origins import flat
from tasks.settings.settings import Settings, load_settings

SECRET = "a-secret-of-some-length"  # noqa: S105 - of these tests
ADDRESS = "https://hooks.example.com/services/T000/B000/XXXX"


def test_by_default_nothing_is_sent() -> None:
    """No sink, and no tick."""
    assert not NotifySettings().is_on
    assert list(NotifySettings().configured(lambda: 0.0)) == []
    assert NOTIFY not in schedule(Settings())


@pytest.mark.parametrize(
    "given",
    [
        {"log": {"enabled": "on"}},
        {"slack": {"url": ADDRESS}},
        {"webhook": {"url": ADDRESS, "secret": SECRET}},
    ],
)
def test_any_sink_starts_the_tick(given: dict[str, Any]) -> None:
    """Beat looks for news only when there is a sink."""
    settings = Settings.model_validate({"notify": given | {"interval_seconds": 3}})
    assert schedule(settings)[NOTIFY]["schedule"] == 3


@pytest.mark.parametrize(
    "given", ["done, worker_lost", '["done","worker-lost"]', ["done", "worker lost"], ("done", "worker_lost")]
)
def test_kinds_are_a_list_or_have_commas(given: object) -> None:
    """As a file and as a variable has them."""
    settings = NotifySettings.model_validate({"log": {"kinds": given}})
    assert settings.log.kinds == (NotificationKind.DONE, NotificationKind.WORKER_LOST)


def test_an_unknown_kind_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet does not start with a kind that nothing would ever be sent of."""
    monkeypatch.setenv("COALMINE_NOTIFY__SLACK__KINDS", "done,finished")
    with pytest.raises(SettingsError, match=r"COALMINE_NOTIFY__SLACK__KINDS.*'finished' is not a kind"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.com/services/TOPSECRET",
        "https://user:TOPSECRET@hooks.example.com/",
        "https:///TOPSECRET",
        "ftp://hooks.example.com/TOPSECRET",
        "file:///TOPSECRET",
        "https://hooks.example.com/TOPSECRET#x",
        "https://hooks.example.com/TOP SECRET",
        "https://hooks.example.com:99999/TOPSECRET",
        "https://[TOPSECRET",
        "TOPSECRET",
        "",
    ],
)
@pytest.mark.parametrize("sink", ["slack", "webhook"])
def test_an_address_that_is_none_is_refused_and_not_shown(sink: str, address: str) -> None:
    """https, or http on this machine; an address is a secret, also a wrong one."""
    with pytest.raises(ValidationError) as error:
        NotifySettings.model_validate(
            {sink: {"url": address, **({"secret": SECRET} if sink == "webhook" else {})}}
        )
    assert "TOPSECRET" not in str(error.value)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8000/x", "http://[::1]/x", "http://localhost/x", f"{ADDRESS}?a=b"]
)
def test_an_address_on_this_machine_may_be_plain(address: str) -> None:
    """And one elsewhere may have a query, which some services put their token into."""
    assert NotifySettings.model_validate({"slack": {"url": address}}).is_on


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook": {"url": ADDRESS}},
        {"webhook": {"url": ADDRESS, "secret": "short"}},
        {"webhook": {"url": ADDRESS, "secret": "whsec_!!!not-base64-at-all!!!"}},
        {"webhook": {"previous_secret": SECRET}},
        {"attempts": 0},
        {"attempts": "nan"},
        {"interval_seconds": 0},
        {"answer_seconds": 31},
        {"log": {"enabled": "perhaps"}},
        {"teams": {}},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Deliveries are always signed, numbers are in range, words are known."""
    with pytest.raises(ValidationError):
        NotifySettings.model_validate(wrong)


def test_secrets_and_addresses_are_masked() -> None:
    """`config show` prints neither."""
    given = {
        "slack": {"url": ADDRESS},
        "webhook": {"url": ADDRESS, "secret": SECRET, "previous_secret": SECRET},
    }
    settings = Settings.model_validate({"notify": given})
    shown = str([shown_value(place[-1], value) for place, value in flat(settings)])
    for text in (shown, repr(settings), str(settings.model_dump())):
        assert "XXXX" not in text
        assert SECRET not in text
    assert shown.count("********") == 4


class PagerSettings(SinkSettings):
    """A sink of a test's own, as its one file has it."""

    room: str = ""

    @property
    def is_on(self) -> bool:
        """Whether it has a room."""
        return bool(self.room)

    def sink(self, *, answer_seconds: float, clock: Callable[[], float]) -> Sink | None:
        """The log, under another name."""
        del answer_seconds, clock
        made = LogSink()
        made.name = "pager"
        return made if self.is_on else None


class WithPager(NotifySettings):
    """With the one line that a new sink takes."""

    pager: PagerSettings = PagerSettings()


def test_new_sink_is_one_file_and_one_line() -> None:
    """Its settings are read, it is made, and whether there is any sink is answered with it in mind."""
    assert WithPager.names() == ["log", "webhook", "slack", "pager"]
    assert not WithPager().is_on
    made = WithPager.model_validate({"pager": {"room": "ops", "kinds": "done"}})
    assert made.is_on
    assert [(sink.name, kinds) for sink, kinds in made.configured(lambda: 0.0)] == [
        ("pager", (NotificationKind.DONE,))
    ]
