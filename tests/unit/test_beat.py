"""Beat: ticks are due by a clock that nobody can set, and say when they were sent by the server's."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from routing.errors import UnavailableError
from tasks.beat import PatientScheduler
from tasks.broker import HARVEST, LAND, POLL, SWEEP, WATCH, make_app
from tasks.settings.settings import Settings
from tasks.work.tick import SENT_AT, USEFUL_SECONDS, useful_until


class BeatClock:
    """What beat reads: seconds that only grow."""

    def __init__(self) -> None:
        self.now = 5_000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class NotedScheduler(PatientScheduler):
    """Notes what is sent, in place of a broker; while `away` is set nothing is taken."""

    sent: list[tuple[str, dict[str, Any]]]
    away = False
    broken = ""  # a tick that cannot even be written down

    def send_task(self, *arguments: Any, **options: Any) -> None:
        """Note one."""
        if self.away:
            raise ConnectionError
        if arguments[0] == self.broken:
            raise TypeError("unreadable")
        self.sent.append((arguments[0], options))


@pytest.fixture
def clock() -> BeatClock:
    """Time that a test moves."""
    return BeatClock()


@pytest.fixture
def beat(clock: BeatClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NotedScheduler:
    """Beat as `celery -A tasks beat -s FILE` makes it, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    app = make_app(
        Settings(
            redis_url=SecretStr("redis://127.0.0.1:1/0"),
            times={"sweep_interval_seconds": 1, "harvest_interval_seconds": 30},
        )
    )
    made = NotedScheduler(
        app, monotonic=clock, max_interval=1, schedule_filename=str(tmp_path / "celerybeat-schedule")
    )
    made.sent = []
    return made


def sent(beat: NotedScheduler, task: str) -> int:
    """How often a tick was sent since the last look."""
    found = [name for name, _ in beat.sent].count(task)
    beat.sent = [(name, options) for name, options in beat.sent if name != task]
    return found


def test_every_tick_is_due_at_the_start_and_then_at_its_interval(
    beat: NotedScheduler, clock: BeatClock
) -> None:
    """The interval is kept however late beat wakes, and what was missed is made up for once."""
    beat.tick()
    assert (sent(beat, SWEEP), sent(beat, HARVEST)) == (1, 1)
    assert beat.tick() <= 1
    assert beat.sent == [] or sent(beat, SWEEP) == 0
    for _ in range(10):
        clock.now += 1.1
        beat.tick()
    assert (sent(beat, SWEEP), sent(beat, HARVEST)) == (10, 0)
    clock.now += 3600
    beat.tick()
    beat.tick()
    assert (sent(beat, SWEEP), sent(beat, HARVEST)) == (1, 1)


