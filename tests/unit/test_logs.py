"""Lines of logs: what others wrote into them neither commands a terminal nor looks like a line of ours."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
import structlog

from tasks.logs import configure_logs
from tasks.settings.settings import Settings

#: Clears the screen, begins a second line, turns the direction of writing, and half a character.
HOSTILE = "\x1b[2J\r\n2026-01-01 [info] all is well\x9b\u202e\u2028\ud83d"


@pytest.fixture
def configured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Logs as a process has them, in the format of the parameter; what there was comes back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs(Settings(log_format=request.param))
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(configured: io.StringIO) -> list[str]:
    """The lines on standard error."""
    return configured.getvalue().removesuffix("\n").split("\n")


def raised(error: Exception) -> Exception:
    """The error as one that was raised, with its trace."""
    with suppress(type(error)):
        raise error
    return error


@pytest.mark.parametrize("configured", ["console", "json"], indirect=True)
@pytest.mark.parametrize("ours", [True, False])
def test_line_stays_one_line_without_control_characters(configured: io.StringIO, *, ours: bool) -> None:
    """It holds for Celery's lines as for ours, for what is said and for the values beside it."""
    if ours:
        structlog.get_logger("ours").warning(HOSTILE, given=HOSTILE, held=[HOSTILE], **{HOSTILE: 1})
    else:
        logging.getLogger("celery.worker").warning("Received unregistered task of type %s", HOSTILE)
    lines = written(configured)
    assert len(lines) == 1
    assert all(character.isprintable() for character in lines[0])
    assert "\\u202e" in lines[0]


@pytest.mark.parametrize("configured", ["console"], indirect=True)
def test_trace_keeps_its_lines_and_none_looks_like_a_line_of_its_own(
    configured: io.StringIO,
) -> None:
    """The text of an error is escaped; the lines after the first are indented."""
    logging.getLogger("celery.worker").error("Task raised", exc_info=raised(ValueError(HOSTILE)))
    first, *others = written(configured)
    assert "Task raised" in first
    assert others[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") and line.isprintable() for line in others)
