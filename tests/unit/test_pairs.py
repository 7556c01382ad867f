"""A trial of pairs on a whole fleet: both versions on the same issue, one delivered, one judged alone."""

import io
import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from rich.console import Console, RenderableType

from console.commands.trial import said_of_reach
from console.output.trials.trial_explanation import explanation_document, explanation_view
from console.output.trials.trial_status import trial_view
from console.status.fleet_reading import read_trials
from harvest.evidence.explanation import explain
from harvest.evidence.health import HealthCheck
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from routing.base import Base
from routing.errors import ConflictError, InvalidInputError
from routing.events import PAIR_SETTLED
from routing.forges.local.config import LocalConfig
from routing.git.remote import Remote
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import Signal, SignalKind, handed_over, judgement, signal
from routing.sandbox.profile import NetworkMode, SandboxKind
from routing.store.jobs.job_store import ClaimRefusal
from routing.store.judging.judging_store import HandAnswer, HandedWork
from routing.templates.trial import Arm, Mode, TrialState
from routing.templates.version import Snapshot
from tasks.agents.pairs.pair_work import PairWork
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree
from tasks.composition.pair_parts import judge_by
from tasks.notify.translation import translated
from tasks.settings.settings import JudgeSettings
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet, contents, request
from tests.source import ROOT

PAIRS = TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0)


#: Something that could judge; here the judge's words are said by hand.
JUDGE = JudgeSettings(command="true")

#: Where no tree is looked at.
NO_TREE = cast("Worktree", None)


class Cycle:
    """A generator whose first number of a request makes a pair, and whose second, in turn, is its coin."""

    def __init__(self, coins: list[float]) -> None:
        self._numbers = itertools.cycle(number for coin in coins for number in (0.75, coin))

    def random(self) -> float:
        """The next one."""
        return next(self._numbers)


def on_trial(client: redis.Redis, policy: TrialPolicy = PAIRS, **settings: Any) -> SteppedFleet:
    """A fleet with a trial of pairs."""
    given: dict[str, Any] = {"generator": Cycle([0.75, 0.25]), "judge": JUDGE} | settings
    fleet = SteppedFleet(client, policy=policy, **given)
    fleet.on_trial()
    return fleet


def pair(fleet: SteppedFleet, **fields: Any) -> tuple[Job, Job]:
    """The champion's job and its shadow."""
    job = fleet.app.jobs.find(fleet.enqueue(**({"repository": "shop"} | fields)).job)
    return job, fleet.app.jobs.find(job.partner)


def judged(fleet: SteppedFleet, job: Job, value: float | None, **fields: Any) -> Signal:
    """The judge's word on a job, recorded."""
    fact = judgement(at=fleet.clock(), commit="c0ffee", value=value, note="exit code 0", **fields)
    fleet.app.signals.add(job.id, [fact])
    return fact


#: What was handed over, where nothing judges it.
WORK = HandedWork(commit="a" * 40, neutral="b" * 40, base_branch="main", base_commit="c" * 40, bundle="")


def work_handed(fleet: SteppedFleet) -> Signal:
    """The fact that a job's first work went to its judge."""
    return handed_over(at=fleet.clock(), commit="a" * 40)


def lines(fleet: SteppedFleet, kind: type) -> list[Any]:
    """The lines of the trial's ledger of one kind."""
    return [line for line in fleet.app.harvester.ledger("implementer-t1") if isinstance(line, kind)]


