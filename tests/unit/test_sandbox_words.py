"""What `coalmine up` and `doctor` say about sandboxes, where they work and where they do not."""

from pathlib import Path
from typing import Any

import pytest

from console.doctor.sandbox import containers, sandbox_here, sandbox_probes, turn_limits
from console.local.start_checks import sandbox_words
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.mount import ProcessLimits
from routing.sandbox.profile import SandboxKind
from routing.store.redis.health import Status
from tasks.settings.settings import AgentSettings, Settings

HERE = Bubblewrap(program="/usr/bin/bwrap")
NOT_HERE = Bubblewrap(why_not="bwrap is not installed", remedy="install bubblewrap")


@pytest.mark.parametrize(
    ("kind", "here", "words"),
    [
        (SandboxKind.AUTO, HERE, "in sandboxes of bubblewrap"),
        (SandboxKind.BUBBLEWRAP, HERE, "in sandboxes of bubblewrap"),
        (
            SandboxKind.AUTO,
            NOT_HERE,
            "without a sandbox, and can reach all that you can: bwrap is not installed",
        ),
        (SandboxKind.BUBBLEWRAP, NOT_HERE, "No agent can run"),
        (SandboxKind.NONE, HERE, "without a sandbox, as their version says"),
        (SandboxKind.CONTAINER, HERE, "Agents run in containers"),
    ],
)
def test_up_says_what_its_agents_run_in(kind: SandboxKind, here: Bubblewrap, words: str) -> None:
    """And what to install where it is less than the version wants."""
    said = sandbox_words(here, kind)
    assert words in said
    assert ("install bubblewrap" in said) is (here is NOT_HERE)


def settings(**agent: Any) -> Settings:
    """Settings with these of agents."""
    return Settings(agent=AgentSettings(**agent))


def test_doctor_warns_where_no_sandbox_works() -> None:
    """It is a problem where the settings require one, as nothing runs there then."""
    found = sandbox_here(NOT_HERE, settings())
    assert (found.status, found.remedy) == (Status.WARNING, "install bubblewrap")
    required = sandbox_here(NOT_HERE, settings(require_sandbox=SandboxKind.BUBBLEWRAP))
    assert required.status is Status.PROBLEM
    assert sandbox_here(HERE, settings()).status is Status.OK


def test_doctor_says_what_a_turn_may_take() -> None:
    """Not all of the machine, unless the settings say so; an engine is given what they say alone."""
    usual, given = settings(), settings(memory_megabytes=100, processes=7, disk_megabytes=5).agent
    memory = usual.agent.resources.memory_bytes
    assert memory is not None
    assert memory > 0
    said = turn_limits(usual)
    assert said.status is Status.OK
    assert "4,096 processes; its files have no limit until agent.disk_megabytes is set" in said.message
    assert usual.agent.set_resources == ProcessLimits()
    assert given.resources == given.set_resources
    assert (given.resources.memory_bytes, given.resources.processes) == (100 << 20, 7)
    found = turn_limits(settings(memory_megabytes=0))
    assert (found.status, "agent.memory_megabytes" in found.message) == (Status.WARNING, True)
    assert "processes" not in found.message


def test_doctor_asks_the_engine_of_champions_in_containers(tmp_path: Path) -> None:
    """And nobody else's: a fleet without containers needs no engine."""
    engine = tmp_path / "engine"
    engine.write_text('#!/bin/sh\n[ "$1" = ps ] || [ "$5" = here:1 ]\n')
    engine.chmod(0o700)
    images = {"implementer@v1": "here:1", "reviewer@v2": "gone:1"}
    works, (here, gone) = settings(container=str(engine)), [*images]
    assert containers({}, works) == []
    (found,) = containers({here: images[here]}, works)
    assert (found.status, found.check) == (Status.OK, "containers")
    (found,) = containers(images, works)
    assert found.status is Status.PROBLEM
    assert "gone:1" in found.message
    assert gone in found.message
    (found,) = containers(images, settings(container="no-such-engine"))
    assert (found.status, "no-such-engine is not installed" in found.message) == (Status.PROBLEM, True)


def test_nothing_is_attacked_where_there_is_no_sandbox() -> None:
    """The probes would reach all of it."""
    assert sandbox_probes(NOT_HERE, settings()) == []
