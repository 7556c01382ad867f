"""Trials of pairs on a real fleet: both versions work on each issue, and nobody sees one of them."""

import json
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairSettlement
from routing.embedded.private_server import PrivateServer
from routing.events import AUTO_PROMOTED, ROLLED_BACK
from routing.git.git import Git
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.templates.trial import Arm, Trial, TrialState
from routing.templates.version import Snapshot
from tasks.agents.repository.place import shadow_ref, shadows_beside
from tests.fleets.shop import ShopFleet, shop
from tests.fleets.worker_fleet import until_state
from tests.servers.sink_server import SinkServer, sink_server
from tests.waiting import wait_until

#: A few pairs decide; the same for both stories.
POLICY = (
    '{"mode": "shadow", "delta": 0.4, "alpha": 0.1, "beta": 0.1, "revert_window_seconds": 0, "share": 0.5}'
)

#: Green when the work is there, and nothing is broken.
CI = "test -e done.txt && test ! -e broken.txt"

#: Does its work.
GOOD = 'echo done > done.txt; echo "$COALMINE_JOB_ID" > "work-$COALMINE_JOB_ID.txt"'

#: Tries to be seen: by a branch, also by address, by mail to people, and by a child.
NOISE = """git add -A
git -c user.name=a -c user.email=a@invalid commit --quiet --message loud
git push --quiet origin HEAD:refs/heads/loud || true
git push --quiet "$(git config remote.origin.url)" HEAD:refs/heads/loud || true
"$COALMINE_MAIL" send --to operator --type question --subject help --body help || true
"$COALMINE_MAIL" send --to coalmine --type dispatch --payload \\
  '{"task_id": "help", "spec": "help", "role": "builder", "file_scope": []}' || true"""

#: The same, after its work, and after it has broken something.
GOOD_AND_LOUD, BAD_AND_LOUD = f"{GOOD}; {NOISE}", f"{GOOD}; echo broken > broken.txt; {NOISE}"

#: Issues that are opened at the most; both stories need fewer.
MOST = 14


@pytest.fixture
def url(redis_client: Redis, redis_server: PrivateServer) -> str:
    """An empty server."""
    assert redis_client.ping()
    return redis_server.url


def play(made: ShopFleet, canary: str) -> Trial:
    """Put a version on trial, and open issues one by one until there is a verdict."""
    parts = made.parts
    prompt = "Do what the issue says, well."
    step, _ = parts.proposals.propose("implementer", Snapshot(prompt=prompt, command=canary))
    trial = parts.proposals.open(step.version, parts.settings.canary.policy, by="a test").trial
    for number in range(3, 3 + MOST):
        issue = made.open_issue(number)
        wait_until(partial(_is_worked, made, issue, trial), description=f"{issue} is closed", timeout=60)
        wait_until(lambda: settled(made, trial), description="all pairs are settled", timeout=30)
        if not parts.trials.find(trial.id).is_open:
            break
    return parts.trials.find(trial.id)


def _is_worked(made: ShopFleet, issue: IssueRef, trial: Trial) -> bool:
    return made.issue(issue).state == "closed" or not made.parts.trials.find(trial.id).is_open


def settled(made: ShopFleet, trial: Trial) -> bool:
    """Whether no pair is open, or the trial has ended."""
    found = made.parts.trials.find(trial.id)
    state = made.parts.harvester.evidence(found)
    assert isinstance(state, PairEvidence)
    return not found.is_open or (state.counts.open == 0 and state.counts.dispatched > 0)


def heard(sink: SinkServer) -> dict[str, str]:
    """The variables of a fleet that sends all its notifications to a sink."""
    notify = {"INTERVAL_SECONDS": "0.3", "WEBHOOK__URL": sink.address, "WEBHOOK__SECRET": "a-secret-of-tests"}
    return {f"COALMINE_NOTIFY__{name}": value for name, value in notify.items()}


def notified(sink: SinkServer) -> dict[str, set[str]]:
    """What a sink was sent: by kind, what it was about."""
    found: dict[str, set[str]] = {}
    for one in list(sink.deliveries):
        document = json.loads(one.body)
        found.setdefault(document["type"], set()).add(document["data"]["subject"])
    return found


def shadows(made: ShopFleet) -> list[Job]:
    """The jobs that nobody is to see."""
    return [job for job in made.parts.jobs.newest(most=100) if job.shadow]


