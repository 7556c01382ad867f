"""Export and import through the command line: a whole store moves to another namespace and works on there."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobState
from routing.store.archive import archive_writer
from routing.store.archive.key_kinds import kind_of
from routing.store.archive.put_back import REASON
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import Settings
from tests.integration.test_stored_by_134cb88 import JOBS, load
from tests.leaks import leaks
from tests.programs.command_line import CommandLine, own_surroundings
from tests.source import ROOT

#: What is not copied as it is: it is put back, or rebuilt.
CHANGED = {"leases", "outbox", "paused"}


@pytest.fixture
def coalmine(redis_client: redis.Redis, redis_server: PrivateServer, tmp_path: Path) -> Iterator[CommandLine]:
    """The command line over a server that holds all kinds of records."""
    load(redis_client)
    client: Any = redis_client
    client.hset("coalmine:breakers", "claude:a/*", json.dumps({"account": "claude:a", "state": "open"}))
    client.rpush("coalmine:trial:implementer-t1:history", *[json.dumps({"v": 1}) for _ in range(2500)])
    with own_surroundings():
        yield CommandLine(redis_server.url, tmp_path)


@pytest.fixture
def parts(redis_server: PrivateServer, coalmine: CommandLine) -> Iterator[Coalmine]:
    """The fleet that was imported."""
    del coalmine
    settings = Settings.model_validate({"redis_url": redis_server.url, "namespace": "other"})
    with closing(compose(settings)) as made:
        yield made


def exported(coalmine: CommandLine) -> Path:
    """The file of an export."""
    file = coalmine.folder / "backup.jsonl"
    coalmine.shown("export", str(file))
    return file


def values(client: Any, namespace: str) -> dict[str, Any]:
    """What is stored of each key that is copied, by its name without the namespace."""
    found: dict[str, Any] = {}
    for key in client.scan_iter(f"{namespace}:*"):
        name = key.removeprefix(f"{namespace}:")
        kind = kind_of(name)
        if kind is not None and not kind.left_out and name not in CHANGED:
            found[name] = {
                "string": client.get,
                "hash": client.hgetall,
                "list": lambda key: client.lrange(key, 0, -1),
                "set": client.smembers,
                "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
                "stream": client.xrange,
            }[client.type(key)](key)
    return found


def acts(decisions: list[tuple[str, dict[str, str]]]) -> list[str]:
    """What was decided in a namespace, as its stream of decisions says."""
    return [fields["act"] for _, fields in decisions]


def test_everything_moves(coalmine: CommandLine, parts: Coalmine, redis_client: redis.Redis) -> None:
    """Every record is the same in the other namespace, with its time to live; what runs waits there."""
    file = exported(coalmine)
    coalmine.shown("import", str(file), COALMINE_NAMESPACE="other")
    client: Any = redis_client
    before, after = values(client, "coalmine"), values(client, "other")
    assert acts(after.pop("decisions")) == ["import"]
    jobs = {name: value for name, value in before.items() if kind_of(name) == kind_of("job:x")}
    running = {name for name, job in jobs.items() if job["state"] == JobState.RUNNING and "cancel" not in job}
    assert f"job:{JOBS['running']}" in running
    assert client.zrange("other:leases", 0, -1) == [JOBS["cancelling"]]
    assert {name: before[name] for name in before.keys() - running} == {
        name: after[name] for name in after.keys() - running
    }
    for name in before:
        left, kept = client.ttl(f"other:{name}"), client.ttl(f"coalmine:{name}")
        assert abs(left - kept) <= 5, name
    for name in running:
        job = parts.jobs.find(name.removeprefix("job:"))
        assert (job.state, job.reason) == (JobState.QUEUED, REASON)
        assert job.attempts == int(before[name]["attempts"]) - 1
        assert job.id in client.zrange("other:outbox", 0, -1)
    waiting = {*client.zrange("coalmine:outbox", 0, -1), *client.zrange("coalmine:unclaimed", 0, -1)}
    assert waiting <= set(client.zrange("other:outbox", 0, -1))
    assert leaks_of(client, parts) == []


def leaks_of(client: Any, parts: Coalmine) -> list[str]:
    """Keys of the imported namespace that would be left for ever."""
    return [key for key in leaks(client, parts.keys) if key.startswith("other:")]


def test_imported_jobs_are_claimed_once_dispatch_resumes(coalmine: CommandLine, parts: Coalmine) -> None:
    """Nothing is done before a person resumes; then a job that ran is claimed under a higher fence."""
    file = exported(coalmine)
    said = coalmine.shown("import", str(file), COALMINE_NAMESPACE="other")
    assert "coalmine resume" in said
    assert "imported from coalmine" in (parts.switch.reason() or "")
    job = parts.jobs.find(JOBS["running"])
    assert parts.jobs.claim(job.id, worker="w1", lease_seconds=30) is not None
    assert parts.jobs.find(job.id).state is JobState.QUEUED
    coalmine.shown("resume", COALMINE_NAMESPACE="other")
    parts.jobs.claim(job.id, worker="w1", lease_seconds=30)
    now = parts.jobs.find(job.id)
    assert (now.state, now.fence) == (JobState.RUNNING, job.fence + 1)


def test_an_interrupted_import_goes_on(
    coalmine: CommandLine, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command again writes the rest, and nothing twice; another file is refused meanwhile."""
    file = exported(coalmine)
    whole = archive_writer.ArchiveWriter.write
    steps = iter([whole, whole])

    def stops(self: Any, entries: Any, *, done: int) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step(self, entries, done=done)

    monkeypatch.setattr(archive_writer.ArchiveWriter, "write", stops)
    assert coalmine("import", str(file), COALMINE_NAMESPACE="other").exit_code == 130
    monkeypatch.undo()
    client: Any = redis_client
    assert int(client.hget("other:importing", "done")) == 100
    second = coalmine.folder / "second.jsonl"
    coalmine.shown("export", str(second))
    refused = coalmine("import", str(second), COALMINE_NAMESPACE="other")
    assert (refused.exit_code, "half done" in refused.stderr) == (4, True)
    rest: list[int] = []

    def counts(self: Any, entries: Any, *, done: int) -> None:
        rest.append(len(entries))
        whole(self, entries, done=done)

    monkeypatch.setattr(archive_writer.ArchiveWriter, "write", counts)
    coalmine.shown("import", str(file), COALMINE_NAMESPACE="other")
    assert sum(rest) == len(_lines(file)) - 2 - 100
    assert not client.exists("other:importing")
    before, after = values(client, "coalmine"), values(client, "other")
    assert acts(after.pop("decisions")) == ["import"], "the command that went on is noted there, once"
    assert before.keys() == after.keys()
    lists = [name for name, value in before.items() if isinstance(value, list)]
    assert {name: after[name] for name in lists} == {name: before[name] for name in lists}


