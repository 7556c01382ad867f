"""The options of `coalmine up`, and the settings that they make.

Options become COALMINE_… variables, because the fleet's programs are processes of their own that inherit
the environment: there is one way in which all of them get their settings. Most options are also read from
the variable that they set, so `up` can be run with the environment alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from routing.errors import InvalidInputError
from routing.git.git import Git

#: The local forge of the settings; `up` sets up this one and leaves other forges as they are.
_PREFIX = "COALMINE_FORGE__LOCAL__"


def _option(field: str, *, metavar: str, help_text: str) -> Any:
    """An option whose help shows the variable of its setting."""
    return typer.Option(envvar=f"{_PREFIX}{field}", metavar=metavar, help=help_text)


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
Agent = Annotated[
    str | None,
    typer.Option(metavar="CMD", help="Shell line that starts the agent; its prompt comes on standard input."),
]
Prompt = Annotated[str, typer.Option(help="Text at the beginning of every prompt.")]
Template = Annotated[
    str,
    _option(
        "TEMPLATE",
        metavar="NAME",
        help_text="Template that works on the issues; made from --agent if it does not exist.",
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
    str,
    _option("MERGE", metavar="green|never", help_text="Whether green branches are merged without a person."),
]
Agents = Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Agents that work at the same time.")]
State = Annotated[Path, typer.Option(metavar="DIR", help="Folder for data, work trees and logs.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpOptions:
    """The options that become settings of the fleet; None for those that were not given."""

    repo: Path | None
    issues: Path | None
    ci: str | None
    label: str | None
    merge: str
    template: str
    agents: int  # at work at once

    def variables(self) -> dict[str, str]:
        """The settings as COALMINE_… variables; InvalidInputError for options that cannot be right.

        Paths are made absolute, because workers run in other folders. Options that were not given are left
        out, so that the environment and the settings file keep their values.
        """
        self._check_folders()
        if self.merge not in {"green", "never"}:
            message = f"--merge {self.merge!r} is not green or never; give one of them"
            raise InvalidInputError(message)
        values = {
            "REPOSITORY": str(self.repo.absolute()) if self.repo else None,
            "ISSUES": str(self.issues.absolute()) if self.issues else None,
            "CI": self.ci,
            "LABEL": self.label,
            "MERGE": self.merge,
            "TEMPLATE": self.template,
            "PER_REPO": str(self.agents),
        }
        return {f"{_PREFIX}{name}": value for name, value in values.items() if value is not None}

    def _check_folders(self) -> None:
        """Refuse here what a worker would refuse later, when only its log would say so.

        A repository without a commit is refused as well: work trees need a commit to begin from. So is one
        that belongs to another user, which git does not touch (`safe.directory`); git's own words say how
        to allow it.
        """
        if (self.repo is None) != (self.issues is None):
            message = "--repo and --issues go together: give both, or none for a fleet without issues"
            raise InvalidInputError(message)
        for path, option in ((self.repo, "--repo"), (self.issues, "--issues")):
            if path is not None and not path.is_dir():
                message = f"{option} {path} is not a folder; create it, or correct the path"
                raise InvalidInputError(message)
        if self.repo is None:
            return
        asked = Git(self.repo).attempt("for-each-ref", "--count=1", "refs/heads/")
        if asked.returncode != 0 or not asked.stdout:
            message = (
                f"--repo {self.repo} is not a git repository with a commit that git lets us use; "
                f"git says: {asked.stderr.strip()[:300] or 'it has no branch'}"
            )
            raise InvalidInputError(message)
