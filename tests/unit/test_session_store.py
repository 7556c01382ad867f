"""Sessions in the store: who may go from where to where, and whose turn it is."""

import itertools
import json
import threading

import pytest
import redis

from routing.cost import Cost
from routing.store.fleet.tick_store import TickStore
from routing.store.redis.keys import PERMANENT_KINDS
from routing.store.redis.lease import LeaseStatus
from routing.store.sessions.session_store import SessionAnswer, TurnRefusal
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import ALLOWED, BY_HOLDER, SessionState, may_move
from tests.fleets.sessions import LEASE, PROCESS, Sessions

S = SessionState
HELD, LOST = LeaseStatus(held=True), LeaseStatus(held=False)
LATE = LeaseStatus(held=True, is_late=True)


@pytest.fixture
def sessions(redis_client: redis.Redis) -> Sessions:
    """No session yet."""
    return Sessions(redis_client)


@pytest.mark.parametrize(("start", "to", "holds"), list(itertools.product(S, S, [True, False])))
def test_each_step_is_the_tables(sessions: Sessions, start: S, to: S, *, holds: bool) -> None:
    """Every step from every state, by the turn's holder and by others, answers as the table says."""
    fence = sessions.in_state(start)
    count = len(sessions.events("session.state"))
    answer = sessions.move(to, fence if holds else None)
    if may_move(start, to, holds_turn=holds):
        assert answer == SessionAnswer.OK
        assert sessions.read().state is to
        (*_, event) = sessions.events("session.state")
        assert (event.data["from"], event.data["to"]) == (start.value, to.value)
    else:
        assert answer in {start.value, SessionAnswer.STALE}
        assert (answer == SessionAnswer.STALE) == (not holds and to not in {S.STALLED, S.ZOMBIE})
        assert sessions.read().state is start
        assert len(sessions.events("session.state")) == count


def test_table_of_the_specification() -> None:
    """The main way, the two sideways, and who may go them."""
    assert may_move(S.BOOTING, S.IN_TURN, holds_turn=True)
    assert may_move(S.IN_TURN, S.BETWEEN_TURNS, holds_turn=True)
    assert may_move(S.BETWEEN_TURNS, S.IN_TURN, holds_turn=True)
    assert not may_move(S.BETWEEN_TURNS, S.IN_TURN, holds_turn=False)
    assert ALLOWED[S.ZOMBIE] == frozenset(S) - {S.COMPLETED, S.ZOMBIE}
    assert ALLOWED[S.STALLED] == {S.BOOTING, S.IN_TURN, S.BETWEEN_TURNS}
    assert ALLOWED[S.COMPLETED] == frozenset(S) - {S.COMPLETED}
    assert S.COMPLETED in BY_HOLDER
    assert not ALLOWED[S.BOOTING]


def test_unknown_session_is_missing(sessions: Sessions) -> None:
    """There is nothing to move, to register or to end."""
    assert sessions.move(S.ZOMBIE) == SessionAnswer.MISSING
    assert sessions.run() == SessionAnswer.MISSING
    assert sessions.end(S.COMPLETED) == SessionAnswer.MISSING
    assert sessions.store.renew([("builder-1", 1)], extend_seconds=1.0) == [LOST]


def test_one_turn_at_a_time(sessions: Sessions) -> None:
    """The second asks in vain until the first has given the lease back; fences grow."""
    assert sessions.begin() == SessionAnswer.OK
    assert sessions.begin() == TurnRefusal.BUSY
    assert sessions.run() == SessionAnswer.OK
    assert sessions.begin() == TurnRefusal.BUSY
    assert sessions.end(S.BETWEEN_TURNS) == SessionAnswer.OK
    assert sessions.begin() == SessionAnswer.OK
    assert sessions.read().fence == 2


def test_expired_lease_is_taken_over(sessions: Sessions) -> None:
    """The first holder's writes are refused from then on, each of them."""
    sessions.in_state(S.IN_TURN)
    sessions.clock.forward(LEASE - 0.1)
    assert sessions.begin() == TurnRefusal.BUSY
    sessions.clock.forward(0.1)
    assert sessions.begin() == SessionAnswer.OK
    record = sessions.read()
    assert (record.fence, record.pid, record.state) == (2, None, S.IN_TURN)
    assert sessions.run(1) == SessionAnswer.STALE
    assert sessions.end(S.COMPLETED, 1) == SessionAnswer.STALE
    assert sessions.move(S.COMPLETED, 1) == SessionAnswer.STALE
    assert (
        sessions.store.seen("builder-1", fence=1, session_id="s", asked="", host="h") == SessionAnswer.STALE
    )
    assert sessions.store.renew([("builder-1", 1), ("builder-1", 2)], extend_seconds=1) == [LOST, HELD]
    assert sessions.read() == record.model_copy(update={"lease_until": sessions.clock() + 1})


