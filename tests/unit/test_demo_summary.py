"""What the demonstration says at its end: where its trials can be looked at, and until when."""

import io
import json

import pytest
from rich.console import Console

from console.commands.demo import _wait_for_enter
from console.demo.story import Chapter, Played
from console.demo.summary import summary
from harvest.evidence.policy import TrialPolicy
from routing.templates.trial import Trial, TrialState

REVIEW = {
    "arms": {name: {"settled": 3, "mean": 0.5} for name in ("canary", "champion")},
    "evidence": {"worse": 21.0, "not_worse": 1.0}, "thresholds": {"worse": 20.0}, "reasons": ["it is worse"],
}  # fmt: skip


def said(*, pages: str, stays: bool) -> str:
    """The summary of a story of one trial."""
    trial = Trial(
        id="implementer-t1", template="implementer", champion=1, canary=2, policy=TrialPolicy().to_json(),
        state=TrialState.ROLLED_BACK, opened_at=1.0, revision=1, share=0.5, strata="none",
        settle_deadline_seconds=1.0, review=json.dumps(REVIEW),
    )  # fmt: skip
    played = Played(
        chapters=(Chapter(title="A hasty prompt", prompt="fast", trial=trial),), seconds=50.0, jobs=9,
        merges=6, champion="implementer@v1", seed=1, pages=pages,
    )  # fmt: skip
    written = io.StringIO()
    Console(file=written, width=160).print(summary(played, stays=stays))
    return written.getvalue()


def test_the_page_of_the_last_trial_is_named_with_what_becomes_of_it() -> None:
    """It stays on a terminal; elsewhere it has ended, and an option would have left it open."""
    page = "http://127.0.0.1:8321/trials/implementer-t1"
    assert f"{page}\nIn ten seconds:" in said(pages="http://127.0.0.1:8321", stays=True)
    gone = said(pages="http://127.0.0.1:8321", stays=False)
    assert page in gone
    assert "demo --stay" in gone
    assert "browser" not in said(pages="", stays=True)


def test_the_pages_stay_until_a_line_or_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that has ended is not a line: then the time alone ends them."""
    with open("/dev/null") as nothing:  # noqa: PTH123 - a device
        monkeypatch.setattr("sys.stdin", nothing)
        _wait_for_enter(0.05)
