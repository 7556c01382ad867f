"""The backlog: what is next, what waits, and what follows when an issue is done."""

from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from routing import events
from routing.backlog.backlog import Backlog
from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.settings import BacklogSettings
from routing.errors import ConflictError, InvalidInputError, NotFoundError
from routing.issues.issue import IssueRef
from routing.issues.metadata import Source
from routing.store.backlog import backlog_store
from routing.store.backlog.backlog_store import BacklogStore, TakenAs, Unknown
from routing.store.events.event_store import EventStore
from routing.store.redis.keys import Keys
from tests.fakes.issues import IssueForge, issue, ref
from tests.fleets.stepped_fleet import SteppedClock
from tests.leaks import leaks

DAY = 86_400.0
TOO_DEEP = "- " * 40 + "depends on #1"


class BacklogBench:
    """A backlog with its forge, and few words for what tests do with them."""

    def __init__(self, client: redis.Redis, unknown: Unknown = "satisfied", most_finished: int = 100) -> None:
        self.redis = client
        self.clock = SteppedClock()
        self.forge = IssueForge()
        self.store = BacklogStore(client, Keys(), self.clock, unknown_blocker=unknown)
        self.settings = BacklogSettings(unknown_blocker=unknown, most_finished=most_finished)
        self.backlog = Backlog(
            self.store,
            forges={"local": self.forge},
            settings=self.settings,
            escalation_label="ready-for-human",
        )

    def take(self, number: int, body: str = "", **fields: object) -> BacklogState:
        """Take in an issue as the forge has it from now on; returns its state."""
        self.backlog.accept(self.forge.put(issue(number, body, **fields)), requested_by="ada")
        return self.state(number)

    def state(self, number: int) -> BacklogState:
        """The state of an item."""
        return self.backlog.find(ref(number)).state

    def ready(self) -> list[int]:
        """The numbers of what is ready, in their order."""
        return [item.ref.number for items in self.backlog.ready().values() for item in items]

    def work(self, number: int) -> None:
        """Start an item and bring it to its end."""
        assert self.backlog.start(ref(number), per_repo=1) is not None
        self.backlog.complete(ref(number), reason="merged")

    def subjects(self, kind: str) -> list[str]:
        """The subjects of the events of a kind."""
        return [each.subject for each in EventStore(self.redis, Keys()).all() if each.kind == kind]


@pytest.fixture
def bench(redis_client: redis.Redis) -> BacklogBench:
    """An empty backlog."""
    return BacklogBench(redis_client)


def test_blocked_issue_is_ready_only_after_its_blocker_was_completed(bench: BacklogBench) -> None:
    """Neither the blocker's start nor its failure lets the other go; its completion does, at once."""
    bench.take(1)
    assert bench.take(2, "Blocked by: #1") is BacklogState.BLOCKED
    fence = bench.backlog.start(ref(1), per_repo=1)
    assert fence is not None
    assert bench.ready() == []
    bench.backlog.escalate(ref(1), reason="nothing was pushed")
    assert bench.state(2) is BacklogState.BLOCKED
    assert "escalated" in bench.backlog.find(ref(2)).reason
    bench.backlog.requeue(ref(1), by="ada")
    bench.work(1)
    assert bench.ready() == [2]


def test_hundred_to_hundred_and_two_run_in_order(bench: BacklogBench) -> None:
    """102 is blocked by 101: the order is 100, 101, 102, whatever the order in which they came in."""
    bench.take(102, "Blocked by: #101")
    bench.take(101)
    bench.take(100)
    ran = []
    while ready := bench.ready():
        ran.append(ready[0])
        bench.work(ready[0])
    assert ran == [100, 101, 102]


def test_order_is_priority_then_number(bench: BacklogBench) -> None:
    """The most urgent label comes first; a changed label changes the place."""
    bench.take(10)
    bench.take(9)
    bench.take(30, labels=("agent", "P0"))
    bench.take(20, labels=("agent", "priority:1"))
    assert bench.ready() == [30, 20, 9, 10]
    bench.take(30, labels=("agent", "priority:9"))
    assert bench.ready() == [20, 9, 10, 30]


