"""From issue to landing, with the process of the ticks dying on the way: the end is the same.

A process that dies between two effects has done the first and not the second, whatever it has read between
them. So to die after each effect, and before the first, is to die everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.embedded.private_server import PrivateServer
from routing.events import BACKLOG_STATE, JOB_FINISHED, JOB_FIX_FORWARD, JOB_QUEUED
from routing.forges.change_request import ChangeState
from routing.forges.errors import (
    ForgeInvalidError,
    ForgeOutcomeUnknownError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.jobs.job import JobState
from tests.case_names import cases
from tests.fakes.memory_forge import WRITES
from tests.fakes.mishaps import Mishap, death
from tests.fleets.forge_fleet import ForgeFleet
from tests.leaks import leaks
from tests.servers.private_server import plain_client

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("forge-crashes")

#: About as many effects as the story has.
MOST_EFFECTS = 70


def people(fleet: ForgeFleet) -> None:
    """Somebody merges what is done."""
    for change in list(fleet.forge.changes):
        job = fleet.hands.app.jobs.find(change.branch.removeprefix("coalmine/"))
        if change.state is ChangeState.OPEN and job.is_in_review:
            fleet.forge.person_merges(change.branch)


@dataclass(frozen=True)
class Story:
    """One issue is red, repaired, green and merged; the next one waits for it, and comes to nothing."""

    redis: redis.Redis

    def played(self, *mishaps: Mishap) -> ForgeFleet:
        """The whole story, with these mishaps."""
        self.redis.flushdb()
        fleet = ForgeFleet(
            self.redis, acts={1: ["red", "green"], 2: ["fails"]}, ci_seconds=30, people=people, merge="never",
            delete_branches=True,
        )  # fmt: skip
        fleet.forge.person_opens(1)
        fleet.forge.person_opens(2, "Blocked by: #1")
        fleet.mishaps.plan(*mishaps)
        fleet.until_quiet()
        return fleet

    @cached_property
    def undisturbed(self) -> tuple[str, list[str]]:
        """The end of the story when nothing goes wrong, and its effects in their order."""
        fleet = self.played()
        assert fleet.forge.history.count(("github:acme/shop#1", "closed")) == 1
        return fleet.portrait(), list(fleet.mishaps.made)

    def ends_well(self, *mishaps: Mishap) -> None:
        """It comes to the same end."""
        end, effects = self.undisturbed
        assert self.played(*mishaps).portrait() == end, (mishaps, effects)


@pytest.fixture(scope="module")
def whole_story(redis_server: PrivateServer) -> Iterator[Story]:
    """The story on a real server, which remembers its undisturbed end."""
    with plain_client(redis_server.url) as client:
        yield Story(client)


@pytest.fixture
def story(whole_story: Story, redis_client: redis.Redis) -> Story:
    """The story on a server that is empty before and after."""
    assert redis_client.ping()
    return whole_story


def test_the_story_is_what_it_is_said_to_be(story: Story) -> None:
    """One job an issue, one corrective turn, one comment each; closed once; a person is asked once."""
    fleet = story.played()
    first, second = fleet.forge.issues
    assert [job.state for job in fleet.jobs(first)] == [JobState.SUCCEEDED]
    assert [job.state for job in fleet.jobs(second)] == [JobState.ESCALATED]
    assert list(fleet.forge.issues[first].labels) == ["coalmine"]
    assert list(fleet.forge.issues[second].labels) == ["coalmine", "ready-for-human"]
    assert (len(fleet.forge.checklists(first)), len(fleet.forge.checklists(second))) == (1, 1)
    assert fleet.forge.history.count((str(first), "closed")) == 1
    assert fleet.signals(fleet.jobs(first)[0]) == ["ci_green", "ci_red", "merged"]
    kinds = [event.kind for event in fleet.hands.events(JOB_QUEUED, JOB_FIX_FORWARD, JOB_FINISHED)]
    assert sorted(kinds) == [JOB_FINISHED] * 2 + [JOB_FIX_FORWARD] + [JOB_QUEUED] * 2
    ended = [event.data["to"] for event in fleet.hands.events(BACKLOG_STATE)]
    assert (ended.count("in_progress"), ended.count("completed"), ended.count("escalated")) == (2, 1, 1)
    assert len(fleet.forge.changes) == 1
    store = fleet.hands.app.job_store
    assert (store.active_on([str(first), str(second)]), store.with_effects(10)) == ([("", 1), ("", 1)], [])
    assert leaks(fleet.hands.redis, fleet.hands.app.keys) == []
    assert fleet.complaints == []


@pytest.mark.long
def test_a_process_that_dies_after_any_effect_leaves_nothing_undone(story: Story) -> None:
    """A fresh one sees it to the same end: no second job, comment, change, close or event."""
    effects = story.undisturbed[1]
    assert len(effects) > MOST_EFFECTS - 10
    story.ends_well(death(1))
    for nth in range(1, len(effects) + 1):
        story.ends_well(death(nth, after=True))


@pytest.mark.long
@given(
    plan=st.lists(st.tuples(st.integers(1, MOST_EFFECTS), st.booleans()), min_size=2, max_size=6, unique=True)
)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_processes_that_die_again_and_again_come_to_the_same_end(
    story: Story, plan: list[tuple[int, bool]]
) -> None:
    """Also in the middle of making up for an earlier death."""
    story.ends_well(*(death(nth, after=after) for nth, after in plan))


@pytest.mark.long
def test_redis_may_be_away_at_any_step(story: Story) -> None:
    """Whether the step was carried out, which every other one was, or not: a missing answer says neither."""
    for nth, name in enumerate(story.undisturbed[1], start=1):
        if name not in WRITES:
            story.ends_well(
                Mishap(nth=nth, after=nth % 2 == 0, error=lambda: redis.ConnectionError("connection lost"))
            )


def errors_of(name: str, nth: int) -> list[Mishap]:
    """What may happen at a call that is made up for later."""
    kinds: list[tuple[Any, bool]] = [(ForgeUnreachableError, False), (ForgeRefusedError, False)]
    if name in WRITES:
        kinds.append((ForgeOutcomeUnknownError, True))
    if name in WRITES - {"open_change"}:  # a change that makes no sense is not asked for again
        kinds.append((ForgeInvalidError, False))
    return [
        Mishap(call=name, nth=nth, error=lambda kind=kind: kind("it said no"), after=after)  # type: ignore[misc]
        for kind, after in kinds
    ]


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(WRITES - {"answer", "assign", "merge"}))  # of which it has none
def test_a_forge_may_fail_at_any_writing(story: Story, name: str) -> None:
    """Without an answer, with one that is lost, or with a refusal that ends: it is made up for."""
    times = story.undisturbed[1].count(name)
    assert times
    for nth in range(1, times + 1):
        for plan in errors_of(name, nth):
            story.ends_well(plan)


@pytest.mark.parametrize(
    "name",
    cases(
        (
            "list_issues", "read_issue", "requested_by", "dependencies", "permission", "own_login",
            "statuses", "failing_log", "change_of_branch", "reviews",
        ),
        quick={"list_issues", "statuses", "change_of_branch"},
    ),
)  # fmt: skip
def test_a_forge_may_fail_at_any_reading(story: Story, name: str) -> None:
    """What was not read is read later; nothing is made of the silence."""
    for nth in (1, 2):
        for plan in errors_of(name, nth):
            story.ends_well(plan)
