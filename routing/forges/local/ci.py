"""CI for the local forge: the user's command, on exactly one commit, in a clone of its own.

The command is the operator's and trusted; the commit that it runs on is an agent's and is not. So it runs in
a clone that is thrown away, with a short list of variables and no token. What it has started is killed at its
end or time limit, detached or not, as an agent's is, and the command does not outlive this process. That
keeps accidents away. It is not a sandbox: code under test runs as this user.

A commit's state: no status, then `pending` (a claim by one runner, with a time, and a lock that ends with the
runner), then one verdict. A verdict is final; only deleting its file has CI run again. Processes exclude each
other by the lock in `statuses/`, which is never held while the command runs. A status of ours is sealed with
a key that only this user can read: a file that somebody else wrote, or copied from another commit, proves
nothing.
"""

import hashlib
import hmac
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from glob import escape
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.errors import CorruptRecordError
from routing.folder_removal import remove_all
from routing.forges.commit_status import CombinedStatus, CommitStatus, StatusState
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.ci_sandbox import CiSandbox
from routing.forges.local.ci_submodules import BrokenSubmoduleError, CiSubmodules
from routing.forges.local.durable_file import locked, read_regular, replace_file
from routing.forges.local.git import LocalGit, existing_commit
from routing.forges.local.runner_lock import CiClaim, RunnerLock, RunnerSign, sign_of
from routing.forges.work_branch import checked_commit
from routing.git.git import GitError
from routing.printable import printable
from routing.process.bounded_command import BoundedLog, Stop, run_bounded
from routing.process.cgroup_probe import usable_cgroup_home
from routing.process.command import Command, Ended, SpawnError
from routing.process.descendants import Descendants
from routing.process.table import ProcessTable

#: Who speaks in the statuses of the CI command.
CI_CONTEXT = "ci/local"

#: What is kept of the command's output, in bytes: the first and the last half.
MAX_LOG_BYTES = 2 * 1024 * 1024

#: How long after its time limit a run may still need for the clone and the end of its processes, in seconds.
CLAIM_SLACK_SECONDS = 120.0

#: What the CI command sees of our environment.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")

# The end of a log is cut by characters and read by bytes.
_LONGEST_CHARACTER = 4  # bytes in UTF-8
_MAX_STATUS_BYTES = 256 * 1024
_MAX_DESCRIPTION_CHARACTERS = 500
_KEY_BYTES = 32
#: Exit codes by which a POSIX shell says that a command cannot be run, or was not found.
CANNOT_RUN, NOT_FOUND = 126, 127


