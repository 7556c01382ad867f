"""A forge's main branches as git repositories on this host, so that what landed is judged by content.

An API says of a merge what it says; whether the work is on the main branch, under whatever commits, and
whether it is there still, only the branch itself shows. So it is fetched, once for each new commit of it.
Nothing is fetched while the branch stays where it is.

A forge whose git gives no answer costs knowledge, and stops nothing: what its API says counts then. Fetches
go on beside the ticks, which wait a few seconds for them: a large repository holds up no other.
"""

import fcntl
import os
import re
import shutil
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import structlog

from routing.base import Base
from routing.errors import CoalmineError
from routing.forges.change_request import ChangeRequest
from routing.forges.errors import ForgeRefusedError, ForgeTokenError, ForgeUnreachableError
from routing.forges.work_branch import checked_branch, checked_commit
from routing.git.git import Git, GitError
from routing.git.main_history import Landing, MainHistory
from routing.git.push_refusal import PushRefusedError
from routing.git.remote import Remote, RemoteRefusedError

_log = structlog.get_logger(__name__)

#: Seconds for a fetch, for a git that only reads here, and for another process that is fetching.
FETCH_SECONDS = 300.0
GIT_SECONDS = 60.0
LOCK_SECONDS = 20.0

#: Seconds after its start for which a fetch is waited for: a tick has other repositories to look at.
PATIENCE_SECONDS = 10.0

#: Seconds between two fetches of a repository that fail: doubled from the first to the longest.
FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 1800.0

#: Answers that are kept: what one head is on one commit of a main branch does not change.
KEPT_ANSWERS = 2000

_YES, _NO = 0, 1
_SHA256_CHARACTERS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class SoughtWork:
    """Work that is looked for on a main branch."""

    repo: str
    base: str  # name of the branch that it was to be merged into
    tip: str  # newest commit of that branch, as the API says
    branch: str  # the work's own, which may be gone
    head: str  # its newest commit
    number: int | None = None  # of its pull request
    merged_as: str = ""  # the commit that the API says it was merged as
    since: str = ""  # where it began, "" when that is not known


class HistoryAwaitedError(ForgeUnreachableError):
    """A fetch is under way: ask again soon."""


@dataclass(slots=True)
class _Fetch:
    """One fetch, in a thread of its own."""

    begun_at: float
    over: threading.Event = field(default_factory=threading.Event)
    fault: Exception | None = None


