"""What leads from the text of an issue to its change is taken out of a case."""

import pytest

from harvest.backtests.case_text import TAKEN_OUT, leads_to, without_answer
from tasks.backtests.past_changes import request_in

COMMIT = "3f2a91c0de5b7a64f8e1d2c3b4a5968778695a4b"


@pytest.mark.parametrize(
    "lead",
    [
        "https://github.com/acme/shop/pull/34",
        "https://git.example.org/acme/shop/-/merge_requests/34#note_1",
        "github.com/acme/shop/pull/34/files",
        "/acme/shop/pulls/34",
        "../pull/34",
        f"https://github.com/acme/shop/commit/{COMMIT}",
        f"acme/shop/commit/{COMMIT[:9]}",
        f"../compare/main...{COMMIT[:12]}",
        "#34",
        "!34",
        "acme/shop#34",
        "group/part/shop!34",
        "GH-34",
        COMMIT,
        COMMIT[:8].upper(),
    ],
)
@pytest.mark.parametrize("around", ["Done by {}.", "See ({}), please", "[done]({})", "{}"])
def test_what_leads_to_the_change_is_taken_out(lead: str, around: str) -> None:
    """In each form that forges make a link of, whatever stands around it."""
    said = without_answer(around.format(lead), [COMMIT], numbers=[34])
    assert TAKEN_OUT in said
    assert "34" not in said
    assert COMMIT[:7] not in said.lower()


@pytest.mark.parametrize(
    "text",
    [
        "#3 and #345 are others",
        "the 34th time",
        "push/pull of 34 items",
        "the folder src/pull has a test",
        "see docs/commit.md",
        "colour #34aadd",
        "it takes 34 s",
        "acme/shop#33",
        "deadbeef is a number",
    ],
)
def test_the_rest_of_the_text_stays(text: str) -> None:
    """Numbers of other things, paths of files, colours, and words."""
    assert without_answer(text, [COMMIT], numbers=[34]) == text
    assert not leads_to(text, [COMMIT])


@pytest.mark.parametrize(
    "message",
    [
        "Round down (#34)\n\nFixes #12\n",
        "Merge pull request #34 from ann/round\n\nFixes #12\n",
        "Merge pull request 'Round down' (#34) from round into main\n\nCloses #12\n",
        "Merge branch 'round' into 'main'\n\nRound down\n\nCloses #12\n\nSee merge request acme/shop!34\n",
        "Round down\n\nCloses #12\n\nReviewed-on: https://git.example.org/acme/shop/pulls/34\n",
    ],
)
def test_a_message_names_its_change_request(message: str) -> None:
    """As GitHub, Gitea and GitLab write it; the issue that it closes is another number."""
    assert request_in(message) == 34


@pytest.mark.parametrize("message", ["Fixes #34\n", "Round (#34) down\n", "Merge branch 'round'\n"])
def test_a_message_may_name_none(message: str) -> None:
    """An issue is none, and neither is a number in the middle of a line."""
    assert request_in(message) is None


@pytest.mark.parametrize(
    "piece", ["-", ".", "a", "a/", "/", "../", "http://", "pull/", "commit/", "#", "f", "~a."]
)
def test_a_text_takes_time_by_its_length_alone(piece: str) -> None:
    """Text from outside may repeat anything; with time by the square of its length this would take hours."""
    text = piece * (400_000 // len(piece))
    assert without_answer(text, [COMMIT], numbers=[34]) == text
