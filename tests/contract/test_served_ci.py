"""What forges over HTTP say of a commit's CI, each in its own words, and what is concluded from it."""

import pytest

from routing.forges.change_request import ChangeState
from routing.forges.commit_status import CiReason, CiVerdict, CombinedStatus, read_ci
from routing.forges.errors import (
    ForgeDequeuedError,
    ForgeQueuedError,
    ForgeRefusedError,
    ForgeTakenOutError,
)
from tests.fakes.forge_history import now
from tests.servers.served_forges import ServedForge

BRANCH = "coalmine/0123456789abcdef"


def of_tip(served: ServedForge) -> CombinedStatus:
    """What the forge says of the newest commit."""
    return served.forge.statuses(served.world.repo, served.world.repository.tip())


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_what_the_main_branch_requires_must_pass(served: ServedForge) -> None:
    """A licence bot, and whatever else is green, is not what the branch waits for."""
    head = served.world.repository.tip()
    served.world.required = ["ci/build"]
    served.world.say(head, "license/cla", "success")
    served.world.say(head, "lint", "success")
    assert of_tip(served).verdict is CiVerdict.PENDING
    served.world.say(head, "ci/build", "success")
    served.world.say(head, "coverage", "failure")
    assert of_tip(served).verdict is CiVerdict.GREEN


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_a_required_check_is_known_by_its_name(served: ServedForge) -> None:
    """Gitea's rules have patterns; GitHub's have names, of check runs too."""
    head = served.world.repository.tip()
    served.world.say(head, "license/cla", "success")
    if served.kind == "github":
        served.world.required = ["build [3.11]"]
        served.world.run_check(head, "build [3.11]", None)
    else:
        served.world.required = ["CI / *"]
        served.world.say(head, "CI / build (push)", "pending")
    assert of_tip(served).verdict is CiVerdict.PENDING
    if served.kind == "github":
        served.world.check_runs[-1]["conclusion"] = "success"
    else:
        served.world.say(head, "CI / build (push)", "success")
    assert of_tip(served).verdict is CiVerdict.GREEN


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_a_change_is_not_merged_before_what_is_required(served: ServedForge) -> None:
    """The last look before the merge asks for it too."""
    head = served.world.repository.work(BRANCH, {"new.txt": "new\n"})
    change = served.forge.open_change(served.world.repo, BRANCH, title="New", body="")
    served.world.required = ["ci/build"]
    served.world.say(head, "lint", "success")
    with pytest.raises(ForgeRefusedError, match="ci/build"):
        served.forge.merge(change)


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_rules_that_are_not_shown_require_nothing(served: ServedForge) -> None:
    """A token that may not read them still reads CI."""
    for pattern in list(served.server.routes):
        if "/branches/" in pattern.pattern:
            del served.server.routes[pattern]
    served.world.required = ["ci/build"]
    served.world.say(served.world.repository.tip(), "lint", "success")
    assert of_tip(served).verdict is CiVerdict.GREEN


@pytest.mark.parametrize("served", ["github", "gitea"], indirect=True)
def test_a_cancelled_run_says_nothing_beside_its_twin(served: ServedForge) -> None:
    """One workflow runs for the push and for the request; a concurrency group stops one of the two."""
    head = served.world.repository.tip()
    if served.kind == "github":
        served.world.run_check(head, "build", "cancelled", suite=1)
        assert of_tip(served).verdict is CiVerdict.RED
        served.world.run_check(head, "build", None, suite=2)
    else:
        served.world.say(head, "CI / build (push)", "failure", description="Has been cancelled")
        assert of_tip(served).verdict is CiVerdict.RED
        served.world.say(head, "CI / build (pull_request)", "pending")
    assert of_tip(served).verdict is CiVerdict.PENDING
    if served.kind == "github":
        served.world.check_runs[-1]["conclusion"] = "success"
    else:
        served.world.say(head, "CI / build (pull_request)", "success")
    assert of_tip(served).verdict is CiVerdict.GREEN
    assert of_tip(served).failing == ()


def test_a_commit_that_asks_ci_to_stay_away_is_known(served: ServedForge) -> None:
    """Its message says so, and nothing has judged it."""
    head = served.world.commit_on_main("Repair it [skip ci]")
    found = read_ci(of_tip(served))
    assert (found.reason, found.names) == (CiReason.KEPT_AWAY, ("[skip ci]",))
    served.world.say(head, "ci/build", "success")
    assert of_tip(served).verdict is CiVerdict.GREEN


def test_rulesets_require_checks_too(served: ServedForge) -> None:
    """GitHub has them beside branch protection."""
    if served.kind != "github":
        return
    served.world.ruled = ["build"]
    head = served.world.repository.tip()
    served.world.run_check(head, "lint", "success")
    assert of_tip(served).verdict is CiVerdict.PENDING
    served.world.run_check(head, "build", "success")
    assert of_tip(served).verdict is CiVerdict.GREEN


