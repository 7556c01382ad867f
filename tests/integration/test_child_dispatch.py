"""Agents that dispatch others: the mail that asks for it, and a fleet in which it happens."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.children import ChildOrder
from routing.jobs.job import Job, JobState
from routing.templates.version import Snapshot
from tasks.agents.mail.role import Role
from tasks.agents.mail_socket.child_dispatch import ChildDispatch
from tasks.agents.mail_socket.server import MailServer, MailTurn
from tasks.composition.composition import Coalmine
from tests.fleets.stepped_fleet import SteppedFleet, contents, request
from tests.fleets.worker_fleet import fleet, until_state
from tests.waiting import run, wait_until


class Lead:
    """An agent in a turn of a job, with its command."""

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self.fleet = SteppedFleet(client)
        self.fleet.add()
        app = self.fleet.app
        self.job = self.fleet.enqueue(role="lead").job
        self.agent = app.agents.register(role=Role.LEAD, job=self.job).name
        self.mail_server = MailServer(app.post_office, children=ChildDispatch(app.children, app.agents))
        turn = MailTurn(agent=self.agent, folder=folder / "turn", job=self.job, secrets={"KEY": "s3cr3t"})
        self.command = self.mail_server.open(turn)

    def dispatch(self, name: str, *more: str, **payload: object) -> subprocess.CompletedProcess[str]:
        """Ask for a child."""
        fields = {"task_id": name, "spec": "fix the door", "role": "builder", "file_scope": []} | payload
        arguments = ["--to", "coalmine", "--type", "dispatch", "--payload", json.dumps(fields), *more]
        return run([str(self.command), "send", *arguments])


@pytest.fixture
def lead(fake_redis: redis.Redis, tmp_path: Path) -> Iterator[Lead]:
    """A lead in its turn."""
    made = Lead(fake_redis, tmp_path)
    yield made
    made.mail_server.shut()


def test_answer_names_the_child(lead: Lead) -> None:
    """One line with the job and its agent, whose mail goes to the sender; secrets are left out."""
    done = lead.dispatch("door", "--body", "The key is s3cr3t.", "--subject", "please")
    job, _, _, agent = done.stdout.split()
    assert done.stdout == f"{job} dispatched as {agent}\n"
    child = lead.fleet.app.jobs.find(job)
    assert (child.parent, child.request.role, child.request.title) == (lead.job, "builder", "door")
    assert "s3cr3t" not in child.request.task
    found = lead.fleet.app.agents.find(agent)
    assert (found.is_live, found.parent, found.job, found.depth) == (True, lead.agent, job, 1)


def test_same_task_is_dispatched_once(lead: Lead) -> None:
    """A turn that is run again gets the child that there is."""
    first, again = (lead.dispatch("door").stdout.split() for _ in range(2))
    assert (again[0], again[1:4], again[-1]) == (first[0], ["was", "dispatched", "before"], first[-1])


def test_refusal_is_one_line(lead: Lead) -> None:
    """It says why, and what to do; the exit code is that of a conflict."""
    for name in "abcde":
        assert lead.dispatch(name).returncode == 0
    refused = lead.dispatch("f")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (4, "", 1)
    assert "5 of its children are at work" in refused.stderr
    assert len(lead.fleet.app.jobs.newest(most=100, parent=lead.job)) == 5


def test_wrong_order_is_refused_by_name(lead: Lead) -> None:
    """A payload without its fields reaches nobody."""
    refused = lead.dispatch("door", role="king")
    assert refused.returncode == 2
    assert "role" in refused.stderr


def test_turn_without_a_job_has_no_children(lead: Lead, tmp_path: Path) -> None:
    """There would be nobody whose child it is."""
    lead.command = lead.mail_server.open(MailTurn(agent=lead.agent, folder=tmp_path / "other"))
    refused = lead.dispatch("door")
    assert refused.returncode == 2
    assert "no parent" in refused.stderr


def test_turn_that_sends_nothing_has_no_children(lead: Lead, tmp_path: Path) -> None:
    """A shadow's agent may read its mail, and dispatches nobody: no job is made, and no agent."""
    before = contents(lead.fleet.redis)
    turn = MailTurn(agent=lead.agent, folder=tmp_path / "shadow", job=lead.job, sends=False)
    lead.command = lead.mail_server.open(turn)
    refused = lead.dispatch("door")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (4, "", 1)
    assert "it has no children" in refused.stderr
    assert contents(lead.fleet.redis) == before
    assert run([str(lead.command), "list"]).returncode == 0


def test_other_mail_to_coalmine_is_read_by_nobody(lead: Lead) -> None:
    """Only `dispatch` means something there."""
    arguments = [str(lead.command), "send", "--to", "coalmine", "--subject", "hello"]
    refused = run(arguments)
    assert refused.returncode == 2
    assert "nobody reads mail to coalmine" in refused.stderr


