"""Git as a subprocess: one place that knows its environment, its time limit and its errors."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from routing.errors import UnavailableError

#: What git may see of our environment: enough to find programs, credentials and certificates.
_PASSED_ON = ("PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY")

#: Name and address of commits and merges that Coalmine itself makes.
IDENTITY_NAME = "Coalmine"
IDENTITY_EMAIL = "coalmine@localhost"


class GitError(UnavailableError):
    """Git refused or failed; `stderr` holds what it said."""

    def __init__(self, message: str, *, stderr: str = "", returncode: int | None = None) -> None:
        super().__init__(message)
        self.stderr = stderr
        self.returncode = returncode


def git_environment() -> dict[str, str]:
    """The environment of every git that we start: no prompts, stable messages, our identity as a fallback."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "GIT_AUTHOR_NAME": IDENTITY_NAME,
        "GIT_AUTHOR_EMAIL": IDENTITY_EMAIL,
        "GIT_COMMITTER_NAME": IDENTITY_NAME,
        "GIT_COMMITTER_EMAIL": IDENTITY_EMAIL,
    }


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one directory (a work tree or a bare repository)."""

    directory: Path
    timeout_seconds: float = 120.0

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run `git ARGUMENTS` and return its standard output without the last newline."""
        done = self.attempt(*arguments, stdin=stdin)
        if done.returncode != 0:
            said = done.stderr.strip()[-2000:] or "nothing on its standard error"
            message = (
                f"git {' '.join(arguments[:2])} failed in {self.directory} (exit {done.returncode}): {said}"
            )
            raise GitError(message, stderr=done.stderr, returncode=done.returncode)
        return done.stdout.rstrip("\n")

    def attempt(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `git ARGUMENTS` and return whatever came of it, for callers to whom a refusal is an answer."""
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=self.directory,
                env=git_environment(),
                input=stdin if stdin is not None else "",
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=self.timeout_seconds,
                check=False,
            )
        except FileNotFoundError as error:
            message = f"git could not be run in {self.directory}: install git, and see that the folder exists"
            raise GitError(message) from error
        except subprocess.TimeoutExpired as error:
            message = (
                f"git {' '.join(arguments[:2])} took over {self.timeout_seconds:g} s in {self.directory}"
            )
            raise GitError(message) from error
