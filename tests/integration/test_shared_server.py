"""A server that others use too: a fleet works as the user that the page describes, and needs no more."""

import re
from ast import literal_eval
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine, compose
from tests.declared_scripts import script_sources
from tests.fakes.deliveries import payload, sent
from tests.fleets.worker_fleet import WorkerFleet, fleet, settings_from, until_state
from tests.programs.command_line import CommandLine, own_surroundings
from tests.programs.web_process import console, door_variables
from tests.servers.private_server import plain_client, private_server
from tests.source import modules, text
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("shared-server")

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"

#: A password that has to be written with care in a URL.
PASSWORD, WRITTEN = "p@ss/w#rd?:", "p%40ss%2Fw%23rd%3F%3A"

#: What the driver and `doctor` try, and do without.
UNNEEDED = {"client|setinfo", "client", "config", "config|get", "info"}


#: Calls of the driver without a command of their own, and what those are that have another name.
OF_THE_DRIVER = {"close", "execute", "lock", "pipeline"}
COMMANDS_OF = {
    "delete": "DEL", "scan_iter": "SCAN", "script_exists": "SCRIPT|EXISTS", "script_load": "SCRIPT|LOAD",
    "xinfo_stream": "XINFO",
}  # fmt: skip


def granted() -> set[str]:
    """The commands that the page grants."""
    return {word[1:].upper() for word in rule("shop") if word.startswith("+")}


def rule(name: str) -> list[str]:
    """The words of `ACL SETUSER` on the page, for a fleet of that namespace."""
    found = re.search(r"```\nACL SETUSER shop (.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    words = found[1].replace("~shop:", f"~{name}:").replace("&shop:", f"&{name}:").split()
    return [name, *(f">{PASSWORD}" if word == ">PASSWORD" else word for word in words)]


@dataclass(frozen=True)
class Shared:
    """A server without a `default` user, on which a fleet runs as a user of its own."""

    admin: Any  # the driver's types do not know what it answers
    path: str  # of the socket
    fleet: WorkerFleet
    parts: Coalmine

    def url(self, user: str) -> str:
        """The address for a user."""
        return f"unix://{user}:{WRITTEN}@{self.path}?db=3"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A worker and beat of the fleet `shop`; `shopping` is another one's namespace."""
    folder = tmp_path_factory.mktemp("shared")
    with private_server(folder) as server, plain_client(server.url) as client:
        admin: Any = client
        for name in ("shop", "shopping"):
            admin.execute_command("ACL", "SETUSER", *rule(name))
        admin.execute_command("ACL", "SETUSER", "default", "off")  # our own connection stays
        path = urlsplit(server.url).path
        url = f"unix://shop:{WRITTEN}@{path}?db=3"
        try:
            with fleet(folder, url, COALMINE_NAMESPACE="shop") as made:
                made.worker()
                made.beat()
                parts = made.coalmine()
                parts.templates.add("worker", Snapshot(prompt="work", command="echo hello"))
                yield Shared(admin, path, made, parts)
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "on")


def denied(shared: Shared) -> set[str]:
    """What the server refused since the last look, but for what nobody needs."""
    log = shared.admin.execute_command("ACL", "LOG")
    shared.admin.execute_command("ACL", "LOG", "RESET")
    entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in log]
    return {
        f"{entry['reason']} {entry['object']}"
        for entry in entries
        if str(entry["object"]).lower() not in UNNEEDED
    }


def test_jobs_are_done_and_ticks_run(shared: Shared) -> None:
    """A job whose message was lost is found by the sweep; nothing was denied."""
    job = shared.parts.mailbox.enqueue(JobRequest(template="worker", task="work")).job
    until_state(shared.parts, job, JobState.SUCCEEDED)
    wait_until(lambda: len(shared.parts.clocks.reports()) == 2, description="worker and beat have reported")
    assert denied(shared) == set()
    assert shared.admin.select(3)
    names = shared.admin.keys("*")
    assert {name.split(":")[0] for name in names} == {"shop"}


