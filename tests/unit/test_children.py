"""Children: jobs that an agent asks for. Never drawn, never counted, bounded, and ended with their parent."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import fakeredis
import pytest
import redis

from routing.jobs.children import ChildOrder, ChildRefusedError
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.mailbox import Enqueued
from routing.templates.trial import Arm
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks

Made = Callable[..., SteppedFleet]


@pytest.fixture
def made(fake_redis: redis.Redis) -> Made:
    """Make a fleet with one template and settings of jobs."""

    def make(*draws: float, **job: object) -> SteppedFleet:
        fleet = SteppedFleet(fake_redis, draws=draws, job=job)
        fleet.add()
        return fleet

    return make


def dispatch(fleet: SteppedFleet, parent: str, name: str = "part", **more: object) -> Enqueued:
    """Dispatch a child."""
    fields = {"spec": "fix the door", "role": "builder", "agent": "lead-1"} | more
    return fleet.app.children.dispatch(ChildOrder(parent=parent, name=name, **fields))  # type: ignore[arg-type]


def child_of(fleet: SteppedFleet, parent: str, name: str = "part", **more: object) -> Job:
    """Dispatch a child and return its job."""
    return fleet.app.jobs.find(dispatch(fleet, parent, name, **more).job)


def states(fleet: SteppedFleet, *jobs: str) -> list[str]:
    """The states of jobs."""
    return [fleet.app.jobs.find(job).state.value for job in jobs]


def test_child_is_a_job_of_its_own(made: Made) -> None:
    """It is recorded with its parent, reported, published, and works in its parent's repository."""
    fleet = made()
    parent = fleet.enqueue(repository="local:shop", issue="local:shop#3", priority="high")
    child = child_of(fleet, parent.job, file_scope=["door.py", "wall.py"])
    assert (child.parent, child.depth, child.state) == (parent.job, 1, JobState.QUEUED)
    asked = child.request
    assert (asked.repository, asked.issue, asked.parent) == ("local:shop", "", "lead-1")
    assert asked.task == "fix the door\n\nKeep to these files:\n- door.py\n- wall.py"
    assert fleet.broker.sent[-1][0] == child.id
    event = fleet.events("job.queued")[-1]
    assert (event.subject, event.data["parent"], event.data["role"]) == (child.id, parent.job, "builder")
    assert fleet.claim(child.id).version.id == "implementer@v1"


def test_child_of_an_issue_needs_no_place_of_its_own(made: Made) -> None:
    """One active job an issue: the parent is that job, and its children take nothing from it."""
    fleet = made()
    parent = fleet.enqueue(issue="local:shop#3")
    children = [dispatch(fleet, parent.job, name).created for name in ("a", "b")]
    assert children == [True, True]
    assert fleet.enqueue(issue="local:shop#3").job == parent.job


@pytest.mark.parametrize(("draw", "version", "queue"), [(0.1, 2, "canary"), (0.9, 1, "champion")])
def test_child_has_its_parents_version_and_counts_for_nobody(
    made: Made, draw: float, version: int, queue: str
) -> None:
    """No number is drawn for it, it is in no trial, and the trial's ledger does not know it."""
    fleet = made(draw)
    trial = fleet.open(fleet.propose())
    parent = fleet.enqueue()
    child = child_of(fleet, parent.job)
    assert fleet.generator.asked == 1
    assert (child.version, child.pinned, child.queue) == (version, True, queue)
    assert (child.trial, child.arm, child.bet, child.draw) == ("", None, None, None)
    assert child.parent_arm is parent.arm
    fleet.end(child.id)
    fleet.end(parent.job)
    fleet.app.harvester.harvest()
    ledger = fleet.redis.lrange(fleet.app.keys.dispatches(trial.id), 0, -1)
    settled = fleet.redis.lrange(fleet.app.keys.settlements(trial.id), 0, -1)
    assert len(ledger) == 1
    assert parent.job in ledger[0]
    assert len(settled) == 1


def test_grandchild_keeps_version_and_arm(made: Made) -> None:
    """All generations of a job are of its version."""
    fleet = made(0.1)
    fleet.open(fleet.propose())
    grandchild = child_of(fleet, dispatch(fleet, fleet.enqueue().job).job)
    assert (grandchild.version, grandchild.parent_arm, grandchild.depth) == (2, Arm.CANARY, 2)


def test_child_keeps_its_version_when_the_champion_changes(made: Made) -> None:
    """What its parent began with, it goes on with."""
    fleet = made()
    parent = fleet.enqueue()
    fleet.app.templates.promote(fleet.propose().id, by="ada")
    assert child_of(fleet, parent.job).version == 1


