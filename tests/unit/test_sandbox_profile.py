"""The sandbox as content of a version: hashed with it, refused when it is malformed, left out when unset."""

import json

import pytest
from pydantic import ValidationError

from routing.sandbox.profile import Injection, NetworkMode, SandboxKind, SandboxProfile
from routing.templates.version import Snapshot

#: What version 0.1 hashed, and the hash that it stored.
OF_BEFORE = (
    '{"command":"./agent.sh","environment":{},"model":null,"prompt":"one","runtime":"command","secrets":[],'
    '"time_limit_seconds":null,"tools":[]}'
)


def test_a_version_of_before_keeps_its_hash() -> None:
    """Content that names no sandbox is written as it was before there were any, and means none."""
    snapshot = Snapshot(prompt="one", command="./agent.sh")
    assert snapshot.canonical() == OF_BEFORE
    assert Snapshot.model_validate_json(OF_BEFORE).sandbox is None


@pytest.mark.parametrize(
    "content",
    [
        {"sandbox": "bubblewrap"},
        {"sandbox": "auto"},
        {"sandbox": "auto", "profile": {"network": "none"}},
        {"sandbox": "auto", "profile": {"allow": ["pypi.org"]}},
        {"sandbox": "auto", "profile": {"memory_megabytes": 512}},
    ],
)
def test_sandbox_and_profile_are_content(content: dict[str, object]) -> None:
    """Another sandbox is another version, and it is read back as it was written."""
    snapshot = Snapshot.model_validate(content)
    assert snapshot.content_hash != Snapshot().content_hash
    again = Snapshot.model_validate_json(snapshot.canonical())
    assert (again, again.content_hash) == (snapshot, snapshot.content_hash)


def test_a_profile_that_says_nothing_changes_no_hash() -> None:
    """Defaults are left out, so that a field of a later release leaves the hashes of today alone."""
    assert Snapshot(profile=SandboxProfile()).canonical() == Snapshot().canonical()
    said = json.loads(Snapshot(profile=SandboxProfile(network=NetworkMode.NONE)).canonical())
    assert said["profile"] == {"network": "none"}


@pytest.mark.parametrize(
    "profile",
    [
        {"allow": ["https://pypi.org"]},
        {"allow": ["*"]},
        {"allow": ["pypi.org/simple"]},
        {"allow": ["a b"]},
        {"read": ["etc"]},
        {"read": ["/"]},
        {"read": ["~/"]},
        {"write": ["/srv/../etc"]},
        {"image": "--privileged"},
        {"network": "some"},
        {"memory_megabytes": 0},
        {"inject": [{"host": "*.example.org", "header": "x-api-key", "secret": "KEY"}]},
        {"inject": [{"host": "example.org", "header": "x: y", "secret": "KEY"}]},
        {"inject": [{"host": "example.org", "header": "x", "secret": "KEY", "prefix": "a\r\nb: c"}]},
        {"colour": "green"},
    ],
)
def test_a_malformed_profile_is_refused(profile: dict[str, object]) -> None:
    """Hosts are names, paths are absolute and not everything, and nothing becomes an option or a header."""
    with pytest.raises(ValidationError):
        SandboxProfile.model_validate(profile)


def test_hosts_are_compared_in_lower_case() -> None:
    """However a person writes them."""
    assert SandboxProfile(allow=("PyPI.org", "*.Org:8443")).allow == ("pypi.org", "*.org:8443")
    given = {"host": "API.example.org", "header": "x-api-key", "secret": "KEY"}
    assert Injection.model_validate(given).host == "api.example.org"


@pytest.mark.parametrize(
    ("kind", "least", "enough"),
    [
        (SandboxKind.NONE, SandboxKind.NONE, True),
        (SandboxKind.NONE, SandboxKind.BUBBLEWRAP, False),
        (SandboxKind.AUTO, SandboxKind.BUBBLEWRAP, False),
        (SandboxKind.BUBBLEWRAP, SandboxKind.BUBBLEWRAP, True),
        (SandboxKind.CONTAINER, SandboxKind.BUBBLEWRAP, True),
        (SandboxKind.BUBBLEWRAP, SandboxKind.CONTAINER, False),
    ],
)
def test_kinds_have_an_order(kind: SandboxKind, least: SandboxKind, *, enough: bool) -> None:
    """`auto` may end in none, so it is less than bubblewrap."""
    assert kind.is_at_least(least) is enough
