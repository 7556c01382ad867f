"""Tables on terminals of several widths."""

import pytest
from rich.console import Console

from console.output.rendering import table

JOB, REASON = "0123456789abcdef", "the agent ended with exit code 1"


def shown(width: int) -> str:
    """A row with a name, two columns that yield, and words."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table(("!job", "?!arm", "?!>score", "reason"), [(JOB, "canary", "0.25", REASON)]))
    return capture.get()


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (100, ["job", "arm", "score", "reason"]),
        (45, ["job", "arm", "score", "reason"]),
        (44, ["job", "arm", "reason"]),
        (38, ["job", "arm", "reason"]),
        (37, ["job", "reason"]),
        (30, ["job", "reason"]),
    ],
)
def test_columns_that_yield_make_room_for_names(width: int, titles: list[str]) -> None:
    """The last such column goes first; a name stays in one piece, and no line is too long."""
    lines = shown(width).splitlines()
    assert lines[0].split() == titles
    assert JOB in lines[2]
    assert max(map(len, lines)) <= width


def test_a_terminal_that_is_too_narrow_for_names_folds_them() -> None:
    """Nothing is cut off."""
    text = shown(20)
    assert JOB not in text
    assert {*JOB} <= {*text}
    assert "".join(line[:9].strip() for line in text.splitlines()[2:]).startswith("0123")


@pytest.mark.parametrize(("width", "room"), [(27, True), (26, False)])
def test_wide_letters_count_as_two_columns(width: int, *, room: bool) -> None:
    """What they take is not given to a column that yields."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table(("!name", "?!score", "reason"), [("数" * 5, "0.25", "as it is")]))
    assert "数" * 5 in capture.get()
    assert ("0.25" in capture.get()) is room


@pytest.mark.parametrize("width", [80, 100])
def test_no_word_is_broken_where_the_words_have_room(width: int) -> None:
    """Titles of several words fold between them; numbers stay whole."""
    titles = (
        ">difference", ">canary jobs", ">9 in 10 need", ">all jobs", ">rolled back", ">graduated",
        ">undecided", ">best possible",
    )  # fmt: skip
    console = Console(width=width, color_system=None)
    row = ["-0.3", "1234", "47", "22600", "100%", "0%", "0%", "15"]
    with console.capture() as capture:
        console.print(table(titles, [row]))
    said = capture.get().split()
    wanted = [word for title in titles for word in title.lstrip(">").split()] + row
    assert set(wanted) <= set(said)


def test_every_setting_is_whole_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """The variable goes first: it follows from the name."""
    console = Console(width=80, color_system=None)
    rows = [("forge.github.previous_webhook_secret", "a value of some words", "default", "COALMINE_X")]
    console.print(table(("!setting", "value", "!from", "?!variable"), rows))
    said = capsys.readouterr().out
    assert {"forge.github.previous_webhook_secret", "default", "words"} <= set(said.split())
    assert "COALMINE_X" not in said or len(said.splitlines()[0]) <= 80
