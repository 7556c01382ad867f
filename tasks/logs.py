"""Logs: structlog, for people or as JSON lines; what is bound to a job is on every line of it.

Texts of others stand in these lines: what a message says, what a forge answered, what an error quotes. For
people their control characters are escaped, so that none of them clears a screen, or makes a second line that
looks like one of ours. Lines of a trace stay apart, and are indented for the same reason. JSON escapes by
itself.
"""

import logging
import re
import sys

import structlog

from tasks.settings.settings import Settings

#: What a terminal obeys or does not show: control characters, line separators, marks that turn the direction
#: of writing, and halves of characters.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: Celery's loggers that say two lines about every tick of every second; `log_level = "debug"` shows them.
_TALKATIVE = ("celery.beat", "celery.worker.strategy", "celery.app.trace")


def configure_logs(settings: Settings) -> None:
    """Set up structlog and the standard logging that libraries use, once a process, on standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    escaping: list[structlog.typing.Processor] = [] if settings.log_format == "json" else [escape_line]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *escaping, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in _TALKATIVE:
        logging.getLogger(noisy).setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))


def escape(text: str) -> str:
    """The text on one line, with each character that is not to be obeyed as Python would write it."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape_line(
    _logger: structlog.typing.WrappedLogger, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape what a line says, and the texts beside it; a trace keeps its lines, indented."""
    escaped = {escape(name): _escaped(value) for name, value in line.items()}
    for name in ("exception", "stack"):
        if isinstance(line.get(name), str):
            escaped[name] = "\n".join(f"  {escape(part)}" for part in line[name].split("\n"))
    return escaped


def _escaped(value: object) -> object:
    """A text escaped; anything else as it is: it is shown by `repr`, which escapes what it holds."""
    return escape(value) if isinstance(value, str) else value
