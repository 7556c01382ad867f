"""A person holds a trial: it draws and counts, and no verdict is carried out until one resumes it."""

import pytest
import redis
from pydantic import SecretStr

from console.status.fleet_reading import read_open_trials
from harvest.evidence.policy import TrialPolicy
from routing.errors import ConflictError
from routing.jobs.signal import SignalKind
from routing.store.trials.trial_store import AdvanceAnswer, TrialAdvance
from routing.templates.trial import Arm, Trial, TrialState
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import SteppedFleet
from tests.unit.test_page_decisions import Browser

#: A policy under which a few bad canary jobs roll back.
HASTY = TrialPolicy(share=0.5, alpha=0.2, revert_window_seconds=0.0, max_canary_jobs=30)


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial whose draws take turns."""
    web = WebSettings(token=SecretStr("0123456789abcdef"), read_token=SecretStr("fedcba9876543210"))
    made = SteppedFleet(redis_client, draws=[0.1, 0.9] * 100, policy=HASTY, web=web)
    made.on_trial()
    return made


def fail(fleet: SteppedFleet, count: int) -> Trial:
    """So many jobs, of which the canary's fail; the trial after the next harvest."""
    for _ in range(count):
        job = fleet.enqueue().job
        arm = fleet.app.jobs.find(job).arm
        fleet.end(job, SignalKind.AGENT_ERRORED if arm == "canary" else SignalKind.FINISHED)
    fleet.app.harvester.harvest()
    return fleet.app.trials.find("implementer-t1")


def hold(fleet: SteppedFleet, reason: str = "the tests were flaky") -> bool:
    """Ada holds it; whether that changed anything."""
    return fleet.app.trials.hold(fleet.app.trials.find("implementer"), by="Ada", reason=reason).changed


def test_no_verdict_is_carried_out_until_it_is_resumed(fleet: SteppedFleet) -> None:
    """The evidence goes on; it decides with the next harvest after a person resumed the trial."""
    assert hold(fleet)
    held = fail(fleet, 40)
    assert (held.state, held.dispatched[Arm.CANARY]) == (TrialState.OPEN, 20)
    (status,), _ = read_open_trials(fleet.app, fleet.clock())
    assert status.decision.evidence["worse"] > status.decision.thresholds["worse"]
    assert status.reasons[0] == "Ada holds the trial: the tests were flaky."
    assert status.is_held
    assert not fleet.events("candidate.rolled_back")
    assert fleet.app.trials.resume(held, by="Bo", reason="they are repaired").changed
    fleet.app.harvester.harvest()
    assert fleet.app.trials.find(held.id).state is TrialState.ROLLED_BACK
    assert len(fleet.events("candidate.rolled_back")) == 1


def test_a_verdict_that_was_decided_without_the_hold_is_refused(fleet: SteppedFleet) -> None:
    """A harvest that read the trial before it was held writes nothing, and decides anew."""
    read = fleet.app.trials.find("implementer")
    step = TrialAdvance(
        revision=read.revision, evidence=read.evidence, share=read.share, bet={}, verdict="roll_back",
        reason="worse", review="{}",
    )  # fmt: skip
    hold(fleet)
    assert fleet.app.trial_store.advance(read, step) is AdvanceAnswer.STALE
    assert fleet.app.trials.find(read.id).is_open


def test_it_is_held_once_and_recorded(fleet: SteppedFleet) -> None:
    """By the first who did; its event says who and why, as does the record."""
    assert hold(fleet)
    assert not hold(fleet, "another reason")
    found = fleet.app.trials.find("implementer").hold
    assert found is not None
    assert (found.by, found.reason, found.at) == ("Ada", "the tests were flaky", fleet.clock())
    (event,) = fleet.events("trial.held")
    assert event.data["reasons"] == ["Ada holds the trial: the tests were flaky."]
    trial = fleet.app.trials.find("implementer")
    assert fleet.app.trials.resume(trial, by="Bo").changed
    assert fleet.app.trials.find("implementer").hold is None
    assert not fleet.app.trials.resume(trial, by="Bo").changed


def test_limits_end_a_trial_that_is_held(fleet: SteppedFleet) -> None:
    """A person who forgets it does not keep a canary at work for ever."""
    hold(fleet)
    assert fail(fleet, 2 * HASTY.max_canary_jobs).state is TrialState.EXPIRED
    with pytest.raises(ConflictError, match="has ended"):
        hold(fleet)


def test_a_page_holds_and_resumes(fleet: SteppedFleet) -> None:
    """Beside each other; the first page says that a person is needed, and both are noted."""
    ada = Browser(fleet)
    page, action = "/trials/implementer-t1", "/trials/implementer-t1/hold"
    assert f"{page}/resume" not in ada.forms(page)
    assert ada.decides(page, action, reason="flaky").headers["location"] == page
    assert "Ada holds the trial: flaky." in ada.page(page)
    assert "Ada holds the trial of implementer@v2." in ada.page("/")
    assert action not in ada.forms(page)
    ada.decides(page, f"{page}/resume", reason="repaired")
    assert fleet.app.trials.find("implementer").hold is None
    assert [each.act for each in reversed(fleet.app.decisions.newest(5))] == ["trial hold", "trial resume"]
    document = fleet.web.get("/api/v1/trials/implementer").json()
    assert document["hold"] is None
