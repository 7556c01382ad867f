"""Words by which a commit message keeps CI away, in the spellings of all forges."""

import pytest

from routing.forges.skip_marker import skip_marker, without_skip_markers


@pytest.mark.parametrize(
    "marker",
    [
        "[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "[SKIP CI]", "[Skip CI]",
        "[skip-ci]", "[ci-skip]", "[ skip ci ]", "[skip travis]", "[travis skip]", "[skip azp]",
        "[azurepipelines skip]", "[skip appveyor]", "[skip circleci]", "[skip workflow]", "***NO_CI***",
        "--skip-ci", "[skip  ci]", "[skip_ci]", "[ci_skip]",
    ],
)  # fmt: skip
def test_a_marker_is_found_and_taken_out(marker: str) -> None:
    """Wherever it stands in the message; the rest stays."""
    for message in (f"Repair it {marker}\n", f"{marker} Repair it\n", f"Repair it\n\nBody.\n{marker}\n"):
        assert skip_marker(message)
        cleaned = without_skip_markers(message)
        assert not skip_marker(cleaned)
        assert cleaned.splitlines()[0] == "Repair it"


@pytest.mark.parametrize("trailer", ["skip-checks: true", "skip-checks:true", "Skip-Checks: TRUE"])
def test_a_trailer_is_one_too(trailer: str) -> None:
    """On a line of its own, as GitHub wants it."""
    message = f"Repair it\n\n\n{trailer}\n"
    assert skip_marker(message)
    assert without_skip_markers(message) == "Repair it\n"


@pytest.mark.parametrize(
    "message",
    [
        "Repair the ci\n",
        "Skip ci jobs that are slow\n",
        "Use [skip] and [ci]\n",
        "[skip tests]\n",
        "Add tool--skip-ci\n",
        "Two  spaces,  no newline",
    ],
)
def test_other_words_stay(message: str) -> None:
    """A message that only speaks of CI is left alone."""
    assert skip_marker(message) == ""
    assert without_skip_markers(message) == message


def test_a_message_of_nothing_else_gets_one() -> None:
    """A commit needs a message."""
    assert without_skip_markers("[skip ci]\n") == "Work\n"


def test_a_marker_between_words_leaves_no_gap() -> None:
    """And is named as it is read: with single spaces."""
    assert without_skip_markers("Repair [skip  ci] it\n") == "Repair it\n"
    assert skip_marker("Repair [skip  ci] it\n") == "[skip ci]"
