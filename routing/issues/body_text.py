"""The words of a markdown body with their structure, without code, quotes, comments and struck words.

The structure comes from a CommonMark parser (https://spec.commonmark.org/0.31.2/, with GitHub's tables and
strikethrough), so that a reference in a code block or a comment is never taken for a statement. What is left
out leaves blanks, so that words on both sides of it do not run together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from routing.errors import InvalidInputError
from routing.issues.references import linked

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

#: The longest body that is read, in characters; the large forges allow no more.
MAX_BODY_CHARACTERS = 65_536

#: The parser silently drops what is nested deeper, so such a body counts as not understood.
_MOST_NESTED = 30

#: What the parser may raise on text that it was never tested with; all of it means "not understood".
_PARSER_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_SHORTCODE = re.compile(r":[a-z0-9_+-]{1,50}:")  # of an emoji, as forges write it
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)")
_ANCHOR = re.compile(r"<a\s[^>]{0,500}?\bhref\s*=\s*[\"']?(?P<href>[^\s\"'>]{1,1000})", re.IGNORECASE)
_SHOWN_ONLY = frozenset({"blockquote", "code", "del", "kbd", "pre", "s", "samp", "script", "strike", "style"})
_WITHIN_A_LINE = frozenset({"a", "b", "em", "font", "i", "small", "span", "strong", "sub", "sup", "u"})


class UnreadableBodyError(InvalidInputError):
    """The body could not be parsed. That is not the same as a body that says nothing: see `read_metadata`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A paragraph, a list item's paragraph, a heading, or a row of a table."""

    text: str  # lines as they were written; inline code, struck words and comments are blanks
    with_code: str  # the same with the words of inline code
    headings: tuple[str, ...]  # those that it stands under, the outermost first, in lower case
    depth: int  # lists that it is in
    is_heading: bool = False


def blocks_of(body: str) -> list[Block]:
    """Take a body apart, in its order, or raise UnreadableBodyError. Equal bodies give equal blocks."""
    if len(body) > MAX_BODY_CHARACTERS:
        message = f"the body has {len(body)} characters, more than {MAX_BODY_CHARACTERS}; shorten it"
        raise UnreadableBodyError(message)
    try:
        tokens = _parser().parse(body)
        if any(token.level >= _MOST_NESTED - 1 for token in tokens):
            message = f"the body nests lists or quotes {_MOST_NESTED - 1} deep; make it flatter"
            raise UnreadableBodyError(message)
        return list(_Walk().blocks(tokens))
    except _PARSER_FAULTS as error:
        message = f"the body's markdown could not be parsed ({type(error).__name__}); write it more plainly"
        raise UnreadableBodyError(message) from error