class _Fetches:
    """The fetches of one repository, one after the other. Safe to share between threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._newest: _Fetch | None = None
        self._failures = 0  # in a row
        self._paused_until = 0.0

    def run(self, fetch: Callable[[], object]) -> None:
        """Fetch. HistoryAwaitedError while one goes on; what went wrong, also a short while later."""
        mine = False
        while not mine:
            one, mine = self._begun(fetch)
            if not one.over.wait(max(0.0, one.begun_at + PATIENCE_SECONDS - self._monotonic())):
                raise HistoryAwaitedError("the main branch is being fetched; it is asked again later")
        if one.fault is not None:
            raise ForgeUnreachableError(str(one.fault)) from one.fault

    def _begun(self, fetch: Callable[[], object]) -> tuple[_Fetch, bool]:
        """The fetch that goes on, or one that was begun now; whether it is that."""
        with self._lock:
            newest = self._newest
            if newest is not None and not newest.over.is_set():
                return newest, False
            if newest is not None and newest.fault is not None and self._monotonic() < self._paused_until:
                raise ForgeUnreachableError(str(newest.fault)) from newest.fault
            self._newest = begun = _Fetch(begun_at=self._monotonic())
        threading.Thread(target=self._do, args=(fetch, begun), name="history-fetch", daemon=True).start()
        return begun, True

    def _do(self, fetch: Callable[[], object], one: _Fetch) -> None:
        try:
            fetch()
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - it is raised where the fetch was asked for
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10))
            self._failures += 1
            self._paused_until = self._monotonic() + pause
            one.fault = error
        finally:
            one.over.set()


@dataclass(frozen=True, slots=True)
class _BareGit:
    """One bare repository of ours. What fails is never taken for an answer."""

    directory: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run git and return what it printed, or raise GitError."""
        return self._git(*arguments, stdin=stdin)

    def ask(self, *arguments: str) -> tuple[int, str]:
        """Run git where 0 and 1 are answers; anything else is GitError."""
        done = self._git.attempt(*arguments)
        if done.returncode not in {_YES, _NO}:
            message = f"git {arguments[0]} failed in {self.directory}: {done.stderr.strip()[-500:]}"
            raise GitError(message, stderr=done.stderr, returncode=done.returncode)
        return done.returncode, done.stdout

    def has_commit(self, commit: str) -> bool:
        """Whether it was fetched."""
        return self._git.attempt("cat-file", "-e", f"{checked_commit(commit)}^{{commit}}").returncode == _YES

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `of` contains `commit`."""
        return self.ask("merge-base", "--is-ancestor", commit, of)[0] == _YES

    @property
    def _git(self) -> Git:
        return Git(self.directory, timeout_seconds=GIT_SECONDS)


@dataclass(kw_only=True)
class RestHistory:
    """Answers for one forge. Threads and processes may share the folder: one of them fetches at a time."""

    remote: Callable[[str], Remote]  # where git finds a repository
    folder: Path | None = None  # of the repositories; None: one that ends with the process
    request_ref: str = "refs/pull/{number}/head"  # under which a request's head is kept
    monotonic: Callable[[], float] = time.monotonic
    _fetches: dict[str, _Fetches] = field(default_factory=dict)  # by repository
    _answers: OrderedDict[SoughtWork, Landing | None] = field(default_factory=OrderedDict)

    def landing(self, work: SoughtWork) -> Landing | None:
        """How the work landed, None when it did not, or is not there any longer.

        ForgeUnreachableError when git gave no answer, for whatever reason; HistoryAwaitedError when it is at
        it.
        """
        if work not in self._answers:
            try:
                self._answers[work] = self._asked(work)
            except HistoryAwaitedError:
                raise
            except (CoalmineError, OSError) as error:
                message = f"the history of {work.repo} could not be read: {error}"
                raise ForgeUnreachableError(message) from error
            while len(self._answers) > KEPT_ANSWERS:
                self._answers.popitem(last=False)
        return self._answers[work]

    def conflicts(self, change: ChangeRequest, onto: Base) -> tuple[str, ...]:
        """The files in which a change and the branch that it goes to conflict; () when git merges them.

        ForgeUnreachableError when git gave no answer; one older than 2.38 never does.
        """
        head, tip = checked_commit(change.head), checked_commit(onto.commit)
        work = SoughtWork(
            repo=change.repo, base=onto.branch, tip=tip, branch=change.branch, head=head, number=change.number
        )
        options = ("--write-tree", "--no-messages", "--name-only", "-z")
        repository = self._repository(change.repo)
        try:
            self._fetch(repository, work)
            code, printed = repository.ask("merge-tree", *options, tip, head)
        except HistoryAwaitedError:
            raise
        except (CoalmineError, OSError) as error:
            message = f"whether {change.branch} of {change.repo} can be merged is not known: {error}"
            raise ForgeUnreachableError(message) from error
        return () if code == _YES else tuple(filter(None, printed.split("\0")[1:]))

    def delete_branch(self, repo: str, branch: str, head: str) -> None:
        """Delete a branch there, which the server does only while it is at `head`.

        ForgeRefusedError when it does not let us, ForgeTokenError when it does not take our token,
        ForgeUnreachableError when that is not known.
        """
        repository, reference = self._repository(repo), f"refs/heads/{checked_branch(branch)}"
        options = ("--quiet", "--no-verify", f"--force-with-lease={reference}:{checked_commit(head)}")
        try:
            with _locked(repository.directory.with_suffix(".lock")):
                self._make(repository, head)
            remote = self.remote(repo)
            remote.run(Git(repository.directory), "push", *options, "--", remote.address, f":{reference}")
        except (PushRefusedError, RemoteRefusedError) as error:
            message = f"the branch {branch!r} of {repo} was not deleted: {error}"
            is_token = isinstance(error, RemoteRefusedError)
            raise (ForgeTokenError if is_token else ForgeRefusedError)(message) from error
        except (CoalmineError, OSError) as error:
            message = f"whether the branch {branch!r} of {repo} was deleted is not known: {error}"
            raise ForgeUnreachableError(message) from error

    def _repository(self, repo: str) -> _BareGit:
        return _BareGit(self._home / f"{re.sub(r'[^A-Za-z0-9._-]', '+', repo)}.git")

    def _asked(self, work: SoughtWork) -> Landing | None:
        repository = self._repository(work.repo)
        self._fetch(repository, work)
        history = MainHistory(git=repository, tip=checked_commit(work.tip))
        head = checked_commit(work.head) if work.head else ""
        merged_as = checked_commit(work.merged_as) if work.merged_as else ""
        if not any(commit and repository.has_commit(commit) for commit in (head, merged_as)):
            message = "neither the work's branch nor the commit that it was merged as is there any longer"
            raise ForgeUnreachableError(message)
        return history.landing(head, base=work.since, merged_as=merged_as)

    def _fetch(self, repository: _BareGit, work: SoughtWork) -> None:
        """Have the main branch's newest commit here, and the work's head if it can still be had."""
        if (repository.directory / "HEAD").exists() and self._has(repository, work.tip, work.head):
            return
        fetches = self._fetches.setdefault(work.repo, _Fetches(self.monotonic))
        fetches.run(lambda: self._fetched(repository, work))

    def _fetched(self, repository: _BareGit, work: SoughtWork) -> None:
        with _locked(repository.directory.with_suffix(".lock")):
            self._make(repository, work.tip)
            if not repository.has_commit(work.tip):
                self._take(repository, work, f"refs/heads/{checked_branch(work.base)}")
            sources = [f"refs/heads/{checked_branch(work.branch)}"] if work.branch else []
            sources += [self.request_ref.format(number=work.number)] if work.number is not None else []
            for source in sources:
                if work.head and not repository.has_commit(work.head):
                    try:
                        self._take(repository, work, source)
                    except GitError as error:  # the branch is gone: the main branch alone is looked at
                        _log.info("history.not_fetched", repo=work.repo, source=source, reason=str(error))

    @staticmethod
    def _has(repository: _BareGit, *commits: str) -> bool:
        return all(repository.has_commit(commit) for commit in commits if commit)

    def _take(self, repository: _BareGit, work: SoughtWork, source: str) -> None:
        remote = self.remote(work.repo)
        remote = replace(remote, limits=remote.limits.model_copy(update={"transfer_seconds": FETCH_SECONDS}))
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        remote.run(Git(repository.directory), "fetch", *options, "--", remote.address, f"+{source}:{source}")

    @staticmethod
    def _make(repository: _BareGit, commit: str) -> None:
        """A bare repository; one whose making was interrupted is made again."""
        repository.directory.mkdir(parents=True, exist_ok=True)
        if not (repository.directory / "HEAD").exists():
            hashes = "sha256" if len(commit) == _SHA256_CHARACTERS else "sha1"
            options = ("--quiet", "--bare", "--template=", f"--object-format={hashes}")
            Git(repository.directory)("init", *options, ".")
            Git(repository.directory)("config", "gc.autoDetach", "false")

    @cached_property
    def _home(self) -> Path:
        if self.folder is None:
            temporary = Path(tempfile.mkdtemp(prefix="coalmine-history-"))
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
            return temporary
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder.resolve()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let in one process or thread at a time; ForgeUnreachableError when another is in for too long."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    until = time.monotonic() + LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    message = f"another process fetches into {file.stem}; it is asked again later"
                    raise ForgeUnreachableError(message) from None
                time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)
