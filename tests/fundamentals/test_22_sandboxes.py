"""A sandbox decides what an agent can reach. It is a part of the version, as the prompt is.

So a narrower sandbox is tried as a new prompt is: it is proposed, drawn for some of the work, and compared. A
version that names a sandbox runs in it or not at all; `auto` takes bubblewrap where that works, and the job
says so where it does not. The settings may demand more than a version asks for.
"""

import pytest

from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.profile import SandboxKind, SandboxProfile
from routing.templates.version import Snapshot
from tasks.agents.proxy.hosts import HostRules
from tasks.agents.runtimes.runtime import RuntimeRefusedError, RuntimeSpec
from tasks.agents.sandbox.choice import SandboxMissingError, choose
from tests.fleets.stepped_fleet import SteppedFleet

HERE = Bubblewrap(program="/usr/bin/bwrap")
NOT_HERE = Bubblewrap(why_not="bwrap is not installed", remedy="install it")


def test_a_sandbox_is_content_of_a_version(fleet: SteppedFleet) -> None:
    """The same prompt in another sandbox is another version; what is not said was never hashed."""
    fleet.add()
    narrow = Snapshot(prompt="one", sandbox=SandboxKind.BUBBLEWRAP, profile=SandboxProfile(usual_hosts=False))
    proposed = fleet.app.templates.propose("implementer", narrow).version
    assert proposed.number == 2
    assert fleet.app.templates.propose("implementer", narrow).changed is False


def test_a_version_runs_in_the_sandbox_that_it_names_or_not_at_all() -> None:
    """On a machine where it does not work the job waits for another machine."""
    named = RuntimeSpec(sandbox=SandboxKind.BUBBLEWRAP)
    assert choose(named, required=SandboxKind.NONE, bubblewrap=HERE).kind is SandboxKind.BUBBLEWRAP
    with pytest.raises(SandboxMissingError, match="bwrap is not installed"):
        choose(named, required=SandboxKind.NONE, bubblewrap=NOT_HERE)


def test_auto_goes_on_without_one_and_says_so() -> None:
    """Unless the settings demand one."""
    auto = RuntimeSpec(sandbox=SandboxKind.AUTO)
    choice = choose(auto, required=SandboxKind.NONE, bubblewrap=NOT_HERE)
    assert choice.is_weaker
    assert "can reach what its worker can" in choice.note
    with pytest.raises(SandboxMissingError):
        choose(auto, required=SandboxKind.BUBBLEWRAP, bubblewrap=NOT_HERE)


def test_the_settings_refuse_a_version_that_asks_for_less() -> None:
    """Whatever works on the machine."""
    with pytest.raises(RuntimeRefusedError, match="require_sandbox"):
        choose(RuntimeSpec(), required=SandboxKind.BUBBLEWRAP, bubblewrap=HERE)


def test_a_confined_agent_reaches_hosts_by_their_names() -> None:
    """The usual ones, and those of its profile; every other one is refused and noted."""
    rules = HostRules.of(SandboxProfile(allow=("git.example.com",)))
    assert rules.match("api.anthropic.com", 443)
    assert rules.match("git.example.com", 443)
    assert rules.match("example.org", 443) is None