def test_of_two_imports_at_once_one_stops(
    coalmine: CommandLine, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one takes over; the first stops at its next step. Nothing is written twice."""
    file = exported(coalmine)
    whole = archive_writer.ArchiveWriter.write
    others = iter([True])

    def overtaken(self: Any, entries: Any, *, done: int) -> None:
        if done == 100 and next(others, False):
            coalmine.shown("import", str(file), COALMINE_NAMESPACE="other")
        whole(self, entries, done=done)

    monkeypatch.setattr(archive_writer.ArchiveWriter, "write", overtaken)
    refused = coalmine("import", str(file), COALMINE_NAMESPACE="other")
    assert (refused.exit_code, "somebody else imports" in refused.stderr) == (4, True)
    before, after = values(redis_client, "coalmine"), values(redis_client, "other")
    lists = [name for name, value in before.items() if isinstance(value, list)]
    assert {name: after[name] for name in lists} == {name: before[name] for name in lists}


def test_of_two_files_at_once_one_is_imported(
    coalmine: CommandLine, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found the namespace empty; the one that began first has it."""
    first = exported(coalmine)
    second = first.with_name("second.jsonl")
    coalmine.shown("export", str(second))
    looks = archive_writer.ArchiveWriter._check_empty  # noqa: SLF001 - what comes between two steps
    others = iter([True])

    def found_empty(self: Any) -> None:
        looks(self)
        if next(others, False):
            coalmine.shown("import", str(first), COALMINE_NAMESPACE="other")

    monkeypatch.setattr(archive_writer.ArchiveWriter, "_check_empty", found_empty)
    refused = coalmine("import", str(second), COALMINE_NAMESPACE="other")
    assert (refused.exit_code, "somebody else imports" in refused.stderr) == (4, True)
    assert not redis_client.exists("other:importing")
    assert "imported from" in str(redis_client.get("other:paused"))


def test_a_namespace_in_use_is_refused(coalmine: CommandLine, redis_client: redis.Redis) -> None:
    """One with records, and one that a worker looks after; nothing is written there."""
    file = exported(coalmine)
    stored = coalmine.stored()
    refused = coalmine("import", str(file))
    assert (refused.exit_code, "is not empty" in refused.stderr) == (4, True)
    client: Any = redis_client
    client.hset("other:pulse", "at", f"{client.time()[0]}.000000")
    refused = coalmine("import", str(file), COALMINE_NAMESPACE="other")
    assert (refused.exit_code, "a worker looks after" in refused.stderr) == (4, True)
    client.delete("other:pulse")
    assert coalmine.stored() == stored


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_fault_is_named_with_its_line(coalmine: CommandLine) -> None:
    """A damaged file says all that is wrong at once, and nothing is written."""
    file = exported(coalmine)
    lines = _lines(file)
    places = {line["key"]: at for at, line in enumerate(lines[1:-1], start=2)}
    job = f"job:{JOBS['running']}"
    lines[places[job] - 1]["value"].pop("request")
    lines[places["champions"] - 1]["type"] = "nonsense"
    lines[places["agents"] - 1]["key"] = "strange"
    lines[places["templates"] - 1]["expires_at"] = "soon"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]), encoding="utf-8")
    stored = coalmine.stored()
    result = coalmine("import", str(file), "--json", COALMINE_NAMESPACE="other")
    found = {fault["line"]: fault["fault"] for fault in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 2
    wrong = (places[job], places["champions"], places["agents"], places["templates"], len(lines))
    assert found.keys() == set(wrong)
    assert "request" in found[places[job]]
    assert "cut short" in found[len(lines)]
    assert "5 faults; nothing was written" in result.stderr
    assert coalmine.stored() == stored


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the end is missing"),
        (b"\x00\xff\n", "not the header"),
        (b'{"coalmine_export": 99, "release": "9", "namespace": "n", "at": 1.0}\n', "newer release, 9"),
        (b'{"coalmine_export": 1, "release": "0", "namespace": "n", "at": 1.0}\n[1]\n', "line 2"),
    ],
)
def test_what_is_not_an_export_is_refused(coalmine: CommandLine, content: bytes, said: str) -> None:
    """Bytes, an empty file and a file of a later form are each an error in words."""
    file = coalmine.folder / "wrong"
    file.write_bytes(content)
    result = coalmine("import", str(file), COALMINE_NAMESPACE="other")
    assert result.exit_code == 2
    assert said in result.stdout


