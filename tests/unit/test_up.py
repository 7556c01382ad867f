"""How `coalmine up` says what happens."""

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from rich.console import Console

from console.local.fleet_news import FleetNews
from console.output.happenings import Happening, happening
from console.output.terminal import Terminal
from routing.errors import CorruptRecordError, StoreAwayError
from routing.events import MEANINGS, Event
from routing.jobs.job import JobResult, JobState
from routing.jobs.retry import Again
from routing.jobs.turn import Hindrance, HindranceKind
from tests.fleets.stepped_fleet import SteppedFleet

TITLE = "Sum of the socks, with a title that is much longer than a line of a terminal has room for"
TAIL = "Reading sum.py\nThe sum is right now: it adds all numbers.\n"

VERDICT = {
    "reasons": ["The canary's mean score is lower than the champion's."],
    "evidence": {"worse": 24.06, "not_worse": 0.3, "guardrail:cost_usd": 1.0},
    "thresholds": {"worse": 20.0, "not_worse": 20.0, "guardrail:cost_usd": 20.0},
    "arms": {"canary": {"settled": 9, "mean": 0.0}, "champion": {"settled": 7, "mean": 0.857}},
}


def event(kind: str, subject: str = "j1", **data: Any) -> Event:
    """An event of 17:48:34 UTC."""
    return Event(id="1-0", kind=kind, at=1_795_974_514.4, subject=subject, data=data)


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with a trial; all jobs are the canary's."""
    made = SteppedFleet(redis_client, draws=[0.1] * 20)
    made.on_trial()
    return made


def shown(fleet: SteppedFleet, kind: str, state: JobState | None, data: dict[str, Any]) -> Happening | None:
    """What is said of an event of a job of issue 3, which has ended in a state if one is given."""
    job = fleet.enqueue(issue="local:shop#3", title=TITLE).job
    claim = fleet.claim(job)
    fleet.spend(claim, usd=0.12)
    if state is not None:
        fleet.app.jobs.end(claim, state, reason="r", result=JobResult(tail=TAIL))
    return happening(event(kind, job, **data), fleet.app.jobs.find(job))


@pytest.mark.parametrize(
    ("kind", "state", "data", "words"),
    [
        ("job.claimed", None, {}, "started with implementer@v2, the canary of implementer-t1"),
        ("job.waiting", None, {"reason": "pushed 3bc1, watching CI"}, "pushed 3bc1, watching CI"),
        (
            "job.fix_forward", None, {"attempt": 1, "most": 2, "checks": ["lint", "test"]},
            "CI is red (lint, test): back to its agent, corrective turn 1 of 2",
        ),
        ("job.finished", JobState.SUCCEEDED, {"reason": "merged"}, "done: merged (0.12 USD)"),
        ("job.finished", JobState.ESCALATED, {"reason": "no"}, "left to a person: no (0.12 USD)"),
        ("job.settled", None, {"score": 1.0, "reason": "g"}, "settled with 1.00 for the canary: g"),
        ("job.settled", None, {"excluded": True, "reason": "q"}, "excluded from implementer-t1: q"),
        ("job.rerouted", None, {"from": "a@v2", "to": "a@v1"}, "goes to a@v1, no longer to a@v2"),
    ],
)  # fmt: skip
def test_a_job_in_words(
    fleet: SteppedFleet, kind: str, state: JobState | None, data: dict[str, Any], words: str
) -> None:
    """The issue, its title, and what happened to it."""
    found = shown(fleet, kind, state, data)
    assert found is not None
    assert (found.name, found.title, found.words) == ("local:shop#3", TITLE, words)


@pytest.mark.parametrize(
    ("kind", "state", "data", "said"),
    [
        ("job.finished", JobState.FAILED, {"state": "failed"}, "The sum is right now: it adds all numbers."),
        ("job.finished", JobState.SUCCEEDED, {"state": "succeeded"}, ""),
        ("job.waiting", JobState.FAILED, {"commit": "3bc1"}, "The sum is right now: it adds all numbers."),
        ("job.waiting", JobState.FAILED, {"reason": "brought up to date"}, ""),
    ],
)
def test_the_agents_last_words_stand_where_its_turn_ended(
    fleet: SteppedFleet, kind: str, state: JobState, data: dict[str, Any], said: str
) -> None:
    """Once: with its push, or with an end that comes to nothing."""
    found = shown(fleet, kind, state, data)
    assert found is not None
    assert found.said == said


def test_a_verdict_has_its_reasons_and_its_evidence() -> None:
    """Both arms and every threshold, in one sentence each."""
    found = happening(event("candidate.rolled_back", "implementer@v2", **VERDICT), None)
    assert found is not None
    verdict, evidence = found.words.split(" Evidence: ")
    assert verdict == (
        "was rolled back; the champion stays. The canary's mean score is lower than the champion's."
    )
    assert evidence == (
        "worse 24.1 of 20, not worse 0.3 of 20, cost usd 1.0 of 20. "
        "Canary: 9 settled, mean 0.00; champion: 7 settled, mean 0.86."
    )


