"""Which repositories of a forge are served: names, patterns such as `acme/*`, and exclusions (`!acme/old-*`).

Pure. The owner is always written out, so that no setting opens the fleet to strangers. Names are compared in
any case, as forges do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from routing.issues.issue import is_repository_name

_WILDCARDS = frozenset("*?")

#: A character that no name has: it fits wildcards alone.
_ANY = "\0"

#: More characters than a name has.
_LONG = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowList:
    """What was set, taken apart. An exclusion counts more than a name or a pattern."""

    names: tuple[str, ...] = ()  # without those that are excluded
    patterns: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()  # names and patterns

    @classmethod
    def of(cls, given: Iterable[str]) -> "AllowList":
        """Take a setting apart that `wrong_entry` has nothing against."""
        listed = tuple(given)
        excluded = tuple(one[1:] for one in listed if one.startswith("!"))
        wanted = [one for one in listed if not one.startswith("!")]
        named = AllowList(excluded=excluded)
        return cls(
            names=tuple(one for one in wanted if not _WILDCARDS & set(one) and not named.excludes(one)),
            patterns=tuple(one for one in wanted if _WILDCARDS & set(one)),
            excluded=excluded,
        )

    def excludes(self, repo: str) -> bool:
        """Whether a repository is left out by name or pattern."""
        return any(_fits(repo, one) for one in self.excluded)

    def spelled(self, repo: str) -> str | None:
        """The name of a repository that is served, as it is set where it is set; None for any other."""
        named = next((name for name in self.names if name.casefold() == repo.casefold()), None)
        if named is not None or self.excludes(repo) or not is_repository_name(repo):
            return named
        return repo if any(_fits(repo, one) for one in self.patterns) else None

    def shared_with(self, other: "AllowList") -> str | None:
        """The first name or pattern of this one that means a repository which the other may serve too.

        Two patterns that one name could fit are enough, unless an exclusion takes all that one of them means.
        """
        for name in self.names:
            if other.spelled(name) is not None:
                return name
        for pattern in self.patterns:
            if any(_fits(name, pattern) and not self.excludes(name) for name in other.names):
                return pattern
            excluded = (*self.excluded, *other.excluded)
            if any(
                _meet(pattern, one) and not any(_covers(whole, (pattern, one)) for whole in excluded)
                for one in other.patterns
            ):
                return pattern
        return None

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose repositories must be listed to find those that the patterns mean."""
        return tuple(dict.fromkeys(pattern.rpartition("/")[0] for pattern in self.patterns))


def _fits(repo: str, pattern: str) -> bool:
    """A wildcard stands for no `/`: groups within groups are named."""
    owner, _, name = repo.casefold().rpartition("/")
    of, _, wanted = pattern.casefold().rpartition("/")
    return owner == of and fnmatchcase(name, wanted)


def _meet(pattern: str, other: str) -> bool:
    """Whether a name could fit both patterns."""
    owner, _, name = pattern.casefold().rpartition("/")
    of, _, wanted = other.casefold().rpartition("/")
    return owner == of and _names_meet(name, wanted)


@cache
def _names_meet(one: str, other: str) -> bool:
    """The same for names with wildcards, character by character."""
    if not one or not other:
        return set(one + other) <= {"*"}
    if one[0] == "*":
        return _names_meet(one[1:], other) or _names_meet(one, other[1:])
    if other[0] == "*":
        return _names_meet(one, other[1:]) or _names_meet(one[1:], other)
    return (one[0] == other[0] or "?" in {one[0], other[0]}) and _names_meet(one[1:], other[1:])


def _covers(excluded: str, patterns: Iterable[str]) -> bool:
    """Whether an exclusion takes all that one of the patterns means: its shortest name, and a long one."""
    return any(
        all(_fits(pattern.replace("?", _ANY).replace("*", many), excluded) for many in ("", _ANY * _LONG))
        for pattern in patterns
    )


def wrong_entry(given: Iterable[str]) -> str | None:
    """The first entry that is neither name nor pattern, or that leaves nothing; None when all are right."""
    listed = tuple(given)
    for one in listed:
        owner, _, name = one.removeprefix("!").rpartition("/")
        plain = "".join("x" if each in _WILDCARDS else each for each in name)
        if _WILDCARDS & set(owner) or not is_repository_name(f"{owner}/{plain}" if owner else plain):
            return one
        if _WILDCARDS & set(name) and not owner:
            return one
    if listed and all(one.startswith("!") for one in listed):
        return listed[0]
    return None
