"""What every tracker must do, run against the suite's own Jira and Linear.

Each server refuses what its tracker's own documentation does not know. A new kind adds its server and its
client to `tests/servers/served_trackers.py`.
"""

import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeMovedError,
    ForgeRefusedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.forge import Permission
from routing.forges.stage import Stage
from routing.http.settings import HttpLimits
from routing.issues.issue import IssueRef
from tests.fakes.forge_world import OWN_LOGIN, PERSON
from tests.fakes.tracker_world import TrackerWorld
from tests.servers.forge_server import Answer
from tests.servers.served_trackers import TRACKER_SERVERS, ServedTracker, tracker_at


@pytest.fixture(params=list(TRACKER_SERVERS))
def there(request: pytest.FixtureRequest) -> Iterator[ServedTracker]:
    """Each tracker in turn."""
    world = TrackerWorld()
    server = TRACKER_SERVERS[request.param](world)
    site = tracker_at(request.param, server.address)
    yield ServedTracker(kind=request.param, site=site, server=server, world=world)
    site.forge.close_connections()
    server.stop()


def test_open_issues_are_listed_by_label(there: ServedTracker) -> None:
    """All pages of those in a state that ends none, by number; labels in any case."""
    refs = [there.open(labels=["coalmine"]) for _ in range(5)]
    plain = there.open(title="Think about it")
    there.open(labels=["coalmine"], state="Won't Do")
    listing = there.tracker.list_issues("SHOP", "Coalmine")
    assert ([issue.ref for issue in listing.issues], listing.complete) == (refs, True)
    assert [issue.ref for issue in there.tracker.list_issues("SHOP", None).issues] == [*refs, plain]


def test_a_listing_that_is_too_long_says_so(there: ServedTracker) -> None:
    """Nothing is concluded from what a part of a listing lacks."""
    for _ in range(3):
        there.open()
    limits = HttpLimits(page_size=1, max_pages=2, attempts=1)
    short = tracker_at(there.kind, there.server.address, limits=limits)
    listing = short.forge.list_issues("SHOP", None)
    short.forge.close_connections()
    assert (len(listing.issues), listing.complete) == (2, False)


def test_a_label_is_data_in_a_search(there: ServedTracker) -> None:
    """Quotes and backslashes in it end nothing."""
    ref = there.open(labels=['a"b\\c'])
    assert [issue.ref for issue in there.tracker.list_issues("SHOP", 'a"b\\c').issues] == [ref]
    assert there.tracker.list_issues("SHOP", 'x" OR labels = "a').issues == ()


def test_an_issue_is_read_whole(there: ServedTracker) -> None:
    """Title, text, labels, state, its part, who made it, and comments arrive as they were written."""
    ref = there.open(title="Cart is slow", body="First\n\nsecond <b>line</b>", labels=["x"], part="Checkout")
    there.world.comment(there.issue(ref), "bob", "Me too")
    issue = there.tracker.read_issue(ref)
    assert (issue.ref, issue.title, issue.body) == (ref, "Cart is slow", "First\n\nsecond <b>line</b>")
    assert (issue.labels, issue.state, issue.status) == (("x",), "open", "To Do")
    assert (issue.parts, issue.author, issue.assignees) == (("Checkout",), PERSON, ())
    assert [(one.author, one.body) for one in issue.comments or ()] == [("bob", "Me too")]
    assert ref.key in issue.url


def test_all_comments_are_read(there: ServedTracker) -> None:
    """Oldest first, over several pages."""
    ref = there.open()
    for number in range(5):
        there.world.comment(there.issue(ref), PERSON, f"Number {number}")
    comments = there.tracker.read_issue(ref).comments or ()
    assert [one.body for one in comments] == [f"Number {number}" for number in range(5)]


def test_the_revision_is_of_the_text(there: ServedTracker) -> None:
    """Comments, labels and states do not change it; another text does."""
    ref = there.open()
    before = there.tracker.read_issue(ref).revision
    there.tracker.comment(ref, "On it")
    there.tracker.add_label(ref, "agent-in-progress")
    there.tracker.show_stage(ref, Stage.IN_PROGRESS)
    assert there.tracker.read_issue(ref).revision == before
    there.world.rewrite(there.issue(ref), "Another text")
    assert there.tracker.read_issue(ref).revision != before


def test_our_comments_can_be_edited_and_others_cannot(there: ServedTracker) -> None:
    """The checklist is one comment edited in place; a person's comment is theirs."""
    ref = there.open()
    theirs = there.world.comment(there.issue(ref), PERSON, "mine")
    ours = there.tracker.comment(ref, "- [ ] tests")
    there.tracker.edit_comment(ref, ours.id, "- [x] tests")
    comments = there.tracker.read_issue(ref).comments or ()
    assert [one.body for one in comments] == ["mine", "- [x] tests"]
    assert [one.is_by(there.tracker.own_login()) for one in comments] == [False, True]
    with pytest.raises(ForgeRefusedError, match="was not changed"):
        there.tracker.edit_comment(ref, comments[0].id, "theirs no more")
    assert theirs.body == "mine"
    with pytest.raises(ForgeGoneError):
        there.tracker.edit_comment(ref, 999_999, "nobody's")
    with pytest.raises(ForgeInvalidError):
        there.tracker.comment(ref, " ")


