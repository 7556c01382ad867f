"""The way of a version to champion in several steps: each is passed before the next begins, and once."""

import threading
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis

from console.output.trials.way_words import ways_now
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.trials.ways import policy_of_step
from routing.errors import ConflictError
from routing.store.archive.archive_reader import ReadCounts
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.step import StepKind
from routing.templates.trial import Mode, TrialState
from routing.templates.version import VersionState
from routing.templates.way import StepTakenError, Way, WayMove
from tasks.backtests.case_folder import CaseFolder
from tasks.backtests.opening import BacktestOrder
from tasks.composition.ticks import harvest_tick
from tasks.notify.translation import translated
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import hold, some_cases
from tests.fleets.stepped_fleet import SteppedFleet
from tests.fleets.walks import ALL, POLICY, HandJudge, Walk, all_good, worse_at
from tests.leaks import leaks
from tests.source import ROOT


@pytest.fixture
def walk(redis_client: redis.Redis, tmp_path: Path) -> Any:
    """A version on its way in three steps, which leaves no keys."""
    made = Walk(redis_client, tmp_path / "cases")
    yield made
    assert leaks(redis_client, made.fleet.app.keys) == []


def test_three_steps_one_after_the_other(walk: Walk) -> None:
    """From the settings alone; the champion stays until the last one is passed, and people hear of each."""
    seen: list[str] = []

    def done() -> bool:
        if walk.way and (not seen or seen[-1] != walk.way):
            seen.append(walk.way)
            assert walk.fleet.app.templates.champion("implementer").number == 1
        return walk.state is VersionState.CHAMPION

    walk.until(done, all_good)
    assert seen == ["1 backtest implementer-b1", "2 shadow implementer-t1", "3 draw implementer-t2"]
    app = walk.fleet.app
    backtest = app.backtest_opening.find("implementer-b1")
    first, second = app.trials.find("implementer-t1"), app.trials.find("implementer-t2")
    assert (backtest.state, first.state, second.state) == (
        BacktestState.NOT_WORSE, TrialState.GRADUATED, TrialState.GRADUATED,
    )  # fmt: skip
    places = [each.place for each in (backtest, first, second)]
    assert [place.words for place in places] == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]
    policies = [TrialPolicy.from_json(each.policy) for each in (backtest, first, second)]
    assert [policy.alpha for policy in policies] == [pytest.approx(0.1)] * 3
    assert [policy.beta for policy in policies] == [0.1] * 3
    assert (first.mode, second.mode, walk.way) == (Mode.SHADOW, Mode.DRAW, "")
    kinds = walk.fleet.kinds()
    assert (kinds.count("candidate.step_passed"), kinds.count("candidate.auto_promoted")) == (2, 1)
    said = [str(review["decision"]) for review in app.templates.reviews("implementer")]
    assert said == ["graduate"] * 3
    for trial in (first, second):
        assert app.harvester.replayed(trial).to_json() == app.harvester.evidence(trial).to_json()
    notices = [one for event in walk.fleet.events() if (one := translated(event)) and "job" not in one.fields]
    assert [notice.title for notice in notices] == [
        "implementer@v2 passed step 1 of 3; the next one begins, and the champion stays",
        "implementer@v2 passed step 2 of 3; the next one begins, and the champion stays",
        "implementer@v2 graduated at step 3 of 3: it is champion now",
    ]


@pytest.mark.parametrize(
    ("step", "run"),
    [
        ("backtest", "implementer-b1"),
        ("shadow", "implementer-t1"),
        pytest.param("draw", "implementer-t2", marks=pytest.mark.long),
    ],
)
def test_a_step_that_is_not_passed_ends_the_way(walk: Walk, step: str, run: str) -> None:
    """The version is rejected there, and no later step is begun."""
    walk.until(lambda: walk.state is VersionState.REJECTED, worse_at(step))
    before = walk.fleet.kinds().count("candidate.canary_started")
    for _ in range(3):
        walk.tick()
    assert (walk.way, walk.fleet.kinds().count("candidate.canary_started")) == ("", before)
    assert before == {"backtest": 0, "shadow": 1, "draw": 2}[step]
    assert walk.fleet.app.templates.champion("implementer").number == 1
    assert run in str(walk.fleet.app.templates.reviews("implementer")[-1])


