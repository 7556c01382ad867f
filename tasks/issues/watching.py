"""What the watcher works with: one of each step that a tick may make about a job."""

from dataclasses import dataclass

from routing.backlog.backlog import Backlog
from routing.jobs.lifecycle import Jobs
from routing.store.fleet.token_store import TokenStore
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.run_store import RunStore
from routing.store.signals.signal_store import SignalStore
from tasks.issues.closing import Closing
from tasks.issues.conflicts import ConflictTurns
from tasks.issues.editing import EditedIssues
from tasks.issues.landings import Landings, ReportedWork
from tasks.issues.merging import Merging
from tasks.issues.opening import ChangeRequests
from tasks.issues.people import People
from tasks.issues.projection import Projection
from tasks.issues.reviewing import ReviewTurns
from tasks.issues.sending_back import SendingBack


@dataclass(frozen=True, kw_only=True, slots=True)
class Watching:
    """The stores and steps that the watcher works with."""

    changes: ChangeRequests
    tokens: TokenStore
    backlog: Backlog

    jobs: Jobs
    store: JobStore
    signals: SignalStore
    runs: RunStore
    projection: Projection
    closing: Closing
    landings: Landings
    reported: ReportedWork
    back: SendingBack
    reviews: ReviewTurns
    edits: EditedIssues
    conflicts: ConflictTurns
    merging: Merging
    people: People