CHECKLIST = """### SHOP#12 — run progress

- [x] worktree
- [~] tests: `make **test**` says `a\\`b`
- [ ] done, see [the request](https://forge.test/acme/shop/pulls/3)

```
$ make test
1 failed
```

**Version** `implementer@v3`

<!-- coalmine run 0123456789abcdef -->"""


def test_the_mark_of_our_comment_is_found_again(there: ServedTracker) -> None:
    """Trackers keep no comments of HTML; ours is shown as code there, and read as it was written."""
    ref = there.open()
    made = there.tracker.comment(ref, CHECKLIST)
    again = (there.tracker.read_issue(ref).comments or ())[0]
    for body in (made.body, again.body):
        assert body.rstrip().splitlines()[-1] == "<!-- coalmine run 0123456789abcdef -->"
    for said in ("- [x] worktree", "1 failed", "`implementer@v3`", "https://forge.test/acme/shop/pulls/3"):
        assert said in again.body


def test_writing_twice_is_writing_once(there: ServedTracker) -> None:
    """Labels, the assignee, links, states and closing may be repeated; what is not there may be removed."""
    ref = there.open(labels=["Coalmine"])
    for _ in range(2):
        there.tracker.add_label(ref, "ready-for-human")
        there.tracker.remove_label(ref, "coalmine")
        there.tracker.assign(ref, OWN_LOGIN)
        there.tracker.link_work(ref, url="https://forge.test/pulls/3", title="Cart is fast")
        there.tracker.show_stage(ref, Stage.IN_PROGRESS)
    assert there.issue(ref).state == "In Progress"
    for _ in range(2):
        there.tracker.close(ref)
    issue = there.tracker.read_issue(ref)
    assert (issue.labels, issue.assignees) == (("ready-for-human",), (OWN_LOGIN,))
    assert (issue.state, issue.status) == ("closed", "Done")
    assert there.issue(ref).links == {"https://forge.test/pulls/3": "Cart is fast"}


def test_nobody_is_taken_off_an_issue(there: ServedTracker) -> None:
    """A tracker has one assignee, and a person's issue stays theirs."""
    ref = there.open()
    there.world.assign(there.issue(ref), "bob")
    there.tracker.assign(ref, OWN_LOGIN)
    assert there.issue(ref).assignee == "bob"


def test_an_issue_that_people_ended_stays_as_they_left_it(there: ServedTracker) -> None:
    """It is not moved from the state that they chose to the one for done work."""
    ref = there.open(state="Won't Do")
    there.tracker.close(ref)
    assert there.issue(ref).state == "Won't Do"


def test_a_stage_without_a_state_moves_nothing(there: ServedTracker) -> None:
    """Those that the settings leave empty."""
    ref = there.open()
    there.tracker.show_stage(ref, Stage.HANDED_BACK)
    assert there.issue(ref).state == "To Do"


def test_a_state_that_is_not_there_is_named(there: ServedTracker) -> None:
    """With the setting to correct; the doctor finds it before anything is moved."""
    states = {"in_progress": "Doing", "in_review": "in review", "done": "Done"}
    site = tracker_at(there.kind, there.server.address, states=states)
    with pytest.raises(ForgeRefusedError, match=r"Doing.*states\.in_progress"):
        site.forge.show_stage(there.open(), Stage.IN_PROGRESS)
    missing = site.forge.missing_states()
    site.forge.close_connections()
    assert missing == ("Doing",)
    assert there.tracker.missing_states() == ()


def test_without_a_name_done_work_goes_to_an_end(there: ServedTracker) -> None:
    """The first state of the workflow that ends an issue as done."""
    site = tracker_at(there.kind, there.server.address, states={"done": ""})
    ref = there.open()
    site.forge.close(ref)
    site.forge.close_connections()
    assert there.issue(ref).state == "Done"


def test_blockers_are_named_also_when_closed(there: ServedTracker) -> None:
    """The tracker's own links count, in their direction, over several pages."""
    blockers = [there.open() for _ in range(3)]
    ref = there.blocked(one.number for one in blockers)
    there.tracker.close(blockers[0])
    assert there.tracker.dependencies(ref) == tuple(blockers)
    assert there.tracker.dependencies(blockers[0]) == ()


def test_who_asked_is_the_one_who_set_the_label(there: ServedTracker) -> None:
    """By the history of the issue, however long; what it was made with, its creator gave it."""
    ref = there.open(labels=["coalmine"], author="eve")
    issue = there.issue(ref)
    assert there.tracker.requested_by(ref, "coalmine") == "eve"
    there.world.relabel(issue, [])
    assert there.tracker.requested_by(ref, "coalmine") == ""
    for name in ("one", "two", "coalmine", "three"):
        there.world.relabel(issue, [*issue.labels, name], by="bob" if name == "coalmine" else PERSON)
    assert there.tracker.requested_by(ref, "Coalmine") == "bob"
    there.world.relabel(issue, ["one"])
    there.world.relabel(issue, ["one", "coalmine"], by="eve")
    assert there.tracker.requested_by(ref, "coalmine") == "eve"


