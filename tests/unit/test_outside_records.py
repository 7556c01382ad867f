"""What is read from files and records of others: whatever is in it, the answer is a record or one error."""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.errors import CorruptRecordError, SettingsError
from routing.store.archive.archive_file import check_archive, write_archive
from routing.store.archive.archive_reader import ArchiveReader, ReadCounts
from routing.store.archive.line import Header
from routing.store.jobs.record import parsed_job
from routing.store.trials.trial_store import parsed_trial
from tasks.settings.settings import Settings, load_settings
from tests.fleets.stepped_fleet import SteppedFleet

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("outside-records")

#: What may stand where something else was expected.
SCRAPS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "0", "-1", "1e999", "nan", "null", "[]", "{}", '{"v":9}', "true", "99999999999999999999"]
    ),
)

#: A value in a file of settings.
VALUES = st.one_of(
    st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.lists(st.integers(), max_size=2)
)


@pytest.fixture(scope="module")
def stored() -> dict[str, dict[str, str]]:
    """The records of a job and of a trial, as they are stored."""
    with fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        fleet = SteppedFleet(client, draws=[0.1])
        trial = fleet.on_trial()
        job = fleet.enqueue().job
        fleet.end(job)
        keys = fleet.app.keys
        return {"job": client.hgetall(keys.job(job)), "trial": client.hgetall(keys.trial(trial.id))}


@settings(max_examples=30)
@given(data=st.data())
def test_a_job_with_any_fields_is_read_or_refused(stored: dict[str, dict[str, str]], data: Any) -> None:
    """Fields of earlier and later releases, and damaged ones: a record, or CorruptRecordError."""
    fields = stored["job"]
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), SCRAPS, max_size=4))
    gone = data.draw(st.sets(st.sampled_from(sorted(fields)), max_size=4))
    more = data.draw(st.dictionaries(st.text(max_size=8), SCRAPS, max_size=2))
    given_fields = {name: value for name, value in {**more, **fields, **changed}.items() if name not in gone}
    with suppress(CorruptRecordError):
        parsed_job("0123456789abcdef", given_fields)


@given(data=st.data())
def test_a_trial_with_any_fields_is_read_or_refused(stored: dict[str, dict[str, str]], data: Any) -> None:
    """The store turns what its reader raises into CorruptRecordError: KeyError and ValueError alone."""
    fields = stored["trial"]
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), SCRAPS, max_size=4))
    gone = data.draw(st.sets(st.sampled_from(sorted(fields)), max_size=4))
    with suppress(KeyError, ValueError):
        parsed_trial("implementer-t1", {k: v for k, v in {**fields, **changed}.items() if k not in gone})


@given(
    section=st.sampled_from([*sorted(Settings.model_fields), "forge", "account", "x"]),
    keys=st.dictionaries(st.sampled_from(["kind", "enabled", "command", "policy", "seconds", "x"]), VALUES),
    is_list=st.booleans(),
)
def test_a_file_of_any_settings_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    section: str,
    keys: dict[str, Any],
    is_list: bool,  # noqa: FBT001
) -> None:
    """One SettingsError says what is wrong with them."""
    file: Path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    head = f"[[{section}]]" if is_list else f"[{section}]"
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8", errors="replace")
    with suppress(SettingsError):
        load_settings(file, warn=lambda _text: None)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines of an export."""
    with fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        fleet = SteppedFleet(client, draws=[0.1])
        fleet.on_trial()
        fleet.end(fleet.enqueue().job)
        file = tmp_path_factory.mktemp("archive") / "export.jsonl"
        header = Header(coalmine_export=1, release="0.1.0", namespace="test", at=1.0)
        entries = ArchiveReader(client, fleet.app.keys, fleet.clock).entries(ReadCounts())
        write_archive(file, header, entries)
        return file.read_bytes().splitlines(keepends=True)


@given(data=st.data())
def test_an_export_with_any_lines_is_checked(archive: list[bytes], data: Any) -> None:
    """Lines that are changed, gone or doubled are faults with their numbers, and nothing is raised."""
    lines = list(archive)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        line, cut = lines[place], data.draw(st.integers(0, 60))
        lines[place] = data.draw(
            st.sampled_from([b"", line[:cut], line[cut:], line + line, b"\xff\n", b"[]\n", b"{}\n"])
        )
    whole = b"".join(lines)
    checked = check_archive(io.BytesIO(whole))
    assert bool(checked.faults) == (whole != b"".join(archive))
