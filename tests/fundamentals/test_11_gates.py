"""Gates decide which ready issue may become a job now; each refusal says why.

They are asked in one order, and the first that is shut gives the reason: kill switch, pause, the list of
allowed repositories, who asked for the work, how much is running, how much was spent. The kill switch is on
where nobody switched it off, and asks for nothing at all: a fresh installation dispatches nothing on a real
forge.
"""

from routing.backlog.gates import Choice, Inputs, choose
from routing.backlog.refusal import Gate
from routing.forges.config import RemoteConfig
from routing.forges.forge import Permission
from tests.fleets.forge_fleet import ForgeFleet


def gates_of(choice: Choice) -> list[Gate]:
    """Which gates were shut."""
    return [refusal.gate for refusal in choice.refusals]


def test_a_fresh_installation_dispatches_nothing() -> None:
    """The kill switch is on by default, and no input is even read."""

    def never(*_: object) -> object:
        raise AssertionError

    inputs = Inputs(
        fleet_size=4, paused=never, ready=never, permission=never, busy=never,  # type: ignore[arg-type]
        spent_today_usd=never, spent_usd=never, fault=never, red_mains=never,  # type: ignore[arg-type]
        main_fault=never,  # type: ignore[arg-type]
    )  # fmt: skip
    choice = choose(RemoteConfig(kind="memory", name="github"), inputs)
    assert choice.chosen == ()
    assert gates_of(choice) == [Gate.KILL_SWITCH]


def test_a_pause_keeps_everything_where_it_is(forge_fleet: ForgeFleet) -> None:
    """What is ready waits; it goes on when a person resumes."""
    issue = forge_fleet.forge.person_opens(1)
    forge_fleet.poll()
    forge_fleet.hands.app.switch.pause("lunch")
    assert forge_fleet.dispatch() == []
    forge_fleet.hands.app.switch.resume("lunch is over")
    forge_fleet.dispatch()
    assert [job.request.issue for job in forge_fleet.jobs()] == [str(issue)]


def test_only_people_who_may_write_put_agents_to_work(forge_fleet: ForgeFleet) -> None:
    """An issue's text can come from anyone; what it asks for is done for those who are trusted."""
    forge_fleet.forge.users["ann"] = Permission.READ
    issue = forge_fleet.forge.person_opens(1)
    forge_fleet.poll()
    assert forge_fleet.dispatch() == []
    refusal = forge_fleet.item(issue).refusal
    assert refusal is not None
    assert refusal.gate is Gate.UNTRUSTED
