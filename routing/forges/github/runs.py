"""Check runs on GitHub, as they come and as statuses: https://docs.github.com/rest/checks/runs. Pure."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from routing.forges.commit_status import OWN_CONTEXT_PREFIX, CommitStatus, StatusState
from routing.forges.rest.wire import Text, Wire

# GitHub's words for how a run ended. `action_required` is left out: it waits for a person, so it is pending.
# `neutral` and `skipped` say nothing of the work, and satisfy a required check all the same. What is not
# known may still change.
_CONCLUSIONS = {
    "success": StatusState.SUCCESS,
    "failure": StatusState.FAILURE,
    "timed_out": StatusState.FAILURE,
    "cancelled": StatusState.ERROR,
    "startup_failure": StatusState.ERROR,
    "stale": StatusState.ERROR,
    "neutral": StatusState.NEUTRAL,
    "skipped": StatusState.NEUTRAL,
}

#: A run that was stopped: by a person, or because another one took its place.
_CANCELLED = frozenset({"cancelled", "stale"})


class WireApp(Wire):
    """The program that made a check run."""

    slug: Text = ""


class WireSuite(Wire):
    """The check runs of one app for one commit and one occasion."""

    id: int


class WireOutput(Wire):
    """What a check run says of itself; each part may be long."""

    title: Text = ""
    summary: Text = ""
    text: Text = ""
    annotations_count: int = 0


class WireCheckRun(Wire):
    """One check of a commit."""

    id: int = 0
    name: Annotated[str, Field(min_length=1)]
    status: str
    conclusion: Text = ""  # null until it is completed
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    details_url: Text = ""
    app: WireApp | None = None
    check_suite: WireSuite | None = None
    output: WireOutput | None = None

    @property
    def context(self) -> str:
        """`github-actions/build`; names under our own prefix stay our own."""
        slug = self.app.slug if self.app else ""
        return f"{slug}/{self.name}" if slug and not self.name.startswith(OWN_CONTEXT_PREFIX) else self.name


def statuses_of_runs(runs: Iterable[WireCheckRun]) -> list[CommitStatus]:
    """Check runs as statuses, each under a context of its own.

    Two workflows may call a job by the same name; the green one must not hide the red one, so their suites
    are named too.
    """
    return [status for status, _ in _with_status(runs)]


def red_runs(runs: Iterable[WireCheckRun]) -> dict[str, WireCheckRun]:
    """The check runs that failed, by the contexts that they have as statuses."""
    return {status.context: run for status, run in _with_status(runs) if status.is_red}


def _with_status(runs: Iterable[WireCheckRun]) -> list[tuple[CommitStatus, WireCheckRun]]:
    """The runs, each with its status. Contexts are made unique for all together."""
    listed = list(runs)
    named = Counter(run.context for run in listed)
    return [
        (
            CommitStatus(
                context=_context(run, alone=named[run.context] == 1),
                state=_state(run),
                description=run.conclusion or run.status,
                url=run.details_url,
                at=run.completed_at or run.started_at or datetime.fromtimestamp(0, UTC),
                app=run.app.slug if run.app else "",
                name=run.name,
                cancelled=run.conclusion in _CANCELLED,
            ),
            run,
        )
        for run in listed
    ]


def _state(run: WireCheckRun) -> StatusState:
    """What a run means: pending until it is completed, and if its end is unknown."""
    return (
        _CONCLUSIONS.get(run.conclusion, StatusState.PENDING)
        if run.status == "completed"
        else StatusState.PENDING
    )


def _context(run: WireCheckRun, *, alone: bool) -> str:
    """The run's context, with the id of its suite where another run has the same one."""
    return run.context if alone or run.check_suite is None else f"{run.context} ({run.check_suite.id})"