def test_an_issue_becomes_two_jobs_in_one_step(redis_client: redis.Redis) -> None:
    """The champion's holds the issue; its shadow is the canary's, on the canary's queue."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet, issue="local:shop#3", idempotency_key="k")
    assert (champion.version, champion.arm, champion.shadow) == (1, Arm.CHAMPION, False)
    assert (canary.version, canary.arm, canary.shadow) == (2, Arm.CANARY, True)
    assert (canary.partner, canary.pair, champion.pair) == (champion.id, 0, 0)
    assert canary.request == champion.request
    assert fleet.broker.sent == [(champion.id, "champion", "normal"), (canary.id, "canary", "normal")]
    again = fleet.enqueue(repository="shop", issue="local:shop#3", idempotency_key="k")
    assert (again.job, again.created) == (champion.id, False)
    (line,) = lines(fleet, PairDispatched)
    assert (line.champion_job, line.canary_job, line.first) == (champion.id, canary.id, Arm.CHAMPION)
    assert line.discordance == 0.5


def test_a_stale_route_keeps_the_draw_and_the_shadow(redis_client: redis.Redis) -> None:
    """A step that is refused writes neither job; it is made again with the same two."""
    fleet = on_trial(redis_client)
    pair(fleet)  # the route is kept
    fleet.app.trials.stop(fleet.app.trials.find("implementer-t1"), by="ada")
    plain = fleet.app.jobs.find(fleet.enqueue(repository="shop").job)
    assert (plain.partner, plain.trial) == ("", "")
    assert len(lines(fleet, PairDispatched)) == 1


@pytest.mark.parametrize(
    "fields", [{}, {"repository": "shop", "agent": "ada"}, {"repository": "shop", "role": "scout"}]
)
def test_only_work_that_can_be_done_twice_is_paired(
    redis_client: redis.Redis, fields: dict[str, str]
) -> None:
    """Work without a commit has nothing to judge; an agent of several jobs has one session."""
    fleet = on_trial(redis_client)
    job = fleet.app.jobs.find(fleet.enqueue(**fields).job)
    assert (job.partner, job.trial, job.version) == ("", "", 1)


def test_a_share_of_the_issues_is_paired(redis_client: redis.Redis) -> None:
    """Above it the champion works alone, in no trial."""
    policy = TrialPolicy(mode=Mode.SHADOW, pair_share=0.5)
    fleet = on_trial(redis_client, policy, generator=ScriptedGenerator([0.6, 0.4, 0.1]))
    alone = fleet.app.jobs.find(fleet.enqueue(repository="shop").job)
    paired = fleet.app.jobs.find(fleet.enqueue(repository="shop").job)
    assert (alone.trial, alone.partner) == ("", "")
    assert paired.partner
    assert fleet.broker.sent[-1][0] == paired.id  # the coin sent its shadow first


def test_people_are_warned_of_shadows_without_a_sandbox(redis_client: redis.Redis) -> None:
    """Nothing of them is delivered, but they reach what their worker reaches; not said of one by draw."""
    fleet = SteppedFleet(redis_client, judge=JUDGE)
    fleet.add()
    for prompt, sandbox, policy, warns in (
        ("two", None, PAIRS, True),
        ("three", SandboxKind.BUBBLEWRAP, PAIRS, False),
        ("four", SandboxKind.NONE, PAIRS, True),
        ("five", SandboxKind.NONE, TrialPolicy(), False),
    ):
        content = Snapshot(prompt=prompt, sandbox=sandbox)
        trial = fleet.open(fleet.app.templates.propose("implementer", content).version, policy)
        assert ("runs in no sandbox" in shown(*said_of_reach(fleet.app, trial))) is warns
        fleet.app.trials.stop(trial, by="ada")


def test_share_1_is_for_pairs_alone(redis_client: redis.Redis) -> None:
    """A trial by draw needs jobs of both arms."""
    fleet = SteppedFleet(redis_client, judge=JUDGE)
    fleet.add()
    trial = fleet.open(fleet.propose(), PAIRS)
    assert (trial.share, trial.mode) == (1.0, Mode.SHADOW)
    with pytest.raises(InvalidInputError, match="share"):
        TrialPolicy.checked(share=1.0)


def test_a_pair_is_settled_once_by_both_judgements(redis_client: redis.Redis) -> None:
    """What becomes of the champion's work outside changes nothing about it."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    judged(fleet, champion, 1.0)
    fleet.app.harvester.harvest()
    assert lines(fleet, PairSettlement) == []
    judged(fleet, canary, 0.25)
    fleet.app.harvester.harvest()
    fleet.app.signals.add(champion.id, [fleet.fact(SignalKind.REVERTED, commit="c0ffee")])
    fleet.app.signals.add(canary.id, [fleet.fact(SignalKind.THUMB_UP)])
    fleet.app.harvester.harvest()
    (line,) = lines(fleet, PairSettlement)
    assert (line.kind, line.champion, line.canary) == ("settled", 1.0, 0.25)
    state = fleet.app.harvester.evidence(fleet.app.trials.find("implementer-t1"))
    assert isinstance(state, PairEvidence)
    assert (state.counts.settled, state.counts.champion_only) == (1, 1)
    assert fleet.app.harvester.replayed(fleet.app.trials.find("implementer-t1")) == state
    assert len(fleet.events(PAIR_SETTLED)) == 1


