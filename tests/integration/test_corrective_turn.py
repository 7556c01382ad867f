"""A red commit goes back to the agent that pushed it: same conversation, same branch, and a new commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.base import Base
from routing.embedded.private_server import PrivateServer
from routing.forges.local.git import LocalGit
from routing.forges.local.merge import LocalMerge
from routing.git.git import Git
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import Attempts
from routing.jobs.turn import Repair, TurnKind
from routing.templates.version import Snapshot
from tasks.agents.turn.stop_signal import StopSignal
from tasks.composition.composition import Coalmine
from tasks.composition.worker import Worker
from tasks.work.outcome import NextStep, Ran, TurnOutcome, outcome
from tests.fleets.stepped_fleet import fail_attempt, red
from tests.fleets.worker_fleet import WorkerFleet, fleet
from tests.repositories import TemporaryRepository, new_repository

#: A first attempt, with two to follow.
FIRST = Attempts(used=1, allowed=3)

#: Keeps its prompt and by whom it was resumed, and does what `next` says.
AGENT = """
cat > "$NOTES/prompt.$COALMINE_JOB_ID.$(ls "$NOTES" | grep -c prompt)"
echo "${COALMINE_SESSION:-none}" >> "$NOTES/sessions"
echo "$COALMINE_TURN_KIND" >> "$NOTES/kinds"
echo '{"type": "session", "id": "s1"}'
echo '{"type": "text", "text": "I am done"}'
. "$NOTES/next"
"""


class CorrectiveBench:
    """One job, its agent, and the repository that it works on."""

    def __init__(self, made: WorkerFleet, repository: TemporaryRepository, notes: Path) -> None:
        self.made, self.repository, self.notes = made, repository, notes
        notes.mkdir()
        self.parts: Coalmine = made.coalmine()
        snapshot = Snapshot(command=AGENT, environment={"NOTES": str(notes)})
        self.parts.templates.add("implementer", snapshot)
        request = JobRequest(template="implementer", task="fix the sum", repository="local:shop")
        self.id = self.parts.mailbox.enqueue(request).job

    @property
    def job(self) -> Job:
        """The job as it is now."""
        return self.parts.jobs.find(self.id)

    def turn(self, line: str) -> tuple[Claim, Ran]:
        """Claim the job and run a turn, by a worker process of its own, in which the agent does a line."""
        (self.notes / "next").write_text(line)
        parts = self.made.coalmine()
        claim = parts.jobs.claim(self.id, worker="w1", lease_seconds=60)
        assert isinstance(claim, Claim), claim
        worker = Worker(coalmine=parts)
        try:
            return claim, worker.agents.run(claim, StopSignal())
        finally:
            worker.turns.mail_server.shut()

    def push(self, line: str) -> str:
        """A turn whose commit is pushed; the job waits for CI."""
        claim, ran = self.turn(line)
        assert outcome(ran, FIRST).step is NextStep.PUSHED, ran
        self.parts.jobs.pushed(claim, ran.result)
        return ran.result.commit

    def send_back(self) -> Repair:
        """CI is red at what was pushed last."""
        repair = Repair(commit=self.job.result.commit, checks=("unit",), log="FAILED test_sum")
        assert self.parts.corrections.send_back(self.job, red(repair))
        return repair

    def prompts(self) -> list[str]:
        """The agent's prompts, the newest turn last."""
        files = sorted(self.notes.glob("prompt.*"), key=lambda file: int(file.suffix[1:]))
        return [file.read_text() for file in files]

    def sessions(self) -> list[str]:
        """The conversation that each turn was asked to resume."""
        return (self.notes / "sessions").read_text().split()

    def contents(self, commit: str) -> set[str]:
        """The files of a commit."""
        return set(self.repository.git("ls-tree", "--name-only", commit).split())


