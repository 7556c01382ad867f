"""Git as a child process: the one place that knows its environment, its time limit and its errors.

Every git runs in a process group of its own under a time limit. When it ends, or does not in time, the whole
group is ended: a helper that hangs (a credential helper, a transfer, a filter) keeps nobody waiting. A git
whose worker is killed runs to its own end: the parent death signal would cost each git the start of a Python.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from routing.errors import UnavailableError
from routing.git.complaints import LIMITS, Complaints
from routing.process.bounded_command import Captured, capture
from routing.process.command import Command, SpawnError

#: What git sees of our environment: enough to find programs, credentials, certificates and proxies.
_PASSED_ON = (
    *("PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),  # which files are its configuration
    *("HTTPS_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
)

#: Author of the commits and merges that Coalmine itself makes.
IDENTITY_NAME = "Coalmine"
IDENTITY_EMAIL = "coalmine@localhost"

#: Signals by which a host that is at its limits, or is shut down, ends a git.
_ENDED = frozenset({-signal.SIGKILL, -signal.SIGTERM})


class GitError(UnavailableError):
    """Git refused or failed, was not there, or took too long.

    `stderr` is what it printed there, `returncode` its exit code; "" and None when it did not come to an end.
    `at_limit` says whether this host had no room, memory, descriptors or processes left for it.
    """

    def __init__(
        self, message: str, *, stderr: str = "", returncode: int | None = None, at_limit: bool = False
    ) -> None:
        super().__init__(message)
        self.stderr = stderr
        self.returncode = returncode
        self.at_limit = at_limit or returncode in _ENDED

    @property
    def has_answered(self) -> bool:
        """Whether git came to an end of its own, neither late nor killed."""
        return self.returncode is not None and self.returncode >= 0


def is_at_limit(error: BaseException | None) -> bool:
    """Whether this host has no room, memory or descriptors left; what was asked may be sound."""
    if isinstance(error, OSError):
        return error.errno in LIMITS
    return isinstance(error, GitError) and error.at_limit


def git_environment() -> dict[str, str]:
    """The environment of every git: no prompts, English messages, our identity where it has none."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "GIT_AUTHOR_NAME": IDENTITY_NAME,
        "GIT_AUTHOR_EMAIL": IDENTITY_EMAIL,
        "GIT_COMMITTER_NAME": IDENTITY_NAME,
        "GIT_COMMITTER_EMAIL": IDENTITY_EMAIL,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class GitAccess:
    """What a git that speaks to a remote gets beside its arguments."""

    options: Sequence[str] = ()  # put before the command's name
    environment: Mapping[str, str] = field(default_factory=dict)  # replaces variables of `git_environment`
    descriptors: Sequence[int] = ()  # inherited by it and its children


@dataclass(frozen=True, kw_only=True, slots=True)
class GitAnswer:
    """What a git answered that came to its end."""

    returncode: int  # 0: yes, or done; negative: the signal that ended it
    stdout: str
    stderr: str
    at_limit: bool = False  # see `GitError`


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """A git that came to its end, and whether this host was at its limits."""

    returncode: int
    output: bytes
    error: bytes
    at_limit: bool


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one directory (a work tree or a bare repository). Calls block; threads may share one."""

    directory: Path
    timeout_seconds: float = 120.0  # for each command
    idle_seconds: float | None = None  # for which one may do nothing at all; None: as long as it may take
    access: GitAccess | None = None  # to a remote, see `Remote`

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run `git ARGUMENTS` and return its standard output without the last newline; else GitError."""
        done = self.attempt(*arguments, stdin=stdin)
        if done.returncode != 0:
            raise self.error(arguments, done)
        return done.stdout.rstrip("\n")

    def attempt(self, *arguments: str, stdin: str | None = None) -> GitAnswer:
        """Run `git ARGUMENTS` and return what it answered, for callers to whom an exit code is an answer.

        Raises GitError when git could not be started, or took longer than `timeout_seconds`: then it was
        ended, with all that it had started. SIGTERM comes first, so that it removes its lock files.
        """
        done = self._run(arguments, None if stdin is None else stdin.encode(errors="replace"))
        return GitAnswer(
            returncode=done.returncode,
            stdout=_text(done.output),
            stderr=_text(done.error),
            at_limit=done.at_limit,
        )

    def raw(self, *arguments: str, stdin: bytes | None = None, also: int = 0) -> bytes:
        """Run `git ARGUMENTS` and return its standard output as it is; else GitError. For names of files.

        `also` is an exit code beside 0 that is an answer and no failure.
        """
        done = self._run(arguments, stdin)
        if done.returncode not in {0, also}:
            said = GitAnswer(
                returncode=done.returncode, stdout="", stderr=_text(done.error), at_limit=done.at_limit
            )
            raise self.error(arguments, said)
        return done.output

    def error(self, arguments: Sequence[str], answer: GitAnswer) -> GitError:
        """The error that says what a git answered."""
        reason = answer.stderr.strip()[-2000:] or "nothing on its standard error"
        what = f"git {' '.join(arguments[:2])} failed in {self.directory} (exit {answer.returncode})"
        return GitError(
            f"{what}: {reason}",
            stderr=answer.stderr,
            returncode=answer.returncode,
            at_limit=answer.at_limit,
        )

    def _run(self, arguments: Sequence[str], stdin: bytes | None) -> _Done:
        try:
            with Complaints.noted() as complaints:
                done = self._captured(arguments, stdin, complaints)
                code = done.ended.exit_code or 0
                limit = code != 0 and complaints.are_of_a_limit()
        except OSError as error:
            message = f"git could not be run in {self.directory}: {error.strerror or error}"
            raise GitError(message, at_limit=is_at_limit(error)) from error
        return _Done(returncode=code, output=done.output, error=done.error, at_limit=limit)

    def _captured(self, arguments: Sequence[str], stdin: bytes | None, complaints: Complaints) -> Captured:
        access = self.access or GitAccess()
        command = Command(
            argv=["git", *access.options, *arguments],
            cwd=self.directory,
            environment=git_environment() | complaints.environment | dict(access.environment),
            stdin=stdin,
            descriptors=[*access.descriptors, complaints.descriptor],
        )
        try:
            done = capture(command, timeout_seconds=self.timeout_seconds, idle_seconds=self.idle_seconds)
        except SpawnError as error:
            message = f"git could not be run in {self.directory}: install git, and see that the folder exists"
            raise GitError(message) from error
        if done.ended.timed_out or done.ended.exit_code is None:
            late = done.ended.seconds >= self.timeout_seconds or self.idle_seconds is None
            how = (
                f"took over {self.timeout_seconds:g} s"
                if late
                else f"did nothing for {self.idle_seconds:g} s"
            )
            message = (
                f"git {' '.join(arguments[:2])} {how} in {self.directory}; see the settings git.*_seconds"
            )
            raise GitError(message)
        return done


def _text(printed: bytes) -> str:
    """Text, with a newline for each line end: git rewrites lines of progress with carriage returns."""
    return printed.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
