"""A known agent program as people have it: how it is installed, how one logs in, what an agent needs of both.

Each runtime's own file describes its program. `tasks.agents.runtimes.readiness` looks whether it is there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: The first version in a line such as `codex-cli 0.169.0`.
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginFile:
    """A file in which the program keeps that it is logged in, or that it has a way of its own to a model."""

    path: str  # below `variable`'s folder, or below HOME joined with `folder`
    folder: str  # of the program's files, below HOME
    variable: str = ""  # that names another folder in its place
    pattern: str = ""  # that the file's text has then; "": being there is enough

    def vouches(self, environment: Mapping[str, str]) -> bool:
        """Whether the file is there and says so; one that cannot be read does not."""
        given, home = environment.get(self.variable, ""), environment.get("HOME", "")
        if not given and not home:
            return False
        try:
            text = (Path(given or Path(home) / self.folder) / self.path).read_text(errors="replace")
        except OSError:
            return False
        return re.search(self.pattern, text, re.MULTILINE) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownProgram:
    """What a person must have done before an agent can run the program."""

    name: str  # as its makers write it
    command: str  # what is looked for on the PATH
    install: str  # shell line
    seen: str  # the version that our recordings and tests are of
    usage: tuple[str, ...]  # arguments that print the options of its headless form
    options: tuple[str, ...]  # of these, what its runtime uses; an older version may not know them
    log_in: str  # what to do, as the end of a sentence
    keys: tuple[str, ...] = ()  # variables each of which is a way in; an agent is given those that are set
    surroundings: tuple[str, ...] = ()  # variables that say where its files and its model are; no secrets
    logins: tuple[str, ...] = ()  # of these, each that is a way in by itself
    login_files: tuple[LoginFile, ...] = ()
    login_status: tuple[str, ...] = ()  # arguments with which it exits with 0 when it is logged in
    needs_login: bool = True  # whether it has no model that is free

    def keys_in(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """The variables that a version must name for its agents to be given them: keys, and URLs with one."""
        urls = [name for name in self.surroundings if _has_password(environment.get(name, ""))]
        return tuple(name for name in (*self.keys, *urls) if environment.get(name))

    def hosts_in(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """The hosts, with their ports, of addresses among them, which a sandbox must let it reach."""
        return tuple(filter(None, (_host_of(environment.get(name, "")) for name in self.surroundings)))

    def surroundings_in(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What a version says itself about where the program's files and its model are."""
        found = {name: environment[name] for name in self.surroundings if environment.get(name)}
        return {name: value for name, value in found.items() if not _has_password(value)}


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of the first version in a text; none without one."""
    found = _VERSION.search(text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def _host_of(value: str) -> str:
    """`127.0.0.1:11434` of http://127.0.0.1:11434/v1; "" of what is not an address."""
    try:
        parts = urlsplit(value)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.hostname}{port}" if parts.scheme in {"http", "https"} and parts.hostname else ""


def _has_password(value: str) -> bool:
    try:
        return urlsplit(value).password is not None
    except ValueError:
        return False
