"""The checker of histories: it passes what a correct thing did, in whatever order, and nothing else."""

from collections.abc import Hashable, Iterable
from dataclasses import replace
from itertools import permutations
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.conservation import MODELS
from tests.chaos.linearizability import HistoryStep, Verdict, check

#: What threads do to a register: write a number, read one, or swap one for another.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "read", "swap"]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.floats(0.01, 3.0),  # before the moment at which it takes effect it was asked for
        st.floats(0.01, 3.0),  # after it, it was answered
        st.sampled_from([False] * 5 + [True]),  # its answer was lost
    ),
    min_size=1,
    max_size=7,
)


def register(state: Hashable, step: HistoryStep) -> Iterable[Hashable]:
    """A number: the model."""
    if step.is_pending:
        yield state
    if step.name == "write":
        yield step.asked
    elif step.name == "read":
        if step.is_pending or step.answer == state:
            yield state
    else:
        before, after = step.asked
        if step.is_pending or step.answer == (state == before):
            yield after if state == before else state


def played(steps: list[tuple[str, int, int, float, float, bool]]) -> list[HistoryStep]:
    """The history of a correct register, on which each step takes effect at a second of its own."""
    state, history = 0, []
    for moment, (name, one, other, before, after, is_lost) in enumerate(steps):
        asked: object = (one, other) if name == "swap" else one
        answer: object = {"write": None, "read": state, "swap": state == one}[name]
        if name == "write" or (name == "swap" and state == one):
            state = one if name == "write" else other
        ended = inf if is_lost else moment + after
        history.append(
            HistoryStep(name=name, asked=asked, answer=answer, begun_at=moment - before, ended_at=ended)
        )
    return history


def by_force(history: list[HistoryStep]) -> bool:
    """Whether any order fits: all of them are tried, with and without each step that was not answered."""
    answered = [each for each in history if not each.is_pending]
    pending = [each for each in history if each.is_pending]
    for bits in range(1 << len(pending)):
        done = [*answered, *(each for place, each in enumerate(pending) if bits >> place & 1)]
        if any(_fits(order) for order in permutations(done)):
            return True
    return False


def _fits(order: tuple[HistoryStep, ...]) -> bool:
    latest = -inf
    states: set[Hashable] = {0}
    for each in order:
        if each.ended_at < latest:
            return False
        latest = max(latest, each.begun_at)
        states = {after for state in states for after in register(state, each)}
        if not states:
            return False
    return True


@settings(max_examples=30)
@given(STEPS)
def test_what_a_correct_register_did_passes(steps: list[tuple[str, int, int, float, float, bool]]) -> None:
    """However its steps overlap, and whichever answers were lost."""
    assert check(played(steps), register, 0).verdict is Verdict.LINEARIZABLE


@settings(max_examples=30)
@given(STEPS.filter(lambda steps: len(steps) < 6), st.integers(0, 5), st.integers(0, 3))
def test_a_wrong_answer_is_found_where_no_order_explains_it(
    steps: list[tuple[str, int, int, float, float, bool]], place: int, wrong: int
) -> None:
    """The search and the trial of all orders agree, for histories with one answer changed."""
    history = played(steps)
    place %= len(history)
    answer = not history[place].answer if history[place].name == "swap" else wrong
    history[place] = replace(history[place], answer=answer)
    found = check(history, register, 0).verdict
    assert found is (Verdict.LINEARIZABLE if by_force(history) else Verdict.IMPOSSIBLE)


def test_an_old_value_after_a_newer_one_was_read_is_impossible() -> None:
    """The classic: two reads in turn, of which the second is older; it says where it is stuck."""
    history = [
        HistoryStep(name="write", asked=1, begun_at=0, ended_at=10),
        HistoryStep(name="read", asked=0, answer=1, begun_at=1, ended_at=2),
        HistoryStep(name="read", asked=0, answer=0, begun_at=3, ended_at=4),
    ]
    found = check(history, register, 0)
    assert (found.verdict, found.reached) == (Verdict.IMPOSSIBLE, 2)
    assert [step.answer for step in found.stuck_at] == [0]


