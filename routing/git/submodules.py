"""Submodules: found in a commit, fetched from where they are, and written as files.

Addresses come from a commit that people have accepted, not from the work that is checked out: so nobody's
work has a worker fetch what its author may not see.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from routing.errors import ConflictError, NotFoundError
from routing.git.git import Git, GitAccess, GitError
from routing.git.own_settings import ALONE, PLAIN
from routing.git.remote import Remote, without_password

#: Submodules of submodules, and so on, that are looked at.
MOST_LEVELS = 8

_SUBMODULE = "160000"
_ELSEWHERE = re.compile(r"(https?|ssh|git)://|[\w.-]+@[\w.-]+:")
_RUNS_A_PROGRAM = re.compile(r"[A-Za-z0-9+.-]+::")


class SubmoduleError(NotFoundError):
    """A submodule could not be fetched: an agent, or CI, would find an empty folder."""

    def __init__(self, submodule: "Submodule", why: str) -> None:
        message = (
            f"the submodule {submodule.path} could not be fetched at {submodule.commit[:12]} from "
            f"{without_password(submodule.url)}: {why[-500:]}; see that it is there and can be read from here"
        )
        super().__init__(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Submodule:
    """A folder of a repository that is the content of another one."""

    name: str  # as git calls it in its settings
    path: str  # from the top
    url: str  # as it is written: it may be relative to the address of the outer repository
    commit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Submodules:
    """Fetches the submodules of one repository; what was fetched is kept in `cache` for the next time."""

    remote: Remote  # of the repository
    cache: Path
    environment: Mapping[str, str] = field(default_factory=lambda: ALONE)

    def write(self, git: Git, tree: Path, commit: str, *, accepted: str) -> list[str]:
        """Write the files of a commit's submodules into its tree; returns their paths.

        A submodule whose address differs from that of the commit `accepted` is left empty; so is one at
        another commit that cannot be fetched, as the work set that, and its agent is to repair it. Raises
        SubmoduleError, and what `Remote.run` raises.
        """
        there = submodules_at(git, accepted)
        known = {(one.name, one.path, one.url) for one in there}
        written = []
        for one in there if commit == accepted else submodules_at(git, commit):
            if (one.name, one.path, one.url) not in known:
                continue
            try:
                self._write(one, tree / one.path, self.remote.address, levels=MOST_LEVELS)
            except SubmoduleError:
                if one in there:
                    raise
            else:
                written.append(one.path)
        return written

    def addresses(self, submodule: Submodule, outer: str) -> Iterator[str]:
        """Where a submodule may be, the nearest first: what a person has fetched already comes first.

        `outer` is the address of the repository that it is in.
        """
        inside = Path(outer)
        if not _ELSEWHERE.match(outer) and inside.is_dir():
            asked = Git(inside)
            common = inside / asked("rev-parse", "--git-common-dir")
            if (fetched := common / "modules" / submodule.name).is_dir():
                yield str(fetched)
            set_by_hand = asked.attempt("config", "--get", f"submodule.{submodule.name}.url").stdout.strip()
            if set_by_hand:
                yield set_by_hand
            origin = asked.attempt("config", "--get", "remote.origin.url").stdout.strip()
            if origin and submodule.url.startswith(("./", "../")):
                yield resolved(submodule.url, origin)
        yield resolved(submodule.url, outer)

    def _write(self, submodule: Submodule, folder: Path, outer: str, *, levels: int) -> None:
        """Fetch a submodule, write its files, and those of its own submodules."""
        failures = []
        for address in self.addresses(submodule, outer):
            try:
                git = self._fetched(submodule, address)
            except (GitError, ConflictError, NotFoundError) as error:
                failures.append(str(error))
                continue
            self._check_out(git, submodule.commit, folder)
            for inner in submodules_at(git, submodule.commit) if levels else []:
                self._write(inner, folder / inner.path, address, levels=levels - 1)
            return
        raise SubmoduleError(submodule, "; ".join(failures) or "it has no address")

    def _fetched(self, submodule: Submodule, address: str) -> Git:
        """The repository in the cache that has the commit."""
        remote = self._remote(submodule, address)
        path = self.cache / f"{hashlib.sha256(remote.address.encode()).hexdigest()[:16]}.git"
        git = Git(path, access=GitAccess(environment={**self.environment, "GIT_DIR": str(path.resolve())}))
        if not (path / "HEAD").exists():
            path.mkdir(parents=True, exist_ok=True)
            form = "sha256" if len(submodule.commit) == len(hashlib.sha256().hexdigest()) else "sha1"
            git("init", "--bare", "--quiet", "--template=", f"--object-format={form}")
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow", "--", remote.address]
        there = f"{submodule.commit}^{{commit}}"
        for wanted in ([f"{submodule.commit}:refs/coalmine/{submodule.commit}"], ["+refs/*:refs/remote/*"]):
            if git.attempt("cat-file", "-e", there).returncode == 0:
                break
            try:
                remote.run(git, "fetch", *options, *wanted)
            except (GitError, ConflictError, NotFoundError):
                if wanted[0].startswith("+"):
                    raise
        git("cat-file", "-e", there)
        return git

    def _remote(self, submodule: Submodule, address: str) -> Remote:
        """How to reach it: as who we are, where that is the same server; not on this disk from elsewhere."""
        far = bool(_ELSEWHERE.match(address))
        if _RUNS_A_PROGRAM.match(address) or address.startswith("-"):
            raise SubmoduleError(submodule, "git would run a program for that address")
        if not far and _ELSEWHERE.match(self.remote.address):
            raise SubmoduleError(submodule, "a repository on a server cannot have one on this disk")
        ours = far and urlsplit(address)[:2] == urlsplit(self.remote.address)[:2]
        return replace(self.remote, address=address, credential=self.remote.credential if ours else None)

    def _check_out(self, git: Git, commit: str, folder: Path) -> None:
        """Write the files of a commit into an empty folder, which is where it should be and not a link."""
        if folder.is_symlink() or folder.resolve() != folder.parent.resolve() / folder.name:
            return
        folder.mkdir(exist_ok=True)
        index = (git.directory / "files.index").resolve()
        index.unlink(missing_ok=True)
        place = {
            **self.environment,
            "GIT_DIR": str(git.directory.resolve()),
            "GIT_WORK_TREE": str(folder.resolve()),
            "GIT_INDEX_FILE": str(index),
        }
        files = self.remote.limits.for_files(Git(folder, access=GitAccess(environment=place)))
        files(*PLAIN, "-c", "core.bare=false", "read-tree", "--reset", "-u", commit)


def submodules_at(git: Git, commit: str) -> list[Submodule]:
    """The submodules of a commit that have an address."""
    entries = (entry.partition("\t") for entry in git("ls-tree", "-r", "-z", commit).split("\0"))
    links = {path: head.split()[2] for head, _, path in entries if head.startswith(_SUBMODULE)}
    if not links:
        return []
    blob = f"{commit}:.gitmodules"
    pattern = r"^submodule\..*\.(path|url)$"
    listed = git.attempt("config", "-z", "--blob", blob, "--get-regexp", pattern).stdout
    settings: dict[str, dict[str, str]] = {}
    for entry in filter(None, listed.split("\0")):
        key, _, value = entry.partition("\n")
        name, _, what = key.removeprefix("submodule.").rpartition(".")
        settings.setdefault(name, {})[what] = value
    return [
        Submodule(name=name, path=one["path"], url=one["url"], commit=links[one["path"]])
        for name, one in settings.items()
        if one.get("path") in links and one.get("url") and _is_inside(one["path"]) and _is_inside(name)
    ]


def _is_inside(path: str) -> bool:
    """Whether a path stays below the folder that it begins at."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and not {"..", ".git"} & {part.lower() for part in parts}


def resolved(url: str, outer: str) -> str:
    """The address that a relative one means: `../lib` beside the outer repository (see git-submodule)."""
    if not url.startswith(("./", "../")):
        return url
    outer = outer.rstrip("/")
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            outer = re.sub(r"[/:][^/:]*$", "", outer)
        url = url.partition("/")[2]
    return f"{outer}/{url}"
