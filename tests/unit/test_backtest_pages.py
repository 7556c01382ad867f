"""Backtests for people and scripts: their page, their lists, their documents, and their numbers."""

import io
import json
import random
import re

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from typer.testing import CliRunner

from console.cli import app
from console.details.backtest_detail import PairFate, PairLine, fate_of, report_of
from console.output.trials.backtest_views import backtests_view, foretold, later_words, report_document
from console.pages.pictures.pair_squares import MOST_SQUARES, pair_squares, square
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_ledger import PairSettlement
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.trial import TrialState
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest, every_kind_of_pair
from tests.fleets.stepped_fleet import SteppedFleet

QUICK = TrialPolicy(delta=0.4, alpha=0.1, beta=0.1)

#: What code under test may print for its judge to repeat.
EVIL = "<script>alert(1)</script> \x1b[31mred"


@pytest.fixture
def made(redis_client: redis.Redis) -> SteppedBacktest:
    """A backtest with a pair of each kind, one that is left out and one at work; the judge printed a page."""
    fleet = SteppedFleet(
        redis_client, policy=QUICK, judge=JudgeSettings(command="make test"), generator=random.Random(7)
    )
    fleet.add()
    fleet.propose()
    return every_kind_of_pair(fleet, printed=EVIL)


def got(made: SteppedBacktest, path: str, **headers: str) -> httpx.Response:
    """The answer to a GET."""
    return made.fleet.web.get(path, **headers)


def test_the_page_shows_who_solved_what_and_where_the_canary_lost(made: SteppedBacktest) -> None:
    """A square a pair, with words and a link; the judge's lines, escaped; both logs."""
    answer = got(made, f"/backtests/{made.run.id}")
    assert answer.status_code == 200, answer.text
    page, pairs = answer.text, made.pairs()
    for place, words in enumerate(
        ("both", "the champion alone", "the canary alone", "neither"),
    ):
        canary = pairs[place].dispatched.canary_job
        said = f"{pairs[place].name}: solved by {words}"
        assert f'<a href="/jobs/{canary}" aria-label="{said}">' in page
    assert f"{pairs[4].name}: left out" in page
    assert f"{pairs[5].name}: not ended" in page
    assert page.count('<svg class="square ') == len(pairs) + len(PairFate)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "\x1b" not in page
    lost = page[page.index("Lost cases") :]
    for job in (pairs[1].dispatched.canary_job, pairs[1].dispatched.champion_job):
        assert f'href="/jobs/{job}">of the' in lost
    assert "5 of 9 cases have ended" in page
    assert re.search(r"less the champion&#39;s is [+]0[.]00 so far, and really between -[0-9.]+ and", page)


def test_a_template_lists_its_backtests(made: SteppedBacktest) -> None:
    """With how they ended; its page and the last one's are linked."""
    page = got(made, "/templates/implementer").text
    assert f'<a href="/backtests/{made.run.id}">' in page
    assert "it is running" in page
    assert got(made, "/backtests/implementer").text.count("<h1>") == 1
    assert got(made, "/backtests/nobody-b1").status_code == 404
    made.hold()
    assert "it is running</span>, held" in got(made, "/templates/implementer").text
    listed = Console(width=140, file=io.StringIO(), color_system=None)
    listed.print(backtests_view([made.now]))
    assert "running, held" in listed.file.getvalue()  # type: ignore[attr-defined]


