"""What Jira Cloud's REST API takes of all that we ask, by its OpenAPI document, and what is foreign to it.

The document describes version 3: https://developer.atlassian.com/cloud/jira/platform/rest/v3/. The table has
the parameters and members that we may use; documents in bodies are held to the structure that
https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/ describes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routing.trackers.jira.wire import FIELDS
from tests.servers.forge_server import AskedRequest


@dataclass(frozen=True, slots=True)
class JiraOperation:
    """One way to ask; `body` has the members of the body by their types, all of them required."""

    method: str
    path: str
    query: frozenset[str] = frozenset()
    body: Mapping[str, type] | None = None

    def fits(self, asked: AskedRequest) -> bool:
        """Whether a request is this operation."""
        pattern = re.sub(r":\w+", "[^/]+", self.path)
        return asked.method == self.method and re.fullmatch(pattern, asked.quoted_path) is not None

    def wrong(self, asked: AskedRequest) -> Iterator[str]:
        """What the request has that is not known, and what it lacks."""
        where = f"{self.method} {self.path}"
        yield from (f"{where} knows no parameter {name!r}" for name in asked.query if name not in self.query)
        unknown = set(asked.query.get("fields", FIELDS).split(",")) - set(FIELDS.split(","))
        yield from (f"{where} gives no field {name!r}" for name in sorted(unknown))
        given = asked.body if isinstance(asked.body, dict) else {}
        if (self.body is None) != (asked.body is None) or given.keys() != (self.body or {}).keys():
            yield f"{where} takes {sorted(self.body or {})}, and got {asked.body!r}"
            return
        for name, kind in (self.body or {}).items():
            if not isinstance(given[name], kind):
                yield f"{where} takes no {type(given[name]).__name__} as {name}"
        if self.path.endswith(("/comment", "/comment/:id")) and self.body:
            yield from wrong_in_document(given["body"])


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ISSUE, _PAGE = "/issue/:key", "startAt maxResults"

OPERATIONS = (
    JiraOperation("GET", "/myself"),
    JiraOperation("GET", "/project/:key"),
    JiraOperation("GET", "/project/:key/statuses"),
    JiraOperation("GET", "/mypermissions", _names("projectKey permissions")),
    JiraOperation("GET", "/user/permission/search", _names(f"permissions projectKey accountId {_PAGE}")),
    JiraOperation("GET", "/search/jql", _names("jql fields maxResults nextPageToken")),
    JiraOperation("GET", _ISSUE, _names("fields")),
    JiraOperation("PUT", _ISSUE, body={"update": dict}),
    JiraOperation("GET", f"{_ISSUE}/comment", _names(f"orderBy {_PAGE}")),
    JiraOperation("POST", f"{_ISSUE}/comment", body={"body": dict}),
    JiraOperation("GET", f"{_ISSUE}/comment/:id"),
    JiraOperation("PUT", f"{_ISSUE}/comment/:id", body={"body": dict}),
    JiraOperation("PUT", f"{_ISSUE}/assignee", body={"accountId": str}),
    JiraOperation("GET", f"{_ISSUE}/transitions"),
    JiraOperation("POST", f"{_ISSUE}/transitions", body={"transition": dict}),
    JiraOperation("GET", f"{_ISSUE}/changelog", _names(_PAGE)),
    JiraOperation("POST", f"{_ISSUE}/remotelink", body={"globalId": str, "object": dict}),
)

#: Nodes that may stand in a node, by its type; () for those that hold none.
_BLOCKS = ("paragraph", "heading", "bulletList", "codeBlock")
_WITHIN = {
    "doc": _BLOCKS,
    "paragraph": ("text",),
    "heading": ("text",),
    "codeBlock": ("text",),
    "bulletList": ("listItem",),
    "listItem": ("paragraph", "bulletList", "codeBlock"),
    "text": (),
}
_MARKS = ("strong", "code", "link")


def wrong_in_document(node: Any, within: str = "") -> Iterator[str]:
    """What Jira would refuse a document for, or show otherwise than it was meant."""
    kind = node.get("type") if isinstance(node, dict) else None
    if kind not in _WITHIN or (within and kind not in _WITHIN[within]) or not (within or kind == "doc"):
        yield f"a document has no {kind!r} in {within or 'its place'}"
        return
    unknown = node.keys() - {"type", "content", "attrs", "text", "marks", "version"}
    yield from (f"{kind} has no {name!r}" for name in sorted(unknown))
    if kind == "doc" and node.get("version") != 1:
        yield "a document has the version 1"
    if kind == "heading" and node.get("attrs", {}).get("level") not in range(1, 7):
        yield "a heading has a level from 1 to 6"
    if kind == "text":
        yield from _wrong_in_text(node, within)
    for inner in node.get("content", ()):
        yield from wrong_in_document(inner, kind)


def _wrong_in_text(node: Mapping[str, Any], within: str) -> Iterator[str]:
    marks = [mark.get("type") for mark in node.get("marks", ())]
    if not node.get("text"):
        yield "a text is not empty"
    if set(marks) - set(_MARKS) or (within == "codeBlock" and marks):
        yield f"a text in {within} has no marks {marks}"
    if "code" in marks and set(marks) - {"code", "link"}:
        yield "code is marked as nothing else but a link"


def foreign_to_jira(asked: AskedRequest) -> list[str]:
    """What a request has that Jira does not know, and what it lacks."""
    found = next((one for one in OPERATIONS if one.fits(asked)), None)
    return [f"{asked.method} {asked.path} is not described"] if found is None else list(found.wrong(asked))
