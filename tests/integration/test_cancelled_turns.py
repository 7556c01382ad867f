"""People decide in the middle of a turn: what it did is kept where they find it, and work may begin anew."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routing.git.git import Git
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from tests.fleets.shop import ShopFleet, shop
from tests.fleets.worker_fleet import until_state
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("cancelled-turns")

#: Commits one file, leaves another one uncommitted, and waits; for issue 4 it only waits, for issue 5 it
#: makes the repository anew. For issues from 10 on the first turn pushes what CI is red at, so that the turn
#: that waits is a corrective one.
AGENT = """
case "$COALMINE_ISSUE $COALMINE_TURN_KIND" in
*"#1"[0-9]" first") echo half > half.txt; exit 0 ;;
esac
case "$COALMINE_ISSUE" in
*"#4") ;;
*"#5") rm -rf .git; git init -q; echo anew > anew.txt; git add anew.txt; git commit -q -m "Initial commit" ;;
*) echo committed > committed.txt; git add committed.txt; git commit -q -m "One step"; echo left > left.txt ;;
esac
touch "NOTES/$COALMINE_JOB_ID"
while [ -e NOTES/hold ]; do sleep 0.05; done
echo done > done.txt
"""

Deed = Callable[[ShopFleet, IssueRef, Job], object]


def closes(made: ShopFleet, issue: IssueRef, _: Job) -> None:
    """As not planned."""
    made.forge.close(issue)


def takes_the_label_off(made: ShopFleet, issue: IssueRef, _: Job) -> None:
    """It is not for agents any longer."""
    made.forge.remove_label(issue, "agent")


def closes_the_request(made: ShopFleet, _: IssueRef, job: Job) -> None:
    """On a local forge that is to delete its branch."""
    made.repository.git("branch", "-D", job.branch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopFleet]:
    """A fleet with room for all these issues."""
    folder = tmp_path_factory.mktemp("cancelled")
    (folder / "notes").mkdir()
    variables = {"COALMINE_FORGE__LOCAL__AT_ONCE": "9", "COALMINE_FORGE__LOCAL__LABEL": "agent"}
    variables |= {"COALMINE_ISSUES__WATCH__FIX_FORWARDS": "1"}
    with (
        private_server(folder) as server,
        shop(folder, server.url, AGENT.replace("NOTES", str(folder / "notes")), variables=variables) as fleet,
    ):
        yield fleet


def held_turn(made: ShopFleet, number: int) -> tuple[IssueRef, Job]:
    """An issue, and its job whose agent has done something and is at work."""
    notes = made.fleet.folder / "notes"
    (notes / "hold").touch()
    known = {job.id for job in made.parts.jobs.newest(most=100)}
    issue = made.open_issue(number)
    wait_until(
        lambda: {one.name for one in notes.iterdir()} - {*known, "hold"},
        description=f"an agent has worked on {issue}",
        timeout=40,
    )
    (job,) = (one for one in made.parts.jobs.newest(most=100) if one.id not in known)
    return issue, job


@pytest.mark.parametrize(
    ("deed", "number"),
    [
        (closes, 1),
        (takes_the_label_off, 2),
        (closes, 10),
        (takes_the_label_off, 11),
        (closes_the_request, 12),
    ],
)
def test_what_a_cancelled_turn_did_is_kept_on_a_branch(made: ShopFleet, deed: Deed, number: int) -> None:
    """Nothing of it is pushed; the reason names the branch, and the job's log how to fetch it."""
    issue, job = held_turn(made, number)
    pushed = job.result.commit
    deed(made, issue, job)
    done = until_state(made.parts, job.id, JobState.CANCELLED)
    assert f"what its turn did is kept on the branch {job.branch} in its work tree on" in done.reason
    assert kept_files(made, job) >= {"committed.txt", "left.txt"}
    there = made.repository.git.attempt("rev-parse", "--verify", f"refs/heads/{job.branch}").stdout.strip()
    assert there == ("" if deed is closes_the_request else pushed)


def kept_files(made: ShopFleet, job: Job) -> set[str]:
    """The files of the branch that a person fetches by the command of the job's log."""
    _, *words = shlex.split(logged(made, job).rpartition(": ")[2])
    bench = Git(made.repository.bench)
    bench(*words)
    return set(bench("ls-tree", "--name-only", "FETCH_HEAD").splitlines())


def logged(made: ShopFleet, job: Job) -> str:
    """What the job's log says of the work of its cancelled turn."""

    def said() -> str:
        lines = (line.text for line in made.parts.log_store.read(job.id))
        return next((text for text in lines if text.startswith("cancelled: ")), "")

    return wait_until(said, description="the job's log says where the work is")


def test_work_that_is_wanted_again_begins_anew_and_says_from_what(made: ShopFleet) -> None:
    """From the main branch; the task and the issue name the job that came before, and where its work is."""
    issue, job = held_turn(made, 3)
    closes(made, issue, job)
    until_state(made.parts, job.id, JobState.CANCELLED)
    made.until_shown(issue)
    file = made.issues / "3.md"
    file.write_text(file.read_text().replace("state: closed", "state: open"))
    wait_until(lambda: len(jobs_of(made, issue)) == 2, description="another job is dispatched", timeout=40)
    (made.fleet.folder / "notes" / "hold").unlink()
    again = jobs_of(made, issue)[-1]
    until_state(made.parts, again.id, JobState.SUCCEEDED, timeout=60)
    assert f"begins anew from the main branch. Job {job.id} worked on it before" in again.request.task
    assert f"what its turn did is kept on the branch {job.branch}" in again.request.task
    wait_until(
        lambda: any(f"after job `{job.id}`" in one.body for one in made.issue(issue).comments or ()),
        description="the issue says after which job",
    )


def jobs_of(made: ShopFleet, issue: IssueRef) -> list[Job]:
    """The jobs of an issue, oldest first."""
    return [job for job in made.parts.jobs.newest(most=100)[::-1] if job.request.issue == str(issue)]


def test_a_cancelled_turn_that_did_nothing_says_nothing(made: ShopFleet) -> None:
    """There is no work that could be looked at."""
    issue, job = held_turn(made, 4)
    closes(made, issue, job)
    assert until_state(made.parts, job.id, JobState.CANCELLED).reason == "cancelled, as its issue was closed"


def test_what_cannot_be_taken_over_is_left_as_it_is(made: ShopFleet) -> None:
    """The job ends all the same, and says where a person finds it."""
    issue, job = held_turn(made, 5)
    closes(made, issue, job)
    done = until_state(made.parts, job.id, JobState.CANCELLED)
    assert "what its turn did is kept as it is in its work tree on" in done.reason
    where = logged(made, job)
    assert "made the repository anew" in where
    assert (Path(where.rpartition(" ")[2]) / "anew.txt").exists()
