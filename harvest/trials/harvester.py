"""The harvest: settles scores, advances each trial's test, and carries out its verdict, exactly once.

The stored state of a test says how far the settlements were read; each step reads what is new, computes the
next state, and writes it with its verdict if the trial's revision is still the one that was read. If another
process was faster, the step is computed again from what that one left. A process may die between any two
calls: the next one goes on from what is stored.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from harvest.evidence.difference import Difference, difference_of
from harvest.evidence.health import HealthCheck, released_checks
from harvest.evidence.ledger_line import parsed_lines
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import AnyTest, advance, replay, still_supported
from harvest.evidence.verdict import Decision, Verdict
from harvest.settling.settling import Settling
from harvest.trials.modes import deciding_test
from routing.cost import NO_COST, Cost
from routing.errors import CorruptRecordError
from routing.store.trials.trial_store import AdvanceAnswer, TrialAdvance, TrialStore
from routing.templates.trial import Trial, TrialState
from routing.templates.trials import Trials

_log = structlog.get_logger(__name__)

_SECONDS_A_DAY = 86_400.0

#: Ledger entries that are read in one round trip.
BATCH = 1000

#: The verdict of a trial that ended by evidence, by its state.
_VERDICTS = {TrialState.GRADUATED: Verdict.GRADUATE, TrialState.ROLLED_BACK: Verdict.ROLL_BACK}


class EvidenceState(BaseModel):
    """The stored state of a trial's test: the evidence, and how far the settlements were read.

    Dispatches need no such number: the evidence knows how many it has counted.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    v: int = 1  # form of this record
    read: int = 0  # settlements that were read
    evidence: str = ""  # JSON of the TrialTest; "" before the first job


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialOutcome:
    """What a harvest did to one trial."""

    trial: str
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Harvest:
    """What one harvest did."""

    settled: int = 0  # jobs whose score was settled or excluded
    outcomes: list[TrialOutcome] = field(default_factory=list)  # verdicts other than hold


