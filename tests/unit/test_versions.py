"""Versions: every transition of the table, every refusal, and that asking again changes nothing."""

import pytest
import redis

from console.status.fleet_reading import read_status
from routing.errors import ConflictError, CorruptRecordError, InvalidInputError
from routing.jobs.turn import TurnKind
from routing.templates.templates import (
    ProposalPolicy,
    UnknownTemplateError,
    UnknownVersionError,
    checked_snapshot,
)
from routing.templates.trial import Mode
from routing.templates.version import KIND_TEXT_CHARACTERS, Snapshot, VersionReference
from tasks.settings.settings import JudgeSettings
from tests.fleets.stepped_fleet import QUICK, SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet without templates."""
    return SteppedFleet(redis_client)


def test_first_version_is_champion(fleet: SteppedFleet) -> None:
    """Adding a template makes its first version champion, with one event."""
    version = fleet.add()
    assert (version.id, version.state, version.parent) == ("implementer@v1", "champion", None)
    assert fleet.kinds() == ["template.added"]


def test_adding_again_changes_nothing(fleet: SteppedFleet) -> None:
    """The same template with the same content is a success that writes nothing."""
    fleet.add()
    before = fleet.everything()
    step = fleet.app.templates.add("implementer", Snapshot(prompt="one"))
    assert (step.version.number, step.changed) == (1, False)
    assert fleet.everything() == before


def test_adding_other_content_is_refused(fleet: SteppedFleet) -> None:
    """A template that exists is not overwritten."""
    fleet.add()
    before = fleet.everything()
    with pytest.raises(ConflictError, match="propose"):
        fleet.add(prompt="two")
    assert fleet.everything() == before


def test_proposal_is_pending_and_reported(fleet: SteppedFleet) -> None:
    """A proposed version waits; the champion and its event are as they were."""
    fleet.add()
    version = fleet.propose()
    assert (version.number, version.state, version.parent) == (2, "pending", 1)
    assert fleet.app.templates.champion("implementer").number == 1
    assert fleet.kinds() == ["template.added", "candidate.awaiting_promotion"]


def test_identical_content_returns_the_version_that_has_it(fleet: SteppedFleet) -> None:
    """Content is compared by its hash, whatever order its parts were given in."""
    fleet.add()
    first = fleet.app.templates.propose("implementer", Snapshot(environment={"A": "1", "B": "2"}))
    before = fleet.everything()
    again = fleet.app.templates.propose(
        "implementer", Snapshot(environment={"B": "2", "A": "1"}), note="again"
    )
    assert (again.version, again.changed) == (first.version, False)
    assert fleet.everything() == before


def test_proposing_for_an_unknown_template_is_refused(fleet: SteppedFleet) -> None:
    """Nothing is written for a template that does not exist."""
    with pytest.raises(UnknownTemplateError, match="coalmine template add"):
        fleet.propose()
    assert fleet.everything() == {}


def test_numbers_are_never_reused(fleet: SteppedFleet) -> None:
    """A rejected version keeps its number; the next one gets the next."""
    fleet.add()
    fleet.app.templates.reject(fleet.propose("two").id, by="ada")
    assert fleet.propose("three").number == 3
    assert [version.number for version in fleet.app.templates.versions("implementer")] == [1, 2, 3]


def test_promotion_supersedes_the_champion(fleet: SteppedFleet) -> None:
    """A pending version becomes champion, the old one superseded, with one event and one review."""
    first, second = fleet.add(), fleet.propose()
    step = fleet.app.templates.promote("implementer", by="ada", reason="better")
    assert (step.version.id, step.version.state, step.changed) == (second.id, "champion", True)
    assert fleet.state(first) == "superseded"
    assert len(fleet.events("candidate.promoted")) == 1
    assert [review["decision"] for review in fleet.app.templates.reviews("implementer")] == ["promote"]


def test_promoting_again_changes_nothing(fleet: SteppedFleet) -> None:
    """Promoting the champion is a success that emits nothing."""
    fleet.add()
    second = fleet.propose()
    fleet.app.templates.promote(second.id, by="ada")
    before = fleet.everything()
    assert fleet.app.templates.promote(second.id, by="bob").changed is False
    assert fleet.everything() == before


def test_superseded_version_is_reverted_not_promoted(fleet: SteppedFleet) -> None:
    """Promotion of a former champion is refused and names the right command."""
    first = fleet.add()
    fleet.app.templates.promote(fleet.propose().id, by="ada")
    before = fleet.everything()
    with pytest.raises(ConflictError, match="revert implementer@v1"):
        fleet.app.templates.promote(first.id, by="ada")
    assert fleet.everything() == before


def test_revert_brings_the_previous_champion_back(fleet: SteppedFleet) -> None:
    """The name alone means the champion before this one."""
    first = fleet.add()
    second = fleet.propose()
    fleet.app.templates.promote(second.id, by="ada")
    step = fleet.app.templates.revert("implementer", by="ada")
    assert (step.version.id, step.changed) == (first.id, True)
    assert (fleet.state(first), fleet.state(second)) == ("champion", "superseded")
    assert len(fleet.events("template.reverted")) == 1


def test_reverting_to_the_champion_changes_nothing(fleet: SteppedFleet) -> None:
    """Asked again for the same version, revert is a success that writes nothing."""
    first = fleet.add()
    fleet.app.templates.promote(fleet.propose().id, by="ada")
    fleet.app.templates.revert(first.id, by="ada")
    before = fleet.everything()
    assert fleet.app.templates.revert(first.id, by="ada").changed is False
    assert fleet.everything() == before


def test_revert_without_a_previous_champion_is_refused(fleet: SteppedFleet) -> None:
    """There is nothing to revert to before the first promotion."""
    fleet.add()
    with pytest.raises(ConflictError, match="nothing to revert to"):
        fleet.app.templates.revert("implementer", by="ada")


@pytest.mark.parametrize("decision", ["pending", "rejected"])
def test_only_a_former_champion_can_be_reverted_to(fleet: SteppedFleet, decision: str) -> None:
    """A version that never was champion cannot come back as one."""
    fleet.add()
    second = fleet.propose()
    if decision == "rejected":
        fleet.app.templates.reject(second.id, by="ada")
    before = fleet.everything()
    with pytest.raises(ConflictError, match=decision):
        fleet.app.templates.revert(second.id, by="ada")
    assert fleet.everything() == before


def test_rejection_is_final(fleet: SteppedFleet) -> None:
    """A rejected version is neither promoted nor reverted to nor put on trial."""
    fleet.add()
    second = fleet.propose()
    fleet.app.templates.reject(second.id, by="ada")
    before = fleet.everything()
    with pytest.raises(ConflictError, match="final"):
        fleet.app.templates.promote(second.id, by="ada")
    with pytest.raises(ConflictError, match="rejected"):
        fleet.open(second)
    assert fleet.everything() == before


def test_rejecting_again_changes_nothing(fleet: SteppedFleet) -> None:
    """The second rejection is a success without an event."""
    fleet.add()
    second = fleet.propose()
    assert fleet.app.templates.reject(second.id, by="ada").changed is True
    assert fleet.kinds()[-1] == "candidate.rejected"
    before = fleet.everything()
    assert fleet.app.templates.reject(second.id, by="ada").changed is False
    assert fleet.everything() == before


def test_champion_cannot_be_rejected(fleet: SteppedFleet) -> None:
    """A template is never left without a champion."""
    first = fleet.add()
    before = fleet.everything()
    with pytest.raises(ConflictError, match="champion"):
        fleet.app.templates.reject(first.id, by="ada")
    assert fleet.everything() == before


def test_superseded_version_cannot_be_rejected(fleet: SteppedFleet) -> None:
    """What was champion once may be needed again."""
    first = fleet.add()
    fleet.app.templates.promote(fleet.propose().id, by="ada")
    with pytest.raises(ConflictError, match="superseded"):
        fleet.app.templates.reject(first.id, by="ada")


@pytest.mark.parametrize(
    ("reference", "number"),
    [("implementer", 1), ("implementer@champion", 1), ("implementer@latest", 3), ("implementer@v2", 2)],
)
def test_references_name_versions(fleet: SteppedFleet, reference: str, number: int) -> None:
    """The four ways to name a version."""
    fleet.add()
    fleet.propose("two")
    fleet.propose("three")
    assert fleet.app.templates.find(reference).number == number


@pytest.mark.parametrize(
    "text", ["", "@v1", "implementer@", "implementer@v0", "Implementer", "a" * 41, "x@y", "a b"]
)
def test_malformed_references_are_refused(text: str) -> None:
    """What names no version is refused before anything is asked of the server."""
    with pytest.raises(InvalidInputError):
        VersionReference.parse(text)


def test_unknown_version_is_named(fleet: SteppedFleet) -> None:
    """The error tells an unknown version from an unknown template."""
    fleet.add()
    with pytest.raises(UnknownVersionError, match="no v9"):
        fleet.app.templates.find("implementer@v9")


def test_content_that_does_not_match_its_hash_is_not_used(fleet: SteppedFleet) -> None:
    """A record that was changed in the store is refused, not run."""
    fleet.add()
    key = fleet.app.keys.versions("implementer")
    fleet.redis.hset(key, "1", fleet.redis.hget(key, "1").replace('"one"', '"another"'))
    with pytest.raises(CorruptRecordError, match="implementer@v1"):
        fleet.app.templates.champion("implementer")


def test_bad_content_names_every_wrong_field() -> None:
    """All faults of a version's content are reported at once."""
    with pytest.raises(InvalidInputError, match=r"(?s)prompt.*runtime.*time_limit_seconds"):
        checked_snapshot(prompt="\0", runtime="No Such", time_limit_seconds=float("nan"))


