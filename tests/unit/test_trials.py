"""Trials: opening, stopping, and what a person's promotion or rejection does to a running one."""

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from harvest.trials.modes import terms_of
from routing.errors import ConflictError, InvalidInputError
from routing.templates.trial import Terms
from routing.templates.trials import UnknownTrialError
from tests.fleets.stepped_fleet import START, SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet without templates."""
    return SteppedFleet(redis_client)


def terms(share: float) -> Terms:
    """Terms of a trial with a share."""
    return Terms(policy=TrialPolicy().to_json(), share=share, bet=terms_of(TrialPolicy()).bet)


def test_opening_pins_the_champion_and_leaves_it(fleet: SteppedFleet) -> None:
    """The pending version becomes canary; the champion is pinned and stays champion."""
    first, second = fleet.add(), fleet.propose()
    trial = fleet.open(second)
    assert (trial.id, trial.champion, trial.canary, trial.state) == ("implementer-t1", 1, 2, "open")
    assert (trial.share, trial.opened_at) == (0.5, START)
    assert (fleet.state(first), fleet.state(second)) == ("champion", "canary")
    assert len(fleet.events("candidate.canary_started")) == 1


def test_opening_again_changes_nothing(fleet: SteppedFleet) -> None:
    """The same canary asked for twice is on one trial, with one event."""
    trial = fleet.on_trial()
    before = fleet.everything()
    again = fleet.app.trials.open(fleet.app.templates.find(trial.canary_id), terms(0.5))
    assert (again.trial.id, again.changed) == (trial.id, False)
    assert fleet.everything() == before


def test_second_trial_of_a_template_is_refused(fleet: SteppedFleet) -> None:
    """At most one trial of a template is open."""
    fleet.on_trial()
    third = fleet.propose("three")
    before = fleet.everything()
    with pytest.raises(ConflictError, match="implementer-t1"):
        fleet.open(third)
    assert fleet.everything() == before


def test_templates_are_tried_side_by_side(fleet: SteppedFleet) -> None:
    """Trials of different templates do not hinder each other."""
    assert [fleet.on_trial(name).id for name in ("implementer", "reviewer")] == [
        "implementer-t1",
        "reviewer-t1",
    ]
    assert [trial.id for trial in fleet.app.trials.open_trials()] == ["implementer-t1", "reviewer-t1"]


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.1, float("nan"), float("inf")])
def test_share_outside_is_refused(fleet: SteppedFleet, share: float) -> None:
    """A share with which nothing can be decided opens no trial and writes nothing."""
    fleet.add()
    second = fleet.propose()
    before = fleet.everything()
    with pytest.raises(InvalidInputError, match="share"):
        fleet.app.trials.open(second, terms(share))
    assert fleet.everything() == before


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, float("nan")])
def test_policy_with_such_a_share_is_refused(share: float) -> None:
    """The policy of a trial refuses the same shares."""
    with pytest.raises(InvalidInputError, match="share"):
        TrialPolicy.checked(share=share)


@pytest.mark.parametrize("state", ["champion", "superseded"])
def test_only_a_pending_version_goes_on_trial(fleet: SteppedFleet, state: str) -> None:
    """A version that works, or worked, cannot be a canary."""
    first = fleet.add()
    if state == "superseded":
        fleet.app.templates.promote(fleet.propose().id, by="ada")
    before = fleet.everything()
    with pytest.raises(ConflictError, match=state):
        fleet.open(first)
    assert fleet.everything() == before


def test_no_trial_while_canaries_are_off(redis_client: redis.Redis) -> None:
    """Switched off, a trial is refused with the variable that switches them on."""
    fleet = SteppedFleet(redis_client, enabled=False)
    fleet.add()
    with pytest.raises(ConflictError, match="COALMINE_CANARY__ENABLED"):
        fleet.open(fleet.propose())


def test_stopping_returns_the_canary_to_pending(fleet: SteppedFleet) -> None:
    """A stopped trial decides nothing: the canary may be tried again, under a new number."""
    trial = fleet.on_trial()
    fleet.clock.forward(60)
    step = fleet.app.trials.stop(trial, by="ada", reason="holidays")
    assert (step.changed, step.trial.state, step.trial.reason) == (True, "stopped", "holidays")
    assert step.trial.closed_at == START + 60
    canary = fleet.app.templates.find(trial.canary_id)
    assert canary.state == "pending"
    assert fleet.open(canary).id == "implementer-t2"
    assert len(fleet.events("trial.stopped")) == 1


def test_stopping_again_changes_nothing(fleet: SteppedFleet) -> None:
    """The second stop is a success without an event."""
    trial = fleet.on_trial()
    fleet.app.trials.stop(trial, by="ada")
    before = fleet.everything()
    assert fleet.app.trials.stop(trial, by="bob").changed is False
    assert fleet.everything() == before


def test_stale_stop_leaves_the_next_trial_alone(fleet: SteppedFleet) -> None:
    """Stopping a trial that has ended does not touch the one that runs now."""
    trial = fleet.on_trial()
    fleet.app.trials.stop(trial, by="ada")
    fleet.open(fleet.app.templates.find(trial.canary_id))
    before = fleet.everything()
    assert fleet.app.trials.stop(trial, by="bob").changed is False
    assert fleet.everything() == before


def test_promoting_the_canary_graduates_its_trial(fleet: SteppedFleet) -> None:
    """A person's word ends the trial as graduated, with one event and one review."""
    trial = fleet.on_trial()
    fleet.app.templates.promote(trial.canary_id, by="ada", reason="I am sure")
    ended = fleet.app.trials.find(trial.id)
    assert (ended.state, ended.reason) == ("graduated", "I am sure")
    assert fleet.app.templates.champion("implementer").number == trial.canary
    assert fleet.app.templates.find("implementer@v1").state == "superseded"
    assert fleet.kinds()[3:] == ["candidate.promoted"]
    assert len(fleet.app.templates.reviews("implementer")) == 1
    assert fleet.app.trials.open_trials() == []