@pytest.mark.parametrize("kind", sorted(MEANINGS))
def test_every_event_can_be_shown_without_its_data(fleet: SteppedFleet, kind: str) -> None:
    """Events of other releases may lack what this one writes: nothing raises, and no text is empty."""
    job = fleet.app.jobs.find(fleet.enqueue().job)
    for found in (happening(event(kind), job), happening(event(kind), None)):
        assert found is None or (found.words and "None" not in found.words)


def test_each_line_is_shown_once(fleet: SteppedFleet) -> None:
    """A job that waits for the same thing after each try says so once; scripts get every event."""
    lines: list[str] = []
    kinds: list[str] = []

    def tell(event: Event, found: Happening | None) -> None:
        kinds.append(event.kind)
        lines.extend([] if found is None else [found.words])

    news = FleetNews(fleet.app, tell=tell, say=lines.append)
    job = fleet.enqueue(issue="local:shop#3").job
    hindrance = Hindrance(kind=HindranceKind.AWAY, since=1.0, seen_at=1.0, words="the forge is away")
    claim = fleet.claim(job)
    fleet.app.jobs.hindered(claim, Again(counts=False, wait_seconds=1.0), reason="r", hindrance=hindrance)
    for _ in range(3):
        news.take(event("job.hindered", job, reason="r"))
    assert lines == ["waits: the forge is away"]
    assert kinds == ["job.hindered"] * 3


class Script:
    """Answers calls in order, whatever they ask; an error is raised. The last answer sets `stop`."""

    def __init__(self, *answers: Any, stop: threading.Event | None = None) -> None:
        self.asked: list[Any] = []
        self._answers = list(answers)
        self._stop = stop

    def __call__(self, asked: Any, **_: Any) -> Any:
        """The next answer."""
        self.asked.append(asked)
        answer = self._answers.pop(0)
        if not self._answers and self._stop is not None:
            self._stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


class NoPause(threading.Event):
    """An event for which nobody waits."""

    def wait(self, timeout: float | None = None) -> bool:
        """At once."""
        del timeout
        return self.is_set()


def test_an_outage_is_said_once_and_costs_no_event() -> None:
    """Neither the stream nor the job of an event can be read for a while; each event is shown once."""
    said: list[str] = []
    ids: list[str] = []
    first, second, third, fourth = (
        replace(event("job.finished", state="failed"), id=f"{number}-0") for number in range(1, 5)
    )
    away, stop = StoreAwayError("the server is away"), NoPause()
    after = Script(
        [first, second], away, away, [second, third], away, [third], [fourth], away, [], stop=stop
    )  # the job of the second is read before the outage, that of the third is not
    jobs = Script(None, away, None, away, CorruptRecordError("no such form"), None)
    parts: Any = SimpleNamespace(
        events=SimpleNamespace(after=after, newest=lambda _: []), job_store=SimpleNamespace(read=jobs)
    )
    FleetNews(parts, tell=lambda each, _: ids.append(each.id), say=said.append).follow(stop)
    assert ids == ["1-0", "2-0", "4-0"]
    assert after.asked == ["0-0", "1-0", "1-0", "1-0", "2-0", "2-0", "3-0", "4-0", "4-0"]
    assert said == [
        "the server is away",
        "the event 3-0 (job.finished) could not be shown: CorruptRecordError('no such form')",
        "The server answers again.",
        "the server is away",
        "The server answers again.",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_lines_are_folded_between_words(width: int) -> None:
    """Beside the time, in whole words; a pipe gets one line, that begins with the job and says its end."""
    found = Happening(
        at=1_795_974_514.4, name="local:shop#3", title=TITLE, words="pushed 3bc1690e60ed, watching CI",
        said="The sum is right now: " + "it adds all of the numbers, " * 4,
        subject="c1f02d5e88a94b71", ends=True,
    )  # fmt: skip
    console = Console(width=width, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(found)
    first, *rest = [line.rstrip() for line in capture.get().splitlines()]
    assert max(map(len, (first, *rest))) <= width
    assert first.startswith("17:48:34Z local:shop#3  Sum of the socks, with a title that is…:")
    assert all(line.startswith(" " * 10) for line in rest)
    everything = " ".join(" ".join((first, *rest)).split())
    assert "the agent said: The sum is right now: it adds all of the numbers," in everything
    pipe = Console(width=width, color_system=None, force_terminal=False)
    with pipe.capture() as capture:
        pipe.print(found)
    (line,) = capture.get().splitlines()
    assert line.startswith("c1f02d5e88a94b71  ended  17:48:34Z local:shop#3  Sum of the socks")


@pytest.mark.parametrize("width", [None, "80"])
def test_a_file_gets_whole_lines(
    width: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason of a verdict, or of a job's end, is never cut off where nobody could scroll for it."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if width:
        monkeypatch.setenv("COLUMNS", width)
    words = f"failed: {'word ' * 80}the end"
    found = Happening(at=1.0, name="local:shop#3", title=TITLE, words=words, subject="c1f02d5e88a94b71")
    terminal = Terminal(as_json=False)
    terminal.line({}, found)
    terminal.answer({}, words)
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("the end") for line in lines] == [True, True]
