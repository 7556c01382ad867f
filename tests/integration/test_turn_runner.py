"""One turn of a session, step by step: real processes, a store in memory that can be taken away."""

import json
import os
import random
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from structlog.testing import capture_logs

from routing.errors import StoreAwayError
from routing.jobs.ending import Ending, NotRun
from routing.jobs.retry import Attempts
from routing.process.command import SpawnError
from routing.process.table import ProcessTable
from routing.store.redis.scripts import Script
from routing.store.sessions.session_store import SessionStore, TurnEnd
from tasks.agents.mail.role import Role
from tasks.agents.mail_socket.server import MailServer
from tasks.agents.runtimes.agent_event import AgentEvent, Usage, UsageEvent, UsageScope
from tasks.agents.runtimes.command import CommandRuntime
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, Seen, TurnInput
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState
from tasks.agents.turn.ending import TerminalMail, TurnCleanup, TurnRecord
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.order import TurnOrder, TurnStart
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.agents.turn.turn_runner import StaleTurnError, TurnRunner
from tasks.work.lease_keeper import LeaseKeeper, LeaseTimes
from tests.fleets.post import ADA, PostFleet
from tests.fleets.stepped_fleet import contents
from tests.programs.agent_book import until_gone
from tests.programs.faulty_runtime import Faulty
from tests.servers.private_server import process_runs

LEASE = 1.0
TIMES = LeaseTimes(lease_seconds=LEASE, outage_seconds=LEASE)


