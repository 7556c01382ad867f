"""Since when labels of GitLab are what they are: a label event names its label as it is called now.

Who may manage labels, as a Planner or a Reporter may, can rename one that a Developer put on. GraphQL alone
says when a label was changed: https://docs.gitlab.com/api/graphql/reference/#label. The change may be of its
name, or of its description or colour; so what is older than the change proves nothing.
"""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field

from routing.forges.rest.client import GRAPHQL, ForgeClient
from routing.forges.rest.wire import Items, Wire

_QUERY = """query LabelTimes($issue: IssueID!) {
  issue(id: $issue) { labels(first: 100) { nodes { id createdAt updatedAt } } }
}"""

_NUMBER = re.compile(r"gid://gitlab/\w+/([1-9][0-9]*)")


def _number(value: Any) -> Any:
    """`gid://gitlab/ProjectLabel/12` is 12."""
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else value


class LabelTimes(Wire):
    """When a label was made, and last changed; times are in whole seconds."""

    id: Annotated[int, BeforeValidator(_number)]
    created_at: AwareDatetime = Field(validation_alias="createdAt")
    updated_at: AwareDatetime = Field(validation_alias="updatedAt")

    def stood(self, at: datetime) -> bool:
        """Whether it had been at `at` what it is now.

        In the second of the change nobody knows. A label that was never changed may be put on in the second
        in which it was made.
        """
        second = at.replace(microsecond=0)
        return second > self.updated_at or (self.created_at == self.updated_at == second)


class _Labels(Wire):
    nodes: Items[LabelTimes | None] = ()


class _Issue(Wire):
    labels: _Labels | None = None


class _Data(Wire):
    issue: _Issue | None = None


class _Answer(Wire):
    data: _Data | None = None  # null beside errors


def label_times(client: ForgeClient, issue: int) -> dict[int, LabelTimes]:
    """The labels that an issue has now, by their ids; none where GraphQL does not show them.

    `issue` is the id of the database, not the number that people write.
    """
    asked = {"query": _QUERY, "variables": {"issue": f"gid://gitlab/Issue/{issue}"}}
    answer = client.parsed(_Answer, client.write("POST", GRAPHQL, asked, repeatable=True))
    shown = answer.data.issue.labels if answer.data and answer.data.issue else None
    return {one.id: one for one in shown.nodes if one is not None} if shown else {}