def test_lease_that_was_taken_registers_no_process(sessions: Sessions) -> None:
    """A worker that was slow to start its agent has to kill it, unless nobody has taken the turn."""
    sessions.begin()
    sessions.clock.forward(LEASE)
    assert sessions.run() == SessionAnswer.OK
    assert sessions.begin() == SessionAnswer.OK
    assert sessions.run() == SessionAnswer.STALE
    assert sessions.read().pid is None


def test_begin_may_be_made_again(sessions: Sessions) -> None:
    """Where its answer was lost, the same call finds the turn that it won; another one is refused."""

    def begin(call_id: str) -> dict[str, str] | TurnRefusal:
        return sessions.store.begin(
            "builder-1", lease_seconds=LEASE, worker="w1", start={"job": "j1"}, call_id=call_id
        )

    won = begin("one")
    assert begin("one") == won
    assert begin("two") is TurnRefusal.BUSY
    sessions.end(None)
    assert begin("one") != won, "it was given back"


def test_end_may_be_made_again(sessions: Sessions) -> None:
    """Where its answer was lost, the same call is answered as at first; the turn counts once."""
    sessions.in_state(S.IN_TURN)
    assert sessions.end(S.BETWEEN_TURNS, call_id="one", cost=Cost(usd=2.0)) == SessionAnswer.OK
    assert sessions.end(S.BETWEEN_TURNS, call_id="two", cost=Cost(usd=2.0)) == SessionAnswer.STALE
    assert sessions.end(S.BETWEEN_TURNS, cost=Cost(usd=2.0)) == SessionAnswer.STALE
    assert sessions.end(S.BETWEEN_TURNS, call_id="one", cost=Cost(usd=2.0)) == SessionAnswer.OK
    assert (sessions.read().turns, sessions.read().cost_usd) == (1, 2.0)
    sessions.begin()
    assert sessions.end(S.BETWEEN_TURNS, call_id="one") == SessionAnswer.OK
    assert sessions.read().lease_until is not None, "the next turn goes on"


def test_refused_end_may_be_made_again(sessions: Sessions) -> None:
    """What its state did not allow is said again."""
    sessions.begin()
    assert sessions.end(S.ZOMBIE, call_id="zero") == SessionAnswer.OK
    sessions.begin()
    for _ in range(2):
        assert sessions.end(S.BETWEEN_TURNS, fence=2, call_id="one") == S.BOOTING


def test_lease_that_was_given_back_ends_nothing(sessions: Sessions) -> None:
    """The fence alone gives no right: the turn is over."""
    sessions.in_state(S.IN_TURN)
    assert sessions.end(None) == SessionAnswer.OK
    assert sessions.end(S.COMPLETED) == SessionAnswer.STALE
    assert sessions.move(S.COMPLETED, 1) == SessionAnswer.STALE
    assert sessions.read().state is S.IN_TURN


def test_renewal_keeps_the_lease(sessions: Sessions) -> None:
    """The lease lasts from its last renewal; events move the last activity, looks do not."""
    sessions.in_state(S.IN_TURN)
    begun = sessions.clock()
    sessions.clock.forward(20)
    assert sessions.store.renew([("builder-1", 1)], extend_seconds=LEASE) == [HELD]
    sessions.clock.forward(20)
    assert sessions.begin() == TurnRefusal.BUSY
    assert sessions.read().last_activity == begun
    sessions.store.renew([("builder-1", 1)], extend_seconds=0.0, active=True)
    assert sessions.read().last_activity == sessions.clock()
    sessions.clock.forward(10)
    assert sessions.store.renew([("builder-1", 1)], extend_seconds=0) == [LATE]
    assert sessions.begin() == SessionAnswer.OK
    assert sessions.store.renew([("builder-1", 1)], extend_seconds=LEASE) == [LOST]


