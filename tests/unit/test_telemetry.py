"""Traces: the spans of a job, from its draw to its score, and how they are sent."""

from collections.abc import Callable, Sequence

import pytest
import redis
from pydantic import SecretStr, ValidationError

from console.doctor.traces import traces
from routing.errors import SettingsError
from routing.events import WEBHOOK_ACCEPTED
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, signal
from routing.store.jobs.log_store import LogLine
from routing.store.redis.health import Status
from tasks.agents.runtimes.agent_event import Usage
from tasks.broker import TRACE, schedule
from tasks.notify.sink import UndeliveredError
from tasks.settings.settings import Settings
from tasks.telemetry.settings import TelemetrySettings
from tasks.telemetry.span import Span, SpanIds
from tasks.telemetry.story import JobReading, JobStory, Traced
from tasks.telemetry.tracer import Tracer
from tests.fleets.stepped_fleet import SteppedFleet, spend

ISSUE = "github:acme/shop#7"


class Collected:
    """An endpoint in memory, which may refuse."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.fault: UndeliveredError | None = None

    def send(self, spans: Sequence[Span]) -> None:
        """Take spans, or raise."""
        if self.fault is not None:
            raise self.fault
        self.spans += spans

    def names(self) -> list[str]:
        """What was taken, in the order of sending."""
        return [span.name for span in self.spans]

    def one(self, name: str) -> Span:
        """The only span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial."""
    made = SteppedFleet(redis_client, draws=[0.9] * 20)
    made.on_trial()
    return made


@pytest.fixture
def endpoint() -> Collected:
    """Where spans go."""
    return Collected()


@pytest.fixture
def traced(fleet: SteppedFleet, endpoint: Collected) -> Callable[[], int]:
    """A tick of a process of its own each time: nothing is kept in one."""

    def tick() -> int:
        app = fleet.app
        return Tracer(
            events=app.events, jobs=app.job_store, signals=app.signals, logs=app.log_store,
            store=app.traces, sender=endpoint, ids=SpanIds("coalmine"),
        ).tick()  # fmt: skip

    tick()  # the first one begins with what happens from then on
    return tick


def pushed(fleet: SteppedFleet, claim: Claim) -> None:
    """The agent's work is pushed."""
    fleet.app.jobs.pushed(claim, JobResult(exit_code=0, commit="c0ffee", branch="b"), reason="pushed")


def test_an_issue_is_one_trace_from_draw_to_score(
    fleet: SteppedFleet, endpoint: Collected, traced: Callable[[], int]
) -> None:
    """Whether the tick runs once at the end, or after each step: here it runs between all of them."""
    job = fleet.enqueue(issue=ISSUE).job
    fleet.clock.forward(10)
    traced()
    claim = fleet.claim(job)
    fleet.app.log_store.say(job, "tool", "Bash make test")
    fleet.app.log_store.flush()
    spend(fleet.app, claim, Usage(input_tokens=100, output_tokens=7), seconds=3.0)
    fleet.clock.forward(60)
    traced()
    pushed(fleet, claim)
    traced()
    fleet.clock.forward(30)
    facts = [signal(SignalKind.CI_GREEN, at=fleet.clock(), commit="c0ffee")]
    fleet.app.signals.add(job, facts)
    traced()
    fleet.clock.forward(3600)
    fleet.app.jobs.end_by_people(
        job, JobState.SUCCEEDED, reason="merged", at=fleet.clock(),
        facts=[signal(SignalKind.MERGED, at=fleet.clock(), commit="c0ffee")],
    )  # fmt: skip
    traced()
    fleet.clock.forward(9 * 86_400)
    fleet.app.harvester.harvest()
    traced()
    assert [name for name in endpoint.names() if not name.startswith("execute_tool")] == [
        "draw", "queue champion", "invoke_agent implementer", "push", "ci", "job implementer", "merge",
        "gen_ai.evaluation.result",
    ]  # fmt: skip
    assert len({span.place.trace for span in endpoint.spans}) == 1
    whole, turn, score = (
        endpoint.one(name)
        for name in ("job implementer", "invoke_agent implementer", "gen_ai.evaluation.result")
    )
    assert whole.parent == ""
    assert {span.parent for span in endpoint.spans} == {"", whole.place.span, turn.place.span}
    assert (score.parent, score.link) == (turn.place.span, turn.place)
    assert score.attributes["gen_ai.evaluation.score.value"] == fleet.app.jobs.find(job).score
    assert endpoint.one("queue champion").end - endpoint.one("queue champion").start == 10
    assert (turn.end - turn.start, turn.error) == (60, "")
    assert (turn.attributes["gen_ai.usage.input_tokens"], turn.attributes["gen_ai.usage.output_tokens"]) == (
        100,
        7,
    )
    assert endpoint.one("ci").end - endpoint.one("ci").start == 30
    assert endpoint.one("draw").attributes["coalmine.draw"] == 0.9
    assert (whole.attributes["coalmine.issue"], whole.attributes["coalmine.state"]) == (ISSUE, "succeeded")


