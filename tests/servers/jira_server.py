"""The suite's Jira Cloud: the routes and words of version 3 of its REST API, over one project.

A request that `jira_operations` does not know is refused, so that no test passes with it. Its search takes
the clauses that we write, and no others.
"""

import base64
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tests.fakes.forge_world import OWN_LOGIN, TOKEN
from tests.fakes.tracker_world import StateKind, TrackedComment, TrackedIssue, TrackerWorld
from tests.servers.forge_server import Answer, AskedRequest, ForgeServer, Route
from tests.servers.jira_operations import foreign_to_jira

Found = re.Match[str]

#: Whose token it is; people sign in with their address of mail.
EMAIL = "bot@shop.test"

#: The filter that the tests set.
FILTER = "priority = High"

_CATEGORIES = {
    StateKind.NEW: "new",
    StateKind.BEGUN: "indeterminate",
    StateKind.DONE: "done",
    StateKind.DROPPED: "done",
}


def jira_server(world: TrackerWorld) -> ForgeServer:
    """Start it over a world."""
    server = ForgeServer(JiraRoutes(world).routes(), scheme="Basic", root="/rest/api/3")
    known = base64.b64encode(f"{EMAIL}:{TOKEN}".encode()).decode()
    server.knows = lambda asked: asked.headers.get("Authorization") == f"Basic {known}"
    return server


def _fault(status: int, *words: str) -> Answer:
    return Answer(status=status, value={"errorMessages": list(words), "errors": {}})


NO_ISSUE = _fault(404, "Issue does not exist or you do not have permission to see it.")
DONE = Answer(status=204)


