"""Findings of `coalmine doctor`, by how bad they are."""

from routing.store.redis.health import HealthFinding, Status


def ok(check: str, message: str) -> HealthFinding:
    """All is well."""
    return HealthFinding(check=check, status=Status.OK, message=message)


def warning(check: str, message: str, remedy: str) -> HealthFinding:
    """It works, and a person should know."""
    return HealthFinding(check=check, status=Status.WARNING, message=message, remedy=remedy)


def problem(check: str, message: str, remedy: str) -> HealthFinding:
    """It does not work."""
    return HealthFinding(check=check, status=Status.PROBLEM, message=message, remedy=remedy)
