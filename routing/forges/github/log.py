"""What failed check runs say on GitHub: their output, and what they noted at lines of files.

Annotations: https://docs.github.com/rest/checks/runs. The full logs of Actions are reached by a redirect to
another host, which gets no token of ours; the annotations name the failures without them.
"""

from collections.abc import Iterable

from pydantic import Field

from routing.forges.commit_status import CombinedStatus
from routing.forges.errors import ForgeGoneError, ForgeRefusedError
from routing.forges.failing_log import Complaint
from routing.forges.github.runs import WireCheckRun, red_runs
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import repository_path
from routing.forges.rest.wire import Text, Wire


class WireAnnotation(Wire):
    """A note at a line of a file: `level` is notice, warning or failure."""

    path: Text = ""
    line: int | None = Field(None, validation_alias="start_line")
    level: Text = Field("", validation_alias="annotation_level")
    message: Text = ""
    raw_details: Text = ""

    def __str__(self) -> str:
        """As compilers write it: `path:line: message`, then the details."""
        where = f"{self.path}:{self.line}: " if self.path and self.line else ""
        return f"{where}{self.message}\n{self.raw_details}".strip()


def complaints_of(
    client: ForgeClient, repo: str, status: CombinedStatus, runs: Iterable[WireCheckRun]
) -> list[Complaint]:
    """The checks that failed, in their order; the first page of each run's annotations.

    One call for each failed run that has annotations. The texts are not bounded here: see `failing_log_of`.
    """
    red = red_runs(runs)
    return [
        Complaint(
            heading=one.complaint,
            text="\n".join(filter(None, [one.url, *_said(client, repo, red.get(one.context))])),
        )
        for one in status.failed
    ]


def _said(client: ForgeClient, repo: str, run: WireCheckRun | None) -> list[str]:
    """What a run says, the most telling last; Actions write nothing but annotations."""
    if run is None or run.output is None:
        return []
    output = run.output
    noted = _annotations(client, repo, run.id) if output.annotations_count else []
    return [output.title, output.summary, output.text, *noted]


def _annotations(client: ForgeClient, repo: str, run: int) -> list[str]:
    """The annotations of a run: its failures, or all of them when it calls none a failure."""
    path = f"{repository_path(repo)}/check-runs/{run}/annotations"
    try:
        listing = client.read_all(path, enough=lambda _page: True)
    except (ForgeGoneError, ForgeRefusedError):  # the rest of the log is worth more than an error
        return []
    notes = [client.parsed(WireAnnotation, item) for item in listing.items]
    failures = [note for note in notes if note.level == "failure"]
    return [str(note) for note in failures or notes]