def test_child_of_a_rejected_canary_goes_to_the_champion(made: Made) -> None:
    """A rolled-back canary gets no more work, from its own running jobs neither."""
    fleet = made(0.1)
    fleet.open(fleet.propose())
    parent = fleet.enqueue().job
    fleet.claim(parent)
    before = child_of(fleet, parent, "before")
    fleet.app.templates.reject("implementer@v2", by="ada")
    after = child_of(fleet, parent, "after")
    assert (after.version, after.pinned, after.queue, after.parent_arm) == (1, False, "champion", None)
    assert fleet.claim(before.id).version.id == "implementer@v1"


def test_role_with_a_template_of_its_name_has_that_ones_champion(made: Made) -> None:
    """Even while that template is on trial: a child is not drawn."""
    fleet = made()
    fleet.on_trial("reviewer")
    parent = fleet.enqueue()
    child = child_of(fleet, parent.job, role="reviewer")
    assert (child.version_id, child.trial, child.draw) == ("reviewer@v1", "", None)
    assert fleet.generator.asked == 0
    assert child_of(fleet, parent.job, "other", role="scout").version_id == "implementer@v1"


def test_same_name_leads_to_the_same_child(made: Made) -> None:
    """A turn that is run again dispatches nothing twice; another job's task of that name is another one."""
    fleet = made(children_at_once=1)
    one, other = fleet.enqueue().job, fleet.enqueue().job
    first = dispatch(fleet, one)
    again = dispatch(fleet, one)
    assert (again.job, again.created) == (first.job, False)
    assert dispatch(fleet, other).created


def test_parent_has_no_more_children_than_it_may(made: Made) -> None:
    """Those that have ended do not count; another parent's do not either."""
    fleet = made(children_at_once=2)
    parent, other = fleet.enqueue().job, fleet.enqueue().job
    first = dispatch(fleet, parent, "a").job
    dispatch(fleet, parent, "b")
    before = fleet.everything()
    with pytest.raises(ChildRefusedError, match="2 of its children are at work"):
        dispatch(fleet, parent, "c")
    assert fleet.everything() == before
    assert dispatch(fleet, other).created
    fleet.end(first)
    assert dispatch(fleet, parent, "c").created


def test_generations_are_bounded(made: Made) -> None:
    """A grandchild's agent works by itself."""
    fleet = made()
    grandchild = dispatch(fleet, dispatch(fleet, fleet.enqueue().job).job)
    with pytest.raises(ChildRefusedError, match="2 generations below"):
        dispatch(fleet, grandchild.job)


def test_no_children_at_all(made: Made) -> None:
    """A setting forbids agents to dispatch others."""
    fleet = made(child_depth=0)
    with pytest.raises(ChildRefusedError, match="0 generations"):
        dispatch(fleet, fleet.enqueue().job)


def test_only_a_job_at_work_has_children(made: Made) -> None:
    """Not one that is unknown, has ended or is being cancelled."""
    fleet = made()
    ended, stopping = fleet.enqueue().job, fleet.enqueue().job
    fleet.end(ended)
    fleet.claim(stopping)
    fleet.app.jobs.cancel(stopping, by="ada", at=fleet.clock())
    for job, why in (("0" * 16, "does not exist"), (ended, "it has ended"), (stopping, "being cancelled")):
        with pytest.raises(ChildRefusedError, match=why):
            dispatch(fleet, job)


def test_ten_dispatches_at_a_limit_of_five(made: Made) -> None:
    """In any order: five children, five refusals."""
    fleet = made()
    parent = fleet.enqueue().job
    server = fleet.redis.connection_pool.connection_kwargs["server"]

    def try_one(name: int) -> bool:
        with fakeredis.FakeRedis(decode_responses=True, server=server) as client:
            try:
                return dispatch(SteppedFleet(client, clock=fleet.clock), parent, str(name)).created
            except ChildRefusedError:
                return False

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(try_one, range(10))) == 5
    assert len(fleet.app.jobs.newest(most=100, parent=parent)) == 5


def test_cancelled_parent_takes_its_children_along(made: Made) -> None:
    """Queued ones end, running ones are asked to, and so do their own; what had ended stays as it was."""
    fleet = made()
    parent = fleet.enqueue().job
    queued, running, done = (dispatch(fleet, parent, name).job for name in "abc")
    fleet.claim(running)
    below = dispatch(fleet, running).job
    fleet.end(done)
    fleet.app.jobs.cancel(parent, by="ada", at=fleet.clock())
    assert states(fleet, parent, queued, running, below, done) == [
        "cancelled", "cancelled", "running", "cancelled", "succeeded",
    ]  # fmt: skip
    assert fleet.app.jobs.find(running).cancel == f"cancelled by the end of its parent {parent}"


