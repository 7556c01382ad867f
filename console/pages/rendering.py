"""Templates, and what they may call: times, numbers and words as people read them.

All that a template prints is escaped by Jinja, and goes through `visible` first: a control character, or one
that reorders text, becomes a sign that can be seen. A template cannot get around it, since `visible` is the
environment's `finalize`. Markup is made here, by `drawing` and the pictures made with it and, of issues,
in `markdown` alone.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_environment
from jinja2.filters import do_truncate
from markupsafe import Markup

from console.output.cost_views import cost_cell, cost_words, usd
from console.output.fields import ShownField
from console.output.rendering import duration, evidence, iso, number, when
from console.pages.markdown import markdown

_HERE = Path(__file__).parent

#: Files that pages load, by name, with their kinds.
STATIC = {
    "coalmine.css": ("text/css", (_HERE / "static" / "coalmine.css").read_bytes()),
    "live.js": ("text/javascript", (_HERE / "static" / "live.js").read_bytes()),
}

#: C0 and C1 without tab and newline; marks that reorder, hide or join text; halves of characters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with a sign for each character that could not be seen; tabs and newlines stay."""
    return _INVISIBLE.sub(_sign, text.replace("\r\n", "\n"))


def _sign(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"


def _finalized(value: Any) -> Any:
    """What Jinja prints in place of a value; nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def fact_rows(fields: Iterable[ShownField[Any]], record: Any) -> list[tuple[str, str]]:
    """A record's labels and values for people, as the command line has them; empty values are left out."""
    pairs = ((field.label, str(field.text(record))) for field in fields if field.label)
    return [(label, value) for label, value in pairs if value]


def ago(at: float | None, now: float) -> Markup:
    """A time as a length of time before or after now, with the exact one on hover; "-" for None."""
    if at is None:
        return Markup("-")
    words = duration(abs(now - at), units=1)
    said = f"{words} ago" if at <= now else f"in {words}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso(at), when(at), said)


def words(value: object) -> str:
    """A state or an arm as people say it."""
    return str(value).replace("_", " ")


#: Whether the page that is rendered in this thread is to have everything.
_IS_WHOLE: ContextVar[bool] = ContextVar("whole", default=False)


@pass_environment
def _truncated(environment: Environment, text: object, length: int) -> str:
    """The beginning of a text, whole words, unless the page is to have everything."""
    return str(text) if _IS_WHOLE.get() else do_truncate(environment, str(text), length)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "evidence": evidence, "number": number, "usd": usd, "words": words,
        "duration": lambda seconds: duration(seconds, units=1),
        "cost_cell": cost_cell, "cost_words": cost_words, "exact": when,
        "truncate": _truncated, "markdown": lambda text: markdown(visible(text)),
    }  # fmt: skip
    made.globals |= {"ago": ago}
    return made


_ENVIRONMENT = _environment()


def render(page: str, *, whole: bool = False, **context: Any) -> str:
    """A page by the name of its template; a name that the template needs and does not get is an error.

    `whole`: without shortening what is long, for those who take its tables.
    """
    token = _IS_WHOLE.set(whole)
    try:
        return _ENVIRONMENT.get_template(f"{page}.html").render(context)
    finally:
        _IS_WHOLE.reset(token)