@pytest.fixture
def bench(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[CorrectiveBench]:
    """A job that nobody has worked on yet."""
    assert redis_client.ping()
    repository = new_repository(tmp_path)
    (tmp_path / "issues").mkdir()
    settings = {
        "COALMINE_FORGE__LOCAL__REPOSITORY": str(repository.path),
        "COALMINE_FORGE__LOCAL__ISSUES": str(tmp_path / "issues"),
        "COALMINE_FORGE__LOCAL__STATE": str(tmp_path / "forge"),
        "COALMINE_JOB__MAX_ATTEMPTS": "3",
    }
    with fleet(tmp_path, redis_server.url, **settings) as made:
        yield CorrectiveBench(made, repository, tmp_path / "notes")


def test_red_commit_is_repaired_in_the_same_conversation(bench: CorrectiveBench) -> None:
    """The agent gets what CI found, and its repair is a commit on top of the red one."""
    red = bench.push("echo half > half.txt")
    bench.send_back()
    repaired = bench.push("echo done > done.txt")
    assert repaired != red
    assert bench.repository.git("rev-parse", f"{repaired}^") == red
    assert bench.contents(repaired) >= {"half.txt", "done.txt"}
    assert bench.repository.tip(bench.job.branch) == repaired
    assert bench.sessions() == ["none", "s1"]
    assert (bench.notes / "kinds").read_text().split() == ["first", "fix_forward"]
    first, second = bench.prompts()
    assert "Repair this branch" not in first
    for part in (red, bench.job.branch, "Repair this branch", "unit", "FAILED test_sum", "fix the sum"):
        assert part in second
    job = bench.job
    assert (job.state, job.result.commit, job.fix_forwards, job.turns) == (JobState.WAITING, repaired, 1, 2)


def test_corrective_turn_that_commits_nothing_goes_back_to_ci(bench: CorrectiveBench) -> None:
    """The branch is as it was; whether a person is needed depends on what CI says of it by now."""
    red = bench.push("echo half > half.txt")
    bench.send_back()
    _, ran = bench.turn("true")
    assert ran.result.commit == red
    reason = "the corrective turn committed nothing new"
    assert outcome(ran, FIRST) == TurnOutcome(step=NextStep.PUSHED, signal=None, reason=reason)


def test_corrective_turn_that_goes_back_to_a_judged_commit_is_nothing_new(bench: CorrectiveBench) -> None:
    """It is a push, and yet nothing new: CI has said what it thinks of it."""
    first = bench.push("echo half > half.txt")
    bench.send_back()
    bench.push("echo more > more.txt")
    bench.send_back()
    _, ran = bench.turn(f"git reset --quiet --hard {first}")
    assert ran.result.commit == first
    assert outcome(ran, FIRST).reason == "the corrective turn committed nothing new"


def test_another_host_repairs_the_pushed_branch(bench: CorrectiveBench, tmp_path: Path) -> None:
    """It has neither tree nor conversation: the branch is rebuilt, and the agent gets a recap."""
    red = bench.push("echo half > half.txt")
    bench.send_back()
    bench.made.variables["COALMINE_AGENT__WORK_DIR"] = str(tmp_path / "elsewhere")
    bench.parts.redis.hset(bench.parts.keys.session(f"builder-{bench.id[:8]}"), "session_host", "elsewhere")
    repaired = bench.push("echo done > done.txt")
    assert Git(bench.repository.path)("rev-parse", f"{repaired}^") == red
    assert bench.sessions() == ["none", "none"]
    assert "Repair this branch" in bench.prompts()[1]
    assert "I am done" in bench.prompts()[1]


def test_a_branch_that_was_brought_up_to_date_is_repaired_as_it_is(bench: CorrectiveBench) -> None:
    """The red commit is our merge, which the agent's tree lacks: the repair goes on top of it."""
    worked = bench.push("echo half > half.txt")
    newest = bench.repository.work("other", {"other.txt": "other\n"})
    bench.repository.git("merge", "--quiet", "--ff-only", newest)
    onto = Base(branch="main", commit=newest)
    merger = LocalMerge(git=LocalGit(bench.repository.path, "main"))
    red = merger.bring_up_to_date(bench.job.branch, worked, onto=onto, base=bench.job.base)
    assert bench.parts.jobs.brought_up(bench.job, commit=red, base=onto)
    bench.send_back()
    repaired = bench.push("echo done > done.txt")
    assert bench.repository.git("rev-parse", f"{repaired}^") == red
    assert bench.contents(repaired) >= {"half.txt", "other.txt", "done.txt"}
    assert (bench.job.base, bench.sessions()) == (onto, ["none", "s1"])


def test_failed_corrective_turn_is_tried_again_as_one(bench: CorrectiveBench) -> None:
    """The next attempt repairs the same commit, with a recap, and counts as no further repair."""
    red = bench.push("echo half > half.txt")
    bench.send_back()
    claim, ran = bench.turn("exit 3")
    assert outcome(ran, FIRST).step is NextStep.RETRY
    assert fail_attempt(bench.parts.jobs, claim, result=ran.result)
    bench.parts.redis.hset(bench.parts.keys.job(bench.id), "not_before", "0")
    repaired = bench.push("echo done > done.txt")
    assert red in bench.prompts()[2]
    assert "Recap of the earlier turn" in bench.prompts()[2]
    assert (bench.job.result.commit, bench.job.fix_forwards, bench.job.attempts) == (repaired, 1, 2)


def test_text_of_the_version_is_in_the_prompt(bench: CorrectiveBench) -> None:
    """A version that only differs in its text of a repair is another one, and its agents get that text."""
    champion = bench.parts.templates.champion("implementer").snapshot
    texts = {TurnKind.FIX_FORWARD: "Fix $commit on $branch."}
    made = bench.parts.templates.propose("implementer", champion.model_copy(update={"prompts": texts}))
    request = JobRequest(template=made.version.id, task="fix the sum", repository="local:shop")
    bench.id = bench.parts.mailbox.enqueue(request).job
    red = bench.push("echo half > half.txt")
    bench.send_back()
    bench.push("echo done > done.txt")
    assert f"Fix {red} on coalmine/{bench.id}." in bench.prompts()[1]
    assert "Repair this branch" not in bench.prompts()[1]