def test_a_changed_line_is_noticed(coalmine: CommandLine) -> None:
    """The checksum at the end is that of all lines before it."""
    file = exported(coalmine)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"attempts":"1"', '"attempts":"7"', 1), encoding="utf-8")
    result = coalmine("import", str(file), COALMINE_NAMESPACE="other")
    assert result.exit_code == 2
    assert "checksum" in result.stdout


def test_a_damaged_record_stops_no_other(
    coalmine: CommandLine, parts: Coalmine, redis_client: redis.Redis
) -> None:
    """One job that cannot be read is named, and left out on demand; all others are imported."""
    redis_client.hset(f"coalmine:job:{JOBS['running']}", "v", "99")
    file = exported(coalmine)
    refused = coalmine("import", str(file), COALMINE_NAMESPACE="other")
    assert (refused.exit_code, "--without-damaged" in refused.stderr) == (2, True)
    done = coalmine("import", str(file), "--without-damaged", COALMINE_NAMESPACE="other")
    assert (done.exit_code, JOBS["running"] in done.stderr) == (0, True)
    assert not redis_client.exists(f"other:job:{JOBS['running']}")
    assert parts.jobs.find(JOBS["waiting"]).id == JOBS["waiting"]


def test_no_secret_is_exported(coalmine: CommandLine, redis_client: redis.Redis) -> None:
    """A secret of the settings that stands in a record, in spite of all, does not reach the file."""
    secret = 'to"ken-of-the-console'  # noqa: S105 - not one
    redis_client.xadd("coalmine:job:0123456789abcdef:log", {"text": json.dumps({"said": secret})})
    file = coalmine.folder / "backup.jsonl"
    coalmine.shown("export", str(file), COALMINE_WEB__TOKEN=secret)
    assert "ken-of-the-console" not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_file_is_overwritten_and_a_changing_fleet_is_refused(
    coalmine: CommandLine, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export of a fleet that changes all the time ends with what to do, and leaves no file."""
    file = exported(coalmine)
    assert coalmine("export", str(file)).exit_code == 2
    from routing.store.archive.archive_reader import ArchiveReader  # noqa: PLC0415 - what is patched

    whole = ArchiveReader._outbox  # noqa: SLF001 - in the middle of an export

    def busy(self: Any, *given: Any, **named: Any) -> Any:
        redis_client.xadd("coalmine:events", {"kind": "job.ended", "at": "1", "subject": "x", "data": "{}"})
        return whole(self, *given, **named)

    monkeypatch.setattr(ArchiveReader, "_outbox", busy)
    other = coalmine.folder / "other.jsonl"
    refused = coalmine("export", str(other))
    assert (refused.exit_code, "coalmine pause" in refused.stderr) == (4, True)
    assert sorted(path.name for path in coalmine.folder.iterdir()) == [file.name]


def test_the_page_works(coalmine: CommandLine, parts: Coalmine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of docs/backup.md, in its order, does what the page says."""
    page = (ROOT / "docs/backup.md").read_text(encoding="utf-8")
    lines = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).splitlines()
    assert len(lines) == 7
    monkeypatch.chdir(coalmine.folder)
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "coalmine"
        coalmine.shown(*(argument.replace("restored", "other") for argument in arguments))
    assert parts.switch.reason() is None
    assert parts.templates.champion("implementer").id == "implementer@v1"