def nobody_saw_shadows(made: ShopFleet, sink: SinkServer, *, verdict: str) -> list[Job]:
    """The shadows of a trial, of which there is no branch, merge, comment, mail, child or notification."""
    hidden = shadows(made)
    git = Git(made.repository.path)
    branches = git("for-each-ref", "--format=%(refname)").split()
    assert "refs/heads/loud" not in branches
    assert not [job.id for job in hidden if f"refs/heads/{job.branch}" in branches]
    landed = git("ls-tree", "--name-only", "HEAD").split()
    assert not [job.id for job in hidden if f"work-{job.id}.txt" in landed]
    shown = "".join(file.read_text() for file in made.issues.glob("*"))
    assert not [job.id for job in hidden if job.id in shown]
    assert made.parts.post_office.newest(10, recipient="operator") == []
    everything = made.parts.jobs.newest(most=100)
    assert [job.id for job in everything if job.parent] == []
    assert len(everything) == 2 * len(hidden)
    wait_until(lambda: verdict in notified(sink), description="people are notified of the verdict")
    delivered = {job.partner for job in hidden}
    wait_until(
        lambda: delivered <= notified(sink).get("done", set()),
        description="people are notified of what was delivered",
    )
    assert not [job.id for job in hidden for one in sink.deliveries if job.id.encode() in one.body]
    return hidden


def test_a_bad_canary_is_rolled_back_by_pairs_and_nobody_sees_its_work(tmp_path: Path, url: str) -> None:
    """No branch, merge, comment, mail, child or notification of it; its commits are kept here alone."""
    with (
        sink_server() as sink,
        shop(tmp_path, url, GOOD, ci=CI, policy=POLICY, variables=heard(sink)) as made,
    ):
        wait_until(lambda: made.parts.notices.status("webhook"), description="the sink has its place")
        trial = play(made, BAD_AND_LOUD)
        assert trial.state is TrialState.ROLLED_BACK
        assert made.parts.templates.champion("implementer").number == 1
        assert [event.kind for event in made.parts.events.all()].count(ROLLED_BACK) == 1
        state = made.parts.harvester.evidence(trial)
        assert isinstance(state, PairEvidence)
        assert state.counts.champion_only >= 3
        assert (state.counts.canary_only, state.counts.excluded) == (0, 0)
        assert made.parts.harvester.replayed(trial) == state
        hidden = nobody_saw_shadows(made, sink, verdict="rolled_back")
        assert "broken.txt" not in Git(made.repository.path)("ls-tree", "--name-only", "HEAD").split()
        kept = Git(shadows_beside(next((tmp_path / "work").glob("*/.coalmine/mirror.git"))))
        done = [job for job in hidden if job.state is JobState.SUCCEEDED]
        assert len(done) >= 3
        for job in done:
            assert kept("rev-parse", f"{shadow_ref(job.branch)}^{{commit}}") == job.result.commit
            assert "broken.txt" in kept("ls-tree", "--name-only", job.result.commit).split()
            champion = made.parts.jobs.find(job.partner)
            assert champion.base == job.base
            assert champion.base is not None


def test_a_canary_that_is_as_good_graduates_by_pairs(tmp_path: Path, url: str) -> None:
    """After a few issues; all that landed is the champion's, and nobody saw the rest."""
    with (
        sink_server() as sink,
        shop(tmp_path, url, GOOD, ci=CI, policy=POLICY, variables=heard(sink)) as made,
    ):
        wait_until(lambda: made.parts.notices.status("webhook"), description="the sink has its place")
        trial = play(made, GOOD_AND_LOUD)
        assert trial.state is TrialState.GRADUATED
        assert made.parts.templates.champion("implementer").number == 2
        assert [event.kind for event in made.parts.events.all()].count(AUTO_PROMOTED) == 1
        state = made.parts.harvester.evidence(trial)
        assert isinstance(state, PairEvidence)
        assert state.counts.both == state.counts.settled > 3
        assert made.parts.harvester.replayed(trial) == state
        nobody_saw_shadows(made, sink, verdict="graduated")


#: No verdict, whatever becomes of the few pairs of a story.
LONG = '{"mode": "shadow", "delta": 0.9, "alpha": 0.0001, "beta": 0.0001, "revert_window_seconds": 0}'

#: By the number of the issue: the champion crashes, does work that its server refuses, and hangs.
CHAMPION = f"""case "$COALMINE_ISSUE" in *'#4') exit 7;; *'#5') echo refused > refused.txt;;
*'#8') tail -f /dev/null;; esac; {GOOD}"""