class Harvester:
    """Settles scores, advances the tests of trials and carries out verdicts.

    `Trials` opens and stops trials, `Settling` says what a job is worth.

    `harvest` is for the tick. People read `evidence`, `counted_ledger` and the two replays, which write
    nothing. Any number of processes may run one; none needs to know of the others. A step of a test is
    written with its verdict if nobody else was faster; else it is computed again from what that one left. So
    a verdict is carried out once, and does not depend on how often, or where, a harvest runs.

    `rolled_back` is called after the verdict was written. A process that dies between the two leaves that to
    the watchdog. `advance` raises CorruptRecordError for a trial whose state or ledger cannot be read;
    `harvest` logs it and goes on with the other trials. UnavailableError ends a harvest: the next one goes on
    from what is stored.
    """

    def __init__(
        self, *, settling: Settling, trials: Trials, store: TrialStore, enabled: bool,
        rolled_back: Callable[[], object] = lambda: None,
        spent: Callable[[str], Cost] = lambda _trial: NO_COST,
    ) -> None:  # fmt: skip
        self._spent = spent  # what the jobs of a trial have cost
        self._settling = settling
        self._trials = trials
        self._store = store
        self._enabled = enabled
        self._rolled_back = rolled_back  # called after each rollback

    def harvest(self) -> Harvest:
        """One tick. With canaries switched off nothing is decided, and open trials are stopped visibly.

        A trial whose records cannot be read is logged and left as it is; the others are advanced.
        """
        if not self._enabled:
            self.stop_all("canaries were switched off")
            return Harvest()
        settled = self._settling.settle_due()
        outcomes: list[TrialOutcome] = []
        for trial in dict.fromkeys([*self._store.open_ids(), *self._store.moved_ids()]):
            try:
                outcomes += self.advance(trial)
            except CorruptRecordError as error:  # the other trials go on
                _log.error("trial.unreadable", trial=trial, reason=str(error))
        return Harvest(settled=settled, outcomes=outcomes)

    def stop_all(self, reason: str) -> list[str]:
        """Stop every open trial, so that none is left stranded."""
        trials = self._trials.open_trials()
        return [
            trial.id for trial in trials if self._trials.stop(trial, by="settings", reason=reason).changed
        ]

    def advance(self, trial_id: str) -> list[TrialOutcome]:
        """Bring one trial up to date; returns the verdicts that this call carried out."""
        outcomes: list[TrialOutcome] = []
        while (trial := self._store.read(trial_id)) is not None:
            held = _test_state(trial)
            step, decision, after = self._next(trial, held)
            if step is not None and self._store.advance(trial, step) is not AdvanceAnswer.OK:
                continue  # another harvest was faster: read again what it has left
            if step is None:
                self._store.all_read(trial_id, after.read)
                break
            verdict = Verdict(step.verdict)
            if verdict is not Verdict.HOLD:
                outcomes.append(TrialOutcome(trial=trial_id, verdict=verdict, reasons=decision.reasons))
            if verdict is Verdict.ROLL_BACK:
                self._rolled_back()
        return outcomes

    def _next(self, trial: Trial, held: EvidenceState) -> tuple[TrialAdvance | None, Decision, EvidenceState]:
        """The next step of a trial's test, computed from what is new; None when nothing is.

        Settlements are counted one by one with a decision after each, as if they had been harvested one by
        one: the verdict must not depend on how often a harvest runs. Settlements are read before dispatches,
        so that the dispatch of each is there.
        """
        before = self._evidence_of(trial, held)
        now = self._store.now()
        settlements = self._settlements(trial, type(before), held.read, BATCH)
        dispatches = self._dispatches(trial, type(before), before.dispatched)
        state = advance(before, dispatches, []).state
        # A verdict that was carried out is not held any more.
        released = released_checks(trial) if trial.is_open else tuple(HealthCheck)
        hold = trial.hold if trial.is_open else None
        decision = state.decide(elapsed_days=0.0, released=released, hold=hold)
        read, late = 0, False
        for settlement in settlements:
            if trial.is_open and decision.verdict is not Verdict.HOLD:
                break  # the verdict comes with the outcome that decides it; the rest is read after it
            moved = advance(state, [], [settlement])
            state, late, read = moved.state, late or bool(moved.late), read + 1
            decision = state.decide(elapsed_days=_days(trial, settlement.at), released=released, hold=hold)
        if decision.verdict is Verdict.HOLD and read == len(settlements) < BATCH:
            # Time, and money, decide after all that came in time.
            spent = self._spent(trial.id) if trial.is_open and before.policy.budget_usd else NO_COST
            decision = state.decide(elapsed_days=_days(trial, now), spent=spent, released=released, hold=hold)
        after = replace_state(held, read=held.read + read, state=state)
        nothing_new = not dispatches and not read
        if nothing_new and (not trial.is_open or decision.verdict is Verdict.HOLD):
            return None, decision, after
        contradicted = not trial.is_open and self._contradicted(trial, decision, late=late)
        writes = trial.is_open and decision.verdict is not Verdict.HOLD
        review = ""
        if writes or contradicted:
            ledger = self._lines(trial, state.dispatched, after.read)
            review = _review(trial, state, decision, difference_of(type(state), state.policy, ledger))
        step = _step(trial, state, after, decision, now=now, contradicted=contradicted, review=review)
        return step, decision, after

    def _contradicted(self, trial: Trial, decision: Decision, *, late: bool) -> bool:
        """Whether what became known after the verdict no longer supports it.

        Only for verdicts of the evidence: what a person decided is not contradicted by outcomes.
        """
        verdict = _VERDICTS.get(trial.state)
        if verdict is None or json.loads(trial.review or "{}").get("by") != "evidence":
            return False
        if late:
            policy = TrialPolicy.from_json(trial.policy)
            return not still_supported(verdict, deciding_test(policy), policy, self._lines(trial))
        return decision.verdict is not verdict

    def ledger(self, trial_id: str) -> list[Any]:
        """The whole ledger of a trial, dispatches first, in the forms of its test. Costs O(lines read).

        CorruptRecordError names the line that cannot be read, as of `counted_ledger` and the replays.
        """
        return self._lines(self._trials.find(trial_id))

    def _lines(self, trial: Trial, dispatched: int = -1, settled: int = -1) -> list[Any]:
        """The ledger, or the first so many lines of each of its lists."""
        test = deciding_test(TrialPolicy.from_json(trial.policy))
        settlements = self._settlements(trial, test, 0, settled)  # first: the dispatch of each is there
        return [*self._dispatches(trial, test, 0, dispatched), *settlements]

    def _settlements(self, trial: Trial, test: type[AnyTest], start: int, most: int = -1) -> list[Any]:
        texts = self._store.settlements(trial.id, start, most)
        return parsed_lines(
            test.settlement_line, texts, of=f"the settlements of trial {trial.id}", first=start
        )

    def _dispatches(self, trial: Trial, test: type[AnyTest], start: int, most: int = -1) -> list[Any]:
        texts = self._store.dispatches(trial.id, start, most)
        return parsed_lines(test.dispatch_line, texts, of=f"the dispatches of trial {trial.id}", first=start)

    def evidence(self, trial: Trial) -> AnyTest:
        """The stored state of a trial's test."""
        return self._evidence_of(trial, _test_state(trial))

    def _evidence_of(self, trial: Trial, held: EvidenceState) -> AnyTest:
        """The stored state; an open trial from before there was trial health is computed anew, with it."""
        state = evidence_of(trial, held)
        if not state.lacks_health or not trial.is_open:
            return state
        ledger = self._lines(trial, state.dispatched, held.read)
        return replay(type(state), state.policy, ledger).state

    def counted_ledger(self, trial: Trial) -> list[Any]:
        """The ledger as far as the stored state has counted it, dispatches first."""
        held = _test_state(trial)
        return self._lines(trial, evidence_of(trial, held).dispatched, held.read)

    def replayed(self, trial: Trial) -> AnyTest:
        """The state recomputed from the ledger, as far as the stored one counts: both must be the same."""
        return self._as_stored(trial, self.counted_ledger(trial))

    def whole_replay(self, trial: Trial) -> AnyTest:
        """The state that all of the ledger gives, whatever is stored."""
        return self._as_stored(trial, self._lines(trial))

    def _as_stored(self, trial: Trial, ledger: Iterable[object]) -> AnyTest:
        """The state of a ledger; without health for a trial that ended before there was any."""
        policy = TrialPolicy.from_json(trial.policy)
        state = replay(deciding_test(policy), policy, ledger).state
        if trial.is_open:
            return state
        try:
            stored = evidence_of(trial, _test_state(trial))
        except CorruptRecordError:  # there is nothing to be like
            return state
        return replace(state, health=stored.health) if stored.lacks_health else state


