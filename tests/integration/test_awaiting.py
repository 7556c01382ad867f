"""Agents that end their turn to wait for mail, on a real worker: parked, woken, resumed."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import Job, JobState
from routing.templates.version import Snapshot
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState
from tasks.composition.composition import Coalmine
from tests.fleets.stepped_fleet import request
from tests.fleets.worker_fleet import ROOT, WorkerFleet, events_of, fleet, until_state
from tests.waiting import wait_until

#: Sends two scouts out and waits for them; when it is asked again, it keeps its prompt, and ends.
BOSS = r"""
turn=$(ls "$ROOM" | grep -c '^prompt-')
cp "$COALMINE_PROMPT_FILE" "$ROOM/prompt-$turn"
if [ "$turn" -gt 0 ]; then
  exec "$COALMINE_MAIL" send --to parent --type result --subject 'all is found' >&2
fi
for part in $PARTS; do
  "$COALMINE_MAIL" send --to coalmine --type dispatch --payload \
    "{\"task_id\": \"$part\", \"spec\": \"look for the $part\", \"role\": \"scout\", \"file_scope\": []}" >&2
done
"$COALMINE_MAIL" await >"$ROOM/answer"
"""

#: Finds what it is to look for when the gate is open.
SCOUT = r"""
part=$(grep -o 'look for the [a-z]*' "$COALMINE_PROMPT_FILE" | head -n 1)
while [ ! -e "$ROOM/gate" ]; do sleep 0.1; done
"$COALMINE_MAIL" send --to parent --type result --subject "found ${part#look for }"
"""


class AwaitingHouse:
    """A fleet with an agent that waits, and the folder in which the agents leave what they see."""

    def __init__(self, made: WorkerFleet, folder: Path) -> None:
        self.made, self.room, self.talk = made, folder / "room", folder / "talk"
        self.room.mkdir()
        self.talk.mkdir()

    def open(self, parts_to_find: str) -> tuple[Coalmine, str]:
        """Let a lead begin that looks for some parts; returns the fleet's parts and its job."""
        parts = self.made.coalmine()
        room = f"ROOM={shlex.quote(str(self.room))}; PARTS={shlex.quote(parts_to_find)}"
        line = [
            sys.executable,
            str(ROOT / "tests" / "programs" / "talking_agent.py"),
            str(self.talk),
            f"{room}\n{BOSS}",
        ]
        parts.templates.add("implementer", Snapshot(prompt="lead", command=f"exec {shlex.join(line)}"))
        parts.templates.add("scout", Snapshot(command=f"{room}\n{SCOUT}"))
        self.made.worker()
        self.made.beat()
        return parts, parts.mailbox.enqueue(request(role="lead")).job

    def prompt(self, turn: int) -> str:
        """The prompt of a turn of the lead; the first is 0."""
        return (self.room / f"prompt-{turn}").read_text()


@pytest.fixture
def house(redis_server: PrivateServer, redis_client: Redis, tmp_path: Path) -> Iterator[AwaitingHouse]:
    """One attempt a job, and no process yet."""
    assert redis_client.dbsize() == 0
    with fleet(tmp_path, redis_server.url) as made:
        yield AwaitingHouse(made, tmp_path)


def until_parked(parts: Coalmine, job: str) -> Job:
    """Wait until a job's agent has ended its turn to wait for mail."""
    wait_until(lambda: events_of(parts, job, "job.awaiting"), description="the job waits for mail")
    return until_state(parts, job, JobState.QUEUED)


def session(parts: Coalmine, job: str) -> SessionRecord:
    """The session of a lead's job."""
    return SessionRecord.parse(parts.sessions.read(f"lead-{job[:8]}"))


def test_children_wake_their_parent(house: AwaitingHouse) -> None:
    """Its second turn gets both results as one message, in the same conversation; no attempt is counted."""
    parts, parent = house.open("door wall")
    parked = until_parked(parts, parent)
    assert (parked.kind, parked.attempts, parked.turns) == ("mail", 0, 1)
    assert session(parts, parent).state is SessionState.BETWEEN_TURNS
    assert (house.room / "answer").read_text().startswith("noted: ")
    for child in parts.jobs.newest(most=10, parent=parent):
        until_state(parts, child.id, JobState.RUNNING)  # published by sweeps that left the parent alone
    (event,) = events_of(parts, parent, "job.awaiting")
    due = parts.redis.zscore(parts.keys("outbox"), parent)
    assert due == pytest.approx(event.at + 3600, abs=0.01), "a publication would have moved it"
    assert parts.redis.zscore(parts.keys("unclaimed"), parent) is None

    parts.switch.pause("so that both results are there before the parent goes on")
    (house.room / "gate").touch()
    for child in parts.jobs.newest(most=10, parent=parent):
        until_state(parts, child.id, JobState.SUCCEEDED)
    parts.switch.resume("both are there")
    ended = until_state(parts, parent, JobState.SUCCEEDED)

    prompt = house.prompt(1)
    assert "2 mails arrived for you" in prompt
    assert ("found the door" in prompt, "found the wall" in prompt) == (True, True)
    assert "Recap" not in prompt
    assert (ended.attempts, ended.turns, len(events_of(parts, parent, "job.woken"))) == (1, 2, 1)
    after = session(parts, parent)
    assert (after.state, after.runtime_session, after.turns) == (SessionState.COMPLETED, "s1", 2)
    assert sorted(path.name for path in house.talk.iterdir()) == ["s1"]
    name = after.name
    states = [event.data["to"] for event in parts.events.all()
              if event.kind == "session.state" and event.subject == name]  # fmt: skip
    assert states == ["booting", "in_turn", "between_turns", "in_turn", "completed"]
    assert parts.post_office.agents_with_mail(10) == []


def test_nobody_writes(house: AwaitingHouse) -> None:
    """When the time is over the next turn begins all the same, and its prompt says so."""
    house.made.variables["COALMINE_AGENT__AWAIT_SECONDS"] = "1"
    parts, job = house.open("")
    ended = until_state(parts, job, JobState.SUCCEEDED)
    assert "No mail has arrived for you, and the time to wait for it is over." in house.prompt(1)
    assert (ended.attempts, ended.turns) == (1, 2)
    assert events_of(parts, job, "job.woken") == []