def test_content_without_texts_of_its_own_has_the_hash_that_it_had() -> None:
    """Versions from before kinds of turns had texts are found by their content, and stored as before."""
    snapshot = Snapshot(prompt="be good", command="./agent.sh", tools=("edit",), environment={"A": "1"})
    assert snapshot.content_hash == "9c9aa5bb514d22cec7d5c223bd81f3d91e2928d9786c82ac7a47ab770ea9589e"
    assert "prompts" not in snapshot.model_dump_json()


def test_text_of_a_kind_makes_another_version(fleet: SteppedFleet) -> None:
    """A canary may differ from its champion in its text about a repair, and in nothing else."""
    fleet.add()
    texts = {TurnKind.FIX_FORWARD: "Fix $commit on $branch."}
    step = fleet.app.templates.propose("implementer", Snapshot(prompt="one", prompts=texts))
    assert (step.version.number, step.changed) == (2, True)
    assert fleet.app.templates.find("implementer@v2").snapshot.prompts == texts


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ({"polish": "x"}, "prompts.polish"),
        ({"mail": "  \n"}, "mail is empty"),
        ({"mail": "a\0b"}, "NUL"),
        ({"mail": "x" * (KIND_TEXT_CHARACTERS + 1)}, "at most 16384"),
    ],
)
def test_texts_of_kinds_are_checked(prompts: dict[str, str], says: str) -> None:
    """Unknown kinds, and texts that say nothing or too much, are refused by name."""
    with pytest.raises(InvalidInputError, match=says):
        checked_snapshot(prompts=prompts)