def test_all_jobs_of_an_issue_are_one_trace_and_others_are_not(
    fleet: SteppedFleet, endpoint: Collected, traced: Callable[[], int]
) -> None:
    """Ids follow from what a span is about; another fleet has others."""
    first = fleet.enqueue(issue=ISSUE).job
    fleet.end(first)
    fleet.app.job_store.effects_done(first, ISSUE)
    second = fleet.enqueue(issue=ISSUE).job
    other = fleet.enqueue().job
    assert len({first, second, other}) == 3
    traced()
    traces = [span.place.trace for span in endpoint.spans if span.name == "draw"]
    assert (traces[0] == traces[1], traces[0] == traces[2]) == (True, False)
    mine, theirs = (SpanIds(name).of_turn(first, ISSUE, 1) for name in ("coalmine", "other"))
    assert mine.trace == traces[0] != theirs.trace
    assert mine.traceparent == f"00-{mine.trace}-{mine.span}-01"


def test_a_webhook_begins_the_trace_of_its_issue(
    fleet: SteppedFleet, endpoint: Collected, traced: Callable[[], int]
) -> None:
    """Although no job is there yet; red CI says so, and the turn that repairs it has a span of its own."""
    fleet.app.events.emit(WEBHOOK_ACCEPTED, ISSUE, {})
    traced()
    job = fleet.enqueue(issue=ISSUE).job
    claim = fleet.claim(job)
    pushed(fleet, claim)
    fleet.clock.forward(20)
    red = signal(SignalKind.CI_RED, at=fleet.clock(), commit="c0ffee")
    fleet.app.signals.add(job, [red])
    traced()
    traced()
    assert endpoint.names() == ["webhook", "draw", "queue champion", "invoke_agent implementer", "push", "ci"]
    assert len({span.place.trace for span in endpoint.spans}) == 1
    assert (endpoint.one("ci").error, endpoint.one("webhook").parent) == ("ci_red", "")