def test_the_tick_after_a_crash_opens_the_next_step(walk: Walk) -> None:
    """Between the verdict of a step and the next one the way waits, and the canary is nobody's champion."""
    walk.until(lambda: walk.way.startswith("2"), all_good)
    app = walk.fleet.app
    while app.trials.find("implementer-t1").is_open:  # the harvest alone, as of a process that dies after it
        walk.work(all_good)
        app.harvester.harvest()
    assert (walk.way, walk.state) == ("2 shadow implementer-t1", VersionState.PENDING)
    assert app.templates.champion("implementer").number == 1
    walk.tick()
    assert (walk.way, walk.state) == ("3 draw implementer-t2", VersionState.CANARY)


@pytest.mark.parametrize("passed", ["1 backtest implementer-b1", "2 shadow implementer-t1"])
def test_of_ten_ticks_that_race_one_opens_the_next_step(walk: Walk, passed: str) -> None:
    """Each has read the way before any of them opens the step; nothing is said to be wrong."""
    app = walk.fleet.app
    walk.until(lambda: walk.way == passed, all_good)
    while app.ways.next_of("implementer") is None:
        walk.work(all_good)
        app.harvester.harvest()
        app.backtest_runs.tick()
    move = app.ways.next_of("implementer")
    assert move is not None
    gate, opened = threading.Barrier(10), []

    def race() -> None:
        gate.wait()
        opened.append(app.ways.go_on(walk.version, move))

    threads = [threading.Thread(target=race) for _ in range(10)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len([one for one in opened if one is not None and one.changed]) == 1
    assert app.versions.template("implementer")["trials"] == passed[0]
    assert "candidate.held" not in walk.fleet.kinds()


def test_without_cases_the_version_waits_and_says_so(redis_client: redis.Redis, tmp_path: Path) -> None:
    """It is not tried on real work first; with cases its way begins."""
    walk = Walk(redis_client, tmp_path / "cases", cases=0)
    for _ in range(3):
        walk.tick()
    (held,) = walk.fleet.app.templates.held()
    assert "coalmine backtest collect" in held.reason
    assert (walk.state, walk.way) == (VersionState.PENDING, "")
    assert walk.fleet.kinds().count("candidate.held") == 1
    CaseFolder(tmp_path / "cases").write(some_cases(3))
    walk.tick()
    assert walk.way == "1 backtest implementer-b1"
    assert walk.fleet.app.templates.held() == []


def test_a_way_keeps_what_it_was_begun_with(walk: Walk, redis_client: redis.Redis) -> None:
    """Settings that change meanwhile are those of later ways."""
    walk.until(lambda: walk.way.startswith("1"), all_good)
    other = SteppedFleet(
        redis_client, policy=POLICY.model_copy(update={"delta": 0.2}), steps=(StepKind.DRAW,),
        judge=JudgeSettings(command="make test"),
    )  # fmt: skip
    walk.fleet.app.__dict__["proposals"] = other.app.proposals
    walk.until(lambda: walk.way.startswith("2"), all_good)
    trial = walk.fleet.app.trials.find("implementer-t1")
    assert (trial.mode, TrialPolicy.from_json(trial.policy).delta) == (Mode.SHADOW, 0.4)


def test_nothing_else_of_the_template_is_tried_meanwhile(walk: Walk) -> None:
    """A later proposal waits for the end of the way; what people do ends it."""
    walk.tick()
    app = walk.fleet.app
    later = walk.fleet.propose("three")
    for _ in range(2):
        walk.tick()
    with pytest.raises(ConflictError, match="implementer@v2 is at step 1 of 3"):
        app.proposals.begin(later, POLICY, by="ada")
    with pytest.raises(ConflictError, match="on its way"):
        app.proposals.open(later, POLICY, by="ada")
    assert app.proposals.begin(walk.version, POLICY, by="ada").changed is False
    app.templates.promote(later.id, by="ada")
    walk.tick()
    assert (walk.way, app.backtest_opening.find("implementer-b1").state) == ("", BacktestState.STOPPED)
    assert app.templates.champion("implementer").number == later.number


def test_a_person_stops_a_way(walk: Walk) -> None:
    """In a backtest, and between two steps; the version is pending, and nothing follows."""
    walk.tick()
    app = walk.fleet.app
    assert app.ways.stop("implementer", by="ada", reason="wrong cases")
    assert (walk.way, walk.state) == ("", VersionState.PENDING)
    assert app.backtest_opening.find("implementer-b1").reason == "wrong cases"
    assert app.ways.stop("implementer", by="ada") is False
    begun = app.proposals.begin(walk.version, POLICY, (StepKind.SHADOW, StepKind.DRAW), by="ada")
    assert (begun.run.id, begun.words) == ("implementer-t1", "step 1 of 2 (shadow, draw)")
    while app.ways.next_of("implementer") is None:
        walk.work(all_good)
        app.harvester.harvest()
    assert app.ways.stop("implementer", by="ada")
    for _ in range(2):
        walk.tick()
    assert (walk.way, walk.state, app.trials.open_trials()) == ("", VersionState.PENDING, [])
    assert walk.fleet.kinds().count("candidate.way_stopped") == 1


def test_off_ends_ways_visibly(walk: Walk, redis_client: redis.Redis) -> None:
    """With canaries switched off the backtest of a way is stopped, and nothing follows it."""
    walk.tick()
    off = SteppedFleet(redis_client, enabled=False)
    harvest_tick(off.app, HandJudge())  # type: ignore[arg-type]
    assert walk.way == ""
    assert "switched off" in walk.fleet.app.backtest_opening.find("implementer-b1").reason


def test_a_last_backtest_makes_its_version_champion(redis_client: redis.Redis, tmp_path: Path) -> None:
    """Where the settings name no other step; it happens in the step that ends the backtest."""
    walk = Walk(redis_client, tmp_path / "cases", steps=(StepKind.BACKTEST,))
    walk.until(lambda: walk.state is VersionState.CHAMPION, all_good)
    assert walk.fleet.kinds().count("candidate.auto_promoted") == 1
    assert walk.way == ""


def test_a_backtest_without_a_verdict_ends_the_way(redis_client: redis.Redis, tmp_path: Path) -> None:
    """Its cases are used up: a person is asked, and no later step begins."""
    walk = Walk(redis_client, tmp_path / "cases", cases=2)
    walk.until(lambda: walk.fleet.kinds().count("backtest.ended") == 1, all_good)
    for _ in range(2):
        walk.tick()
    assert (walk.way, walk.state) == ("", VersionState.PENDING)
    (event,) = walk.fleet.events("backtest.ended")
    notice = translated(event)
    assert notice is not None
    assert (notice.kind, notice.title) == (
        "needs-human", "implementer@v2 came to no verdict at step 1 of 3: decide yourself",
    )  # fmt: skip


def test_the_policy_of_a_step() -> None:
    """Alpha is divided, beta is not; a guardrail that a shadow cannot have is left to the draw."""
    rails = (Guardrail(name="fix_forwards", cap=3), Guardrail(name="tokens", cap=100))
    policy = POLICY.model_copy(update={"guardrails": rails})
    shadow, last = (policy_of_step(policy, ALL, at) for at in (2, 3))
    assert shadow.alpha == last.alpha == pytest.approx(0.1)
    assert (shadow.beta, shadow.mode) == (0.1, Mode.SHADOW)
    assert ([one.name for one in shadow.guardrails], last.guardrails) == (["tokens"], rails)
    assert policy_of_step(policy, (StepKind.DRAW,), 1) == policy


def test_records_of_before_are_one_step(redis_client: redis.Redis) -> None:
    """A trial that was opened before there were steps decides as it did."""
    fleet = SteppedFleet(redis_client, policy=POLICY)
    trial = fleet.on_trial()
    fields = redis_client.hgetall(fleet.app.keys.trial(trial.id))
    assert not {"step", "steps"} & set(fields)
    assert (trial.place.number, trial.place.total, trial.place.words) == (1, 1, "")


def test_pages_say_which_step(walk: Walk) -> None:
    """The template's page in a backtest and with decisions, the lists, and the page of a trial."""
    web = walk.fleet.web
    walk.tick()
    assert "step 1 of 3 (backtest, shadow, draw), implementer-b1" in web.get("/templates/implementer").text
    walk.until(lambda: walk.way.startswith("2"), all_good)
    page = web.get("/templates/implementer").text
    assert "(step 1 of 3)" in page
    assert "implementer@v2 against implementer@v1, step 2 of 3" in page.replace("\n", " ")
    assert "2 of 3" in web.get("/trials").text
    shown = web.get("/trials/implementer-t1").text
    assert "Step 2 of 3 of the way of implementer@v2" in shown
    assert (
        "a chance of 0.1 at most in this step and of 0.3 on the whole way; graduated wrongly with 0.1"
        in shown
    )
    assert "If the canary is as good, a verdict takes about" in shown
    (trial,) = web.get("/api/v1/trials").json()["trials"]
    assert trial["step"] == {"number": 2, "of": 3, "steps": ["backtest", "shadow", "draw"]}
    found = {line for line in web.get("/metrics").text.splitlines() if line.startswith("coalmine_way")}
    assert found == {
        'coalmine_way_step{mode="shadow",template="implementer"} 2.0',
        'coalmine_way_steps{template="implementer"} 3.0',
    }


def test_of_two_who_begin_a_way_at_once_one_does(walk: Walk) -> None:
    """The second has read that there was none; it is refused, and no second backtest is begun."""
    opening, app = walk.fleet.app.backtest_opening, walk.fleet.app
    first = WayMove(
        after=Way(template="implementer", version=2, steps=ALL, policy=POLICY.to_json(), by="ada")
    )
    order = BacktestOrder(
        canary=walk.version, champion=app.templates.champion("implementer"), cases=some_cases(3),
        refuse=True, policy=POLICY, move=first,
    )  # fmt: skip
    opening.open(order)
    with pytest.raises(StepTakenError, match="cannot take this step now"):
        opening.open(order)
    assert (len(opening.of_template("implementer")), walk.way) == (1, "1 backtest implementer-b1")


@pytest.mark.parametrize("end", ["stopped", "expired"])
def test_a_trial_without_a_verdict_ends_the_way(walk: Walk, end: str) -> None:
    """By a person or by its limits: the version is pending, and its template is free for others."""
    walk.until(lambda: walk.way.startswith("2"), all_good)
    app = walk.fleet.app
    trial = app.trials.find("implementer-t1")
    if end == "stopped":
        app.trials.stop(trial, by="ada")
    else:
        walk.fleet.clock.forward(31 * 86_400)
    walk.tick()
    assert app.trials.find(trial.id).state == end
    assert (walk.way, walk.state) == ("", VersionState.PENDING)
    assert app.proposals.open(walk.version, POLICY, by="ada").changed


@pytest.mark.parametrize("at", ["1 backtest implementer-b1", "between"])
def test_a_way_goes_on_where_it_is_imported(walk: Walk, tmp_path: Path, at: str) -> None:
    """In the middle of a step, and between two: another server takes the way to the next one."""
    app = walk.fleet.app
    between = app.ways.next_of
    walk.until(lambda: walk.way == at or (at == "between" and bool(between("implementer"))), all_good)
    entries, middle = list(app.archive_reader.entries(ReadCounts())), 40
    with fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        other = Walk(client, tmp_path / "cases", cases=0, begun=walk.version)
        other.fleet.clock.now = walk.fleet.clock.now
        writer = other.fleet.app.archive_writer
        writer.write(entries[:middle], done=writer.begin("digest"))
        assert writer.begin("digest") == middle, "an import that stopped midway goes on"
        writer.write(entries[middle:], done=middle)
        writer.end("imported")
        assert other.way == walk.way
        other.fleet.app.switch.resume("imported")
        other.until(lambda: other.way.startswith("2"), all_good)
        assert other.fleet.kinds().count("candidate.step_passed") == 1
        assert other.fleet.app.trials.find("implementer-t1").is_open
        assert leaks(client, other.fleet.app.keys) == []


def test_a_backtest_that_holds_its_way_says_so(walk: Walk) -> None:
    """Where ways are listed; its stop ends the way."""
    walk.tick()
    find = walk.fleet.app.backtest_opening.find
    hold(walk.fleet, find("implementer-b1"))
    (way,) = ways_now(walk.fleet.app, ["implementer"])
    held = "step 1 of 3, backtest implementer-b1, which checks of its health hold; then shadow, draw"
    assert way.words == f"implementer@v2: {held}"
    walk.fleet.app.backtest_opening.stop(find("implementer-b1"), by="ada")
    assert walk.way == ""


def test_the_days_of_a_trial_do_not_limit_the_step_backtest(walk: Walk) -> None:
    """It gives way to real work; docs/evidence.md says of which steps a limit is."""
    walk.tick()
    walk.fleet.clock.forward(40 * 86_400.0)
    walk.tick()
    run = walk.fleet.app.backtest_opening.find("implementer-b1")
    assert (run.state, walk.way) == (BacktestState.RUNNING, "1 backtest implementer-b1")
    said = " ".join((ROOT / "docs/evidence.md").read_text(encoding="utf-8").split())
    assert "The limit of days (`max_days`) is that of the steps `shadow` and `draw`" in said
