"""The markdown of issues on a page: what it may become, and what it never does."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from console.pages.markdown import MOST_CHARACTERS, markdown
from tests.fleets.stepped_fleet import SteppedFleet

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x)",
    "![a](https://evil.example/x.png)",
    "![a](javascript:alert(1))",
    '[a](https://x "onmouseover=alert(1)")',
    '<https://x/" onclick="alert(1)>',
    '[a](https://x/"onclick="alert(1))',
    "<a href='javascript:alert(1)'>x</a>",
    "<iframe src=//evil></iframe>",
    '```"><script>alert(1)</script>\nx\n```',
    "`<script>`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "[a]: javascript:alert(1)\n\n[a]",
    "<style>*{background:url(//evil)}</style>",
    "<form action=//evil><input>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "# <b onload=x>t",
    "<!--x-->",
    "<base href=//evil>",
    "<meta http-equiv=refresh content=0>",
    "[a](//evil.example)",
    "|<script>|\n|-|\n|x|",
    "<details open ontoggle=alert(1)>",
    "\\<script>",
    "[![a](x)](javascript:alert(1))",
]


#: What markdown is made of.
MARKS = ["\n", " ", "> ", "- ", "1. ", "**", "`", "~~", "[", "]("]


class Shown(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.faults: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it, and what is wrong with it."""
        self.tags.add(tag)
        for name, value in attrs:
            allowed = {"a": {"href", "rel"}, "ol": {"start"}, "div": {"class"}, "pre": {"tabindex"}}
            if name not in allowed.get(tag, set()):
                self.faults.append(f"{tag} {name}={value}")
            if name == "href" and urlsplit(value or "").scheme not in {"http", "https", "mailto", ""}:
                self.faults.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.text += data


SAFE = {
    "a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def shown(text: str) -> Shown:
    """What a text becomes."""
    found = Shown()
    found.feed(str(markdown(text)))
    found.close()
    return found


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_issue_gets_out_of_its_place(attack: str) -> None:
    """No element that runs, loads or sends, no attribute but a link's, no address that is a program."""
    found = shown(attack)
    assert found.faults == []
    assert found.tags <= SAFE


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([*ATTACKS, "\n", " ", "> ", "- ", "1. ", "**", "`", "~~", "[", "]("])).map(
        "".join
    )
)
def test_no_mixture_of_them_does(text: str) -> None:
    """Whatever stands beside what."""
    found = shown(text)
    assert (found.faults, found.tags <= SAFE) == ([], True)


def test_markdown_is_rendered() -> None:
    """Headings below those of the page, lists, code, tables; a link says that it is of somebody else."""
    made = str(markdown("# Title\n\n- **a**\n- `b`\n\n[c](https://example.org/)\n\n|x|y|\n|-|-|\n|1|2|"))
    assert "<h3>Title</h3>" in made
    assert "<li><strong>a</strong></li>" in made
    assert '<a href="https://example.org/" rel="noopener noreferrer nofollow">c</a>' in made
    assert "<td>1</td>" in made
    assert "evil.example/x.png" in shown("![a](https://evil.example/x.png)").text + str(
        markdown("![a](https://evil.example/x.png)")
    )
    assert "img" not in shown("![a](https://evil.example/x.png)").tags


def test_a_huge_or_deep_text_is_there_all_the_same() -> None:
    """As it was written."""
    huge = "<b>" * MOST_CHARACTERS
    assert shown(huge).text == huge
    assert "deep" in shown(">" * 5000 + "deep").text


def test_the_task_of_an_issue_is_markdown_and_other_tasks_are_not(redis_client: redis.Redis) -> None:
    """What a person asks for at a terminal stays as they wrote it; an issue can be read as it was written."""
    fleet = SteppedFleet(redis_client, draws=[0.9] * 9)
    fleet.add()
    client = fleet.web
    issue = fleet.enqueue(issue="local:shop#1", task="Do **this** \x1b[31m<script>").job
    page = client.get(f"/jobs/{issue}", Accept="text/html").text
    assert "Do <strong>this</strong> ⟨U+001B⟩[31m&lt;script&gt;" in page
    assert "Do **this** ⟨U+001B⟩[31m&lt;script&gt;" in page
    asked = fleet.enqueue(task="Do **this**").job
    assert "<strong>" not in client.get(f"/jobs/{asked}", Accept="text/html").text
