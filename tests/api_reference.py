"""The reference of the API, docs/api.md, made from what `/openapi.json` says. `make reference` writes it."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import fakeredis

from console.web.api.api_routes import PREFIX
from console.web.app import web_of
from tests.fleets.stepped_fleet import SteppedFleet
from tests.source import ROOT

#: The page.
PAGE = ROOT / "docs" / "api.md"

HEAD = """# API reference

Every call below `/api/v1`, made from `/openapi.json` by `make reference`; a test holds that it is current.
[Pages and API](pages.md#api) says what holds for all of them: who may call, pages of lists, ETags, errors,
keys that make a repeat harmless. A call that acts needs the acting token, and a JSON body.
"""

_METHODS = ("get", "post")


def reference() -> str:
    """The page as it should be."""
    app = web_of(SteppedFleet(fakeredis.FakeRedis(decode_responses=True)).app)
    paths = {path: each for path, each in app.openapi()["paths"].items() if path.startswith(PREFIX)}
    by_thing = groupby(sorted(paths, key=lambda path: (_thing(path), path)), key=_thing)
    parts = [HEAD]
    for thing, group in by_thing:
        parts.append(f"\n## {thing}\n")
        for path in group:
            parts += [
                _call(path, method, paths[path][method]) for method in _METHODS if method in paths[path]
            ]
    return "".join(parts)


def _thing(path: str) -> str:
    return path.removeprefix(f"{PREFIX}/").partition("/")[0]


def _call(path: str, method: str, call: Mapping[str, Any]) -> str:
    said = " ".join(filter(None, [_sentence(call.get("summary", "")), _flat(call.get("description", ""))]))
    rows = [*_parameters(call), *_body(call)]
    table = "\n| name | in | type | meaning |\n|---|---|---|---|\n" + "".join(rows) if rows else ""
    return f"\n### `{method.upper()} {path}`\n\n{said}\n{table}"


def _sentence(words: str) -> str:
    return words if words.endswith(".") else f"{words}."


def _flat(words: str) -> str:
    return " ".join(words.split())


def _parameters(call: Mapping[str, Any]) -> Iterator[str]:
    for each in call.get("parameters", ()):
        yield _row(
            each["name"], each["in"], each["schema"], each.get("description", ""), each.get("required")
        )


def _body(call: Mapping[str, Any]) -> Iterator[str]:
    content = call.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    defined = schema.get("$defs", {})
    for name, each in schema.get("properties", {}).items():
        kind = defined[each["$ref"].rpartition("/")[2]] | each if "$ref" in each else each
        yield _row(name, "body", kind, each.get("description", ""), name in schema.get("required", ()))


def _row(name: str, place: str, schema: Mapping[str, Any], said: str, required: object) -> str:
    default = schema.get("default")
    words = [_flat(said), "Required." if required else ""]
    if default not in {None, ""} if not isinstance(default, list | dict) else False:
        words.append(f"Default: `{default}`.")
    meaning = " ".join(filter(None, words))
    return f"| `{name}` | {place} | {_kind(schema)} | {meaning} |\n".replace("|  |", "| |")


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    return str(schema.get("type", "any"))


def main() -> None:
    """Write the page."""
    Path(PAGE).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
