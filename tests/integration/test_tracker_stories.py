"""Issues of a tracker that are worked on in a repository of a forge.

The trackers are the suite's Jira and Linear, the forge is in memory.

Tick by tick, in one process; `test_tracker_fleet.py` has the same with workers and git.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from console.output.issue_views import issue_document
from routing.backlog.item import BacklogState
from routing.backlog.refusal import Gate
from routing.http.settings import HttpLimits
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.trackers.jira.document import as_markdown
from routing.trackers.registry import TRACKER_KINDS
from tasks.issues.request_text import change_text
from tests.fakes.forge_world import OWN_LOGIN, TOKEN
from tests.fakes.memory_forge import MemoryForge
from tests.fakes.tracker_world import TrackedIssue, TrackerWorld
from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.stepped_fleet import SteppedClock
from tests.servers.jira_server import EMAIL, FILTER
from tests.servers.served_trackers import TRACKER_SERVERS

SHOP = "github:acme/shop"


class TrackerShop:
    """The fleet, the project on a tracker (Jira unless another is named), and the forge."""

    def __init__(self, client: redis.Redis, kind: str = "jira", **changes: Any) -> None:
        self.kind = kind
        self.world = TrackerWorld()
        self.server = TRACKER_SERVERS[kind](self.world)
        forge_settings = changes.pop("forge", {})
        given = {
            "base_url": self.server.address, "token": SecretStr(TOKEN), "project": "SHOP",
            "kill_switch": False, "repository": SHOP, **({"email": EMAIL} if kind == "jira" else {}),
        }  # fmt: skip
        self.config = TRACKER_KINDS[kind].config.model_validate(given | changes)
        clock = SteppedClock()
        forges = [MemoryForge(clock, repos=("acme/shop", "acme/cart"))]
        http = HttpLimits(attempts=1, failures_to_open=100)
        sources = {"tracker": (self.config,), "http": http}
        self.fleet = ForgeFleet(client, *forges, clock=clock, sources=sources, **forge_settings)
        self.forge = self.fleet.forge

    def issue(self, **given: Any) -> TrackedIssue:
        """Somebody opens an issue for the agents."""
        return self.world.open_issue(**({"labels": ["coalmine"]} | given))

    def ref(self, issue: TrackedIssue) -> IssueRef:
        """Its name."""
        return IssueRef(forge=self.kind, repo="SHOP", number=issue.number)

    def state(self, issue: TrackedIssue) -> BacklogState:
        """Its state in the backlog."""
        return self.fleet.item(self.ref(issue)).state

    def jobs(self, issue: TrackedIssue) -> list[Job]:
        """Its jobs, oldest first."""
        return self.fleet.jobs(self.ref(issue))

    def begin(self, **given: Any) -> tuple[TrackedIssue, Job]:
        """An issue whose job is queued."""
        issue = self.issue(**given)
        self.fleet.poll()
        self.fleet.dispatch()
        return issue, self.jobs(issue)[0]

    def said(self, issue: TrackedIssue) -> list[str]:
        """Our comments on an issue."""
        return [as_markdown(one.body) for one in issue.comments if one.author == OWN_LOGIN]

    def close(self) -> None:
        """End the server, and what speaks to it."""
        self.fleet.parts.close()
        self.fleet.stop()
        self.server.stop()


Shops = Callable[..., TrackerShop]


@pytest.fixture
def shop_of(fake_redis: redis.Redis) -> Iterator[Shops]:
    """Makes the test's shop."""
    made: list[TrackerShop] = []

    def make(**changes: Any) -> TrackerShop:
        made.append(TrackerShop(fake_redis, **changes))
        return made[0]

    yield make
    for shop in made:
        shop.close()


