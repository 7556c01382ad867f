"""The difference between the versions with its interval: the trial's own tests, asked for every gap."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis

from console.output.trials.difference_words import difference_cell
from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_ledger import Dispatched, Settlement
from harvest.evidence.difference import _GAPS, Difference, difference_course, difference_of
from harvest.evidence.group_differences import group_differences
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import AnyTest, advance, parted
from harvest.evidence.verdict import Verdict
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.trials.differences import Differences
from routing.jobs.signal import SignalKind
from routing.templates.trial import Arm, Mode, Trial
from tests.fleets.stepped_fleet import SteppedFleet
from tests.source import ROOT

POLICY = TrialPolicy()
PAIRED = TrialPolicy(mode=Mode.SHADOW)

#: Ways to make a ledger of a trial, by seed.
LAWS = [
    ("draw", 0.7, -0.4), ("draw", 0.7, 0.0), ("draw", 0.5, 0.2), ("draw", 0.9, -0.1),
    ("pairs", 0.7, -0.3), ("pairs", 0.7, 0.0), ("pairs", 0.5, 0.2), ("pairs", 0.9, -0.1),
]  # fmt: skip


def draw_ledger(champion: float, difference: float, *, units: int, seed: int) -> list[Any]:
    """Jobs at share 0.5 that settle at once, the baseline as it would be."""
    generator, state = random.Random(seed), DrawEvidence.begin(POLICY)
    lines: list[Any] = []
    for index in range(units):
        number = generator.random()
        arm = Arm.CANARY if number < 0.5 else Arm.CHAMPION
        rate = champion + difference if arm is Arm.CANARY else champion
        bet = state.bet(arm, share=0.5)
        found = Dispatched.of(bet, index=index, job_id=f"j{index}", draw=number)
        settled = Settlement(index=index, kind="settled", score=float(generator.random() < rate))
        state = advance(state, [found], [settled]).state
        lines += [found, settled]
    return lines


def pair_ledger(champion: float, difference: float, *, units: int, seed: int) -> list[Any]:
    """Pairs whose scores are independent."""
    generator, state = random.Random(seed), PairEvidence.begin(PAIRED)
    lines: list[Any] = []
    for index in range(units):
        found = PairDispatched(
            index=index, champion_job=f"j{index}", canary_job=f"s{index}", first=Arm.CHAMPION,
            discordance=state.bet.discordance,
        )  # fmt: skip
        settled = PairSettlement(
            index=index, kind="settled", champion=float(generator.random() < champion),
            canary=float(generator.random() < champion + difference),
        )  # fmt: skip
        state = advance(state, [found], [settled]).state
        lines += [found, settled]
    return lines


def trial(kind: str, champion: float, difference: float, *, units: int = 150, seed: int = 7) -> Any:
    """The test, the policy and the ledger."""
    if kind == "draw":
        return DrawEvidence, POLICY, draw_ledger(champion, difference, units=units, seed=seed)
    return PairEvidence, PAIRED, pair_ledger(champion, difference, units=units, seed=seed)


@pytest.mark.parametrize("law", LAWS)
def test_the_interval_says_what_the_verdict_says(law: tuple[str, float, float]) -> None:
    """It passes -delta at the very outcome that graduates, and falls to -margin at that which rolls back."""
    test, policy, ledger = trial(*law)
    state: AnyTest = test.begin(policy)
    seen = set()
    for place in range(0, len(ledger), 2):
        state = advance(state, [ledger[place]], [ledger[place + 1]]).state
        reached = state.not_worse.value >= 20, state.worse.value >= 20
        if reached in seen and place % 60:
            continue  # asked where something changed, and now and then
        seen.add(reached)
        found = difference_of(test, policy, ledger[: place + 2])
        assert (found.lower >= -policy.delta, found.upper <= -policy.margin) == reached


@pytest.mark.parametrize("law", LAWS)
def test_the_interval_only_narrows(law: tuple[str, float, float]) -> None:
    """Whatever order outcomes come in: an open unit counts at its worst for both ends."""
    test, policy, ledger = trial(*law, units=60)
    dispatches, settlements = parted(test, ledger)
    random.Random(3).shuffle(settlements)
    before = difference_of(test, policy, dispatches)
    assert (before.lower, before.upper) == (-1.0, 1.0)
    for some in range(5, 61, 5):
        found = difference_of(test, policy, [*dispatches, *settlements[:some]])
        assert before.lower <= found.lower
        assert found.upper <= before.upper
        before = found


@pytest.mark.parametrize("law", LAWS)
def test_a_course_says_how_the_difference_came_to_what_it_is(law: tuple[str, float, float]) -> None:
    """At each of its places it is that of the units up to there, its ends to the tenth; the last is exact."""
    test, policy, ledger = trial(*law, units=80)
    end = difference_of(test, policy, ledger)
    course = difference_course(test, policy, ledger, end)
    assert [step.unit for step in course] == sorted({step.unit for step in course})
    assert (course[0].unit, course[-1].unit) == (1, 80)
    assert (course[-1].value, course[-1].lower, course[-1].upper) == (end.value, end.lower, end.upper)
    for step in course[::6]:
        found = difference_of(test, policy, ledger[: 2 * step.unit])
        assert step.value == found.value
        assert step.lower <= found.lower < step.lower + 0.101
        assert step.upper >= found.upper > step.upper - 0.101
    assert difference_course(test, policy, [], end) == []


@pytest.mark.parametrize("law", LAWS)
def test_a_gap_further_out_than_a_rejected_one_is_rejected_too(law: tuple[str, float, float]) -> None:
    """So the end that is found by halving is the one that asking for each gap in turn would find."""
    test, policy, ledger = trial(*law, units=120)
    found = difference_of(test, policy, ledger)
    dispatches, settlements = parted(test, ledger)
    scores = {line.index: test.outcome(policy, line).score for line in settlements}
    for gap in _GAPS[::7]:
        evidence = test.begin(policy).worse
        for null, rejects in (
            (test.worse_null(policy, gap=gap), gap <= found.lower),
            (test.not_worse_null(policy, margin=-gap), gap >= found.upper),
        ):
            state = evidence.against(null)
            for line in dispatches:
                state = state.dispatch(test.units(policy, line)[0]).settle(line.index, scores[line.index])
            assert (state.value >= 20) == rejects, gap


@pytest.mark.parametrize(("units", "apart"), [(20, 0.1), (100, 0.05), (400, 0.05)])
def test_swapped_versions_have_the_mirrored_interval(units: int, apart: float) -> None:
    """But for a few hundredths, more where little is known: the two questions stake differently."""
    ledger = pair_ledger(0.7, -0.1, units=units, seed=11)
    swapped = [
        line.model_copy(update={"champion": line.canary, "canary": line.champion})
        if isinstance(line, PairSettlement)
        else line
        for line in ledger
    ]
    found, other = (difference_of(PairEvidence, PAIRED, lines) for lines in (ledger, swapped))
    assert found.value == pytest.approx(-(other.value or 0.0))
    assert found.lower == pytest.approx(-other.upper, abs=apart)
    assert found.upper == pytest.approx(-other.lower, abs=apart)


def test_the_example_of_the_page_is_computed() -> None:
    """The seven pairs of docs/evidence.md, again and again: the interval narrows until it rolls back."""
    seven = [(1.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 0.0)]
    state, lines, rows = PairEvidence.begin(PAIRED), list[Any](), []
    for index, (champion, canary) in enumerate(seven * 5):
        found = PairDispatched(
            index=index, champion_job="a", canary_job="b", first=(Arm.CHAMPION, Arm.CANARY)[index % 2],
            discordance=state.bet.discordance,
        )  # fmt: skip
        settled = PairSettlement(index=index, kind="settled", champion=champion, canary=canary)
        state, lines = advance(state, [found], [settled]).state, [*lines, found, settled]
        if index % 7 == 6:
            ended = ", rolled back" if state.decide(elapsed_days=0.0).verdict is Verdict.ROLL_BACK else ""
            cell = difference_cell(difference_of(PairEvidence, PAIRED, lines))
            rows.append(f"| {index + 1} | {cell}{ended} |")
    assert "\n".join(rows) in (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")


def test_excluded_units_say_nothing() -> None:
    """Neither to the value nor to the interval."""
    ledger = draw_ledger(0.7, -0.4, units=60, seed=5)
    more = [
        Dispatched(index=60, job_id="x", arm=Arm.CANARY, share=0.5, draw=0.1, baseline=0.7),
        Settlement(index=60, kind="excluded"),
    ]
    assert difference_of(DrawEvidence, POLICY, [*ledger, *more]) == difference_of(
        DrawEvidence, POLICY, ledger
    )


def test_nothing_is_known_of_an_arm_without_scores() -> None:
    """The value is None and not 0; the interval may say something already."""
    ledger = [
        Dispatched(index=0, job_id="x", arm=Arm.CANARY, share=0.5, draw=0.1, baseline=0.7),
        Settlement(index=0, kind="settled", score=0.0),
    ]
    found = difference_of(DrawEvidence, POLICY, ledger)
    assert (found.value, found.units, found.lower) == (None, 0, -1.0)
    assert Difference.stored(found.document()) == found


def grouped(units: int = 200) -> tuple[Sequence[Any], dict[str, str]]:
    """A canary that is as good in one repository and far worse in another, small one."""
    good = pair_ledger(0.7, 0.0, units=units, seed=1)
    groups = {f"j{index}": "local:shop" if index % 5 else "local:bank" for index in range(units)}
    bad = [
        line.model_copy(update={"champion": 1.0, "canary": 0.0})
        if isinstance(line, PairSettlement) and line.index % 5 == 0
        else line
        for line in good
    ]
    return bad, groups


def test_groups_have_their_own_interval_and_are_drawn_towards_the_whole() -> None:
    """The small group is bad for sure, and its difference is shown less extreme than it is."""
    ledger, groups = grouped()
    shop, bank = group_differences(PairEvidence, PAIRED, ledger, groups)
    assert (shop.name, shop.units, bank.name, bank.units) == ("local:shop", 160, "local:bank", 40)
    whole = difference_of(PairEvidence, PAIRED, ledger)
    assert bank.difference.value == -1.0
    assert bank.difference.upper < -0.7
    assert bank.shrunk == pytest.approx((-40 + 4 * (whole.value or 0.0)) / 44)
    assert shop.difference.lower < 0 < shop.difference.upper


def test_one_group_alone_is_left_out() -> None:
    """Nor are units of which nothing is known."""
    ledger, groups = grouped(40)
    assert group_differences(PairEvidence, PAIRED, ledger, dict.fromkeys(groups, "local:shop")) == []
    assert group_differences(PairEvidence, PAIRED, ledger, {}) == []


def test_a_difference_is_computed_once_a_revision(redis_client: redis.Redis) -> None:
    """Looking again reads nothing; a trial that moved is read again; lists of ended ones read no ledger."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9] * 40)
    fleet.on_trial()
    reads = []

    def ledger(found: Trial) -> list[Any]:
        reads.append(found.revision)
        return fleet.app.harvester.counted_ledger(found)

    differences = Differences(ledger)
    current = fleet.app.trials.find("implementer")
    first = differences.of(current)
    assert (differences.of(current), len(reads), first.value) == (first, 1, None)
    kinds = itertools.cycle((SignalKind.AGENT_ERRORED, SignalKind.FINISHED))
    while fleet.app.trials.find("implementer").is_open:
        fleet.end(fleet.enqueue().job, next(kinds))
        fleet.app.harvester.harvest()
    ended = fleet.app.trials.find("implementer")
    found = differences.in_list(ended)
    assert (len(reads), found) == (1, differences.of(ended))
    assert found is not None
    assert found.upper <= 0
    assert differences.in_list(replace(ended, review="")) is None
    (review,) = fleet.app.templates.reviews("implementer")
    assert (review["decision"], review["difference"]) == (Verdict.ROLL_BACK, found.document())
