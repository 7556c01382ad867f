"""Git as a child process: the one place that knows its environment, its time limit and its errors.

Every git runs in a process group of its own under a time limit. When it ends, or does not in time, the whole
group is ended: a helper that hangs (a credential helper, a transfer, a filter) keeps nobody waiting. A git
whose worker is killed runs to its own end: the parent death signal would cost each git the start of a Python.
"""

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from routing.errors import UnavailableError
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

#: How the system says that this host is at its limits: by number, and in the words of a git.
_LIMITS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
_LIMIT_WORDS = re.compile(
    r"no space left on device|disk quota exceeded|input/output error|read-only file system"
    r"|too many open files|cannot allocate memory|cannot fork|resource temporarily unavailable"
    r"|died of signal (9|15)",
    re.IGNORECASE,
)


class GitError(UnavailableError):
    """Git refused or failed, was not there, or took too long.

    `stderr` is what it printed there, `returncode` its exit code; "" and None when it did not come to an end.
    """

    def __init__(self, message: str, *, stderr: str = "", returncode: int | None = None) -> None:
        super().__init__(message)
        self.stderr = stderr
        self.returncode = returncode

    @property
    def has_answered(self) -> bool:
        """Whether git came to an end of its own, neither late nor killed."""
        return self.returncode is not None and self.returncode >= 0


def is_at_limit(error: BaseException | None) -> bool:
    """Whether this host has no room, memory or descriptors left; what was asked may be sound."""
    if isinstance(error, OSError):
        return error.errno in _LIMITS
    return isinstance(error, GitError) and bool(_LIMIT_WORDS.search(error.stderr))


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
            raise self._error(arguments, done.returncode, done.stderr)
        return done.stdout.rstrip("\n")

    def attempt(self, *arguments: str, stdin: str | None = None) -> GitAnswer:
        """Run `git ARGUMENTS` and return what it answered, for callers to whom an exit code is an answer.

        Raises GitError when git could not be started, or took longer than `timeout_seconds`: then it was
        ended, with all that it had started. SIGTERM comes first, so that it removes its lock files.
        """
        done = self._run(arguments, None if stdin is None else stdin.encode(errors="replace"))
        return GitAnswer(
            returncode=done.ended.exit_code or 0, stdout=_text(done.output), stderr=_text(done.error)
        )

    def raw(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Run `git ARGUMENTS` and return its standard output as it is; else GitError. For names of files."""
        done = self._run(arguments, stdin)
        if done.ended.exit_code != 0:
            raise self._error(arguments, done.ended.exit_code or 0, _text(done.error))
        return done.output

    def _run(self, arguments: Sequence[str], stdin: bytes | None) -> Captured:
        access = self.access or GitAccess()
        command = Command(
            argv=["git", *access.options, *arguments],
            cwd=self.directory,
            environment=git_environment() | dict(access.environment),
            stdin=stdin,
            descriptors=access.descriptors,
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

    def _error(self, arguments: Sequence[str], returncode: int, stderr: str) -> GitError:
        reason = stderr.strip()[-2000:] or "nothing on its standard error"
        what = f"git {' '.join(arguments[:2])} failed in {self.directory} (exit {returncode})"
        return GitError(f"{what}: {reason}", stderr=stderr, returncode=returncode)


def _text(printed: bytes) -> str:
    """Text, with a newline for each line end: git rewrites lines of progress with carriage returns."""
    return printed.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
