"""Which limit of an account a turn met, by what its program said: recordings, and documented words."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis

from routing.accounts.limit import MOST_SECONDS, AccountLimit, LimitKind
from routing.jobs.turn import Hindrance, HindranceKind
from tasks.agents.accounts.leased_accounts import LeasedTurn, counts_as_limit
from tasks.agents.accounts.limit_words import SHARED_WORDS, account_limit, says_limit
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    LimitEvent,
    NoticeEvent,
    TextEvent,
    ToolEvent,
)
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.agents.turn.limits import LimitTimer
from tasks.agents.turn.tally import FLUSH_SECONDS, TurnTally
from tests.fleets.stepped_fleet import SteppedFleet
from tests.recordings.agent_recording import AgentRecording

NOW = datetime(2026, 11, 29, 17, 0, tzinfo=UTC).timestamp()
HOURS = 3600.0


def met(
    runtime: str, lines: list[str], *, errors: Sequence[str] = (), code: int = 1, heard: float = NOW
) -> AccountLimit | None:
    """What a turn met that ended NOW, and in which a program had printed these lines at `heard`."""
    made = runtime_for(RuntimeSpec(runtime=runtime, command="agent"))
    tally = TurnTally(clock=lambda: heard)
    for line in lines:
        for event in made.parse(line):
            tally.add(event)
    for line in errors:
        tally.add_error(line)
        for event in made.parse_error(line):
            tally.add(event)
    seen = tally.seen()
    clean = made.clean(code, seen)
    return account_limit(seen, made.limit_words, clean=clean, now=NOW, zone=UTC)


@pytest.mark.parametrize(
    ("name", "kind", "is_wide"),
    [
        ("claude-7-err429-max2", LimitKind.RATE, False),
        ("claude-7-err529-max2", LimitKind.OVERLOADED, False),
        ("claude-7-err401", LimitKind.AUTH, True),
        ("claude-9-noapikey", LimitKind.AUTH, True),
        ("claude-7-err404", LimitKind.MODEL, False),
        ("codex-6-err429", LimitKind.RATE, False),
        ("codex-6-err401", LimitKind.AUTH, True),
        ("codex-6-err500", LimitKind.OVERLOADED, False),
        ("codex-stdin-err529", LimitKind.OVERLOADED, False),
        ("gemini-stdin-err429", LimitKind.RATE, False),
        ("opencode-logs-err401", LimitKind.AUTH, True),
        ("opencode-logs-err429", LimitKind.RATE, False),
        ("opencode-logs-err429-after", LimitKind.RATE, False),
        ("opencode-logs-err529", LimitKind.OVERLOADED, False),
    ],
)
def test_recordings_of_real_programs_are_read(name: str, kind: LimitKind, *, is_wide: bool) -> None:
    """429, 529, 401 and a missing key, as programs report them; none says until when."""
    recording = AgentRecording.load(name)
    found = met(recording.runtime, recording.stdout, errors=recording.stderr)
    assert found is not None
    assert (found.kind, found.is_wide, found.until) == (kind, is_wide, None)


@pytest.mark.parametrize(
    "name",
    [
        "claude-7-err400", "claude-7-err413", "claude-7-err500-max2", "claude-11-budget",
        "claude-1-basic", "codex-6-err400", "codex-1-basic", "gemini-5-err400", "gemini-1-basic",
        "opencode-1-basic", "claude-0-apidown", "claude-5-resume-unknown", "claude-11-maxturns",
        "gemini-stdin-apidown",
    ],
)  # fmt: skip
def test_other_endings_mean_something_else(name: str) -> None:
    """A bad request, a server that fails, a program that is out of turns, a good end."""
    recording = AgentRecording.load(name)
    code = recording.rc if isinstance(recording.rc, int) else 1
    assert met(recording.runtime, recording.stdout, errors=recording.stderr, code=code) is None


def _claude(text: str, **fields: object) -> list[str]:
    return [json.dumps({"type": "result", "subtype": "success", "is_error": True, "result": text, **fields})]


def _codex(text: str) -> list[str]:
    failed = {"type": "turn.failed", "error": {"message": text}}
    return [json.dumps({"type": "error", "message": text}), json.dumps(failed)]


def _gemini(text: str) -> list[str]:
    return [json.dumps({"type": "result", "status": "error", "error": {"message": text}, "stats": {}})]


def _opencode(text: str, **data: object) -> list[str]:
    error = {"name": "APIError", "data": {"message": text, **data}}
    return [json.dumps({"type": "error", "sessionID": "ses_1", "error": error})]


@pytest.mark.parametrize(
    ("runtime", "lines", "kind", "hours"),
    [
        ("claude", _claude("You've hit your limit · resets 9pm (UTC)"), LimitKind.USAGE, 4),
        ("claude", _claude("Claude AI usage limit reached|1795971600"), LimitKind.USAGE, 0),
        ("claude", _claude("Credit balance is too low", api_error_status=400), LimitKind.CREDIT, None),
        ("codex", _codex("You've hit your usage limit. Try again in 2 hours."), LimitKind.USAGE, 2),
        ("codex", _codex("Selected model is at capacity. Try another."), LimitKind.OVERLOADED, None),
        ("gemini", _gemini("You exceeded your current quota. Please retry in 3600s."), LimitKind.USAGE, 1),
        ("gemini", _gemini('{"error":{"code":429,"message":"Resource exhausted"}}'), LimitKind.RATE, None),
        ("gemini", _gemini('{"error":{"code":400,"message":"API key not valid."}}'), LimitKind.AUTH, None),
        ("gemini", _gemini('{"error":{"code":503,"message":"It is overloaded."}}'), LimitKind.OVERLOADED,
         None),
        ("opencode", _opencode("Too many", statusCode=429, responseHeaders={"retry-after": "7200"}),
         LimitKind.RATE, 2),
        ("opencode", _opencode("denied", statusCode=401), LimitKind.AUTH, None),
        ("claude", _claude("the selected model (x) may not exist", api_error_status=404),
         LimitKind.MODEL, None),
        ("codex", _codex("status 400: model `x` does not exist"), LimitKind.MODEL, None),
        ("gemini", _gemini('{"error":{"code":404,"message":"models/x not found"}}'), LimitKind.MODEL, None),
        ("opencode", _opencode("ProviderModelNotFoundError: x"), LimitKind.MODEL, None),
        ("opencode", _opencode("Free usage exceeded"), LimitKind.USAGE, None),
        ("command", ["starting", "Error: usage limit reached, try again in 3 hours"], LimitKind.USAGE, 3),
        ("command", ['{"type": "limit", "until": 1795975200, "text": "enough"}'], LimitKind.USAGE, 1),
    ],
)  # fmt: skip
def test_limits_in_words_alone_are_read(
    runtime: str, lines: list[str], kind: LimitKind, hours: float | None
) -> None:
    """As programs and providers document them, with the time that they say."""
    found = met(runtime, lines)
    assert found is not None
    assert found.kind is kind
    if hours:
        assert found.until == pytest.approx(NOW + hours * HOURS)
    else:
        assert found.until is None


def test_what_standard_error_says_counts() -> None:
    """A program that prints no event of it."""
    frames = [f"    at async step{number} (file:///bundle/chunk.js:{number}:1)" for number in range(20)]
    words = ["Error when talking to it", "You have exhausted your daily quota", *frames]
    found = met("gemini", [], errors=words)
    assert found is not None
    assert (found.kind, found.in_words_alone) == (LimitKind.USAGE, True)


def _rate_event(status: str, kind: str = "five_hour", **more: object) -> str:
    info = {"status": status, "resetsAt": NOW + 5 * HOURS, "rateLimitType": kind, **more}
    return json.dumps({"type": "rate_limit_event", "rate_limit_info": info})


def test_the_programs_own_event_says_until_when() -> None:
    """It also says whether all models of the account wait, or one."""
    lines = _claude("You have hit your limit", api_error_status=429)
    for kind, is_wide in (("five_hour", True), ("seven_day_opus", False)):
        found = met("claude", [_rate_event("rejected", kind), *lines])
        assert found is not None
        assert (found.kind, found.until, found.is_wide) == (LimitKind.USAGE, NOW + 5 * HOURS, is_wide)


def test_a_warning_closes_nothing() -> None:
    """Neither is a limit beyond which the program goes on, as it is paid for otherwise."""
    crash = ['{"type": "result", "is_error": true, "result": "it crashed"}']
    assert met("claude", [_rate_event("allowed_warning"), *crash]) is None
    assert met("claude", [_rate_event("rejected", isUsingOverage=True), *crash]) is None
    assert met("claude", [_rate_event("a word of tomorrow"), *crash]) is None


def test_what_a_model_says_of_limits_closes_nothing() -> None:
    """An agent that writes about rate limits, and crashes, or is done."""
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": "429 means: usage limit"}]}}
    crash = {"type": "result", "is_error": True, "result": "the tests failed"}
    assert met("claude", [json.dumps(said), json.dumps(crash)]) is None
    done = {"type": "result", "is_error": False, "result": "I added the usage limit reached page",
            "total_cost_usd": 0.2, "modelUsage": {"m": {"inputTokens": 9, "costUSD": 0.2}}}  # fmt: skip
    assert met("claude", [json.dumps(done)], code=0) is None


def test_a_limit_that_calls_itself_a_success_is_one() -> None:
    """No model did anything, and the whole result is the limit."""
    result = {"type": "result", "is_error": False, "result": "Claude AI usage limit reached|1795975200"}
    found = met("claude", [json.dumps(result)], code=0)
    assert found is not None
    assert found.until == NOW + HOURS


def test_the_model_of_a_canary_is_judged_by_its_trial(redis_client: redis.Redis) -> None:
    """A version on trial that names no known model has failed; a champion's jobs wait for a person."""
    fleet = SteppedFleet(redis_client, draws=[0.25, 0.75])
    fleet.on_trial()
    canary, champion = (fleet.claim(fleet.enqueue().job).job for _ in range(2))
    unknown = AccountLimit(kind=LimitKind.MODEL)
    assert not counts_as_limit(unknown, canary, acted=False)
    assert counts_as_limit(unknown, champion, acted=False)


