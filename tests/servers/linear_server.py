"""The suite's Linear: the part of its GraphQL schema that we use, over one team.

https://github.com/linear/linear/blob/master/packages/sdk/src/schema.graphql has all of it. Only what a
document selects is answered, and inputs have the members of the schema alone.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from tests.fakes.forge_world import OWN_LOGIN, TOKEN
from tests.fakes.tracker_world import StateKind, TrackedChange, TrackedComment, TrackedIssue, TrackerWorld
from tests.servers.forge_server import Answer, AskedRequest, ForgeServer
from tests.servers.graphql_words import WrongDocumentError, carried_out, read_document

_IDS = UUID("6f9619ff-8b86-4d01-b42d-00c04fc964ff")

_TYPES = {
    StateKind.NEW: "unstarted",
    StateKind.BEGUN: "started",
    StateKind.DONE: "completed",
    StateKind.DROPPED: "canceled",
}

#: Members of inputs by our use of them, those that are required with `!`.
_INPUTS = {
    "commentCreate": "issueId body",
    "commentUpdate": "body",
    "issueUpdate": "stateId assigneeId",
    "attachmentCreate": "issueId! url! title!",
    "issueLabelCreate": "name! teamId",
}


class LinearFaultError(Exception):
    """What Linear answers in place of data."""

    def __init__(self, message: str, code: str = "INPUT_ERROR", status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def answer(self) -> Answer:
        """The answer."""
        error = {"message": str(self), "extensions": {"code": self.code, "userPresentableMessage": str(self)}}
        return Answer(status=self.status, value={"data": None, "errors": [error]})


def linear_server(world: TrackerWorld) -> ForgeServer:
    """Start it over a world. A personal key stands in the header alone."""
    team = LinearTeam(world)
    server = ForgeServer({"POST /graphql": lambda asked, _found: team.answer(asked)}, scheme="")
    server.knows = lambda asked: asked.headers.get("Authorization") == TOKEN
    return server


def identifier(*parts: object) -> str:
    """The UUID of something."""
    return str(uuid5(_IDS, " ".join(map(str, parts))))


class LinearTeam:
    """Answers documents."""

    def __init__(self, world: TrackerWorld) -> None:
        self.world = world

    def answer(self, asked: AskedRequest) -> Answer:
        """Carry one out."""
        try:
            return Answer(value={"data": self._carried_out(asked)})
        except LinearFaultError as fault:
            return fault.answer()
        except WrongDocumentError as error:
            return LinearFaultError(str(error), "GRAPHQL_VALIDATION_FAILED", 400).answer()

    def _carried_out(self, asked: AskedRequest) -> Any:
        if asked.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            raise WrongDocumentError("it is not sent as JSON")
        document = read_document(asked.body["query"])
        if asked.body.get("operationName") != document.name:
            raise WrongDocumentError(f"no operation is called {asked.body.get('operationName')!r}")
        root = self.queries() if document.kind == "query" else self.mutations()
        return carried_out(document, root, asked.body["variables"])

    def queries(self) -> dict[str, Any]:
        """What can be asked."""
        return {
            "viewer": {"id": OWN_LOGIN},
            "teams": self.teams,
            "workflowStates": self.workflow_states,
            "user": self.user,
            "issues": self.issues,
            "issue": lambda id_: self.issue(self.found(id_)),
            "comment": self.comment,
            "issueLabels": self.labels,
        }

    def mutations(self) -> dict[str, Any]:
        """What can be changed."""
        return {
            "commentCreate": self.write,
            "commentUpdate": self.rewrite,
            "issueUpdate": self.change,
            "issueAddLabel": partial(self.relabel, on=True),
            "issueRemoveLabel": partial(self.relabel, on=False),
            "issueLabelCreate": self.make_label,
            "attachmentCreate": self.attach,
        }

    def _is_ours(self, filter_: Mapping[str, Any]) -> bool:
        return bool(filter_ == {"team": {"key": {"eq": self.world.project}}})

    def teams(self, filter_: Mapping[str, Any], first_: int) -> dict[str, Any]:
        """The team, for its key."""
        del first_
        ours = filter_ == {"key": {"eq": self.world.project}}
        return {"nodes": [{"id": identifier("team"), "key": self.world.project}] if ours else []}

    def workflow_states(self, filter_: Mapping[str, Any], first_: int) -> dict[str, Any]:
        """The states of the team's workflow."""
        return {"nodes": self.states()[:first_] if self._is_ours(filter_) else []}

    def state(self, name: str) -> dict[str, Any]:
        """A state of its workflow."""
        kind = _TYPES[self.world.states[name]]
        place = float(list(self.world.states).index(name))
        return {"id": identifier("state", name), "name": name, "type": kind, "position": place}

    def states(self) -> list[dict[str, Any]]:
        """All of them."""
        return [self.state(name) for name in self.world.states]

    def user(self, id_: str) -> dict[str, Any]:
        """A member of the workspace."""
        if id_ not in {*self.world.editors, *self.world.guests}:
            raise LinearFaultError("Entity not found: User", status=400)
        return {"id": id_, "active": True, "guest": id_ in self.world.guests}

    def issues(
        self,
        filter_: Mapping[str, Any],
        first_: int,
        after_: str | None,
        order_by_: str,
    ) -> dict[str, Any]:
        """Open ones, by label."""
        assert order_by_ == "createdAt"
        chosen = [one for one in self.world.issues.values() if not one.is_deleted]
        for name, wanted in filter_.items():
            test = self._test(name, wanted)
            chosen = [one for one in chosen if test(one)]
        return _connection([self.issue(one) for one in chosen], first_, after_)

    def _test(self, name: str, wanted: Mapping[str, Any]) -> Callable[[TrackedIssue], bool]:
        """What one part of a filter selects."""
        if name == "team":
            return lambda _: bool(wanted == {"key": {"eq": self.world.project}})
        if name == "state":
            return lambda issue: _TYPES[self.world.states[issue.state]] not in wanted["type"]["nin"]
        if name == "labels":
            label = wanted["some"]["name"]["eqIgnoreCase"].casefold()
            return lambda issue: label in {one.casefold() for one in issue.labels}
        raise WrongDocumentError(f"IssueFilter has no {name}")

    def found(self, id_: str) -> TrackedIssue:
        """An issue by its id, or by its key."""
        for issue in self.world.issues.values():
            if id_ == identifier("issue", issue.number):
                return issue
        found = self.world.find(id_)
        if found is None:
            raise LinearFaultError("Entity not found: Issue")
        return found

    def issue(self, issue: TrackedIssue) -> dict[str, Any]:
        """One as it is answered."""
        key = self.world.key(issue)
        labels = [self._label(name) for name in issue.labels]
        return {
            "id": identifier("issue", issue.number), "identifier": key, "title": issue.title,
            "description": issue.body or None, "url": f"https://linear.app/shop/issue/{key}",
            "updatedAt": _time(issue.updated_at), "trashed": issue.is_deleted or None,
            "state": self.state(issue.state), "labels": lambda first_: {"nodes": labels[:first_]},
            "assignee": {"id": issue.assignee} if issue.assignee else None, "creator": {"id": issue.creator},
            "project": {"name": issue.part} if issue.part else None,
            "comments": partial(_talk, issue),
            "history": lambda first_, after_: _connection(
                [_change(one) for one in reversed(issue.changes)], first_, after_
            ),
            "inverseRelations": lambda first_, after_: _connection(
                [
                    {"type": "blocks", "issue": {"identifier": self.world.key(self.world.issues[one])}}
                    for one in issue.blocked_by
                ],
                first_, after_,
            ),
        }  # fmt: skip

    def comment(self, id_: str) -> dict[str, Any]:
        """One comment."""
        return _comment(self._commented(id_)[1])

    def _commented(self, id_: str) -> tuple[TrackedIssue, TrackedComment]:
        for issue in self.world.issues.values():
            for one in issue.comments:
                if identifier("comment", one.number) == id_:
                    return issue, one
        raise LinearFaultError("Entity not found: Comment", status=400)

    def _label(self, name: str) -> dict[str, Any]:
        return {"id": identifier("label", name), "name": name, "team": None}

    def labels(self, filter_: Mapping[str, Any], first_: int) -> dict[str, Any]:
        """Labels by name."""
        wanted = filter_["name"]["eqIgnoreCase"].casefold()
        known = [self._label(name) for name in self.world.label_names if name.casefold() == wanted]
        return {"nodes": known[:first_]}

    def make_label(self, input_: Mapping[str, Any]) -> dict[str, Any]:
        """A label for the team."""
        _check("issueLabelCreate", input_)
        self.world.label_names.append(input_["name"])
        return {"success": True, "issueLabel": self._label(input_["name"])}

    def relabel(self, id_: str, label_id_: str, *, on: bool) -> dict[str, Any]:
        """Put a label on, or take it off."""
        issue = self.found(id_)
        names = [name for name in self.world.label_names if identifier("label", name) == label_id_]
        if not names:
            raise LinearFaultError("Entity not found: IssueLabel")
        kept = [label for label in issue.labels if label not in names]
        self.world.relabel(issue, [*kept, *(names if on else [])], by=OWN_LOGIN)
        return {"success": True}

    def change(self, id_: str, input_: Mapping[str, Any]) -> dict[str, Any]:
        """Move an issue, or assign it."""
        _check("issueUpdate", input_)
        issue = self.found(id_)
        if "assigneeId" in input_:
            self.world.assign(issue, input_["assigneeId"], by=OWN_LOGIN)
        names = [name for name in self.world.states if identifier("state", name) == input_.get("stateId")]
        if "stateId" in input_ and not names:
            raise LinearFaultError("Entity not found: WorkflowState")
        if names:
            self.world.move(issue, names[0])
        return {"success": True}

    def write(self, input_: Mapping[str, Any]) -> dict[str, Any]:
        """A comment of ours."""
        _check("commentCreate", input_)
        issue = self.found(input_["issueId"])
        if not input_["body"].strip():
            raise LinearFaultError("Argument Validation Error", status=400)
        made = self.world.comment(issue, OWN_LOGIN, _kept(input_["body"]))
        return {"success": True, "comment": _comment(made)}

    def rewrite(self, id_: str, input_: Mapping[str, Any]) -> dict[str, Any]:
        """Change a comment."""
        _check("commentUpdate", input_)
        one = self._commented(id_)[1]
        one.body = _kept(input_["body"])
        return {"success": True, "comment": _comment(one)}

    def attach(self, input_: Mapping[str, Any]) -> dict[str, Any]:
        """A link to something outside; an issue has one for each address."""
        _check("attachmentCreate", input_)
        self.found(input_["issueId"]).links[input_["url"]] = input_["title"]
        return {"success": True}