@pytest.mark.parametrize("half", [Arm.CHAMPION, Arm.CANARY])
@pytest.mark.parametrize(
    "kind",
    [
        SignalKind.CANCELLED, SignalKind.MACHINE_LOST, SignalKind.NOT_JUDGED, SignalKind.FINISHED,
    ],
)  # fmt: skip
def test_what_is_not_the_agents_doing_leaves_out_the_whole_pair(
    redis_client: redis.Redis, half: Arm, kind: SignalKind
) -> None:
    """On whichever side it happens, so it never hits one version alone."""
    fleet = on_trial(redis_client)
    jobs = dict(zip((Arm.CHAMPION, Arm.CANARY), pair(fleet), strict=True))
    fleet.app.signals.add(jobs[half].id, [fleet.fact(kind)])
    fleet.app.harvester.harvest()
    (line,) = lines(fleet, PairSettlement)
    assert (line.kind, line.champion, line.canary) == ("excluded", None, None)


@pytest.mark.parametrize("kind", [SignalKind.AGENT_STALLED, SignalKind.NOTHING_PUSHED, SignalKind.REFUSED])
def test_an_agent_that_fails_scores_0_on_either_side(redis_client: redis.Redis, kind: SignalKind) -> None:
    """Pushing nothing is a failure of the version; the other half counts as it was judged."""
    fleet = on_trial(redis_client)
    for index in (0, 1):
        jobs = pair(fleet)
        fleet.app.signals.add(jobs[index].id, [fleet.fact(kind)])
        judged(fleet, jobs[1 - index], 1.0)
    fleet.app.harvester.harvest()
    scores = sorted((line.champion, line.canary) for line in lines(fleet, PairSettlement))
    assert scores == [(0.0, 1.0), (1.0, 0.0)]


def test_a_judge_that_is_late_on_both_says_nothing(redis_client: redis.Redis) -> None:
    """On one side it is that version's failure."""
    fleet = on_trial(redis_client)
    for both in (True, False):
        champion, canary = pair(fleet)
        judged(fleet, champion, 0.0, overdue=True)
        judged(fleet, canary, 0.0 if both else 1.0, overdue=both)
    fleet.app.harvester.harvest()
    assert sorted(line.kind for line in lines(fleet, PairSettlement)) == ["excluded", "settled"]


def test_a_half_that_never_ends_scores_0_at_its_deadline(redis_client: redis.Redis) -> None:
    """Not finishing cannot improve a version's score; until then the pair is open."""
    fleet = on_trial(redis_client)
    champion, _ = pair(fleet)
    judged(fleet, champion, 1.0)
    fleet.app.harvester.harvest()
    assert lines(fleet, PairSettlement) == []
    fleet.clock.forward(PAIRS.settle_deadline_seconds + 1)
    fleet.app.harvester.harvest()
    (line,) = lines(fleet, PairSettlement)
    assert (line.champion, line.canary) == (1.0, 0.0)


def test_swapping_the_arms_changes_names_alone(redis_client: redis.Redis) -> None:
    """The same facts on the other side give the same pair, mirrored: nothing looks at the arm."""
    fleet = on_trial(redis_client)
    facts: list[dict[str, Any]] = [{"value": 0.5}, {"value": 1.0}]
    for order in (facts, facts[::-1]):
        for job, fact in zip(pair(fleet), order, strict=True):
            judged(fleet, job, **fact)
    fleet.app.harvester.harvest()
    one, other = lines(fleet, PairSettlement)
    assert (one.champion, one.canary) == (other.canary, other.champion)


@pytest.mark.parametrize(
    ("scores", "state", "champion"),
    [((1.0, 0.0), TrialState.ROLLED_BACK, 1), ((1.0, 1.0), TrialState.GRADUATED, 2)],
)
def test_a_verdict_by_pairs_is_carried_out_once(
    redis_client: redis.Redis, scores: tuple[float, float], state: TrialState, champion: int
) -> None:
    """A canary that loses each pair is rolled back; one that is as good graduates."""
    fleet = on_trial(redis_client)
    trial = fleet.app.trials.find("implementer-t1")
    verdicts = []
    while trial.is_open:
        for job, score in zip(pair(fleet), scores, strict=True):
            judged(fleet, job, score)
        verdicts += fleet.app.harvester.harvest().outcomes
        trial = fleet.app.trials.find(trial.id)
    assert (trial.state, len(verdicts)) == (state, 1)
    assert fleet.app.templates.champion("implementer").number == champion
    arms = json.loads(trial.review)["arms"]
    assert arms["champion"]["settled"] == arms["canary"]["settled"] < 80
    assert fleet.app.harvester.harvest().outcomes == []
    assert not fleet.app.trials.find(trial.id).contradicted


