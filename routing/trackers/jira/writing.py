"""Our own comments as documents of Jira: the part of markdown that checklists use.

Known are headings, lists, fences of code, `**bold**`, code spans and links. Anything else is text. Pure.
"""

import re
from typing import Any

_INLINE = re.compile(
    r"(?P<fence>`+)(?P<code>.+?)(?<!`)(?P=fence)(?!`)|\*\*(?P<strong>[^*]+)\*\*"
    r"|\[(?P<words>[^\]\n]+)\]\((?P<address>https?://[^\s)]+)\)"
)
_ITEM = re.compile(r"[-*] (?P<text>.*)")
_HEADING = re.compile(r"(?P<level>#{1,6}) (?P<text>.+)")


def as_document(markdown: str) -> dict[str, Any]:
    """A document that reads as the markdown does."""
    blocks: list[dict[str, Any]] = []
    lines = iter(markdown.splitlines())
    for line in lines:
        if line.startswith("```"):
            code = []
            for inner in lines:
                if inner.startswith("```"):
                    break
                code.append(inner)
            blocks.append({"type": "codeBlock", "content": _plain("\n".join(code))})
        elif item := _ITEM.fullmatch(line):
            _add_item(blocks, item["text"])
        elif heading := _HEADING.fullmatch(line):
            level = len(heading["level"])
            blocks.append({"type": "heading", "attrs": {"level": level}, "content": _inline(heading["text"])})
        elif line.strip():
            blocks.append({"type": "paragraph", "content": _inline(line)})
    return {"type": "doc", "version": 1, "content": blocks or [{"type": "paragraph", "content": []}]}


def _add_item(blocks: list[dict[str, Any]], text: str) -> None:
    """Put an item into the list before it, or begin one."""
    item = {"type": "listItem", "content": [{"type": "paragraph", "content": _inline(text)}]}
    if blocks and blocks[-1]["type"] == "bulletList":
        blocks[-1]["content"].append(item)
    else:
        blocks.append({"type": "bulletList", "content": [item]})


def _inline(text: str) -> list[dict[str, Any]]:
    """The nodes of one line; a document has no empty texts."""
    nodes: list[dict[str, Any]] = []
    at = 0
    for found in _INLINE.finditer(text):
        nodes += _plain(text[at : found.start()])
        at = found.end()
        if found["code"] is not None:
            nodes += _plain(found["code"].strip() or found["code"], {"type": "code"})
        elif found["strong"] is not None:
            nodes += _plain(found["strong"], {"type": "strong"})
        else:
            nodes += _plain(found["words"], {"type": "link", "attrs": {"href": found["address"]}})
    return nodes + _plain(text[at:])


def _plain(text: str, mark: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    if not text:
        return []
    return [{"type": "text", "text": text} | ({"marks": [mark]} if mark else {})]