def test_each_turn_has_a_span_of_its_own(
    fleet: SteppedFleet, endpoint: Collected, traced: Callable[[], int]
) -> None:
    """A turn that failed says so, and the next has only its own cost."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    spend(fleet.app, claim, Usage(input_tokens=100, output_tokens=1))
    fleet.app.jobs.give_up(claim, reason="it crashed", result=JobResult(), signals=[])
    traced()
    fleet.app.jobs.retry(job, by="ada")
    again = fleet.claim(job)
    spend(fleet.app, again, Usage(input_tokens=11, output_tokens=1))
    pushed(fleet, again)
    traced()
    first, second = [span for span in endpoint.spans if span.name.startswith("invoke_agent")]
    assert first.error
    assert second.error == ""
    assert first.place.span != second.place.span
    assert [span.attributes["gen_ai.usage.input_tokens"] for span in (first, second)] == [100, 11]


def test_nothing_is_lost_while_the_endpoint_is_away(
    fleet: SteppedFleet, endpoint: Collected, traced: Callable[[], int]
) -> None:
    """The place moves only after the spans were taken; what is refused for good is left out."""
    fleet.enqueue()
    endpoint.fault = UndeliveredError("away")
    for _ in range(2):
        with pytest.raises(UndeliveredError):
            traced()
    endpoint.fault = None
    assert traced() == 1
    assert traced() == 0
    assert endpoint.names() == ["draw"]
    fleet.enqueue()
    endpoint.fault = UndeliveredError("no", final=True)
    traced()
    endpoint.fault = None
    fleet.enqueue()
    traced()
    assert endpoint.names() == ["draw", "draw"]


def test_a_job_that_is_gone_hides_no_other(
    fleet: SteppedFleet, endpoint: Collected, traced: Callable[[], int]
) -> None:
    """Nor does one whose record cannot be read."""
    gone, broken, _ = (fleet.enqueue().job for _ in range(3))
    fleet.app.redis.delete(fleet.app.keys.job(gone))
    fleet.app.redis.hset(fleet.app.keys.job(broken), "created_at", "soon")
    fleet.app.redis.set(fleet.app.keys("traced", "x"), "[")
    traced()
    assert endpoint.names() == ["draw"]


def test_an_event_that_cannot_be_read_stops_no_other(
    fleet: SteppedFleet, endpoint: Collected, traced: Callable[[], int]
) -> None:
    """Its job is left out of that look, and the place in the stream moves on."""
    odd, _ = fleet.enqueue().job, fleet.enqueue().job
    fleet.app.events.emit("job.claimed", odd, {"fence": "many"})
    traced()
    assert endpoint.names() == ["draw"]
    assert traced() == 0


def test_tools_are_spans_of_their_turn_without_what_they_were_given(fleet: SteppedFleet) -> None:
    """Each lasts until the next line of the log."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.clock.forward(60)
    pushed(fleet, claim)
    begun = int((fleet.clock() - 60) * 1000)
    lines = [
        LogLine(id=f"{begun + 1000}-0", kind="tool", text="Bash cat /etc/passwd"),
        LogLine(id=f"{begun + 3000}-0", kind="text", text="done"),
        LogLine(id=f"{begun + 4000}-0", kind="tool", text="Read"),
        LogLine(id=f"{begun + 90_000}-0", kind="tool", text="Later"),
    ]
    story = JobStory(SpanIds("coalmine"), JobReading(job=fleet.app.jobs.find(job), lines=lines), Traced())
    spans = [span for event in fleet.events("job.claimed", "job.waiting") for span in story.tell(event)]
    tools = [span for span in spans if span.name.startswith("execute_tool")]
    (turn,) = [span for span in spans if span.name.startswith("invoke_agent")]
    assert [(span.name, round(span.end - span.start)) for span in tools] == [
        ("execute_tool Bash", 2), ("execute_tool Read", 56),
    ]  # fmt: skip
    assert {span.parent for span in tools} == {turn.place.span}
    assert "passwd" not in str(spans)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"endpoint": "ftp://x"}, "endpoint"),
        ({"endpoint": "https://user@host/"}, "endpoint"),
        ({"endpoint": "http://collector:4318", "headers": "Authorization=x"}, "clear"),
        ({"endpoint": "https://collector", "headers": "Authorization"}, "NAME=VALUE"),
        ({"endpoint": "https://collector", "headers": "A=x\nB: y"}, "NAME=VALUE"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, str], says: str) -> None:
    """And the secret is not repeated."""
    with pytest.raises(ValidationError, match=says):
        TelemetrySettings.model_validate(given)


def test_settings_are_read() -> None:
    """Off by default; headers by name."""
    assert not TelemetrySettings().is_on
    headers = SecretStr("Authorization=Basic YTpi, X-Tenant=acme")
    given = TelemetrySettings(endpoint="http://127.0.0.1:4318/v1/traces", headers=headers)
    assert given.is_on
    assert given.given_headers == {"Authorization": "Basic YTpi", "X-Tenant": "acme"}
    assert TelemetrySettings(endpoint="http://collector:4318/v1/traces").is_on
    assert TRACE not in [each["task"] for each in schedule(Settings()).values()]
    assert TRACE in [each["task"] for each in schedule(Settings(telemetry=given)).values()]


def test_doctor_says_whether_traces_are_sent(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off, on and never sent, late, up to date; and that the extra is missing."""
    assert traces(SteppedFleet(redis_client).app).status is Status.OK
    endpoint = TelemetrySettings(endpoint="http://127.0.0.1:4318/v1/traces")
    fleet = SteppedFleet(redis_client, telemetry=endpoint)
    fleet.add()
    assert "nothing was ever sent" in traces(fleet.app).message
    fleet.app.traces.move("1000-0", {})
    late = traces(fleet.app)
    assert (late.status, "minutes" in late.message, bool(late.remedy)) == (Status.PROBLEM, True, True)
    fleet.app.traces.move(fleet.app.events.newest(1)[0].id, {})
    assert traces(fleet.app).status is Status.OK

    def missing() -> None:
        raise SettingsError("traces cannot be written: pip install 'coalmine[otel]'")

    monkeypatch.setattr("console.doctor.traces.check_installed", missing)
    assert traces(fleet.app).remedy == "pip install 'coalmine[otel]'"
