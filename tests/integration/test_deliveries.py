"""A turn that did its work is paid once: whatever becomes of its worker, only the push is made again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.git.git import Git
from routing.git.remote import Remote
from routing.jobs.job import Job, JobState
from routing.jobs.signal import SignalKind
from routing.templates.version import Snapshot
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tests.fleets.attempts import AttemptsFleet
from tests.repositories import TemporaryRepository, new_repository
from tests.waiting import wait_until

#: Refuses what `git ls-tree` lists as large, and says so as GitHub does.
LARGE = """#!/bin/sh
while read old new ref; do
  git ls-tree -r -l "$new" | awk '$4+0 > 1000 {exit 1}' && continue
  echo "error: GH001: Large files detected. File core.dump is 2.00 MB" >&2; exit 1
done
"""


class KilledError(BaseException):
    """The worker is gone between two steps."""


class Delivering:
    """One host with one job on a bare repository, and an agent that notes its turns."""

    def __init__(self, client: Redis, folder: Path, host: str = "h1", name: str = "") -> None:
        self.folder = folder
        self.repository = TemporaryRepository(folder / "shop", folder / "shop-bench")
        remotes = {"shop": Remote(address=str(self.repository.path))}
        self.fleet = AttemptsFleet(
            client, folder / (name or host), remotes=remotes, host=host, max_attempts=2
        )

    def job(self, line: str) -> str:
        """A job whose agent does a line in each turn."""
        command = f"echo $COALMINE_TURN_KIND >> {self.folder}/turns; cat > {self.folder}/prompt; {line}"
        self.fleet.app.templates.add("implementer", Snapshot(prompt="work", command=command))
        return self.fleet.job(repository="shop")

    def turns(self) -> list[str]:
        """The kinds of the turns that were run."""
        file = self.folder / "turns"
        return file.read_text().split() if file.exists() else []

    def facts(self, job: str) -> set[SignalKind]:
        """What is known of the job."""
        return {fact.kind for fact in self.fleet.app.signals.read(job)}

    def pushed(self, job: str) -> bool:
        """Whether its branch is in the repository, at the commit that it waits for."""
        found = self.fleet.find(job)
        branch = f"refs/heads/{found.branch}"
        tip = self.repository.git.attempt("rev-parse", "--verify", branch).stdout.strip()
        return found.state is JobState.WAITING and found.result.commit == tip

    def hook(self, text: str) -> None:
        """Give the repository a pre-receive hook."""
        file = self.repository.path / "hooks" / "pre-receive"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def lose_worker(self, job: str) -> Job:
        """Have the worker killed after the turn and before its push, and its lease swept."""

        def kill() -> None:
            raise KilledError

        self.fleet.before_push = kill
        with pytest.raises(KilledError):
            self.fleet.work(job)
        self.fleet.before_push = lambda: None
        self.fleet.fleet.clock.forward(1000)
        assert self.fleet.app.jobs.reap(at=self.fleet.fleet.clock()) == [job]
        return self.fleet.find(job)


@pytest.fixture
def there(redis_client: Redis, tmp_path: Path) -> Iterator[Delivering]:
    """A host, and a bare repository."""
    new_repository(tmp_path, bare=True)
    made = Delivering(redis_client, tmp_path)
    with made.fleet:
        yield made


def test_forge_that_is_away_costs_waiting_alone(there: Delivering) -> None:
    """However often it is tried: one turn, one attempt, and the commit is pushed in the end."""
    job, path = there.job("echo one > work.txt"), there.repository.path
    there.fleet.before_push = lambda: shutil.move(path, path.with_suffix(".away")) if path.exists() else None
    assert [there.fleet.work(job) for _ in range(4)] == ["hindered"] * 4
    waiting = there.fleet.find(job)
    assert (waiting.state, waiting.attempts, waiting.hindrance and waiting.hindrance.times) == (
        "queued",
        0,
        4,
    )
    assert "finished and waits to be pushed" in waiting.reason
    there.fleet.before_push = lambda: None
    shutil.move(path.with_suffix(".away"), path)
    assert there.fleet.work(job) == "pushed"
    assert (there.turns(), there.pushed(job)) == (["first"], True)
    assert there.fleet.find(job).attempts == 1


def test_worker_that_dies_before_the_push_costs_no_second_turn(there: Delivering) -> None:
    """The sweep counts no attempt, and the next worker of the host pushes."""
    job = there.job("echo one > work.txt")
    for _ in range(3):  # more often than the job may be attempted
        lost = there.lose_worker(job)
        assert (lost.state, lost.attempts) == ("queued", 0)
    assert there.fleet.work(job) == "pushed"
    assert (there.turns(), there.pushed(job)) == (["first"], True)


def test_result_without_a_repository_is_not_paid_twice(there: Delivering) -> None:
    """What lacks is the report alone."""
    command = f"echo run >> {there.folder}/turns"
    there.fleet.app.templates.add("implementer", Snapshot(prompt="work", command=command))
    job = there.fleet.job()

    def kill() -> None:
        raise KilledError

    there.fleet.before_report = kill
    with pytest.raises(KilledError):
        there.fleet.work(job)
    there.fleet.before_report = lambda: None
    there.fleet.fleet.clock.forward(1000)
    there.fleet.app.jobs.reap(at=there.fleet.fleet.clock())
    assert there.fleet.work(job) == "finished"
    assert there.turns() == ["run"]
    assert there.fleet.find(job).state is JobState.SUCCEEDED


def test_turn_that_awaits_mail_is_not_paid_twice(there: Delivering) -> None:
    """Its worker died before it could say so: the next one does, and runs nothing."""
    command = f'echo run >> {there.folder}/turns; "$COALMINE_MAIL" await'
    there.fleet.app.templates.add("implementer", Snapshot(prompt="work", command=command))
    job = there.fleet.job()

    def kill() -> None:
        raise KilledError

    there.fleet.before_report = kill
    with pytest.raises(KilledError):
        there.fleet.work(job)
    there.fleet.before_report = lambda: None
    there.fleet.fleet.clock.forward(1000)
    there.fleet.app.jobs.reap(at=there.fleet.fleet.clock())
    assert there.fleet.work(job) == "await"
    assert there.turns() == ["run"]


def test_refused_content_is_repaired_in_one_turn_that_hears_why(there: Delivering) -> None:
    """The second turn gets the server's words, and its push is taken."""
    there.hook(LARGE)
    job = there.job("if [ -f core.dump ]; then git rm -qf core.dump; git commit -q --amend -m good;"
                    " else echo good > work.txt; head -c 9000 /dev/zero > core.dump; fi")  # fmt: skip
    assert there.fleet.work(job) == "refused"
    refused = there.fleet.find(job)
    assert (refused.state, refused.kind, refused.attempts) == ("queued", "refused", 0)
    # Our commit of what the agent left uncommitted holds the file, so it is amended away.
    assert there.fleet.work(job) == "pushed"
    assert there.turns() == ["first", "refused"]
    assert "GH001: Large files detected" in (there.folder / "prompt").read_text()
    assert there.pushed(job)
    assert there.fleet.find(job).refused == ""


