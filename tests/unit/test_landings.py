"""What people do with pushed work, as signals of its job: each once, and what the job is worth by them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import redis

from harvest.settling.score import Score, ScoreRules, score
from routing.base import Base
from routing.forges.change_request import ChangeState, Review, ReviewVerdict
from routing.forges.commit_status import StatusState
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.forge import Permission
from routing.jobs.job import Job, JobState
from tests.fakes.memory_forge import MemoryForge
from tests.fakes.mishaps import Mishaps
from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.stepped_fleet import SteppedClock

DAY = 86_400.0


@pytest.fixture
def fleet(redis_client: redis.Redis) -> ForgeFleet:
    """A fleet whose only job has pushed green work, which people merge."""
    fleet = ForgeFleet(redis_client, merge="never")
    fleet.forge.person_opens(1)
    fleet.rounds(2)
    return fleet


def job_of(fleet: ForgeFleet) -> Job:
    """That job."""
    (job,) = fleet.jobs()
    return job


def look(fleet: ForgeFleet, after: float = 0.0) -> list[str]:
    """The facts that are known when the watcher has looked, twice, some time later."""
    fleet.clock.forward(after)
    for _ in range(2):
        fleet.clock.forward(3700)
        fleet.watch()
    return [kind for kind in fleet.signals(job_of(fleet)) if kind != "ci_green"]


def worth(fleet: ForgeFleet) -> Score:
    """What the job is worth now."""
    facts = fleet.hands.app.signals.read(job_of(fleet).id)
    return score(facts, created_at=job_of(fleet).created_at, now=fleet.clock(), rules=ScoreRules())


def review(fleet: ForgeFleet, author: str, commit: str, minutes: int) -> Review:
    """Changes requested."""
    at = fleet.forge.now() + timedelta(minutes=minutes)
    return Review(author=author, verdict=ReviewVerdict.CHANGES_REQUESTED, commit=commit, at=at)


def merge_by_hand(fleet: ForgeFleet) -> None:
    """A merge commit."""
    fleet.forge.person_merges(job_of(fleet).branch)


def squash(fleet: ForgeFleet) -> None:
    """Another commit with the same changes."""
    fleet.forge.person_merges(job_of(fleet).branch, squash=True)


def push_to_main(fleet: ForgeFleet) -> None:
    """No review at all."""
    fleet.forge.person_drops(job_of(fleet).branch)
    fleet.forge.repositories["acme/shop"].push_to_main(job_of(fleet).result.commit)


def push_beside_the_request(fleet: ForgeFleet) -> None:
    """The request stays open: not every forge sees that its commits are there."""
    fleet.forge.repositories["acme/shop"].push_to_main(job_of(fleet).result.commit)


@pytest.mark.parametrize(
    ("happens", "kind"),
    [
        (merge_by_hand, "merged"),
        (squash, "merged"),
        (push_to_main, "pushed_to_main"),
        (push_beside_the_request, "pushed_to_main"),
    ],
)
def test_work_that_lands_is_worth_all_when_its_window_is_over(
    fleet: ForgeFleet, happens: Callable[[ForgeFleet], None], kind: str
) -> None:
    """However it came to the main branch: CI was green at it, and nobody took it back."""
    happens(fleet)
    assert look(fleet) == [kind]
    assert worth(fleet).status == "open"
    assert look(fleet, after=DAY) == [kind]
    assert (worth(fleet).status, worth(fleet).value) == ("settled", 1.0)
    assert (job_of(fleet).state, job_of(fleet).settled_at) == (JobState.SUCCEEDED, None)


def test_a_merge_between_two_questions_is_not_a_push(
    fleet: ForgeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was open when it was read, and its commits are there when that is asked."""
    contains = fleet.forge.contains

    def merged_meanwhile(repo: str, commit: str, *, base: Base | None = None) -> bool:
        if not contains(repo, commit, base=base):
            merge_by_hand(fleet)
        return contains(repo, commit, base=base)

    monkeypatch.setattr(fleet.forge, "contains", merged_meanwhile)
    assert look(fleet) == ["merged"]