def test_suites_without_check_runs_count(served: ServedForge) -> None:
    """A workflow that failed before it began, is queued, or waits for approval has no check run on GitHub."""
    if served.kind != "github":
        return
    head = served.world.repository.tip()
    served.world.run_check(head, "DCO", "success")
    served.world.run_check(head, "build", "success")
    assert of_tip(served).verdict is CiVerdict.GREEN
    served.world.add_suite(head, "success")
    assert of_tip(served).verdict is CiVerdict.GREEN
    served.world.add_suite(head, None, app="some-app")
    assert read_ci(of_tip(served), waited_seconds=1.0).verdict is CiVerdict.PENDING
    assert of_tip(served).verdict is CiVerdict.GREEN  # it was waited for long enough
    served.world.add_suite(head, "action_required", name="Deploy")
    assert read_ci(of_tip(served)).reason is CiReason.APPROVAL
    served.world.add_suite(head, None, name="Release")
    assert read_ci(of_tip(served)).names == ("github-actions/Release",)
    served.world.add_suite(head, "startup_failure", name="CI")
    found = read_ci(of_tip(served))
    assert (found.verdict, found.names) == (CiVerdict.RED, ("github-actions/CI",))
    log = served.forge.failing_log(served.world.repo, head, most_characters=1000)
    assert "workflow file" in log


def test_a_merge_queue_is_used_where_there_is_one(served: ServedForge) -> None:
    """It judges what a merge makes of the main branch: the request is put in once, and waited for."""
    if served.kind == "gitea":
        return
    world, forge = served.world, served.forge
    head = world.repository.work(BRANCH, {"new.txt": "new\n"})
    change = forge.open_change(world.repo, BRANCH, title="New", body="")
    world.merge_queue = True
    world.say(head, "ci/build", "success")
    world.commit_on_main("Another change")
    onto = forge.newest(world.repo, None)
    assert forge.bring_up_to_date(change, onto=onto) == head
    world.queued.append(77)
    places = {"github": ("place 2, queued", "place 1, queued"), "gitlab": ("idle", "fresh")}
    for place in places[served.kind]:
        with pytest.raises(ForgeQueuedError, match=r"in the merge queue|on the merge train") as waits:
            forge.merge(change, onto=onto)
        assert waits.value.place == place
        world.queued[:] = [number for number in world.queued if number != 77]
    assert world.queued == [change.number]
    pull = world.pull_of(BRANCH)
    world.throw_out(pull, by="ann")
    with pytest.raises(ForgeRefusedError, match=r"took (pull|merge) request"):
        forge.merge(change, onto=onto)
    world.merge(pull, "Merged by the queue")
    assert forge.merge(change, onto=onto).state is ChangeState.MERGED


@pytest.mark.parametrize("served", ["github", "gitlab"], indirect=True)
def test_what_the_queue_took_out_is_the_agents_and_another_commit_another_try(served: ServedForge) -> None:
    """What a person took out is theirs to see to; GitLab names us as author of what its train did itself."""
    world, forge = served.world, served.forge
    head = world.repository.work(BRANCH, {"new.txt": "new\n"})
    change = forge.open_change(world.repo, BRANCH, title="New", body="")
    world.merge_queue = True
    world.say(head, "ci/build", "success")
    with pytest.raises(ForgeQueuedError):
        forge.merge(change)
    pull = world.pull_of(BRANCH)
    world.throw_out(pull, by="ann")
    for name in ("", "one.txt"):
        if name:  # another commit changes nothing about what a person did
            later = world.repository.work(BRANCH, {name: "new\n"}, onto=f"origin/{BRANCH}")
            world.say(later, "ci/build", "success")
            change = change.model_copy(update={"head": later})
        with pytest.raises(ForgeTakenOutError, match=r"ann took (pull|merge) request"):
            forge.merge(change)
    assert forge.why_dequeued(change) == ""
    world.throw_out(pull)
    assert "took" in forge.why_dequeued(change)
    with pytest.raises(ForgeDequeuedError, match=r"took (pull|merge) request"):
        forge.merge(change)
    newer = world.repository.work(BRANCH, {"newer.txt": "new\n"}, onto=f"origin/{BRANCH}")
    world.say(newer, "ci/build", "success")
    change = change.model_copy(update={"head": newer})
    with pytest.raises(ForgeDequeuedError, match=r"took (pull|merge) request"):
        forge.merge(change)  # it is newer by its own word alone: it was pushed before
    world.pushed_at[newer] = now()
    assert forge.why_dequeued(change) == ""
    with pytest.raises(ForgeQueuedError):
        forge.merge(change)


def test_what_is_no_longer_wanted_is_taken_out_of_the_merge_queue(served: ServedForge) -> None:
    """By us, so that a later try puts it in again; where there is no queue, nothing is done."""
    world, forge = served.world, served.forge
    head = world.repository.work(BRANCH, {"new.txt": "new\n"})
    change = forge.open_change(world.repo, BRANCH, title="New", body="")
    forge.withdraw_merge(change)
    world.say(head, "ci/build", "success")
    if served.kind == "gitea":
        return
    world.merge_queue = True
    for _ in range(2):
        with pytest.raises(ForgeQueuedError):
            forge.merge(change)
        assert world.queued == [change.number]
        for _ in range(2):
            forge.withdraw_merge(change)
            assert world.queued == []