def fail(fleet: SteppedFleet, job: str) -> None:
    """A job fails for good."""
    fleet.app.jobs.end(fleet.claim(job), JobState.FAILED, reason="crash", result=JobResult())


@pytest.mark.parametrize(("setting", "state"), [("cancel", "cancelled"), ("keep", "queued")])
def test_children_of_a_failed_parent(made: Made, setting: str, state: str) -> None:
    """They end with it unless they are kept: the sweep sees to that."""
    fleet = made(children=setting)
    parent = fleet.enqueue().job
    child = dispatch(fleet, parent).job
    fail(fleet, parent)
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert states(fleet, child) == [state]
    assert fleet.app.job_store.bereaved(10) == []


def test_children_of_a_cancelled_parent_are_not_kept(made: Made) -> None:
    """The setting is about failures: a cancel means all of it."""
    fleet = made(children="keep")
    parent = fleet.enqueue().job
    child = dispatch(fleet, parent).job
    fleet.app.jobs.cancel(parent, by="ada", at=fleet.clock())
    assert states(fleet, child) == ["cancelled"]


def test_children_of_a_parent_that_succeeded_go_on(made: Made) -> None:
    """It has said all that it had to say."""
    fleet = made()
    parent = fleet.enqueue().job
    child = dispatch(fleet, parent).job
    fleet.end(parent)
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert states(fleet, child) == ["queued"]


def test_cancel_that_was_cut_short_is_made_up_for(made: Made) -> None:
    """Who cancels may die after the parent's step: the sweep goes on from there."""
    fleet = made()
    parent = fleet.enqueue().job
    child = dispatch(fleet, parent).job
    fleet.claim(parent)
    fleet.app.job_store.cancel_running(parent, "cancelled by ada")
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert states(fleet, child) == ["cancelled"]


def test_retried_parent_loses_nobody(made: Made) -> None:
    """A person was quicker than the sweep: the parent is at work again, and so are its children."""
    fleet = made()
    parent = fleet.enqueue().job
    child = dispatch(fleet, parent).job
    fail(fleet, parent)
    fleet.app.jobs.retry(parent, by="ada")
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert states(fleet, child) == ["queued"]


def test_retried_child_counts_again(made: Made) -> None:
    """It takes its place among its parent's children, and ends with it."""
    fleet = made()
    parent = fleet.enqueue().job
    child = dispatch(fleet, parent).job
    fail(fleet, child)
    assert fleet.app.job_store.children(parent) == []
    fleet.app.jobs.retry(child, by="ada")
    assert fleet.app.job_store.children(parent) == [child]


def test_child_whose_record_is_gone_is_forgotten(made: Made) -> None:
    """It keeps neither its place nor the sweep busy."""
    fleet = made()
    parent = fleet.enqueue().job
    child = dispatch(fleet, parent).job
    fleet.redis.delete(fleet.app.keys.job(child))
    fleet.app.jobs.cancel(parent, by="ada", at=fleet.clock())
    assert fleet.app.job_store.children(parent) == []


def test_child_survives_a_broker_that_is_down(made: Made) -> None:
    """It is in the outbox like every job."""
    fleet = made()
    parent = fleet.enqueue().job
    fleet.broker.down = True
    child = dispatch(fleet, parent).job
    fleet.broker.down = False
    fleet.clock.forward(10)
    fleet.app.relay.relay()
    assert child in fleet.broker.queues["champion"]


def test_nothing_of_families_is_left(made: Made) -> None:
    """When all have ended, no index remembers them, and all keys expire."""
    fleet = made()
    parent = fleet.enqueue().job
    children = [dispatch(fleet, parent, name).job for name in "ab"]
    fleet.end(children[0])
    fleet.app.jobs.cancel(parent, by="ada", at=fleet.clock())
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert not fleet.redis.exists(fleet.app.keys("children"), fleet.app.keys("bereaved"))
    assert leaks(fleet.redis, fleet.app.keys) == []


def test_cancelling_a_child_leaves_its_parent_alone(made: Made) -> None:
    """Ends go down, not up."""
    fleet = made()
    parent = fleet.enqueue().job
    fleet.app.jobs.cancel(dispatch(fleet, parent).job, by="ada", at=fleet.clock())
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert states(fleet, parent) == ["queued"]