def _check(name: str, given: Mapping[str, Any]) -> None:
    known = re.findall(r"(\w+)(!?)", _INPUTS[name])
    unknown = set(given) - {member for member, _ in known}
    lacks = [member for member, needed in known if needed and member not in given]
    if unknown or lacks:
        raise WrongDocumentError(f"the input of {name} has no {sorted(unknown)}, and lacks {lacks}")


def _kept(markdown: str) -> str:
    """What its editor keeps of a text: no comments of HTML, unless they are code."""
    return re.sub(r"(?<!`)<!--.*?-->", "", markdown, flags=re.DOTALL)


def _comment(one: TrackedComment) -> dict[str, Any]:
    sent = {"id": identifier("comment", one.number), "body": one.body, "createdAt": _time(one.at)}
    return sent | {"user": {"id": one.author}}


def _change(one: TrackedChange) -> dict[str, Any]:
    added = [{"name": name} for name in one.added]
    return {
        "createdAt": _time(one.at), "actor": {"id": one.by}, "addedLabels": added or None,
        "toAssignee": {"id": one.assignee} if one.assignee else None,
    }  # fmt: skip


def _time(at: Any) -> str:
    return str(at.isoformat(timespec="milliseconds")).replace("+00:00", "Z")


def _talk(issue: TrackedIssue, first_: int, after_: str | None, order_by_: str) -> dict[str, Any]:
    """A page of its comments, the newest first."""
    assert order_by_ == "createdAt"
    return _connection([_comment(one) for one in reversed(issue.comments)], first_, after_)


def _connection(items: list[Any], first: int, after: str | None) -> dict[str, Any]:
    """A page of a list."""
    start = int(after or 0)
    end = start + first
    return {"nodes": items[start:end], "pageInfo": {"hasNextPage": end < len(items), "endCursor": str(end)}}
