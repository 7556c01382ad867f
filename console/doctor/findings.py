"""Findings of `coalmine doctor`, by how bad they are."""

from routing.store.redis.health import Finding, Status


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check=check, status=Status.OK, message=message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """It works, and a person should know."""
    return Finding(check=check, status=Status.WARNING, message=message, remedy=remedy)


def problem(check: str, message: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check=check, status=Status.PROBLEM, message=message, remedy=remedy)