def test_default_policy_leaves_it_to_a_person(fleet: SteppedFleet) -> None:
    """Under `notify` a proposal opens no trial."""
    fleet.add()
    step, trial = fleet.app.proposals.propose("implementer", Snapshot(prompt="two"))
    assert (step.version.state, trial) == ("pending", None)


def test_direct_policy_promotes_at_once(fleet: SteppedFleet) -> None:
    """Under `direct` a proposal is champion without a trial."""
    fleet.add()
    fleet.app.templates.set_policy("implementer", ProposalPolicy.DIRECT)
    step, trial = fleet.app.proposals.propose("implementer", Snapshot(prompt="two"))
    assert (step.version.state, trial) == ("champion", None)


def test_canary_policy_opens_a_trial(fleet: SteppedFleet) -> None:
    """Under `canary` a proposal is put on trial when none is open."""
    fleet.add()
    fleet.app.templates.set_policy("implementer", ProposalPolicy.CANARY)
    step, trial = fleet.app.proposals.propose("implementer", Snapshot(prompt="two"))
    assert trial is not None
    assert (trial.changed, trial.run.canary_id) == (True, step.version.id)


def test_policy_is_of_its_template_alone(fleet: SteppedFleet) -> None:
    """One template's policy does not decide for another."""
    fleet.add("implementer")
    fleet.add("reviewer")
    fleet.app.templates.set_policy("implementer", ProposalPolicy.DIRECT)
    assert fleet.app.templates.policy("reviewer") is ProposalPolicy.NOTIFY


