"""What agents and CI can find out about the processes around them, which run as the same user."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from routing.embedded.private_server import ServerOptions
from routing.jobs.job import JobState
from tests.fleets.shop import ShopFleet, shop
from tests.fleets.worker_fleet import ROOT
from tests.programs.spying_agent import Report, Spy, bystander
from tests.programs.web_process import console
from tests.servers.private_server import private_server, process_arguments
from tests.waiting import run

#: In one process of the suite, which makes each fleet once.
pytestmark = pytest.mark.xdist_group("secrecy")

#: In the environment of the fleet's processes alone, beside the store's URL with its password.
SECRETS = {
    "SHOP_API_KEY": "k-5c1f0e7a9b",
    "GIVEN_API_KEY": "g-77d2a4c813",
    "COALMINE_WEB__TOKEN": "t-e91b6f3d02a84c",
}

#: What an agent or a CI command does that looks around, and works.
WORKS = "echo done > done.txt"


@dataclass(frozen=True, slots=True)
class WatchedProcess:
    """A shop whose agent and CI look around, and what cannot be in what they see."""

    shop: ShopFleet
    spy: Spy
    secrets: dict[str, str]


@pytest.fixture(scope="module", params=["threads", pytest.param("prefork", marks=pytest.mark.long)])
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedProcess]:
    """A shop with one issue, on a server that wants a password, beside a process that hides nothing."""
    folder = tmp_path_factory.mktemp(request.param)
    spy = Spy(folder)
    # Its own: for a moment at its start, a process of another fleet shows what it was given.
    given = {name: f"{value}-{request.param}-{os.getpid()}" for name, value in SECRETS.items()}
    with (
        private_server(folder, ServerOptions(transport="tcp")) as server,
        bystander(BYSTANDER="in the open"),
        shop(
            folder, server.url, f"{spy.line('agent')} && {WORKS}", ci=f"{spy.line('ci')} && test -e done.txt",
            pool=request.param, secrets=("GIVEN_API_KEY",), variables=given,
            by_command=True,
        ) as made,
    ):  # fmt: skip
        password = server.url.partition("://:")[2].partition("@")[0]
        made.open_issue()
        yield WatchedProcess(made, spy, given | {"password": password})


def _check(report: Report, watched: WatchedProcess) -> None:
    assert report.showing("in the open"), "the spy sees what is not hidden"
    worker = watched.shop.fleet.processes["w1"].pid
    assert worker in report.forebears, "the spy looked at the worker"
    seen = {
        name: [shown[-300:] for shown in report.showing(secret)] for name, secret in watched.secrets.items()
    }
    assert not {name: processes for name, processes in seen.items() if processes}


def test_an_agent_sees_no_secret_of_the_fleet(watched: WatchedProcess) -> None:
    """Neither of its worker and the pool's processes, nor of beat, nor of any other process there is."""
    _check(watched.spy.report("agent"), watched)


def test_an_agent_is_given_what_its_version_names_and_nothing_else(watched: WatchedProcess) -> None:
    """The worker knows what it hid from others: the named secret arrives, and the work is done."""
    own = watched.spy.report("agent").own
    assert own["GIVEN_API_KEY"] == watched.secrets["GIVEN_API_KEY"]
    assert not set(own) & (set(SECRETS) - {"GIVEN_API_KEY"} | {"COALMINE_REDIS_URL"})
    watched.shop.until(JobState.SUCCEEDED)


def test_ci_sees_no_secret_of_the_fleet(watched: WatchedProcess) -> None:
    """CI runs what agents wrote: it is given no secret, not even the agent's, and finds none."""
    report = watched.spy.report("ci")
    _check(report, watched)
    assert not set(report.own) & {*SECRETS, "COALMINE_REDIS_URL"}


