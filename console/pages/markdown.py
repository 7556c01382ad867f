"""The markdown of an issue as HTML that may stand in a page of ours.

markdown-it makes it, without raw HTML and without images, which would be loaded from other hosts; nh3 then
lets nothing through but the elements and attributes of a list. Either of them alone would do; each is there
in case the other has a fault. What cannot be rendered is shown as it was written.
"""

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

#: Characters that are rendered; a longer text is shown as it was written.
MOST_CHARACTERS = 65_536

#: Levels by which headings move down: a page has its own first two.
_DOWN = 2

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
_REL = "noopener noreferrer nofollow"


def markdown(text: str) -> Markup:
    """The text, of which control characters are visible already, as HTML. Raises nothing."""
    if len(text) > MOST_CHARACTERS:
        return _as_written(text)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("image")
    try:
        tokens = parser.parse(text)
        if any(token.level >= parser.options.maxNesting - 1 for token in tokens):
            return _as_written(text)  # what is deeper is left out by the parser
        for token in tokens:
            if token.type in {"heading_open", "heading_close"}:
                token.tag = f"h{min(int(token.tag[1]) + _DOWN, 6)}"
        made = parser.renderer.render(tokens, parser.options, {})
    except (ValueError, RecursionError, IndexError, KeyError):  # a fault in the parser hides no text
        return _as_written(text)
    cleaned = nh3.clean(
        made,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel=_REL,
    )
    return Markup('<div class="markdown">{}</div>').format(Markup(cleaned))  # noqa: S704 - nh3 made it


def _as_written(text: str) -> Markup:
    return Markup('<pre tabindex="0">{}</pre>').format(escape(text))