@pytest.mark.parametrize("happens", [merge_by_hand, squash, push_to_main, push_beside_the_request])
@pytest.mark.parametrize("after", [0.0, 2 * DAY], ids=["within the window", "after it"])
def test_work_that_is_taken_back_is_worth_nothing(
    fleet: ForgeFleet, happens: Callable[[ForgeFleet], None], after: float
) -> None:
    """The revert is a fact whenever it comes: after the window the harvest reports it as late."""
    happens(fleet)
    look(fleet, after)
    change, repository = fleet.forge.changes[0], fleet.forge.repositories["acme/shop"]
    repository.revert(change.merge_commit or job_of(fleet).result.commit)
    assert "reverted" in look(fleet)
    assert worth(fleet).value == 0.0


def test_what_a_job_says_takes_nothing_back(fleet: ForgeFleet) -> None:
    """Another job's commit names the merge as reverted: words are data."""
    merge_by_hand(fleet)
    change, repository = fleet.forge.changes[0], fleet.forge.repositories["acme/shop"]
    repository.squash(f"Add other\n\nThis reverts commit {change.merge_commit}.")
    assert look(fleet) == ["merged"]


def test_each_change_of_mind_is_a_fact(fleet: ForgeFleet) -> None:
    """Reverted, applied again, and reverted again: the score follows."""
    merge_by_hand(fleet)
    look(fleet)
    change, repository = fleet.forge.changes[0], fleet.forge.repositories["acme/shop"]
    for number in range(2):
        repository.revert(change.merge_commit)
        assert look(fleet).count("reverted") == number + 1
        assert worth(fleet).value == 0.0
        repository.reapply(change.merge_commit)
        assert look(fleet).count("reapplied") == number + 1
        assert worth(fleet).value != 0.0


def test_a_push_that_is_reset_away_was_taken_back(fleet: ForgeFleet) -> None:
    """It had landed, and the main branch does not hold it any longer."""
    repository = fleet.forge.repositories["acme/shop"]
    before = repository.tip()
    push_beside_the_request(fleet)
    assert look(fleet) == ["pushed_to_main"]
    repository.push_to_main(before)
    assert look(fleet) == ["pushed_to_main", "reverted"]
    assert worth(fleet).value == 0.0


def test_a_main_branch_that_could_not_be_read_takes_nothing_back(fleet: ForgeFleet) -> None:
    """What a bot had squashed is not seen while git gives no answer: that proves nothing."""
    squash(fleet)
    look(fleet)
    change = fleet.forge.changes[0]
    unread = {"state": ChangeState.OPEN, "merge_commit": "", "merged_at": None, "looked": False}
    fleet.forge.changes[0] = change.model_copy(update=unread)
    assert look(fleet) == ["merged"]


def test_a_main_branch_that_could_not_be_read_applies_nothing_again(fleet: ForgeFleet) -> None:
    """The forge says "merged" for ever; that it was reverted was seen while git answered."""
    merge_by_hand(fleet)
    look(fleet)
    change = fleet.forge.changes[0]
    revert = fleet.forge.repositories["acme/shop"].revert(change.merge_commit)
    assert look(fleet) == ["merged", "reverted"]
    del fleet.forge.repositories["acme/shop"].commits[revert]
    fleet.forge.repositories["acme/shop"].push_to_main(change.merge_commit)
    fleet.forge.changes[0] = change.model_copy(update={"looked": False})
    assert look(fleet) == ["merged", "reverted"]