@pytest.mark.long
def test_what_a_person_wrote_on_the_command_line_is_not_shown(tmp_path: Path) -> None:
    """A password in an option of `coalmine web`, or in its environment, cannot be read of its process."""
    token = {"COALMINE_WEB__TOKEN": SECRETS["COALMINE_WEB__TOKEN"]}
    with (
        private_server(tmp_path, ServerOptions(transport="tcp")) as server,
        console(server.url, variables=token, before=("--redis-url", server.url)) as made,
    ):
        pid, password = made.process.pid, server.url.partition("://:")[2].partition("@")[0]
        shown = process_arguments(pid)
        assert "--redis-url redis://*" in shown
        assert password not in shown
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:  # nobody but root is shown it at all
            return
        assert b"PATH=/" in environment
        assert password.encode() not in environment
        assert SECRETS["COALMINE_WEB__TOKEN"].encode() not in environment


#: Starts as a user that is not root, hides, and tells what a child of the same user may read of it.
_UNDUMPABLE = """
import ctypes, json, os
from pathlib import Path
from tasks.secrecy import hide_secrets
from routing.process.marker import TurnMarker
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # which the change of user took away

def readable(pid):
    found = []
    for name in ("environ", "mem", "fd/0", "cwd", "stat", "cmdline"):
        try:
            os.stat(f"/proc/{pid}/{name}") if "/" in name else open(f"/proc/{pid}/{name}", "rb").close()
            found.append(name)
        except PermissionError:
            pass
        except IsADirectoryError:
            found.append(name)
    return found

def of_a_child():
    ours, theirs = os.pipe()
    if not os.fork():
        os.write(theirs, json.dumps(readable(os.getppid())).encode())
        os._exit(0)
    os.wait()
    return json.loads(os.read(ours, 65536))

before = of_a_child()
hidden = hide_secrets()
marker = TurnMarker.of_new_turn("")
print(json.dumps({
    "before": before, "after": of_a_child(),
    "undumpable": hidden.undumpable, "overwritten": hidden.overwritten,
    "key": os.environ["SHOP_API_KEY"], "lives": marker.is_ours and marker.owner_lives,
}))
"""


def _report(program: str, **variables: str) -> Any:
    """What a Python program prints as JSON, which has our environment and more."""
    done = run([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_user_that_is_not_root_reads_nothing_of_a_process_that_hides() -> None:
    """Memory, descriptors and environment are closed even to a child; what finds orphans stays open."""
    report = _report(_UNDUMPABLE, SHOP_API_KEY=SECRETS["SHOP_API_KEY"])
    assert report["before"] == ["environ", "mem", "fd/0", "cwd", "stat", "cmdline"]
    assert report["after"] == ["stat", "cmdline"]
    assert report["undumpable"]
    assert report["overwritten"]
    assert report["key"] == SECRETS["SHOP_API_KEY"]
    assert report["lives"]


#: Hides, and tells what there is to see of it and what those see that it starts with all of its environment.
_STARTS_OTHERS = """
import json, os, subprocess, sys
from pathlib import Path
from tasks.secrecy import hide_secrets
hidden = hide_secrets()
ask = [sys.executable, "-c", "import os; print(os.environ['SHOP_API_KEY'])"]
print(json.dumps({
    "block": Path("/proc/self/environ").read_text(),
    "child": subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip(),
    "undumpable": hidden.undumpable,
}))
"""


def test_what_a_process_hid_it_still_hands_on() -> None:
    """A child that inherits its environment gets the values, as does a worker that starts itself anew."""
    report = _report(_STARTS_OTHERS, SHOP_API_KEY=SECRETS["SHOP_API_KEY"], COALMINE_TURN="1:2:3::f00")
    assert SECRETS["SHOP_API_KEY"] not in report["block"]
    assert report["child"] == SECRETS["SHOP_API_KEY"]


def test_what_an_agent_started_stays_visible_to_the_worker_that_must_end_it() -> None:
    """Within a turn a process keeps the turn's marker, and does not close itself to its user."""
    report = _report(_STARTS_OTHERS, SHOP_API_KEY="x", COALMINE_TURN="1:2:3::f00")
    assert "COALMINE_TURN=1:2:3::f00\0" in report["block"]
    assert not report["undumpable"]