@pytest.mark.parametrize("kind", list(TRACKER_SERVERS))
def test_an_issue_is_worked_on_a_forge_until_it_is_done(shop_of: Shops, kind: str) -> None:
    """Label to merge: the work is pushed to the repository, and the tracker shows how far it is."""
    shop = shop_of(kind=kind)
    issue, job = shop.begin(title="Cart is slow")
    assert (job.request.repository, job.request.issue) == (SHOP, f"{kind}:SHOP#12")
    assert (issue.state, set(issue.labels)) == ("In Progress", {"coalmine", "agent-in-progress"})
    assert issue_document(shop.fleet.item(shop.ref(issue)))["works_in"] == SHOP
    shop.fleet.rounds(3)
    assert shop.jobs(issue)[0].state is JobState.SUCCEEDED
    assert (issue.state, issue.labels) == ("Done", ["coalmine"])
    (comment,) = shop.said(issue)
    assert "Done — issue closed" in comment
    assert "- [ ]" not in comment
    assert shop.state(issue) is BacklogState.COMPLETED
    (change,) = shop.forge.changes
    assert issue.links == {change.url: "Cart is slow"}
    assert shop.forge.issues == {}
    assert shop.fleet.complaints == []
    assert [answer.value for _, answer in shop.server.answered if answer.status >= 400] == []


def test_its_change_request_names_it_by_its_key(shop_of: Shops) -> None:
    """A number would be that of an issue of the forge, which the merge would close."""
    shop = shop_of()
    _, job = shop.begin()
    for closes in (False, True):
        _, body = change_text(job, closes=closes)
        assert body.startswith("For SHOP-12. ")
        assert "#12" not in body


@pytest.mark.long
def test_work_that_people_merge_is_in_review(shop_of: Shops) -> None:
    """The issue says so by label and state, and ends with the merge."""
    shop = shop_of(forge={"merge": "never"}, states={"in_review": "In Review"})
    issue, job = shop.begin()
    shop.fleet.rounds(2)
    assert (issue.state, set(issue.labels)) == ("In Review", {"coalmine", "agent-in-review"})
    shop.forge.person_merges(job.branch)
    shop.fleet.clock.forward(86_400.0)
    shop.fleet.rounds(2)
    assert (issue.state, issue.labels) == ("Done", ["coalmine"])


@pytest.mark.long
def test_work_that_failed_is_handed_back(shop_of: Shops) -> None:
    """By the label for people, and by the state that is set for it; the issue stays open."""
    shop = shop_of(forge={"acts": {12: ["fails"]}}, states={"handed_back": "Blocked"})
    issue, _ = shop.begin()
    shop.fleet.rounds(3)
    assert (issue.state, set(issue.labels)) == ("Blocked", {"coalmine", "ready-for-human"})
    assert shop.state(issue) is BacklogState.ESCALATED
    shop.world.relabel(issue, ["coalmine"])
    shop.fleet.rounds(3)
    assert (len(shop.jobs(issue)), issue.state) == (2, "Done")


def test_routes_say_where_work_goes(shop_of: Shops) -> None:
    """The first route that fits, by component and label in any case; else the tracker's repository."""
    route = ({"repository": "github:acme/cart", "component": "cart", "label": "Backend"},)
    shop = shop_of(route=route)
    cart, other = shop.issue(part="Cart", labels=["coalmine", "backend"]), shop.issue(part="Cart")
    shop.fleet.poll()
    shop.fleet.dispatch()
    shop.fleet.dispatch()
    places = [shop.jobs(one)[0].request.repository for one in (cart, other)]
    assert places == ["github:acme/cart", SHOP]


@pytest.mark.long
def test_an_issue_without_a_place_waits_for_a_person(shop_of: Shops) -> None:
    """It says why, and begins when it gets one."""
    shop = shop_of(repository=None, route=({"repository": SHOP, "label": "shop"},))
    issue = shop.issue()
    shop.fleet.rounds(2)
    item = shop.fleet.item(shop.ref(issue))
    assert (item.state, shop.jobs(issue)) == (BacklogState.BLOCKED, [])
    assert "which repository" in item.reason
    shop.world.relabel(issue, [*issue.labels, "shop"])
    shop.fleet.rounds(3)
    assert issue.state == "Done"