def test_the_api_says_what_the_command_says(made: SteppedBacktest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key for key, with a tag that spares the answer when nothing changed."""
    monkeypatch.setattr("tasks.composition.composition.compose", lambda *_, **__: made.fleet.app)
    monkeypatch.setattr("tasks.logs.configure_logs", lambda _: None)
    for path, command in (
        ("/backtests", ["list"]),
        (f"/backtests/{made.run.id}", ["show", made.run.id]),
        (f"/backtests/{made.run.id}/explanation", ["explain", made.run.id]),
    ):
        asked = ["--redis-url", "redis://127.0.0.1:1/0", "backtest", *command, "--json"]
        printed = CliRunner().invoke(app, asked)
        assert printed.exit_code == 0, printed.output
        answer = got(made, f"/api/v1{path}")
        assert answer.json() == json.loads(printed.stdout), path
        again = got(made, f"/api/v1{path}", **{"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert got(made, "/api/v1/backtests?template=nobody").status_code == 404
    assert got(made, "/api/v1/backtests/nobody").status_code == 404


def test_metrics_are_of_the_last_backtest(made: SteppedBacktest) -> None:
    """Its state, its cases and its pairs; a template is the only label that grows."""
    lines = {
        (sample.name, *(sample.labels.get(name, "") for name in ("state", "outcome"))): sample.value
        for family in text_string_to_metric_families(got(made, "/metrics").text)
        for sample in family.samples
        if sample.name.startswith("coalmine_backtest")
    }
    assert lines["coalmine_backtest", "running", ""] == 1
    assert lines["coalmine_backtest", "not_worse", ""] == 0
    assert lines["coalmine_backtest_cases", "", ""] == 9
    outcomes = ("both", "champion_only", "canary_only", "neither", "excluded")
    assert [lines["coalmine_backtest_pairs", "", each] for each in outcomes] == [1] * 5
    assert lines["coalmine_backtest_held", "", ""] == 0
    made.hold()
    assert 'coalmine_backtest_held{template="implementer"} 1.0' in got(made, "/metrics").text


@pytest.mark.parametrize(
    ("champion", "canary", "fate"),
    [
        (1.0, 0.5, PairFate.BOTH), (0.6, 0.4, PairFate.CHAMPION), (0.0, 1.0, PairFate.CANARY),
        (0.0, 0.0, PairFate.NEITHER), (None, None, PairFate.EXCLUDED),
    ],
)  # fmt: skip
def test_half_a_score_solves_a_case(champion: float | None, canary: float | None, fate: PairFate) -> None:
    """As everywhere else."""
    kind = "excluded" if champion is None else "settled"
    line = PairSettlement.model_validate(
        {"index": 0, "kind": kind, "champion": champion, "canary": canary, "at": 1.0}
    )
    assert fate_of(line) is fate


@pytest.mark.parametrize(
    ("said", "was", "words"),
    [
        (BacktestState.NOT_WORSE, TrialState.GRADUATED, "yes"),
        (BacktestState.WORSE, TrialState.ROLLED_BACK, "yes"),
        (BacktestState.NOT_WORSE, TrialState.ROLLED_BACK, "no"),
        (BacktestState.WORSE, TrialState.GRADUATED, "no"),
        (BacktestState.UNDECIDED, TrialState.GRADUATED, "one of the two has not decided"),
        (BacktestState.NOT_WORSE, TrialState.OPEN, "one of the two has not decided"),
        (BacktestState.NOT_WORSE, TrialState.STOPPED, "one of the two has not decided"),
    ],
)
def test_a_later_trial_says_whether_it_was_foretold(
    made: SteppedBacktest, said: BacktestState, was: TrialState, words: str
) -> None:
    """Only two verdicts can agree."""
    fleet = made.fleet
    fleet.app.backtest_opening.stop(made.now, by="ada")
    fleet.redis.hset(fleet.app.keys.backtest(made.run.id), "state", said.value)
    fleet.clock.forward(60)
    trial = fleet.open(made.canary)
    fleet.redis.hset(fleet.app.keys.trial(trial.id), "state", was.value)
    agrees = {"yes": True, "no": False}.get(words)
    assert foretold(made.now, fleet.app.trials.find(trial.id)) is agrees
    assert re.search(f"{trial.id}</a>.*<td>{words}</td>", got(made, f"/backtests/{made.run.id}").text)


def test_a_report_stands_beside_the_trial_that_it_foretold(redis_client: redis.Redis) -> None:
    """A backtest and a trial by draw, both to their verdicts: these are said, and both differences."""
    fleet = SteppedFleet(
        redis_client, policy=QUICK.model_copy(update={"share": 0.5, "revert_window_seconds": 0.0}),
        judge=JudgeSettings(command="make test"), generator=random.Random(7),
    )  # fmt: skip
    fleet.add()
    fleet.propose()
    backtest = SteppedBacktest(fleet)
    assert backtest.play(lambda _: 1.0).state is BacktestState.NOT_WORSE
    fleet.clock.forward(1.0)
    trial = fleet.open(backtest.canary)
    for _ in range(100):
        fleet.end(fleet.enqueue().job)
        if fleet.app.harvester.harvest().outcomes:
            break
    assert fleet.app.trials.find(trial.id).state is TrialState.GRADUATED
    report = report_of(fleet.app, backtest.run.id)
    (later,) = report_document(report)["later_trials"]
    assert (later["trial"], later["foretold"], later["difference"]["value"]) == (trial.id, True, 0.0)
    assert later["difference"]["lower"] >= -QUICK.delta
    words = later_words(report, report.later[0])
    assert f"trial {trial.id} (draw) is graduated, as foretold; this backtest: the version is not" in words
    assert re.search(r"in the trial: \+0\.00 \[-0\.\d+, \+.*; here: \+0\.00 \[-0\.\d+, \+", words)


@pytest.mark.parametrize(
    ("fate", "filled"),
    [
        (PairFate.BOTH, ["one", "two"]), (PairFate.CHAMPION, ["one"]), (PairFate.CANARY, ["two"]),
        (PairFate.NEITHER, []), (PairFate.EXCLUDED, ["out"]), (PairFate.OPEN, []),
    ],
)  # fmt: skip
def test_a_half_is_filled_where_its_version_solved_the_case(fate: PairFate, filled: list[str]) -> None:
    """The champion's is the left one."""
    found = re.findall(r'class="(one|two|out)"(?: x="([0-9]+)")?', square(fate))
    assert [name for name, _ in found] == filled
    assert {"one": "2", "two": "12"}.items() >= {name: x for name, x in found if x}.items()


def test_the_picture_is_bounded() -> None:
    """The newest are drawn; nothing is drawn of no pair."""
    lines = [
        PairLine(
            index=place, name=f"c-{place}", fate=PairFate.BOTH, champion_job="a", canary_job="b",
            is_kept=False, reason="",
        )
        for place in range(MOST_SQUARES + 5)
    ]  # fmt: skip
    drawn = pair_squares(lines)
    assert drawn.count("<svg") == MOST_SQUARES
    assert 'aria-label="c-4: ' not in drawn
    assert pair_squares([]) == ""
