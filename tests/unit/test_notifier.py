"""A sink's consumer of the event stream: what it reads, what it sends, and what becomes of failures."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from routing.back_off import BackOff
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from routing.events import JOB_FINISHED
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.store.backlog.backlog_store import BacklogStore
from routing.store.events import notice_store
from routing.store.events.event_store import EventPage
from routing.store.redis.keys import Keys
from tasks.notify import notifier as notifier_module
from tasks.notify.facts import FactReader
from tasks.notify.notices import dead_letters, revive
from tasks.notify.notification import Notification, NotificationKind
from tasks.notify.notifier import PAGE, Notifier, NotifierRules
from tasks.notify.sink import UndeliveredError
from tests.fakes.issues import IssueForge, issue, ref
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks


class Listener:
    """A sink in memory; `answer` may raise."""

    def __init__(self, name: str = "webhook") -> None:
        self.name = name
        self.heard: list[Notification] = []
        self.answer: Callable[[Notification], None] = lambda _: None

    def send(self, notification: Notification) -> None:
        """Take it, unless the test says otherwise."""
        self.heard.append(notification)
        self.answer(notification)

    @property
    def subjects(self) -> list[str]:
        """What was heard of, in order."""
        return [notification.subject for notification in self.heard]


class Half:
    """No jitter: every pause is three quarters of its full length."""

    def random(self) -> float:
        """The middle."""
        return 0.5


def refuse(**given: Any) -> Callable[[Notification], None]:
    """An answer that is no."""

    def answer(_: Notification) -> None:
        message = "it is out"
        raise UndeliveredError(message, **given)

    return answer


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template."""
    made = SteppedFleet(redis_client)
    made.add()
    return made


def consumer(
    fleet: SteppedFleet, listener: Listener, *, monotonic: Callable[[], float] | None = None, **rules: Any
) -> Notifier:
    """A consumer, at its place in the stream."""
    app = fleet.app
    given: dict[str, Any] = {
        "kinds": tuple(NotificationKind),
        "attempts": 3,
        "back_off": BackOff(first_seconds=4.0, cap_seconds=3600.0),
        "max_age_seconds": 3600.0,
    }
    backlog = BacklogStore(app.redis, app.keys, app.clock, unknown_blocker="satisfied")
    made = Notifier(
        sink=listener,
        rules=NotifierRules(**(given | rules)),
        store=app.notices,
        events=app.events,
        facts=FactReader(jobs=app.job_store, signals=app.signals, backlog=backlog),
        generator=Half(),
        monotonic=monotonic or (lambda: 0.0),
    )
    made.tick()
    return made


def finish(fleet: SteppedFleet, kind: SignalKind = SignalKind.FINISHED, **fields: Any) -> str:
    """A job from its beginning to its end."""
    job = fleet.enqueue(**fields).job
    fleet.end(job, kind)
    return job


def emit(fleet: SteppedFleet, count: int, start: int = 0) -> list[str]:
    """Events of jobs whose record has expired."""
    names = [f"{number:016x}" for number in range(start, start + count)]
    for name in names:
        fleet.app.events.emit(JOB_FINISHED, name, {"state": "succeeded"})
    return names


def test_a_job_is_notified_with_what_its_record_says(fleet: SteppedFleet) -> None:
    """Issue, version and reason are read where the event lacks them."""
    listener = Listener()
    made = consumer(fleet, listener)
    job = finish(fleet, SignalKind.ESCALATED, issue="local:shop#3", title="Fix the roof")
    assert made.tick() == 1
    (notice,) = listener.heard
    assert (notice.kind, notice.subject, notice.words) == (NotificationKind.NEEDS_HUMAN, job, "escalated")
    assert notice.title.startswith("local:shop#3 ")
    assert (notice.fields["version"], notice.fields["title"]) == ("implementer@v1", "Fix the roof")


def test_ci_that_stayed_red_is_frozen(fleet: SteppedFleet) -> None:
    """The job's own facts tell it from any other escalation."""
    listener = Listener()
    made = consumer(fleet, listener)
    finish(fleet, SignalKind.FROZEN)
    made.tick()
    assert [notice.kind for notice in listener.heard] == [NotificationKind.FROZEN]


def test_a_lost_worker_is_notified(fleet: SteppedFleet) -> None:
    """By name, although its job has gone on."""
    listener = Listener()
    made = consumer(fleet, listener)
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=1)
    fleet.clock.forward(2)
    fleet.app.jobs.reap(at=fleet.clock())
    made.tick()
    (notice,) = listener.heard
    assert (notice.kind, notice.subject) == (NotificationKind.WORKER_LOST, job)
    assert "w1" in notice.title


