"""What was accepted reaches the broker, however often the broker fails.

The job's record and an entry in the outbox are written in one step. Publishing comes after it and may fail:
the relay finds what is in the outbox and publishes it again. A message carries the job's id and nothing
else, so that one too many does no harm: the second worker finds the job taken, or finished.
"""

from tests.fleets.stepped_fleet import SteppedFleet


def test_a_job_is_published_when_it_is_enqueued(fleet: SteppedFleet) -> None:
    """To the queue of its arm."""
    fleet.add()
    job = fleet.enqueue().job
    assert fleet.broker.queues["champion"] == [job]


def test_a_broker_that_is_down_loses_nothing(fleet: SteppedFleet) -> None:
    """The job is accepted all the same, and published as soon as the broker is back."""
    fleet.add()
    fleet.broker.down = True
    job = fleet.enqueue().job
    fleet.clock.forward(60)
    fleet.app.relay.relay()
    assert fleet.broker.queues["champion"] == []
    fleet.broker.down = False
    fleet.clock.forward(60)
    fleet.app.relay.relay()
    assert fleet.broker.queues["champion"] == [job]


def test_a_lost_message_is_published_again(fleet: SteppedFleet) -> None:
    """A job that nobody has claimed for a while is still listed."""
    fleet.add()
    job = fleet.enqueue().job
    fleet.broker.queues["champion"].clear()
    fleet.clock.forward(60)
    fleet.app.relay.relay()
    assert fleet.broker.queues["champion"] == [job]


def test_a_claimed_job_is_not_published_again(fleet: SteppedFleet) -> None:
    """Its worker has it: nothing is overdue."""
    fleet.add()
    fleet.claim(fleet.enqueue().job)
    fleet.broker.sent.clear()
    fleet.clock.forward(10)
    fleet.app.relay.relay()
    assert fleet.broker.sent == []