def test_a_place_that_no_forge_serves_begins_nothing(shop_of: Shops) -> None:
    """Before an agent is paid; the refusal names the repository."""
    shop = shop_of(repository="github:acme/secret")
    issue = shop.issue()
    shop.fleet.rounds(2)
    refused = shop.fleet.item(shop.ref(issue)).refusal
    assert refused is not None
    assert (refused.gate, shop.jobs(issue)) == (Gate.UNFIT, [])
    assert "github:acme/secret" in refused.reason


@pytest.mark.long
def test_two_sources_share_the_slots_of_a_repository(shop_of: Shops) -> None:
    """An issue of Jira waits while one of the forge has the repository, and another's place is free."""
    shop = shop_of(route=({"repository": "github:acme/cart", "label": "cart"},))
    own = shop.forge.person_opens(1)
    shop.fleet.poll()
    shop.fleet.dispatch()
    first, second = shop.issue(), shop.issue(labels=["coalmine", "cart"])
    shop.fleet.poll()
    shop.fleet.dispatch()
    assert len(shop.fleet.jobs(own)) == 1
    assert shop.jobs(first) == []
    refused = shop.fleet.item(shop.ref(first)).refusal
    assert refused is not None
    assert refused.gate is Gate.REPOSITORY_BUSY
    assert len(shop.jobs(second)) == 1
    shop.fleet.rounds(4)
    assert (first.state, second.state) == ("Done", "Done")


@pytest.mark.long
def test_a_place_that_is_taken_stays(shop_of: Shops) -> None:
    """A component that changes while an agent works moves neither the work nor its slot."""
    shop = shop_of(route=({"repository": "github:acme/cart", "component": "Cart"},))
    issue, job = shop.begin()
    issue.part = "Cart"
    shop.world.rewrite(issue, issue.body)
    shop.fleet.poll()
    assert shop.fleet.item(shop.ref(issue)).place == SHOP
    shop.fleet.rounds(3)
    assert (issue.state, job.request.repository) == ("Done", SHOP)
    assert [change.repo for change in shop.forge.changes] == ["acme/shop"]


@pytest.mark.parametrize(
    "how", ["label", "closed", "stop label", "stop state", "deleted", "moved", "assigned"]
)
@pytest.mark.long
def test_a_person_takes_it_back(shop_of: Shops, how: str) -> None:
    """Whatever says so ends the job at the next look: nothing is pushed, opened or closed after it."""
    shop = shop_of(stop_label="no-agents", stop_states=("Blocked",))
    issue, job = shop.begin()
    acts: dict[str, Callable[[], object]] = {
        "label": lambda: shop.world.relabel(issue, ["agent-in-progress"]),
        "closed": lambda: shop.world.move(issue, "Won't Do"),
        "stop label": lambda: shop.world.relabel(issue, [*issue.labels, "no-agents"]),
        "stop state": lambda: shop.world.move(issue, "Blocked"),
        "deleted": lambda: setattr(issue, "is_deleted", True),
        "moved": lambda: setattr(issue, "key", "OTHER-1"),
        "assigned": lambda: shop.world.assign(issue, "bob"),
    }
    acts[how]()
    state = issue.state
    shop.fleet.rounds(2)
    assert shop.fleet.hands.app.jobs.find(job.id).state is JobState.CANCELLED
    assert (shop.forge.changes, issue.state, len(shop.jobs(issue))) == ([], state, 1)
    assert "agent-in-progress" not in issue.labels or issue.is_deleted or issue.key


