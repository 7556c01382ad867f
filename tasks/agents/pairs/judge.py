"""The judge of a pair: a command of the operator's on one commit, that cannot see whose work it is.

The commit is judged in a clean clone of a repository that holds the work as one commit of nobody's: see
`handed_work`. Exit status 0 scores 1, any other 0. Where it is 0 a line `coalmine-score: 0.75` of its output,
the last one whose score is in [0,1], scores that: code under test can print such a line, so it never lifts a
failure. A command that could not be run, or whose scores are all out of range, scores nothing, unless it does
on the base: then the work broke it, and scores 0.

The command runs as CI of the local forge does (`routing.forges.local.ci`), with its sandbox and limits.
"""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harvest.backtests.case import HiddenFile
from routing.base import Base
from routing.errors import CoalmineError
from routing.folder_removal import remove_all
from routing.forges.local.ci import CANNOT_RUN, NOT_FOUND, LocalCI
from routing.forges.local.ci_sandbox import CiSandbox
from routing.git.git import Git, GitAccess
from routing.printable import printable
from routing.process.bounded_command import Stop
from routing.process.command import Ended
from routing.store.judging.judging_store import HandedWork
from tasks.agents.pairs.handed_work import NOBODY, unpacked
from tasks.agents.pairs.hidden_tests import laid_over
from tasks.agents.repository.our_git import borrow
from tasks.agents.repository.our_repository import format_of, our_repository

#: Lines of this form in the output of a judge say its score. Code under test writes such lines, too, and long
#: ones: neither pattern goes back over what it has read more than once.
_SCORE = re.compile(r"^coalmine-score:(.*)$", re.MULTILINE)

#: What such a line says: a number as programs print it.
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

#: Characters of a score that are shown to people.
_SHOWN = 40

#: Bytes of the output's end in which a score is looked for.
_END_BYTES = 64 * 1024

