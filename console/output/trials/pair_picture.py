"""Who solved what in a trial of pairs: a small picture for people, and its numbers for scripts."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType

from console.output.rendering import table
from harvest.evidence.trial_test import AnyTest
from harvest.pairs.pair_evidence import PairEvidence
from routing.templates.trial import Mode

#: The modes in words.
MODES = {
    Mode.DRAW: "draw: one version a job, by chance",
    Mode.SHADOW: "shadow: both versions on the same issue; the champion's work is delivered",
}


def pairs_document(evidence: AnyTest) -> dict[str, Any] | None:
    """The pairs by who solved them; None for a trial by draw. `difference` is null before the first."""
    if not isinstance(evidence, PairEvidence):
        return None
    counts = evidence.counts
    return {
        "dispatched": counts.dispatched,
        "open": counts.open,
        "excluded": counts.excluded,
        "both": counts.both,
        "champion_only": counts.champion_only,
        "canary_only": counts.canary_only,
        "neither": counts.neither,
        "difference": counts.difference,
    }


def pairs_view(evidence: AnyTest) -> Iterator[RenderableType]:
    """The same for people: nothing for a trial by draw."""
    if not isinstance(evidence, PairEvidence):
        return
    counts = evidence.counts
    rows = (
        ("both", str(counts.both)),
        ("the champion alone", str(counts.champion_only)),
        ("the canary alone", str(counts.canary_only)),
        ("neither", str(counts.neither)),
    )
    yield ""
    yield table(("solved by", ">pairs"), rows)
