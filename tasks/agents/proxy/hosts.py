"""Which hosts a turn may reach: pure.

A pattern is a name, or `*.` and a name for all below it, perhaps with a port; without one it means 80 and
443.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from routing.sandbox.profile import Injection, SandboxProfile

#: APIs of models, and where their programs log in.
OF_MODELS: Final = (
    *("api.anthropic.com", "console.anthropic.com", "platform.claude.com", "claude.ai"),
    *("api.openai.com", "auth.openai.com", "chatgpt.com"),
    *("generativelanguage.googleapis.com", "cloudcode-pa.googleapis.com", "oauth2.googleapis.com"),
    *("openrouter.ai", "opencode.ai", "models.dev"),
)

#: Indexes of packages, and where their files are.
OF_PACKAGES: Final = (
    *("pypi.org", "files.pythonhosted.org", "registry.npmjs.org", "registry.yarnpkg.com"),
    *("crates.io", "index.crates.io", "static.crates.io", "proxy.golang.org", "sum.golang.org"),
    *("rubygems.org", "index.rubygems.org", "repo.maven.apache.org", "repo1.maven.org"),
    *(
        "plugins.gradle.org",
        "services.gradle.org",
        "repo.packagist.org",
        "api.nuget.org",
        "hex.pm",
        "repo.hex.pm",
    ),
)

#: Ports of a pattern that names none.
_USUAL_PORTS: Final = frozenset({80, 443})

#: Of known hosts to which secrets are added: the variable from which programs take the address, and the path
#: at the end of that.
_BASES: Final[Mapping[str, tuple[str, str]]] = {
    "api.anthropic.com": ("ANTHROPIC_BASE_URL", ""),
    "api.openai.com": ("OPENAI_BASE_URL", "/v1"),
    "generativelanguage.googleapis.com": ("GOOGLE_GEMINI_BASE_URL", ""),
    "openrouter.ai": ("OPENROUTER_BASE_URL", "/api/v1"),
}

#: Stands in an agent's environment where a secret would.
HELD: Final = "held-by-the-worker"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRules:
    """The hosts that a turn may reach by name."""

    patterns: tuple[str, ...] = ()

    @classmethod
    def of(cls, profile: SandboxProfile) -> Self:
        """Those of a profile, with the usual ones unless it leaves them out."""
        usual = (*OF_MODELS, *OF_PACKAGES) if profile.usual_hosts else ()
        return cls(patterns=(*profile.allow, *usual))

    def match(self, host: str, port: int) -> str | None:
        """The pattern that lets a host through; None for a host that is not reached."""
        host = host.lower().rstrip(".")
        return next((pattern for pattern in self.patterns if _fits(pattern, host, port)), None)


def may_be_at(address: str, *, host: str, pattern: str) -> bool:
    """Whether a host may be at an address: a name that leads back to this machine opens nothing here.

    Only a pattern that is an address itself, or `localhost`, reaches the worker's own loopback. One with a
    wildcard, below which anybody may have a name, reaches public addresses alone.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if _is_address(host) or host == "localhost":
        return True
    if found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast:
        return False
    return not pattern.startswith("*.") or found.is_global


def address_of(injection: Injection) -> tuple[str, int]:
    """The host and port to which an injection's requests go."""
    host, _, port = injection.host.partition(":")
    return host, int(port) if port else (443 if injection.tls else 80)


def is_of_model(injection: Injection) -> bool:
    """Whether it is a way to a model: by its host, or by the variable in which programs look for one."""
    host, _ = address_of(injection)
    return host in {*OF_MODELS, *_BASES} or injection.variable in {name for name, _ in _BASES.values()}


def variables_of(injections: Iterable[Injection], ports: Iterable[int]) -> dict[str, str]:
    """The variables by which an agent finds its injections, each at a port of its loopback; no secrets."""
    said: dict[str, str] = {}
    for injection, port in zip(injections, ports, strict=True):
        variable, path = _BASES.get(injection.host, (None, ""))
        variable, path = injection.variable or variable, injection.path or path
        said[injection.secret] = HELD
        if variable is not None:
            said[variable] = f"http://127.0.0.1:{port}{path}"
    return said


def _fits(pattern: str, host: str, port: int) -> bool:
    name, _, wanted = pattern.partition(":")
    if port != int(wanted) if wanted else port not in _USUAL_PORTS:
        return False
    return host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
