"""What people do to the issue of a pair: both versions' work ends, or both count, and never one alone."""

from collections.abc import Callable

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairSettlement
from routing.issues.issue import IssueRef
from routing.jobs.ending import Ending
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, handed_over, judgement
from routing.store.judging.judging_store import HandAnswer, HandedWork
from routing.templates.trial import Mode
from tasks.settings.settings import JudgeSettings
from tests.fleets.forge_fleet import ForgeFleet

#: Each issue is a pair, and a few of them decide nothing.
PAIRS = TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0)

#: What is handed over, where nothing judges it: the judge's words are said by hand.
WORK = HandedWork(commit="a" * 40, neutral="b" * 40, base_branch="main", base_commit="c" * 40, bundle="")

Doing = Callable[[ForgeFleet, IssueRef], object]


@pytest.fixture
def fleet(redis_client: redis.Redis) -> ForgeFleet:
    """A fleet of a forge with a trial of pairs, which merges what is green; its CI needs some time."""
    shared = {"policy": PAIRS, "judge": JudgeSettings(command="true")}
    made = ForgeFleet(redis_client, merge="green", ci_seconds=1e9, shared=shared)
    made.hands.open(made.hands.propose())
    return made


def closes(fleet: ForgeFleet, ref: IssueRef) -> None:
    """As not planned, or as a duplicate."""
    fleet.forge.person_closes(ref)


def deletes(fleet: ForgeFleet, ref: IssueRef) -> None:
    """The forge knows it no longer."""
    del fleet.forge.issues[ref]


def takes_the_label_off(fleet: ForgeFleet, ref: IssueRef) -> None:
    """It is not for agents any longer."""
    fleet.forge.unlabel(ref, "coalmine")


def assigns_it(fleet: ForgeFleet, ref: IssueRef) -> None:
    """To a person, who works on it."""
    fleet.forge.issues[ref].assignees["bob"] = "ann"
    fleet.forge.label(ref, "seen")  # the forge's time of change moves


def drops_the_request(fleet: ForgeFleet, _: IssueRef) -> None:
    """The champion's change is closed without a merge."""
    fleet.forge.person_drops(halves(fleet)[0].branch)


def merges(fleet: ForgeFleet, _: IssueRef) -> None:
    """The champion's change, by hand."""
    fleet.forge.person_merges(halves(fleet)[0].branch)


def begun(fleet: ForgeFleet) -> IssueRef:
    """An issue that is a pair."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.dispatch()
    return ref


def halves(fleet: ForgeFleet) -> tuple[Job, Job]:
    """The newest pair's jobs, the champion's first."""
    champion, canary = sorted(fleet.jobs()[-2:], key=lambda job: job.shadow)
    assert champion.partner == canary.id
    return champion, canary


def hand_over(fleet: ForgeFleet, claim: Claim) -> None:
    """The first work of a half goes to its judge, as its worker does it before a push."""
    fact = handed_over(at=fleet.clock(), commit=WORK.commit)
    assert fleet.hands.app.judging.hand_over(claim.job, fact, WORK) is HandAnswer.OK


def end_shadow(fleet: ForgeFleet, claim: Claim) -> None:
    """A shadow that has handed over its work has nothing left to do."""
    done = JobResult(commit=WORK.commit)
    fleet.hands.app.jobs.end(claim, JobState.SUCCEEDED, reason="handed over", result=done, signals=[])


def judged(fleet: ForgeFleet, job: Job, value: float) -> None:
    """The judge's word on a half."""
    word = judgement(at=fleet.clock(), commit=WORK.commit, value=value, note="exit code 0")
    fleet.hands.app.signals.add(job.id, [word])


