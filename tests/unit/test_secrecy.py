"""What of a process's first environment and arguments is covered, and how."""

from pathlib import Path

import pytest

from console.doctor.doctor import secrecy
from routing.store.redis.health import Status
from tasks.agents.environment import agent_environment
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.secrecy import cover_arguments, cover_environment, move_values, stays_visible
from tests.unit.test_agent_environment import IDENTITY, WORKER


def _block(**variables: str) -> bytes:
    return b"".join(f"{name}={value}\0".encode() for name, value in variables.items())


@pytest.mark.parametrize(
    "name",
    [
        *("COALMINE_REDIS_URL", "COALMINE_BROKER_URL", "COALMINE_WEB__TOKEN", "CELERY_BROKER_URL"),
        *("FLOWER_BASIC_AUTH", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "path", ""),
    ],
)
def test_values_that_agents_are_not_given_are_covered(name: str) -> None:
    """Whatever is not on the agents' list is covered, whether or not it sounds like a secret."""
    before = _block(**{"PATH": "/bin", name: "s3cret", "HOME": "/home/worker"})
    covered = cover_environment(before)
    assert b"s3cret" not in covered
    assert len(covered) == len(before)
    assert covered.startswith(b"PATH=/bin\0" + name.encode() + b"=\0")
    assert covered.endswith(b"HOME=/home/worker\0")


def test_what_agents_are_given_stays() -> None:
    """What is visible is what every agent gets of its worker, and which turn a process belongs to."""
    given = agent_environment(
        WORKER, spec=RuntimeSpec(), identity=IDENTITY, turn_kind="first", prompt_file=Path("prompt.md"),
        folder=Path("/work"),
    )  # fmt: skip
    from_worker = {name for name, value in given.items() if WORKER.get(name) == value}
    assert {name for name in WORKER if stays_visible(name)} == from_worker
    own = _block(PATH="/bin", LC_ALL="C", COALMINE_TURN="1:2:3::f00")
    assert cover_environment(own) == own


@pytest.mark.parametrize(
    "block", [b"", b"\0", b"\0\0\0", b"A=1", b"A=\0=\0", b"A==1\0\xff\xfe=\xff\0", b"title"]
)
def test_a_block_keeps_its_length(block: bytes) -> None:
    """Odd entries, none at all, and a title that somebody wrote there: no byte is added or lost."""
    covered = cover_environment(block)
    assert len(covered) == len(block)
    assert not any(word in covered for word in (b"1", b"\xff\0\0", b"title"))


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("redis://:hunter2@db:6379/0", "redis://********@db:6379/0"),
        ("--redis-url=rediss://me:hun@ter2@db", "--redis-url=rediss://***********@db"),
        ("amqp://me:hunter2@mq//vhost", "amqp://**********@mq//vhost"),
        (
            "unix:///run/redis.sock?db=1&password=hunter2&x=1",
            "unix:///run/redis.sock?db=1&password=*******&x=1",
        ),
        ("http://localhost:8321/", "http://localhost:8321/"),
        ("jobs@%h", "jobs@%h"),
    ],
)
def test_credentials_in_arguments_are_covered(argument: str, shown: str) -> None:
    """Who logs in where is starred, argument by argument; the rest can still be read."""
    block = f"coalmine\0{argument}\0worker@host\0"
    assert cover_arguments(block.encode()) == f"coalmine\0{shown}\0worker@host\0".encode()


def test_values_are_moved_and_kept() -> None:
    """Each variable to be covered is set anew, with the value that it has now; the others are left alone."""

    class WatchedMemory(dict[bytes, bytes]):
        def __init__(self, *given: dict[bytes, bytes]) -> None:
            super().__init__(*given)
            self.set: list[bytes] = []

        def __setitem__(self, name: bytes, value: bytes) -> None:
            self.set.append(name)
            super().__setitem__(name, value)

    before = {b"PATH": b"/bin", b"API_KEY": b"k", b"": b"odd", b"COALMINE_REDIS_URL": b"redis://\xff"}
    environment = WatchedMemory(before)
    move_values(environment)
    assert environment == before
    assert environment.set == [b"API_KEY", b"COALMINE_REDIS_URL"]


@pytest.mark.parametrize(
    ("platform", "user", "status"),
    [("linux", 1000, Status.OK), ("linux", 0, Status.WARNING), ("darwin", 501, Status.WARNING)],
)
def test_doctor_says_where_nothing_can_be_hidden(platform: str, user: int, status: Status) -> None:
    """Root reads everything, and other systems than Linux are not handled: both have a remedy."""
    found = secrecy(platform, user)
    assert found.status is status
    assert bool(found.remedy) is (status is not Status.OK)