def test_commands_reach_workers_of_their_own_fleet_alone(shared: Shared) -> None:
    """`inspect` and `control` work for this user, and another fleet's sees and hears nothing of them."""
    variables = {"COALMINE_REDIS_URL": shared.url("shopping"), "COALMINE_NAMESPACE": "shopping"}
    with closing(compose(settings_from(variables))) as other:
        ours: Any = shared.parts.app.control
        theirs: Any = other.app.control
        assert list(ours.inspect(timeout=2).ping()) == ["w1@test"]
        assert theirs.inspect(timeout=0.5).ping() is None
    assert denied(shared) == set()


def test_events_are_heard_by_their_own_fleet_alone(shared: Shared) -> None:
    """As Flower hears them: the job's task with issue, version and arm, and none of the ticks beside it."""
    heard: list[str] = []
    state: Any = shared.parts.app.events.State()

    def hear(event: dict[str, Any]) -> None:
        heard.append(event["type"])
        state.event(event)

    with shared.parts.app.connection_for_read() as connection:
        receiver = shared.parts.app.events.Receiver(connection, handlers={"*": hear})
        consuming = receiver.itercapture(timeout=20)
        next(consuming, None)  # it listens from here on: a heartbeat came, or a tick
        job = shared.parts.mailbox.enqueue(JobRequest(template="worker", task="work")).job
        for _ in consuming:
            if "task-succeeded" in heard:
                break
    until_state(shared.parts, job, JobState.SUCCEEDED)
    (task,) = state.tasks.values()
    assert (task.name, literal_eval(task.args)) == ("tasks.work", [job])
    shown = {"issue": "none", "version": "worker@v1", "arm": "none"}
    assert literal_eval(task.kwargs) == shown
    assert denied(shared) == set()


@pytest.mark.long
def test_web_takes_deliveries(shared: Shared) -> None:
    """Readiness, a delivery, and the tick that it asks for."""
    variables = door_variables() | {"COALMINE_NAMESPACE": "shop"}
    with console(shared.url("shop"), variables=variables) as web:
        assert web.client.get("/readyz").status_code == 200
        assert web.post(sent("github", payload())).status_code == 200
    assert denied(shared) == set()


def test_command_line_works(shared: Shared, tmp_path: Path) -> None:
    """Reading, enqueuing, cancelling, and `doctor`, which says what it may not ask."""
    with own_surroundings():
        coalmine = CommandLine(shared.url("shop"), tmp_path)
        given = {"COALMINE_NAMESPACE": "shop"}
        job = coalmine.document("enqueue", "worker", "work", **given)["job"]
        until_state(shared.parts, job, JobState.SUCCEEDED)
        for command in (
            ("job", "list"),
            ("job", "logs", job),
            ("events",),
            ("template", "list"),
            ("pause", "x"),
        ):
            assert coalmine(*command, **given).exit_code == 0, command
        assert coalmine("resume", **given).exit_code == 0
        found = coalmine("doctor", "--wait", "2", **given).stdout
    assert "may not ask for INFO" in found
    assert "1 answered: w1@test" in found
    assert denied(shared) == set()


def test_page_has_every_command_of_the_stores() -> None:
    """What a store asks of the driver, also where no story here comes by."""
    asked = re.compile(r"\b_?(?:redis|pipeline)\.([a-z_]+)\(")
    files = [path for floor in ("routing", "tasks", "console") for path in modules(floor)]
    called = {name for path in files for name in asked.findall(text(path))} - OF_THE_DRIVER
    assert {"hgetall", "mget"} <= called
    assert {COMMANDS_OF.get(name, name.upper()) for name in called} - granted() == set()


def test_page_has_every_command_of_the_scripts() -> None:
    """A step that needs one more would fail on a shared server alone."""
    called = {
        name for text in script_sources().values() for name in re.findall(r"redis\.call\('(\w+)'", text)
    }
    assert called - granted() == set()