#: The canary crashes, hangs, and meets the limit of its account once, as the environment says where to note.
CANARY = f"""case "$COALMINE_ISSUE" in *'#3') exit 7;; *'#6'|*'#7'|*'#8') tail -f /dev/null;;
*'#9') if mkdir "$SEEN"; then echo '{{"type": "limit", "text": "enough"}}'; exit 1; fi;; esac; {GOOD}"""

#: Each version has an account of its own, so that the limit of one is not the other's.
ACCOUNTS = [{"name": name, "runtime": "command"} for name in ("of-champion", "of-canary")]

#: What the server of the repository refuses.
REFUSAL = """#!/bin/sh
while read -r old new name; do
  case "$(git ls-tree --name-only "$new" 2>/dev/null)" in *refused.txt*) echo no >&2; exit 1;; esac
done
"""


def pair_of(made: ShopFleet, number: int) -> tuple[Job, Job]:
    """Both jobs of an issue's pair, once they are there."""

    def found() -> list[Job]:
        return [job for job in made.parts.jobs.newest(most=100) if job.request.issue.endswith(f"#{number}")]

    made.open_issue(number)
    wait_until(lambda: len(found()) == 2, description=f"issue {number} is a pair", timeout=30)
    canary, champion = sorted(found(), key=lambda job: not job.shadow)
    return champion, canary


def line_of(made: ShopFleet, trial: Trial, champion: Job) -> PairSettlement:
    """What became of a pair, once that is known."""

    def found() -> list[PairSettlement]:
        ledger = made.parts.harvester.ledger(trial.id)
        return [line for line in ledger if isinstance(line, PairSettlement) and line.index == champion.pair]

    wait_until(found, description=f"the pair of job {champion.id} is settled", timeout=60)
    (line,) = found()
    return line


@pytest.mark.long
def test_faults_in_one_half_hit_the_pair_and_no_version_alone(tmp_path: Path, url: str) -> None:
    """A crash is its version's; a refused push changes nothing; a cancel and a lost worker leave it out.

    A limit of one half's account costs it waiting alone: both are judged, and the ledger says who waited.
    """
    lease = {"COALMINE_TIMES__LEASE_SECONDS": "3", "COALMINE_ACCOUNT": json.dumps(ACCOUNTS)}
    with shop(tmp_path, url, CHAMPION, ci=CI, policy=LONG, variables=lease) as made:
        hook = made.repository.path / ".git" / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(REFUSAL)
        hook.chmod(0o755)
        parts = made.parts
        seen = {"SEEN": str(tmp_path / "seen")}
        content = Snapshot(prompt="Do it well.", command=CANARY, accounts=("of-canary",), environment=seen)
        step, _ = parts.proposals.propose("implementer", content)
        trial = parts.proposals.open(step.version, parts.settings.canary.policy, by="a test").trial
        for number, scores in ((3, (1.0, 0.0)), (4, (0.0, 1.0)), (5, (1.0, 1.0))):
            champion, _ = pair_of(made, number)
            line = line_of(made, trial, champion)
            assert (line.champion, line.canary) == scores, (number, line)
        champion, canary = pair_of(made, 6)
        parts.jobs.cancel(canary.id, by="ada", at=parts.now())
        assert line_of(made, trial, champion).kind == "excluded"
        champion, canary = pair_of(made, 7)
        until_state(parts, canary.id, JobState.RUNNING)
        made.fleet.kill("w1")
        made.fleet.worker("w2")
        assert line_of(made, trial, champion).kind == "excluded"
        champion, canary = pair_of(made, 8)
        for half in (champion, canary):
            until_state(parts, half.id, JobState.RUNNING)
        parts.jobs.cancel(champion.id, by="ada", at=parts.now())
        line = line_of(made, trial, champion)
        assert (line.kind, line.excluded_by) == ("excluded", None), "people see the champion's job alone"
        until_state(parts, canary.id, JobState.CANCELLED)
        champion, canary = pair_of(made, 9)
        wait_until(
            lambda: canary.id in parts.job_store.limited(9), description="the canary waits for its account"
        )
        assert parts.jobs.find(canary.id).attempts == 0
        parts.breakers.reopen("command:of-canary", by="a test")
        line = line_of(made, trial, champion)
        assert (line.champion, line.canary, line.waited) == (1.0, 1.0, (Arm.CANARY,))
        assert len(parts.harvester.ledger(trial.id)) == 14
        found = parts.trials.find(trial.id)
        assert parts.harvester.replayed(found) == parts.harvester.evidence(found)