def test_content_that_is_refused_twice_is_a_persons_and_counts(there: Delivering) -> None:
    """No third push, and the version's score is 0; what a person repairs is pushed without another turn."""
    there.hook(LARGE)
    job = there.job("head -c 9000 /dev/zero > core.dump")
    assert [there.fleet.work(job), there.fleet.work(job)] == ["refused", "escalate"]
    assert there.facts(job) == {SignalKind.REFUSED}
    assert "Large files" in there.fleet.find(job).reason
    there.hook("#!/bin/sh\n")
    there.fleet.app.jobs.retry(job, by="ada")
    assert there.fleet.work(job) == "pushed"
    assert there.turns() == ["first", "refused"]


def test_history_that_the_agent_made_anew_is_a_persons_at_once(there: Delivering) -> None:
    """Nothing is pushed, and nothing tried again."""
    begin = "rm -rf .git; git init -q; git add -A; git commit -q -m Initial"
    job = there.job(f"echo x > w; {begin}")
    assert there.fleet.work(job) == "escalate"
    assert there.facts(job) == {SignalKind.REFUSED}
    assert "no history in common" in there.fleet.find(job).reason
    assert not there.pushed(job)


@pytest.mark.parametrize("taken", ["coalmine", "coalmine/{job}/notes"])
def test_branch_name_that_is_taken_is_found_before_an_agent_is_paid(there: Delivering, taken: str) -> None:
    """A person is asked, no version is blamed, and a retry begins the work."""
    job = there.job("echo one > work.txt")
    name = taken.format(job=job)
    there.repository.git("branch", name, "main")
    assert there.fleet.work(job) == "escalate"
    assert (there.turns(), there.facts(job)) == ([], {SignalKind.SETUP})
    assert name in there.fleet.find(job).reason
    there.repository.git("branch", "-m", name, "other")
    there.fleet.app.jobs.retry(job, by="ada")
    assert there.fleet.work(job) == "pushed"