@pytest.mark.long
def test_a_filter_chooses_what_begins_and_ends_nothing(shop_of: Shops) -> None:
    """We move an issue out of the state by which a filter selects it; its work goes on."""
    shop = shop_of(filter=FILTER)
    shop.world.selects = lambda one: one.state == "To Do"
    left_out = shop.issue(state="Blocked")
    issue, _ = shop.begin()
    assert (issue.state, shop.world.selects(issue)) == ("In Progress", False)
    shop.fleet.rounds(3)
    assert (issue.state, shop.jobs(left_out)) == ("Done", [])
    waiting = shop.issue()
    shop.fleet.poll()
    shop.world.move(waiting, "Blocked")  # before it began
    shop.fleet.rounds(2)
    assert shop.jobs(waiting) == []


def test_nobody_who_may_not_edit_issues_puts_agents_to_work(shop_of: Shops) -> None:
    """The creator of an issue gives it labels that only editors may add later."""
    shop = shop_of()
    issue = shop.issue(author="stranger")
    shop.fleet.rounds(2)
    refused = shop.fleet.item(shop.ref(issue)).refusal
    assert refused is not None
    assert (refused.gate, shop.jobs(issue)) == (Gate.UNTRUSTED, [])
    shop.world.relabel(issue, [])
    shop.world.relabel(issue, ["coalmine"], by="ann")
    shop.fleet.rounds(3)
    assert issue.state == "Done"


@pytest.mark.long
def test_a_text_that_changes_is_worked_on_as_it_is(shop_of: Shops) -> None:
    """An editor's new text becomes one more turn, before anything is merged."""
    shop = shop_of(forge={"ci_seconds": 60.0})
    issue, job = shop.begin()
    shop.fleet.work()
    shop.world.rewrite(issue, "It is slow on Mondays.")
    shop.fleet.rounds(6)
    now = shop.fleet.hands.app.jobs.find(job.id)
    assert (now.state, now.task, issue.state) == (JobState.SUCCEEDED, "It is slow on Mondays.", "Done")
    assert now.revision == shop.fleet.item(shop.ref(issue)).revision != job.revision


@pytest.mark.long
def test_a_workflow_that_leads_nowhere_keeps_nothing_up(shop_of: Shops) -> None:
    """A state that cannot be reached is not shown; the end is tried again."""
    shop = shop_of()
    shop.world.ways = {"To Do": set(), "In Progress": {"Done"}}
    issue, job = shop.begin()
    shop.fleet.rounds(3)
    assert shop.fleet.hands.app.jobs.find(job.id).state is JobState.SUCCEEDED
    assert (issue.state, shop.state(issue)) == ("To Do", BacklogState.COMPLETED)
    assert shop.said(issue)
    assert len(shop.jobs(issue)) == 1
    shop.world.ways = {}
    shop.fleet.clock.forward(3600.0)
    shop.fleet.rounds(2)
    assert issue.state == "Done"


@pytest.mark.long
def test_a_tracker_that_is_down_keeps_no_other_work_up(shop_of: Shops) -> None:
    """The forge's own issues go on, and nothing is concluded about those of the tracker."""
    shop = shop_of()
    issue, job = shop.begin()
    shop.server.silent = True
    own = shop.forge.person_opens(1, repo="acme/cart")
    shop.fleet.rounds(3)
    places = shop.fleet.parts.served_places()
    assert list(shop.fleet.parts.problems.read(places)) == ["jira:SHOP"]
    assert shop.fleet.item(own).state is BacklogState.COMPLETED
    assert shop.fleet.hands.app.jobs.find(job.id).state in {JobState.WAITING, JobState.SUCCEEDED}
    shop.server.silent = False
    shop.fleet.clock.forward(3600.0)
    shop.fleet.rounds(4)
    assert issue.state == "Done"


def test_with_its_kill_switch_on_jira_is_not_asked(shop_of: Shops) -> None:
    """Not even whether it is there."""
    shop = shop_of(kill_switch=True)
    issue = shop.issue()
    shop.fleet.rounds(2)
    assert (shop.server.asked, issue.state) == ([], "To Do")