def test_time_after_the_lease_does_not_count_as_silence(sessions: Sessions) -> None:
    """The machine slept for an hour: the agent was silent for the ten seconds before, and for no more."""
    sessions.in_state(S.IN_TURN)
    sessions.clock.forward(10)
    sessions.store.renew([("builder-1", 1)], extend_seconds=LEASE)
    sessions.clock.forward(3600 + LEASE)
    assert sessions.store.renew([("builder-1", 1)], extend_seconds=LEASE) == [HELD]
    assert sessions.clock() - sessions.read().last_activity == 10 + LEASE


def test_time_without_sweeps_takes_no_turn(sessions: Sessions) -> None:
    """After the machine slept, a turn's holder has some seconds before anybody takes its turn."""
    ticks = TickStore(sessions.redis, sessions.keys, sessions.clock)
    sessions.in_state(S.IN_TURN)
    ticks.beat()
    sessions.clock.forward(3600)
    assert sessions.move(S.STALLED, expired=True) == SessionAnswer.ALIVE
    assert sessions.begin() == TurnRefusal.BUSY
    sessions.clock.forward(5)
    assert sessions.move(S.STALLED, expired=True) == SessionAnswer.OK


def test_registration_names_the_process(sessions: Sessions) -> None:
    """A process that is to end the turn finds host, boot, pid and start; they go with the turn."""
    sessions.in_state(S.IN_TURN)
    record = sessions.read()
    assert (record.host, record.boot_id, record.pid, record.start_ticks) == ("h1", "b1", 41, 7)
    assert record.state is S.IN_TURN
    sessions.end(S.BETWEEN_TURNS)
    record = sessions.read()
    assert (record.host, record.pid, record.lease_until, record.holder) == ("", None, None, "")


def test_conversation_is_saved_at_once(sessions: Sessions) -> None:
    """What the agent says holds, without an event while nothing else was asked for."""
    sessions.in_state(S.IN_TURN)
    assert sessions.store.seen("builder-1", fence=1, session_id="s1", asked="", host="h1") == SessionAnswer.OK
    record = sessions.read()
    assert (record.runtime_session, record.session_host) == ("s1", "h1")
    assert sessions.events("session.resume_mismatch") == []


def test_mismatch_is_recorded_with_both_ids(sessions: Sessions) -> None:
    """The observed id wins, and what was billed of the other conversation does not count for this one."""
    sessions.in_state(S.IN_TURN)
    sessions.store.seen("builder-1", fence=1, session_id="s1", asked="", host="h1")
    sessions.end(S.BETWEEN_TURNS, fields={"billed": '{"cost_usd": 2.5}'})
    assert sessions.read().billed == Usage(cost_usd=2.5)
    sessions.begin()
    sessions.run(2)
    sessions.store.seen("builder-1", fence=2, session_id="s2", asked="s1", host="h1")
    (event,) = sessions.events("session.resume_mismatch")
    assert event.data == {"asked": "s1", "seen": "s2"}
    record = sessions.read()
    assert (record.runtime_session, record.billed) == ("s2", Usage())


def test_lost_conversation_is_reported(sessions: Sessions) -> None:
    """It is forgotten in the step that registers the process of the new one."""
    sessions.in_state(S.IN_TURN)
    sessions.store.seen("builder-1", fence=1, session_id="s1", asked="", host="h1")
    sessions.end(S.BETWEEN_TURNS)
    sessions.begin()
    assert sessions.read().runtime_session == "s1"
    assert sessions.run(2, lost="it is elsewhere") == SessionAnswer.OK
    (event,) = sessions.events("session.lost")
    assert event.data == {"session": "s1", "reason": "it is elsewhere"}
    assert sessions.read().runtime_session == ""


def test_turns_and_costs_add_up(sessions: Sessions) -> None:
    """Of the session, and of the job if it still has a record."""
    sessions.redis.hset(sessions.keys.job("j1"), "state", "running")
    for fence, cost in ((1, 0.5), (2, 0.25)):
        sessions.begin()
        sessions.run(fence)
        sessions.end(
            S.BETWEEN_TURNS, fence, cost=Cost(turns=1, usd=cost, seconds=60 * cost), job="j1", retry=True
        )
    record = sessions.read()
    assert (record.turns, record.cost_usd, record.retries) == (2, 0.75, 2)
    counted = sessions.redis.hmget(sessions.keys.job("j1"), "turns", "spent_usd", "spent_seconds")
    assert counted == ["2", "0.75", "45"]
    sessions.begin()
    sessions.run(3)
    sessions.end(S.BETWEEN_TURNS, 3, cost=Cost(turns=1, usd=1.0), job="gone")
    assert not sessions.redis.exists(sessions.keys.job("gone"))


