"""Findings of `coalmine doctor`, by how bad they are.

`check` is the finding's stable name in `--json`. A message is a sentence without its full stop, about what
was found; a remedy says what to do, and a finding that is not ok always has one.
"""

from routing.store.redis.health import HealthFinding, Status


def ok(check: str, message: str) -> HealthFinding:
    """The check found nothing that a person must do; the message says what it saw."""
    return HealthFinding(check=check, status=Status.OK, message=message)


def warning(check: str, message: str, remedy: str) -> HealthFinding:
    """It works, but a person should know, or it will not work for long. The exit code stays 0."""
    return HealthFinding(check=check, status=Status.WARNING, message=message, remedy=remedy)


def problem(check: str, message: str, remedy: str) -> HealthFinding:
    """It does not work, and will not without a person. The exit code of `doctor` becomes 1."""
    return HealthFinding(check=check, status=Status.PROBLEM, message=message, remedy=remedy)
