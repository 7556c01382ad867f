"""What becomes of a case that both versions were given: by the facts of both halves, and of neither alone."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harvest.backtests.case_pair import CasePair, CaseResult, first_of, result_key
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import replay
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.settling.score import EXCLUSIONS, FAILURES, ScoreRules
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.signal import Signal, SignalKind, handed_over, judgement, signal
from routing.templates.trial import Arm
from tasks.backtests.pair_look import PairLook, look_at

RULES = ScoreRules(settle_deadline_seconds=1000.0)

#: When all is looked at, before any deadline.
NOW = 500.0

#: Facts of one half, in their order.
Facts = Sequence[Signal]


def pair(index: int = 0, kept: CaseResult | None = None) -> CasePair:
    """A case that was given out."""
    line = PairDispatched(
        index=index, champion_job=f"champion-{index}", canary_job=f"canary-{index}", first=Arm.CHAMPION,
        discordance=0.3,
    )  # fmt: skip
    return CasePair(case="0" * 16, name="shop-1", dispatched=line, kept=kept)


def job(name: str, **fields: object) -> Job:
    """A job that a worker has taken a second after it was given out."""
    request = JobRequest.checked(template="implementer", task="fix the roof", repository="shop")
    made = Job(
        id=name, request=request, state=JobState.RUNNING, template="implementer", version=1,
        content_hash="x", created_at=0.0, claimed_at=1.0, first_claimed_at=1.0,
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


def scored(value: float | None, *, overdue: bool = False) -> Facts:
    """Work that was handed over, and the judge's word on it."""
    word = judgement(at=90.0, commit="c0ffee", value=value, note="exit code 1", overdue=overdue)
    return [handed_over(at=60.0, commit="c0ffee"), word]


def fact(kind: SignalKind) -> Facts:
    """A half that ended by one fact."""
    return [signal(kind, at=70.0)]


HANDED: Facts = [handed_over(at=60.0, commit="c0ffee")]


def looked(
    champion: Facts, canary: Facts, *, champion_job: Job | None = None, canary_job: Job | None = None
) -> PairLook:
    """What became of a pair by these facts."""
    found = {
        "champion-0": (champion_job or job("champion-0"), champion),
        "canary-0": (canary_job or job("canary-0"), canary),
    }
    return look_at(pair(), found, now=NOW, rules=RULES)


def line_of(champion: Facts, canary: Facts) -> PairSettlement:
    """The same, once nothing more will become of it."""
    line = looked(champion, canary).line
    assert line is not None
    return line


def mirrored(line: PairSettlement) -> PairSettlement:
    """The same pair with the names of its halves exchanged."""
    other = {Arm.CHAMPION: Arm.CANARY, Arm.CANARY: Arm.CHAMPION, None: None}
    words = {"champion": "canary", "canary": "champion"}
    if line.kind == "settled":
        first, second = (part.partition(" ") for part in line.reason.split("; ", 1))
        reason = f"{words[second[0]]} {second[2]}; {words[first[0]]} {first[2]}"
    else:
        reason = line.reason
    return line.model_copy(
        update={
            "champion": line.canary, "canary": line.champion, "champion_spent": line.canary_spent,
            "canary_spent": line.champion_spent, "champion_age_seconds": line.canary_age_seconds,
            "canary_age_seconds": line.champion_age_seconds, "excluded_by": other[line.excluded_by],
            "reason": reason,
        }
    )  # fmt: skip


ENDS: dict[str, Facts] = {
    "solved": scored(1.0), "in part": scored(0.25), "failed": scored(0.0), "late": scored(0.0, overdue=True),
    "crashed": fact(SignalKind.AGENT_ERRORED), "nothing": fact(SignalKind.NOTHING_PUSHED),
    "lost": fact(SignalKind.MACHINE_LOST), "cancelled": fact(SignalKind.CANCELLED),
    "no judge": scored(None), "no commit": fact(SignalKind.FINISHED),
}  # fmt: skip


@pytest.mark.parametrize("one", ENDS)
def test_exchanging_the_halves_changes_names_alone(one: str) -> None:
    """Whatever became of either: scores, amounts, ages and the cause change places, and nothing else."""
    for other in ENDS.values():
        there, back = line_of(ENDS[one], other), mirrored(line_of(other, ENDS[one]))
        if there.kind == "excluded":  # of two reasons that of the champion's half is said
            back = back.model_copy(update={"reason": there.reason})
        assert there == back


def test_each_half_has_its_own_score() -> None:
    """Nothing is credited to a version that its own work did not earn."""
    for champion, canary in itertools.product((1.0, 0.5, 0.0), repeat=2):
        line = line_of(scored(champion), scored(canary))
        assert (line.kind, line.champion, line.canary) == ("settled", champion, canary)


