"""An agent may ask for other agents: their jobs are children of its own.

A child is a job with a parent. It works in its parent's repository, on its parent's version, and no number
is drawn for it: the parent's job is what counts in a trial. How deep and how many is limited. A child ends
with its parent, and its agent reports to the agent that asked for it.
"""

import pytest

from routing.jobs.children import ChildOrder, ChildRefusedError
from routing.jobs.job import JobState
from tests.fleets.stepped_fleet import SteppedFleet


def order(parent: str, name: str = "roof") -> ChildOrder:
    """What an agent asks for."""
    return ChildOrder(parent=parent, name=name, spec="Repair the roof.", role="builder", agent="lead-1")


def test_a_child_is_a_job_of_its_own(fleet: SteppedFleet) -> None:
    """With its parent's repository and version, and outside of the trial."""
    fleet.on_trial()
    parent = fleet.app.jobs.find(fleet.enqueue(repository="local:shop").job)
    child = fleet.app.jobs.find(fleet.app.children.dispatch(order(parent.id)).job)
    assert (child.parent, child.request.repository) == (parent.id, "local:shop")
    assert child.version == parent.version == 2
    assert (child.arm, child.draw) == (None, None)


def test_asking_twice_for_one_name_makes_one_child(fleet: SteppedFleet) -> None:
    """An agent that repeats itself gets the child that it has."""
    fleet.add()
    parent = fleet.enqueue().job
    first, again = (fleet.app.children.dispatch(order(parent)) for _ in range(2))
    assert (first.created, again.created) == (True, False)
    assert first.job == again.job


def test_generations_are_limited(fleet: SteppedFleet) -> None:
    """The refusal says which limit it was."""
    fleet.add()
    child = fleet.app.children.dispatch(order(fleet.enqueue().job)).job
    grandchild = fleet.app.children.dispatch(order(child)).job
    with pytest.raises(ChildRefusedError, match="2 generations below"):
        fleet.app.children.dispatch(order(grandchild))


def test_children_end_with_their_parent(fleet: SteppedFleet) -> None:
    """Nobody is left who would use what they do."""
    fleet.add()
    parent = fleet.enqueue().job
    child = fleet.app.children.dispatch(order(parent)).job
    fleet.app.jobs.cancel(parent, by="ada", at=fleet.clock())
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert fleet.app.jobs.find(child).state is JobState.CANCELLED
