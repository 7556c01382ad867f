"""Compares the stored state of a trial, or a backtest, with the state recomputed from its ledger.

It is the check that evidence can be trusted: the ledger is append-only, so a state that does not follow
from it was damaged or written by a faulty release. It changes nothing; `trial stop` or `backtest stop` is the
remedy.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import RenderableType

from console.output.rendering import evidence, table, text
from harvest.evidence.trial_test import AnyTest
from routing.errors import CorruptRecordError
from routing.store.backtests.backtest_store import Backtest
from routing.templates.trial import Trial
from tasks.backtests.report import replayed as backtest_replayed
from tasks.backtests.running import evidence_of
from tasks.composition.composition import Coalmine

#: What the next bet stakes on, by the kind of test.
_BELIEFS = ("baseline", "discordance")


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """Both states of one trial, or backtest. They must be the same to the last digit; else one is damaged.

    Both count the same jobs: what was drawn after the stored state was written is left out of the
    recomputed one, unless the stored state cannot be read at all.
    """

    trial: str  # its id
    stored: AnyTest | None  # None when it cannot be read
    recomputed: AnyTest
    problem: str = ""  # why the stored state cannot be read
    kind: Literal["trial", "backtest"] = "trial"

    @property
    def same(self) -> bool:
        """Whether the two states are written as the same JSON; False when the stored one cannot be read."""
        return self.stored is not None and self.stored.to_json() == self.recomputed.to_json()

    def document(self) -> dict[str, Any]:
        """A replay for scripts, with both states in full."""
        return {
            self.kind: self.trial,
            "same": self.same,
            "jobs": self.recomputed.dispatched,
            "stored": json.loads(self.stored.to_json()) if self.stored else None,
            "recomputed": json.loads(self.recomputed.to_json()),
        }

    def view(self) -> Iterator[RenderableType]:
        """A replay for people: one sentence when they agree, else the main figures next to each other."""
        if self.same:
            units = f"{self.recomputed.dispatched} {self.recomputed.unit_name}s"
            yield f"{self.trial}: the ledger of {units} gives the stored state, to the last digit"
            return
        if self.stored is None:
            yield text(self.problem, "red")
        columns = ("figure", ">stored", ">recomputed")
        stored = figures(self.stored) if self.stored else {}
        recomputed = figures(self.recomputed)
        yield table(columns, ((name, stored.get(name, "-"), value) for name, value in recomputed.items()))


def figures(state: AnyTest) -> dict[str, str]:
    """The figures of a state that a person would compare, by their names."""
    arms = {"champion": state.champion, "canary": state.canary}
    counts = {
        f"{name} {what}": str(getattr(arm, what))
        for name, arm in arms.items()
        for what in ("dispatched", "settled", "open", "excluded", "total")
    }
    return (
        counts
        | {
            "evidence: worse": evidence(state.worse.value),
            "evidence: not worse": evidence(state.not_worse.value),
        }
        | {name: f"{float(value):.2f}" for name, value in state.next_bet.items() if name in _BELIEFS}
    )


def replayed(coalmine: Coalmine, trial: Trial) -> Replay:
    """Recompute a trial. A stored state that cannot be read counts as one that differs.

    Takes time in proportion to the number of jobs of the trial. Raises CorruptRecordError when the ledger
    itself cannot be read: then there is nothing to compare with.
    """
    try:
        stored = coalmine.harvester.evidence(trial)
        recomputed = coalmine.harvester.replayed(trial)
    except CorruptRecordError as error:
        whole = coalmine.harvester.whole_replay(trial)
        return Replay(trial=trial.id, stored=None, recomputed=whole, problem=str(error))
    return Replay(trial=trial.id, stored=stored, recomputed=recomputed)


def replayed_backtest(coalmine: Coalmine, run: Backtest) -> Replay:
    """The same of a backtest, whose ledger are its pairs and their settlements."""
    store = coalmine.backtest_store
    try:
        stored = evidence_of(run)
    except CorruptRecordError as error:
        whole = backtest_replayed(store, run, None)
        return Replay(trial=run.id, stored=None, recomputed=whole, problem=str(error), kind="backtest")
    recomputed = backtest_replayed(store, run, stored)
    return Replay(trial=run.id, stored=stored, recomputed=recomputed, kind="backtest")
