"""Going on after one thing failed: what is logged, and what is not stopped."""

import pytest
from structlog.testing import capture_logs

from routing.errors import UnavailableError
from tasks.work.log_and_continue import LogAndContinue


@pytest.mark.parametrize("error", [UnavailableError("no answer"), OSError("no answer")])
def test_what_others_did_is_a_line(error: Exception) -> None:
    """A server that is away once a second must not fill the log with traces."""
    with capture_logs() as logs, LogAndContinue("tick.failed", tick="sweep"):
        raise error
    assert logs == [{"event": "tick.failed", "log_level": "warning", "tick": "sweep", "reason": "no answer"}]


def test_mistake_of_ours_has_its_trace() -> None:
    """It is to be found and repaired, and stops nothing else meanwhile."""
    mistake = KeyError("name")
    with capture_logs() as logs, LogAndContinue("tick.failed"):
        raise mistake
    assert logs == [{"event": "tick.failed", "log_level": "error", "exc_info": mistake}]


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_end_of_the_process_is_not_stopped(end: type[BaseException]) -> None:
    """A worker that is asked to stop stops, in the middle of a tick too."""
    with capture_logs() as logs, pytest.raises(end), LogAndContinue("tick.failed"):
        raise end
    assert logs == []