class Flaky(SessionStore):
    """A store of which some calls fail, for as long as they are named."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.broken: set[str] = set()

    def call(self, script: Script[Any], /, *, doing: str, **given: Any) -> Any:
        """Fail if the script is named, else work as ever."""
        if script.name in self.broken:
            message = f"the server is away ({doing})"
            raise StoreAwayError(message)
        return super().call(script, doing=doing, **given)


class TurnBench:
    """A runner, an agent and a folder."""

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self.folder = folder
        self.post = PostFleet(client, server_time=True)
        self.store = Flaky(client, self.post.keys, retention_seconds=1000)
        self.mail_server = MailServer(self.post.office)
        self.agent = self.post.agent(Role.BUILDER, "0123456789abcdef")
        self.runner = TurnRunner(
            sessions=self.store,
            keeper=LeaseKeeper(
                LeaseTimes(lease_seconds=LEASE, outage_seconds=LEASE), monotonic=time.monotonic
            ),
            agents=self.post.agents,
            office=self.post.office,
            mail_server=self.mail_server,
            table=ProcessTable(),
            host="h1",
            finished_seconds=0.0,
        )
        self.starts: list[TurnStart] = []
        self.hear: Callable[[object], object] = lambda _event: None

    def order(self, line: str, *, prompt: str = "work", begins: bool = True, retry: bool = True) -> TurnOrder:
        """A turn that runs a shell line."""

        def compose(start: TurnStart) -> TurnInput:
            self.starts.append(start)
            return TurnInput(
                prompt=f"{prompt}{start.mail}",
                worktree=self.folder,
                environment={"PATH": os.environ["PATH"]},
                prompt_file=self.folder / "turn" / "prompt.md",
                log_file=self.folder / "turn" / "log",
            )

        return TurnOrder(
            agent=self.agent,
            worker="w1",
            job="",
            runtime=runtime_for(RuntimeSpec(command=line)),
            begins=begins,
            compose=compose,
            limits=TurnLimits(kill_grace_seconds=0.2, time_limit_seconds=20),
            attempts=Attempts(used=1, allowed=2 if retry else 1),
            on_event=self.heard,
        )

    def heard(self, event: object) -> None:
        """Whatever a test does with an event."""
        self.hear(event)

    def run(self, line: str, **more: Any) -> TurnRecord:
        """Run one turn."""
        record = self.runner.run(self.order(line, **more), StopSignal())
        assert isinstance(record, TurnRecord), record
        return record

    def read(self) -> SessionRecord:
        """The session."""
        return SessionRecord.parse(self.store.read(self.agent.name))

    def pid(self) -> int:
        """The process that wrote its pid into a file, if it came so far."""
        return int((self.folder / "pid").read_text())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[TurnBench]:
    """An agent without a session."""
    server = fakeredis.FakeServer()
    with fakeredis.FakeRedis(decode_responses=True, server=server) as client:
        made = TurnBench(client, tmp_path)
        yield made
        made.mail_server.shut()


def test_turn_and_its_record(bench: TurnBench) -> None:
    """What the program did, and what that meant."""
    record = bench.run('echo \'{"type": "session", "id": "c1"}\'; echo hello')
    assert (record.initial, record.final) == (SessionState.BOOTING, SessionState.COMPLETED)
    assert record.terminal_mail is TerminalMail.MISSING
    assert (record.result.exit_code, record.result.clean, record.result.session_id) == (0, True, "c1")
    stored = bench.read()
    assert (stored.runtime_session, stored.session_host, stored.lease_until) == ("c1", "h1", None)


def test_nothing_to_say_starts_nothing(bench: TurnBench) -> None:
    """No process, and no change of state, with a session or without one."""
    order = bench.order("touch started", prompt="", begins=False)
    assert bench.runner.run(order, StopSignal()) is NotRun.OVER
    bench.run("exit 1")
    before = bench.read()
    assert bench.runner.run(order, StopSignal()) is NotRun.NOTHING_TO_SAY
    after = bench.read()
    assert not (bench.folder / "started").exists()
    assert after == before.model_copy(update={"fence": 2, "last_activity": after.last_activity})


def test_mail_alone_is_worth_a_turn(bench: TurnBench) -> None:
    """All that waited is in the prompt, and is delivered when the turn was clean."""
    bench.run("exit 1")
    sent = [bench.post.send(ADA, bench.agent.name, body=f"number {each}") for each in (1, 2)]
    record = bench.run("cat > said; exit 1", prompt="", begins=False)
    assert not record.result.clean
    assert {bench.post.find(each).state for each in sent} == {"queued"}
    bench.run("cat > said", prompt="", begins=False)
    said = (bench.folder / "said").read_text()
    assert said.index("number 1") < said.index("number 2")
    assert {bench.post.find(each).state for each in sent} == {"acked"}


def test_prompt_waits_for_the_registration(bench: TurnBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is being written the process runs and has read no prompt; fail, and it dies at once."""
    bench.store.broken = {"session_run"}
    monkeypatch.setattr(bench.runner, "gives_up_at", lambda _stop: time.monotonic)  # the first refusal holds
    line = "echo $$ > pid; cat > said; touch said-to-the-end; sleep 600"
    with pytest.raises(StoreAwayError):
        bench.runner.run(bench.order(line), StopSignal())
    if (bench.folder / "pid").exists():
        until_gone(bench.pid(), timeout=0.5)
    assert not (bench.folder / "said-to-the-end").exists()
    stored = bench.read()
    assert (stored.state, stored.pid, stored.lease_until) == (SessionState.BOOTING, None, None)


def test_stale_turn_is_killed_before_it_reads_its_prompt(bench: TurnBench) -> None:
    """Somebody else has won the session while the process was being started."""
    order = bench.order("cat > said; sleep 600")
    compose = order.compose

    def slow(start: TurnStart) -> TurnInput | None:
        bench.store.redis.hset(bench.post.keys.session(bench.agent.name), "fence", 99)
        return compose(start)

    with pytest.raises(StaleTurnError, match="stale"):
        bench.runner.run(replace(order, compose=slow), StopSignal())
    said = bench.folder / "said"
    assert not said.exists() or not said.read_text()
    assert bench.read().state is SessionState.BOOTING


def test_spawn_error_leaves_the_state(bench: TurnBench) -> None:
    """The lease is free, and the mail waits again: it was not delivered, so that was not an attempt."""
    bench.run("exit 1")
    sent = bench.post.send(ADA, bench.agent.name)
    order = bench.order("true")
    compose = order.compose
    nowhere = bench.folder / "nowhere"

    def gone(start: TurnStart) -> TurnInput | None:
        given = compose(start)
        return replace(given, worktree=nowhere) if given else None

    with pytest.raises(SpawnError):
        bench.runner.run(replace(order, compose=gone), StopSignal())
    stored = bench.read()
    assert (stored.state, stored.lease_until, stored.turns) == (SessionState.BETWEEN_TURNS, None, 1)
    assert (bench.post.find(sent).state, bench.post.find(sent).attempts) == ("queued", 0)