def test_wall_clock_that_jumps_changes_nothing(
    beat: NotedScheduler, clock: BeatClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither hours back nor hours on: a tick is sent at its interval."""
    beat.tick()
    for hours in (-48, 48, 0):
        moved = beat.app.now
        monkeypatch.setattr("time.time", lambda hours=hours: 1_800_000_000.0 + hours * 3600)
        monkeypatch.setattr(
            beat.app, "now", lambda moved=moved, hours=hours: moved().replace(year=2030 + hours // 24)
        )
        beat.sent.clear()
        clock.now += 1
        beat.tick()
        assert sent(beat, SWEEP) == 1
        clock.now += 0.5
        beat.tick()
        assert sent(beat, SWEEP) == 0
        clock.now += 0.5


def test_process_that_is_moved_to_a_younger_machine_goes_on(beat: NotedScheduler, clock: BeatClock) -> None:
    """Its clock counts from the start of the machine, and goes back then."""
    beat.tick()
    sent(beat, SWEEP)
    clock.now -= 3600
    beat.tick()
    assert sent(beat, SWEEP) == 1
    beat.tick()
    assert sent(beat, SWEEP) == 0


def test_tick_says_when_it_was_sent_by_the_servers_clock(beat: NotedScheduler) -> None:
    """And for how long it is of use; no clock of this machine is in it."""
    beat.server_time = lambda: 1_700_000_000.5
    beat.tick()
    for name, options in beat.sent:
        assert options["headers"][SENT_AT] == 1_700_000_000.5, name
        assert options["headers"][USEFUL_SECONDS] >= 10
        assert "expires" not in options


def test_tick_is_sent_although_the_server_does_not_say_the_time(beat: NotedScheduler) -> None:
    """It says nothing of its age then, and is never late."""

    def away() -> float:
        raise UnavailableError("away")

    beat.server_time = away
    beat.tick()
    assert sent(beat, SWEEP) == 1
    assert not any(SENT_AT in options["headers"] for _, options in beat.sent)


def test_beat_outlives_a_broker_that_takes_nothing(beat: NotedScheduler, clock: BeatClock) -> None:
    """The next tick does the work of those that nobody took."""
    beat.away = True
    beat.tick()
    beat.away = False
    clock.now += 1
    beat.tick()
    assert sent(beat, SWEEP) == 1


def test_beat_writes_and_reads_no_file(beat: NotedScheduler, tmp_path: Path) -> None:
    """A pickle that lies where Celery's own would look is not read: it would run what it says."""
    beat.tick()
    beat.sync()
    beat.close()
    assert list(tmp_path.iterdir()) == []


def test_message_of_a_tick_does_not_expire_by_a_clock(beat: NotedScheduler) -> None:
    """What a worker compares with its own clock is empty in the message that Celery makes."""
    app, options = make_app(Settings()), dict(beat.schedule[SWEEP].options or {})
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        if "control" in channel.queues:
            channel.queue_purge("control")  # kombu's memory has one set of queues a process
        app.send_task(SWEEP, connection=connection, **options)
        message = channel._get("control")  # noqa: SLF001 - the reading side of kombu's memory
    assert message["headers"]["expires"] is None
    assert json.loads(json.dumps(message["headers"]))[USEFUL_SECONDS] == 10


def test_each_forge_is_polled_at_its_own_interval(clock: BeatClock) -> None:
    """Entries of one task differ by their names."""
    forges = [
        {"name": name, "kind": "local", "repository": "/r", "issues": "/i", "poll_interval_seconds": seconds}
        for name, seconds in (("one", 10), ("two", 40))
    ]
    made = NotedScheduler(make_app(Settings(forge=forges)), monotonic=clock)
    made.sent = []
    made.tick()
    assert sent(made, POLL) == 2
    for _ in range(4):
        clock.now += 10
        made.tick()
    assert sent(made, POLL) == 5


@pytest.mark.parametrize(
    ("headers", "until"),
    [
        (None, None),
        ({}, None),
        ({SENT_AT: 100.0}, None),
        ({SENT_AT: 89.0, USEFUL_SECONDS: 10.0}, 99.0),
        ({SENT_AT: "yesterday", USEFUL_SECONDS: 10.0}, None),
    ],
)
def test_a_message_says_until_when_it_is_of_use(headers: dict[str, Any] | None, until: float | None) -> None:
    """By the server's clock; one that does not say when it was sent is always of use."""
    assert useful_until(headers) == until


def test_an_interval_counts_from_when_a_tick_was_due(beat: NotedScheduler, clock: BeatClock) -> None:
    """Beat that wakes late for one tick is not late for the next."""
    beat.tick()
    clock.now += 1.4
    beat.tick()
    sent(beat, SWEEP)
    clock.now += 0.6
    beat.tick()
    assert sent(beat, SWEEP) == 1


def test_beat_is_called_again_soon(
    beat: NotedScheduler, clock: BeatClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least at its longest interval, and at once when sending took longer than an interval."""
    monkeypatch.setattr(beat, "max_interval", 0.25)
    assert beat.tick() == 0.25
    slow = beat.apply_entry

    def slowly(*given: Any, **options: Any) -> None:
        slow(*given, **options)
        clock.now += 5.0

    monkeypatch.setattr(beat, "apply_entry", slowly)
    clock.now += 1.0
    assert beat.tick() == 0.0


def test_the_time_is_asked_for_only_when_a_tick_is_due(beat: NotedScheduler) -> None:
    """Beat wakes several times a second."""
    asked: list[float] = []

    def said() -> float:
        asked.append(1.0)
        return 1_700_000_000.5

    beat.server_time = said
    beat.tick()
    beat.tick()
    assert len(asked) == 1


def test_a_broker_that_is_away_and_back_is_said_once_each(beat: NotedScheduler, clock: BeatClock) -> None:
    """However many ticks nobody took."""
    with capture_logs() as said:
        beat.away = True
        beat.tick()
        beat.away = False
        clock.now += 3600
        beat.tick()
    assert [line["event"] for line in said if line["event"].startswith("broker.")] == [
        "broker.away",
        "broker.back",
    ]


def test_a_fault_of_the_program_does_not_look_like_an_outage(beat: NotedScheduler, clock: BeatClock) -> None:
    """It is logged once, with its trace, and the other ticks are sent."""
    beat.broken = SWEEP
    with capture_logs() as said:
        for _ in range(3):
            beat.tick()
            clock.now += 1
    assert sent(beat, HARVEST) == 1
    assert [line["event"] for line in said] == ["tick.fault"]
    assert isinstance(said[0]["exc_info"], TypeError)
    beat.broken = ""
    beat.tick()
    assert sent(beat, SWEEP) == 1


def test_sweep_rests_while_nothing_waits_for_it(beat: NotedScheduler, clock: BeatClock) -> None:
    """One in three seconds is sent, as a longer silence is an outage; other ticks keep their interval."""
    idle = [True]
    beat.is_idle = lambda _tick: idle[0]
    beat.tick()
    assert (sent(beat, SWEEP), sent(beat, HARVEST)) == (1, 1)
    gaps, last = list[float](), clock.now
    for _ in range(300):
        clock.now += 0.1
        beat.tick()
        if sent(beat, SWEEP):
            gaps.append(clock.now - last)
            last = clock.now
    assert gaps
    assert all(2.9 <= gap < 4 for gap in gaps)
    assert sent(beat, HARVEST) == 1
    idle[0] = False
    for _ in range(30):
        clock.now += 0.1
        beat.tick()
    assert sent(beat, SWEEP) == 3


def test_sweep_is_sent_where_nobody_says_whether_it_is_needed(beat: NotedScheduler, clock: BeatClock) -> None:
    """A store that is away, for one: the sweep finds out."""

    def away(_tick: str) -> bool:
        raise UnavailableError("away")

    for beat.is_idle in (None, away):
        sent(beat, SWEEP)
        for _ in range(3):
            clock.now += 1
            beat.tick()
        assert sent(beat, SWEEP) == 3


def test_sweep_does_not_rest_after_a_clock_went_back(beat: NotedScheduler, clock: BeatClock) -> None:
    """A process that is moved to a younger machine would wait for hours."""
    beat.is_idle = lambda _tick: True
    beat.tick()
    clock.now -= 3600
    beat.tick()
    assert sent(beat, SWEEP) == 2


def test_looks_at_pushed_work_rest_while_there_is_none(beat: NotedScheduler, clock: BeatClock) -> None:
    """One in a minute is sent; each looks for itself, and is sent at its next time when there is work."""
    busy = set[str]()
    beat.is_idle = lambda tick: tick not in busy

    def sent_in(seconds: int) -> tuple[int, int]:
        sent(beat, WATCH)
        for _ in range(seconds):
            clock.now += 1
            beat.tick()
        found = [task for task, _ in beat.sent]
        beat.sent.clear()
        return found.count(WATCH), found.count(LAND)

    assert sent_in(120) == (3, 3)
    busy.add("watch")
    assert sent_in(60)[0] == 12