def test_what_a_person_set_outranks_the_labels(bench: BacklogBench) -> None:
    """Its place changes at once; neither a label nor a pause changes it until that is taken back."""
    for number in (1, 2, 3):
        bench.take(number)
    assert bench.backlog.set_priority(ref(3), 0, by="ada")
    assert not bench.backlog.set_priority(ref(3), 0, by="ada")
    assert bench.ready() == [3, 1, 2]
    assert bench.backlog.find(ref(3)).metadata.source("priority") is Source.PERSON
    bench.take(3, labels=("agent", "P9"))
    bench.backlog.cancel(ref(3), by="ada")
    bench.backlog.requeue(ref(3), by="ada")
    assert bench.ready() == [3, 1, 2]
    bench.backlog.cancel(ref(2), by="ada")
    bench.backlog.set_priority(ref(2), 1, by="ada")  # it has its place when it is back
    bench.backlog.requeue(ref(2), by="ada")
    assert bench.ready() == [3, 2, 1]
    assert bench.backlog.set_priority(ref(3), None, by="ada")
    assert bench.ready() == [2, 1, 3]
    assert bench.backlog.find(ref(3)).metadata.priority == 9
    bench.work(3)
    assert bench.ready() == [2, 1]
    assert bench.subjects(events.BACKLOG_PRIORITY) == [str(ref(each)) for each in (3, 2, 3)]


def test_a_priority_is_a_number_of_an_unfinished_item(bench: BacklogBench) -> None:
    """Anything else is refused, and changes nothing."""
    bench.take(1)
    with pytest.raises(InvalidInputError, match="is not a priority"):
        bench.backlog.set_priority(ref(1), 10, by="ada")
    with pytest.raises(NotFoundError):
        bench.backlog.set_priority(ref(2), 1, by="ada")
    bench.work(1)
    with pytest.raises(ConflictError, match="completed"):
        bench.backlog.set_priority(ref(1), 1, by="ada")


def test_repositories_are_kept_apart(bench: BacklogBench) -> None:
    """Names that begin alike do not run into each other, and a slot is one repository's."""
    for repo in ("shop", "shop-b", "a/shop"):
        bench.backlog.accept(issue(1, ref=ref(1, repo)))
        bench.backlog.accept(issue(2, ref=ref(2, repo)))
    assert {name: [item.ref.number for item in items] for name, items in bench.backlog.ready().items()} == {
        "local:a/shop": [1, 2],
        "local:shop": [1, 2],
        "local:shop-b": [1, 2],
    }
    assert bench.backlog.start(ref(1, "shop"), per_repo=1) == 1
    assert bench.backlog.start(ref(2, "shop"), per_repo=1) is None
    assert bench.backlog.start(ref(1, "shop-b"), per_repo=1) == 1
    assert bench.backlog.busy() == {"local:shop": 1, "local:shop-b": 1}
    assert bench.store.unfinished("local:shop") == [ref(1), ref(2)]


def test_blocks_and_blocked_by_are_one_set_of_edges(bench: BacklogBench) -> None:
    """An edge that both ends declare is one, and stands until both have taken it back."""
    bench.take(2, "Blocked by: #1")
    bench.take(1, "Blocks: #2")
    assert bench.store.blockers(ref(2)) == [ref(1)]
    assert bench.store.dependents(ref(1)) == [ref(2)]
    bench.take(1, "nothing any more")
    assert bench.state(2) is BacklogState.BLOCKED
    bench.take(2, "nothing any more")
    assert bench.state(2) is BacklogState.READY


def test_edited_body_recomputes_the_edges(bench: BacklogBench) -> None:
    """What a body no longer says holds no longer, on either side of the edge."""
    bench.take(1)
    bench.take(2)
    bench.take(3, "Blocked by: #1\nBlocks: #2")
    assert bench.ready() == [1]
    bench.take(3, "Blocked by: #2")
    assert bench.ready() == [1, 2]
    assert bench.state(3) is BacklogState.BLOCKED
    assert bench.subjects(events.BACKLOG_EDITED) == [str(ref(3))]


def test_edit_of_an_item_in_progress_leaves_it_at_work(bench: BacklogBench) -> None:
    """Its edges are new, its state is not; given back, it is judged by them."""
    bench.take(1)
    bench.take(2)
    fence = bench.backlog.start(ref(2), per_repo=1)
    assert fence is not None
    assert bench.take(2, "Blocked by: #1") is BacklogState.IN_PROGRESS
    assert bench.backlog.release(ref(2), fence=fence, reason="the mailbox refused it")
    assert bench.state(2) is BacklogState.BLOCKED