def looked(fleet: ForgeFleet, *claims: Claim) -> None:
    """One look of all ticks; a worker that is asked to end its job ends it."""
    fleet.clock.forward(6)
    fleet.poll()
    fleet.watch()
    for claim in claims:
        (lease,) = fleet.hands.app.job_store.renew([(claim.job.id, claim.fence)], extend_seconds=30)
        if lease.stop:
            ended, fact = JobResult(ended_by=Ending.CANCEL), fleet.hands.fact(SignalKind.CANCELLED)
            fleet.hands.app.jobs.end(
                claim, JobState.CANCELLED, reason="cancelled", result=ended, signals=[fact]
            )
    fleet.watch()


def settled(fleet: ForgeFleet) -> list[PairSettlement]:
    """What became of the pairs by now; and what is stored is what the ledger gives."""
    app = fleet.hands.app
    app.harvester.harvest()
    trial = app.trials.find("implementer-t1")
    state = app.harvester.evidence(trial)
    assert app.harvester.replayed(trial) == state
    assert isinstance(state, PairEvidence)
    lines = [line for line in app.harvester.ledger(trial.id) if isinstance(line, PairSettlement)]
    assert (state.counts.settled, state.counts.excluded) == (
        sum(line.kind == "settled" for line in lines), sum(line.kind == "excluded" for line in lines)
    )  # fmt: skip
    return lines


@pytest.mark.parametrize(
    ("deed", "stage"),
    [
        (closes, "queued"), (closes, "running"), (deletes, "running"), (takes_the_label_off, "running"),
        (assigns_it, "running"), (closes, "the shadow was faster"),
    ],
)  # fmt: skip
def test_people_end_both_halves_before_there_is_work(fleet: ForgeFleet, deed: Doing, stage: str) -> None:
    """The pair is left out, with whatever the shadow has shown by then, and no half is called its cause."""
    ref, claims = begun(fleet), list[Claim]()
    if stage != "queued":
        claims = [fleet.hands.claim(job.id) for job in halves(fleet)]
    if stage == "the shadow was faster":
        shadow = claims.pop()
        hand_over(fleet, shadow)
        end_shadow(fleet, shadow)
    deed(fleet, ref)
    looked(fleet, *claims)
    champion, canary = halves(fleet)
    assert champion.state is JobState.CANCELLED
    is_faster = stage == "the shadow was faster"
    assert canary.state is (JobState.SUCCEEDED if is_faster else JobState.CANCELLED)
    (line,) = settled(fleet)
    assert (line.kind, line.champion, line.canary, line.excluded_by) == ("excluded", None, None, None)
    judged(fleet, canary, 1.0)  # a judge that had begun says something all the same
    assert settled(fleet) == [line]
    assert fleet.hands.app.judging.take() == []


@pytest.mark.parametrize(
    ("deed", "scores"),
    [
        (closes, (1.0, 0.0)), (deletes, (0.0, 1.0)), (takes_the_label_off, (1.0, 1.0)),
        (drops_the_request, (0.0, 1.0)), (merges, (1.0, 0.0)),
    ],
)  # fmt: skip
def test_what_people_do_once_the_champion_has_work_leaves_the_pair_in(
    fleet: ForgeFleet, deed: Doing, scores: tuple[float, float]
) -> None:
    """Whether it counts must not depend on what became of that work: the shadow goes on, both are judged."""
    ref = begun(fleet)
    first, shadow = (fleet.hands.claim(job.id) for job in halves(fleet))
    hand_over(fleet, first)
    fleet.act_on(first, "green")
    fleet.watch()
    deed(fleet, ref)
    looked(fleet)
    champion, canary = halves(fleet)
    landed = JobState.SUCCEEDED if deed is merges else JobState.CANCELLED
    assert (champion.state, canary.state, canary.cancel) == (landed, JobState.RUNNING, "")
    assert settled(fleet) == []
    hand_over(fleet, shadow)
    end_shadow(fleet, shadow)
    for job, score in zip((champion, canary), scores, strict=True):
        judged(fleet, job, score)
    (line,) = settled(fleet)
    assert (line.kind, line.champion, line.canary) == ("settled", *scores)