class JiraRoutes:
    """One method a route."""

    def __init__(self, world: TrackerWorld) -> None:
        self.world = world

    def routes(self) -> dict[str, Route]:
        """Methods and paths."""
        issue, project = r"/issue/([^/]+)", r"/project/([^/]+)"
        made: dict[str, Route] = {
            "GET /myself": lambda _asked, _found: Answer(value=_user(OWN_LOGIN)),
            f"GET {project}": self.project,
            f"GET {project}/statuses": self.statuses,
            "GET /mypermissions": self.permissions,
            "GET /user/permission/search": self.people,
            "GET /search/jql": self.search,
            f"GET {issue}": self.on_issue(self.issue),
            f"PUT {issue}": self.on_issue(self.edit),
            f"GET {issue}/comment": self.on_issue(self.comments),
            f"POST {issue}/comment": self.on_issue(self.write),
            rf"GET {issue}/comment/(\d+)": self.comment,
            rf"PUT {issue}/comment/(\d+)": self.comment,
            f"PUT {issue}/assignee": self.on_issue(self.assign),
            f"GET {issue}/transitions": self.on_issue(self.transitions),
            f"POST {issue}/transitions": self.on_issue(self.move),
            f"GET {issue}/changelog": self.on_issue(self.changelog),
            f"POST {issue}/remotelink": self.on_issue(self.link),
        }
        return {name: _checked(route) for name, route in made.items()}

    def on_issue(self, route: Callable[[AskedRequest, TrackedIssue], Answer]) -> Route:
        """A route below an issue; one that is not there is answered for it."""

        def found(asked: AskedRequest, match: Found) -> Answer:
            issue = self.world.find(match[1])
            return NO_ISSUE if issue is None else route(asked, issue)

        return found

    def project(self, _asked: AskedRequest, found: Found) -> Answer:
        """The project."""
        if found[1] != self.world.project:
            return _fault(404, f"No project could be found with key '{found[1]}'.")
        return Answer(value={"id": "10000", "key": self.world.project, "name": "The shop"})

    def statuses(self, _asked: AskedRequest, found: Found) -> Answer:
        """Two types of issues, with the statuses of their workflow."""
        if found[1] != self.world.project:
            return _fault(404, f"No project could be found with key '{found[1]}'.")
        named = [self.status(name) for name in self.world.states]
        return Answer(value=[{"id": "1", "name": name, "statuses": named} for name in ("Bug", "Task")])

    def permissions(self, asked: AskedRequest, _found: Found) -> Answer:
        """What the token may do."""
        wanted = asked.query["permissions"].split(",")
        return Answer(
            value={
                "permissions": {
                    key: {"key": key, "havePermission": key not in self.world.lacks} for key in wanted
                }
            }
        )

    def people(self, asked: AskedRequest, _found: Found) -> Answer:
        """Who may edit issues; the id does not narrow it, as users have seen."""
        if "ADMINISTER_PROJECTS" in self.world.lacks:
            return _fault(403, "You are not authorized to perform this operation.")
        wrong = asked.query["permissions"] != "EDIT_ISSUES" or asked.query["projectKey"] != self.world.project
        return NO_ISSUE if wrong else Answer(value=[_user(name) for name in sorted(self.world.editors)])

    def search(self, asked: AskedRequest, _found: Found) -> Answer:
        """Issues by clauses, in pages whose names are made up."""
        clauses, _, order = asked.query["jql"].partition(" ORDER BY ")
        if order != "key ASC":
            return _fault(400, "The query is not ordered.")
        chosen: list[TrackedIssue] = [one for one in self.world.issues.values() if not one.is_deleted]
        for clause in re.split(r" AND (?![^(]*\))", clauses):
            test = self._clause(clause)
            if test is None:
                return _fault(400, f"Error in the JQL Query: {clause}")
            chosen = [one for one in chosen if test(one)]
        start = int(asked.query.get("nextPageToken", "page-0").removeprefix("page-"))
        end = start + int(asked.query["maxResults"])
        page: dict[str, Any] = {"issues": [self.sent(one, asked) for one in chosen[start:end]]}
        more = end < len(chosen)
        return Answer(value=page | {"isLast": not more} | ({"nextPageToken": f"page-{end}"} if more else {}))

    def _clause(self, clause: str) -> Callable[[TrackedIssue], bool] | None:
        """What a clause selects; None for one that is wrong here."""
        found = re.fullmatch(r'(project|labels|key) = "((?:[^"\\]|\\.)*)"', clause)
        name, value = (found[1], re.sub(r"\\(.)", r"\1", found[2])) if found else (clause, "")
        tests: dict[str, Callable[[TrackedIssue], bool]] = {
            "statusCategory != Done": self.world.is_open,
            "labels": lambda issue: value.casefold() in {label.casefold() for label in issue.labels},
            "key": lambda issue: self.world.key(issue) == value,
            f"({FILTER})": self.world.selects,
        }
        if name == "project":
            return (lambda _: True) if value == self.world.project else None
        return tests.get(name)

    def status(self, name: str) -> dict[str, Any]:
        """A status, with its category."""
        key = _CATEGORIES[self.world.states[name]]
        return {"id": str(hash(name)), "name": name, "statusCategory": {"id": 2, "key": key, "name": key}}

    def sent(self, issue: TrackedIssue, asked: AskedRequest) -> dict[str, Any]:
        """An issue with the fields that were asked for."""
        fields = {
            "summary": issue.title,
            "description": _document(issue.body),
            "labels": issue.labels,
            "status": self.status(issue.state),
            "components": [{"id": "1", "name": issue.part}] if issue.part else [],
            "creator": _user(issue.creator),
            "assignee": _user(issue.assignee) if issue.assignee else None,
            "updated": _time(issue.updated_at),
            "issuelinks": [*map(self._blocker, issue.blocked_by), *self._blocked(issue)],
        }
        chosen = {name: fields[name] for name in asked.query.get("fields", "").split(",")}
        return {"id": str(10_000 + issue.number), "key": self.world.key(issue), "fields": chosen}

    def _blocker(self, number: int) -> dict[str, Any]:
        key = self.world.key(self.world.issues[number])
        return {"id": "1", "type": _BLOCKS, "inwardIssue": {"id": "2", "key": key}}

    def _blocked(self, issue: TrackedIssue) -> Iterable[dict[str, Any]]:
        others = [one for one in self.world.issues.values() if issue.number in one.blocked_by]
        return ({"id": "1", "type": _BLOCKS, "outwardIssue": {"key": self.world.key(one)}} for one in others)

    def issue(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """One issue."""
        return Answer(value=self.sent(issue, asked))

    def edit(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """Its labels, one after the other."""
        labels = list(issue.labels)
        for step in asked.body["update"]["labels"]:
            ((how, label),) = step.items()
            if " " in label or how not in {"add", "remove"}:
                return _fault(400, f"The label '{label}' contains spaces which is invalid.")
            labels = [*labels, label] if how == "add" else [one for one in labels if one != label]
        self.world.relabel(issue, labels, by=OWN_LOGIN)
        return DONE

    def comments(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """A page of its comments, the oldest first."""
        page, start = _page(issue.comments, asked)
        sent = {"comments": [*map(_comment, page)], "startAt": start, "total": len(issue.comments)}
        return Answer(value=sent)

    def write(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """A comment of ours."""
        if _is_empty(asked.body["body"]):
            value = {"errorMessages": [], "errors": {"comment": "Comment body can not be empty!"}}
            return Answer(status=400, value=value)
        return Answer(status=201, value=_comment(self.world.comment(issue, OWN_LOGIN, asked.body["body"])))

    def comment(self, asked: AskedRequest, found: Found) -> Answer:
        """One comment, read or changed."""
        pair = self.world.find_comment(int(found[2]))
        if pair is None or self.world.key(pair[0]) != found[1]:
            return _fault(404, f"Can not find a comment for the id: {found[2]}.")
        if asked.method == "PUT":
            pair[1].body = asked.body["body"]
        return Answer(value=_comment(pair[1]))

    def assign(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """Assign it."""
        self.world.assign(issue, asked.body["accountId"], by=OWN_LOGIN)
        return DONE

    def transitions(self, _asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """The ways from its status."""
        ways = [
            {
                "id": str(10 + list(self.world.states).index(name)),
                "name": f"To {name}",
                "to": self.status(name),
            }
            for name in self.world.leads(issue)
        ]
        return Answer(value={"expand": "transitions", "transitions": ways})

    def move(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """Take one of them."""
        place = int(asked.body["transition"]["id"]) - 10
        name = dict(enumerate(self.world.states)).get(place, "")
        if name not in self.world.leads(issue):
            return _fault(
                400, "It seems that you have tried to perform a workflow operation that is invalid."
            )
        self.world.move(issue, name)
        return DONE

    def changelog(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """A page of its history, the oldest change first."""
        page, start = _page(issue.changes, asked)
        values = []
        for number, change in enumerate(page, start):
            items = [
                {
                    "field": "labels", "fieldtype": "jira", "from": None, "to": None,
                    "fromString": " ".join(change.before), "toString": " ".join(change.after),
                }
            ]  # fmt: skip
            if change.assignee is not None:
                items = [{"field": "assignee", "to": change.assignee, "toString": change.assignee.title()}]
            author = _user(change.by)
            values.append({"id": str(number), "author": author, "created": _time(change.at), "items": items})
        total = len(issue.changes)
        last = start + len(page) >= total
        return Answer(value={"startAt": start, "total": total, "isLast": last, "values": values})

    def link(self, asked: AskedRequest, issue: TrackedIssue) -> Answer:
        """A link to something outside, made or changed."""
        given = asked.body["object"]
        if given.keys() != {"url", "title"}:
            return _fault(400, "URL and title are required.")
        is_new = given["url"] not in issue.links
        issue.links[given["url"]] = given["title"]
        return Answer(status=201 if is_new else 200, value={"id": 10000, "self": given["url"]})


#: The type of links between an issue and its blocker.
_BLOCKS = {"id": "1", "name": "Blocks", "inward": "is blocked by", "outward": "blocks"}


def _checked(route: Route) -> Route:
    """The route, for requests that Jira knows."""

    def answer(asked: AskedRequest, found: Found) -> Answer:
        wrong = foreign_to_jira(asked)
        return _fault(400, *wrong) if wrong else route(asked, found)

    return answer


def _user(name: str) -> dict[str, Any]:
    return {"accountId": name, "accountType": "atlassian", "displayName": name.title(), "active": True}


def _time(at: datetime) -> str:
    """As Jira writes it: with thousandths, and an offset without a colon."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"


def _comment(one: TrackedComment) -> dict[str, Any]:
    body = _document(one.body) if isinstance(one.body, str) else one.body
    return {"id": str(one.number), "author": _user(one.author), "body": body, "created": _time(one.at)}


def _document(text: str) -> dict[str, Any]:
    """A text as a document of paragraphs."""
    texts = [part for part in text.split("\n\n") if part]
    inner = [{"type": "paragraph", "content": [{"type": "text", "text": part}]} for part in texts]
    return {"type": "doc", "version": 1, "content": inner}


def _is_empty(document: Any) -> bool:
    return not any(block.get("content") for block in document["content"])


def _page(items: list[Any], asked: AskedRequest) -> tuple[list[Any], int]:
    start = int(asked.query.get("startAt", "0"))
    return items[start : start + int(asked.query.get("maxResults", "50"))], start