def test_the_explanation_of_pairs_is_what_the_evidence_says(redis_client: redis.Redis) -> None:
    """It is computed a second time from the ledger, guardrails too."""
    policy = PAIRS.model_copy(update={"guardrails": (Guardrail(name="cost_usd", cap=10.0),)})
    fleet = on_trial(redis_client, policy)
    for index in range(12):
        champion, canary = pair(fleet)
        judged(fleet, champion, float(index % 3 > 0))
        if index % 4:
            judged(fleet, canary, float(index % 2))
    fleet.app.harvester.harvest()
    trial = fleet.app.trials.find("implementer-t1")
    state = fleet.app.harvester.evidence(trial)
    shown = explain(type(state), policy, fleet.app.harvester.counted_ledger(trial))
    assert len(shown) == 12
    for name, evidence in (("worse", state.worse), ("not_worse", state.not_worse)):
        assert shown[-1].readings[name].ln_evidence == pytest.approx(evidence.ln_value)
    guardrail = shown[-1].readings["guardrail:cost_usd"]
    assert guardrail.ln_evidence == pytest.approx(state.guardrails["cost_usd"].ln_value)
    assert {line.status for line in shown} == {"open", "settled"}


def test_a_cancelled_job_takes_its_shadow_with_it(redis_client: redis.Redis) -> None:
    """Nobody needs that work; the cancel of a shadow leaves the champion's job alone."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    fleet.app.jobs.cancel(champion.id, by="ada", at=fleet.clock())
    assert fleet.app.jobs.find(canary.id).state is JobState.CANCELLED
    champion, canary = pair(fleet)
    fleet.app.jobs.cancel(canary.id, by="ada", at=fleet.clock())
    assert fleet.app.jobs.find(champion.id).state is JobState.QUEUED
    fleet.app.harvester.harvest()
    assert [line.kind for line in lines(fleet, PairSettlement)] == ["excluded", "excluded"]


def test_a_cancel_after_the_judgement_leaves_the_pair_in(redis_client: redis.Redis) -> None:
    """Whether a pair counts must not depend on what became of the champion's work."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    fact = judgement(at=fleet.clock(), commit="c0ffee", value=0.0, note="exit code 1")
    fleet.app.jobs.pushed(fleet.claim(champion.id), JobResult(commit="c0ffee"), signals=[fact])
    fleet.clock.forward(1)
    for _ in range(2):
        fleet.app.jobs.cancel(champion.id, by="ada", at=fleet.clock())
        assert fleet.app.jobs.find(canary.id).state is JobState.QUEUED
    judged(fleet, canary, 1.0)
    fleet.app.harvester.harvest()
    (line,) = lines(fleet, PairSettlement)
    assert (line.kind, line.champion, line.canary) == ("settled", 0.0, 1.0)


def test_a_repeated_cancel_ends_the_shadow_that_the_first_one_left(redis_client: redis.Redis) -> None:
    """Its process died in between."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    fact = fleet.fact(SignalKind.CANCELLED)
    fleet.app.jobs.end(
        fleet.claim(champion.id), JobState.CANCELLED, reason="by ada", result=JobResult(), signals=[fact]
    )
    assert fleet.app.jobs.find(canary.id).state is JobState.QUEUED
    fleet.app.jobs.cancel(champion.id, by="ada", at=fleet.clock())
    assert fleet.app.jobs.find(canary.id).state is JobState.CANCELLED


def test_a_running_job_that_is_cancelled_ends_its_shadow(redis_client: redis.Redis) -> None:
    """Before its worker has heard of it."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    fleet.claim(champion.id)
    fleet.app.jobs.cancel(champion.id, by="ada", at=fleet.clock())
    assert fleet.app.jobs.find(canary.id).state is JobState.CANCELLED


