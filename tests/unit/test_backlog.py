"""The backlog: what is next, what waits, and what follows when an issue is done."""

from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing import events
from routing.backlog.backlog import Backlog
from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.settings import BacklogSettings
from routing.errors import ConflictError, NotFoundError
from routing.issues.issue import IssueRef
from routing.store.backlog.backlog_store import BacklogStore, Unknown
from routing.store.events.event_store import EventStore
from routing.store.redis.keys import Keys
from tests.fleet import Clock
from tests.issues import MemoryForge, issue, ref
from tests.leaks import leaks

DAY = 86_400.0
TOO_DEEP = "- " * 40 + "depends on #1"


class Desk:
    """A backlog with its forge, and few words for what tests do with them."""

    def __init__(self, client: redis.Redis, unknown: Unknown = "satisfied", most_finished: int = 100) -> None:
        self.redis = client
        self.clock = Clock()
        self.forge = MemoryForge()
        self.store = BacklogStore(client, Keys(), self.clock, unknown_blocker=unknown)
        self.settings = BacklogSettings(unknown_blocker=unknown, most_finished=most_finished)
        self.backlog = Backlog(
            self.store, forges={"local": self.forge}, settings=self.settings, for_person="ready-for-human"
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

    def told(self, kind: str) -> list[str]:
        """The subjects of the events of a kind."""
        return [each.subject for each in EventStore(self.redis, Keys()).all() if each.kind == kind]


@pytest.fixture
def desk(fake_redis: redis.Redis) -> Desk:
    """An empty backlog."""
    return Desk(fake_redis)


def test_blocked_issue_is_ready_only_after_its_blocker_was_completed(desk: Desk) -> None:
    """Neither the blocker's start nor its failure lets the other go; its completion does, at once."""
    desk.take(1)
    assert desk.take(2, "Blocked by: #1") is BacklogState.BLOCKED
    fence = desk.backlog.start(ref(1), per_repo=1)
    assert fence is not None
    assert desk.ready() == []
    desk.backlog.escalate(ref(1), reason="nothing was pushed")
    assert desk.state(2) is BacklogState.BLOCKED
    assert "escalated" in desk.backlog.find(ref(2)).reason
    desk.backlog.requeue(ref(1), by="ada")
    desk.work(1)
    assert desk.ready() == [2]


def test_hundred_to_hundred_and_two_run_in_order(desk: Desk) -> None:
    """102 is blocked by 101: the order is 100, 101, 102, whatever the order in which they came in."""
    desk.take(102, "Blocked by: #101")
    desk.take(101)
    desk.take(100)
    ran = []
    while ready := desk.ready():
        ran.append(ready[0])
        desk.work(ready[0])
    assert ran == [100, 101, 102]


def test_order_is_priority_then_number(desk: Desk) -> None:
    """The most urgent label comes first; a changed label changes the place."""
    desk.take(10)
    desk.take(9)
    desk.take(30, labels=("agent", "P0"))
    desk.take(20, labels=("agent", "priority:1"))
    assert desk.ready() == [30, 20, 9, 10]
    desk.take(30, labels=("agent", "priority:9"))
    assert desk.ready() == [20, 9, 10, 30]


def test_repositories_are_told_apart(desk: Desk) -> None:
    """Names that begin alike do not run into each other, and a slot is one repository's."""
    for repo in ("shop", "shop-b", "a/shop"):
        desk.backlog.accept(issue(1, ref=ref(1, repo)))
        desk.backlog.accept(issue(2, ref=ref(2, repo)))
    assert {name: [item.ref.number for item in items] for name, items in desk.backlog.ready().items()} == {
        "local:a/shop": [1, 2],
        "local:shop": [1, 2],
        "local:shop-b": [1, 2],
    }
    assert desk.backlog.start(ref(1, "shop"), per_repo=1) == 1
    assert desk.backlog.start(ref(2, "shop"), per_repo=1) is None
    assert desk.backlog.start(ref(1, "shop-b"), per_repo=1) == 1
    assert desk.backlog.busy() == {"local:shop": 1, "local:shop-b": 1}
    assert desk.store.unfinished("local:shop") == [ref(1), ref(2)]


def test_blocks_and_blocked_by_are_one_set_of_edges(desk: Desk) -> None:
    """An edge that both ends declare is one, and stands until both have taken it back."""
    desk.take(2, "Blocked by: #1")
    desk.take(1, "Blocks: #2")
    assert desk.store.blockers(ref(2)) == [ref(1)]
    assert desk.store.dependents(ref(1)) == [ref(2)]
    desk.take(1, "nothing any more")
    assert desk.state(2) is BacklogState.BLOCKED
    desk.take(2, "nothing any more")
    assert desk.state(2) is BacklogState.READY


def test_edited_body_recomputes_the_edges(desk: Desk) -> None:
    """What a body no longer says holds no longer, on either side of the edge."""
    desk.take(1)
    desk.take(2)
    desk.take(3, "Blocked by: #1\nBlocks: #2")
    assert desk.ready() == [1]
    desk.take(3, "Blocked by: #2")
    assert desk.ready() == [1, 2]
    assert desk.state(3) is BacklogState.BLOCKED
    assert desk.told(events.BACKLOG_EDITED) == [str(ref(3))]


def test_edit_of_an_item_in_progress_leaves_it_at_work(desk: Desk) -> None:
    """Its edges are new, its state is not; given back, it is judged by them."""
    desk.take(1)
    desk.take(2)
    fence = desk.backlog.start(ref(2), per_repo=1)
    assert fence is not None
    assert desk.take(2, "Blocked by: #1") is BacklogState.IN_PROGRESS
    assert desk.backlog.release(ref(2), fence=fence, reason="the mailbox refused it")
    assert desk.state(2) is BacklogState.BLOCKED


def test_taking_in_again_changes_nothing(desk: Desk) -> None:
    """The same issue twice is one item, and says nothing."""
    desk.take(1, "Blocked by: #2")
    before = desk.store.read([ref(1)]), list(EventStore(desk.redis, Keys()).all())
    desk.clock.forward(5)
    taken = desk.backlog.accept(desk.forge.issues[ref(1)], requested_by="")
    assert taken.word == "same"
    assert (desk.store.read([ref(1)]), list(EventStore(desk.redis, Keys()).all())) == before
    assert desk.backlog.find(ref(1)).requested_by == "ada"


def test_everything_survives_a_restart(desk: Desk) -> None:
    """A backlog made anew over the same server goes on where the other ended."""
    desk.take(1)
    desk.take(2, "Blocked by: #1")
    desk.backlog.start(ref(1), per_repo=1)
    other = Backlog(
        BacklogStore(desk.redis, Keys(), desk.clock, unknown_blocker="satisfied"),
        forges={}, settings=desk.settings, for_person="ready-for-human",
    )  # fmt: skip
    other.complete(ref(1), reason="merged")
    assert desk.ready() == [2]


def test_unknown_blocker_that_is_closed_on_the_forge_is_satisfied(desk: Desk) -> None:
    """An item waits until the forge has said something, and is asked about but once."""
    desk.forge.put(issue(7, state="closed"))
    assert desk.take(1, "Blocked by: #7") is BacklogState.PENDING
    assert desk.backlog.ask() == 1
    assert desk.ready() == [1]
    desk.clock.forward(1000)
    assert desk.backlog.ask() == 0


def test_unknown_blocker_that_is_open_blocks_until_it_is_closed(desk: Desk) -> None:
    """It is asked about again, not before its time."""
    desk.forge.put(issue(7))
    desk.take(1, "Blocked by: #7")
    desk.backlog.ask()
    assert desk.state(1) is BacklogState.BLOCKED
    desk.forge.close(ref(7))
    assert desk.backlog.ask() == 0
    assert desk.state(1) is BacklogState.BLOCKED
    desk.clock.forward(61)
    assert desk.backlog.ask() == 1
    assert desk.ready() == [1]


@pytest.mark.parametrize(
    ("unknown", "expected"), [("satisfied", BacklogState.READY), ("blocked", BacklogState.BLOCKED)]
)
def test_blocker_that_the_forge_does_not_know(
    fake_redis: redis.Redis, unknown: Unknown, expected: BacklogState
) -> None:
    """The setting says what it is, and a warning says that it is so."""
    desk = Desk(fake_redis, unknown)
    desk.take(1, "Blocked by: #404")
    desk.backlog.ask()
    assert desk.state(1) is expected
    assert desk.told(events.BACKLOG_UNKNOWN_BLOCKER) == [str(ref(404))]
    desk.clock.forward(61)
    desk.backlog.ask()
    assert desk.told(events.BACKLOG_UNKNOWN_BLOCKER) == [str(ref(404))]


def test_unreachable_forge_has_not_answered(desk: Desk) -> None:
    """Items stay as they are while it is down, and it is asked again."""
    desk.forge.put(issue(7))
    desk.take(1, "Blocked by: #7")
    desk.take(2, "Blocked by: #7")
    desk.backlog.ask()
    desk.take(3, "Blocked by: #8")
    desk.forge.down = True
    desk.clock.forward(61)
    assert desk.backlog.ask() == 0
    assert [desk.state(number) for number in (1, 2, 3)] == ["blocked", "blocked", "pending"]
    desk.forge.down = False
    desk.clock.forward(61)
    assert desk.backlog.ask() == 2
    assert desk.ready() == [3]


def test_blocker_that_comes_in_is_asked_about_no_more(desk: Desk) -> None:
    """As an item it speaks for itself."""
    desk.take(1, "Blocked by: #7")
    desk.take(7)
    assert desk.backlog.ask() == 0
    assert desk.state(1) is BacklogState.BLOCKED
    desk.work(7)
    assert desk.ready() == [1]


def test_blocker_closed_by_hand_lets_go(desk: Desk) -> None:
    """A person closes it on the forge; the next look takes that for done."""
    desk.take(1)
    desk.take(2, "Blocked by: #1")
    desk.forge.close(ref(1))
    listing = desk.forge.list_issues("shop", "agent")
    assert desk.backlog.reconcile("local:shop", listing, label="agent") == [ref(1)]
    assert desk.ready() == [2]
    assert desk.state(1) is BacklogState.COMPLETED


def test_issue_closed_during_its_run_is_completed_at_its_end(desk: Desk) -> None:
    """The slot is kept while an agent is at work; however the job ends, the issue is done."""
    desk.take(1)
    desk.take(2, "Blocked by: #1")
    desk.backlog.start(ref(1), per_repo=1)
    desk.take(1, state="closed")
    assert desk.backlog.busy() == {"local:shop": 1}
    desk.backlog.escalate(ref(1), reason="nothing was pushed")
    assert desk.state(1) is BacklogState.COMPLETED
    assert desk.ready() == [2]


def test_listing_that_is_cut_short_or_a_forge_that_is_down_proves_nothing(desk: Desk) -> None:
    """Nothing leaves the queue on an answer that was none."""
    desk.take(1)
    desk.forge.close(ref(1))
    listing = desk.forge.list_issues("shop", "agent")
    short = listing.model_copy(update={"complete": False})
    assert desk.backlog.reconcile("local:shop", short, label="agent") == []
    desk.forge.down = True
    assert desk.backlog.reconcile("local:shop", listing, label="agent") == []
    assert desk.ready() == [1]


def test_label_taken_off_and_put_on_again(desk: Desk) -> None:
    """Without its label an issue leaves the queue, but still blocks others; with it, it is back."""
    desk.take(1)
    desk.take(2, "Blocked by: #1")
    desk.forge.remove_label(ref(1), "agent")
    desk.backlog.reconcile("local:shop", desk.forge.list_issues("shop", "agent"), label="agent")
    assert desk.state(1) is BacklogState.CANCELLED
    desk.backlog.ask()
    assert desk.ready() == []
    assert "open" in desk.backlog.find(ref(2)).reason
    assert desk.take(1) is BacklogState.READY


def test_cancelled_by_a_person_stays_out(desk: Desk) -> None:
    """The label is still there, and that does not bring it back; the person does."""
    desk.take(1)
    assert desk.backlog.cancel(ref(1), by="ada")
    assert desk.take(1) is BacklogState.CANCELLED
    assert desk.backlog.requeue(ref(1), by="ada")
    assert desk.ready() == [1]


def test_pausing_what_left_by_itself_keeps_it_out(desk: Desk) -> None:
    """Without the pause the label would bring it back; and only a pause is for a person to take back."""
    desk.take(1)
    desk.backlog.withdraw(ref(1), "without the label agent")
    with pytest.raises(ConflictError, match=r"without the label agent.*comes back"):
        desk.backlog.requeue(ref(1), by="ada")
    assert desk.backlog.cancel(ref(1), by="ada")
    assert not desk.backlog.cancel(ref(1), by="ada")
    assert desk.take(1) is BacklogState.CANCELLED
    assert (desk.backlog.find(ref(1)).paused, desk.backlog.find(ref(1)).reason) == (True, "paused by ada")


def test_paused_issue_is_remembered_as_long_as_it_is_open(desk: Desk) -> None:
    """Were it forgotten, the next poll would take it for new and have it worked on. Closed, it may be."""
    desk.take(1)
    desk.backlog.cancel(ref(1), by="ada")
    desk.clock.forward(31 * DAY)
    assert desk.backlog.trim() == 0
    assert desk.take(1) is BacklogState.CANCELLED
    desk.take(1, state="closed")
    desk.clock.forward(31 * DAY)
    assert desk.backlog.trim() == 1


def test_paused_issue_that_is_reopened_is_back(desk: Desk) -> None:
    """Closing and opening it again is a decision that is younger than the pause."""
    desk.take(1)
    desk.backlog.cancel(ref(1), by="ada")
    desk.take(1, state="closed")
    assert desk.take(1) is BacklogState.READY


def test_issue_that_is_worked_on_leaves_when_its_job_ends(desk: Desk) -> None:
    """It keeps its slot until then, so that no other job begins beside it; what failed does not come back."""
    desk.take(1)
    desk.take(2)
    fence = desk.backlog.start(ref(1), per_repo=1)
    desk.backlog.attach(ref(1), "j1", fence=fence)
    assert desk.backlog.cancel(ref(1), by="ada")
    assert not desk.backlog.cancel(ref(1), by="bob")
    assert desk.state(1) is BacklogState.IN_PROGRESS
    assert desk.backlog.start(ref(2), per_repo=1) is None
    desk.backlog.escalate(ref(1), reason="nothing was pushed", job="j1")
    item = desk.backlog.find(ref(1))
    assert (item.state, item.paused) == (BacklogState.CANCELLED, True)
    assert item.reason == "paused by ada; its job ended: nothing was pushed"
    desk.take(1, labels=("agent", "ready-for-human"))
    assert desk.take(1) is BacklogState.CANCELLED
    assert desk.backlog.requeue(ref(1), by="ada")
    assert desk.state(1) is BacklogState.READY


def test_work_that_is_done_is_done_although_it_was_paused(desk: Desk) -> None:
    """What waited for it is free; a later start knows nothing of the pause."""
    desk.take(1)
    desk.take(2, "Blocked by: #1")
    desk.backlog.start(ref(1), per_repo=1)
    desk.backlog.cancel(ref(1), by="ada")
    desk.backlog.complete(ref(1), reason="merged")
    assert desk.state(1) is BacklogState.COMPLETED
    assert desk.ready() == [2]


def test_pause_of_what_is_worked_on_can_be_taken_back(desk: Desk) -> None:
    """Then its job's end means what it always means."""
    desk.take(1)
    desk.backlog.start(ref(1), per_repo=1)
    desk.backlog.cancel(ref(1), by="ada")
    assert desk.backlog.requeue(ref(1), by="ada")
    assert not desk.backlog.requeue(ref(1), by="ada")
    desk.backlog.escalate(ref(1), reason="nothing was pushed")
    assert desk.state(1) is BacklogState.ESCALATED
    assert desk.told(events.BACKLOG_PAUSING) == [str(ref(1))] * 2


def test_items_are_listed_by_state_and_repository(desk: Desk) -> None:
    """Each state's items by repository and number, beyond one page, and none of a name that begins alike."""
    for repo in ("shop", "shop-b", "a/shop"):
        for number in (10, 9):
            desk.backlog.accept(issue(number, ref=ref(number, repo)))
    for number in range(100, 350):
        desk.backlog.accept(issue(number, "Blocked by: #9"))
    desk.backlog.cancel(ref(10), by="ada")

    def listed(state: BacklogState, within: str = "") -> list[str]:
        found = [str(item.ref) for item in desk.store.listed(state, within)]
        assert len(found) == desk.store.count(state, within)
        return found

    ready, blocked = BacklogState.READY, BacklogState.BLOCKED
    assert listed(ready, "local:shop") == ["local:shop#9"]
    assert listed(ready) == listed(ready, "local:")
    assert listed(ready) == [
        f"local:{name}" for name in ("a/shop#9", "a/shop#10", "shop#9", "shop-b#9", "shop-b#10")
    ]
    assert listed(blocked, "local:shop") == [str(ref(number)) for number in range(100, 350)]
    assert listed(blocked, "local:shop-b") == listed(blocked, "other:") == []
    assert listed(BacklogState.CANCELLED) == ["local:shop#10"]
    desk.work(9)
    assert len(listed(ready, "local:shop")) == 250


def test_escalated_issue_is_back_when_the_label_was_seen_and_taken_off(desk: Desk) -> None:
    """Until the label shows, its absence means nothing: it may not have been written yet."""
    desk.take(1)
    desk.backlog.start(ref(1), per_repo=1)
    desk.backlog.freeze(ref(1), reason="CI stayed red")
    assert desk.take(1) is BacklogState.FROZEN
    assert desk.take(1, labels=("agent", "ready-for-human")) is BacklogState.FROZEN
    assert desk.take(1) is BacklogState.READY


def test_issue_that_is_labelled_for_a_person_does_not_run(desk: Desk) -> None:
    """A person may put the label on, too."""
    assert desk.take(1, labels=("agent", "ready-for-human")) is BacklogState.ESCALATED
    assert desk.take(1) is BacklogState.READY
    assert desk.take(1, labels=("agent", "ready-for-human")) is BacklogState.ESCALATED


def test_completed_issue_that_is_not_closed_yet_is_not_run_again(desk: Desk) -> None:
    """A look between the end of the work and the closing finds it done; reopened later, it is back."""
    desk.take(1)
    desk.work(1)
    assert desk.take(1) is BacklogState.COMPLETED
    desk.take(1, state="closed")
    assert desk.take(1) is BacklogState.READY


def test_cycle_is_reported_on_each_member(desk: Desk) -> None:
    """All of them stay blocked, those outside it are not in it, and a taken-back edge frees them."""
    desk.take(1, "Blocked by: #2")
    desk.take(2, "Blocked by: #3")
    desk.take(3, "Blocked by: #1")
    desk.take(4, "Blocked by: #1")
    members = (str(ref(1)), str(ref(2)), str(ref(3)))
    for number in (1, 2, 3):
        item = desk.backlog.find(ref(number))
        assert item.state is BacklogState.BLOCKED
        assert item.ring == members
        assert "cycle" in item.reason
    assert desk.backlog.find(ref(4)).ring == ()
    assert sorted(desk.told(events.BACKLOG_CYCLE)) == sorted(members)
    desk.take(3, "None any more")
    assert desk.backlog.find(ref(1)).ring == ()
    assert desk.ready() == [3]


def test_cycle_ends_when_a_member_is_closed_by_hand(desk: Desk) -> None:
    """A closed issue waits for nobody."""
    desk.take(1, "Blocked by: #2")
    desk.take(2, "Blocked by: #1")
    desk.take(1, state="closed")
    assert desk.ready() == [2]
    assert desk.backlog.find(ref(2)).ring == ()


def test_cycle_over_an_issue_outside_the_backlog(desk: Desk) -> None:
    """An issue that says both of another is in a cycle with it, until the forge says that one is closed."""
    desk.forge.put(issue(7))
    desk.take(1, "Blocked by: #7\nBlocks: #7")
    assert desk.backlog.find(ref(1)).ring == (str(ref(1)), str(ref(7)))
    desk.forge.close(ref(7))
    desk.backlog.ask()
    assert desk.ready() == [1]


def test_cycle_begins_when_an_issue_that_counted_as_done_comes_in(desk: Desk) -> None:
    """Every member learns of it, also one that had been ready."""
    desk.take(2, "Blocked by: #1\nBlocks: #1")
    desk.backlog.ask()
    assert desk.ready() == [2]
    desk.take(1)
    assert desk.ready() == []
    assert [desk.backlog.find(ref(number)).ring for number in (1, 2)] == [(str(ref(1)), str(ref(2)))] * 2


def test_end_of_a_cycle_is_told_to_those_that_are_further_away(desk: Desk) -> None:
    """Also a member that does not wait for the closed issue itself is in no cycle any more."""
    desk.forge.put(issue(7))
    desk.take(1, "Blocked by: #7")
    desk.take(2, "Blocked by: #1\nBlocks: #7")
    assert desk.backlog.find(ref(2)).ring == (str(ref(1)), str(ref(2)), str(ref(7)))
    desk.forge.close(ref(7))
    desk.backlog.ask()
    assert desk.backlog.find(ref(2)).ring == ()
    desk.work(1)
    assert desk.ready() == [2]


def test_self_reference_is_a_cycle(desk: Desk) -> None:
    """An issue that waits for itself stays blocked and says so."""
    assert desk.take(1, "Blocked by: #1") is BacklogState.BLOCKED
    assert desk.backlog.find(ref(1)).ring == (str(ref(1)),)
    assert desk.take(1, "Blocked by: none") is BacklogState.READY


def test_body_that_could_not_be_read_is_held(desk: Desk) -> None:
    """A person is told, and the issue runs when the body was mended."""
    assert desk.take(1, TOO_DEEP) is BacklogState.BLOCKED
    assert "a person must look" in desk.backlog.find(ref(1)).reason
    assert desk.told(events.BACKLOG_HELD) == [str(ref(1))]
    assert desk.take(1, "plain") is BacklogState.READY


def test_blockers_of_the_forge_count_beside_the_body(desk: Desk) -> None:
    """They are one list, whose source says where it is from."""
    desk.backlog.accept(issue(1, "Blocked by: #2"), blockers=[ref(2), ref(3)])
    assert desk.store.blockers(ref(1)) == [ref(2), ref(3)]
    assert desk.backlog.find(ref(1)).metadata.metadata_source["blocked_by"] == "forge"


def test_start_that_was_overtaken_gives_nothing_back(desk: Desk) -> None:
    """Only the newest start may release or name its job; an item without a job is found for reconciling."""
    desk.take(1)
    first = desk.backlog.start(ref(1), per_repo=1)
    assert first is not None
    desk.clock.forward(10)
    assert [item.ref for item in desk.backlog.unconfirmed(older_than=desk.clock())] == [ref(1)]
    assert desk.backlog.release(ref(1), fence=first, reason="the mailbox refused it")
    second = desk.backlog.start(ref(1), per_repo=1)
    assert not desk.backlog.release(ref(1), fence=first, reason="late")
    assert not desk.backlog.attach(ref(1), "j1", fence=first)
    assert desk.backlog.attach(ref(1), "j2", fence=second)
    assert desk.backlog.attach(ref(1), "j2")
    assert not desk.backlog.attach(ref(1), "j3")
    assert desk.backlog.unconfirmed(older_than=desk.clock() + 1) == []
    with pytest.raises(ConflictError):
        desk.backlog.complete(ref(1), reason="merged", job="j1")
    assert desk.backlog.complete(ref(1), reason="merged", job="j2")


def test_steps_say_why_they_are_refused(desk: Desk) -> None:
    """What is unknown is not found; what is over cannot go on; the same step again changes nothing."""
    with pytest.raises(NotFoundError):
        desk.backlog.complete(ref(1), reason="merged")
    desk.take(1)
    assert desk.backlog.complete(ref(1), reason="merged")
    assert not desk.backlog.complete(ref(1), reason="merged")
    with pytest.raises(ConflictError, match="completed"):
        desk.backlog.escalate(ref(1), reason="late")
    with pytest.raises(NotFoundError):
        desk.backlog.find(ref(2))


def test_finished_items_are_forgotten_after_their_time(desk: Desk) -> None:
    """With them go their edges; who still names them finds them closed, and nothing is left behind."""
    desk.take(1, "Blocks: #5")
    desk.take(2, "Blocked by: #1")
    desk.work(1)
    desk.clock.forward(29 * DAY)
    assert desk.backlog.trim() == 0
    desk.clock.forward(2 * DAY)
    assert desk.backlog.trim() == 1
    assert desk.ready() == [2]
    assert desk.backlog.ask() == 0
    desk.work(2)
    desk.clock.forward(31 * DAY)
    assert desk.backlog.trim() == 1
    assert sorted(desk.redis.keys()) == ["coalmine:events"]


def test_number_of_finished_items_is_bounded(fake_redis: redis.Redis) -> None:
    """The oldest go first, and one that somebody waits for stays, as it says why."""
    desk = Desk(fake_redis, most_finished=2)
    desk.take(9, "Blocked by: #1")
    for number in range(1, 6):
        desk.take(number)
        desk.clock.forward(1)
        if number == 1:
            desk.backlog.cancel(ref(1), by="ada")
        else:
            desk.work(number)
    desk.backlog.trim()
    desk.backlog.trim()
    assert desk.store.read([ref(number) for number in (2, 3)]) == [None, None]
    assert desk.state(1) is BacklogState.CANCELLED
    assert desk.state(9) is not BacklogState.READY


def test_keys_are_of_permanent_kinds(desk: Desk) -> None:
    """Nothing is written that the list of kinds does not know."""
    desk.take(1, "Blocked by: #2, #3")
    desk.take(2)
    desk.backlog.start(ref(2), per_repo=1)
    desk.take(4)
    assert leaks(desk.redis, Keys()) == []


def test_story_on_a_real_server(redis_client: redis.Redis) -> None:
    """Every script does there what it does in the stand-in."""
    desk = Desk(redis_client)
    desk.take(1, "Blocked by: #2")
    desk.take(2, "Blocked by: #1, #7")
    assert desk.backlog.find(ref(1)).ring == (str(ref(1)), str(ref(2)))
    desk.take(1, labels=("agent", "P0"))
    desk.backlog.ask()
    assert desk.ready() == [1]
    desk.work(1)
    assert desk.ready() == [2]
    fence = desk.backlog.start(ref(2), per_repo=1)
    assert desk.backlog.attach(ref(2), "j1", fence=fence)
    assert desk.backlog.complete(ref(2), reason="merged", job="j1")
    desk.clock.forward(31 * DAY)
    assert desk.backlog.trim() == 2
    assert sorted(desk.redis.keys()) == ["coalmine:events"]


ISSUES = st.integers(1, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), ISSUES, st.lists(ISSUES, max_size=2), st.lists(ISSUES, max_size=1)),
        st.tuples(st.sampled_from(["work", "close", "escalate", "cancel"]), ISSUES),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_ready_is_what_has_no_open_blocker(steps: list[tuple[Any, ...]]) -> None:
    """Whatever happens in whatever order, the states are those that a look at the whole graph gives."""
    with fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        desk = Desk(client)
        for step in steps:
            play(desk, *step)
            desk.clock.forward(61)
            desk.backlog.ask()
            check(desk)