def test_taking_in_again_changes_nothing(bench: BacklogBench) -> None:
    """The same issue twice is one item, and says nothing."""
    bench.take(1, "Blocked by: #2")
    before = bench.store.read([ref(1)]), list(EventStore(bench.redis, Keys()).all())
    bench.clock.forward(5)
    taken = bench.backlog.accept(bench.forge.issues[ref(1)], requested_by="")
    assert taken.how == TakenAs.SAME
    assert (bench.store.read([ref(1)]), list(EventStore(bench.redis, Keys()).all())) == before
    assert bench.backlog.find(ref(1)).requested_by == "ada"


def test_everything_survives_a_restart(bench: BacklogBench) -> None:
    """A backlog made anew over the same server goes on where the other ended."""
    bench.take(1)
    bench.take(2, "Blocked by: #1")
    bench.backlog.start(ref(1), per_repo=1)
    other = Backlog(
        BacklogStore(bench.redis, Keys(), bench.clock, unknown_blocker="satisfied"),
        forges={}, settings=bench.settings, escalation_label="ready-for-human",
    )  # fmt: skip
    other.complete(ref(1), reason="merged")
    assert bench.ready() == [2]


def test_unknown_blocker_that_is_closed_on_the_forge_is_satisfied(bench: BacklogBench) -> None:
    """An item waits until the forge has said something, and is asked about but once."""
    bench.forge.put(issue(7, state="closed"))
    assert bench.take(1, "Blocked by: #7") is BacklogState.PENDING
    assert bench.backlog.ask() == 1
    assert bench.ready() == [1]
    bench.clock.forward(1000)
    assert bench.backlog.ask() == 0


def test_unknown_blocker_that_is_open_blocks_until_it_is_closed(bench: BacklogBench) -> None:
    """It is asked about again, not before its time."""
    bench.forge.put(issue(7))
    bench.take(1, "Blocked by: #7")
    bench.backlog.ask()
    assert bench.state(1) is BacklogState.BLOCKED
    bench.forge.close(ref(7))
    assert bench.backlog.ask() == 0
    assert bench.state(1) is BacklogState.BLOCKED
    bench.clock.forward(61)
    assert bench.backlog.ask() == 1
    assert bench.ready() == [1]


@pytest.mark.parametrize(
    ("unknown", "expected"), [("satisfied", BacklogState.READY), ("blocked", BacklogState.BLOCKED)]
)
def test_blocker_that_the_forge_does_not_know(
    redis_client: redis.Redis, unknown: Unknown, expected: BacklogState
) -> None:
    """The setting says what it is, and a warning says that it is so."""
    bench = BacklogBench(redis_client, unknown)
    bench.take(1, "Blocked by: #404")
    bench.backlog.ask()
    assert bench.state(1) is expected
    assert bench.subjects(events.BACKLOG_UNKNOWN_BLOCKER) == [str(ref(404))]
    bench.clock.forward(61)
    bench.backlog.ask()
    assert bench.subjects(events.BACKLOG_UNKNOWN_BLOCKER) == [str(ref(404))]


def test_unreachable_forge_has_not_answered(bench: BacklogBench) -> None:
    """Items stay as they are while it is down, and it is asked again."""
    bench.forge.put(issue(7))
    bench.take(1, "Blocked by: #7")
    bench.take(2, "Blocked by: #7")
    bench.backlog.ask()
    bench.take(3, "Blocked by: #8")
    bench.forge.down = True
    bench.clock.forward(61)
    assert bench.backlog.ask() == 0
    assert [bench.state(number) for number in (1, 2, 3)] == ["blocked", "blocked", "pending"]
    bench.forge.down = False
    bench.clock.forward(61)
    assert bench.backlog.ask() == 2
    assert bench.ready() == [3]


def test_blocker_that_comes_in_is_asked_about_no_more(bench: BacklogBench) -> None:
    """As an item it speaks for itself."""
    bench.take(1, "Blocked by: #7")
    bench.take(7)
    assert bench.backlog.ask() == 0
    assert bench.state(1) is BacklogState.BLOCKED
    bench.work(7)
    assert bench.ready() == [1]


def test_blocker_closed_by_hand_lets_go(bench: BacklogBench) -> None:
    """A person closes it on the forge; the next look takes that for done."""
    bench.take(1)
    bench.take(2, "Blocked by: #1")
    bench.forge.close(ref(1))
    listing = bench.forge.list_issues("shop", "agent")
    assert bench.backlog.missing("local:shop", listing) == [ref(1)]
    bench.backlog.accept(bench.forge.read_issue(ref(1)))
    assert bench.ready() == [2]
    assert bench.state(1) is BacklogState.COMPLETED