def test_promoting_another_version_stops_the_trial(fleet: SteppedFleet) -> None:
    """The trial's champion is gone, so it is stopped visibly and its canary is pending again."""
    trial = fleet.on_trial()
    third = fleet.propose("three")
    fleet.app.templates.promote(third.id, by="ada")
    assert fleet.app.trials.find(trial.id).state == "stopped"
    assert fleet.app.templates.find(trial.canary_id).state == "pending"
    assert fleet.app.templates.champion("implementer").id == third.id
    assert [event.kind for event in fleet.events("trial.stopped", "candidate.promoted")] == [
        "trial.stopped",
        "candidate.promoted",
    ]


def test_reverting_during_a_trial_stops_it(fleet: SteppedFleet) -> None:
    """A revert changes the champion as well, and ends the trial."""
    fleet.add()
    fleet.app.templates.promote(fleet.propose().id, by="ada")
    trial = fleet.open(fleet.propose("three"))
    fleet.app.templates.revert("implementer", by="ada")
    assert fleet.app.trials.find(trial.id).state == "stopped"
    assert fleet.app.templates.find(trial.canary_id).state == "pending"
    assert fleet.app.templates.champion("implementer").number == 1


def test_rejecting_the_canary_rolls_back(fleet: SteppedFleet) -> None:
    """A person's rejection of the canary ends its trial; the champion is what it was."""
    trial = fleet.on_trial()
    fleet.app.templates.reject(trial.canary_id, by="ada", reason="it hurts")
    assert fleet.app.trials.find(trial.id).state == "rolled_back"
    assert fleet.app.templates.find(trial.canary_id).state == "rejected"
    assert fleet.app.templates.champion("implementer").number == 1
    assert fleet.kinds()[3:] == ["candidate.rolled_back"]
    assert fleet.app.versions.is_rejected(trial.canary_id)


def test_rejecting_another_version_leaves_the_trial(fleet: SteppedFleet) -> None:
    """A pending version can be rejected beside a running trial."""
    trial = fleet.on_trial()
    fleet.app.templates.reject(fleet.propose("three").id, by="ada")
    assert fleet.app.trials.find(trial.id).is_open
    assert fleet.kinds()[-1] == "candidate.rejected"


def test_champion_is_there_at_every_step(fleet: SteppedFleet) -> None:
    """Whatever is done, each template has exactly one champion, the one that the index names."""
    fleet.on_trial()
    for step in (
        lambda: fleet.app.templates.reject("implementer@v2", by="ada"),
        lambda: fleet.open(fleet.propose("three")),
        lambda: fleet.app.templates.promote("implementer@v3", by="ada"),
        lambda: fleet.open(fleet.propose("four")),
        lambda: fleet.app.templates.revert("implementer", by="ada"),
        lambda: fleet.app.templates.promote("implementer@v4", by="ada"),
    ):
        step()
        versions = fleet.app.templates.versions("implementer")
        champions = [version.number for version in versions if version.state == "champion"]
        assert champions == [fleet.app.templates.champion("implementer").number]
        assert fleet.redis.hget(fleet.app.keys("champions"), "implementer") == str(champions[0])


def test_trial_is_found_by_its_id_and_by_its_template(fleet: SteppedFleet) -> None:
    """A template's name means its open trial, or else its last."""
    trial = fleet.on_trial()
    assert fleet.app.trials.find("implementer").id == trial.id
    fleet.app.trials.stop(trial, by="ada")
    assert fleet.app.trials.find("implementer").state == "stopped"
    assert [past.id for past in fleet.app.trials.history("implementer")] == [trial.id]


def test_unknown_trial_is_named(fleet: SteppedFleet) -> None:
    """What was never on trial has none."""
    fleet.add()
    with pytest.raises(UnknownTrialError, match="implementer"):
        fleet.app.trials.find("implementer")