def test_a_pair_that_is_left_out_ends_its_shadow(redis_client: redis.Redis) -> None:
    """Whatever left it out: nobody pays for work that says nothing. The champion's job goes on."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    fleet.app.signals.add(champion.id, [fleet.fact(SignalKind.FELL_BACK)])
    fleet.app.harvester.harvest()
    assert fleet.app.jobs.find(canary.id).state is JobState.CANCELLED
    assert fleet.app.jobs.find(champion.id).state is JobState.QUEUED
    fleet.app.harvester.harvest()
    assert [line.kind for line in lines(fleet, PairSettlement)] == ["excluded"]


def test_a_job_that_goes_to_another_version_leaves_its_pair_out(redis_client: redis.Redis) -> None:
    """Its trial's ledger has one line for the pair, and none for the job."""
    fleet = on_trial(redis_client)
    champion, _ = pair(fleet)
    trial = fleet.app.trials.find("implementer-t1")
    fleet.app.trials.stop(trial, by="ada")
    fleet.app.templates.promote(fleet.propose("three").id, by="ada")
    fleet.redis.sadd(fleet.app.keys("rejected"), champion.version_id)
    assert fleet.claim(champion.id).job.rerouted_from == 1
    fleet.app.harvester.harvest()
    (line,) = lines(fleet, PairSettlement)
    assert (line.index, line.kind) == (0, "excluded")
    assert "another version" in line.reason
    assert PairWork().hand_over(fleet.app.jobs.find(champion.id), NO_TREE, "c0ffee") is None


@pytest.mark.parametrize("gone", [0, 1])
def test_a_pair_whose_other_record_has_expired_is_left_out(redis_client: redis.Redis, gone: int) -> None:
    """Whichever it was; else the trial would wait for it for ever."""
    fleet = on_trial(redis_client)
    jobs = pair(fleet)
    fleet.redis.delete(fleet.app.keys.job(jobs[gone].id))
    judged(fleet, jobs[1 - gone], 1.0)
    for _ in range(2):
        fleet.app.harvester.harvest()
    (line,) = lines(fleet, PairSettlement)
    assert (line.index, line.kind) == (0, "excluded")
    assert "expired" in line.reason


def test_a_lost_turn_begins_where_it_began(redis_client: redis.Redis, tmp_path: Path) -> None:
    """On any host, so that both halves keep one base; what follows a champion's push may begin elsewhere."""
    fleet = on_trial(redis_client)
    base = Base(branch="main", commit="a" * 40)
    place, remote = RepositoryPlace(work_dir=tmp_path, repository="shop"), Remote(address=str(tmp_path))
    champion, canary = (replace(job, base_branch=base.branch, base_commit=base.commit) for job in pair(fleet))
    assert PairWork().begin(champion, place, remote) == base
    assert PairWork().begin(canary, place, remote) == base
    assert PairWork().begin(replace(champion, pushed_at=1.0), place, remote) is None


def test_a_guardrail_that_a_shadow_cannot_meet_is_refused(redis_client: redis.Redis) -> None:
    """Nobody sends a shadow back, so it would always be the cheaper one."""
    fleet = SteppedFleet(redis_client, judge=JUDGE)
    fleet.add()
    policy = PAIRS.model_copy(update={"guardrails": (Guardrail(name="fix_forwards", cap=3.0),)})
    with pytest.raises(ConflictError, match="fix_forwards"):
        fleet.open(fleet.propose(), policy)


def test_a_shadow_whose_trial_has_ended_is_not_run(redis_client: redis.Redis) -> None:
    """It is cancelled where it would be claimed; the champion's job goes on."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    fleet.app.trials.stop(fleet.app.trials.find("implementer-t1"), by="ada")
    refused = fleet.app.jobs.claim(canary.id, worker="w1", lease_seconds=30)
    assert refused is ClaimRefusal.FINAL
    assert fleet.app.jobs.find(canary.id).state is JobState.CANCELLED
    assert isinstance(fleet.claim(champion.id), Claim)


def test_a_shadow_is_not_retried_and_no_dead_letter(redis_client: redis.Redis) -> None:
    """People are not asked about it."""
    fleet = on_trial(redis_client)
    _, canary = pair(fleet)
    claim = fleet.claim(canary.id)
    fleet.app.jobs.give_up(claim, reason="crash", result=JobResult(), signals=[])
    assert fleet.app.job_store.dead(10) == []
    with pytest.raises(ConflictError, match="shadow"):
        fleet.app.jobs.retry(canary.id, by="ada")


def test_nobody_is_notified_of_a_shadow(redis_client: redis.Redis) -> None:
    """Its events say what it is, and become no notification, while those of the champion's job do."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet)
    for job in (champion, canary):
        fleet.app.jobs.give_up(fleet.claim(job.id), reason="crash", result=JobResult(), signals=[])
    heard = {event.subject: translated(event) for event in fleet.events("job.finished")}
    assert heard[champion.id] is not None
    assert heard[canary.id] is None


