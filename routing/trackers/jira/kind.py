"""Jira as a kind of tracker: what is set about one, and how it is wired."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from routing.forges.config import ForgeName
from routing.http.lent_token import LentToken
from routing.http.settings import BaseUrl
from routing.trackers.config import TrackerConfig
from routing.trackers.kind import TrackerKind

if TYPE_CHECKING:  # settings are read without an adapter
    from routing.http.connection import Surroundings
    from routing.trackers.jira.tracker import JiraTracker


class JiraConfig(TrackerConfig):
    """Which Jira, and as whom. A token is used with the address of mail of its user."""

    kind: Literal["jira"] = "jira"
    name: ForgeName = "jira"
    email: Annotated[str, Field(max_length=320, pattern=r"^[\x21-\x39\x3b-\x7e]*$")] = (
        ""  # whose token it is;
    )
    # "": a token of OAuth, which needs none
    filter: Annotated[str, Field(max_length=4000)] = ""  # JQL that issues must match besides; no ORDER BY
    site_url: BaseUrl | None = None  # where people read issues; None: at base_url

    @model_validator(mode="after")
    def _leaves_order_to_us(self) -> Self:
        if "order by" in self.filter.casefold():
            raise ValueError("filter has an ORDER BY; leave that out, as the order is ours")
        if self.label is not None and " " in self.label:
            raise ValueError("label has a space, which no label of Jira can have")
        return self


class BasicToken(LentToken):
    """A token together with the address of mail of its user, as HTTP's basic authentication has them."""

    def __init__(self, email: str, token: SecretStr) -> None:
        super().__init__(f"the token of {email}")
        self._email = email
        self._token = token

    def at(self, url: str) -> str:
        """Both, encoded."""
        return self._encoded(self._token.at(url) if isinstance(self._token, LentToken) else self._plain)

    def known_as(self, url: str) -> str:
        """Each token has a rate limit of its own."""
        token = self._token
        return f"{self._email} {token.known_as(url) if isinstance(token, LentToken) else self._plain}"

    def refused(self, token: str, *, date: str = "") -> None:
        """Nothing is to be done: a token in a file is read again in any case."""

    def hidden(self, text: str) -> str:
        """Without the token, alone and encoded."""
        if isinstance(self._token, LentToken):
            return self._token.hidden(text)
        return text.replace(self._plain, "***").replace(self._encoded(self._plain), "***")

    @property
    def _plain(self) -> str:
        return self._token.get_secret_value()

    def _encoded(self, token: str) -> str:
        return base64.b64encode(f"{self._email}:{token}".encode()).decode()


def jira_tracker(config: JiraConfig, surroundings: Surroundings) -> JiraTracker:
    """Wire the parts; nothing is asked of Jira yet."""
    from routing.forges.rest.client import ForgeClient, HttpDialect
    from routing.trackers.jira.tracker import JiraTracker

    given = config.credential
    credential, scheme = (BasicToken(config.email, given), "Basic") if config.email else (given, "Bearer")
    dialect = HttpDialect(
        api_root="/rest/api/3", scheme=scheme, headers={"Accept": "application/json"}, numbered_pages=False
    )
    return JiraTracker(
        config, ForgeClient(config, dialect, surroundings, credential=credential), surroundings.limits
    )


JIRA = TrackerKind(title="Jira Cloud", config=JiraConfig, make=jira_tracker)
