"""Jobs accepted together: a batch of several routes, an id that is taken, a server without its scripts."""

import pytest
import redis

from routing.errors import ConflictError
from routing.jobs.mailbox import STEP, Mailbox
from tests.fleets.stepped_fleet import SteppedFleet, request


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with two templates."""
    made = SteppedFleet(redis_client)
    made.add("implementer")
    made.add("reviewer")
    return made


def mailbox(fleet: SteppedFleet, ids: list[str]) -> Mailbox:
    """A mailbox that gives jobs these ids."""
    app, given = fleet.app, iter(ids)
    known = app.mailbox
    return Mailbox(
        jobs=app.job_store, events=app.events, routes=known._routes, publisher=fleet.broker,  # noqa: SLF001 - the fleet's own route reader
        generator=fleet.generator, policy=known._policy, ids=lambda: next(given),  # noqa: SLF001 - and its policy
    )  # fmt: skip


def test_batch_of_several_templates_keeps_its_order(fleet: SteppedFleet) -> None:
    """Each request of a mixed batch, longer than a step, becomes a job of its own template."""
    names = ["implementer", "reviewer", "reviewer", "implementer@v1"] * (STEP // 2)
    done = fleet.app.mailbox.enqueue_many([request(name) for name in names])
    jobs = [fleet.app.jobs.find(one.job) for one in done]
    assert [job.request.template for job in jobs] == names
    assert [job.pinned for job in jobs] == [name.endswith("@v1") for name in names]
    assert [event.subject for event in fleet.events("job.queued")] == [one.job for one in done]


def test_id_that_is_taken_is_refused(fleet: SteppedFleet) -> None:
    """A second job under an id is refused by name, and the first one's record stays as it is."""
    taken = mailbox(fleet, ["0" * 16] * 2)
    taken.enqueue(request(title="first"))
    with pytest.raises(ConflictError, match="0000000000000000"):
        taken.enqueue(request(title="second"))
    assert fleet.app.jobs.find("0" * 16).request.title == "first"


def test_server_that_forgot_its_scripts_gets_them_again(fleet: SteppedFleet) -> None:
    """Jobs are accepted, singly and in batches, after the server's scripts were flushed."""
    fleet.enqueue()
    fleet.redis.script_flush()
    assert fleet.enqueue().created
    fleet.redis.script_flush()
    assert all(one.created for one in fleet.app.mailbox.enqueue_many([request(), request()]))


def test_tick_is_asked_for_once_until_it_begins(fleet: SteppedFleet) -> None:
    """Many jobs that end ask for one run; what ends after that run began asks for another."""
    ticks = fleet.app.ticks
    assert [ticks.ask("harvest"), ticks.ask("harvest"), ticks.ask("watch")] == [True, False, True]
    asked_within: list[bool] = []
    ticks.run_alone("harvest", lambda: asked_within.append(ticks.ask("harvest")))
    assert asked_within == [True]
