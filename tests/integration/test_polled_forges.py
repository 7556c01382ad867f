"""Forges that tell nothing, so that polls find everything: blockers, merges of our own, and a burst."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from routing.backlog.item import BacklogState
from routing.events import WEBHOOK_ACCEPTED
from routing.jobs.job import Job, JobState
from routing.jobs.signal import SignalKind
from tests.fakes.forge_world import WorldIssue
from tests.fleets.forge_shop import FOR_HUMAN, LABEL, ForgeShop, ForgeShops, forge_shops
from tests.servers.private_server import private_server
from tests.waiting import wait_until

pytestmark = [pytest.mark.xdist_group("polled-forges"), pytest.mark.long]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeShops]:
    """A fleet that merges what is green, and takes the credit away when it is reverted within the hour."""
    folder = tmp_path_factory.mktemp("polled")
    with (
        private_server(folder) as server,
        forge_shops(
            folder,
            server.url,
            forges={"POLL_INTERVAL_SECONDS": "1", "MERGE": "green", "PER_REPO": "9"},
            COALMINE_CANARY__POLICY='{"revert_window_seconds": 3600}',
            COALMINE_ISSUES__BACKLOG__ASK_AGAIN_SECONDS="1",
        ) as made,
    ):
        yield made


@pytest.fixture
def shop(request: pytest.FixtureRequest, running: ForgeShops) -> ForgeShop:
    """One of the forges."""
    found: ForgeShop = running.shops[request.param]
    return found


def on(*kinds: str) -> pytest.MarkDecorator:
    """Which forges a story is played on."""
    return pytest.mark.parametrize("shop", kinds, indirect=True)


@on("github", "gitea", "gitlab")
def test_green_work_is_merged_and_a_revert_takes_the_credit_away(shop: ForgeShop) -> None:
    """The merge names exactly the commit that CI was green at."""
    issue = shop.issue()
    job = shop.judge(issue)
    done = shop.until_closed(issue)
    [asked] = [
        one.body
        for one in list(shop.server.asked)
        if one.path.endswith("/merge")
        and job.result.commit in {one.body.get("sha"), one.body.get("head_commit_id")}
    ]
    assert "merge" in {asked.get("merge_method"), asked.get("Do")} or asked["squash"] is False
    assert (done.state, done.settled_at) == (JobState.SUCCEEDED, None)
    assert shop.signals(job) == {SignalKind.CI_GREEN, SignalKind.MERGED}
    assert "- [x] deployed: merged into the main branch" in shop.ours(issue)[0].body
    shop.world.revert(shop.pull(job))
    assert shop.until_scored(job) == 0.0


@on("github")
def test_a_branch_that_moved_on_is_not_merged(shop: ForgeShop) -> None:
    """Somebody pushed to it: what CI was green at is not what would be merged, so a person is asked."""
    issue = shop.issue()
    job = shop.until(issue, JobState.WAITING)
    pull = shop.pull(job)
    shop.push(job.branch, "more.txt")
    before = shop.world.repository.tip()
    shop.world.say(job.result.commit, "ci/build", "success")
    assert shop.until_shown(issue).state is JobState.ESCALATED
    assert (pull.issue.state, issue.state, set(issue.labels)) == ("open", "open", {LABEL, FOR_HUMAN})
    assert shop.world.repository.tip() == before
    assert shop.parts.jobs.find(job.id).reason.startswith("green, but not merged")


@on("github")
@pytest.mark.parametrize("found", [True, False], ids=["no conflicts", "conflicts"])
def test_a_merge_waits_until_conflicts_were_looked_for(shop: ForgeShop, *, found: bool) -> None:
    """GitHub answers "not mergeable" while it does not know yet: that alone asks no person."""
    issue = shop.issue()
    waiting = shop.until(issue, JobState.WAITING)
    pull = shop.pull(waiting)
    pull.mergeable = None
    job = shop.judge(issue)
    merge = f"/pulls/{pull.issue.number}/merge"
    wait_until(lambda: len(shop.asked("PUT", merge)) >= 3, description="it was tried again", timeout=60)
    assert (shop.jobs(issue)[-1].state, pull.merged_at, FOR_HUMAN in issue.labels) == (
        JobState.WAITING, None, False,
    )  # fmt: skip
    pull.mergeable = found
    done = shop.until_shown(issue)
    assert (done.id, bool(pull.merged_at)) == (job.id, found)
    assert done.state is (JobState.SUCCEEDED if found else JobState.ESCALATED)
    assert (FOR_HUMAN in issue.labels) is not found
    assert ("not mergeable" in done.reason) is not found


def order(shop: ForgeShop, issues: Sequence[WorldIssue]) -> list[int]:
    """The numbers of issues by the time of their first job."""
    first = {issue.number: shop.jobs(issue)[0].created_at for issue in issues}
    return sorted(first, key=lambda number: first[number])


@on("gitea", "gitlab")
def test_an_issue_runs_when_its_blockers_are_done(shop: ForgeShop) -> None:
    """Blockers of the forge's own fields and of the text count alike; the order is that of the numbers."""
    issues = [shop.issue("One"), shop.issue("Two")]
    issues.append(shop.issue("Three", blocked_by=[issues[1].number]))
    issues.append(shop.issue("Four", f"## Dependencies\n\nBlocked by: #{issues[2].number}\n"))
    for done, issue in enumerate(issues, start=1):
        job = shop.until(issue, JobState.WAITING)
        for later in issues[max(done, 2) :]:
            shop.until_item(later, BacklogState.BLOCKED)
            assert shop.jobs(later) == []
        shop.world.say(job.result.commit, "ci/build", "success")
        shop.until_closed(issue)
    assert order(shop, issues) == [issue.number for issue in issues]