def play(desk: Desk, what: str, number: int, *lists: list[int]) -> None:
    """One step of a story; what is not allowed is not done."""
    name = ref(number)
    if what == "take":
        body = "\n".join(
            f"{label}: {', '.join(f'#{each}' for each in numbers)}"
            for label, numbers in zip(("Blocked by", "Blocks"), lists, strict=True)
        )
        desk.take(number, body)
    elif desk.store.read([name]) != [None]:
        if what == "work" and desk.backlog.start(name, per_repo=1) is not None:
            desk.backlog.complete(name, reason="merged")
        elif what == "close":
            desk.take(number, desk.forge.issues[name].body, state="closed")
        elif what in {"escalate", "cancel"} and desk.state(number) not in {"completed", "cancelled"}:
            getattr(desk.backlog, what)(name, **({"by": "ada"} if what == "cancel" else {"reason": "x"}))


def check(desk: Desk) -> None:
    """Compare each item's state with what its blockers are, read one by one."""
    numbers = range(1, 6)
    items = {item.ref: item for item in desk.store.read([ref(number) for number in numbers]) if item}
    for name, item in items.items():
        waits = [other for other in desk.store.blockers(name) if is_open(desk, items, other)]
        if item.state in {"pending", "blocked", "ready"}:
            assert (item.state == "ready") == (not waits), (name, item, waits)
        if item.state != "cancelled":
            assert (item.ring != ()) == in_ring(desk, items, name), (name, item)


def is_open(desk: Desk, items: dict[IssueRef, BacklogItem], name: IssueRef) -> bool:
    """Whether an issue is not done, by the item or by the forge."""
    if name in items and items[name].state != "cancelled":
        return items[name].state != "completed"
    return name in desk.forge.issues and desk.forge.issues[name].state == "open"


def in_ring(desk: Desk, items: dict[IssueRef, BacklogItem], name: IssueRef) -> bool:
    """Whether an open issue waits, over other open ones, for itself."""
    seen: set[IssueRef] = set()
    todo = [name] if is_open(desk, items, name) else []
    while todo:
        for other in desk.store.blockers(todo.pop()):
            if other == name:
                return True
            if other not in seen and is_open(desk, items, other):
                seen.add(other)
                todo.append(other)
    return False
