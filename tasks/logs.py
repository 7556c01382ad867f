"""Logs: structlog, for people or as JSON lines; what is bound to a job is on every line of it."""

import logging
import sys

import structlog

from tasks.settings.settings import Settings

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
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in _TALKATIVE:
        logging.getLogger(noisy).setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