def test_branch_that_somebody_moved_is_left_to_them(there: Delivering) -> None:
    """No blind second run, and the person's commit stays."""
    job = there.job("echo one > work.txt")
    there.fleet.before_push = lambda: there.repository.work(f"coalmine/{job}", {"theirs.txt": "x"})
    assert there.fleet.work(job) == "escalate"
    assert (there.turns(), there.facts(job)) == (["first"], {SignalKind.CANCELLED})


def test_finished_work_waits_for_the_host_that_has_it(there: Delivering, redis_client: Redis) -> None:
    """Another host offers the job again without a turn, and the first one pushes."""
    job = there.job("echo one > work.txt")
    there.lose_worker(job)
    other = Delivering(redis_client, there.folder, host="h2")
    with other.fleet:
        other.fleet.fleet.clock.now = there.fleet.fleet.clock.now
        assert other.fleet.work(job) == "hindered"
        there.fleet.fleet.clock.now = other.fleet.fleet.clock.now
        assert there.fleet.find(job).attempts == 0
        assert there.fleet.work(job) == "pushed"
    assert (there.turns(), there.pushed(job)) == (["first"], True)


def test_folder_of_another_worker_of_the_host_is_not_taken_for_a_lost_one(
    there: Delivering, redis_client: Redis
) -> None:
    """Two workers of a host may have a working folder each."""
    job = there.job("echo one > work.txt")
    there.lose_worker(job)
    other = Delivering(redis_client, there.folder, name="beside")
    with other.fleet:
        other.fleet.fleet.clock.now = there.fleet.fleet.clock.now
        assert other.fleet.work(job) == "hindered"


def test_work_that_is_lost_with_its_host_is_named_and_done_again(
    there: Delivering, redis_client: Redis
) -> None:
    """Only after the time for it is over is another turn paid."""
    job = there.job("echo one > work.txt")
    there.lose_worker(job)
    other = Delivering(redis_client, there.folder, host="h2")
    with other.fleet:
        other.fleet.fleet.clock.now = there.fleet.fleet.clock.now
        assert [other.fleet.work(job), other.fleet.work(job)] == ["hindered", "retry"]
        assert "its finished work is lost" in other.fleet.find(job).reason
        assert "h1" in other.fleet.find(job).reason
        assert other.fleet.work(job) == "pushed"
    assert there.turns() == ["first", "redispatch"]


def test_tree_that_is_gone_from_its_own_host_is_lost_at_once(there: Delivering) -> None:
    """Nobody else can have it, so nobody waits."""
    job = there.job("echo one > work.txt")
    there.lose_worker(job)
    shutil.rmtree(there.folder / "h1" / "work" / "shop" / job)
    assert [there.fleet.work(job), there.fleet.work(job)] == ["retry", "pushed"]
    assert len(there.turns()) == 2


@pytest.mark.parametrize("look", [1, 2, 3])
def test_work_that_is_cancelled_between_its_turn_and_its_push_is_not_pushed(
    there: Delivering, look: int
) -> None:
    """Before the work is taken over, and right before the push: the last word is asked for each time."""
    job, looks = there.job("echo one > work.txt"), []

    def cancel() -> None:
        looks.append(1)
        if len(looks) == look:
            there.fleet.app.jobs.cancel(job, by="ann", at=there.fleet.fleet.clock())

    there.fleet.before_push = cancel
    assert there.fleet.work(job) == "cancel"
    found = there.fleet.find(job)
    assert (found.state, found.result.commit, "pushed" in found.reason) == (JobState.CANCELLED, "", False)
    assert there.repository.git.attempt("rev-parse", "--verify", f"coalmine/{job}").returncode != 0
    assert len(looks) == look


def test_a_finished_turn_that_is_cancelled_during_its_delivery_is_not_pushed(there: Delivering) -> None:
    """No agent runs then, so that nothing else would see the cancel."""
    job = there.job("echo one > work.txt")
    there.lose_worker(job)
    there.fleet.before_push = lambda: there.fleet.app.jobs.cancel(job, by="ann", at=there.fleet.fleet.clock())
    assert there.fleet.work(job) == "cancel"
    assert there.repository.git.attempt("rev-parse", "--verify", f"coalmine/{job}").returncode != 0


