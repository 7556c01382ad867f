"""Every gate through the dispatcher: what is refused, where that is recorded, and what is asked for it."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
import requests

from routing.backlog.item import BacklogState
from routing.backlog.refusal import Gate
from routing.events import BACKLOG_REFUSED
from routing.forges.errors import ForgeUnreachableError
from routing.issues.issue import IssueRef
from routing.store.jobs.job_store import ClaimRefusal
from routing.templates.version import Snapshot
from tasks.composition.worker import Worker
from tasks.settings.issue_settings import IssueSettings
from tasks.settings.settings import load_settings
from tests.fakes.memory_forge import MemoryForge
from tests.fakes.mishaps import Mishaps
from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.stepped_fleet import SteppedClock, SteppedFleet

Fleets = Callable[..., ForgeFleet]


@pytest.fixture
def fleet_of(redis_client: redis.Redis) -> Fleets:
    """Makes the test's fleet."""
    return lambda *forges, **changes: ForgeFleet(redis_client, *forges, **changes)


def two_forges(fleet_of: Fleets, **changes: Any) -> ForgeFleet:
    """A fleet that serves GitHub and Gitea, each with three repositories of one issue."""
    clock, mishaps = SteppedClock(), Mishaps()
    repos = ("acme/a", "acme/b", "acme/c")
    forges = [MemoryForge(clock, name=name, repos=repos, mishaps=mishaps) for name in ("github", "gitea")]
    fleet = fleet_of(*forges, clock=clock, mishaps=mishaps, **changes)
    for forge in forges:
        for number, repo in enumerate(repos, start=1):
            forge.person_opens(number, repo=repo)
    fleet.poll()
    return fleet


def refused(fleet: ForgeFleet, ref: IssueRef) -> tuple[Gate | None, int]:
    """The gate that is noted on the item, and the number of events about it."""
    refusal = fleet.item(ref).refusal
    events = [event for event in fleet.hands.events(BACKLOG_REFUSED) if event.subject == str(ref)]
    if refusal is not None:
        assert refusal.reason
        assert refusal.inputs
        assert events[-1].data["gate"] == refusal.gate
        assert events[-1].data["inputs"]
    return (refusal.gate if refusal else None, len(events))


def test_the_kill_switch_asks_nobody_anything(fleet_of: Fleets) -> None:
    """Not the forge; of Redis, only what webhooks named and which blockers are due: maybe another forge's."""
    fleet = fleet_of(kill_switch=True)
    fleet.forge.person_opens(1)
    fleet.asked.clear()
    fleet.poll()
    fleet.parts.dispatcher.tick()
    assert (fleet.forge.calls, fleet.asked) == ([], [])
    assert fleet.parts.is_off
    fleet.dispatch()
    assert (fleet.forge.calls, fleet.asked) == ([], ["intake_take", "ZRANGEBYSCORE"])