def test_waiting_candidate_is_tried_after_the_running_trial(fleet: SteppedFleet) -> None:
    """The newest proposal waits while a trial runs, and is put on trial when that has ended."""
    fleet.add()
    fleet.app.templates.set_policy("implementer", ProposalPolicy.CANARY)
    _, first = fleet.app.proposals.propose("implementer", Snapshot(prompt="two"))
    fleet.app.proposals.propose("implementer", Snapshot(prompt="three"))
    fleet.app.proposals.propose("implementer", Snapshot(prompt="four"))
    assert fleet.app.proposals.open_all_waiting() == []
    assert first is not None
    fleet.app.trials.stop(fleet.app.trials.find(first.run.id), by="ada")
    opened = fleet.app.proposals.open_all_waiting()
    assert [step.run.canary for step in opened] == [4]
    assert fleet.app.proposals.open_all_waiting() == []


def test_waiting_candidate_is_part_of_the_proposal(fleet: SteppedFleet) -> None:
    """A process that dies right after a proposal was stored leaves it waiting for its trial all the same."""
    fleet.add()
    fleet.app.templates.set_policy("implementer", ProposalPolicy.CANARY)
    version = fleet.propose()
    assert [step.run.canary for step in fleet.app.proposals.open_all_waiting()] == [version.number]


def test_rejected_candidate_waits_no_longer(fleet: SteppedFleet) -> None:
    """What a person rejected while it waited is not put on trial."""
    fleet.add()
    fleet.app.templates.set_policy("implementer", ProposalPolicy.CANARY)
    fleet.app.templates.reject(fleet.propose().id, by="ada")
    assert fleet.app.proposals.open_all_waiting() == []


def test_unreadable_candidate_does_not_keep_the_others_waiting(fleet: SteppedFleet) -> None:
    """A waiting version whose record is broken is reported in the log; the next template has its turn."""
    for name in ("broken", "implementer"):
        fleet.add(name)
        fleet.app.templates.set_policy(name, ProposalPolicy.CANARY)
        fleet.propose(name=name)
    fleet.redis.hset(fleet.app.keys.versions("broken"), "2", "{broken")
    opened = fleet.app.proposals.open_all_waiting()
    assert [step.run.template for step in opened] == ["implementer"]


def test_candidate_without_a_judge_waits_and_says_why(redis_client: redis.Redis) -> None:
    """Pairs that nothing can judge are not begun; people hear of it once, and with a judge it opens."""
    shadow = QUICK.model_copy(update={"mode": Mode.SHADOW})
    fleet = SteppedFleet(redis_client, policy=shadow)
    fleet.add()
    fleet.app.templates.set_policy("implementer", ProposalPolicy.CANARY)
    version = fleet.propose()
    for _ in range(3):
        assert fleet.app.proposals.open_all_waiting() == []
    (held,) = fleet.app.templates.held()
    assert (held.id, "judge.command" in held.reason) == (version.id, True)
    (work,) = read_status(fleet.app).held
    assert (work.name, work.why) == (version.id, held.reason)
    assert fleet.kinds().count("candidate.held") == 1
    judged = SteppedFleet(redis_client, policy=shadow, judge=JudgeSettings(command="true"))
    assert [step.run.canary for step in judged.app.proposals.open_all_waiting()] == [version.number]
    assert fleet.app.templates.held() == []


def test_candidate_that_is_rejected_is_held_no_longer(redis_client: redis.Redis) -> None:
    """What waits for nothing needs nobody; the next one says so anew."""
    fleet = SteppedFleet(redis_client, policy=QUICK.model_copy(update={"mode": Mode.SHADOW}))
    fleet.add()
    fleet.app.templates.set_policy("implementer", ProposalPolicy.CANARY)
    version = fleet.propose()
    fleet.app.proposals.open_all_waiting()
    fleet.app.templates.reject(version.id, by="ada")
    assert fleet.app.templates.held() == []
    later = fleet.propose("three")
    fleet.app.proposals.open_all_waiting()
    assert [one.id for one in fleet.app.templates.held()] == [later.id]
    assert fleet.kinds().count("candidate.held") == 2