def test_what_was_pushed_a_moment_before_a_cancel_is_named(there: Delivering) -> None:
    """Nobody has to look for it."""
    job = there.job("echo one > work.txt")
    there.fleet.before_report = lambda: there.fleet.app.jobs.cancel(
        job, by="ann", at=there.fleet.fleet.clock()
    )
    assert there.fleet.work(job) == "cancel"
    tip = there.repository.git("rev-parse", f"coalmine/{job}")
    assert f"cancelled by ann; {tip[:12]} had been pushed to coalmine/{job}" in there.fleet.find(job).reason


def cancels_before_its_report(there: Delivering, job: str) -> Job:
    """Work on a job that ann cancels when its turn is over, and before that is reported."""
    jobs, clock = there.fleet.app.jobs, there.fleet.fleet.clock
    there.fleet.before_report = lambda: jobs.cancel(job, by="ann", at=clock())
    assert there.fleet.work(job) == "cancel"
    there.fleet.before_report = lambda: None
    return there.fleet.find(job)


def kept(there: Delivering, job: str) -> set[str]:
    """The files of a cancelled job's branch, which the reason has named, in our git directory of it."""
    found = there.fleet.find(job)
    assert found.state is JobState.CANCELLED
    assert f"kept on the branch {found.branch} in its work tree on h1" in found.reason
    git = Git(RepositoryPlace(work_dir=there.folder / "h1" / "work", repository="shop").git_dir(job))
    return set(git("ls-tree", "--name-only", found.branch).splitlines())


LIMITED = """echo '{"type": "limit", "until": 99999999999, "text": "enough"}'"""


@pytest.mark.parametrize(
    "line",
    [f"echo half > half.txt; {LIMITED}; exit 1", "echo half > half.txt; exit 3"],
    ids=["limit", "failed"],
)
def test_a_cancel_after_a_turn_that_is_to_go_on_names_the_branch(there: Delivering, line: str) -> None:
    """It would have been put off, or tried again."""
    job = there.job(line)
    cancels_before_its_report(there, job)
    assert "half.txt" in kept(there, job)


def test_a_cancel_after_a_delivery_that_was_hindered_names_the_branch(there: Delivering) -> None:
    """The forge is away; also when another worker of the host tried to deliver it."""
    job, path = there.job("echo one > work.txt"), there.repository.path
    there.fleet.before_push = lambda: shutil.move(path, path.with_suffix(".away")) if path.exists() else None
    assert there.fleet.work(job) == "hindered"
    cancels_before_its_report(there, job)
    assert "work.txt" in kept(there, job)
    assert there.turns() == ["first"]


def test_a_cancel_after_a_refused_push_names_the_branch(there: Delivering) -> None:
    """The server has nothing of it."""
    there.hook(LARGE)
    job = there.job("head -c 9000 /dev/zero > core.dump")
    cancels_before_its_report(there, job)
    assert "core.dump" in kept(there, job)


def test_a_cancel_where_the_work_is_elsewhere_names_its_host(there: Delivering, redis_client: Redis) -> None:
    """The worker that was asked has no tree to keep."""
    job = there.job("echo one > work.txt")
    there.lose_worker(job)
    other = Delivering(redis_client, there.folder, host="h2")
    with other.fleet:
        other.fleet.fleet.clock.now = there.fleet.fleet.clock.now
        found = cancels_before_its_report(other, job)
    assert "cancelled by ann; what its turn did is kept as it is in its work tree on h1" in found.reason


def test_finished_work_that_nobody_delivers_any_more_is_named(there: Delivering) -> None:
    """The job waited for a worker when it was cancelled, so none can say where its work is."""
    job = there.job("echo one > work.txt")
    there.lose_worker(job)
    there.fleet.app.jobs.cancel(job, by="ann", at=there.fleet.fleet.clock())
    assert there.fleet.find(job).reason == (
        "cancelled by ann; its finished work is kept in its work tree on h1"
    )


def test_a_cancel_outweighs_a_limit_that_the_turn_met(there: Delivering) -> None:
    """The agent said the limit, and was ended when its job was cancelled: that is not put off."""
    begun = there.folder / "begun"
    job = there.job(f"echo half > half.txt; {LIMITED}; touch {begun}; exec sleep 600")

    def cancel(stop: StopSignal) -> None:
        wait_until(begun.exists, description="the agent has met its limit")
        there.fleet.app.jobs.cancel(job, by="ann", at=there.fleet.fleet.clock())
        stop.set(StopReason.CANCEL)

    there.fleet.while_it_runs = cancel
    assert there.fleet.work(job) == "cancel"
    assert "half.txt" in kept(there, job)
