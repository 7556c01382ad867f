"""What GitLab's REST API takes of all that we ask, by its documentation, and what is foreign to it.

Each operation has the page of https://docs.gitlab.com/api/ that describes it. Its own OpenAPI document
is in no package of npm or PyPI, so the table is written by hand, with the parameters that we may use.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.servers.forge_server import AskedRequest
from tests.servers.graphql_words import WrongDocumentError, carried_out, read_document

#: Parameters of every listing: https://docs.gitlab.com/api/rest/#pagination
PAGING = frozenset({"page", "per_page"})

GRAPHQL = "/api/graphql"

#: The types of GraphQL's variables, and the members with their arguments that we may ask for:
#: https://docs.gitlab.com/api/graphql/reference/#queryissue, #label
VARIABLES = {"issue": "IssueID!"}
_LABEL = dict.fromkeys(("id", "title", "createdAt", "updatedAt"))
_MEMBERS = {"issue": lambda id_: {"iid": id_, "labels": lambda first_: {"nodes": [_LABEL] * (first_ <= 100)}}}

_SORT = frozenset({"asc", "desc"})
_BY_TIME = frozenset({"created_at", "updated_at"})
_STATES = frozenset({"opened", "closed", "all"})


@dataclass(frozen=True, kw_only=True, slots=True)
class GitLabOperation:
    """One way to ask. Words that a parameter may have are those listed, () for any."""

    method: str
    path: str  # `/projects/:id/issues`
    page: str  # of the documentation, below `api/`
    query: Mapping[str, frozenset[str]] = field(default_factory=dict)
    body: Mapping[str, type | frozenset[str]] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    listing: bool = False

    def fits(self, asked: AskedRequest) -> bool:
        """Whether a request is this operation; a name with slashes is one part when it is quoted."""
        pattern = re.sub(r":\w+", "[^/]+", self.path)
        return asked.method == self.method and re.fullmatch(pattern, asked.quoted_path) is not None

    def wrong(self, asked: AskedRequest) -> Iterator[str]:
        """What the request has that is not known, and what it lacks."""
        where = f"{asked.method} {self.path}"
        known = {**self.query, **(dict.fromkeys(PAGING, frozenset[str]()) if self.listing else {})}
        for name, value in asked.pairs:
            if name not in known:
                yield f"{where} knows no parameter {name!r}"
            elif known[name] and value not in known[name]:
                yield f"{where} knows no {name}={value!r}"
        given = asked.body or {}
        for name, value in given.items():
            if name not in self.body:
                yield f"{where} knows no member {name!r}"
            elif isinstance(rule := self.body[name], frozenset):
                if value not in rule:
                    yield f"{where} knows no {name}={value!r}"
            elif not isinstance(value, rule):
                yield f"{where} takes no {type(value).__name__} as {name}"
        yield from (f"{where} lacks {name!r}" for name in sorted(self.needed - set(given)))


_ANY: frozenset[str] = frozenset()
_OWNED = {"archived": frozenset({"true", "false"}), "order_by": frozenset({"id"}), "sort": _SORT}
_NOTES = {"order_by": _BY_TIME, "sort": _SORT}
_PROJECT = "/projects/:id"
_ISSUE, _REQUEST = f"{_PROJECT}/issues/:issue_iid", f"{_PROJECT}/merge_requests/:merge_request_iid"
_COMMIT = f"{_PROJECT}/repository/commits/:sha"
_CAR = f"{_PROJECT}/merge_trains/merge_requests/:merge_request_iid"


def _read(path: str, page: str, **query: frozenset[str]) -> GitLabOperation:
    return GitLabOperation(method="GET", path=path, page=page, query=query)


def _list(path: str, page: str, **query: frozenset[str]) -> GitLabOperation:
    return GitLabOperation(method="GET", path=path, page=page, query=query, listing=True)


def _write(method: str, path: str, page: str, *needed: str, **body: type | frozenset[str]) -> GitLabOperation:
    return GitLabOperation(method=method, path=path, page=page, body=body, needed=frozenset(needed))


OPERATIONS = (
    _read("/user", "users"),
    _list("/users", "users", username=_ANY),
    _read("/version", "version"),
    _read(_PROJECT, "projects"),
    _list(
        "/groups/:id/projects", "groups", **_OWNED,
        include_subgroups=frozenset({"true", "false"}), with_shared=frozenset({"true", "false"}),
    ),
    _list(
        "/users/:user_id/projects", "projects", **_OWNED, pagination=frozenset({"keyset"}), id_after=_ANY
    ),
    _read(f"{_PROJECT}/members/all/:user_id", "members"),
    _list(f"{_PROJECT}/protected_branches", "protected_branches"),
    _list(f"{_PROJECT}/issues", "issues", state=_STATES, labels=_ANY, order_by=_BY_TIME, sort=_SORT),
    _read(_ISSUE, "issues"),
    _write(
        "PUT", _ISSUE, "issues",
        add_labels=str, remove_labels=str, assignee_ids=list,
        state_event=frozenset({"close", "reopen"}),
    ),
    _list(f"{_ISSUE}/notes", "notes", **_NOTES),
    _read(f"{_ISSUE}/notes/:note_id", "notes"),
    _write("POST", f"{_ISSUE}/notes", "notes", "body", body=str),
    _write("PUT", f"{_ISSUE}/notes/:note_id", "notes", body=str),
    _list(f"{_ISSUE}/resource_label_events", "resource_label_events"),
    _list(f"{_ISSUE}/links", "issue_links"),
    _list(f"{_PROJECT}/pipelines", "pipelines", sha=_ANY, order_by=frozenset({"id"}), sort=_SORT),
    _read(f"{_PROJECT}/jobs/:job_id/trace", "jobs"),
    _read(_COMMIT, "commits"),
    _list(f"{_COMMIT}/statuses", "commits"),
    _list(f"{_COMMIT}/merge_requests", "commits"),
    GitLabOperation(
        method="GET", path=f"{_PROJECT}/repository/merge_base", page="repositories", query={"refs[]": _ANY}
    ),
    _read(f"{_PROJECT}/repository/branches/:branch", "branches"),
    _list(
        f"{_PROJECT}/merge_requests", "merge_requests",
        state=_STATES, source_branch=_ANY, order_by=_BY_TIME, sort=_SORT,
    ),
    _write(
        "POST", f"{_PROJECT}/merge_requests", "merge_requests", "source_branch", "target_branch", "title",
        source_branch=str, target_branch=str, title=str, description=str, squash=bool,
    ),
    _read(_REQUEST, "merge_requests", include_rebase_in_progress=frozenset({"true", "false"})),
    _write(
        "PUT", f"{_REQUEST}/merge", "merge_requests",
        sha=str, squash=bool, merge_commit_message=str, squash_commit_message=str,
    ),
    _write("PUT", f"{_REQUEST}/rebase", "merge_requests", skip_ci=bool),
    _write("POST", f"{_REQUEST}/cancel_merge_when_pipeline_succeeds", "merge_requests"),
    _list(f"{_REQUEST}/versions", "merge_requests"),
    _read(f"{_REQUEST}/versions/:version_id", "merge_requests"),
    _list(f"{_REQUEST}/diffs", "merge_requests"),
    _list(f"{_REQUEST}/discussions", "discussions"),
    _write("POST", f"{_REQUEST}/discussions/:discussion_id/notes", "discussions", "body", body=str),
    _write("PUT", f"{_REQUEST}/discussions/:discussion_id", "discussions", "resolved", resolved=bool),
    _list(f"{_REQUEST}/notes", "notes", **_NOTES),
    _write("POST", f"{_REQUEST}/notes", "notes", "body", body=str),
    _read(_CAR, "merge_trains"),
    _write("POST", _CAR, "merge_trains", sha=str, squash=bool),
)  # fmt: skip


def operation_of(asked: AskedRequest) -> GitLabOperation | None:
    """The operation that a request is, None for none."""
    return next((one for one in OPERATIONS if one.fits(asked)), None)


def foreign(asked: AskedRequest) -> list[str]:
    """What a request has that GitLab's documentation does not know, and what it lacks."""
    if asked.path == GRAPHQL:
        return list(_wrong_query(asked.body or {}))
    found = operation_of(asked)
    return [f"{asked.method} {asked.path} is not described"] if found is None else list(found.wrong(asked))


def _wrong_query(body: Mapping[str, Any]) -> Iterator[str]:
    """What a query of GraphQL asks for that GitLab does not describe."""
    try:
        document = read_document(body["query"])
        carried_out(document, _MEMBERS, body["variables"])
    except (WrongDocumentError, KeyError, TypeError) as error:
        yield f"GraphQL does not take it: {error!r}"
    else:
        if document.kind != "query" or dict(document.variables) != VARIABLES:
            yield f"GraphQL has other types than {document.kind} {dict(document.variables)}"