def test_words_alone_do_not_put_off_for_ever(redis_client: redis.Redis) -> None:
    """An agent that does paid work and then says a limit, again and again, has failed."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    job = fleet.claim(fleet.enqueue().job).job
    alone = AccountLimit(kind=LimitKind.USAGE, in_words_alone=True)
    kept = Hindrance(kind=HindranceKind.LIMIT, since=NOW, seen_at=NOW, times=3)
    often = replace(job, hindrance=kept)
    assert counts_as_limit(alone, job, acted=True)
    assert counts_as_limit(alone, often, acted=False)
    assert not counts_as_limit(alone, often, acted=True)


def test_a_program_of_anybody_has_worked_when_its_turn_was_long() -> None:
    """It need not report its tools; programs that we know do so, and ask again by themselves for minutes."""
    specs = RuntimeSpec(command="agent"), RuntimeSpec(runtime="gemini")
    anybodys, known = (LeasedTurn(spec=spec, worker={}) for spec in specs)
    assert anybodys.may_have_worked(acted=False, seconds=61.0)
    assert not anybodys.may_have_worked(acted=False, seconds=59.0)
    assert anybodys.may_have_worked(acted=True, seconds=1.0)
    assert not known.may_have_worked(acted=False, seconds=600.0)
    assert known.may_have_worked(acted=True, seconds=1.0)


@pytest.mark.parametrize(
    ("status", "words", "is_wide"),
    [
        (401, "denied", True),
        (400, "API key not valid.", True),  # as Gemini's API answers it
        (403, "denied", False),
        (402, "denied", True),
        (429, "insufficient_quota", True),
        (429, "Too many", False),
        (529, "Overloaded", False),
    ],
)
def test_which_limits_close_all_models_of_an_account(status: int, words: str, *, is_wide: bool) -> None:
    """A key that is refused and credit that is used up, whatever the status; 403 may be of one model."""
    found = met("opencode", _opencode(words, statusCode=status))
    assert found is not None
    assert found.is_wide is is_wide


@pytest.mark.parametrize(
    ("runtime", "lines", "errors"),
    [
        ("codex", _codex("You've hit your usage limit. Try again in 30 minutes."), ()),
        ("claude", _claude("You've hit your limit · resets in 30 minutes"), ()),
        ("gemini", _gemini('{"error":{"code":429,"message":"Please retry in 1800s"}}'), ()),
        ("gemini", [], ("You have exhausted your daily quota; it will reset after 30m0s.",)),
        ("opencode", _opencode("no", statusCode=429, responseHeaders={"retry-after": "1800"}), ()),
        ("command", [], ("error: usage limit reached; try again in 30 minutes",)),
        ("command", ["usage limit reached; try again in 30 minutes"], ()),
        ("command", ['{"type": "limit", "text": "try again in 30 minutes"}'], ()),
    ],
)
def test_a_time_counts_from_when_it_was_said(runtime: str, lines: list[str], errors: Sequence[str]) -> None:
    """A program may be silent for long after its words, until its turn is ended."""
    found = met(runtime, lines, errors=errors, heard=NOW - 600.0)
    assert found is not None
    assert found.until == NOW + 1200.0
    passed = met(runtime, lines, errors=errors, heard=NOW - 1800.0)
    assert passed is not None
    assert passed.until is None


def test_a_time_of_day_that_has_passed_since_is_not_tomorrows() -> None:
    """Said at 16:20, and read at 17:00."""
    found = met("claude", _claude("You've hit your limit · resets 4:30pm (UTC)"), heard=NOW - 2400.0)
    assert found is not None
    assert found.until is None


def test_no_time_is_believed_that_cannot_be() -> None:
    """What has passed is none; what is years away is cut to a month."""
    limit = AccountLimit(kind=LimitKind.USAGE, until=NOW - 1)
    assert limit.believed(NOW).until is None
    far = AccountLimit(kind=LimitKind.USAGE, until=NOW * 2, words="w" * 1000).believed(NOW)
    assert far.until == NOW + MOST_SECONDS
    assert len(far.words) == 300


FAILED = (
    'timestamp=2026-11-30T11:00:00.000Z level=ERROR run=1 message="stream error" providerID=p modelID=m '
    "session.id=ses_1 small={small} agent=build mode=primary error.error={words}"
)


def test_a_limit_in_the_log_of_opencode_alone_is_read() -> None:
    """It retries for as long as the provider says; what was to be a title says nothing of the turn."""
    said = FAILED.format(small="false", words='"AI_APICallError: Rate limit reached for \\"m\\""')
    found = met("opencode", [], errors=[said, "another line"])
    assert found is not None
    assert (found.kind, found.in_words_alone) == (LimitKind.RATE, False)
    assert found.words == 'AI_APICallError: Rate limit reached for "m"'
    made = runtime_for(RuntimeSpec(runtime="opencode"))
    for line in (said.replace("small=false", "small=true"), said.replace("ERROR", "INFO"), "error.error=429"):
        assert made.parse_error(line) == ()
    cut = FAILED.format(small="false", words='"AI_APICallError: Rate')
    assert [event for event in made.parse_error(cut) if isinstance(event, ApiErrorEvent)]


def test_a_limit_that_was_overcome_is_none() -> None:
    """The agent went on after it, and failed for another reason."""
    made, tally = runtime_for(RuntimeSpec(runtime="opencode")), TurnTally()
    tool = {"type": "tool_use", "sessionID": "ses_1", "part": {"tool": "bash", "state": {"input": {}}}}
    failed = FAILED.format(small="false", words='"AI_APICallError: Rate limit reached"')
    for event in [*made.parse_error(failed), *made.parse(json.dumps(tool))]:
        tally.add(event)
    assert account_limit(tally.seen(), made.limit_words, clean=False, now=NOW, zone=UTC) is None


@pytest.mark.parametrize(("before", "is_met"), [(FLUSH_SECONDS, True), (FLUSH_SECONDS + 0.1, False)])
def test_order_of_two_streams_says_nothing_of_the_last_moments(before: float, *, is_met: bool) -> None:
    """A program that keeps its output until it exits seems to go on after the words that it ended with."""
    made, clock = runtime_for(RuntimeSpec(runtime="gemini")), [NOW - before]
    tally = TurnTally(clock=lambda: clock[-1])
    tally.add_error("You have exhausted your daily quota")
    clock.append(NOW)
    for event in made.parse(json.dumps({"type": "tool_use", "tool_name": "shell", "parameters": {}})):
        tally.add(event)
    for failed_at, met_then in ((NOW, is_met), (None, False)):
        seen = tally.seen(failed_at=failed_at)
        found = account_limit(seen, made.limit_words, clean=False, now=NOW, zone=UTC)
        assert (found is not None) == met_then


def test_an_error_without_a_status_does_not_hide_one_that_has_it() -> None:
    """The two streams of a program are read apart: its log may come after its result."""
    made, tally = runtime_for(RuntimeSpec(runtime="opencode")), TurnTally()
    failed = FAILED.format(small="false", words='"AI_APICallError: denied"')
    for event in [*made.parse(_opencode("denied", statusCode=401)[0]), *made.parse_error(failed)]:
        tally.add(event)
    error = tally.seen().api_error
    assert error is not None
    assert error.status == 401


def test_a_program_may_ask_again_for_a_while() -> None:
    """From the first limit of a row to the last; what the agent does in between begins a new row."""
    timer, limit = LimitTimer(patience_seconds=100), ApiErrorEvent(message="rate limit", status=429)
    said: list[tuple[float, AgentEvent, bool]] = [
        (0.0, limit, True), (99.0, limit, True), (99.5, ToolEvent(name="bash"), False), (110.0, limit, True),
        (205.0, NoticeEvent(kind="waits"), False), (209.0, limit, True),
    ]  # fmt: skip
    for at, event, is_limit in said:
        timer.hear(event, at, is_limit=is_limit)
        assert not timer.is_over
    timer.hear(limit, 210.0, is_limit=True)
    assert timer.is_over


def test_which_events_say_a_limit() -> None:
    """By the status, by the words without one; a server that fails is none, and neither is a text."""
    said: list[AgentEvent] = [
        ApiErrorEvent(message="no", status=429), ApiErrorEvent(message="no", status=401),
        ApiErrorEvent(message="Overloaded"), LimitEvent(words="enough"),
    ]  # fmt: skip
    other: list[AgentEvent] = [
        ApiErrorEvent(message="no", status=500), ApiErrorEvent(message="fetch failed"),
        TextEvent(text="usage limit reached"),
    ]  # fmt: skip
    assert [says_limit(event, SHARED_WORDS) for event in [*said, *other]] == [True] * 4 + [False] * 3


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Attempt 3 failed with status 429. Retrying with backoff... ApiError: {}", LimitKind.RATE),
        ("Attempt 1 failed with 429 error (no Retry-After header). Retrying with backoff...", LimitKind.RATE),
        ("Attempt 1 failed with status 503. Retrying with backoff... The model is overloaded.",
         LimitKind.OVERLOADED),
        ("Attempt 2 failed: You exceeded your current quota. Retrying after 34000ms...", LimitKind.USAGE),
        ("Attempt 1 failed with status 500. Retrying with backoff...", None),
        ("Attempt 1 failed. Retrying with backoff... fetch failed", None),
    ],
)  # fmt: skip
def test_what_gemini_says_of_its_retries_is_read(line: str, kind: LimitKind | None) -> None:
    """On standard error alone; the lines are those of its source."""
    found = met("gemini", [], errors=[line])
    assert (found.kind if found else None) is kind