def test_both_jobs_of_a_pair_begin_at_the_same_commit(redis_client: redis.Redis) -> None:
    """The first one that asks decides; a worker that lost its lease gets no answer."""
    fleet = on_trial(redis_client)
    jobs = [fleet.claim(job.id).job for job in pair(fleet)]
    early, late = Base(branch="main", commit="a" * 40), Base(branch="main", commit="b" * 40)
    assert fleet.app.job_store.agree_on_base(jobs[1], early) == early
    assert fleet.app.job_store.agree_on_base(jobs[0], late) == early
    assert fleet.app.job_store.agree_on_base(jobs[1], late) == early
    fleet.clock.forward(31)
    fleet.claim(jobs[0].id)
    assert fleet.app.job_store.agree_on_base(jobs[0], late) is None


def test_costs_of_a_pair_go_to_their_arms(redis_client: redis.Redis) -> None:
    """What a shadow costs is the canary's."""
    fleet = on_trial(redis_client)
    for job, usd in zip(pair(fleet), (1.0, 3.0), strict=True):
        fleet.spend(fleet.claim(job.id), usd=usd)
    (costs,) = fleet.app.costs.of_arms(["implementer-t1"])
    assert (costs["champion"].usd, costs["canary"].usd) == (1.0, 3.0)


def test_a_refused_pair_leaves_nothing(redis_client: redis.Redis) -> None:
    """An issue that is worked on already, and a key that led to a job, make no pair."""
    fleet = on_trial(redis_client)
    pair(fleet, issue="local:shop#3", idempotency_key="k")
    before = contents(redis_client)
    requests = [
        request(repository="shop", issue="local:shop#3"),
        request(repository="shop", idempotency_key="k"),
    ]
    assert [done.created for done in fleet.app.mailbox.enqueue_many(requests)] == [False, False]
    assert contents(redis_client) == before


