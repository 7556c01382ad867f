"""Which checks say something of the work: by their names, and by what the settings say of them. Pure.

Names are contexts of statuses (`ci/build`) or names of check runs (`build`), patterns those of a shell
(`ci/*`).
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

#: Checks that wait for people and never for the work: contributors' agreements, approvals, merge bots.
PEOPLE_CHECKS = (
    "cla", "cla/*", "*/cla", "*/cla-*", "cla-*", "*easycla*", "*cla check*", "cla assistant*",
    "tide", "*/tide", "pullapprove*", "reviewable", "review", "reviews", "review/*", "*/review",
    "code-review/*", "*review required*", "*needs-review*", "approval", "approvals", "approval/*",
    "*/approval", "*/approvals", "*approved*", "do-not-merge*", "*/do-not-merge*", "wip", "*/wip",
    "mergeable",
)  # fmt: skip

#: Checks of forms, which pass whatever the work is worth: that they pass proves nothing.
FORMAL_CHECKS = (
    "dco", "*/dco", "dco/*", "dco *", "*signed-off*", "*sign-off*", "*licen[cs]e*", "*semantic*pull*request*",
    "*pr-title*", "*pr title*", "*labeler*", "*/label", "*/labels", "*triage*", "*welcome*",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CiRules:
    """What the settings of a forge say about its checks."""

    checks: tuple[str, ...] = ()  # patterns of checks that must pass, besides those that the branch requires
    people: tuple[str, ...] = ()  # patterns of checks that wait for people, besides PEOPLE_CHECKS
    settle_seconds: float = 0.0  # after a push, for which more checks may begin; where no name must pass

    def waits_for_people(self, name: str) -> bool:
        """Whether a check of that name waits for people; one that `checks` names never does."""
        return not _any_matches(name, self.checks) and _any_matches(name, (*PEOPLE_CHECKS, *self.people))


def is_formal(name: str) -> bool:
    """Whether it proves nothing of the work that a check of that name passes."""
    return _any_matches(name, (*PEOPLE_CHECKS, *FORMAL_CHECKS))


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern matches a name, capitals and all, as forges compare them."""
    return fnmatchcase(name, pattern)


def _any_matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.casefold(), pattern.casefold()) for pattern in patterns)