#: Sends two scouts out, and says what it has heard of them when it is asked again.
BOSS = r"""
if grep -q 'found the' "$COALMINE_PROMPT_FILE"; then
  grep -o 'found the [a-z]*' "$COALMINE_PROMPT_FILE" | sort -u
  exit 0
fi
for part in door wall; do
  "$COALMINE_MAIL" send --to coalmine --type dispatch --payload \
    "{\"task_id\": \"$part\", \"spec\": \"look for the $part\", \"role\": \"scout\", \"file_scope\": []}"
done
"""

#: Finds what it is to look for.
SCOUT = r"""
part=$(grep -o 'look for the [a-z]*' "$COALMINE_PROMPT_FILE" | head -n 1)
"$COALMINE_MAIL" send --to parent --type result --subject "found ${part#look for }"
"""


def children(parts: Coalmine, parent: str, count: int = 2) -> list[Job]:
    """Wait for a job's children."""
    wait_until(
        lambda: len(parts.jobs.newest(most=10, parent=parent)) == count, description="the children are there"
    )
    return parts.jobs.newest(most=10, parent=parent)


def test_results_of_children_reach_their_parent(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Two scouts report, their parent's next turn hears of both, and the trial knows of the parent alone."""
    assert redis_client.dbsize() == 0
    with fleet(tmp_path, redis_server.url) as made:
        parts = made.coalmine()
        parts.templates.add("implementer", Snapshot(prompt="one", command=BOSS))
        parts.templates.add("scout", Snapshot(command=SCOUT))
        canary = parts.templates.propose("implementer", Snapshot(prompt="two", command=BOSS)).version
        trial = parts.proposals.open(canary, parts.settings.canary.policy, by="ada").trial
        made.worker()
        made.beat()
        asked = request(role="coordinator", agent="boss")
        first = parts.mailbox.enqueue(asked).job
        until_state(parts, first, JobState.SUCCEEDED)
        for child in children(parts, first):
            assert until_state(parts, child.id, JobState.SUCCEEDED).trial == ""
        second = parts.mailbox.enqueue(asked).job
        ended = until_state(parts, second, JobState.SUCCEEDED)
        assert ended.result.tail.split("\n")[:2] == ["found the door", "found the wall"]
        ledger = parts.redis.lrange(parts.keys.dispatches(trial.id), 0, -1)
        assert [json.loads(entry)["job_id"] for entry in ledger] == [first, second]


def test_children_go_with_their_parent(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The parent is cancelled in its turn: its children, one at work and one that waits for room, are too."""
    assert redis_client.dbsize() == 0
    with fleet(tmp_path, redis_server.url, COALMINE_JOB__AGENTS_AT_ONCE="2") as made:
        parts = made.coalmine()
        parts.templates.add("implementer", Snapshot(command=f"{BOSS}\nexec sleep 300"))
        parts.templates.add("scout", Snapshot(command="exec sleep 300"))
        made.worker()
        made.beat()
        parent = parts.mailbox.enqueue(request(role="coordinator")).job
        both = [child.id for child in children(parts, parent)]
        wait_until(
            lambda: sorted(parts.jobs.find(child).state.value for child in both) == ["queued", "running"],
            description="one child is at work",
        )
        wait_until(lambda: parts.job_store.occupancy().held == 1, description="the other waits for room")
        parts.jobs.cancel(parent, by="ada", at=parts.now())
        for job in (parent, *both):
            until_state(parts, job, JobState.CANCELLED)
        assert parts.job_store.children(parent) == []


def test_children_of_a_failed_parent_are_ended_by_the_sweep(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The parent's agent dispatches two and crashes: what they do is of no use to anybody."""
    assert redis_client.dbsize() == 0
    with fleet(tmp_path, redis_server.url) as made:
        parts = made.coalmine()
        parts.templates.add("implementer", Snapshot(command=f"{BOSS}\nexit 1"))
        parts.templates.add("scout", Snapshot(command="exec sleep 300"))
        made.worker()
        made.beat()
        parent = parts.mailbox.enqueue(request(role="coordinator")).job
        until_state(parts, parent, JobState.FAILED)
        for child in children(parts, parent):
            until_state(parts, child.id, JobState.CANCELLED)


def test_child_whose_parent_has_gone_still_works(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The agent that asked for it is not there any more: its mail goes to people."""
    assert redis_client.dbsize() == 0
    with fleet(tmp_path, redis_server.url) as made:
        parts = made.coalmine()
        parts.templates.add("implementer", Snapshot(command=SCOUT))
        parent = parts.mailbox.enqueue(request()).job
        order = ChildOrder(parent=parent, agent="gone", name="door", spec="look for the door", role="scout")
        child = parts.children.dispatch(order).job
        made.worker()
        until_state(parts, child, JobState.SUCCEEDED)
        subjects = [mail.subject for mail in parts.post_office.newest(10, recipient="operator")]
        assert "found the door" in subjects
