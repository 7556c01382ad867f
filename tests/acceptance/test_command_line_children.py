"""What people see of children and of limits on the command line."""

from routing.jobs.children import ChildOrder
from tests.programs.command_line import CommandLine


def test_children_are_listed_and_shown_with_their_parent(coalmine: CommandLine, template: str) -> None:
    """`job list --parent` has the children and nobody else; `job show` says whose child it is."""
    parent, other = (coalmine.lines("enqueue", template, "build")[0]["job"] for _ in range(2))
    with coalmine.coalmine() as parts:
        order = ChildOrder(parent=parent, agent="lead-1", name="door", spec="fix it", role="scout")
        child = parts.children.dispatch(order).job
    listed = coalmine.document("job", "list", "--parent", parent)["jobs"]
    assert [job["id"] for job in listed] == [child]
    assert (listed[0]["parent"], listed[0]["depth"]) == (parent, 1)
    assert coalmine.document("job", "list", "--parent", other)["jobs"] == []
    shown = coalmine.shown("job", "show", child)
    assert f"{parent}, asked for by lead-1; scout of generation 1" in shown
    assert "a child counts in no trial" in shown
    assert coalmine("job", "list", "--parent", "nobody").exit_code == 2


def test_held_job_says_what_it_waits_for(coalmine: CommandLine, template: str) -> None:
    """In its reason; the doctor counts it."""
    limit = {"COALMINE_JOB__AGENTS_AT_ONCE": "1"}
    first, second = (coalmine.lines("enqueue", template, "build")[0]["job"] for _ in range(2))
    with coalmine.coalmine(agents_at_once=1) as parts:
        for job in (first, second):
            parts.jobs.claim(job, worker="w", lease_seconds=30)
    assert "job.agents_at_once" in coalmine.shown("job", "show", second)
    assert (
        "1 of 1 agents at work, 1 jobs wait for room" in coalmine("doctor", "--wait", "0.1", **limit).stdout
    )