def test_issue_closed_during_its_run_is_completed_at_its_end(bench: BacklogBench) -> None:
    """The slot is kept while an agent is at work; however the job ends, the issue is done."""
    bench.take(1)
    bench.take(2, "Blocked by: #1")
    bench.backlog.start(ref(1), per_repo=1)
    bench.take(1, state="closed")
    assert bench.backlog.busy() == {"local:shop": 1}
    bench.backlog.escalate(ref(1), reason="nothing was pushed")
    assert bench.state(1) is BacklogState.COMPLETED
    assert bench.ready() == [2]


def test_listing_that_is_cut_short_proves_nothing(bench: BacklogBench) -> None:
    """Nothing leaves the queue on an answer that was none."""
    bench.take(1)
    bench.forge.close(ref(1))
    listing = bench.forge.list_issues("shop", "agent")
    short = listing.model_copy(update={"complete": False})
    assert bench.backlog.missing("local:shop", short) == []
    assert bench.ready() == [1]


def test_issue_that_nobody_wants_leaves_with_the_end_of_its_job(bench: BacklogBench) -> None:
    """Its slot is kept until then; the job's own end does not matter, and no person is asked."""
    bench.take(1)
    fence = bench.backlog.start(ref(1), per_repo=1)
    assert fence is not None
    bench.backlog.attach(ref(1), "0123456789abcdef", fence=fence)
    assert bench.backlog.unwanted(ref(1), "the label was taken off") == "0123456789abcdef"
    assert bench.backlog.busy() == {"local:shop": 1}
    bench.backlog.escalate(ref(1), reason="cancelled", job="0123456789abcdef")
    item = bench.backlog.find(ref(1))
    assert (item.state, item.reason) == (BacklogState.CANCELLED, "the label was taken off")
    assert not item.paused
    assert bench.take(1) is BacklogState.READY
    assert bench.backlog.unwanted(ref(1), "it is not in progress") is None


def test_issue_that_is_wanted_again_while_its_job_ends_begins_anew(bench: BacklogBench) -> None:
    """What counts is the last thing that people did; what the former job was is kept."""
    for _ in range(2):
        bench.take(1)
        fence = bench.backlog.start(ref(1), per_repo=1)
        assert fence is not None
        bench.backlog.attach(ref(1), f"{fence:016x}", fence=fence)
        for reason in ("closed", "the label was taken off"):
            bench.take(1, state="closed")
            bench.backlog.unwanted(ref(1), reason)
            bench.take(1)
        bench.backlog.escalate(ref(1), reason="cancelled", job=f"{fence:016x}")
        assert bench.state(1) is BacklogState.READY
    fence = bench.backlog.start(ref(1), per_repo=1)
    assert bench.backlog.find(ref(1)).before == f"{2:016x}"
    bench.take(1, state="closed")
    bench.backlog.unwanted(ref(1), "closed")
    bench.backlog.escalate(ref(1), reason="cancelled")
    assert bench.state(1) is BacklogState.COMPLETED


def test_label_taken_off_and_put_on_again(bench: BacklogBench) -> None:
    """Without its label an issue leaves the queue, but still blocks others; with it, it is back."""
    bench.take(1)
    bench.take(2, "Blocked by: #1")
    bench.forge.remove_label(ref(1), "agent")
    assert bench.backlog.missing("local:shop", bench.forge.list_issues("shop", "agent")) == [ref(1)]
    bench.backlog.withdraw(ref(1), "without the label agent")
    assert bench.state(1) is BacklogState.CANCELLED
    bench.backlog.ask()
    assert bench.ready() == []
    assert "open" in bench.backlog.find(ref(2)).reason
    assert bench.take(1) is BacklogState.READY


def test_cancelled_by_a_person_stays_out(bench: BacklogBench) -> None:
    """The label is still there, and that does not bring it back; the person does."""
    bench.take(1)
    assert bench.backlog.cancel(ref(1), by="ada")
    assert bench.take(1) is BacklogState.CANCELLED
    assert bench.backlog.requeue(ref(1), by="ada")
    assert bench.ready() == [1]


def test_pausing_what_left_by_itself_keeps_it_out(bench: BacklogBench) -> None:
    """Without the pause the label would bring it back; and only a pause is for a person to take back."""
    bench.take(1)
    bench.backlog.withdraw(ref(1), "without the label agent")
    with pytest.raises(ConflictError, match=r"without the label agent.*comes back"):
        bench.backlog.requeue(ref(1), by="ada")
    assert bench.backlog.cancel(ref(1), by="ada")
    assert not bench.backlog.cancel(ref(1), by="ada")
    assert bench.take(1) is BacklogState.CANCELLED
    assert (bench.backlog.find(ref(1)).paused, bench.backlog.find(ref(1)).reason) == (True, "paused by ada")