def test_a_search_that_takes_too_long_says_so() -> None:
    """Such a search has no answer, and gives none."""
    history = [HistoryStep(name="write", asked=each, begun_at=0, ended_at=9) for each in range(12)]
    history.append(HistoryStep(name="read", asked=0, answer=99, begun_at=10, ended_at=11))
    assert check(history, register, 0, most_states=50).verdict is Verdict.UNDECIDED


def claim(fence: int | str, at: float, *, call: str = "c") -> HistoryStep:
    """A claim under a lease of five seconds."""
    asked = {"lease_seconds": 5.0, "call": call}
    return HistoryStep(name="claim", asked=asked, answer=fence, begun_at=at, ended_at=at + 0.01)


def ended(fence: int, answer: str, at: float) -> HistoryStep:
    """A report that the job has ended."""
    asked = {
        "fence": fence, "to": "succeeded", "place": "final", "allowed": ["running"], "expired": False,
    }  # fmt: skip
    return HistoryStep(name="move", asked=asked, answer=answer, begun_at=at, ended_at=at + 0.01)


def lease_verdict(*history: HistoryStep) -> Verdict:
    """What the checker says of a job's history."""
    model, initial = MODELS["job"]
    return check(history, model, initial).verdict


def test_a_lease_goes_to_the_next_worker_when_it_is_over_and_not_before() -> None:
    """The old holder's report is refused then, and an answer that was lost may be asked for again."""
    assert lease_verdict(claim(1, 0), claim(2, 5.1, call="d"), ended(1, "stale", 6), ended(2, "ok", 7)) == (
        Verdict.LINEARIZABLE
    )
    assert lease_verdict(claim(1, 0), claim(2, 3.0, call="d")) is Verdict.IMPOSSIBLE
    assert lease_verdict(claim(1, 0), claim(1, 3.0)) is Verdict.LINEARIZABLE
    assert lease_verdict(claim(1, 0), claim(2, 5.1, call="d"), ended(1, "ok", 6)) is Verdict.IMPOSSIBLE


def test_a_job_ends_once() -> None:
    """The same report again is answered as the first; a claim after the end is not won."""
    assert lease_verdict(claim(1, 0), ended(1, "ok", 1), ended(1, "ok", 2)) is Verdict.LINEARIZABLE
    assert lease_verdict(claim(1, 0), ended(1, "ok", 1), claim("final", 2)) is Verdict.LINEARIZABLE
    assert lease_verdict(claim(1, 0), ended(1, "ok", 1), claim(2, 9)) is Verdict.IMPOSSIBLE


def test_two_steps_of_one_revision_are_impossible() -> None:
    """A trial's test is a compare-and-set; a tick's lock has one holder."""
    model, initial = MODELS["trial"]
    steps = [
        HistoryStep(
            name="advance",
            asked={"revision": 0, "verdict": "hold"},
            answer="ok",
            begun_at=at,
            ended_at=at + 1,
        )
        for at in (0, 2)
    ]
    assert check(steps[:1], model, initial).verdict is Verdict.LINEARIZABLE
    assert check(steps, model, initial).verdict is Verdict.IMPOSSIBLE
    model, initial = MODELS["tick"]
    turns = [
        HistoryStep(name="begin", asked={"lease_seconds": 3.0}, answer=token, begun_at=at, ended_at=at + 0.1)
        for token, at in (("a", 0.0), ("b", 1.0), ("c", 3.5))
    ]
    assert check([turns[0], turns[2]], model, initial).verdict is Verdict.LINEARIZABLE
    assert check(turns[:2], model, initial).verdict is Verdict.IMPOSSIBLE
    end = HistoryStep(
        name="end",
        asked={"token": "a", "lease_seconds": 3.0},
        answer="goes on",
        begun_at=0.4,
        ended_at=0.5,
    )
    assert check([turns[0], end, turns[1]], model, initial).verdict is Verdict.IMPOSSIBLE
    ended = replace(end, answer="given back")
    assert check([turns[0], ended, turns[1]], model, initial).verdict is Verdict.LINEARIZABLE
