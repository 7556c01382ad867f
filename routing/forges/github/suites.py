"""Check suites on GitHub: what has begun, ended or been asked for without a check run to show for it.

https://docs.github.com/rest/checks/suites and https://docs.github.com/rest/actions/workflow-runs. A workflow
file that cannot be read, and a workflow that waits for approval, have a suite and no run: who looks at runs
alone sees nothing of them.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pydantic import AwareDatetime

from routing.forges.commit_status import CombinedStatus, CommitStatus, StatusState
from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.github.runs import WireApp
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import repository_path
from routing.forges.rest.wire import Text, Wire

#: Actions makes a suite only for a workflow that it runs; other apps are given one whatever they do with it.
_ACTIONS = "github-actions"

_BROKEN = frozenset({"failure", "startup_failure", "timed_out"})
_APPROVAL = "action_required"


class WireCheckSuite(Wire):
    """What one app was asked to check of a commit, on one occasion."""

    id: int
    status: Text = ""  # queued, in_progress, completed, and words that mean "not yet"
    conclusion: Text = ""  # null until it is completed
    latest_check_runs_count: int | None = None
    app: WireApp | None = None
    updated_at: AwareDatetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.status == "completed"


class WireWorkflowRun(Wire):
    """A workflow at a commit: the name of what a suite of Actions ran."""

    name: Text = ""
    path: Text = ""
    html_url: Text = ""
    check_suite_id: int = 0


def read_suites(client: ForgeClient, repo: str, commit: str) -> list[WireCheckSuite]:
    """The suites of a commit; [] where the forge has none, or does not show them to this token."""
    path = f"{repository_path(repo)}/commits/{commit}/check-suites"
    try:
        return client.parsed_all(WireCheckSuite, client.read_all(path, under="check_suites"))
    except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError):
        return []


def with_suites(
    client: ForgeClient, repo: str, status: CombinedStatus, suites: Sequence[WireCheckSuite],
    shown: Collection[int],
) -> CombinedStatus:  # fmt: skip
    """Add what suites say that no check run does; `shown` are the suites of the runs that are listed."""
    bare = [one for one in suites if one.id not in shown and not one.latest_check_runs_count]
    named = _names(client, repo, status.commit) if any(_speaks(one) for one in bare) else {}
    return status.model_copy(
        update={
            "statuses": (*status.statuses, *(_broken(one, named) for one in bare if _is_broken(one))),
            "expected": tuple(_name(one, named) for one in bare if _is_coming(one) and _is_actions(one)),
            "announced": tuple(_name(one, named) for one in bare if _is_coming(one) and not _is_actions(one)),
            "approvals": tuple(_name(one, named) for one in suites if one.conclusion == _APPROVAL),
        }
    )


def _is_broken(suite: WireCheckSuite) -> bool:
    return suite.is_over and suite.conclusion in _BROKEN


def _is_coming(suite: WireCheckSuite) -> bool:
    return not suite.is_over


def _is_actions(suite: WireCheckSuite) -> bool:
    """Whether it is sure to come to an end by itself: Actions' own, or one that has begun."""
    return suite.status == "in_progress" or suite.app is None or suite.app.slug in {"", _ACTIONS}


def _speaks(suite: WireCheckSuite) -> bool:
    return _is_coming(suite) or suite.conclusion in {*_BROKEN, _APPROVAL}


def _broken(suite: WireCheckSuite, named: dict[int, WireWorkflowRun]) -> CommitStatus:
    """A failure that no check run shows."""
    run = named.get(suite.id)
    return CommitStatus(
        context=_name(suite, named),
        state=StatusState.ERROR,
        description=f"{suite.conclusion}: it failed before any check began; see its workflow file",
        url=run.html_url if run else "",
        at=suite.updated_at or datetime.fromtimestamp(0, UTC),
        unstarted=True,
    )


def _name(suite: WireCheckSuite, named: dict[int, WireWorkflowRun]) -> str:
    """The workflow's name or file where it is known; else the app's with the number of the suite."""
    run = named.get(suite.id)
    app = suite.app.slug if suite.app else ""
    return f"{app or 'suite'}/{(run and (run.name or run.path)) or suite.id}"


def _names(client: ForgeClient, repo: str, commit: str) -> dict[int, WireWorkflowRun]:
    """Workflow runs by their suite, as far as the token may see them: they are for people to read."""
    try:
        listing = client.read_all(
            f"{repository_path(repo)}/actions/runs",
            {"head_sha": commit},
            under="workflow_runs",
        )
    except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError):
        return {}
    runs = [client.parsed(WireWorkflowRun, item) for item in listing.items]
    return {run.check_suite_id: run for run in runs}
