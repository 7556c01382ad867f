"""Jira's documents: read as markdown whatever they hold, and written so that Jira takes them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.trackers.jira.document import MOST_DEPTH, as_markdown
from routing.trackers.jira.writing import as_document
from tests.servers.jira_operations import wrong_in_document


def node(kind: str, *content: Any, **attrs: Any) -> dict[str, Any]:
    """A node."""
    return {"type": kind, "content": list(content)} | ({"attrs": attrs} if attrs else {})


def text(words: str, *marks: str, **link: str) -> dict[str, Any]:
    """A text with marks."""
    made: list[dict[str, Any]] = [{"type": mark} for mark in marks]
    made += [{"type": "link", "attrs": {"href": link["to"]}}] if link else []
    return {"type": "text", "text": words} | ({"marks": made} if made else {})


def paragraph(*content: Any) -> dict[str, Any]:
    """A paragraph."""
    return node("paragraph", *content)


def cell(words: str) -> dict[str, Any]:
    """A cell of a table."""
    return node("tableCell", paragraph(text(words)))


@pytest.mark.parametrize(
    ("block", "markdown"),
    [
        (node("heading", text("Dependencies"), level=2), "## Dependencies"),
        (paragraph(text("a "), text("b ", "strong"), text("c", "em")), "a **b** _c_"),
        (paragraph(text("x", "code"), text(" see "), text("this", to="https://a.test")),
         "`x` see [this](https://a.test)"),
        (paragraph(text("one"), {"type": "hardBreak"}, text("two")), "one\ntwo"),
        (node("bulletList", node("listItem", paragraph(text("a")), node("bulletList", node(
            "listItem", paragraph(text("b")))))), "- a\n  - b"),
        (node("orderedList", *(node("listItem", paragraph(text(one))) for one in "ab")), "1. a\n2. b"),
        (node("taskList", node("taskItem", text("done"), state="DONE"),
              node("taskItem", text("to do"), state="TODO")), "- [x] done\n- [ ] to do"),
        (node("codeBlock", text("a```b"), language="sh"), "````sh\na```b\n````"),
        (node("blockquote", paragraph(text("said"))), "> said"),
        (node("panel", paragraph(text("mind")), panelType="warning"), "> **warning**\n> mind"),
        (node("expand", paragraph(text("more")), title="Log"), "**Log**\n\nmore"),
        (node("table", node("tableRow", cell("a"), cell("b")), node("tableRow", cell("1|2"), cell("3"))),
         "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"),
        (node("mediaSingle", node("media", id="4-5", alt="shot.png")), "[attachment: shot.png]"),
        (paragraph(node("mention", id="5b1", text="@Ann"), text(" "), node("emoji", shortName=":tada:")),
         "@Ann :tada:"),
        (paragraph(node("inlineCard", url="https://a.test/1")), "https://a.test/1"),
        (paragraph(node("date", timestamp="1764374400000"), node("status", text=" QA")), "2025-11-29 QA"),
        (node("tomorrow", paragraph(text("kept"))), "kept"),
        ({"type": "tomorrow"}, "[tomorrow]"),
        ({"type": "rule"}, "---"),
    ],
)  # fmt: skip
def test_what_people_write_is_read_as_markdown(block: dict[str, Any], markdown: str) -> None:
    """Each kind of block, and the text of a kind that is not known."""
    assert as_markdown({"type": "doc", "version": 1, "content": [block]}) == markdown


def test_a_text_of_older_apis_is_itself() -> None:
    """And none is none."""
    assert (as_markdown(" a\nb "), as_markdown(None), as_markdown(node("doc"))) == ("a\nb", "", "")


def test_however_deep_a_document_is_its_text_is_kept() -> None:
    """Lists in lists, far beyond what is followed."""
    inner = paragraph(text("at the end"))
    for _ in range(MOST_DEPTH * 20):
        inner = node("bulletList", node("listItem", inner))
    assert "at the end" in as_markdown(node("doc", inner))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(
                    ["doc", "text", "heading", "bulletList", "table", "taskItem", "date", "x"]
                )
                | inner,
                "content": inner,
                "attrs": inner,
                "marks": inner,
                "text": inner,
            },
        )
    ),
    max_leaves=25,
)


@settings(max_examples=25)
@given(_JSON)
def test_no_document_is_an_error(document: object) -> None:
    """Whatever its members are: one issue must not end the look at all others."""
    assert isinstance(as_markdown(document), str)


@given(st.text(alphabet="ab`*[]()#-~\n !<>\\:/", max_size=80) | st.text(max_size=40))
def test_what_we_write_is_a_document(markdown: str) -> None:
    """Jira refuses a document that has an empty text, a mark in code, or a block in the wrong place."""
    made = as_document(markdown)
    assert list(wrong_in_document(made)) == []
    assert json.loads(json.dumps(made)) == made


def test_a_checklist_reads_as_it_was_written() -> None:
    """Headings, items, bold, code and links go there and back."""
    lines = "### Run\n\n- [x] CI of `a*b`\n- [ ] done\n\n**In review**: [the request](https://a.test/1)"
    assert as_markdown(as_document(lines)) == lines
