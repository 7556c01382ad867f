"""The options of `coalmine up`, and the settings that they make."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from routing.errors import InvalidInputError
from routing.git.git import Git

_PREFIX = "COALMINE_FORGE__LOCAL__"


def _option(field: str, *, metavar: str, help_text: str) -> Any:
    """An option that shows the variable of its setting."""
    return typer.Option(envvar=f"{_PREFIX}{field}", metavar=metavar, help=help_text)


Repo = Annotated[Path | None, _option("REPOSITORY", metavar="PATH", help_text="Git repository.")]
Issues = Annotated[
    Path | None, _option("ISSUES", metavar="DIR", help_text="Folder of issues as markdown files.")
]
Ci = Annotated[
    str | None,
    _option(
        "CI", metavar="CMD", help_text="Shell line that is CI; it runs in a clone of each pushed commit."
    ),
]
Agent = Annotated[
    str | None,
    typer.Option(metavar="CMD", help="Shell line that is the agent; its prompt comes on standard input."),
]
Prompt = Annotated[str, typer.Option(help="What every task's prompt begins with.")]
Template = Annotated[
    str,
    _option(
        "TEMPLATE",
        metavar="NAME",
        help_text="Template that works on the issues; made of --agent when it is not there.",
    ),
]
Label = Annotated[
    str | None,
    _option(
        "LABEL",
        metavar="LABEL",
        help_text="Work on issues with this label only. (default: every open issue)",
    ),
]
Merge = Annotated[
    str, _option("MERGE", metavar="green|never", help_text="Whether a green branch is merged by itself.")
]
Agents = Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Agents at work at once.")]
State = Annotated[Path, typer.Option(metavar="DIR", help="Where data, work trees and logs are kept.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpOptions:
    """The options that are settings of the fleet."""

    repo: Path | None
    issues: Path | None
    ci: str | None
    label: str | None
    merge: str
    template: str
    agents: int  # at work at once

    def variables(self) -> dict[str, str]:
        """The settings that were given, as variables; refused when they cannot be meant."""
        self._check_folders()
        if self.merge not in {"green", "never"}:
            message = f"--merge {self.merge!r} is neither green nor never"
            raise InvalidInputError(message)
        values = {
            "REPOSITORY": str(self.repo.absolute()) if self.repo else None,
            "ISSUES": str(self.issues.absolute()) if self.issues else None,
            "CI": self.ci,
            "LABEL": self.label,
            "MERGE": self.merge,
            "TEMPLATE": self.template,
            "AT_ONCE": str(self.agents),
        }
        return {f"{_PREFIX}{name}": value for name, value in values.items() if value is not None}

    def _check_folders(self) -> None:
        if (self.repo is None) != (self.issues is None):
            message = "--repo and --issues go together: give both, or none for a fleet without issues"
            raise InvalidInputError(message)
        for path, option in ((self.repo, "--repo"), (self.issues, "--issues")):
            if path is not None and not path.is_dir():
                message = f"{option} {path} is no folder; create it, or correct the path"
                raise InvalidInputError(message)
        if self.repo is None:
            return
        asked = Git(self.repo).attempt("rev-parse", "--verify", "HEAD")
        if asked.returncode != 0:
            message = (
                f"--repo {self.repo} is no git repository with a commit that git lets us use; "
                f"git says: {asked.stderr.strip()[:300]}"
            )
            raise InvalidInputError(message)
