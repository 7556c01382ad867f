"""A tracker that the fleet serves."""

from dataclasses import dataclass

from routing.forges.site import IssueSite
from routing.issues.issue import Issue
from routing.trackers.config import TrackerConfig
from routing.trackers.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class TrackerSite(IssueSite):
    """One tracker of the settings, wired."""

    config: TrackerConfig
    forge: Tracker

    def unwanted(self, issue: Issue) -> str:
        """Also when a label or a state of the issue stops agents."""
        said = IssueSite.unwanted(self, issue)
        if said:
            return said
        stop = self.config.stop_label
        if stop is not None and issue.carries(stop):
            return f"the label {stop} was put on its issue"
        if issue.status.casefold() in {name.casefold() for name in self.config.stop_states}:
            return f"its issue was moved to {issue.status}"
        return ""

    def left_out(self, issue: Issue) -> str:
        """When the tracker's filter does not select it."""
        return "" if issue.selected else f"the filter of {self.name} does not select it"

    def works_in(self, issue: Issue) -> str:
        """By the first route that fits, and else the tracker's own repository."""
        return self.config.place_of(issue)
