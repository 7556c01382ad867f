"""Which variables of a worker reach every agent. Pure; `tasks.agents.environment` adds what a turn adds."""

#: What programs need of the worker's environment to find their files and speak a language.
#: Proxies are not among them, as their addresses may hold passwords: a version names them as secrets.
ALLOWED = frozenset(
    {"PATH", "HOME", "LANG", "LANGUAGE", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL", "TZ"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY"}
)
_ALLOWED_PREFIX = "LC_"


def reaches_agents(name: str) -> bool:
    """Whether every agent gets the worker's value of a variable."""
    return name in ALLOWED or name.startswith(_ALLOWED_PREFIX)