@pytest.mark.parametrize(
    ("docs", "required", "is_green"),
    [
        (StatusState.SUCCESS, (), True),
        (StatusState.FAILURE, (), False),
        (StatusState.PENDING, (), False),
        (StatusState.SUCCESS, ("ci/build", "review/approvals"), True),
    ],
)
def test_what_people_merge_is_green_when_all_of_ci_has_passed(
    redis_client: redis.Redis, docs: StatusState, required: tuple[str, ...], *, is_green: bool
) -> None:
    """One check that passed proves nothing beside one that failed, or runs; their own they have done."""
    fleet = ForgeFleet(redis_client, merge="never", acts={1: ["silent"]})
    fleet.forge.required["main"] = required
    fleet.forge.person_opens(1)
    fleet.rounds(1)
    commit = job_of(fleet).result.commit
    merge_by_hand(fleet)
    fleet.forge.say(commit, StatusState.SUCCESS)
    fleet.forge.say(commit, docs, context="ci/docs")
    look(fleet)
    assert ("ci_green" in fleet.signals(job_of(fleet))) is is_green


def test_a_commit_that_went_with_its_branch_is_not_on_main(fleet: ForgeFleet) -> None:
    """The request is still read: people threw the work away."""
    fleet.forge.person_drops(job_of(fleet).branch)
    fleet.forge.mishaps.lasting["contains"] = lambda: ForgeGoneError("no such commit")
    assert look(fleet) == ["closed_unmerged"]


def test_work_that_is_thrown_away_is_worth_nothing(fleet: ForgeFleet) -> None:
    """A change that is closed without a merge."""
    fleet.forge.person_drops(job_of(fleet).branch)
    assert look(fleet) == ["closed_unmerged"]
    assert worth(fleet).value == 0.0


def test_a_change_that_is_taken_up_again_and_merged_counts(fleet: ForgeFleet) -> None:
    """Both are facts, and landing stands above having been thrown away."""
    fleet.forge.person_drops(job_of(fleet).branch)
    look(fleet)
    fleet.forge.person_takes_up(job_of(fleet).branch)
    assert look(fleet) == ["closed_unmerged"]
    merge_by_hand(fleet)
    assert look(fleet, after=DAY) == ["closed_unmerged", "merged"]
    assert worth(fleet).value == 1.0


def test_rounds_of_review_cap_what_follows(fleet: ForgeFleet) -> None:
    """Two people in the first round are one; the second round takes 0.2 more."""
    branch, first = job_of(fleet).branch, job_of(fleet).result.commit
    fleet.forge.users["bob"] = Permission.WRITE
    for number, author in enumerate(("ann", "bob")):
        fleet.forge.person_reviews(branch, review(fleet, author, first, number))
    assert look(fleet) == ["changes_requested"]
    second = fleet.forge.repositories["acme/shop"].more_work(branch, {"more.txt": "more"})
    fleet.forge.say(second, StatusState.SUCCESS)
    fleet.forge.person_reviews(branch, review(fleet, "ann", second, 5))
    assert look(fleet) == ["changes_requested"] * 2
    merge_by_hand(fleet)
    look(fleet, after=DAY)
    assert worth(fleet).value == pytest.approx(0.4)


def test_a_review_by_somebody_who_may_not_write_takes_nothing_away(fleet: ForgeFleet) -> None:
    """Where everybody may review, a stranger must not be able to have a version rolled back."""
    branch, first = job_of(fleet).branch, job_of(fleet).result.commit
    for number, author in enumerate(("out", "nobody", "")):
        fleet.forge.person_reviews(branch, review(fleet, author, first, number))
    assert look(fleet) == []
    fleet.forge.mishaps.lasting["permission"] = lambda: ForgeUnreachableError("away")
    assert look(fleet) == []
    fleet.forge.mishaps.lasting.clear()
    fleet.forge.person_reviews(branch, review(fleet, "ann", first, 4))
    assert look(fleet) == ["changes_requested"]


