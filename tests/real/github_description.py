"""GitHub's own description of its API, and what is foreign to it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.forge_server import AskedRequest


class Description:
    """GitHub's OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def resolved(self, value: Any) -> Any:
        """What a reference refers to."""
        while isinstance(value, dict) and "$ref" in value:
            found: Any = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def operation(self, asked: AskedRequest) -> dict[str, Any]:
        """The operation that a request is."""
        path = asked.quoted_path or asked.path
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and asked.method.lower() in operations:
                found: dict[str, Any] = operations[asked.method.lower()]
                return found
        message = f"GitHub describes no {asked.method} {path}"
        raise AssertionError(message)

    def wrong(self, value: Any, schema: Any, where: str) -> Iterator[str]:
        """Where a value has a member or a word that the schema does not know, or lacks one that it needs."""
        known = [self.resolved(one) for one in self._branches(schema)]
        words = [word for one in known for word in one.get("enum", ())]
        if words and value is not None and not isinstance(value, dict | list) and value not in words:
            yield f"{where}: {value!r} is none of {words}"
        if isinstance(value, list):
            items = [one["items"] for one in known if "items" in one]
            for item in value if items else []:
                yield from self.wrong(item, {"anyOf": items}, f"{where}[]")
        members: dict[str, list[Any]] = {}
        for one in known:
            for name, member in one.get("properties", {}).items():
                members.setdefault(name, []).append(member)
        if isinstance(value, dict) and members:
            for name, member in value.items():
                if name in members:
                    yield from self.wrong(member, {"anyOf": members[name]}, f"{where}.{name}")
                else:
                    yield f"{where}.{name} is not known"

    def _branches(self, schema: Any) -> list[Any]:
        schema = self.resolved(schema)
        found = [schema]
        for word in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(word, ()):
                found += self._branches(one)
        return found

    def foreign(self, asked: AskedRequest) -> list[str]:
        """What a request has that GitHub does not know, and what it lacks."""
        operation = self.operation(asked)
        parameters = [self.resolved(one) for one in operation.get("parameters", ())]
        query = {one["name"]: one["schema"].get("enum") for one in parameters if one["in"] == "query"}
        found = [f"{asked.path}?{name}" for name in asked.query if name not in query]
        for name, value in asked.query.items():
            words = query.get(name)
            if words is not None and value not in words:
                found.append(f"{asked.path}?{name}={value} is none of {words}")
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return found + ([f"{asked.path} takes no body"] if asked.body is not None else [])
        found += self.wrong(asked.body, content["schema"], asked.path)
        needed = set(self.resolved(content["schema"]).get("required", ()))
        return found + [f"{asked.path} lacks {name}" for name in sorted(needed - set(asked.body or {}))]


def github_description() -> Description:
    """Read it; the test fails where it is not installed."""
    package = Path(os.environ.get("REAL_PROGRAMS", ".real")) / "node_modules/@octokit/openapi"
    file = package / "generated" / "api.github.com.json"
    if not file.exists():
        pytest.fail(f"GitHub's description is not at {file}; run tests/real/install.sh first")
    return Description(json.loads(file.read_text(encoding="utf-8")))