def test_paused_issue_is_remembered_as_long_as_it_is_open(bench: BacklogBench) -> None:
    """Were it forgotten, the next poll would take it for new and have it worked on. Closed, it may be."""
    bench.take(1)
    bench.backlog.cancel(ref(1), by="ada")
    bench.clock.forward(31 * DAY)
    assert bench.backlog.trim() == 0
    assert bench.take(1) is BacklogState.CANCELLED
    bench.take(1, state="closed")
    bench.clock.forward(31 * DAY)
    assert bench.backlog.trim() == 1


def test_paused_issue_that_is_reopened_is_back(bench: BacklogBench) -> None:
    """Closing and opening it again is a decision that is younger than the pause."""
    bench.take(1)
    bench.backlog.cancel(ref(1), by="ada")
    bench.take(1, state="closed")
    assert bench.take(1) is BacklogState.READY


def test_issue_that_is_worked_on_leaves_when_its_job_ends(bench: BacklogBench) -> None:
    """It keeps its slot until then, so that no other job begins beside it; what failed does not come back."""
    bench.take(1)
    bench.take(2)
    fence = bench.backlog.start(ref(1), per_repo=1)
    bench.backlog.attach(ref(1), "j1", fence=fence)
    assert bench.backlog.cancel(ref(1), by="ada")
    assert not bench.backlog.cancel(ref(1), by="bob")
    assert bench.state(1) is BacklogState.IN_PROGRESS
    assert bench.backlog.start(ref(2), per_repo=1) is None
    bench.backlog.escalate(ref(1), reason="nothing was pushed", job="j1")
    item = bench.backlog.find(ref(1))
    assert (item.state, item.paused) == (BacklogState.CANCELLED, True)
    assert item.reason == "paused by ada; its job ended: nothing was pushed"
    bench.take(1, labels=("agent", "ready-for-human"))
    assert bench.take(1) is BacklogState.CANCELLED
    assert bench.backlog.requeue(ref(1), by="ada")
    assert bench.state(1) is BacklogState.READY


def test_work_that_is_done_is_done_although_it_was_paused(bench: BacklogBench) -> None:
    """What waited for it is free; a later start knows nothing of the pause."""
    bench.take(1)
    bench.take(2, "Blocked by: #1")
    bench.backlog.start(ref(1), per_repo=1)
    bench.backlog.cancel(ref(1), by="ada")
    bench.backlog.complete(ref(1), reason="merged")
    assert bench.state(1) is BacklogState.COMPLETED
    assert bench.ready() == [2]


def test_pause_of_what_is_worked_on_can_be_taken_back(bench: BacklogBench) -> None:
    """Then its job's end means what it always means."""
    bench.take(1)
    bench.backlog.start(ref(1), per_repo=1)
    bench.backlog.cancel(ref(1), by="ada")
    assert bench.backlog.requeue(ref(1), by="ada")
    assert not bench.backlog.requeue(ref(1), by="ada")
    bench.backlog.escalate(ref(1), reason="nothing was pushed")
    assert bench.state(1) is BacklogState.ESCALATED
    assert bench.subjects(events.BACKLOG_PAUSING) == [str(ref(1))] * 2


