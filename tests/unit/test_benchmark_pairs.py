"""The simulation of late pairs decides as the product does, and what it found is in the documentation."""

import json
from pathlib import Path

import numpy as np

from benchmarks.pair_errors import late_ending
from benchmarks.pairs import CELLS
from benchmarks.simulation import GRADUATE, HOLD, POLICY, ROLL_BACK, Ints
from harvest.evidence.trial_test import advance
from harvest.evidence.verdict import Verdict
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from routing.templates.trial import Arm

PAIRS = 90

#: The chances of -1, 0 and 1: a worse canary, one that is as good, and a better one.
CHANCES = ((0.5, 0.45, 0.05), (0.05, 0.9, 0.05), (0.05, 0.6, 0.35))


def _module(outcome: Ints, arrival: Ints) -> tuple[int, int]:
    """The real test's verdict and pairs: a pair is dispatched, then what is known by now is settled."""
    state = PairEvidence.begin(POLICY)
    names = {Verdict.ROLL_BACK: ROLL_BACK, Verdict.GRADUATE: GRADUATE}
    for index in range(len(outcome)):
        pair = PairDispatched(
            index=index, champion_job="a", canary_job="b", first=Arm.CHAMPION if index % 2 else Arm.CANARY,
            discordance=state.bet.discordance,
        )  # fmt: skip
        known = [
            PairSettlement(
                index=int(place),
                kind="settled",
                champion=float(outcome[place] < 0),
                canary=float(outcome[place] > 0),
            )
            for place in np.flatnonzero(arrival[: index + 1] == index + 1)
        ]
        state = advance(state, [pair], known).state
        verdict = state.decide(elapsed_days=0.0).verdict
        if verdict in names:
            return names[verdict], index + 1
    return HOLD, len(outcome)


def test_late_pairs_are_simulated_as_the_test_decides_them() -> None:
    """At the same pair, with the same verdict, for random outcomes that come late by the outcome or never."""
    generator = np.random.default_rng(11)
    outcome = np.concatenate(
        [generator.choice([-1, 0, 1], (2, PAIRS), p=np.array(chances)) for chances in CHANCES]
    )
    slow = generator.standard_exponential(outcome.shape) * np.where(outcome == 1, 20.0, 4.0)
    arrival = np.arange(1, PAIRS + 1) + slow.astype(np.int64)
    found = late_ending(outcome, arrival, (30, PAIRS))
    assert set(found.verdict.tolist()) == {HOLD, ROLL_BACK, GRADUATE}
    expected = [_module(*run) for run in zip(outcome, arrival, strict=True)]
    assert list(zip(found.verdict.tolist(), found.pairs.tolist(), strict=True)) == expected


def test_the_rates_of_each_cell_in_the_documentation_are_those_measured() -> None:
    """Each cell of the table, to three places, of the file that the benchmark writes."""
    kept = json.loads(Path("benchmarks/results.json").read_text(encoding="utf-8"))
    measured = {one["name"]: one["value"] for one in kept}
    lines = Path("docs/evidence.md").read_text(encoding="utf-8").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("| champion, phi | rollback"))
    cells = [cell for cell in CELLS if cell.difference == 0.0]
    for line, cell in zip(lines[start + 2 : start + 2 + len(cells)], cells, strict=True):
        rates = [
            measured[f"pairs: {name}{condition}: {cell.words}"]
            for condition in ("", ", good ones late", ", bad ones late")
            for name in ("wrong rollback at D = 0", "wrong graduation at D = -delta")
        ]
        words = f"{cell.champion:g}, {cell.agreement:g}"
        assert [part.strip() for part in line.strip("|").split("|")] == [
            words,
            *(f"{one:.3f}" for one in rates),
        ]
