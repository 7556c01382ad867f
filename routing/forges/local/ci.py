"""CI for the local forge: the user's command, on exactly one commit, in a clone of its own."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.errors import CorruptRecordError
from routing.forges.commit_status import CombinedStatus, CommitStatus, StatusState
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.durable_file import locked, read_regular, replace_file
from routing.forges.local.git import LocalGit, existing_commit
from routing.forges.work_branch import checked_commit
from routing.process.bounded_command import BoundedLog, run_bounded
from routing.process.command import Command, Ended, SpawnError

#: Who speaks in the statuses of the CI command.
CI_CONTEXT = "ci/local"

#: What is kept of the command's output, in bytes: the first and the last half.
MAX_LOG_BYTES = 2 * 1024 * 1024

#: How long after its time limit a run may still need for the clone and the end of its processes, in seconds.
CLAIM_SLACK_SECONDS = 120.0

#: What the CI command sees of our environment.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")

_LONGEST_CHARACTER = 4  # bytes in UTF-8
_MAX_STATUS_BYTES = 256 * 1024
_CANNOT_RUN, _NOT_FOUND = 126, 127


class StatusFile(BaseModel):
    """What is written of a commit."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    commit: str
    statuses: tuple[CommitStatus, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalCI:
    """Runs the command and remembers what came of it."""

    repo: Path  # the repository, with a work tree or bare
    command: str  # a shell line of the user's own settings; never text from outside
    timeout_seconds: float
    work_dir: Path  # the clones are made and removed here
    state_dir: Path  # `statuses/` and `logs/` are kept here
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    clock: Callable[[], float] = time.time  # seconds since the epoch

    def run(self, commit: str) -> CommitStatus:
        """Run the command on a commit that has no verdict yet, and return the verdict.

        A commit that has one, or that another runner is at work on, is not run: its status is returned.
        """
        existing_commit(LocalGit(self.repo), commit)
        claim, mine = self._claim(commit)
        if not mine:
            return claim
        try:
            ended = self._run_in_clone(commit)
        except BaseException:
            self._replace(commit, claim, None)  # no verdict was reached: the next process may run it
            raise
        verdict = self._verdict(commit, ended)
        self._replace(commit, claim, verdict)
        return verdict

    def try_out(self, commit: str) -> CommitStatus:
        """Run the command and return its verdict. Only a pass is remembered: what failed may be repaired."""
        verdict = self._verdict(commit, self._run_in_clone(existing_commit(LocalGit(self.repo), commit)))
        if verdict.state is StatusState.SUCCESS:
            with self._locked():
                self._write(commit, [verdict])
        return verdict

    def statuses(self, commit: str) -> CombinedStatus:
        """Return the reports about a commit."""
        return CombinedStatus.of(commit, self._read(checked_commit(commit)))

    def needs_run(self, commit: str) -> bool:
        """Whether nobody has judged the commit, nor is at it."""
        return _may_run(_ours(self._read(checked_commit(commit))), self._now(), self._claim_seconds)

    def end_of_log(self, commit: str, *, most_characters: int) -> str:
        """The end of what the command printed on a commit, "" when it printed nothing or its log is gone."""
        try:
            with self._log_of(commit).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _LONGEST_CHARACTER * max(0, most_characters)))
                return file.read().decode("utf-8", errors="replace")[-most_characters:]
        except FileNotFoundError:
            return ""
        except OSError as error:
            message = f"the log of CI of {commit[:12]} could not be read: {error.strerror}"
            raise ForgeUnreachableError(message) from error

    @property
    def _claim_seconds(self) -> float:
        return self.timeout_seconds + CLAIM_SLACK_SECONDS

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def _claim(self, commit: str) -> tuple[CommitStatus, bool]:
        """Say `pending`, unless somebody said so lately or the commit is judged."""
        with self._locked():
            known, now = _ours(self._read(commit)), self._now()
            if known is not None and not _may_run(known, now, self._claim_seconds):
                return known, False
            text = f"running, at most {self.timeout_seconds:g} s"
            claim = self._status(commit, StatusState.PENDING, text, now)
            self._write(commit, [claim])
        return claim, True

    def _replace(self, commit: str, claim: CommitStatus, verdict: CommitStatus | None) -> None:
        """Put the verdict in the place of our claim; a verdict that another runner gave meanwhile stays."""
        with self._locked():
            known = _ours(self._read(commit))
            if known is None or known == claim or (verdict and not known.state.is_final):
                self._write(commit, [verdict] if verdict else [])

    def _run_in_clone(self, commit: str) -> Ended:
        log_file = self._log_of(commit)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._clone(commit) as folder, log_file.open("wb") as file:
                command = Command(
                    argv=["sh", "-c", self.command],
                    cwd=folder,
                    environment=self._environment_of(commit),
                    death_signal=signal.SIGKILL,
                )
                log = BoundedLog(file=file, max_bytes=MAX_LOG_BYTES)
                return run_bounded(command, timeout_seconds=self.timeout_seconds, output=log)
        except (OSError, SpawnError) as error:
            message = (
                f"CI of {commit[:12]} could not be run: {error}; it is not judged, and will be tried again"
            )
            raise ForgeUnreachableError(message) from error

    @contextmanager
    def _clone(self, commit: str) -> Iterator[Path]:
        """A clone, so that what the command does to its repository does not reach the user's."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f"ci-{commit[:12]}-", dir=self.work_dir.resolve(), ignore_cleanup_errors=True
        ) as temporary:
            folder = Path(temporary) / self.repo.resolve().name.removesuffix(".git")
            source = str(self.repo.resolve())
            LocalGit(self.repo).run("clone", "--quiet", "--shared", "--no-checkout", source, str(folder))
            LocalGit(folder).run("checkout", "--quiet", "--detach", commit)
            yield folder

    def _environment_of(self, commit: str) -> dict[str, str]:
        passed = {name: self.environment[name] for name in PASSED_ON if name in self.environment}
        return passed | {"CI": "true", "COALMINE_COMMIT": commit}

    def _verdict(self, commit: str, ended: Ended) -> CommitStatus:
        if ended.timed_out:
            state, text = StatusState.FAILURE, f"took longer than {self.timeout_seconds:g} s and was ended"
        elif ended.exit_code == 0:
            state, text = StatusState.SUCCESS, f"passed in {ended.seconds:.1f} s"
        elif ended.exit_code in {_CANNOT_RUN, _NOT_FOUND}:
            state, text = StatusState.ERROR, f"the command could not be run (exit {ended.exit_code})"
        else:
            state, text = StatusState.FAILURE, f"failed in {ended.seconds:.1f} s (exit {ended.exit_code})"
        return self._status(commit, state, text, self._now())

    def _status(self, commit: str, state: StatusState, text: str, at: datetime) -> CommitStatus:
        url = str(self._log_of(commit))
        return CommitStatus(context=CI_CONTEXT, state=state, description=text, url=url, at=at)

    def _log_of(self, commit: str) -> Path:
        return self.state_dir / "logs" / f"{checked_commit(commit)}.log"

    def _file_of(self, commit: str) -> Path:
        return self.state_dir / "statuses" / f"{checked_commit(commit)}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self.state_dir / "statuses"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / ".lock"):
                yield
        except OSError as error:
            message = f"the statuses in {folder} could not be written: {error.strerror}"
            raise ForgeUnreachableError(message) from error

    def _read(self, commit: str) -> list[CommitStatus]:
        file = self._file_of(commit)
        try:
            content, _ = read_regular(file, max_bytes=_MAX_STATUS_BYTES)
            return list(StatusFile.model_validate_json(content).statuses)
        except FileNotFoundError:
            return []
        except (OSError, CorruptRecordError, ValidationError) as error:
            message = f"the statuses of {commit[:12]} cannot be read; delete {file} to have CI run again"
            raise ForgeUnreachableError(message) from error

    def _write(self, commit: str, ours: list[CommitStatus]) -> None:
        others = [status for status in self._read(commit) if status.context != CI_CONTEXT]
        record = StatusFile(commit=commit, statuses=(*others, *ours))
        replace_file(self._file_of(commit), record.model_dump_json(indent=1).encode())


def _ours(statuses: list[CommitStatus]) -> CommitStatus | None:
    return next((status for status in statuses if status.context == CI_CONTEXT), None)


def _may_run(known: CommitStatus | None, now: datetime, claim_seconds: float) -> bool:
    """A claim whose runner is overdue counts for nothing: the runner has died."""
    if known is None:
        return True
    return not known.state.is_final and (now - known.at).total_seconds() > claim_seconds