def test_a_trial_of_pairs_needs_a_judge(redis_client: redis.Redis) -> None:
    """Without one each pair would be paid twice and left out."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    canary = fleet.propose()
    with pytest.raises(ConflictError, match=r"judge\.command"):
        fleet.open(canary, PAIRS)
    assert fleet.app.trials.open_trials() == []


def test_the_judges_command_runs_confined(redis_client: redis.Redis) -> None:
    """It runs code that agents wrote: in a sandbox where there is one, and without a network there."""
    fleet = on_trial(redis_client)
    champion, _ = pair(fleet)
    judge = judge_by(fleet.app)(champion)
    assert judge is not None
    assert (judge.sandbox.kind, judge.sandbox.network) == (SandboxKind.AUTO, NetworkMode.NONE)


def test_only_work_of_a_forge_with_a_judge_is_paired(redis_client: redis.Redis, tmp_path: Path) -> None:
    """Elsewhere both runs would be paid, and the pair left out; a command of the settings judges all work."""
    forge = LocalConfig(name="here", repository=tmp_path / "shop", issues=tmp_path / "issues", ci="true")
    fleet = on_trial(redis_client, judge=JudgeSettings(), forge=(forge,))
    partners = [
        fleet.app.jobs.find(fleet.enqueue(repository=name).job).partner
        for name in ("here:shop", "there:shop", "shop")
    ]
    assert [bool(partner) for partner in partners] == [True, False, False]


def test_the_worked_example_of_the_documentation(redis_client: redis.Redis) -> None:
    """docs/evidence.md: seven pairs, their discordances, and the evidence after each; concepts.md: all."""
    fleet = on_trial(redis_client)
    rows, solved_by = (
        [],
        {(1, 1): "both", (1, 0): "the champion alone", (0, 1): "the canary alone", (0, 0): "neither"},
    )
    for scores in [(1, 1), (1, 0), (0, 0), (1, 0), (0, 1), (1, 0), (1, 0)]:
        for job, score in zip(pair(fleet), scores, strict=True):
            judged(fleet, job, float(score))
        fleet.app.harvester.harvest()
        state = fleet.app.harvester.evidence(fleet.app.trials.find("implementer-t1"))
        line = lines(fleet, PairDispatched)[-1]
        cells = (
            f"{line.index + 1}",
            solved_by[scores],
            f"{line.discordance:.2f}",
            f"{state.worse.value:.2f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    assert "\n".join(rows) in (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert isinstance(state, PairEvidence)
    counts, minus = state.counts, "\N{MINUS SIGN}"
    said = (
        f"both solve {counts.both}, neither {counts.neither}, the champion alone {counts.champion_only} and "
        f"the canary alone {counts.canary_only}: a difference of ({counts.canary_only} {minus} "
        f"{counts.champion_only}) / {counts.settled} = {minus}{-(counts.difference or 0.0):.2f}, "
        f"and the evidence that the canary is worse is {state.worse.value:.2f}."
    )
    assert said in " ".join((ROOT / "docs" / "concepts.md").read_text(encoding="utf-8").split())


def shown(*parts: RenderableType) -> str:
    """What a terminal shows."""
    console = Console(width=140, file=io.StringIO(), color_system=None)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_people_see_who_solved_what(redis_client: redis.Redis) -> None:
    """The status has the mode and a small picture; the explanation a line a pair with both of its jobs."""
    fleet = on_trial(redis_client)
    jobs = pair(fleet)
    for job, value in zip(jobs, (1.0, 0.0), strict=True):
        judged(fleet, job, value)
    fleet.app.harvester.harvest()
    pair(fleet)
    trial = fleet.app.trials.find("implementer-t1")
    (status,) = read_trials(fleet.app, [trial], fleet.clock())
    text = shown(*trial_view(status))
    assert "shadow: both versions on the same issue" in text
    assert re.search(r"the champion alone +1\b", text)
    assert "The canary's mean score less the champion's is -1.00 so far" in text
    assert "1 more pairs were drawn since the last harvest" in text
    document = status.document()
    assert (document["mode"], document["pairs"]["champion_only"]) == ("shadow", 1)
    assert document["difference"]["value"] == -1.0
    explained = explain(
        type(status.evidence), status.evidence.policy, fleet.app.harvester.counted_ledger(trial)
    )
    text = shown(*explanation_view(status, explained))
    assert jobs[0].id in text
    assert jobs[1].id in text
    (line,) = explanation_document(status, explained)["jobs"]
    assert (line["champion_job"], line["champion_score"], line["score"]) == (jobs[0].id, 1.0, -1.0)


def test_the_page_of_a_trial_of_pairs(redis_client: redis.Redis) -> None:
    """It has the picture, the plot with a mark a pair, and both jobs of each."""
    fleet = on_trial(redis_client)
    jobs = pair(fleet)
    for job, value in zip(jobs, (1.0, 0.0), strict=True):
        judged(fleet, job, value)
    fleet.app.harvester.harvest()
    text = fleet.web.get("/trials/implementer", Accept="text/html").text
    assert "by the champion alone: 1" in text
    assert "Pairs in the order of dispatch" in text
    assert "pair 1, score -1.00" in text
    assert all(f"/jobs/{job.id}" in text for job in jobs)


def test_a_shadow_is_marked_where_jobs_are_shown(redis_client: redis.Redis) -> None:
    """Nobody takes its work for work that is delivered; each job of a pair leads to the other."""
    fleet = on_trial(redis_client)
    champion, canary = pair(fleet, issue="local:shop#3")
    client = fleet.web
    documents = {job["id"]: job for job in client.get("/api/v1/jobs").json()["jobs"]}
    said = {name: (job["shadow"], job["partner"]) for name, job in documents.items()}
    assert said == {champion.id: (False, canary.id), canary.id: (True, champion.id)}
    assert "canary, shadow" in client.get("/jobs", Accept="text/html").text
    page = client.get(f"/jobs/{canary.id}", Accept="text/html").text
    assert f'shadow of job <a class="id" href="/jobs/{champion.id}">' in page
    assert "never delivered" in page
    page = client.get(f"/jobs/{champion.id}", Accept="text/html").text
    assert f'its shadow is job <a class="id" href="/jobs/{canary.id}">' in page


@pytest.mark.parametrize("check", ["draws", "limits", "ages", "exclusions"])
def test_a_trial_of_pairs_that_hits_one_half_alone_holds_itself(
    redis_client: redis.Redis, check: str
) -> None:
    """A coin that falls on one side; waits for accounts, late work, or lost workers, of one half."""
    coins = [0.75, 0.25] if check != "draws" else [0.75]
    policy = PAIRS.model_copy(update={"max_days": 1000.0})
    fleet = on_trial(redis_client, policy, generator=Cycle(coins))
    for _ in range(16):
        champion, canary = pair(fleet)
        if check == "limits":
            fleet.redis.hset(fleet.app.keys.job(canary.id), "held_seconds", "60")
        judged(fleet, champion, 1.0)
        if check == "ages":
            fleet.clock.forward(PAIRS.settle_deadline_seconds * 0.6)
        if check == "exclusions":
            lost = signal(SignalKind.MACHINE_LOST, at=fleet.clock(), note="its worker was lost")
            fleet.app.signals.add(canary.id, [lost])
        else:
            judged(fleet, canary, 1.0)
    fleet.app.harvester.harvest()
    trial = fleet.app.trials.find("implementer-t1")
    assert trial.alarms == (check,)
    state = fleet.app.harvester.evidence(trial)
    assert fleet.app.harvester.replayed(trial) == state
    assert state.health.balances[HealthCheck(check)].has_fired


def test_ten_harvests_that_race_settle_and_decide_once(redis_client: redis.Redis) -> None:
    """One line a pair and one verdict, whichever was faster."""
    fleet = on_trial(redis_client)
    for _ in range(40):
        for job, score in zip(pair(fleet), (1.0, 0.0), strict=True):
            judged(fleet, job, score)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(fleet.app.harvester.harvest())) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 10
    assert [line.index for line in lines(fleet, PairSettlement)].count(0) == 1
    assert len(lines(fleet, PairSettlement)) == 40
    assert sum(len(done.outcomes) for done in answers) == 1
    assert fleet.app.trials.find("implementer-t1").state is TrialState.ROLLED_BACK


@pytest.mark.parametrize("turns", [[None], [0.5, None], []])
def test_what_is_not_known_of_a_half_is_left_out(
    redis_client: redis.Redis, turns: list[float | None]
) -> None:
    """A program that says no dollars, or not all of them, does not make its version the cheap one."""
    policy = PAIRS.model_copy(update={"guardrails": (Guardrail(name="cost_usd", cap=1.0),)})
    fleet = on_trial(redis_client, policy)
    for _ in range(30):
        champion, canary = (fleet.claim(job.id) for job in pair(fleet))
        for usd in turns:
            fleet.spend(champion, usd=usd)
        fleet.spend(canary, usd=0.4)
        for claim in (champion, canary):
            assert fleet.app.judging.hand_over(claim.job, work_handed(fleet), WORK) is HandAnswer.OK
            judged(fleet, claim.job, 1.0)
        fleet.app.harvester.harvest()
    spent = [(line.champion_spent, line.canary_spent) for line in lines(fleet, PairSettlement)]
    assert {"cost_usd" in champion for champion, _ in spent} == {False}
    assert {canary["cost_usd"] for _, canary in spent} == {0.4}
    assert {"tokens" in half for both in spent for half in both} == {False}
    trial = fleet.app.trials.find("implementer-t1")
    assert trial.state is not TrialState.ROLLED_BACK
    assert fleet.app.harvester.evidence(trial).guardrails["cost_usd"].value == pytest.approx(1.0)


@pytest.mark.parametrize(("first", "kind"), [("model", "excluded"), ("work", "settled")])
def test_another_model_counts_until_the_work_is_handed_over(
    redis_client: redis.Redis, first: str, kind: str
) -> None:
    """A corrective turn says nothing about the pair: the champion alone has such turns, and after a loss."""
    fleet = on_trial(redis_client)
    champion, canary = (fleet.claim(job.id).job for job in pair(fleet))
    steps: list[Callable[[], object]] = [
        lambda: fleet.app.judging.hand_over(champion, work_handed(fleet), WORK),
        lambda: fleet.app.signals.add(champion.id, [fleet.fact(SignalKind.FELL_BACK)]),
    ]
    for step in reversed(steps) if first == "model" else steps:
        step()
        fleet.clock.forward(1)
    judged(fleet, champion, 0.0)
    judged(fleet, canary, 1.0)
    fleet.app.harvester.harvest()
    assert [line.kind for line in lines(fleet, PairSettlement)] == [kind]
