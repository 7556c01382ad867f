"""How long an agent may say nothing, and how long it may stay after its result; the test has the clock."""

import pytest

from routing.errors import CorruptRecordError, UnavailableError
from tasks.agents.runtimes.agent_event import AgentEvent, ResultEvent, SessionEvent, TextEvent, ToolEvent
from tasks.agents.turn.limits import ASK_SECONDS, ResultTimer, StallTimer

STALL = 600.0


class Person:
    """Somebody who may be waited for, and a count of the questions whether that is so."""

    def __init__(self) -> None:
        self.awaited = False
        self.is_away = False  # the store that knows
        self.is_unreadable = False  # the record of the agent
        self.asked = 0

    def __call__(self) -> bool:
        """Answer the timer."""
        self.asked += 1
        if self.is_unreadable:
            message = "its record cannot be read"
            raise CorruptRecordError(message)
        if self.is_away:
            message = "the store is away"
            raise UnavailableError(message)
        return self.awaited


@pytest.fixture
def person() -> Person:
    """Nobody waits for this one yet."""
    return Person()


@pytest.fixture
def timer(person: Person) -> StallTimer:
    """It began at 0 s."""
    return StallTimer(stall_seconds=STALL, now=0.0, waits_for_person=person)


def until_over(timer: StallTimer, end: float) -> list[float]:
    """Ask the timer whenever it is due, up to a time; returns when it said that the silence is over."""
    over: list[float] = []
    while (now := timer.due_at) <= end and not over:
        if timer.is_over(now):
            over.append(now)
    return over


def test_silence_is_over_after_the_stall_time(timer: StallTimer, person: Person) -> None:
    """Not a moment earlier, and nobody is asked before."""
    assert not timer.is_over(STALL - 0.001)
    assert person.asked == 0
    assert timer.is_over(STALL)


def test_event_begins_a_new_silence(timer: StallTimer) -> None:
    """It counts from the last one."""
    timer.heard(500.0)
    assert not timer.is_over(STALL)
    assert until_over(timer, 5000.0) == [500.0 + STALL]


def test_agent_that_waits_for_a_person_is_not_stalled(timer: StallTimer, person: Person) -> None:
    """However long it takes; it is asked about now and then, and not all the time."""
    person.awaited = True
    assert until_over(timer, 100 * STALL) == []
    assert person.asked == pytest.approx(99 * STALL / ASK_SECONDS, rel=0.01)


def test_answer_is_not_followed_by_the_end(timer: StallTimer, person: Person) -> None:
    """The agent has all of the stall time to go on with what was decided."""
    person.awaited = True
    assert until_over(timer, 5000.0) == []
    person.awaited = False
    (over,) = until_over(timer, 10_000.0)
    assert over == pytest.approx(5000.0 + STALL, abs=ASK_SECONDS)


def test_second_gate_is_seen_before_the_time_is_over(timer: StallTimer, person: Person) -> None:
    """An agent that asks again while it says nothing else waits for a person again."""
    person.awaited = True
    assert until_over(timer, 700.0) == []
    person.awaited = False
    assert until_over(timer, 1000.0) == []
    person.awaited = True
    assert until_over(timer, 10_000.0) == []


def test_store_that_is_away_changes_nothing(timer: StallTimer, person: Person) -> None:
    """Neither does the silence end nor is it forgiven: the next answer holds."""
    person.is_away = True
    assert until_over(timer, 2 * STALL) == []
    person.is_away = False
    (over,) = until_over(timer, 3 * STALL)
    assert over <= 2 * STALL + ASK_SECONDS


def test_agent_whose_record_cannot_be_read_is_silent(timer: StallTimer, person: Person) -> None:
    """Nobody could answer it: the turn ends for its silence, and not for the record."""
    person.is_unreadable = True
    assert until_over(timer, 2 * STALL) == [STALL]


def test_store_that_goes_away_while_a_person_is_waited_for(timer: StallTimer, person: Person) -> None:
    """The time counts from when the agent was last seen to wait."""
    person.awaited = True
    assert until_over(timer, 1000.0) == []
    person.is_away = True
    assert until_over(timer, 5000.0) == []
    person.is_away, person.awaited = False, True
    assert until_over(timer, 9000.0) == []


@pytest.mark.parametrize(
    ("events", "due_at"),
    [
        ([TextEvent(text="on it")], None),
        ([ResultEvent()], 10.0),
        ([ResultEvent(), TextEvent(text="bye")], 10.0),
        ([ResultEvent(), ToolEvent(name="bash")], None),
        ([ResultEvent(), SessionEvent(session_id="next")], None),
        ([ResultEvent(), ToolEvent(name="bash"), ResultEvent()], 12.0),
        ([ResultEvent(is_error=True)], 60.0),
    ],
)
def test_program_counts_as_done_a_while_after_its_result(
    events: list[AgentEvent], due_at: float | None
) -> None:
    """Unless it is at work again; then its next result counts. An event comes each second."""
    timer = ResultTimer(grace_seconds=10.0, failure_grace_seconds=60.0)
    for now, event in enumerate(events):
        timer.hear(event, float(now))
    assert timer.due_at == due_at