def test_reviewers_of_whom_the_forge_tells_nothing_count(fleet: ForgeFleet) -> None:
    """Gitea tells administrators only what people may do: the verdict stands, and the merge is known."""
    fleet.forge.person_reviews(job_of(fleet).branch, review(fleet, "out", job_of(fleet).result.commit, 1))
    fleet.forge.mishaps.lasting["permission"] = lambda: ForgeRefusedError("403")
    merge_by_hand(fleet)
    assert look(fleet) == ["changes_requested", "merged"]


def test_ci_counts_at_the_commit_that_landed(fleet: ForgeFleet) -> None:
    """What a person pushed on top of the work, and CI has not judged, is worth less."""
    fleet.forge.repositories["acme/shop"].more_work(job_of(fleet).branch, {"more.txt": "more"})
    merge_by_hand(fleet)
    look(fleet, after=DAY)
    assert worth(fleet).value == pytest.approx(0.6)


@pytest.mark.parametrize("error", [ForgeRefusedError, ForgeGoneError, ForgeInvalidError])
def test_a_merge_is_known_where_ci_may_not_be_read(fleet: ForgeFleet, error: type[ForgeError]) -> None:
    """A token without that permission, or a commit that is gone: the work has landed all the same."""
    fleet.forge.mishaps.lasting["statuses"] = lambda: error("403")
    merge_by_hand(fleet)
    assert look(fleet) == ["merged"]


def test_ci_that_gives_no_answer_is_asked_again_before_the_merge_counts(fleet: ForgeFleet) -> None:
    """Silence is not taken for a merge without CI."""
    fleet.forge.mishaps.lasting["statuses"] = lambda: ForgeUnreachableError("away")
    merge_by_hand(fleet)
    assert look(fleet) == []
    fleet.forge.mishaps.lasting.clear()
    assert look(fleet) == ["merged"]


def test_a_forge_that_is_away_does_not_stand_before_the_others(redis_client: redis.Redis) -> None:
    """Its jobs are put off; it is left alone until the time that it named, or for one interval."""
    clock = SteppedClock()
    away, well = (MemoryForge(clock, name=name, mishaps=Mishaps()) for name in ("github", "gitea"))
    fleet = ForgeFleet(redis_client, away, well, clock=clock)
    for forge in (away, well):
        forge.person_opens(1)
    fleet.rounds(2)
    fleet.clock.forward(3700)
    until = fleet.clock() + 3600
    away.mishaps.lasting["change_of_branch"] = lambda: ForgeUnreachableError("a limit", retry_at=until)
    before = away.calls_of("change_of_branch")
    for _ in range(3):
        fleet.watch()
        fleet.clock.forward(1500)
    assert away.calls_of("change_of_branch") == before + 1
    assert well.calls_of("change_of_branch") > 1
    well.repositories["acme/shop"].revert(well.changes[0].merge_commit)
    away.mishaps.lasting.clear()
    fleet.clock.forward(7200)
    fleet.watch()
    kinds = {job.request.issue.split(":")[0]: fleet.signals(job) for job in fleet.jobs()}
    assert kinds == {"github": ["ci_green", "merged"], "gitea": ["ci_green", "merged", "reverted"]}


def test_a_time_to_ask_again_is_believed_for_an_hour(redis_client: redis.Redis) -> None:
    """A worker's clock that is a year ahead does not have the landing looked for in a year."""
    fleet = ForgeFleet(redis_client)
    fleet.forge.person_opens(1)
    fleet.rounds(2)
    far = fleet.clock() + 31_536_000
    fleet.mishaps.lasting["change_of_branch"] = lambda: ForgeUnreachableError("a limit", retry_at=far)
    fleet.clock.forward(3700)
    fleet.watch()
    fleet.mishaps.lasting.clear()
    (job,) = fleet.jobs()
    fleet.forge.repositories["acme/shop"].revert(fleet.forge.changes[0].merge_commit)
    fleet.clock.forward(3600)
    fleet.watch()
    assert "reverted" in fleet.signals(job)