def test_a_verdict_is_notified(fleet: SteppedFleet) -> None:
    """A canary that is rejected is rolled back; one that a person proposes is nobody's news."""
    listener = Listener()
    made = consumer(fleet, listener)
    fleet.open(fleet.propose())
    fleet.app.templates.reject("implementer@v2", by="ada", reason="it lies")
    made.tick()
    assert [(notice.kind.value, notice.words) for notice in listener.heard] == [("rolled_back", "it lies")]


def test_an_issue_is_notified_once(fleet: SteppedFleet) -> None:
    """By its job's end where it had one; by itself when it was handed to a person without."""
    listener, forge = Listener(), IssueForge()
    store = BacklogStore(fleet.app.redis, fleet.app.keys, fleet.clock, unknown_blocker="satisfied")
    backlog = Backlog(
        store, forges={"local": forge}, settings=BacklogSettings(), escalation_label="ready-for-human"
    )
    made = consumer(fleet, listener)
    for number in (1, 2):
        backlog.accept(forge.put(issue(number)), requested_by="ada")
    fence = backlog.start(ref(1), per_repo=1)
    assert backlog.attach(ref(1), "4f1d0c2ab39e8876", fence=fence)
    backlog.freeze(ref(1), reason="CI stayed red", job="4f1d0c2ab39e8876")
    backlog.escalate(ref(2), reason="too large for an agent")
    made.tick()
    assert [(notice.subject, notice.words) for notice in listener.heard] == [
        (str(ref(2)), "too large for an agent")
    ]


def test_a_damaged_record_hides_no_event(fleet: SteppedFleet) -> None:
    """What the event says is sent."""
    listener = Listener()
    made = consumer(fleet, listener)
    job = finish(fleet, SignalKind.ESCALATED)
    fleet.redis.hset(fleet.app.keys.job(job), "v", "99")
    fleet.redis.hset(fleet.app.keys.signals(job), "x", "{")
    made.tick()
    assert listener.subjects == [job]


def test_a_new_sink_begins_now(fleet: SteppedFleet) -> None:
    """What happened before it was there is not sent."""
    listener = Listener()
    finish(fleet)
    made = consumer(fleet, listener)
    job = finish(fleet)
    made.tick()
    assert listener.subjects == [job]


def test_a_sink_that_is_there_before_the_first_event_misses_nothing(redis_client: redis.Redis) -> None:
    """An empty stream has a beginning too."""
    fleet, listener = SteppedFleet(redis_client), Listener()
    made = consumer(fleet, listener)
    fleet.add()
    job = finish(fleet)
    made.tick()
    assert listener.subjects == [job]


def test_each_event_is_sent_once(fleet: SteppedFleet) -> None:
    """A tick without news sends nothing and writes nothing."""
    listener = Listener()
    made = consumer(fleet, listener)
    finish(fleet)
    made.tick()
    before = fleet.everything()
    made.tick()
    assert len(listener.heard) == 1
    assert fleet.everything() == before


def test_only_the_kinds_that_were_asked_for(fleet: SteppedFleet) -> None:
    """The others are passed over for good."""
    listener = Listener()
    made = consumer(fleet, listener, kinds=(NotificationKind.DONE,))
    finish(fleet, SignalKind.ESCALATED)
    done = finish(fleet)
    made.tick()
    assert listener.subjects == [done]


def test_old_events_are_not_sent(fleet: SteppedFleet) -> None:
    """A sink that was switched off for a long time is not flooded."""
    listener = Listener()
    made = consumer(fleet, listener, max_age_seconds=60.0)
    finish(fleet)
    fleet.clock.forward(61)
    job = finish(fleet)
    made.tick()
    assert listener.subjects == [job]


def test_sinks_do_not_wait_for_each_other(fleet: SteppedFleet) -> None:
    """Each has a place of its own, so that one which is down holds up none of the others."""
    deaf, listener = Listener("webhook"), Listener("slack")
    deaf.answer = refuse()
    consumers = [consumer(fleet, deaf), consumer(fleet, listener)]
    jobs = [finish(fleet) for _ in range(3)]
    for made in consumers:
        made.tick()
    assert listener.subjects == jobs
    assert len(deaf.heard) == 1


def test_a_crash_between_sending_and_noting_sends_again_under_the_same_id(fleet: SteppedFleet) -> None:
    """At least once, with an id to tell a repetition by."""
    listener = Listener()
    made = consumer(fleet, listener)
    finish(fleet)

    def crash(_: Notification) -> None:
        raise KeyboardInterrupt

    listener.answer = crash
    with pytest.raises(KeyboardInterrupt):
        made.tick()
    listener.answer = lambda _: None
    consumer(fleet, listener)
    assert len(listener.heard) == 2
    assert len({notice.id for notice in listener.heard}) == 1
    assert fleet.app.notices.depths("webhook") == (0, 0)