@pytest.mark.parametrize("given", [{}, {"KILL_SWITCH": "off"}, {"REPOSITORIES": "acme/shop"}])
def test_a_fresh_installation_with_a_token_asks_nobody_anything(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    """Both must be said, with the settings as people give them: the switch and the repositories."""
    for name, value in {"TOKEN": "t0ken", **given}.items():
        monkeypatch.setenv(f"COALMINE_FORGE__GITHUB__{name}", value)
    settings, asked = load_settings(), list[str]()
    fleet = SteppedFleet(redis_client, forge=settings.forge)
    monkeypatch.setattr(requests.Session, "request", lambda *_given, **_more: asked.append("HTTP"))
    worker = Worker(coalmine=fleet.app)
    worker.poll("github")
    worker.dispatch()
    assert asked == []
    assert worker.forges.is_off is (given != {"KILL_SWITCH": "off"})
    assert ("github" in settings.poll_intervals) is not worker.forges.is_off


def test_a_pause_lets_nothing_through_and_asks_no_forge(fleet_of: Fleets) -> None:
    """What is ready stays ready, until a person resumes."""
    fleet = fleet_of()
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.hands.app.switch.pause("holidays")
    fleet.forge.calls.clear()
    assert fleet.dispatch() == []
    assert fleet.forge.calls == []
    assert fleet.item(ref).state is BacklogState.READY
    fleet.hands.app.switch.resume("back")
    assert len(fleet.dispatch()) == 1


def test_a_forge_that_is_not_enabled_fills_its_backlog_only(fleet_of: Fleets) -> None:
    """Issues are taken in, and nothing is dispatched."""
    fleet = fleet_of(enabled=False)
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    assert fleet.dispatch() == []
    assert fleet.item(ref).state is BacklogState.READY
    fleet.change(enabled=True)
    assert len(fleet.dispatch()) == 1


@pytest.mark.parametrize(
    ("gate", "changes", "by"),
    [
        (Gate.UNTRUSTED, {}, "out"),
        (Gate.UNTRUSTED, {}, "stranger"),
        (Gate.TRUST_UNKNOWN, {}, ""),
        (Gate.DAY_BUDGET, {"usd_per_day": 1.0, "usd_per_job": 2.0}, "ann"),
    ],
)
def test_each_refusal_is_recorded_once(
    fleet_of: Fleets, gate: Gate, changes: dict[str, Any], by: str
) -> None:
    """On the item, with what the gate looked at; and as one event, however often it is refused."""
    fleet = fleet_of(**changes)
    ref = fleet.forge.person_opens(1, by=by)
    for _ in range(4):
        fleet.round()
    assert refused(fleet, ref) == (gate, 1)
    assert fleet.jobs(ref) == []
    assert fleet.item(ref).state is BacklogState.READY


def test_what_was_refused_is_dispatched_when_its_gate_opens(fleet_of: Fleets) -> None:
    """The forge's own word counts: a person may be trusted from one look to the next."""
    fleet = fleet_of()
    ref = fleet.forge.person_opens(1, by="out")
    fleet.rounds(2)
    fleet.forge.users["out"] = fleet.forge.users["ann"]
    fleet.round()
    assert len(fleet.jobs(ref)) == 1
    assert refused(fleet, ref) == (None, 1)


def test_another_gate_is_another_event(fleet_of: Fleets) -> None:
    """And the item shows the one that is shut now."""
    fleet = fleet_of()
    ref = fleet.forge.person_opens(1, by="out")
    fleet.round()
    fleet.change(repositories=("acme/other",))
    fleet.rounds(2)
    assert refused(fleet, ref) == (Gate.NOT_ALLOWED, 2)


def test_a_permission_that_cannot_be_asked_is_none(fleet_of: Fleets) -> None:
    """Nobody is trusted because the forge is silent."""
    fleet = fleet_of()
    ref = fleet.forge.person_opens(1)
    fleet.mishaps.lasting["permission"] = lambda: ForgeUnreachableError("silence")
    fleet.rounds(2)
    assert refused(fleet, ref) == (Gate.TRUST_UNKNOWN, 1)
    fleet.mishaps.lasting.clear()
    fleet.round()
    assert len(fleet.jobs(ref)) == 1


def test_blocked_issues_are_not_candidates(fleet_of: Fleets) -> None:
    """They are not even refused; their state says what they wait for."""
    fleet = fleet_of(acts={1: ["silent"]})
    fleet.forge.person_opens(1)
    ref = fleet.forge.person_opens(2, "Blocked by: #1")
    fleet.rounds(3)
    assert refused(fleet, ref) == (None, 0)
    assert fleet.item(ref).reason == "waits for github:acme/shop#1 (in_progress)"


def test_a_busy_repository_waits_its_best_issue_first(fleet_of: Fleets) -> None:
    """By priority, then number; the others are not even looked at, and one job is at work."""
    fleet = fleet_of(acts={3: ["silent"]})
    refs = {number: fleet.forge.person_opens(number) for number in (1, 2, 3)}
    fleet.forge.label(refs[3], "priority:1")
    fleet.rounds(3)
    assert [job.request.issue for job in fleet.jobs()] == [str(refs[3])]
    assert refused(fleet, refs[1]) == (Gate.REPOSITORY_BUSY, 1)
    assert refused(fleet, refs[2]) == (None, 0)


def test_a_repository_gives_one_issue_a_tick(fleet_of: Fleets) -> None:
    """However many may be in progress."""
    fleet = fleet_of(per_repo=3)
    for number in (1, 2, 3):
        fleet.forge.person_opens(number)
    fleet.poll()
    assert [len(fleet.dispatch()) for _ in range(4)] == [1, 1, 1, 0]


def test_the_fleet_is_full_over_all_forges(fleet_of: Fleets) -> None:
    """What is in progress on one counts for the other; nothing beyond the limit is begun."""
    fleet = two_forges(fleet_of, settings=IssueSettings(fleet_size=3))
    for _ in range(3):
        fleet.dispatch()
    assert len(fleet.jobs()) == 3
    gates = {event.data["gate"] for event in fleet.hands.events(BACKLOG_REFUSED)}
    assert gates == {Gate.FLEET_FULL}


def test_what_waits_for_an_account_leaves_its_place_to_other_templates(fleet_of: Fleets) -> None:
    """The fleet is full of jobs whose account is closed: another template's issues go on, its own wait."""
    fleet = two_forges(fleet_of, settings=IssueSettings(fleet_size=2), gitea={"template": "reviewer"})
    fleet.hands.app.templates.add("reviewer", Snapshot(runtime="codex"))
    fleet.hands.app.breakers.close("command:default", "*", until=None, words="the bill", by="ada")
    assert len(fleet.dispatch()) == 2
    assert fleet.dispatch() == []
    held = fleet.jobs()
    for job in held:
        assert fleet.hands.app.jobs.claim(job.id, worker="w1", lease_seconds=30) is ClaimRefusal.LIMITED
    begun = [fleet.hands.app.jobs.find(job).template for job in fleet.dispatch()]
    assert (begun, {job.template for job in held}) == (["reviewer"] * 2, {"implementer"})
    assert fleet.dispatch() == []


@pytest.mark.parametrize("size", [1, 2])
def test_no_forge_starves_another(fleet_of: Fleets, size: int) -> None:
    """What little room there is goes to each in turn."""
    fleet = two_forges(fleet_of, settings=IssueSettings(fleet_size=size))
    fleet.rounds(14)
    begun = [job.request.issue.partition(":")[0] for job in fleet.jobs()]
    assert sorted(begun) == ["gitea"] * 3 + ["github"] * 3
    assert set(begun[: 2 * size]) == {"github", "gitea"}


def test_a_day_keeps_what_its_jobs_may_yet_cost(fleet_of: Fleets) -> None:
    """Two jobs of at most 2 USD fit into 5; the third would not, though nothing is spent yet."""
    fleet = fleet_of(
        MemoryForge(SteppedClock(), repos=("acme/a", "acme/b", "acme/c")),
        usd_per_day=5.0,
        usd_per_job=2.0,
    )
    refs = [fleet.forge.person_opens(1, repo=repo) for repo in fleet.forge.repositories]
    fleet.poll()
    assert len(fleet.dispatch()) == 2
    assert fleet.dispatch() == []
    assert refused(fleet, refs[2]) == (Gate.DAY_BUDGET, 1)
    inputs = fleet.item(refs[2]).refusal
    assert inputs is not None
    assert inputs.inputs["spent_today_usd"] == 4.0


def test_an_issue_that_has_cost_too_much_is_left_to_people(fleet_of: Fleets) -> None:
    """Also when a person takes the label off that asked for one."""
    fleet = fleet_of(usd_per_job=1.0)
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    (job,) = fleet.dispatch()
    claim = fleet.hands.claim(job)
    fleet.hands.spend(claim, usd=1.5)
    fleet.act_on(claim, "fails")
    fleet.rounds(2)
    fleet.forge.unlabel(ref, "ready-for-human")
    fleet.rounds(2)
    assert refused(fleet, ref) == (Gate.JOB_BUDGET, 1)
    assert len(fleet.jobs(ref)) == 1


def test_a_day_keeps_nothing_for_work_that_waits_for_people(fleet_of: Fleets) -> None:
    """It may be in review for days, and costs nothing there."""
    fleet = fleet_of(
        MemoryForge(SteppedClock(), repos=("acme/a", "acme/b", "acme/c")),
        usd_per_day=5.0,
        usd_per_job=2.0,
        merge="never",
    )
    repos = list(fleet.forge.repositories)
    for repo in repos[:2]:
        fleet.forge.person_opens(1, repo=repo)
    fleet.rounds(2)
    assert all(job.is_in_review for job in fleet.jobs())
    fleet.forge.person_opens(2, repo=repos[2])
    fleet.poll()
    assert len(fleet.dispatch()) == 1
