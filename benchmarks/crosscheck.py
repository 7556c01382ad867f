"""The fast simulations against the module that decides real trials: the same jobs, the same verdict."""

import itertools

from benchmarks import delays, simulation
from benchmarks.simulation import GRADUATE, HOLD, MAX_JOBS, POLICY, ROLL_BACK, Cell, SimulatedTrial, uniforms
from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_ledger import Dispatched, Settlement
from harvest.evidence.trial_test import advance
from harvest.evidence.verdict import Verdict
from routing.templates.trial import Arm

_VERDICTS = {Verdict.ROLL_BACK: ROLL_BACK, Verdict.GRADUATE: GRADUATE, Verdict.HOLD: HOLD}
_CELLS = (
    Cell(champion=0.7, difference=-0.3, share=0.1),
    Cell(champion=0.5, difference=0.0, share=0.5),
    Cell(champion=0.9, difference=-0.1, share=0.2),
)
_SEED = 77


def prompt_differences(*, runs: int) -> int:
    """How many runs without delays end otherwise than the fast simulation says."""
    wrong = 0
    for cell in _CELLS:
        outcome = simulation.simulate([cell], runs=runs, seed=_SEED)[0]
        columns = list(itertools.islice(uniforms(_SEED, runs), int(outcome.jobs.max())))
        for run in range(runs):
            ended = _prompt_trial(cell, [(float(pair[0, run]), float(pair[1, run])) for pair in columns])
            wrong += ended != _ending(outcome, run)
    return wrong


def delayed_differences(*, runs: int) -> int:
    """How many runs with delays end otherwise than the fast simulation says."""
    wrong = 0
    for cell in _CELLS:
        outcome = delays.simulate(cell, runs=runs, seed=_SEED)
        batch = next(delays.paths(cell, runs=runs, seed=_SEED))
        for run in range(runs):
            wrong += _delayed_trial(cell, batch, run) != _ending(outcome, run)
    return wrong


def _ending(outcome: SimulatedTrial, run: int) -> tuple[int, int]:
    return int(outcome.verdict[run]), int(outcome.jobs[run])


def _prompt_trial(cell: Cell, numbers: list[tuple[float, float]]) -> tuple[int, int]:
    state = DrawEvidence.begin(POLICY)
    for index, (draw, chance) in enumerate(numbers):
        arm = Arm.CANARY if draw < cell.share else Arm.CHAMPION
        score = float(chance < (cell.canary if arm is Arm.CANARY else cell.champion))
        state = advance(state, [_dispatched(state, arm, cell, index)], [_settled(index, score)]).state
        verdict = state.decide(elapsed_days=0.0).verdict
        if verdict is not Verdict.HOLD:
            return _VERDICTS[verdict], index + 1
    return HOLD, MAX_JOBS


def _delayed_trial(cell: Cell, batch: delays.Paths, run: int) -> tuple[int, int]:
    state = DrawEvidence.begin(POLICY)
    due: dict[int, list[Settlement]] = {}
    for index in range(MAX_JOBS):
        arm = Arm.CANARY if batch.arms[run, index] else Arm.CHAMPION
        settled = _settled(index, float(batch.scores[run, index]))
        due.setdefault(int(batch.arrival[run, index]), []).append(settled)
        dispatched = _dispatched(state, arm, cell, index)
        state = advance(state, [dispatched], due.pop(index + 1, [])).state
        verdict = state.decide(elapsed_days=0.0).verdict
        if verdict is not Verdict.HOLD:
            return _VERDICTS[verdict], index + 1
    return HOLD, MAX_JOBS


def _dispatched(state: DrawEvidence, arm: Arm, cell: Cell, index: int) -> Dispatched:
    bet = state.bet(arm, share=cell.share)
    draw = 0.0 if arm is Arm.CANARY else cell.share
    return Dispatched.of(bet, index=index, job_id=f"{index:016x}", draw=draw)


def _settled(index: int, score: float) -> Settlement:
    return Settlement(index=index, kind="settled", score=score)