def test_a_place_is_moved_by_one_process_only(fleet: SteppedFleet) -> None:
    """Of two consumers that read the same page one hears that it was too late, and nothing is doubled."""
    listener = Listener()
    made = consumer(fleet, listener)
    finish(fleet)
    read, other = fleet.app.notices.status("webhook"), consumer(fleet, Listener())
    assert read is not None
    step = notice_store.SinkProgress(before=read.place, place="9-9", written=1)
    assert fleet.app.notices.collect("webhook", step, {"x:done": "{}"}) is None
    assert fleet.app.notices.settle("webhook", "gone:done", "later", record="{}") is False
    made.tick()
    other.tick()
    assert listener.heard == []
    assert fleet.app.notices.depths("webhook") == (0, 0)


def test_a_failure_is_tried_again_with_growing_pauses_and_then_is_a_dead_letter(fleet: SteppedFleet) -> None:
    """Three attempts: at once, after 3 s and after another 6 s; then a person may look at it."""
    listener = Listener()
    listener.answer = refuse()
    made = consumer(fleet, listener)
    finish(fleet)
    heard_at = []
    start = fleet.clock()
    for _ in range(120):
        before = len(listener.heard)
        made.tick()
        if len(listener.heard) > before:
            heard_at.append(fleet.clock() - start)
        fleet.clock.forward(0.5)
    assert heard_at == [0.0, 3.0, 9.0]
    (letter,) = dead_letters(fleet.app.notices)
    assert letter.notice is not None
    assert (letter.sink, letter.notice.attempts, letter.reason) == ("webhook", 3, "it is out")


def test_a_definite_no_is_a_dead_letter_at_once_and_holds_up_nothing(fleet: SteppedFleet) -> None:
    """The others are sent in the same tick."""
    listener = Listener()
    listener.answer = lambda notice: refuse(final=True)(notice) if notice.subject == first else None
    made = consumer(fleet, listener)
    first, second = finish(fleet), finish(fleet)
    assert made.tick() == 1
    assert listener.subjects == [first, second]
    assert fleet.app.notices.depths("webhook") == (0, 1)


def test_one_that_is_never_taken_does_not_hold_up_the_others(fleet: SteppedFleet) -> None:
    """After the first pause the newer ones go first."""
    listener = Listener()
    listener.answer = lambda notice: refuse()(notice) if notice.subject == poison else None
    made = consumer(fleet, listener, attempts=10)
    poison, second = finish(fleet), finish(fleet)
    made.tick()
    assert listener.subjects == [poison]
    fleet.clock.forward(3)
    made.tick()
    assert listener.subjects[:2] == [poison, second]


def test_a_sink_that_is_down_is_asked_once_a_while(fleet: SteppedFleet) -> None:
    """However many wait: one attempt a pause, a minute between them at the most, and none of them is lost."""
    listener = Listener()
    listener.answer = refuse()
    made = consumer(fleet, listener, attempts=12)
    jobs = [finish(fleet) for _ in range(20)]
    for _ in range(600):
        made.tick()
        fleet.clock.forward(1)
    assert 600 / 60 <= len(listener.heard) <= 20
    listener.answer = lambda _: None
    listener.heard.clear()
    fleet.clock.forward(3600)
    assert made.tick() == 20
    assert sorted(listener.subjects) == sorted(jobs)


def test_the_sinks_own_wish_is_heard(fleet: SteppedFleet) -> None:
    """`Retry-After` keeps everything from it until then."""
    listener = Listener()
    listener.answer = refuse(again_at=fleet.clock() + 500)
    made = consumer(fleet, listener)
    finish(fleet)
    finish(fleet)
    made.tick()
    fleet.clock.forward(499)
    made.tick()
    assert len(listener.heard) == 1
    fleet.clock.forward(2)
    listener.answer = lambda _: None
    assert made.tick() == 2


def test_dead_letters_are_sent_again_when_a_person_says_so(fleet: SteppedFleet) -> None:
    """Under the id that they had, with all their attempts before them."""
    listener = Listener()
    listener.answer = refuse(final=True)
    made = consumer(fleet, listener)
    finish(fleet)
    finish(fleet)
    made.tick()
    first = listener.heard[0].id
    assert [letter.id for letter in revive(fleet.app.notices, [first])] == [first]
    listener.answer = lambda _: None
    assert made.tick() == 1
    assert listener.heard[-1].id == first
    assert fleet.app.notices.depths("webhook") == (0, 1)
    assert len(revive(fleet.app.notices, [])) == 1
    listener.answer = refuse()
    made.tick()
    (waiting,) = fleet.redis.hvals(fleet.app.keys.notify_notes("webhook"))
    assert json.loads(waiting)["attempts"] == 1