def _days(trial: Trial, at: float) -> float:
    """How many days a trial had been open at a moment."""
    return (at - trial.opened_at) / _SECONDS_A_DAY


def _step(
    trial: Trial,
    state: AnyTest,
    after: EvidenceState,
    decision: Decision,
    *,
    now: float,
    contradicted: bool,
    review: str,
) -> TrialAdvance:
    """What is written: a verdict only while the trial is open."""
    verdict = decision.verdict if trial.is_open else Verdict.HOLD
    alarms = state.health.alarms(released=released_checks(trial))
    return TrialAdvance(
        revision=trial.revision,
        evidence=after.model_dump_json(),
        share=state.next_share,
        bet=state.next_bet,
        verdict=verdict.value,
        reason=" ".join(decision.reasons),
        review=review,
        point=_point(state, decision, now),
        contradicted=contradicted,
        alarms=tuple(alarm.check.value for alarm in alarms),
        alarm=json.dumps({"trial": trial.id, "reasons": [alarm.sentence for alarm in alarms]}),
    )


def _test_state(trial: Trial) -> EvidenceState:
    """The stored state of a trial's test, or CorruptRecordError; a new one before the first job."""
    if not trial.evidence:
        return EvidenceState()
    try:
        return EvidenceState.model_validate_json(trial.evidence)
    except ValidationError as error:
        message = (
            f"the stored state of trial {trial.id} cannot be read; see `coalmine trial replay {trial.id}`"
        )
        raise CorruptRecordError(message) from error


def replace_state(held: EvidenceState, *, read: int, state: AnyTest) -> EvidenceState:
    """The state after a step."""
    return held.model_copy(update={"read": read, "evidence": state.to_json()})


def evidence_of(trial: Trial, held: EvidenceState) -> AnyTest:
    """The state of a trial's test; the first one when no job was counted yet."""
    policy = TrialPolicy.from_json(trial.policy)
    test = deciding_test(policy)
    if not held.evidence:
        return test.begin(policy)
    return test.from_json(held.evidence)


def _review(trial: Trial, state: AnyTest, decision: Decision, difference: Difference) -> str:
    """The record of a decision with all that it was made from; it is kept with the template for good."""
    return json.dumps(
        {
            "decision": decision.verdict.value,
            "by": "evidence",
            "trial": trial.id,
            "version": trial.canary_id,
            "champion": trial.champion_id,
            "step": trial.place.document(),
            "reasons": list(decision.reasons),
            "evidence": decision.evidence,
            "thresholds": decision.thresholds,
            "inputs": decision.inputs,
            "difference": difference.document(),
            "arms": {"champion": _arm(state.champion), "canary": _arm(state.canary)},
        }
    )


def _arm(counts: object) -> dict[str, object]:
    names = ("dispatched", "settled", "open", "excluded", "rerouted", "mean")
    return {name: getattr(counts, name) for name in names}


def _point(state: AnyTest, decision: Decision, now: float) -> str:
    """One point of the plot of evidence over time."""
    return json.dumps(
        {
            "at": round(now, 3),
            "dispatched": state.dispatched,
            "canary": state.canary.settled,
            "champion": state.champion.settled,
            "worse": decision.evidence["worse"],
            "not_worse": decision.evidence["not_worse"],
            "share": state.next_share,
        }
    )