def _parser() -> MarkdownIt:
    """CommonMark with what forges add to it; what is nested too deep is refused in `blocks_of`."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"maxNesting": _MOST_NESTED}).enable(["strikethrough", "table"])


@dataclass(slots=True)
class _Walk:
    """One pass over the tokens of a body, with what is open at the moment."""

    depth: int = 0
    quotes: int = 0
    level: int = 0  # of the heading that is open, 0 for none
    row: list[tuple[str, str]] | None = None  # cells of the table row that is open
    headings: list[tuple[int, str]] = field(default_factory=list)

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Block]:
        """The blocks of the tokens, in their order. A row of a table is one block."""
        for token in tokens:
            if token.type in {
                "bullet_list_open",
                "ordered_list_open",
                "bullet_list_close",
                "ordered_list_close",
            }:
                self.depth += token.nesting
            elif token.type in {"blockquote_open", "blockquote_close"}:
                self.quotes += token.nesting
            elif token.type in {"heading_open", "heading_close"}:
                self.level = int(token.tag[1:]) if token.nesting > 0 else 0
            elif token.type == "tr_open":
                self.row = []
            elif token.type == "tr_close":
                cells, self.row = self.row or [], None
                yield from self._block(
                    " ".join(text for text, _ in cells), " ".join(code for _, code in cells)
                )
            elif token.type in {"inline", "html_block"}:
                yield from self._words(token)

    def _words(self, token: Token) -> Iterator[Block]:
        """A piece of text: a cell of the row that is open, or a block of its own."""
        html = token.type == "html_block"
        text = _html_text(token.content) if html else _inline(token, with_code=False)
        with_code = text if html else _inline(token, with_code=True)
        if self.row is not None:
            self.row.append((text, with_code))
        else:
            yield from self._block(text, with_code)

    def _block(self, text: str, with_code: str) -> Iterator[Block]:
        """The block, unless it is quoted or says nothing. A heading also governs what follows it."""
        if self.quotes:
            return
        if self.level:
            self.headings = [each for each in self.headings if each[0] < self.level]
        if with_code.strip():
            yield Block(
                text=text,
                with_code=with_code,
                headings=tuple(name for _, name in self.headings),
                depth=self.depth,
                is_heading=bool(self.level),
            )
        if self.level:
            plain = _SHORTCODE.sub(" ", with_code.lower())
            self.headings.append((self.level, " ".join(re.findall(r"[^\W_]+", plain))))


def _inline(token: Token, *, with_code: bool) -> str:
    """The words of a paragraph, without those between tags such as `<code>` and `</code>`."""
    parts: list[str] = []
    links: list[tuple[int, str]] = []  # where each open link began, and where it leads
    hidden = 0
    for child in token.children or ():
        _follow_link(child, parts, links)
        if child.type in {"s_open", "s_close"}:
            hidden += child.nesting
        elif child.type == "html_inline":
            hidden = max(0, hidden + _step(child.content))
            parts.append("\n" if child.content.lower().startswith("<br") else "")
        elif hidden:
            parts.append(" ")
        elif child.type in {"softbreak", "hardbreak"}:
            parts.append("\n")
        elif child.type == "code_inline":
            parts.append(child.content if with_code else " ")
        elif child.type == "text":
            parts.append(child.content)
        elif child.type == "image":
            parts.append(" ")
    return "".join(parts)


def _follow_link(token: Token, parts: list[str], links: list[tuple[int, str]]) -> None:
    """Note where a link begins; when it ends, put its address in the place of its words."""
    if (address := _link_begun(token)) is not None:
        links.append((len(parts), address))
    elif links and _is_link_ended(token):
        begun, address = links.pop()
        parts[begun:] = [linked("".join(parts[begun:]), address)]


def _link_begun(token: Token) -> str | None:
    """Where a link leads that begins here, None for another token."""
    if token.type == "link_open":
        return str(token.attrGet("href") or "")
    found = _ANCHOR.match(token.content) if token.type == "html_inline" else None
    return unescape(found["href"]) if found else None


def _is_link_ended(token: Token) -> bool:
    return token.type == "link_close" or (token.type == "html_inline" and token.content.lower() == "</a>")


def _step(tag: str) -> int:
    """1 for a tag that begins to hide words, -1 for one that ends it, 0 for others."""
    found = _TAG.match(tag)
    if found is None or found["name"].lower() not in _SHOWN_ONLY:
        return 0
    return -1 if found["end"] else 1


class _HtmlWords(HTMLParser):
    """The words of a block of HTML, with a line break wherever a tag ends a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.links: list[tuple[int, str]] = []  # where each open link began, and where it leads
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Leave words out from here, if the tag marks code or quotes."""
        if tag == "a":
            self.links.append((len(self.parts), dict(attrs).get("href") or ""))
        self.hidden += tag in _SHOWN_ONLY
        self._end_line(tag)

    def handle_endtag(self, tag: str) -> None:
        """Take words in again; a link is what it leads to."""
        if tag == "a" and self.links:
            begun, address = self.links.pop()
            self.parts[begun:] = [linked("".join(self.parts[begun:]), "" if self.hidden else address)]
        self.hidden = max(0, self.hidden - (tag in _SHOWN_ONLY))
        self._end_line(tag)

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        if not self.hidden:
            self.parts.append(data)

    def _end_line(self, tag: str) -> None:
        """Tags other than those within a line separate statements."""
        if tag not in _WITHIN_A_LINE:
            self.parts.append("\n")


def _html_text(html: str) -> str:
    words = _HtmlWords()
    words.feed(_COMMENT.sub(" ", html))
    words.close()
    return "".join(words.parts)
