"""Text from outside: what is valid, what is printable, and what a reply of a forge becomes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.http.reply import Reply, UnreadableReplyError
from routing.issues.issue import Issue, IssueRef
from routing.printable import in_texts, printable, valid


@pytest.mark.parametrize(
    "sequence",
    [
        *(
            "\x1b[0m",
            "\x1b[?25h",
            "\x1b]0;title\x07",
            "\x1b]0;title\x1b\\",
            "\x1b]8;;http://x\x9c",
            "\x1bPq#1\x1b\\",
        ),
        *("\x1b_app\x1b\\", "\x1b(B", "\x1b=", "\x1b7", "\x1bM", "\x1b[", "\x1b", "\ufeff", "\x00", "\x07"),
    ],
)
def test_terminal_sequences_go_without_what_stands_beside_them(sequence: str) -> None:
    """Also those that are cut short, before an object of JSON."""
    assert printable(f'a{sequence}{{"b": 1}}') == 'a{"b": 1}'


def test_a_title_that_never_ends_takes_nothing_with_it() -> None:
    """Its text is shown; a terminal would have waited for its end."""
    assert printable("\x1b]0;title and words") == "0;title and words"


@given(st.text(alphabet=st.characters() | st.characters(categories=["Cs"])))
def test_text_can_be_encoded_afterwards(text: str) -> None:
    """Whatever it was."""
    for made in (valid(text), printable(text)):
        assert "\0" not in made
        made.encode()


def test_an_issue_is_valid_on_every_forge() -> None:
    """What a store or git cannot hold is replaced where the issue is made."""
    ref = IssueRef(forge="local", repo="shop", number=1)
    issue = Issue(
        ref=ref, title="a\0", body="\ud83d", labels=("\0",), state="open", updated_at=datetime.now(UTC)
    )
    assert (issue.title, issue.body, issue.labels) == ("a?", "?", ("?",))


def test_all_texts_of_a_value_are_changed() -> None:
    """Names of fields as well; numbers and null stay."""
    value = {"a\ud83d": ["\0", {"b": "\udc00"}, 1, None, True, 0.5]}
    assert in_texts(value, valid) == {"a?": ["?", {"b": "?"}, 1, None, True, 0.5]}


def test_a_forges_answer_is_valid() -> None:
    """Half a character in a title costs no issue; brackets by the thousand are an error of the answer."""
    body = b'[{"title": "cut \\ud83d", "name\\u0000": "x"}]'
    assert Reply(status=200, headers={}, body=body).value() == [{"title": "cut ?", "name?": "x"}]
    deep = Reply(status=500, headers={}, body=b"[" * 100_000)
    with pytest.raises(UnreadableReplyError):
        deep.value()
    assert deep.said.startswith("[[[")
