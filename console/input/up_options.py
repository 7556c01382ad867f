"""The options of `coalmine up`, and the settings that they make.

Options become COALMINE_… variables, because the fleet's programs are processes of their own that inherit
the environment: there is one way in which all of them get their settings. An option that was not given
becomes none, so that the environment, the settings file and what the last `up` was given keep their values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import typer

from routing.errors import InvalidInputError
from tasks.agents.runtimes.registry import PROGRAMS
from tasks.settings.forge_tables import variable_of

#: The variables of the local forge, as help shows them; `up` leaves other forges as they are.
_SHOWN = "COALMINE_FORGE__LOCAL__"


def _option(field: str, *, metavar: str, help_text: str) -> Any:
    """An option whose help shows the variable of its setting; `given` leaves what the variable says."""
    return typer.Option(envvar=f"{_SHOWN}{field}", metavar=metavar, help=help_text)


Repo = Annotated[Path | None, _option("REPOSITORY", metavar="PATH", help_text="Git repository.")]
Issues = Annotated[
    Path | None, _option("ISSUES", metavar="DIR", help_text="Folder of issues as markdown files.")
]
Ci = Annotated[
    str | None,
    _option(
        "CI", metavar="CMD", help_text="Shell line that is the CI; it runs in a clone of each pushed commit."
    ),
]
Runtime = Annotated[
    str | None,
    typer.Option(
        envvar="COALMINE_UP__RUNTIME",
        metavar="NAME",
        help=f"Agent program that you have installed: {', '.join(PROGRAMS)}.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        envvar="COALMINE_UP__MODEL",
        metavar="NAME",
        help="Model, as the program names it. (default: the program's)",
    ),
]
Agent = Annotated[
    str | None,
    typer.Option(
        envvar="COALMINE_UP__AGENT",
        metavar="CMD",
        help="Any other agent: the shell line that starts it; its prompt comes on standard input.",
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(envvar="COALMINE_UP__PROMPT", metavar="TEXT", help="Text at the beginning of every prompt."),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        metavar="NAME",
        help="A variable of yours that agents are given; repeat for more. (COALMINE_UP__SECRETS)",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="HOST",
        help="A host that agents in a sandbox may reach besides the usual ones; repeat for more. "
        "(COALMINE_UP__ALLOW)",
    ),
]
Template = Annotated[
    str | None,
    _option(
        "TEMPLATE",
        metavar="NAME",
        help_text="Template that works on the issues; made if it does not exist. (default: implementer)",
    ),
]
Label = Annotated[
    str | None,
    _option(
        "LABEL",
        metavar="LABEL",
        help_text="Work only on issues with this label. (default: every open issue)",
    ),
]
Merge = Annotated[
    str | None,
    _option(
        "MERGE",
        metavar="green|never",
        help_text="Whether green branches are merged without a person. (default: green)",
    ),
]
AllowRed = Annotated[
    bool | None,
    typer.Option(
        "--allow-red",
        envvar=f"{_SHOWN}ALLOW_RED",
        help="Begin issues although the main branch is red, so that agents may repair it. (default: ask; "
        "without a terminal the first start is refused, and later ones try one issue at a time)",
    ),
]
Agents = Annotated[
    int | None,
    typer.Option(min=1, max=256, metavar="N", help="Agents that work at the same time. (default: 2)"),
]
State = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Folder for data, work trees and logs; remembered in this folder."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpOptions:
    """The options that become settings of the fleet; None for those that were not given."""

    repo: Path | None = None
    issues: Path | None = None
    ci: str | None = None
    label: str | None = None
    merge: str | None = None
    template: str | None = None
    allow_red: bool | None = None
    agents: int | None = None  # at work at once
    runtime: str | None = None
    model: str | None = None
    agent: str | None = None
    prompt: str | None = None
    secrets: list[str] | None = None
    allow: list[str] | None = None

    @classmethod
    def given(cls, ctx: typer.Context, **values: Any) -> Self:
        """Those of the values that stand on the command line; a variable is read with the settings."""
        sources = {name: ctx.get_parameter_source(name) for name in values}
        names = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
        return cls(**{name: value for name, value in values.items() if name in names})

    def variables(self, forge: str = "local", local: Sequence[str] = ()) -> dict[str, str]:
        """The settings as COALMINE_… variables; InvalidInputError for options that cannot be right.

        `forge` is the name of the local forge that they are about; whether to start on a red main branch is
        about all that are `local`. Paths are made absolute, because workers
        run in other folders.
        """
        self._check_folders()
        if self.merge not in {None, "green", "never"}:
            message = f"--merge {self.merge!r} is not green or never; give one of them"
            raise InvalidInputError(message)
        values = {
            "repository": str(self.repo.absolute()) if self.repo else None,
            "issues": str(self.issues.absolute()) if self.issues else None,
            "ci": self.ci,
            "label": self.label,
            "merge": self.merge,
            "template": self.template,
            "per_repo": None if self.agents is None else str(self.agents),
        }
        about_one = [name for name, value in values.items() if value is not None]
        if about_one and len(local) > 1 and forge not in local:
            raise _of_several(about_one[0], local)
        of_forge = {variable_of("forge", forge, name): str(values[name]) for name in about_one}
        if self.allow_red is not None:
            for name in local or (forge,):
                of_forge[variable_of("forge", name, "allow_red")] = str(self.allow_red).lower()
        return of_forge | {variable_of("up", name): value for name, value in self._program().items()}

    def _program(self) -> dict[str, str]:
        """The agent. One that is given takes the place of another with all that belonged to that."""
        if self.agent is not None and self.runtime not in {None, "command"}:
            message = f"--agent and --runtime {self.runtime} are two agents; give one of them"
            raise InvalidInputError(message)
        if self.runtime == "command" and self.agent is None:
            message = "--runtime command needs --agent 'CMD', the shell line that starts the agent"
            raise InvalidInputError(message)
        given: dict[str, str | None] = {"model": self.model, "prompt": self.prompt}
        for name, values in (("secrets", self.secrets), ("allow", self.allow)):
            if values is not None:
                given[name] = ",".join(values)
        if self.agent is not None or self.runtime is not None:
            given |= {
                "runtime": self.runtime or "command",
                "agent": self.agent or "",
                "model": self.model or "",
            }
        return {name: value for name, value in given.items() if value is not None}

    def _check_folders(self) -> None:
        """Refuse here what a worker would refuse later, when only its log would say so."""
        for path, option in ((self.repo, "--repo"), (self.issues, "--issues")):
            if path is not None and not path.is_dir():
                message = f"{option} {path} is not a folder; create it, or correct the path"
                raise InvalidInputError(message)


def _of_several(field: str, local: Sequence[str]) -> InvalidInputError:
    """An option is about one local forge, and it cannot be known which of these is meant."""
    option = {"repository": "repo", "per_repo": "agents"}.get(field, field)
    return InvalidInputError(
        f"--{option} is about one local forge, and the settings have {len(local)}: {', '.join(local)}; "
        f"write {field} into the [[forge]] table that it is for"
    )