def test_items_are_listed_by_state_and_repository(
    bench: BacklogBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each state's items by repository and number, beyond one page, and none of a name that begins alike."""
    monkeypatch.setattr(backlog_store, "PAGE", 20)
    for repo in ("shop", "shop-b", "a/shop"):
        for number in (10, 9):
            bench.backlog.accept(issue(number, ref=ref(number, repo)))
    for number in range(100, 145):
        bench.backlog.accept(issue(number, "Blocked by: #9"))
    bench.backlog.cancel(ref(10), by="ada")

    def listed(state: BacklogState, within: str = "") -> list[str]:
        found = [str(item.ref) for item in bench.store.listed(state, within)]
        assert len(found) == bench.store.count(state, within)
        return found

    ready, blocked = BacklogState.READY, BacklogState.BLOCKED
    assert listed(ready, "local:shop") == ["local:shop#9"]
    assert listed(ready) == listed(ready, "local:")
    assert listed(ready) == [
        f"local:{name}" for name in ("a/shop#9", "a/shop#10", "shop#9", "shop-b#9", "shop-b#10")
    ]
    assert listed(blocked, "local:shop") == [str(ref(number)) for number in range(100, 145)]
    assert listed(blocked, "local:shop-b") == listed(blocked, "other:") == []
    assert listed(BacklogState.CANCELLED) == ["local:shop#10"]
    bench.work(9)
    assert len(listed(ready, "local:shop")) == 45


def test_escalated_issue_is_back_when_the_label_was_seen_and_taken_off(bench: BacklogBench) -> None:
    """Until the label shows, its absence means nothing: it may not have been written yet."""
    bench.take(1)
    bench.backlog.start(ref(1), per_repo=1)
    bench.backlog.freeze(ref(1), reason="CI stayed red")
    assert bench.take(1) is BacklogState.FROZEN
    assert bench.take(1, labels=("agent", "ready-for-human")) is BacklogState.FROZEN
    assert bench.take(1) is BacklogState.READY


def test_issue_that_is_labelled_for_a_person_does_not_run(bench: BacklogBench) -> None:
    """A person may put the label on, too."""
    assert bench.take(1, labels=("agent", "ready-for-human")) is BacklogState.ESCALATED
    assert bench.take(1) is BacklogState.READY
    assert bench.take(1, labels=("agent", "ready-for-human")) is BacklogState.ESCALATED


def test_completed_issue_that_is_not_closed_yet_is_not_run_again(bench: BacklogBench) -> None:
    """A look between the end of the work and the closing finds it done; reopened later, it is back."""
    bench.take(1)
    bench.work(1)
    assert bench.take(1) is BacklogState.COMPLETED
    bench.take(1, state="closed")
    assert bench.take(1) is BacklogState.READY


def test_cycle_is_reported_on_each_member(bench: BacklogBench) -> None:
    """All of them stay blocked, those outside it are not in it, and a taken-back edge frees them."""
    bench.take(1, "Blocked by: #2")
    bench.take(2, "Blocked by: #3")
    bench.take(3, "Blocked by: #1")
    bench.take(4, "Blocked by: #1")
    members = (str(ref(1)), str(ref(2)), str(ref(3)))
    for number in (1, 2, 3):
        item = bench.backlog.find(ref(number))
        assert item.state is BacklogState.BLOCKED
        assert item.ring == members
        assert "cycle" in item.reason
    assert bench.backlog.find(ref(4)).ring == ()
    assert sorted(bench.subjects(events.BACKLOG_CYCLE)) == sorted(members)
    bench.take(3, "None any more")
    assert bench.backlog.find(ref(1)).ring == ()
    assert bench.ready() == [3]


def test_cycle_ends_when_a_member_is_closed_by_hand(bench: BacklogBench) -> None:
    """A closed issue waits for nobody."""
    bench.take(1, "Blocked by: #2")
    bench.take(2, "Blocked by: #1")
    bench.take(1, state="closed")
    assert bench.ready() == [2]
    assert bench.backlog.find(ref(2)).ring == ()


def test_cycle_over_an_issue_outside_the_backlog(bench: BacklogBench) -> None:
    """An issue that says both of another is in a cycle with it, until the forge says that one is closed."""
    bench.forge.put(issue(7))
    bench.take(1, "Blocked by: #7\nBlocks: #7")
    assert bench.backlog.find(ref(1)).ring == (str(ref(1)), str(ref(7)))
    bench.forge.close(ref(7))
    bench.backlog.ask()
    assert bench.ready() == [1]


def test_cycle_begins_when_an_issue_that_counted_as_done_comes_in(bench: BacklogBench) -> None:
    """Every member learns of it, also one that had been ready."""
    bench.take(2, "Blocked by: #1\nBlocks: #1")
    bench.backlog.ask()
    assert bench.ready() == [2]
    bench.take(1)
    assert bench.ready() == []
    assert [bench.backlog.find(ref(number)).ring for number in (1, 2)] == [(str(ref(1)), str(ref(2)))] * 2


def test_end_of_a_cycle_reaches_those_that_are_further_away(bench: BacklogBench) -> None:
    """Also a member that does not wait for the closed issue itself is in no cycle any more."""
    bench.forge.put(issue(7))
    bench.take(1, "Blocked by: #7")
    bench.take(2, "Blocked by: #1\nBlocks: #7")
    assert bench.backlog.find(ref(2)).ring == (str(ref(1)), str(ref(2)), str(ref(7)))
    bench.forge.close(ref(7))
    bench.backlog.ask()
    assert bench.backlog.find(ref(2)).ring == ()
    bench.work(1)
    assert bench.ready() == [2]


def test_self_reference_is_a_cycle(bench: BacklogBench) -> None:
    """An issue that waits for itself stays blocked and says so."""
    assert bench.take(1, "Blocked by: #1") is BacklogState.BLOCKED
    assert bench.backlog.find(ref(1)).ring == (str(ref(1)),)
    assert bench.take(1, "Blocked by: none") is BacklogState.READY


def test_body_that_could_not_be_read_is_held(bench: BacklogBench) -> None:
    """A person is notified, and the issue runs when the body was repaired."""
    assert bench.take(1, TOO_DEEP) is BacklogState.BLOCKED
    assert "a person must look" in bench.backlog.find(ref(1)).reason
    assert bench.subjects(events.BACKLOG_HELD) == [str(ref(1))]
    assert bench.take(1, "plain") is BacklogState.READY


def test_blockers_of_the_forge_count_beside_the_body(bench: BacklogBench) -> None:
    """They are one list, whose source says where it is from."""
    bench.backlog.accept(issue(1, "Blocked by: #2"), blockers=[ref(2), ref(3)])
    assert bench.store.blockers(ref(1)) == [ref(2), ref(3)]
    assert bench.backlog.find(ref(1)).metadata.metadata_source["blocked_by"] == "forge"


def test_start_that_was_overtaken_gives_nothing_back(bench: BacklogBench) -> None:
    """Only the newest start may release or name its job; an item without a job is found for reconciling."""
    bench.take(1)
    first = bench.backlog.start(ref(1), per_repo=1)
    assert first is not None
    bench.clock.forward(10)
    assert [item.ref for item in bench.backlog.unconfirmed(older_than=bench.clock())] == [ref(1)]
    assert bench.backlog.release(ref(1), fence=first, reason="the mailbox refused it")
    second = bench.backlog.start(ref(1), per_repo=1)
    assert not bench.backlog.release(ref(1), fence=first, reason="late")
    assert not bench.backlog.attach(ref(1), "j1", fence=first)
    assert bench.backlog.attach(ref(1), "j2", fence=second)
    assert bench.backlog.attach(ref(1), "j2")
    assert not bench.backlog.attach(ref(1), "j3")
    assert bench.backlog.unconfirmed(older_than=bench.clock() + 1) == []
    with pytest.raises(ConflictError):
        bench.backlog.complete(ref(1), reason="merged", job="j1")
    assert bench.backlog.complete(ref(1), reason="merged", job="j2")


def test_steps_say_why_they_are_refused(bench: BacklogBench) -> None:
    """What is unknown is not found; what is over cannot go on; the same step again changes nothing."""
    with pytest.raises(NotFoundError):
        bench.backlog.complete(ref(1), reason="merged")
    bench.take(1)
    assert bench.backlog.complete(ref(1), reason="merged")
    assert not bench.backlog.complete(ref(1), reason="merged")
    with pytest.raises(ConflictError, match="completed"):
        bench.backlog.escalate(ref(1), reason="late")
    with pytest.raises(NotFoundError):
        bench.backlog.find(ref(2))


def test_finished_items_are_forgotten_after_their_time(bench: BacklogBench) -> None:
    """With them go their edges; issues that still name them find them closed, and nothing is left behind."""
    bench.take(1, "Blocks: #5")
    bench.take(2, "Blocked by: #1")
    bench.work(1)
    bench.clock.forward(29 * DAY)
    assert bench.backlog.trim() == 0
    bench.clock.forward(2 * DAY)
    assert bench.backlog.trim() == 1
    assert bench.ready() == [2]
    assert bench.backlog.ask() == 0
    bench.work(2)
    bench.clock.forward(31 * DAY)
    assert bench.backlog.trim() == 1
    assert sorted(bench.redis.keys()) == ["coalmine:events"]


def test_number_of_finished_items_is_bounded(redis_client: redis.Redis) -> None:
    """The oldest go first, and one that somebody waits for stays, as it says why."""
    bench = BacklogBench(redis_client, most_finished=2)
    bench.take(9, "Blocked by: #1")
    for number in range(1, 6):
        bench.take(number)
        bench.clock.forward(1)
        if number == 1:
            bench.backlog.cancel(ref(1), by="ada")
        else:
            bench.work(number)
    bench.backlog.trim()
    bench.backlog.trim()
    assert bench.store.read([ref(number) for number in (2, 3)]) == [None, None]
    assert bench.state(1) is BacklogState.CANCELLED
    assert bench.state(9) is not BacklogState.READY


def test_keys_are_of_permanent_kinds(bench: BacklogBench) -> None:
    """Nothing is written that the list of kinds does not know."""
    bench.take(1, "Blocked by: #2, #3")
    bench.take(2)
    bench.backlog.start(ref(2), per_repo=1)
    bench.take(4)
    assert leaks(bench.redis, Keys()) == []


def test_a_story_leaves_its_events_alone(redis_client: redis.Redis) -> None:
    """From the first look at its issues to the day when the last record is dropped."""
    bench = BacklogBench(redis_client)
    bench.take(1, "Blocked by: #2")
    bench.take(2, "Blocked by: #1, #7")
    assert bench.backlog.find(ref(1)).ring == (str(ref(1)), str(ref(2)))
    bench.take(1, labels=("agent", "P0"))
    bench.backlog.ask()
    assert bench.ready() == [1]
    bench.work(1)
    assert bench.ready() == [2]
    fence = bench.backlog.start(ref(2), per_repo=1)
    assert bench.backlog.attach(ref(2), "j1", fence=fence)
    assert bench.backlog.complete(ref(2), reason="merged", job="j1")
    bench.clock.forward(31 * DAY)
    assert bench.backlog.trim() == 2
    assert sorted(bench.redis.keys()) == ["coalmine:events"]


ISSUES = st.integers(1, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), ISSUES, st.lists(ISSUES, max_size=2), st.lists(ISSUES, max_size=1)),
        st.tuples(st.sampled_from(["work", "close", "escalate", "cancel"]), ISSUES),
    ),
    max_size=14,
)


