"""The settings file that `coalmine init` writes: few settings, each with what it means. Pure."""

from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import urlsplit

import tomli_w

from routing.errors import InvalidInputError
from routing.forges.config import RemoteConfig
from routing.forges.registry import KINDS
from routing.issues.issue import is_repository_name
from tasks.settings.forge_tables import variable_of

#: Kinds of forges that are reached over HTTP.
REMOTE_KINDS = {name: kind for name, kind in KINDS.items() if issubclass(kind.config, RemoteConfig)}

_HEAD = """\
# Settings of Coalmine for this folder, written by `coalmine init` and read by every `coalmine` command here.
# Start with `coalmine up`. An option of a command, or a variable (COALMINE_…), counts more than this file.
# All settings, with their defaults: `coalmine config example`; those in force: `coalmine config show`.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeAddress:
    """A repository of a forge: `github:acme/shop`, `gitea:https://git.example.com/acme/shop`."""

    kind: str
    repository: str  # `owner/name`
    base_url: str = ""  # "" for the kind's own

    @classmethod
    def read(cls, text: str) -> Self | None:
        """What a person wrote; None for a path. InvalidInputError for half an address."""
        kind, colon, rest = text.partition(":")
        if kind in {"http", "https"}:
            message = f"{text} does not say which kind of forge it is; write one of: {_forms()}"
            raise InvalidInputError(message)
        if not colon or kind not in REMOTE_KINDS:
            return None
        parts = urlsplit(rest)
        names = parts.path.removesuffix(".git").strip("/").split("/")
        nested = REMOTE_KINDS[kind].nested  # then all of the path is the name
        repository = "/".join(names if nested else names[-2:])
        has_own = REMOTE_KINDS[kind].config(name=kind).model_dump().get("base_url") is not None
        elsewhere = bool(parts.netloc) == has_own and not nested
        if "/" not in repository or not is_repository_name(repository) or elsewhere:
            message = f"{text} is not a repository of a forge; write one of: {_forms()}"
            raise InvalidInputError(message)
        above = "" if nested else "/".join(["", *names[:-2]]).rstrip("/")
        base_url = f"{parts.scheme}://{parts.netloc}{above}" if parts.netloc else ""
        return cls(kind=kind, repository=repository, base_url=base_url)


def _forms() -> str:
    """How addresses of forges are written."""
    own = {name: kind.config(name=name).model_dump().get("base_url") for name, kind in REMOTE_KINDS.items()}
    return ", ".join(
        f"{name}:OWNER/NAME" if url else f"{name}:https://HOST/OWNER/NAME" for name, url in own.items()
    )


#: Programs that report tokens and no dollars.
_IN_TOKENS = frozenset({"codex", "gemini"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstSettings:
    """The answers to the questions of `coalmine init`."""

    forge: ForgeAddress | None = None  # None: a folder of issues and a repository on this machine
    repository: str = ""  # its absolute path
    issues: str = ""  # the absolute path of the folder
    ci: str = ""  # shell line; "": none
    runtime: str = ""  # of a known program; "": `agent` is given
    agent: str = ""  # shell line
    model: str = ""
    merge: Literal["green", "never"] = "never"

    def text(self) -> str:
        """The file."""
        forge = self._local() if self.forge is None else self._remote(self.forge)
        return f"{_HEAD}\n[[forge]]\n{forge}\n{self._rest()}"

    @property
    def token_variable(self) -> str:
        """The variable that the forge's token belongs into; "" for a folder."""
        return variable_of("forge", self.forge.kind, "token") if self.forge else ""

    def _local(self) -> str:
        ci = ("ci", self.ci) if self.ci else ("# ci", "make test")
        return _lines(
            ("kind", "local", "a folder of issues, a git repository, and a command as CI"),
            ("repository", self.repository, ""),
            ("issues", self.issues, "one markdown file an issue; each open one is worked on"),
            ("# label", "agent", "work on issues with this label alone"),
            (
                *ci,
                "runs in a clone of each pushed commit; exit code 0 is green",
            ),
            ("merge", self.merge, "green: what CI passed is merged into the main branch; never: you merge"),
            ("per_repo", 2, "agents at work at once"),
        )

    def _remote(self, forge: ForgeAddress) -> str:
        address = [("base_url", forge.base_url, "")] if forge.base_url else []
        return _lines(
            ("kind", forge.kind, f"its token comes from the variable {self.token_variable}"),
            *address,
            ("repositories", (forge.repository,), "no other is read or written"),
            ("label", "coalmine", "issues with this label are worked on, and no others"),
            ("kill_switch", False, "true: nothing is read there, and nothing is done"),
            (
                "merge",
                self.merge,
                "green: what its checks passed is merged; never: people merge",
            ),
            ("per_repo", 1, "agents at work at once"),
        )

    def _rest(self) -> str:
        program = ("runtime", self.runtime) if self.runtime else ("agent", self.agent)
        model = ("model", self.model) if self.model else ("# model", "NAME")
        agent = _lines(
            (*program, "the program that works on issues"),
            (*model, "as the program names it; without it, the one that it is set to"),
            ("prompt", "", "before every task: how you want work to be done here"),
        )
        limits = _lines(
            *self._day(),
            ("max_attempts", 3, "of a job, before a person is asked"),
        )
        return f"[up]\n{agent}\n[job]\n{limits}"

    def _day(self) -> list[tuple[str, object, str]]:
        """What may be used a day: in what the program reports."""
        if self.runtime in _IN_TOKENS:
            return [
                (
                    "day_tokens",
                    0,
                    f"that the fleet may use a day, as {self.runtime} reports them; 0: no limit",
                ),
                (
                    "# day_cost_usd",
                    20,
                    "the same in US dollars, by a table of prices, if `model` is named above",
                ),
            ]
        said = "" if self.runtime else ", as far as your agent reports them"
        return [("day_cost_usd", 0, f"US dollars that the fleet may spend a day{said}; 0: no limit")]


def _lines(*rows: tuple[str, object, str]) -> str:
    """Settings with their meaning above each."""
    written = []
    for name, value, meaning in rows:
        hidden = name.startswith("# ")
        line = (
            tomli_w.dumps({name.removeprefix("# "): value})
            .replace("[\n    ", "[")
            .replace(",\n]", "]")
            .strip()
        )
        written += [f"# {meaning}"] * bool(meaning) + [f"# {line}" if hidden else line]
    return "\n".join(written) + "\n"