class StatusFile(BaseModel):
    """What is written of a commit. Other contexts than ours may be in it, and are kept."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    schema_version: Literal[1] = 1
    commit: str
    statuses: tuple[CommitStatus, ...]
    seal: str = ""  # of our status and the commit; without it our status does not count


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalCI:
    """Runs the command and remembers its verdicts.

    Safe for several threads and processes at once, also for the same commit: one of them runs, the others are
    answered with its claim.
    """

    repo: Path  # the repository, with a work tree or bare
    command: str  # a shell line of the user's own settings; never text from outside
    timeout_seconds: float
    work_dir: Path  # the clones are made and removed here
    state_dir: Path  # `statuses/` and `logs/` are kept here
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    clock: Callable[[], float] = time.time  # seconds since the epoch
    sandbox: CiSandbox = field(default_factory=CiSandbox)
    submodules: bool = True  # whether they are in the clone
    main: str = ""  # the main branch; "" finds it

    def run(self, commit: str) -> CommitStatus:
        """Run the command on a commit that has no verdict yet, and return the verdict.

        A commit that has one, or that another runner is at work on, is not run: its status is returned. Takes
        up to `timeout_seconds` and some for the clone. ForgeGoneError for a commit that the repository has
        not; ForgeUnreachableError when the command could not be started: then no verdict is recorded.
        """
        existing_commit(LocalGit(self.repo), commit)
        claim = self._claim(commit)
        if not claim.is_ours:
            return claim.status
        verdict = None
        try:
            verdict = self._judged(commit)
        finally:
            self._replace(commit, claim, verdict)  # without a verdict the next process may run it
        return verdict

    def try_out(self, commit: str) -> CommitStatus:
        """Run the command and return its verdict. Only a pass is remembered: what failed may be repaired.

        `coalmine up` calls it before it starts anything. It takes no claim, so it may run beside a worker.
        """
        verdict = self._judged(existing_commit(LocalGit(self.repo), commit))
        if verdict.state is StatusState.SUCCESS:
            with self._locked():
                self._write(commit, [verdict])
        return verdict

    def statuses(self, commit: str) -> CombinedStatus:
        """Return the reports about a commit, none for one that the repository does not have.

        The command's must pass, and that of everybody else who reports something.
        """
        said = CombinedStatus.of(commit, self._read(checked_commit(commit)))
        contexts = dict.fromkeys((CI_CONTEXT, *(one.context for one in said.statuses if not one.is_own)))
        return said.model_copy(update={"required": tuple(map(escape, contexts))})

    def note_same(self, commit: str, judged: str) -> None:
        """Give a commit the verdict of another one, if both have the same files: CI need not run again."""
        git = LocalGit(self.repo)
        if len({git.run("rev-parse", f"{checked_commit(one)}^{{tree}}") for one in (commit, judged)}) > 1:
            return
        with self._locked():
            verdict = _ours(self._read(judged))
            if verdict is not None and verdict.state.is_final and _ours(self._read(commit)) is None:
                self._write(commit, [verdict])

    def needs_run(self, commit: str) -> bool:
        """Whether nobody has judged the commit, nor is at it.

        Another runner may claim it right after the answer.
        """
        known = _ours(self._read(checked_commit(commit)))
        if known is None or known.state.is_final:
            return known is None
        with self._locked():
            return self._may_run(commit, _ours(self._read(commit)))

    def end_of_log(self, commit: str, *, most_characters: int) -> str:
        """The end of what the command printed on a commit, "" when it printed nothing or its log is gone.

        Bytes that are not UTF-8 are replaced. The text is of the code under test: not trusted.
        """
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
        """Seconds for which a claim is believed whose runner has not died. After that another may begin."""
        return self.timeout_seconds + CLAIM_SLACK_SECONDS

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def _claim(self, commit: str) -> CiClaim:
        """Say `pending`, unless another runner is at it or the commit is judged."""
        with self._locked():
            known = _ours(self._read(commit))
            if known is not None and not self._may_run(commit, known):
                return CiClaim(status=known, is_ours=False)
            lock = RunnerLock.take(self._lock_of(commit))
            try:
                text = f"running, at most {self.timeout_seconds:g} s"
                status = self._status(commit, StatusState.PENDING, text, self._now())
                self._write(commit, [status])
            except BaseException:
                if lock is not None:
                    lock.release()
                raise
        return CiClaim(status=status, is_ours=True, lock=lock)

    def _may_run(self, commit: str, known: CommitStatus | None) -> bool:
        """Whether nobody is at it; the lock is held.

        A claim counts for nothing whose runner died or is overdue. So does a claim of a time to come: the
        clock was set back since.
        """
        if known is None or known.state.is_final:
            return known is None
        if sign_of(self._lock_of(commit)) is RunnerSign.DIED:
            return True
        waited = (self._now() - known.at).total_seconds()
        return not -CLAIM_SLACK_SECONDS <= waited <= self._claim_seconds

    def _replace(self, commit: str, claim: CiClaim, verdict: CommitStatus | None) -> None:
        """Put the verdict in the place of our claim; a verdict that another runner gave meanwhile stays.

        None withdraws the claim. Two runners can meet only when one was overdue and came back.
        """
        with ExitStack() as held:
            if claim.lock is not None:
                held.callback(claim.lock.release)  # also where the statuses cannot be written
            held.enter_context(self._locked())
            known = _ours(self._read(commit))
            if known is None or known == claim.status or (verdict and not known.state.is_final):
                self._write(commit, [verdict] if verdict else [])

    def _judged(self, commit: str) -> CommitStatus:
        """Run the command and say what its end means; work whose files nobody can have is red without it."""
        log_file = self._log_of(commit)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._verdict(commit, self.run_in_clone(commit, log_file))
        except BrokenSubmoduleError as error:
            log_file.write_text(f"{error}\n", encoding="utf-8")
            text = printable(str(error))[:_MAX_DESCRIPTION_CHARACTERS]
            return self._status(commit, StatusState.FAILURE, text, self._now())

    def run_in_clone(self, commit: str, log_file: Path, *, stop: Stop | None = None) -> Ended:
        """Run the command in a clone. Its output replaces the log of an earlier run, up to a bound.

        `stop` ends it before its time.
        """
        try:
            with self._clone(commit) as folder, log_file.open("wb") as file, ExitStack() as held:
                environment = self._environment_of(commit)
                own = folder.parent / ".coalmine-own"
                inside, said = self.sandbox.command(self.command, folder, own, self.repo, environment)
                if inside is not None:
                    held.enter_context(inside)
                command = Command(
                    argv=inside.argv if inside else ["sh", "-c", self.command],
                    cwd=folder,
                    environment=inside.environment if inside else environment,
                    death_signal=signal.SIGKILL,
                    descriptors=inside.descriptors if inside else (),
                    first_process=inside.first_process if inside else None,
                    is_wrapper=inside is not None,
                )
                log = BoundedLog(file=file, max_bytes=MAX_LOG_BYTES)
                if said:
                    log.write(f"coalmine: {said}\n".encode())
                return run_bounded(
                    command,
                    timeout_seconds=self.timeout_seconds,
                    output=log,
                    descendants=Descendants(ProcessTable(), usable_cgroup_home()),
                    stop=stop,
                    watched=partial(self.sandbox.watch, folder=folder),
                )
        except (OSError, SpawnError) as error:
            message = (
                f"CI of {commit[:12]} could not be run: {error}; it is not judged, and will be tried again"
            )
            raise ForgeUnreachableError(message) from error

    @contextmanager
    def _clone(self, commit: str) -> Iterator[Path]:
        """A clone, so that what the command does to its repository does not reach the user's.

        It shares the objects of the repository, so it costs the checkout alone. Its folder has the
        repository's name, as some build tools take the project's name from there. What cannot be removed is
        left behind: the verdict counts for more.
        """
        self.work_dir.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f"ci-{commit[:12]}-", dir=self.work_dir.resolve()))
        try:
            folder = temporary / self.repo.resolve().name.removesuffix(".git")
            source = str(self.repo.resolve())
            how = ("--quiet", "--template=", "--shared", "--no-checkout")
            LocalGit(self.repo).run("clone", *how, source, str(folder))
            LocalGit(folder).run("checkout", "--quiet", "--detach", commit)
            if self.submodules:
                self._put_submodules(folder, commit)
            yield folder
        finally:
            remove_all(temporary)

    def _put_submodules(self, folder: Path, commit: str) -> None:
        try:
            CiSubmodules(git=LocalGit(self.repo, self.main), cache=self.work_dir).put(folder, commit)
        except GitError as error:
            raise ForgeUnreachableError(str(error)) from error

    def _environment_of(self, commit: str) -> dict[str, str]:
        """What the command sees: a few variables of ours, `CI` as most tools look for it, and the commit."""
        passed = {name: self.environment[name] for name in PASSED_ON if name in self.environment}
        return passed | {"CI": "true", "COALMINE_COMMIT": commit}

    def _verdict(self, commit: str, ended: Ended) -> CommitStatus:
        """What an exit means.

        A time-out is the work's fault; a command that cannot be run is the operator's: ERROR.
        """
        if ended.timed_out:
            state, text = StatusState.FAILURE, f"took longer than {self.timeout_seconds:g} s and was ended"
        elif ended.took:
            state, text = StatusState.FAILURE, str(ended)
        elif ended.exit_code == 0:
            state, text = StatusState.SUCCESS, f"passed in {ended.seconds:.1f} s"
        elif ended.exit_code in {CANNOT_RUN, NOT_FOUND}:
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

    def _lock_of(self, commit: str) -> Path:
        return self.state_dir / "statuses" / f".{checked_commit(commit)}.runner"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of all statuses; errors of the disk become ForgeUnreachableError."""
        folder = self.state_dir / "statuses"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / ".lock"):
                yield
        except OSError as error:
            message = f"the statuses in {folder} could not be written: {error.strerror}"
            raise ForgeUnreachableError(message) from error

    def _read(self, commit: str) -> list[CommitStatus]:
        """The statuses of a commit, [] for none; one of ours only if it is sealed.

        A damaged file is an error: taken for none, CI would run again.
        """
        file = self._file_of(commit)
        try:
            content, _ = read_regular(file, max_bytes=_MAX_STATUS_BYTES)
            record = StatusFile.model_validate_json(content)
            ours = _ours(list(record.statuses))
            seal = self._seal(commit, ours) if ours is not None else ""
            sealed = seal != "" and hmac.compare_digest(record.seal.encode(), seal.encode())
            return [status for status in record.statuses if sealed or status.context != CI_CONTEXT]
        except FileNotFoundError:
            return []
        except (OSError, CorruptRecordError, ValidationError) as error:
            message = f"the statuses of {commit[:12]} cannot be read; delete {file} to have CI run again"
            raise ForgeUnreachableError(message) from error

    def _write(self, commit: str, ours: list[CommitStatus]) -> None:
        """Replace our status, and keep those of others; the lock is held."""
        others = [status for status in self._read(commit) if status.context != CI_CONTEXT]
        seal = self._seal(commit, ours[0], create=True) if ours else ""
        record = StatusFile(commit=commit, statuses=(*others, *ours), seal=seal)
        replace_file(self._file_of(commit), record.model_dump_json(indent=1).encode())

    def _seal(self, commit: str, status: CommitStatus, *, create: bool = False) -> str:
        """What proves that we gave a commit this status; "" where there is no key yet."""
        file = self.state_dir / "statuses" / ".key"
        if create and not file.exists():  # the lock is held
            replace_file(file, secrets.token_bytes(_KEY_BYTES), mode=0o600)
        try:
            key, _ = read_regular(file, max_bytes=_KEY_BYTES)
        except FileNotFoundError:
            return ""
        facts = (commit, status.context, status.state, status.description, status.url, status.at.isoformat())
        return hmac.new(key, "\0".join(facts).encode(), hashlib.sha256).hexdigest()


def _ours(statuses: list[CommitStatus]) -> CommitStatus | None:
    return next((status for status in statuses if status.context == CI_CONTEXT), None)