@pytest.mark.parametrize("state", [S.COMPLETED, S.ZOMBIE])
def test_new_life(sessions: Sessions, state: S) -> None:
    """A session that is over begins again with a job's turn, and never with mail alone."""
    sessions.in_state(S.IN_TURN)
    sessions.end(state, retry=True)
    assert sessions.begin(begins=False) == TurnRefusal.OVER
    assert sessions.read().state is state
    assert sessions.begin() == SessionAnswer.OK
    record = sessions.read()
    assert (record.state, record.life, record.retries, record.gave_up) == (S.BOOTING, 2, 0, state.value)


def test_mail_alone_begins_no_session(sessions: Sessions) -> None:
    """Nothing is written for an agent that never had a turn."""
    assert sessions.begin(begins=False) == TurnRefusal.MISSING
    assert list(sessions.redis.scan_iter()) == []


def test_zombie_of_the_watchdog_can_be_completed_by_its_turn(sessions: Sessions) -> None:
    """The terminal mail was already there: the turn's holder has the last word."""
    sessions.in_state(S.IN_TURN)
    assert sessions.move(S.ZOMBIE) == SessionAnswer.OK
    assert sessions.begin() == TurnRefusal.BUSY
    assert sessions.end(S.COMPLETED) == SessionAnswer.OK
    assert sessions.read().state is S.COMPLETED


def test_illegal_end_gives_the_lease_back(sessions: Sessions) -> None:
    """The cleanup is done, whatever becomes of the state."""
    sessions.in_state(S.IN_TURN)
    sessions.move(S.ZOMBIE)
    assert sessions.end(S.BETWEEN_TURNS) == "zombie"
    record = sessions.read()
    assert (record.state, record.lease_until, record.turns) == (S.ZOMBIE, None, 1)
    assert sessions.store.in_turn(10) == []


def test_expired_move_leaves_live_turns_alone(sessions: Sessions) -> None:
    """What a lost worker left is removed with its lease, not before."""
    sessions.in_state(S.IN_TURN)
    assert sessions.move(S.STALLED, expired=True) == SessionAnswer.ALIVE
    assert sessions.read().pid == 41
    sessions.clock.forward(LEASE)
    assert sessions.move(S.STALLED, expired=True) == SessionAnswer.OK
    record = sessions.read()
    assert (record.state, record.pid, record.lease_until) == (S.STALLED, None, None)
    assert sessions.end(S.COMPLETED) == SessionAnswer.STALE


@pytest.mark.parametrize("watched", [True, False])
def test_turn_that_nobody_ended_is_remembered(sessions: Sessions, *, watched: bool) -> None:
    """In whatever way it lost its lease, the next holder knows what to end, until it has a process itself."""
    sessions.in_state(S.IN_TURN)
    assert sessions.read().left == ""
    sessions.clock.forward(LEASE)
    if watched:
        assert sessions.move(S.STALLED, expired=True) == SessionAnswer.OK
    for fence in (2, 3):
        assert sessions.begin() == SessionAnswer.OK
        assert sessions.read().left == "m"
        if fence == 2:  # it could not start its process: the old one may be there still
            assert sessions.end(None, fence) == SessionAnswer.OK
    sessions.store.run_by("builder-1", fence=3, allowed=S, process=PROCESS | {"marker": "n"})
    assert sessions.end(S.BETWEEN_TURNS, 3) == SessionAnswer.OK
    assert sessions.begin() == SessionAnswer.OK
    assert sessions.read().left == ""


def test_wish_to_stop_reaches_the_holder(sessions: Sessions) -> None:
    """The first wish holds, for that turn alone."""
    sessions.in_state(S.IN_TURN)
    assert sessions.store.stop("builder-1", kind="stall", reason="quiet", fence=2) == SessionAnswer.STALE
    assert sessions.store.stop("builder-1", kind="stall", reason="quiet", fence=1) == SessionAnswer.OK
    sessions.store.stop("builder-1", kind="cancel", reason="late")
    assert sessions.store.renew([("builder-1", 1)], extend_seconds=0.0) == [
        LeaseStatus(held=True, stop="stall:quiet")
    ]
    sessions.end(S.BETWEEN_TURNS)
    assert sessions.store.stop("builder-1", kind="stall", reason="quiet") == SessionAnswer.STALE
    sessions.begin()
    assert sessions.store.renew([("builder-1", 2)], extend_seconds=0.0) == [HELD]