def test_a_history_that_is_too_long_names_nobody(there: ServedTracker) -> None:
    """Half of it would name a wrong person."""
    ref = there.open(labels=["coalmine"])
    for number in range(12):
        there.world.relabel(there.issue(ref), ["coalmine", str(number)])
    with pytest.raises(ForgeRefusedError, match="max_pages"):
        there.tracker.requested_by(ref, "coalmine")


def test_without_a_label_the_last_to_assign_it_asked(there: ServedTracker) -> None:
    """Else who made it; that we assigned it to ourselves is nobody's wish."""
    ref = there.open(author="eve")
    issue = there.issue(ref)
    assert there.tracker.requested_by(ref, None) == "eve"
    there.world.assign(issue, OWN_LOGIN, by="bob")
    there.world.assign(issue, OWN_LOGIN, by=OWN_LOGIN)
    assert there.tracker.requested_by(ref, None) == "bob"


def test_permission_is_asked_of_the_tracker(there: ServedTracker) -> None:
    """Who may edit issues may put agents to work, a guest or a stranger may not."""
    asked = [PERSON, "stranger", "greta", ""]
    found = [there.tracker.permission("SHOP", name).can_write for name in asked]
    assert found == [True, False, False, False]
    assert there.tracker.permission("SHOP", "") is Permission.NONE


def test_what_is_not_there_is_gone(there: ServedTracker) -> None:
    """Unknown and deleted issues; one that moved says where it is."""
    unknown = IssueRef(forge=there.kind, repo="SHOP", number=999)
    deleted = there.open()
    there.issue(deleted).is_deleted = True
    for ref in (unknown, deleted, unknown.model_copy(update={"repo": "OTHER"})):
        with pytest.raises(ForgeGoneError):
            there.tracker.read_issue(ref)
        with pytest.raises(ForgeGoneError):
            there.tracker.requested_by(ref, None)
    moved = there.open()
    there.issue(moved).key = "OTHER-3"
    with pytest.raises(ForgeMovedError, match="OTHER-3"):
        there.tracker.read_issue(moved)


def test_an_issue_of_another_place_is_not_touched(there: ServedTracker) -> None:
    """A name says which tracker it is of."""
    with pytest.raises(ForgeRefusedError, match="another tracker"):
        there.tracker.add_label(IssueRef(forge="github", repo="SHOP", number=12), "x")
    assert there.server.asked == []


def test_no_answer_is_not_an_empty_one(there: ServedTracker) -> None:
    """A tracker that cannot be asked lists nothing, and says so by an error."""
    ref = there.open()
    there.server.silent = True
    for ask in (
        lambda: there.tracker.list_issues("SHOP", None), lambda: there.tracker.read_issue(ref),
        lambda: there.tracker.close(ref), lambda: there.tracker.permission("SHOP", PERSON),
        lambda: there.tracker.access("SHOP"), there.tracker.missing_states,
    ):  # fmt: skip
        with pytest.raises(ForgeUnreachableError):
            ask()


def test_a_limit_of_requests_is_waited_for(there: ServedTracker) -> None:
    """Jira's is a status; Linear's is an error among others, whose end is in milliseconds."""
    ref = there.open()
    soon = str(round((time.time() + 5) * 1000))
    headers = {"X-RateLimit-Requests-Remaining": "0", "X-RateLimit-Requests-Reset": soon}
    error = {"message": "Rate limit exceeded", "extensions": {"code": "RATELIMITED"}}
    limits = {
        "jira": Answer(status=429, value={}, headers={"Retry-After": "1"}),
        "linear": Answer(status=400, value={"errors": [error]}, headers=headers),
    }
    there.server.next.append(limits[there.kind])
    assert there.tracker.read_issue(ref).ref == ref
    there.server.next.append(limits[there.kind])
    assert there.tracker.comment(ref, "once").author == OWN_LOGIN
    assert len(there.issue(ref).comments) == 1


def test_a_token_that_has_ended_is_said(there: ServedTracker) -> None:
    """It is another error than a missing permission, and is in no message."""
    other = tracker_at(there.kind, there.server.address, token=SecretStr("an-old-t0ken"))
    with pytest.raises(ForgeTokenError) as caught:
        other.forge.own_login()
    other.forge.close_connections()
    assert "an-old-t0ken" not in str(caught.value)


def test_access_is_plain(there: ServedTracker) -> None:
    """What is there can be read and written, and what is not there is said."""
    access = there.tracker.access("SHOP")
    assert (access.readable, access.writable, access.knows_people) == (True, True, True), access.note
    elsewhere = there.tracker.access("NOPE")
    assert (elsewhere.readable, elsewhere.writable) == (False, False)
    assert "NOPE" in elsewhere.note


def test_a_listing_of_what_is_not_there_is_an_error(there: ServedTracker) -> None:
    """It is never read as a project without issues."""
    with pytest.raises(ForgeError):
        there.tracker.list_issues("NOPE", None)
    assert there.tracker.list_issues("SHOP", None).issues == ()
