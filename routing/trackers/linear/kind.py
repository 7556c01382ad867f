"""Linear as a kind of tracker: what is set about one, and how it is wired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from routing.forges.config import ForgeName
from routing.http.settings import BaseUrl
from routing.trackers.config import TrackerConfig
from routing.trackers.kind import TrackerKind

if TYPE_CHECKING:  # settings are read without an adapter
    from routing.http.connection import Surroundings
    from routing.trackers.linear.tracker import LinearTracker


class LinearConfig(TrackerConfig):
    """Which team of a Linear. `project` is the team's key, as it stands before the number of an issue."""

    kind: Literal["linear"] = "linear"
    name: ForgeName = "linear"
    base_url: BaseUrl | None = "https://api.linear.app"
    bearer: bool = False  # the token is one of OAuth, and no personal API key


def linear_tracker(config: LinearConfig, surroundings: Surroundings) -> LinearTracker:
    """Wire the parts; nothing is asked of Linear yet."""
    from routing.forges.rest.client import ForgeClient, HttpDialect
    from routing.trackers.linear.asking import LinearApi
    from routing.trackers.linear.tracker import LinearTracker

    dialect = HttpDialect(
        api_root="", scheme="Bearer" if config.bearer else "", headers={"Accept": "application/json"},
        numbered_pages=False,
    )  # fmt: skip
    api = LinearApi(ForgeClient(config, dialect, surroundings), surroundings.limits)
    return LinearTracker(config, api)


LINEAR = TrackerKind(title="Linear", config=LinearConfig, make=linear_tracker)