def test_what_was_trimmed_unread_is_counted(fleet: SteppedFleet) -> None:
    """A consumer that was away for too long says how many events it never saw."""
    listener = Listener()
    made = consumer(fleet, listener)
    emit(fleet, 10)
    fleet.redis.xtrim(fleet.app.keys("events"), maxlen=4, approximate=False)
    made.tick()
    status = fleet.app.notices.status("webhook")
    assert status is not None
    assert (status.missed, len(listener.heard)) == (6, 4)
    emit(fleet, 3, start=10)
    fleet.redis.xtrim(fleet.app.keys("events"), maxlen=1, approximate=False)
    made.tick()
    again = fleet.app.notices.status("webhook")
    assert again is not None
    assert (again.missed, len(listener.heard)) == (8, 5)


def test_a_server_that_does_not_count_is_believed_to_have_lost_nothing(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Redis 7 a stream does not say how much was written to it; everything else works."""
    listener = Listener()
    page = fleet.app.events.page

    def uncounted(last: str, *, most: int) -> EventPage:
        return replace(page(last, most=most), written=None)

    monkeypatch.setattr(fleet.app.events, "page", uncounted)
    made = consumer(fleet, listener)
    emit(fleet, 10)
    fleet.redis.xtrim(fleet.app.keys("events"), maxlen=4, approximate=False)
    made.tick()
    status = fleet.app.notices.status("webhook")
    assert status is not None
    assert (status.missed, status.written, len(listener.heard)) == (0, None, 4)


def test_what_was_read_before_the_trim_is_not_missed(fleet: SteppedFleet) -> None:
    """Pages count as they are read."""
    listener = Listener()
    made = consumer(fleet, listener, attempts=12)
    names = emit(fleet, 2 * PAGE + 5)
    made.tick()
    fleet.redis.xtrim(fleet.app.keys("events"), maxlen=0, approximate=False)
    more = emit(fleet, 1, start=5000)
    made.tick()
    assert listener.subjects == names + more
    status = fleet.app.notices.status("webhook")
    assert status is not None
    assert status.missed == 0


def test_a_tick_leaves_the_rest_to_the_next(fleet: SteppedFleet) -> None:
    """Its lock must not run out while it sends."""
    listener = Listener()
    seconds = iter(range(0, 100_000, 5))
    made = consumer(fleet, listener, monotonic=lambda: float(next(seconds)))
    names = emit(fleet, 10)
    made.tick()
    assert 0 < len(listener.heard) < 10
    for _ in range(10):
        made.tick()
    assert listener.subjects == names


def test_too_many_that_wait_push_the_oldest_out(fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is bounded, also the dead letters."""
    monkeypatch.setattr(notice_store, "MOST_WAITING", 5)
    monkeypatch.setattr(notice_store, "MOST_DEAD", 3)
    listener = Listener()
    listener.answer = refuse()
    made = consumer(fleet, listener)
    names = emit(fleet, 12)
    made.tick()
    assert fleet.app.notices.depths("webhook") == (5, 3)
    letters = list(dead_letters(fleet.app.notices))
    assert {letter.reason for letter in letters} == {"too many waited for the sink"}
    assert {letter.notice.notification.subject for letter in letters if letter.notice} < set(names[:7])
    assert listener.subjects == [names[7]]
    assert fleet.redis.hlen(fleet.app.keys.notify_notes("webhook")) == 8


def test_a_record_that_cannot_be_read_is_put_aside(fleet: SteppedFleet) -> None:
    """The others are sent, and it is found among the dead letters."""
    listener = Listener()
    made = consumer(fleet, listener)
    finish(fleet)
    made.collect(1.0)
    (notice,) = fleet.app.notices.due("webhook", 10)
    fleet.redis.hset(fleet.app.keys.notify_notes("webhook"), notice, json.dumps({"v": 2}))
    job = finish(fleet)
    made.tick()
    assert listener.subjects == [job]
    assert [letter.reason for letter in dead_letters(fleet.app.notices)] == ["its record cannot be read"]


def test_keys_are_permanent_and_bounded(fleet: SteppedFleet) -> None:
    """Nothing is left behind that is not on the list."""
    listener = Listener()
    listener.answer = refuse()
    made = consumer(fleet, listener)
    finish(fleet)
    made.tick()
    assert leaks(fleet.redis, Keys()) == []


def test_one_page_of_jobs_is_read_in_one_round_trip(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a tick costs depends on what is new, not on what was."""
    listener = Listener()
    made = consumer(fleet, listener)
    for _ in range(20):
        finish(fleet)
    asked: list[int] = []
    read = fleet.app.job_store.read_many

    def counted(jobs: Any) -> Any:
        asked.append(len(jobs))
        return read(jobs)

    monkeypatch.setattr(fleet.app.job_store, "read_many", counted)
    made.tick()
    made.tick()
    assert asked == [20]
    assert fleet.app.jobs.find(listener.subjects[0]).state is JobState.SUCCEEDED
    assert notifier_module.PAGE >= 20
