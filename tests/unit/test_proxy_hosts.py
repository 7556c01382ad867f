"""Which hosts a turn may reach, at which addresses, and what an agent knows of its secrets."""

import pytest

from routing.sandbox.profile import Injection, SandboxProfile
from tasks.agents.proxy.hosts import HELD, HostRules, address_of, may_be_at, variables_of


@pytest.mark.parametrize(
    ("pattern", "host", "port", "fits"),
    [
        ("pypi.org", "pypi.org", 443, True),
        ("pypi.org", "PyPI.org.", 80, True),
        ("pypi.org", "pypi.org", 22, False),
        ("pypi.org", "evil-pypi.org", 443, False),
        ("pypi.org", "pypi.org.evil.com", 443, False),
        ("pypi.org", "sub.pypi.org", 443, False),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("*.example.org", "evilexample.org", 443, False),
        ("git.example.org:2222", "git.example.org", 2222, True),
        ("git.example.org:2222", "git.example.org", 443, False),
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "localhost", 8080, False),
    ],
)
def test_a_pattern_fits_its_host_alone(pattern: str, host: str, port: int, *, fits: bool) -> None:
    """By whole names and by port: nothing that only looks alike."""
    assert (HostRules(patterns=(pattern,)).match(host, port) is not None) is fits


def test_the_usual_hosts_can_be_left_out() -> None:
    """With them models and packages are reached; without them what is named alone."""
    assert HostRules.of(SandboxProfile()).match("api.anthropic.com", 443)
    assert HostRules.of(SandboxProfile()).match("files.pythonhosted.org", 443)
    bare = HostRules.of(SandboxProfile(usual_hosts=False, allow=("example.org",)))
    assert bare.match("api.anthropic.com", 443) is None
    assert bare.match("example.org", 443) == "example.org"


@pytest.mark.parametrize(
    ("address", "host", "pattern", "may"),
    [
        ("93.184.215.14", "example.org", "example.org", True),
        ("10.1.2.3", "pypi.corp", "pypi.corp", True),
        ("10.1.2.3", "a.example.org", "*.example.org", False),
        ("127.0.0.1", "example.org", "example.org", False),
        ("127.0.0.1", "localhost", "localhost:8080", True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:8080", True),
        ("169.254.169.254", "metadata.corp", "metadata.corp", False),
        ("::1", "example.org", "example.org", False),
        ("::ffff:127.0.0.1", "example.org", "example.org", False),
        ("fe80::1%eth0", "example.org", "example.org", False),
        ("0.0.0.0", "example.org", "example.org", False),  # noqa: S104 - an address that a name may have
        ("2606:2800:21f::1", "a.example.org", "*.example.org", True),
    ],
)
def test_a_name_leads_back_to_no_machine_of_ours(address: str, host: str, pattern: str, *, may: bool) -> None:
    """The owner of a name says where it leads: never to the worker's loopback, or to link-local ones."""
    assert may_be_at(address, host=host, pattern=pattern) is may


def injection(**changes: object) -> Injection:
    """A key for the Anthropic API."""
    given = {"host": "api.anthropic.com", "header": "x-api-key", "secret": "ANTHROPIC_API_KEY"}
    return Injection.model_validate(given | changes)


def test_an_agent_finds_its_injections_and_no_secret() -> None:
    """By the variables that programs of known hosts read, or by those that the profile names."""
    corp = {"host": "llm.corp:8443", "secret": "CORP_KEY", "variable": "CORP_URL", "path": "/v1"}
    given = [injection(), injection(**corp)]
    assert variables_of(given, [3129, 3130]) == {
        "ANTHROPIC_API_KEY": HELD,
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:3129",
        "CORP_KEY": HELD,
        "CORP_URL": "http://127.0.0.1:3130/v1",
    }


def test_a_secret_goes_to_the_host_that_it_is_for() -> None:
    """At its port, by TLS unless the profile says otherwise."""
    assert address_of(injection()) == ("api.anthropic.com", 443)
    assert address_of(injection(tls=False)) == ("api.anthropic.com", 80)
    assert address_of(injection(host="llm.corp:8443")) == ("llm.corp", 8443)