#: Lines of the output that are kept, and characters of each.
_LINES, _LINE = 15, 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What the judge says of a commit."""

    value: float | None  # in [0,1]; None: it could not be run
    note: str  # how it ended, in words
    overdue: bool = False  # whether it was ended at its time limit
    is_cause: bool = True  # whether this work is why it has no score, and not that of the pair's other half
    last_lines: tuple[str, ...] = field(default=(), repr=False)  # of what it printed, printable


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """The command for one repository. `judge` may be called again: it keeps nothing."""

    command: str  # a shell line of the operator's own settings
    timeout_seconds: float
    sandbox: CiSandbox = field(default_factory=CiSandbox)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    hidden: tuple[HiddenFile, ...] = field(default=(), repr=False)  # laid over the work before it is judged

    def judge(self, git: Git, commit: str, base: Base, *, work_dir: Path, name: str) -> Judgement:
        """Score a commit of a repository of ours, whose work began at `base`.

        `name` is the repository's, which the folder of the clone has. Never raises for what the command, git
        or the disk do: then it has no score.
        """

        def make(path: Path) -> Git:
            made = our_repository(path, object_format=format_of(git.directory))
            borrow(path, git.directory)
            return made

        return self._judged(make, commit, base.commit, work_dir=work_dir, name=name)

    def judge_handed(
        self, work: HandedWork, lender: Path, *, work_dir: Path, name: str, stop: Stop | None = None
    ) -> Judgement:
        """Score handed work, whose base is in `lender`, as `judge` does; no score if `stop` was set."""
        return self._judged(
            lambda path: unpacked(work, path, lender), work.neutral, work.base_commit, work_dir=work_dir,
            name=name, stop=stop,
        )  # fmt: skip

    def judge_base(
        self, work: HandedWork, lender: Path, *, work_dir: Path, name: str, stop: Stop | None = None
    ) -> Judgement:
        """What the judge says of the base of handed work: no score if it cannot be run there."""

        def make(path: Path) -> Git:
            made = our_repository(path, object_format=work.object_format)
            borrow(path, lender)
            return made

        base = work.base_commit
        return self._judged(make, base, base, work_dir=work_dir, name=name, stop=stop)

    def _judged(
        self, make: Callable[[Path], Git], commit: str, base: str, *, work_dir: Path, name: str,
        stop: Stop | None = None,
    ) -> Judgement:  # fmt: skip
        work_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="judge-", dir=work_dir.resolve()))
        try:
            repository = folder / f"{name}.git"
            git = make(repository)
            ci = LocalCI(
                repo=repository, command=self.command, timeout_seconds=self.timeout_seconds,
                work_dir=folder / "clones", state_dir=folder / "state", environment=self.environment,
                sandbox=self.sandbox, submodules=False,
            )  # fmt: skip

            def run(judged: str) -> Judgement:
                log = folder / "log"
                ended = ci.run_in_clone(self._neutral(git, judged, base), log, stop=stop)
                if stop is not None and stop.reason is not None:
                    return Judgement(value=None, note="the judge was stopped")
                return replace(judgement_of(ended, _end_of(log)), last_lines=_last_lines(_end_of(log)))

            found = run(commit)
            is_asked = found.value is None and commit != base and (stop is None or stop.reason is None)
            return blamed(found, run(base)) if is_asked else found  # did the work break it?
        except (CoalmineError, OSError) as error:
            return Judgement(value=None, note=f"the judge could not be run: {error}"[:300])
        finally:
            remove_all(folder)

    def _neutral(self, made: Git, commit: str, base: str) -> str:
        """The one commit that is judged, as the main branch: the work's files, and its base as its parent.

        Hidden tests are laid over it. It has nothing else of the work.
        """
        access = made.access or GitAccess()
        unnamed = replace(made, access=replace(access, environment={**access.environment, **NOBODY}))
        neutral = unnamed("commit-tree", laid_over(made, commit, self.hidden), "-p", base, "-m", "work")
        made("update-ref", "refs/heads/main", neutral)
        made("symbolic-ref", "HEAD", "refs/heads/main")
        return neutral


def judgement_of(ended: Ended, output: str) -> Judgement:
    """What the end of the command means: pure."""
    if ended.timed_out:
        return Judgement(value=0.0, note="the judge took too long and was ended", overdue=True)
    if ended.took or ended.exit_code not in {0, CANNOT_RUN, NOT_FOUND}:
        return Judgement(value=0.0, note=f"the judge failed it ({ended})")
    if ended.exit_code != 0:
        return Judgement(value=None, note=f"the judge's command could not be run (exit {ended.exit_code})")
    said = [line.strip() for line in _SCORE.findall(output)]
    if scores := [(line, value) for line in said if (value := score_in(line)) is not None]:
        line, value = scores[-1]
        return Judgement(value=value, note=f"the judge said {line[:_SHOWN]}")
    if said:  # a percentage, or words: to pass it would score all work 1
        shown = printable(said[-1])[:_SHOWN]
        return Judgement(value=None, note=f"the judge said {shown!r}, which is not a number from 0 to 1")
    return Judgement(value=1.0, note=f"the judge passed it ({ended})")


def score_in(said: str) -> float | None:
    """The score that a line says; None for what is not a number in [0,1]: pure."""
    value = float(said) if _NUMBER.fullmatch(said) else -1.0
    return abs(value) if 0.0 <= value <= 1.0 else None  # abs: -0.0 is 0


def blamed(found: Judgement, of_base: Judgement) -> Judgement:
    """What work comes to that its judge has no score for, by what the judge says of its base: pure."""
    if of_base.value is None:
        return found
    return replace(found, value=0.0, note=f"{found.note}; on its base it could be, so the work broke it")


def _last_lines(output: str) -> tuple[str, ...]:
    """The last lines of an output: text of the code under test, made printable."""
    return tuple(printable(line)[:_LINE] for line in output.splitlines() if line.strip())[-_LINES:]


def _end_of(log: Path) -> str:
    content = log.read_bytes() if log.exists() else b""
    return content[-_END_BYTES:].decode(errors="replace")