@on("forgejo")
def test_blockers_that_are_not_work_of_ours(shop: ForgeShop) -> None:
    """One that is not there blocks nothing; one that a person closes by hand blocks until then."""
    nowhere = shop.issue(body="Blocked by: #999")
    theirs = shop.world.open_issue("For people", "A person does this.")
    mine = shop.issue("For nobody yet", author="reader")  # ready, and refused
    after_theirs = shop.issue(body=f"Blocked by: #{theirs.number}")
    after_mine = shop.issue(body=f"Blocked by: #{mine.number}")
    shop.judge(nowhere)
    for issue in (after_theirs, after_mine):
        shop.until_item(issue, BacklogState.BLOCKED)
    for blocker, blocked in ((theirs, after_theirs), (mine, after_mine)):
        assert shop.jobs(blocked) == []
        shop.world.close(blocker)
        shop.judge(blocked)
    for issue in (nowhere, after_theirs, after_mine):
        assert shop.until_closed(issue).state is JobState.SUCCEEDED
    assert (shop.jobs(mine), shop.ours(theirs)) == ([], [])


@on("forgejo")
def test_a_cycle_is_shown_and_ends_with_an_edit(shop: ForgeShop) -> None:
    """Both wait, and say for what; when a person repairs one text, the two run one after the other."""
    one, two = shop.world.open_issue("One", ""), shop.world.open_issue("Two", "")
    shop.world.edit_body(one, f"Blocked by: #{two.number}")
    shop.world.edit_body(two, f"Blocked by: #{one.number}")
    for issue in (one, two):
        shop.world.label(issue, LABEL)

    def ring(issue: WorldIssue) -> set[str]:
        item = shop.item(issue)
        return set(item.ring) if item is not None else set()

    names = {str(shop.ref(issue)) for issue in (one, two)}
    wait_until(lambda: ring(one) == ring(two) == names, description="the cycle is found")
    assert {shop.until_item(issue, BacklogState.BLOCKED).ring != () for issue in (one, two)} == {True}
    shop.world.edit_body(one, "No more than this.")
    job = shop.until(one, JobState.WAITING)
    assert shop.until_item(two, BacklogState.BLOCKED).ring == ()
    assert shop.jobs(two) == []
    shop.world.say(job.result.commit, "ci/build", "success")
    shop.until_closed(one)
    shop.judge(two)
    shop.until_closed(two)


@on("forgejo")
def test_a_burst_is_worked_off(shop: ForgeShop, record_property: Callable[[str, object], None]) -> None:
    """Reported by webhooks and by polls, each issue has one job; how long our own steps took is noted."""
    issues = [shop.issue(f"Burst {number}") for number in range(5)]
    for issue in issues:
        shop.tell(issue, "opened")
    green: dict[str, float] = {}

    def all_closed() -> bool:
        for issue in issues:
            for job in shop.jobs(issue):
                if job.state is JobState.WAITING and job.id not in green:
                    shop.world.say(job.result.commit, "ci/build", "success")
                    green[job.id] = shop.parts.job_store.now()
        return all(issue.state == "closed" for issue in issues)

    wait_until(all_closed, description="all of the burst is closed", timeout=60, interval=0.25)
    jobs = [shop.until_shown(issue) for issue in issues]
    assert [len(shop.jobs(issue)) for issue in issues] == [1] * len(issues)
    took = steps(shop, issues, jobs, green)
    said = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items())
    record_property("own_steps", said)
    print(f"slowest of {len(issues)}: {said}; together {sum(took.values()):.2f} s")  # noqa: T201 - the measure


def steps(
    shop: ForgeShop, issues: Sequence[WorldIssue], jobs: Sequence[Job], green: dict[str, float]
) -> dict[str, float]:
    """The longest time that each of our own steps took, in seconds."""
    accepted = {
        event.subject: event.at for event in shop.parts.events.all() if event.kind == WEBHOOK_ACCEPTED
    }
    pulls = {
        asked.body["head"]: at for at, asked in shop.times if asked.path.endswith("/pulls") and asked.body
    }
    closed = {asked.path: at for at, asked in shop.times if asked.method == "PATCH" and "state" in asked.body}
    pairs = list(zip(issues, jobs, strict=True))
    return {
        "reported to queued": max(job.created_at - accepted[str(shop.ref(issue))] for issue, job in pairs),
        "pushed to watched": max(pulls[job.branch] - (job.pushed_at or 0.0) for job in jobs),
        "green to closed": max(
            closed[f"/repos/{shop.world.repo}/issues/{issue.number}"] - green[job.id] for issue, job in pairs
        ),
    }
