"""Our clients of the suite's own Jira and Linear, with the world that they serve."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from routing.http.connection import Surroundings
from routing.http.settings import HttpLimits
from routing.issues.issue import IssueRef
from routing.trackers.jira.kind import JiraConfig, jira_tracker
from routing.trackers.linear.kind import LinearConfig, linear_tracker
from routing.trackers.site import TrackerSite
from routing.trackers.tracker import Tracker
from tests.fakes.forge_world import TOKEN
from tests.fakes.tracker_world import TrackedIssue, TrackerWorld
from tests.servers.forge_server import ForgeServer
from tests.servers.jira_server import EMAIL, jira_server
from tests.servers.linear_server import linear_server

TRACKER_SERVERS = {"jira": jira_server, "linear": linear_server}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedTracker:
    """A tracker, its server, and the world that it serves."""

    kind: str
    site: TrackerSite
    server: ForgeServer
    world: TrackerWorld

    @property
    def tracker(self) -> Tracker:
        """Our client."""
        return self.site.forge

    def ref(self, issue: TrackedIssue) -> IssueRef:
        """The issue's name."""
        return IssueRef(forge=self.kind, repo=self.world.project, number=issue.number)

    def open(self, **given: Any) -> IssueRef:
        """Somebody opens an issue."""
        return self.ref(self.world.open_issue(**given))

    def issue(self, ref: IssueRef) -> TrackedIssue:
        """The issue as people see it."""
        return self.world.issues[ref.number]

    def blocked(self, numbers: Iterable[int]) -> IssueRef:
        """An issue that waits for others."""
        return self.open(title="Then", blocked_by=list(numbers))


def tracker_at(kind: str, address: str, **changes: Any) -> TrackerSite:
    """A client with short listings, so that there are pages."""
    limits = changes.pop("limits", HttpLimits(page_size=2, max_pages=5, attempts=2))
    given: dict[str, Any] = {"base_url": address, "token": SecretStr(TOKEN), "project": "SHOP"}
    surroundings = Surroundings(limits=limits, generator=random.Random(3), sleep=lambda _seconds: None)
    if kind == "jira":
        jira = JiraConfig(**(given | {"email": EMAIL} | changes))
        return TrackerSite(config=jira, forge=jira_tracker(jira, surroundings))
    linear = LinearConfig(**(given | changes))
    return TrackerSite(config=linear, forge=linear_tracker(linear, surroundings))
