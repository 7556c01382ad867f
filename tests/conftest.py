"""What every suite may use, and what holds for all: limits, signals and the seeds of generated examples.

Under pytest-xdist each process of the suite has a Redis server of its own.
"""

import contextlib
import gc
import importlib
import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import fakeredis
import hypothesis
import pytest
import pytest_timeout
import redis
import structlog
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

from routing.embedded.private_server import PrivateServer
from routing.printable import valid
from tests.fakes.watched_redis import close_watched
from tests.servers.private_server import plain_client, private_server
from tests.waiting import Patience

# The same examples in every run, on every machine, however long one takes; a test may ask for more of them.
hypothesis.settings.register_profile(
    "coalmine",
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("coalmine")

# What tests log is seen when one fails: tracebacks in colours, with the values of all names, take their time.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# The collection makes much and throws little away; see `pytest_collection_finish`.
gc.disable()

# A shell that runs the suite in the background ignores SIGINT, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: How often a test that still runs is looked at, in seconds.
_LOOK_SECONDS = 5.0


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """The time limit of one test, which grows on a slow machine as all waits of `tests.waiting` do."""
    if settings.method != "signal":
        return None  # the plugin's own thread does it, with a fixed limit
    patience = Patience(settings.timeout)

    def look(_number: int, _frame: object) -> None:
        if patience.is_over():
            cancel()
            pytest_timeout.timeout_sigalrm(item, settings)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
    item.cancel_timeout = cancel  # type: ignore[attr-defined] # the plugin calls it when the test has ended
    return True


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each process of a run imports a share of the test modules first.

    In a fresh clone all of them would compile the same module at the same moment. When one comes to the
    modules of the others, those have been compiled.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    chosen = [session.config.rootpath / argument.partition("::")[0] for argument in session.config.args]
    files = {file for path in chosen for file in ([path] if path.is_file() else path.rglob("test_*.py"))}
    by_size = sorted(files, key=lambda file: (-file.stat().st_size, file))
    for file in by_size[int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) :: processes]:
        with contextlib.suppress(Exception):  # the collection imports it again, and says what is wrong
            importlib.import_module(".".join(file.relative_to(session.config.rootpath).with_suffix("").parts))


#: Suites whose tests wait more than they compute, for processes and servers of their own.
_WAITING_SUITES = frozenset({"integration", "acceptance", "real"})


class FilesAndTests(LoadGroupScheduling):  # type: ignore[misc] # xdist has no types
    """Gives processes whole files of the quick suites, and of the others one test at a time.

    Of three processes two begin with tests that wait, and one with those that compute, so that there is
    something to compute while others wait. One that has done all of its kind goes on with the other.
    """

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return scope.partition("::")[0] if scope.startswith(("tests/unit/", "tests/contract/")) else scope

    def _assign_work_unit(self, node: WorkerController) -> None:
        computes = int(node.gateway.id.removeprefix("gw")) % 3 == 2
        units = self.workqueue.items()
        wanted = next((scope for scope, unit in units if _waits(next(iter(unit))) != computes), None)
        if wanted is not None:
            self.workqueue.move_to_end(wanted, last=False)
        super()._assign_work_unit(node)


def _waits(nodeid: str) -> bool:
    return nodeid.split("/")[1] in _WAITING_SUITES


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadGroupScheduling | None:
    """By files: handing out takes time that grows with the square of what is handed out."""
    return FilesAndTests(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that wait, which take longest."""
    items.sort(key=lambda item: item.path.parent.name not in _WAITING_SUITES)


def pytest_collection_finish() -> None:
    """Have the garbage collector look seldom, and not at what the collection made, which stays to the end.

    It took a fifth of the time of tests that make applications.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed and logged, as text that pytest-xdist can send: tests use halves of characters."""
    report = yield
    report.sections = [(title, valid(content)) for title, content in report.sections]
    return report


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    """A real server for the whole run; tests that stop it or change its settings start their own."""
    with private_server(tmp_path_factory.mktemp("servers")) as server:
        yield server


@pytest.fixture
def redis_client(redis_server: PrivateServer) -> Iterator[redis.Redis]:
    """A client of the real server, which is empty before and after."""
    with plain_client(redis_server.url) as client:
        client.flushall()
        yield client
        client.flushall()
    close_watched()


class QuietRedis(fakeredis.FakeRedis):
    """A fake that refuses HELLO as old servers do: with it, its connection would speak another protocol."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command."""
        if args[0] == "HELLO":
            raise redis.ResponseError("unknown command 'HELLO'")
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # theirs


@pytest.fixture
def fake_redis() -> Iterator[redis.Redis]:
    """An empty in-process stand-in with Lua, for tests that need no real server."""
    with QuietRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        yield client
    close_watched()


@pytest.fixture(scope="session", autouse=True)
def patient_pages() -> Iterator[None]:
    """A page may take as long as a loaded machine needs; its limit for people has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.web.request_limits.CALL_SECONDS", 60.0)
        yield
