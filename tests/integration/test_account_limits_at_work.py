"""Limits of accounts with real workers: each runtime's recordings, limits in mid-turn, and who waits."""

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tests.programs.limited_agent
from routing.accounts.breaker import Breaker, BreakerState
from routing.jobs.job import JobRequest, JobState
from routing.jobs.turn import TurnKind
from routing.templates.version import Snapshot
from tasks.agents.runtimes.registry import RUNTIMES
from tasks.composition.composition import Coalmine
from tasks.notify.notification import NotificationKind
from tests.fleets.worker_fleet import events_of, fleet, until_state
from tests.recordings.agent_recording import FOLDER
from tests.recordings.said_limits import RETRY, ROWS, SPENT, claude_result, gemini_error, opencode_error
from tests.servers.private_server import private_server
from tests.servers.sink_server import SinkServer, sink_server
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("account-limits-at-work")

#: The template of each, and the account that is called so.
MID_TURN = "mid-turn-of-{}"

#: Seconds after which a program is ended that does not end by itself: enough to start on a busy machine.
LONG = 10.0

#: The notifications that the sink gets; the last one says that an account serves again.
NEWS = (NotificationKind.NEEDS_HUMAN, NotificationKind.ACCOUNT_LIMITED, NotificationKind.ACCOUNT_OPEN)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A fleet, and a folder with programs of all runtimes that are one replay."""

    parts: Coalmine
    folder: Path
    sink: SinkServer  # of notifications

    def recording(self, name: str, lines: Sequence[Mapping[str, Any]], *, errors: Sequence[str] = ()) -> Path:
        """A file like a recording, of our own."""
        file = self.folder / f"{name}.json"
        said = [[0.0, json.dumps(line)] for line in lines]
        file.write_text(json.dumps({"stdout": said, "stderr": [[0.0, line] for line in errors], "rc": 1}))
        return file

    def add(self, template: str, runtime: str, first: Path, then: Path) -> None:
        """A template whose agent says `first` and, once that is over, `then`."""
        variables = {
            "TZ": "Asia/Tokyo",
            "PATH": f"{self.folder / 'bin'}{os.pathsep}/usr/bin:/bin",
            "LIMITED_BOOK": str(self.folder / "books" / template),
            "LIMITED_FIRST": str(first),
            "LIMITED_THEN": str(then),
        }
        content = Snapshot(
            runtime=runtime,
            prompt="work",
            environment=variables,
            accounts=(template,),
            time_limit_seconds=LONG if json.loads(first.read_text())["rc"] == "timeout" else None,
            command=str(self.folder / "bin" / "command") if runtime == "command" else None,
        )
        self.parts.templates.add(template, content)

    def good(self, runtime: str) -> Path:
        """The good end of a runtime, whose session is another one."""
        if runtime in GOOD:
            return FOLDER / f"{GOOD[runtime]}.json"
        fine = self.recording("fine", [{"type": "result", "text": "done"}])
        fine.write_text(fine.read_text().replace('"rc": 1', '"rc": 0'))
        return fine

    def runs(self, template: str) -> list[dict[str, Any]]:
        """What each run of a template's agent was given."""
        files = sorted((self.folder / "books" / template).glob("*.json"), key=lambda file: int(file.stem))
        return [json.loads(file.read_text()) for file in files]

    def breaker(self, account: str) -> Breaker:
        """The one that is closed of an account."""
        (closed,) = [
            each for each in self.parts.breakers.all() if each.account == account and not each.is_open
        ]
        return closed

    def until_heard(self, account: str) -> list[str]:
        """The kinds of all notifications of an account, once people know that it serves again."""
        heard: list[str] = []

        def look() -> bool:
            news = [json.loads(delivery.body) for delivery in self.sink.deliveries]
            heard[:] = [each["type"] for each in news if each["data"]["fields"].get("account") == account]
            return NotificationKind.ACCOUNT_OPEN in heard

        wait_until(look, description=f"people hear that {account} serves again")
        return heard

    def until_held(self, template: str, job: str) -> None:
        """Wait until a job waits for its account."""
        wait_until(lambda: job in self.parts.job_store.limited(100), description=f"{template} is held")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A worker and beat on a server of their own; one attempt a job, so that none may be lost."""
    folder = tmp_path_factory.mktemp("limits")
    programs = folder / "bin"
    programs.mkdir()
    agent = shlex.join([sys.executable, str(tests.programs.limited_agent.__file__)])
    for name in RUNTIMES:
        (programs / name).write_text(f'#!/bin/sh\nexec {agent} {name} "$@"\n')
        (programs / name).chmod(0o700)
    names = {name: row.runtime for name, row in zip(NAMES, ROWS, strict=True)}
    names |= {MID_TURN.format(name): met.runtime for name, met in MID_TURNS.items()}
    accounts: list[dict[str, Any]] = [{"name": name, "runtime": runtime} for name, runtime in names.items()]
    accounts.append({"name": "keyed", "runtime": "claude", "secrets": ["THE_KEY=KEY_OF_TEAM"]})
    with private_server(folder) as server, sink_server() as sink:
        settings = {
            "COALMINE_ACCOUNT": json.dumps(accounts),
            "KEY_OF_TEAM": "s3cr3t-of-team",
            "COALMINE_NOTIFY__INTERVAL_SECONDS": "0.5",
            "COALMINE_NOTIFY__WEBHOOK__URL": sink.address,
            "COALMINE_NOTIFY__WEBHOOK__SECRET": "a-secret-of-this-test",
            "COALMINE_NOTIFY__WEBHOOK__KINDS": ",".join(NEWS),
        }
        with fleet(folder, server.url, **settings) as made:
            made.worker()
            made.beat()
            parts = made.coalmine()
            wait_until(lambda: parts.notices.status("webhook"), description="the sink has its place")
            yield Scene(parts=parts, folder=folder, sink=sink)


#: Templates, and accounts that are called so: each closes its own.
NAMES = [f"row{number}" for number in range(len(ROWS))]

#: The good end of each runtime.
GOOD = {
    "claude": "claude-1-basic", "codex": "codex-2-stdin", "gemini": "gemini-1-basic",
    "opencode": "opencode-1-basic",
}  # fmt: skip


def test_a_limit_costs_no_attempt_and_the_session_goes_on(scene: Scene) -> None:
    """By recordings and by documented words: closed as was said, held, heard of once, and resumed."""
    parts, jobs, rows = scene.parts, {}, dict(zip(NAMES, ROWS, strict=True))
    for name, row in rows.items():
        file = FOLDER / f"{row.says}.json" if isinstance(row.says, str) else None
        lines = [] if isinstance(row.says, str) else row.says
        first = file or scene.recording(name, lines, errors=row.errors)
        scene.add(name, row.runtime, first, scene.good(row.runtime))
        jobs[name] = parts.mailbox.enqueue(JobRequest(template=name, task="work", max_attempts=1)).job
    for name, job in jobs.items():
        scene.until_held(name, job)
        held = parts.jobs.find(job)
        assert (held.state, held.attempts, held.turns) == (JobState.QUEUED, 0, 0), name
        assert len(scene.runs(name)) == 1
        assert parts.signals.read(job) == []
        closed = scene.breaker(f"{rows[name].runtime}:{name}")
        assert (closed.kind, closed.state is BreakerState.BROKEN) == (rows[name].kind, rows[name].is_broken)
        assert rows[name].is_until(closed), (name, closed)
    for name, row in rows.items():
        parts.breakers.reopen(f"{row.runtime}:{name}", by="the test")
    for name, row in rows.items():
        done = until_state(parts, jobs[name], JobState.SUCCEEDED)
        _, second = scene.runs(name)
        assert done.attempts == 1, name
        assert ("limit.lifted" in second["stdin"]) == row.has_session, name
    for name, row in rows.items():
        begins = NotificationKind.NEEDS_HUMAN if row.is_broken else NotificationKind.ACCOUNT_LIMITED
        assert scene.until_heard(f"{row.runtime}:{name}") == [begins, NotificationKind.ACCOUNT_OPEN]


@dataclass(frozen=True, kw_only=True)
class MidTurn:
    """A limit in the middle of a turn, in the form of one runtime: after its tools were used and paid for."""

    runtime: str
    session: str
    lines: Sequence[Mapping[str, Any]]
    errors: Sequence[str] = ()
    spent_usd: float = 0.0
    spent_tokens: int = 0


CLAUDE = "5b1f8a52-0f5d-4d2e-9b64-0c6f6f1f0001"
CODEX = "01a1f9f7-2f14-7652-ad84-40b59820eff3"
GEMINI = "fc74222a-b909-4152-9123-b094f72aa578"
OPENCODE = "ses_e060785a9ffe7U4y3GI4oVAS3O"
COMMAND = "made-by-the-command"

BASH = {"type": "tool_use", "name": "Bash", "input": {}}
USED = {"m": {"inputTokens": 900, "outputTokens": 80, "costUSD": 0.4}}
STEP = {"reason": "tool-calls", "cost": 0.4, "tokens": {"input": 900, "output": 80}}
TOOL = {"id": "item_1", "type": "command_execution", "command": "make", "status": "completed"}
SAID = {"id": "item_2", "type": "agent_message", "text": "half of it is done"}
WORK_OF_COMMAND: Sequence[Mapping[str, Any]] = [
    {"type": "session", "id": COMMAND},
    {"type": "tool", "name": "shell", "detail": "make"},
    {"type": "usage", "cost_usd": 0.4, "input_tokens": 900, "output_tokens": 80},
    {"type": "text", "text": "half of it is done"},
]

MID_TURNS = {
    "claude": MidTurn(
        runtime="claude", session=CLAUDE, spent_usd=0.4, spent_tokens=980,
        lines=[
            {"type": "system", "subtype": "init", "session_id": CLAUDE},
            {"type": "assistant", "message": {"content": [BASH]}},
            {"type": "assistant", "message": {"content": [{"type": "text", "text": "half of it is done"}]}},
            claude_result(
                "You've hit your session limit · resets 9pm", api_error_status=429, total_cost_usd=0.4,
                modelUsage=USED, model_usage_since_last_result=USED,
            ),
        ],
    ),
    "codex": MidTurn(
        runtime="codex", session=CODEX,
        lines=[
            {"type": "thread.started", "thread_id": CODEX},
            {"type": "turn.started"},
            {"type": "item.completed", "item": TOOL},
            {"type": "item.completed", "item": SAID},
            SPENT,
        ],
    ),
    "gemini": MidTurn(
        runtime="gemini", session=GEMINI, spent_tokens=980,
        lines=[
            {"type": "init", "session_id": GEMINI, "model": "gemini-2.5-flash"},
            {"type": "tool_use", "tool_name": "run_shell_command", "parameters": {"command": "make"}},
            {"type": "message", "role": "assistant", "content": "half of it is done", "delta": True},
            {**gemini_error(RETRY), "stats": {"input_tokens": 900, "output_tokens": 80}},
        ],
    ),
    "gemini-in-words": MidTurn(
        runtime="gemini", session=GEMINI,
        lines=[
            {"type": "init", "session_id": GEMINI, "model": "gemini-2.5-flash"},
            {"type": "tool_use", "tool_name": "run_shell_command", "parameters": {"command": "make"}},
        ],
        errors=["You have exhausted your daily quota on this model."],
    ),
    "opencode": MidTurn(
        runtime="opencode", session=OPENCODE, spent_usd=0.4, spent_tokens=980,
        lines=[
            {"type": "step_start", "sessionID": OPENCODE, "part": {"type": "step-start"}},
            {"type": "tool_use", "sessionID": OPENCODE, "part": {"tool": "bash", "state": {"input": {}}}},
            {"type": "step_finish", "sessionID": OPENCODE, "part": STEP},
            {**opencode_error(429, **{"retry-after": "7200"}), "sessionID": OPENCODE},
        ],
    ),
    "command": MidTurn(
        runtime="command", session=COMMAND, spent_usd=0.4, spent_tokens=980,
        lines=[*WORK_OF_COMMAND, {"type": "limit", "text": "enough"}],
    ),
    "command-in-words": MidTurn(
        runtime="command", session=COMMAND, spent_usd=0.4, spent_tokens=980, lines=WORK_OF_COMMAND,
        errors=["error: usage limit reached; try again in 2 hours"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "claude" else pytest.mark.long) for name in MID_TURNS]
)
def test_a_limit_in_mid_turn_keeps_what_was_done(scene: Scene, name: str) -> None:
    """Its session is resumed with the files that it had made; what it spent is on the job, and no attempt."""
    met, template = MID_TURNS[name], MID_TURN.format(name)
    scene.add(
        template,
        met.runtime,
        scene.recording(template, met.lines, errors=met.errors),
        scene.good(met.runtime),
    )
    job = scene.parts.mailbox.enqueue(JobRequest(template=template, task="work", max_attempts=1)).job
    scene.until_held(template, job)
    held = scene.parts.jobs.find(job)
    assert (held.kind == TurnKind.LIFTED, held.attempts) == (True, 0)
    assert held.spent_usd == pytest.approx(met.spent_usd)
    assert held.spent_tokens == met.spent_tokens
    assert scene.parts.signals.read(job) == []
    scene.parts.breakers.reopen(f"{met.runtime}:{template}", by="the test")
    done = until_state(scene.parts, job, JobState.SUCCEEDED)
    first, second = scene.runs(template)
    assert done.attempts == 1
    assert met.session not in [*first["argv"], first["session"]]
    assert met.session in [*second["argv"], second["session"]]
    assert second["files"] == ["done-by-0"], "its tree is as it left it"
    assert "limit.lifted" in second["stdin"]
    assert len(events_of(scene.parts, job, "job.limited")) == 1


def test_an_agent_gets_the_secrets_of_its_account(scene: Scene) -> None:
    """Under the name that the account says; its value is in no event."""
    good = FOLDER / "claude-1-basic.json"
    scene.add("keyed", "claude", good, good)
    job = scene.parts.mailbox.enqueue(JobRequest(template="keyed", task="work")).job
    done = until_state(scene.parts, job, JobState.SUCCEEDED)
    (run,) = scene.runs("keyed")
    assert (run["key"], done.account) == ("s3cr3t-of-team", "claude:keyed")
    assert all("s3cr3t-of-team" not in str(event.data) for event in scene.parts.events.all())


def test_the_probe_of_a_killed_worker_is_followed_by_another(tmp_path: Path) -> None:
    """It holds nobody for longer than its lease."""
    state, probes = tmp_path / "state", tmp_path / "probes"
    state.write_text("limited")
    line = f"""
        case "$(cat {state})" in
            limited) echo '{{"type": "limit", "until": 1, "text": "enough"}}'; exit 1;;
            hangs) echo $$ >>{probes}; sleep 120;;
        esac
    """
    settings = {"COALMINE_TIMES__LEASE_SECONDS": "1"}
    with private_server(tmp_path) as server, fleet(tmp_path, server.url, **settings) as made:
        parts = made.coalmine()
        made.worker("w1")
        made.beat()
        parts.templates.add("agent", Snapshot(prompt="work", command=line))
        request = JobRequest(template="agent", task="work", max_attempts=5)
        jobs = [parts.mailbox.enqueue(request).job for _ in range(3)]
        wait_until(lambda: set(parts.job_store.limited(9)) == set(jobs), description="all are held")
        state.write_text("hangs")
        parts.breakers.close("command:default", "", until=parts.now() + 0.5, words="", by="the test")
        wait_until(probes.exists, description="one tries it")
        (breaker,) = parts.breakers.all()
        assert breaker.state is BreakerState.PROBING
        assert len(parts.job_store.limited(9)) == 2
        state.write_text("good")
        made.kill("w1")
        made.worker("w2")
        for job in jobs:
            until_state(parts, job, JobState.SUCCEEDED)
        assert len(probes.read_text().split()) == 1