@pytest.mark.parametrize("kind", sorted(FAILURES - {SignalKind.CLOSED_UNMERGED, SignalKind.FROZEN}))
def test_a_half_that_fails_scores_0(kind: SignalKind) -> None:
    """The other one counts as it was judged; where both fail, both count."""
    assert (line_of(fact(kind), scored(1.0)).champion, line_of(fact(kind), scored(1.0)).canary) == (0.0, 1.0)
    assert (line_of(scored(1.0), fact(kind)).champion, line_of(scored(1.0), fact(kind)).canary) == (1.0, 0.0)
    both = line_of(fact(kind), fact(kind))
    assert (both.kind, both.champion, both.canary) == ("settled", 0.0, 0.0)


@pytest.mark.parametrize("kind", sorted(EXCLUSIONS | {SignalKind.FINISHED}))
def test_what_no_agent_did_leaves_out_both(kind: SignalKind) -> None:
    """Whatever the other half shows: a good result counts as little as a bad one, or as a failure."""
    others = (scored(1.0), scored(0.0), HANDED, fact(SignalKind.AGENT_ERRORED))
    for half, other in itertools.product(Arm, others):
        facts = {half: fact(kind)}
        line = line_of(facts.get(Arm.CHAMPION, other), facts.get(Arm.CANARY, other))
        assert (line.kind, line.champion, line.canary) == ("excluded", None, None)


def test_nothing_is_said_while_a_half_is_at_work() -> None:
    """Its turn is paid for already, so it is waited for; the judge begins when both have ended."""
    for other in (scored(1.0), fact(SignalKind.AGENT_ERRORED), fact(SignalKind.MACHINE_LOST)):
        for look in (looked([], other), looked(other, [])):
            assert (look.line, look.awaits_judge) == (None, False)
    assert looked(HANDED, []).awaits_judge is False
    assert looked(HANDED, HANDED).awaits_judge is True
    assert looked(HANDED, fact(SignalKind.AGENT_ERRORED)).awaits_judge is True


def test_a_judge_that_is_late_on_both_leaves_them_out() -> None:
    """On one alone it is that version's failure."""
    late = scored(0.0, overdue=True)
    assert line_of(late, late).kind == "excluded"
    assert (line_of(late, scored(1.0)).kind, line_of(late, scored(1.0)).champion) == ("settled", 0.0)


@pytest.mark.parametrize("half", list(Arm))
def test_another_model_is_the_cause_on_either_side(half: Arm) -> None:
    """What a fallback's model made says nothing about the version."""
    name = f"{half}_job"
    look = looked(scored(1.0), scored(1.0), **{name: job(f"{half}-0", fell_back=True)})
    assert look.line is not None
    assert (look.line.kind, look.line.excluded_by) == ("excluded", half)


def test_a_kept_result_stands_for_the_champion_with_what_it_spent() -> None:
    """Guardrails compare both, though the champion has no job here."""
    kept = CaseResult(job="champion-9", score=0.75, spent={"cost_usd": 2.0})
    found = {"canary-0": (job("canary-0"), scored(1.0))}
    line = look_at(pair(kept=kept), found, now=NOW, rules=RULES).line
    assert line is not None
    assert (line.champion, line.canary, line.champion_spent) == (0.75, 1.0, {"cost_usd": 2.0})
    assert "kept from job champion-9" in line.reason


def test_a_result_is_kept_for_its_version_judge_and_case_alone() -> None:
    """A change of any of them is another result."""
    one = ("implementer@v1", "hash", ("make test", 60.0), "case")
    others = [
        ("implementer@v2", *one[1:]), (one[0], "other", *one[2:]), (*one[:2], ("make check", 60.0), one[3]),
        (*one[:2], ("make test", 61.0), one[3]), (*one[:3], "other"),
    ]  # fmt: skip
    keys = [result_key(*each) for each in (one, *others)]
    assert len(set(keys)) == len(keys)
    assert result_key(*one) == keys[0]


def test_the_coin_is_fair() -> None:
    """Either version is first for half of its numbers."""
    assert [first_of(coin) for coin in (0.0, 0.49, 0.5, 0.99)] == [Arm.CANARY] * 2 + [Arm.CHAMPION] * 2


def test_an_open_pair_counts_at_its_worst() -> None:
    """It is not as if it had been left out: what it may still show is taken off the evidence until then."""
    policy, dispatched = TrialPolicy(), [pair(index).dispatched for index in range(5)]
    ends = [line_of(scored(1.0), scored(0.0)).model_copy(update={"index": index}) for index in range(1, 5)]

    def worse(*first: PairSettlement) -> float:
        return replay(PairEvidence, policy, [*dispatched, *first, *ends]).state.worse.value

    left_out = line_of(fact(SignalKind.QUOTA), scored(1.0))
    won, lost = line_of(scored(0.0), scored(1.0)), line_of(scored(1.0), scored(0.0))
    assert worse() == pytest.approx(worse(won))
    assert worse() < worse(left_out) < worse(lost)