def test_waiting_for_others_is_said_anew_in_each_turn(sessions: Sessions) -> None:
    """It holds until the next process is registered."""
    sessions.in_state(S.IN_TURN)
    assert sessions.store.await_others("builder-1") == SessionAnswer.OK
    assert sessions.read().awaiting
    sessions.end(S.BETWEEN_TURNS)
    sessions.begin()
    sessions.run(2)
    assert not sessions.read().awaiting


def escalate(sessions: Sessions, stage: int, *, since: float) -> str:
    """Note a stage of a silence."""
    return sessions.store.escalate("builder-1", fence=1, last_activity=since, stage=stage, data={})


def test_each_stage_of_a_silence_is_noted_once(sessions: Sessions) -> None:
    """Two ticks do one thing, and an event begins a new silence."""
    sessions.in_state(S.IN_TURN)
    since = sessions.clock()
    assert escalate(sessions, 1, since=since) == SessionAnswer.OK
    assert escalate(sessions, 1, since=since) == SessionAnswer.DONE
    assert escalate(sessions, 2, since=since) == SessionAnswer.OK
    assert len(sessions.events("session.silent")) == 2
    sessions.clock.forward(5)
    sessions.store.renew([("builder-1", 1)], extend_seconds=LEASE, active=True)
    assert escalate(sessions, 3, since=since) == SessionAnswer.ACTIVE
    assert escalate(sessions, 1, since=sessions.clock()) == SessionAnswer.OK
    sessions.clock.forward(LEASE)
    assert escalate(sessions, 2, since=sessions.clock()) == SessionAnswer.STALE


def test_lists_and_times_to_live(sessions: Sessions) -> None:
    """A session is listed while it lives, and its record expires after its last step."""
    sessions.in_state(S.IN_TURN)
    assert sessions.store.in_turn(10) == ["builder-1"]
    assert sessions.store.idle(before=sessions.clock(), most=10) == ["builder-1"]
    sessions.end(S.COMPLETED)
    assert sessions.store.in_turn(10) == []
    assert sessions.store.idle(before=sessions.clock(), most=10) == []
    lasting = [key for key in sessions.redis.scan_iter() if sessions.redis.ttl(key) == -1]
    assert {key.split(":")[1] for key in lasting} <= PERMANENT_KINDS
    assert sessions.keys.session("builder-1") not in lasting


def test_record_reads_what_the_scripts_write(sessions: Sessions) -> None:
    """Every field of the hash is a field of the record, or one that only scripts read."""
    sessions.in_state(S.IN_TURN)
    sessions.store.seen("builder-1", fence=1, session_id="s1", asked="", host="h1")
    sessions.store.stop("builder-1", kind="stall", reason="quiet")
    fields = set(sessions.store.read("builder-1"))
    assert fields - set(SessionRecord.model_fields) == {"spawned_at", "turn"}


def test_race_for_a_turn_on_a_real_server(redis_client: redis.Redis) -> None:
    """Of twenty that ask at once one wins, again and again; each winner has a fence of its own."""
    sessions = Sessions(redis_client, server_time=True)
    won: list[int] = []

    def ask() -> None:
        begun = sessions.store.begin("builder-1", lease_seconds=LEASE, worker="w", start={"job": "j"})
        if not isinstance(begun, TurnRefusal):
            won.append(int(begun["fence"]))

    for turn in range(1, 4):
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == list(range(1, turn + 1))
        assert sessions.end(None, turn) == SessionAnswer.OK


def test_event_data_is_json(sessions: Sessions) -> None:
    """A reason from outside cannot break the event that carries it."""
    sessions.in_state(S.IN_TURN)
    reason = 'quote " backslash \\ and \n newline'
    sessions.store.move("builder-1", S.ZOMBIE, allowed=ALLOWED[S.ZOMBIE], reason=reason)
    (*_, event) = sessions.events("session.state")
    assert json.loads(json.dumps(event.data))["reason"] == reason
