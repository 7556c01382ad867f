"""Atlassian's document format as markdown: https://developer.atlassian.com/cloud/jira/platform/apis/document/.

Documents are anybody's. Of a node that is not known here its text is kept; nothing is left out in silence.
Pure. Libraries for this are young, or drop what they do not know, so it is done here.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

#: Nodes within nodes that are followed; what is below is shown as its text alone.
MOST_DEPTH = 40

_FENCES = {"strong": "**", "em": "_", "strike": "~~"}


def as_markdown(document: Any) -> str:
    """The document, or a text as older APIs have it, in markdown; "" for none."""
    if isinstance(document, str):
        return document.strip()
    return _block(document, 0).strip() if isinstance(document, dict) else ""


def _block(node: Mapping[str, Any], depth: int) -> str:
    """A node with what is below it, in lines of its own where it is a block."""
    if depth > MOST_DEPTH:
        return _texts(node)
    make = _NODES.get(str(node.get("type", "")))
    return make(node, depth) if make is not None else _unknown(node, depth)


def _content(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = node.get("content")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _attribute(node: Mapping[str, Any], *names: str) -> str:
    """The first of some attributes that is there, as a text."""
    attributes = node.get("attrs")
    if not isinstance(attributes, dict):
        return ""
    found = (attributes[name] for name in names if attributes.get(name) not in {None, ""})
    return str(next(found, ""))


def _blocks(node: Mapping[str, Any], depth: int) -> str:
    return "\n\n".join(filter(None, (_block(one, depth + 1).strip("\n") for one in _content(node))))


def _inline(node: Mapping[str, Any], depth: int) -> str:
    return "".join(_block(one, depth + 1) for one in _content(node))


def _text(node: Mapping[str, Any], _depth: int) -> str:
    """A text with its marks; spaces stay outside of them, as markdown wants it."""
    text = str(node.get("text", ""))
    marks = node.get("marks")
    kinds = (
        {str(one.get("type")): one for one in marks if isinstance(one, dict)}
        if isinstance(marks, list)
        else {}
    )
    bare = text.strip()
    if not bare:
        return text
    start, end = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    if "code" in kinds:
        fence = "``" if "`" in bare else "`"
        bare = f"{fence}{bare}{fence}"
    for kind, fence in _FENCES.items():
        if kind in kinds:
            bare = f"{fence}{bare}{fence}"
    if "link" in kinds and (address := _attribute(kinds["link"], "href")):
        bare = bare if bare == address else f"[{bare}]({address})"
    return f"{start}{bare}{end}"


def _heading(node: Mapping[str, Any], depth: int) -> str:
    level = _attribute(node, "level")
    return f"{'#' * (int(level) if level in set('123456') else 1)} {_inline(node, depth)}"


def _code(node: Mapping[str, Any], _depth: int) -> str:
    text = _texts(node)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{_attribute(node, 'language')}\n{text}\n{fence}"


def _list(mark: Callable[[int, Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any], int], str]:
    def made(node: Mapping[str, Any], depth: int) -> str:
        lines = []
        for place, item in enumerate(_content(node)):
            sign = mark(place, item)
            text = _item(item, depth + 1)
            lines.append(f"{sign} " + text.replace("\n", "\n" + " " * (len(sign) + 1)))
        return "\n".join(lines)

    return made


def _item(node: Mapping[str, Any], depth: int) -> str:
    """An item of a list: its blocks follow each other without empty lines."""
    if depth > MOST_DEPTH:
        return _texts(node)
    if node.get("type") in {"taskItem", "decisionItem"}:
        return _inline(node, depth)
    return "\n".join(filter(None, (_block(one, depth + 1).strip("\n") for one in _content(node))))


def _task(_place: int, item: Mapping[str, Any]) -> str:
    return "- [x]" if _attribute(item, "state") == "DONE" else "- [ ]"


def _quote(node: Mapping[str, Any], depth: int) -> str:
    return "\n".join(f"> {line}".rstrip() for line in _blocks(node, depth).splitlines())


def _panel(node: Mapping[str, Any], depth: int) -> str:
    return f"> **{_attribute(node, 'panelType') or 'panel'}**\n{_quote(node, depth)}"


def _expand(node: Mapping[str, Any], depth: int) -> str:
    title = _attribute(node, "title")
    return "\n\n".join(filter(None, [f"**{title}**" if title else "", _blocks(node, depth)]))


def _table(node: Mapping[str, Any], depth: int) -> str:
    """Rows of cells; the first row is the head, as markdown's tables have one."""
    rows = [
        [_blocks(cell, depth + 2).replace("\n", " ").replace("|", "\\|") for cell in _content(row)]
        for row in _content(node)
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines[:1], f"|{' --- |' * len(rows[0])}", *lines[1:]]) if lines else ""


def _date(node: Mapping[str, Any], _depth: int) -> str:
    said = _attribute(node, "timestamp")
    try:
        return datetime.fromtimestamp(int(said) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return said


def _media(node: Mapping[str, Any], _depth: int) -> str:
    named = _attribute(node, "alt", "url", "id") or "no name"
    return f"[attachment: {named}]"


def _card(node: Mapping[str, Any], _depth: int) -> str:
    address = _attribute(node, "url")
    data = node["attrs"].get("data") if isinstance(node.get("attrs"), dict) else None
    return address or (json.dumps(data) if data else "")


def _said(*names: str) -> Callable[[Mapping[str, Any], int], str]:
    return lambda node, depth: _attribute(node, *names) or _inline(node, depth)


def _unknown(node: Mapping[str, Any], depth: int) -> str:
    """A node of tomorrow: what is below it, or the texts that it has itself."""
    if _content(node):
        inline = all(str(one.get("type")) in _INLINE for one in _content(node))
        return _inline(node, depth) if inline else _blocks(node, depth)
    said = str(node.get("text", "")) or _attribute(
        node, "text", "title", "url", "alt", "shortName", "parameters"
    )
    return said or f"[{str(node.get('type', 'node'))[:50]}]"


def _texts(node: Mapping[str, Any]) -> str:
    """All texts below a node, in their order, however deep they lie."""
    found, rest = [], [node]
    while rest:
        one = rest.pop()
        if one.get("type") == "hardBreak":
            found.append("\n")
        elif isinstance(one.get("text"), str):
            found.append(one["text"])
        rest += reversed(_content(one))
    return "".join(found)


_INLINE = frozenset(
    {"text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status", "mediaInline", "placeholder"}
)

_NODES: dict[str, Callable[[Mapping[str, Any], int], str]] = {
    "doc": _blocks,
    "paragraph": _inline,
    "text": _text,
    "hardBreak": lambda _node, _depth: "\n",
    "heading": _heading,
    "codeBlock": _code,
    "bulletList": _list(lambda _place, _item: "-"),
    "orderedList": _list(lambda place, _item: f"{place + 1}."),
    "taskList": _list(_task),
    "decisionList": _list(lambda _place, _item: "-"),
    "blockquote": _quote,
    "rule": lambda _node, _depth: "---",
    "panel": _panel,
    "expand": _expand,
    "nestedExpand": _expand,
    "table": _table,
    "mediaSingle": _blocks,
    "mediaGroup": _blocks,
    "media": _media,
    "mediaInline": _media,
    "inlineCard": _card,
    "blockCard": _card,
    "embedCard": _card,
    "date": _date,
    "mention": _said("text", "id"),
    "emoji": _said("text", "shortName"),
    "status": _said("text"),
    "placeholder": _said("text"),
}