def test_shutdown_is_not_an_attempt_at_delivering_mail(bench: TurnBench) -> None:
    """However often a worker is shut down in its turns, the agent gets its mail; other ends count."""
    sent = bench.post.send(ADA, bench.agent.name)
    attempts = []
    for reason in (StopReason.DRAIN, StopReason.CANCEL):
        stop = StopSignal()
        stop.set(reason)
        assert isinstance(bench.runner.run(bench.order("sleep 600"), stop), TurnRecord)
        attempts.append(bench.post.find(sent).attempts)
    assert attempts == [0, 1]


def test_conversation_is_saved_while_the_process_runs(bench: TurnBench) -> None:
    """A worker that dies later has not lost it; nor does a store that was away for a moment."""
    seen: list[str] = []

    def hear(_event: object) -> None:
        seen.append(bench.read().runtime_session)
        bench.store.broken.clear()

    bench.hear = hear
    bench.store.broken = {"session_seen"}
    bench.run('echo \'{"type": "session", "id": "c1"}\'; sleep 0.2; echo on; sleep 0.2; echo on')
    assert seen == ["", "c1", "c1"]


def test_store_that_is_away_does_not_keep_the_process(
    bench: TurnBench, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cleanup goes on to its end and says what failed; the result is not lost."""

    def hear(_event: object) -> None:
        bench.store.broken = {"session_end", "session_renew"}

    bench.hear = hear
    record = bench.run("echo $$ > pid; echo hello; setsid sleep 600 & exit 0")
    assert record.result.clean
    assert record.final is None
    assert not process_runs(bench.pid())
    assert "turn.cleanup_failed" in capsys.readouterr().out
    assert not (bench.folder / "turn" / "mail").exists()


def test_end_that_cannot_be_written_is_tried_less_and_less_often() -> None:
    """A store that is away is spared; the last try is made when the lease ends."""
    pauses: list[float] = []
    now = [0.0]

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    cleanup = TurnCleanup(
        "a", lease_ends=lambda: 20.0, monotonic=lambda: now[0], pause=pause, generator=random.Random(1)
    )

    def fail() -> None:
        message = "the store is away"
        raise StoreAwayError(message)

    assert cleanup.patiently("the end", fail) is None
    assert sum(pauses) == pytest.approx(20.0)
    assert len(pauses) < 20
    assert pauses[:3] == sorted(pauses[:3])


def test_end_of_finished_work_is_offered_for_longer_than_the_lease() -> None:
    """The fence keeps it from doing harm, and it was paid for."""
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    def answers_late() -> str:
        if now[0] < 90:
            message = "the store is away"
            raise StoreAwayError(message)
        return "written"

    cleanup = TurnCleanup(
        "a", lease_ends=lambda: 20.0, monotonic=lambda: now[0], pause=pause, generator=random.Random(1)
    )
    assert cleanup.patiently("the end", answers_late, at_least_seconds=300.0) == "written"


def test_what_a_person_may_want_to_look_at_is_in_the_workers_log(bench: TurnBench) -> None:
    """Silence, another conversation than the one that was asked for, and an end without terminal mail."""
    with capture_logs() as logs:
        bench.run('echo \'{"type": "session", "id": "c1"}\'; exit 1')
        bench.run('echo \'{"type": "session", "id": "c2"}\'')
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
        "session.resume_mismatch",
        "session.terminal_mail_missing",
    ]
    assert (logs[0]["asked"], logs[0]["seen"]) == ("c1", "c2")
    order = bench.order("sleep 600")
    with capture_logs() as logs:
        bench.runner.run(replace(order, limits=replace(order.limits, stall_seconds=0.2)), StopSignal())
    assert "session.stalled" in [log["event"] for log in logs]


def test_lost_lease_writes_nothing(bench: TurnBench) -> None:
    """The heir's session is as the heir left it."""
    heir: dict[str, Any] = {}
    key = bench.post.keys.session(bench.agent.name)

    def hear(_event: object) -> None:
        if not heir:
            bench.store.redis.hset(key, "lease_until", "1")
            bench.store.begin(bench.agent.name, lease_seconds=60, worker="w2", start={"job": "x"})
            heir.update(contents(bench.store.redis)[key])

    bench.hear = hear
    stop = StopSignal()
    line = "echo hello; sleep 2.2; echo again; sleep 600"  # the second event renews, and finds the lease lost
    record = bench.runner.run(bench.order(line), stop)
    assert isinstance(record, TurnRecord)
    assert stop.reason is StopReason.LEASE_LOST
    assert record.final is None
    assert contents(bench.store.redis)[key] == heir


class Cumulative(CommandRuntime):
    """A program that reports what its whole conversation has cost."""

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """As ever, but for what a report counts."""
        return [
            replace(event, scope=UsageScope.SESSION) if isinstance(event, UsageEvent) else event
            for event in super().parse(line)
        ]


def spend(session: str, total: float) -> str:
    """The shell line of a turn in a conversation that has cost so much by now."""
    lines = ({"type": "session", "id": session}, {"type": "usage", "cost_usd": total})
    return "; ".join([*(f"echo {shlex.quote(json.dumps(line))}" for line in lines), "exit 1"])


def test_resumed_turn_is_billed_the_difference(bench: TurnBench) -> None:
    """Of a total over the conversation; another conversation counts from its own beginning."""
    costs = []
    for session, total in (("c1", 0.5), ("c1", 0.8), ("c2", 0.25)):
        line = spend(session, total)
        order = replace(bench.order(line), runtime=Cumulative(RuntimeSpec(command=line)))
        record = bench.runner.run(order, StopSignal())
        assert isinstance(record, TurnRecord)
        costs.append(record.result.usage.cost_usd)
    assert costs == pytest.approx([0.5, 0.3, 0.25])
    stored = bench.read()
    assert (stored.billed, stored.runtime_session) == (Usage(cost_usd=0.25), "c2")
    assert stored.cost_usd == pytest.approx(1.05)
    assert [start.session_id for start in bench.starts] == [None, "c1", "c1"]


def test_old_terminal_mail_is_not_taken_for_this_turns(bench: TurnBench) -> None:
    """Only what is sent after the turn's beginning says how it went."""
    done = {"task_id": bench.agent.task, "branch": "", "exit_code": 0, "files_modified": []}
    lead = bench.post.agent(Role.LEAD, "1" * 16).name
    bench.post.send(bench.agent.name, lead, type_="worker_done", payload=done)
    record = bench.run("true")
    assert record.terminal_mail is TerminalMail.MISSING


def test_agent_that_is_asked_to_end_sends_no_mail(bench: TurnBench) -> None:
    """What it says in its grace period came too late for the turn, and reaches nobody."""
    lead = bench.post.agent(Role.LEAD, "1" * 16).name
    bye = f'"$COALMINE_MAIL" send --to {lead} --type result --subject done; echo $? > bye; exit 0'
    order = bench.order(f"trap '{bye}' TERM; echo ready; while :; do sleep 0.1; done")
    order = replace(order, limits=replace(order.limits, kill_grace_seconds=10))
    stop = StopSignal()
    bench.hear = lambda _event: stop.set(StopReason.CANCEL)
    record = bench.runner.run(order, stop)
    assert isinstance(record, TurnRecord)
    assert (record.result.ended_by, record.final) == (Ending.CANCEL, SessionState.ZOMBIE)
    assert record.terminal_mail is TerminalMail.MISSING
    assert (bench.folder / "bye").read_text().strip() != "0"
    assert bench.post.office.newest(10, recipient=lead) == []


def test_agent_that_waits_for_a_person_is_not_stalled(bench: TurnBench) -> None:
    """It asked for a decision, and is silent for longer than others may be."""
    gate = {"options": ["yes", "no"], "context": "which?"}

    def ask(_event: object) -> None:
        bench.post.send(bench.agent.name, "operator", type_="decision_gate", payload=gate)

    endings = []
    for hear, line in ((ask, "echo asking; sleep 3; exit 1"), (lambda _event: None, "echo on; sleep 600")):
        bench.hear = hear
        order = bench.order(line)
        order = replace(order, limits=replace(order.limits, stall_seconds=1.0))
        record = bench.runner.run(order, StopSignal())
        assert isinstance(record, TurnRecord)
        endings.append(record.result.ended_by)
        if (mail := bench.post.agents.find(bench.agent.name).gate) != "":
            bench.post.office.reply(ADA, mail, body="yes")
    assert endings == [Ending.RESULT, Ending.STALL]


def test_faulty_runtime_keeps_the_session(bench: TurnBench) -> None:
    """What it could not read is an unclean end: the mail waits again, and the last attempt gives up."""
    sent = bench.post.send(ADA, bench.agent.name)
    for retry, to in ((True, SessionState.BETWEEN_TURNS), (False, SessionState.ZOMBIE)):
        order = bench.order("echo $$ > pid; echo hello; sleep 600", retry=retry)
        faulty = Faulty(RuntimeSpec(command="echo $$ > pid; echo hello; sleep 600"), "parse")
        record = bench.runner.run(replace(order, runtime=faulty), StopSignal())
        assert isinstance(record, TurnRecord)
        assert (record.result.ended_by, record.final) == (Ending.PARSER_ERROR, to)
        stored = bench.read()
        assert stored.reason.startswith("its runtime could not read what it said: RuntimeError: the parser")
        assert (stored.lease_until, stored.pid) == (None, None)
        assert not process_runs(bench.pid())
        assert not retry or bench.post.find(sent).state == "queued"


def test_waiting_for_others_is_not_an_end(bench: TurnBench) -> None:
    """The agent said in its turn that it awaits those that it has sent out."""
    bench.hear = lambda _event: bench.store.await_others(bench.agent.name)
    record = bench.run("echo hello")
    assert (record.final, record.terminal_mail) == (SessionState.BETWEEN_TURNS, TerminalMail.NOT_DUE)
    assert bench.post.agents.find(bench.agent.name).is_live


def test_agent_says_by_its_command_that_it_awaits_mail(bench: TurnBench) -> None:
    """The job learns of it; the next turn has the mail, and waits for no more unless that is said again."""
    first = bench.run('"$COALMINE_MAIL" await >&2')
    assert (first.awaits, first.final, first.terminal_mail) == (
        True, SessionState.BETWEEN_TURNS, TerminalMail.NOT_DUE,
    )  # fmt: skip
    bench.post.send(ADA, bench.agent.name, subject="go on")
    second = bench.run("true")
    assert "go on" in bench.starts[-1].mail
    assert (second.awaits, second.final) == (False, SessionState.COMPLETED)


def test_unclean_turn_awaits_nothing(bench: TurnBench) -> None:
    """Whatever it said before: its job is tried again."""
    record = bench.run('"$COALMINE_MAIL" await >&2; exit 3')
    assert (record.awaits, record.final) == (False, SessionState.BETWEEN_TURNS)


def test_turn_waits_for_the_one_before(bench: TurnBench) -> None:
    """For a while; then it is put off, and nothing was started."""
    bench.runner.pause = lambda _seconds: None
    bench.store.begin(bench.agent.name, lease_seconds=60, worker="w2", start={"job": "x"})
    stop = StopSignal()
    assert bench.runner.run(bench.order("touch started"), stop) is NotRun.BUSY
    assert not (bench.folder / "started").exists()
    bench.store.end(TurnEnd(name=bench.agent.name, fence=1))
    assert bench.run("true").fence == 2


#: A program that does not have the conversation that it is to resume, which it finds out for some money.
FORGETFUL = (
    'echo \'{"type": "usage", "cost_usd": 0.25}\'; [ -z "$COALMINE_SESSION" ] || exit 1; '
    'echo \'{"type": "session", "id": "c2"}\'; cat > said'
)


def forgotten(bench: TurnBench) -> None:
    """A session whose conversation is c1."""
    bench.run('echo \'{"type": "session", "id": "c1"}\'; exit 1')
    bench.starts.clear()


def test_lost_conversation_is_begun_anew_in_the_same_turn(bench: TurnBench) -> None:
    """One lease and one turn; both processes are billed, the new conversation for its own; mail arrives."""
    forgotten(bench)
    sent = bench.post.send(ADA, bench.agent.name, subject="go on")
    record = bench.run(FORGETFUL)
    assert (record.final, record.fence, record.resumed) == (SessionState.COMPLETED, 2, False)
    assert record.result.usage.cost_usd == pytest.approx(0.5)
    stored = bench.read()
    assert (stored.runtime_session, stored.turns) == ("c2", 2)
    assert stored.billed == Usage(cost_usd=0.25)
    assert stored.cost_usd == pytest.approx(0.5)
    assert [(start.session_id, start.lost) for start in bench.starts] == [("c1", False), (None, True)]
    assert "go on" in (bench.folder / "said").read_text()
    assert bench.post.find(sent).state == "acked"
    (event,) = bench.post.events("session.lost")
    assert event.data["session"] == "c1"


def test_budget_holds_for_both_processes(bench: TurnBench) -> None:
    """What the first one has spent is not there for the second."""
    forgotten(bench)
    order = bench.order(f"{FORGETFUL}; sleep 600")
    spent = replace(order, limits=replace(order.limits, cost_usd=0.4))
    record = bench.runner.run(spent, StopSignal())
    assert isinstance(record, TurnRecord)
    assert record.result.ended_by is Ending.BUDGET
    assert record.result.usage.cost_usd == pytest.approx(0.5)


def test_nothing_is_begun_anew_for_a_worker_that_shuts_down(bench: TurnBench) -> None:
    """The turn counts as drained; the next one begins without the conversation."""
    forgotten(bench)
    stop = StopSignal()

    class Draining(CommandRuntime):
        """The worker gets the request to shut down just after the first process's exit."""

        def clean(self, exit_code: int, seen: Seen) -> bool:
            stop.set(StopReason.DRAIN)
            return super().clean(exit_code, seen)

    order = bench.order(FORGETFUL)
    record = bench.runner.run(replace(order, runtime=Draining(RuntimeSpec(command=FORGETFUL))), stop)
    assert isinstance(record, TurnRecord)
    assert (record.result.ended_by, record.final) == (Ending.DRAIN, SessionState.BETWEEN_TURNS)
    assert (len(bench.starts), bench.read().runtime_session) == (1, "")


def test_second_process_that_cannot_be_started(bench: TurnBench) -> None:
    """The turn is over, its lease is free, the conversation is forgotten, and the error is passed on."""
    forgotten(bench)
    sent = bench.post.send(ADA, bench.agent.name)
    order = bench.order(FORGETFUL)

    def gone(start: TurnStart) -> TurnInput | None:
        given = order.compose(start)
        return replace(given, worktree=bench.folder / "nowhere") if given and start.lost else given

    with pytest.raises(SpawnError):
        bench.runner.run(replace(order, compose=gone), StopSignal())
    stored = bench.read()
    assert (stored.state, stored.lease_until, stored.runtime_session, stored.turns) == (
        SessionState.BETWEEN_TURNS, None, "", 2,
    )  # fmt: skip
    assert bench.post.find(sent).state == "queued"


def test_turns_end_tells_nobody_of_a_death(bench: TurnBench) -> None:
    """It says how the agent would leave; whether it does is its job's to say."""
    lead = bench.post.agent(Role.LEAD, "1" * 16).name
    bench.agent = bench.post.agent(Role.BUILDER, "2" * 16, parent=lead)
    first, last = bench.run("exit 3"), bench.run("exit 3", retry=False)
    assert first.retirement is not None
    assert last.retirement is not None
    assert (first.retirement.is_end, last.retirement.is_end) == (False, True)
    assert (last.retirement.end.ended_by, last.retirement.end.exit_code) == (Ending.RESULT, 3)
    assert bench.post.office.newest(10, recipient=lead) == []
    assert bench.post.agents.find(bench.agent.name).is_live
