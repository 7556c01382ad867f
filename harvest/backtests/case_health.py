"""What the health of a backtest's test says: which checks a person has let go, and whether it waits for one.

A trial that holds itself goes on with its issues; a backtest gives out nothing then, as its cases cost money
and its verdict is there. Pure.
"""

from collections.abc import Sequence

from harvest.evidence.health import Alarm, HealthCheck
from harvest.evidence.verdict import Verdict
from harvest.pairs.pair_evidence import PairEvidence
from routing.store.backtests.backtest_store import Backtest


def released_checks(run: Backtest) -> tuple[HealthCheck, ...]:
    """The checks of its health that a person has let go."""
    return tuple(HealthCheck(name) for name in run.released)


def alarms_of(run: Backtest, state: PairEvidence) -> Sequence[Alarm]:
    """The checks that have fired and that no person has let go."""
    return state.health.alarms(released=released_checks(run))


def is_held(run: Backtest, state: PairEvidence) -> bool:
    """Whether the evidence answers, and its health alone keeps it from its verdict."""
    if not alarms_of(run, state):
        return False
    now, freely = (
        state.decide(elapsed_days=0.0, released=released).verdict
        for released in (released_checks(run), tuple(HealthCheck))
    )
    return now is Verdict.HOLD and freely in {Verdict.GRADUATE, Verdict.ROLL_BACK}
