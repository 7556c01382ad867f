"""The draw: which version works on a job, and when the generator is asked at all."""

import pytest
import redis

from routing.store.redis.keys import Keys
from routing.templates.route import Route, draw, draws
from routing.templates.trial import Arm, Trial, TrialState
from routing.templates.version import Snapshot, Version, VersionState
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt, request


def version(number: int) -> Version:
    """A version with some content."""
    snapshot = Snapshot(prompt=str(number))
    return Version(
        template="implementer",
        number=number,
        snapshot=snapshot,
        content_hash=snapshot.content_hash,
        created_at=0.0,
        state=VersionState.PENDING,
    )


def trial(share: float) -> Trial:
    """An open trial of version 2 against version 1."""
    return Trial(
        id="implementer-t1",
        template="implementer",
        champion=1,
        canary=2,
        state=TrialState.OPEN,
        share=share,
        strata="none",
        settle_deadline_seconds=60.0,
        policy="{}",
        opened_at=0.0,
    )


def route(share: float | None, *, readable: bool = True) -> Route:
    """A route, on trial with a share unless that is None."""
    running = None if share is None else trial(share)
    canary = version(2) if running and readable else None
    return Route(template="implementer", revision="1", champion=version(1), trial=running, canary=canary)


@pytest.mark.parametrize(
    ("number", "arm"), [(0.0, Arm.CANARY), (0.4999, Arm.CANARY), (0.5, Arm.CHAMPION), (0.9999, Arm.CHAMPION)]
)
def test_below_the_share_is_canary(number: float, arm: Arm) -> None:
    """A draw below the share is canary; one equal to it is champion."""
    chosen = draw(route(0.5), number)
    assert (chosen.arm, chosen.version.number) == (arm, 2 if arm is Arm.CANARY else 1)


@pytest.mark.parametrize(
    ("enabled", "pinned", "share", "asked"),
    [
        (True, False, 0.5, True),
        (False, False, 0.5, False),
        (True, True, 0.5, False),
        (True, False, None, False),
        (True, False, 0.0, False),
        (True, False, 1.0, False),
        (True, False, float("nan"), False),
    ],
)
def test_generator_is_asked_only_when_the_draw_can_matter(
    enabled: bool,  # noqa: FBT001 - a parameter of the table above
    pinned: bool,  # noqa: FBT001 - the same
    share: float | None,
    asked: bool,  # noqa: FBT001 - the same
) -> None:
    """Canaries on, not pinned, an open trial, a share within (0,1): all four, or no draw."""
    assert draws(route(share), enabled=enabled, pinned=pinned) is asked


def test_unreadable_canary_takes_the_job_out_of_the_trial() -> None:
    """Counting the champion's side alone would tilt the test, so neither side counts."""
    for number in (0.1, 0.9):
        chosen = draw(route(0.5, readable=False), number)
        assert (chosen.version.number, chosen.trial, chosen.arm) == (1, None, None)


def test_three_canaries_then_a_champion(redis_client: redis.Redis) -> None:
    """Draws .10, .20, .30, .80 with share .5: three jobs carry the canary, the fourth the champion."""
    fleet = SteppedFleet(redis_client, draws=[0.10, 0.20, 0.30, 0.80])
    fleet.on_trial()
    done = [fleet.enqueue() for _ in range(4)]
    assert [one.arm for one in done] == ["canary", "canary", "canary", "champion"]
    carried = [fleet.claim(one.job).version.snapshot.prompt for one in done]
    assert carried == ["two", "two", "two", "one"]


def test_draw_equal_to_the_share_is_champion(redis_client: redis.Redis) -> None:
    """The boundary belongs to the champion."""
    fleet = SteppedFleet(redis_client, draws=[0.5])
    fleet.on_trial()
    assert fleet.enqueue().arm == "champion"


def test_batch_draws_in_the_order_of_its_requests(redis_client: redis.Redis) -> None:
    """The first request of a batch gets the first draw."""
    fleet = SteppedFleet(redis_client, draws=[0.9, 0.1, 0.8, 0.2])
    fleet.on_trial()
    done = fleet.app.mailbox.enqueue_many([request(title=str(number)) for number in range(4)])
    assert [one.draw for one in done] == [0.9, 0.1, 0.8, 0.2]
    assert [fleet.app.jobs.find(one.job).request.title for one in done] == ["0", "1", "2", "3"]
    assert [fleet.app.jobs.find(one.job).sequence for one in done] == [0, 1, 2, 3]


def test_switched_off_nothing_is_drawn(redis_client: redis.Redis) -> None:
    """With canaries off an open trial takes no job and the generator is not asked."""
    SteppedFleet(redis_client).on_trial()
    fleet = SteppedFleet(redis_client, enabled=False)
    done = fleet.enqueue()
    assert (done.arm, done.trial, done.draw, fleet.generator.asked) == (None, "", None, 0)


@pytest.mark.parametrize("reference", ["implementer@v1", "implementer@v2", "implementer@latest"])
def test_pinned_request_is_not_drawn(redis_client: redis.Redis, reference: str) -> None:
    """A request for one version gets it, outside the trial, without a draw."""
    fleet = SteppedFleet(redis_client)
    fleet.on_trial()
    done = fleet.enqueue(reference)
    job = fleet.app.jobs.find(done.job)
    assert (job.pinned, job.trial, job.draw, fleet.generator.asked) == (True, "", None, 0)
    assert job.version == (1 if reference.endswith("v1") else 2)


def test_without_a_trial_nothing_is_drawn(redis_client: redis.Redis) -> None:
    """The champion works, and the generator is not asked."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    assert (fleet.enqueue().version, fleet.generator.asked) == ("implementer@v1", 0)


def test_another_templates_trial_draws_nothing(redis_client: redis.Redis) -> None:
    """A trial routes the jobs of its own template only."""
    fleet = SteppedFleet(redis_client)
    fleet.on_trial("reviewer")
    fleet.add()
    assert (fleet.enqueue().trial, fleet.generator.asked) == ("", 0)


def test_unreadable_canary_is_reported(redis_client: redis.Redis) -> None:
    """The job goes to the champion, counts in no trial, and an event says why."""
    fleet = SteppedFleet(redis_client, draws=[0.1])
    opened = fleet.on_trial()
    fleet.redis.hset(Keys().versions("implementer"), "2", "{broken")
    done = fleet.enqueue()
    job = fleet.app.jobs.find(done.job)
    assert (done.version, job.trial, job.bet, job.queue) == ("implementer@v1", "", None, "champion")
    assert fleet.app.trial_store.dispatches(opened.id) == []
    events = fleet.events("candidate.snapshot_unreadable")
    assert [(event.subject, event.data["job"]) for event in events] == [("implementer@v2", done.job)]


def test_retries_keep_the_version_and_the_arm(redis_client: redis.Redis) -> None:
    """One draw a job: whatever happens to it later, nothing is drawn again."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.0])
    fleet.on_trial()
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fail_attempt(fleet.app.jobs, claim)
    fleet.clock.forward(3600)
    again = fleet.claim(job)
    assert (again.version.number, again.job.arm, again.job.draw) == (2, "canary", 0.1)
    assert fleet.app.trials.find("implementer").dispatched == {Arm.CANARY: 1, Arm.CHAMPION: 0}