@given(steps=STEPS)
def test_ready_is_what_has_no_open_blocker(steps: list[tuple[Any, ...]]) -> None:
    """Whatever happens in whatever order, the states are those that a look at the whole graph gives."""
    with fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        bench = BacklogBench(client)
        for step in steps:
            play(bench, *step)
            bench.clock.forward(61)
            bench.backlog.ask()
            check(bench)


def play(bench: BacklogBench, what: str, number: int, *lists: list[int]) -> None:
    """One step of a story; what is not allowed is not done."""
    name = ref(number)
    if what == "take":
        body = "\n".join(
            f"{label}: {', '.join(f'#{each}' for each in numbers)}"
            for label, numbers in zip(("Blocked by", "Blocks"), lists, strict=True)
        )
        bench.take(number, body)
    elif bench.store.read([name]) != [None]:
        if what == "work" and bench.backlog.start(name, per_repo=1) is not None:
            bench.backlog.complete(name, reason="merged")
        elif what == "close":
            bench.take(number, bench.forge.issues[name].body, state="closed")
        elif what in {"escalate", "cancel"} and bench.state(number) not in {"completed", "cancelled"}:
            getattr(bench.backlog, what)(name, **({"by": "ada"} if what == "cancel" else {"reason": "x"}))


def check(bench: BacklogBench) -> None:
    """Compare each item's state with what its blockers are, read one by one."""
    numbers = range(1, 6)
    items = {item.ref: item for item in bench.store.read([ref(number) for number in numbers]) if item}
    for name, item in items.items():
        waits = [other for other in bench.store.blockers(name) if is_open(bench, items, other)]
        if item.state in {"pending", "blocked", "ready"}:
            assert (item.state == "ready") == (not waits), (name, item, waits)
        if item.state != "cancelled":
            assert (item.ring != ()) == in_ring(bench, items, name), (name, item)


def is_open(bench: BacklogBench, items: dict[IssueRef, BacklogItem], name: IssueRef) -> bool:
    """Whether an issue is not done, by the item or by the forge."""
    if name in items and items[name].state != "cancelled":
        return items[name].state != "completed"
    return name in bench.forge.issues and bench.forge.issues[name].state == "open"


def in_ring(bench: BacklogBench, items: dict[IssueRef, BacklogItem], name: IssueRef) -> bool:
    """Whether an open issue waits, over other open ones, for itself."""
    seen: set[IssueRef] = set()
    todo = [name] if is_open(bench, items, name) else []
    while todo:
        for other in bench.store.blockers(todo.pop()):
            if other == name:
                return True
            if other not in seen and is_open(bench, items, other):
                seen.add(other)
                todo.append(other)
    return False
