"""The local forge's repository: questions whose answers are yes, no, or an error, never a guess.

Everything here reads, apart from what callers pass to `run`. A repository that git cannot read is
ForgeUnreachableError, as a server that is down would be: the caller asks again later and decides nothing. The
repository's hooks never run, and its branches may move between any two calls.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from routing.base import Base
from routing.forges.errors import ForgeGoneError, ForgeUnreachableError
from routing.forges.work_branch import WORK_PREFIX, checked_branch, checked_commit
from routing.git.git import Git, GitAccess, GitAnswer, GitError
from routing.git.limits import GitLimits
from routing.git.own_settings import ALONE, APART, PLAIN, lfs_filters, trust_in

# Exit codes of `git merge-base --is-ancestor` and its like; anything else is a fault, not an answer.
_YES, _NO = 0, 1

#: What writes the files of a work tree, and takes as long as there are many.
_WRITES_FILES = frozenset({"checkout", "clone", "merge", "worktree"})

#: In a person's work tree the settings of that person count, but for these: hooks could have been written by
#: the work that is being judged.
_FOR_A_PERSON = (
    *("-c", "core.hooksPath=/dev/null", "-c", "submodule.recurse=false", "-c", "merge.autoStash=false"),
    *("-c", "merge.verifySignatures=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """Branches as they were at one moment."""

    tips: Mapping[str, str]  # the newest commit of each that was asked for and exists
    target: str  # the branch that work goes to
    target_tip: str  # and its newest commit


@dataclass(frozen=True, slots=True)
class LocalGit:
    """One repository (with a work tree, or bare), asked through git.

    It keeps no state and caches nothing: each call starts a git process and sees the repository as it is
    then. Safe to share between threads.
    """

    directory: Path
    main_setting: str = ""  # the main branch; "" finds it
    is_a_persons: bool = False  # whether the work tree there is one that a person works in

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run git and return what it printed; any failure is ForgeUnreachableError.

        `arguments` may hold names of branches only after `checked_branch`, and commits only after
        `checked_commit`: git would read a name that begins with `-` as an option.
        """
        try:
            with self.opened(arguments[0]) as git:
                return git(*arguments, stdin=stdin)
        except GitError as error:
            raise ForgeUnreachableError(str(error)) from error

    def ask(self, *arguments: str) -> tuple[int, str]:
        """Run git where its exit code is an answer; anything above 1 is ForgeUnreachableError.

        Returns the code (0 for yes, 1 for no) and what git printed.
        """
        done = self._attempted(*arguments)
        if done.returncode not in {_YES, _NO}:
            message = f"git {arguments[0]} failed in {self.directory}: {done.stderr.strip()[-500:]}"
            raise ForgeUnreachableError(message)
        return done.returncode, done.stdout

    def _attempted(self, *arguments: str) -> GitAnswer:
        try:
            with self.opened(arguments[0]) as git:
                return git.attempt(*arguments)
        except GitError as error:
            raise ForgeUnreachableError(str(error)) from error

    @contextmanager
    def opened(self, command: str) -> Iterator[Git]:
        """Git with the settings that count for a command; see `routing.git.own_settings`."""
        writes = command in _WRITES_FILES
        options = _FOR_A_PERSON if self.is_a_persons else [*PLAIN, *(lfs_filters() if writes else ())]
        given = {} if self.is_a_persons else ALONE if writes else APART
        trusted: AbstractContextManager[Mapping[str, str]] = (
            trust_in(self.directory) if given else nullcontext({})
        )
        with trusted as trust:
            access = GitAccess(options=options, environment={**given, **trust})
            git = Git(self.directory, access=access)
            yield GitLimits().for_files(git) if writes else git

    def at(self, directory: Path, *, is_a_persons: bool = False) -> "LocalGit":
        """Return the same repository, seen from another of its work trees."""
        return LocalGit(directory, self.main_setting, is_a_persons)

    def tip(self, branch: str) -> str | None:
        """Return the newest commit of a branch, None when the branch does not exist."""
        return self.tips(branch).get(branch)

    def tips(self, *branches: str) -> dict[str, str]:
        """Return the newest commits of those of the branches that exist, all as of one moment.

        Asked with `for-each-ref` and compared whole, because `rev-parse` would also take tags, abbreviated
        hashes and expressions such as `main~3`.
        """
        names = {f"refs/heads/{branch}": branch for branch in branches}
        found = self.run("for-each-ref", "--format=%(objectname) %(refname)", *names)
        lines = (line.partition(" ") for line in found.splitlines())
        return {names[name]: commit for commit, _, name in lines if name in names}

    def heads(self, *branches: str, onto: str = "") -> Heads:
        """Return branches, and the one that work goes to: `onto` while that is there, else the main one."""
        tips = self.tips(*filter(None, (*branches, onto, *self._usual_mains)))
        target = onto if onto in tips else self._main_of(tips)
        if target not in tips:
            tips |= self.tips(target)
        return Heads(tips=tips, target=target, target_tip=self._first_of(target, tips.get(target)))

    def work_branches(self) -> dict[str, str]:
        """All branches that hold Coalmine's work, with their newest commits."""
        found = self.run(
            "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", f"refs/heads/{WORK_PREFIX}"
        )
        return dict(line.split(" ", 1) for line in found.splitlines())

    def main_branch(self) -> str:
        """Return the branch that work is merged into: as set, else `main`, `master`, or the only one.

        HEAD of a work tree is what a person has checked out, and is not asked. A branch of the settings that
        does not exist, or several that it might be, are ForgeUnreachableError: merging into a wrong one would
        be worse than waiting.
        """
        return self._main_of(self.tips(*self._usual_mains))

    @property
    def _usual_mains(self) -> tuple[str, ...]:
        return (self.main_setting,) if self.main_setting else ("main", "master")

    def _main_of(self, tips: Mapping[str, str]) -> str:
        """The main branch, where the usual ones are among the tips if they exist."""
        found = next((branch for branch in self._usual_mains if branch in tips), None)
        if found is None and self.main_setting:
            message = f"{self.directory} has no branch {self.main_setting!r}; correct the main branch setting"
            raise ForgeUnreachableError(message)
        return found or self._other_main_branch()

    def _other_main_branch(self) -> str:
        """The main branch of a repository without `main` and `master`.

        HEAD of a bare repository, the main branch of the remote that it was cloned from, or the only branch
        that is not ours.
        """
        branches = self.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").splitlines()
        there = [branch for branch in branches if not branch.startswith(WORK_PREFIX)]
        bare = self.run("rev-parse", "--is-bare-repository") == "true"
        for reference in ["HEAD"] if bare or not there else ["refs/remotes/origin/HEAD"]:
            named = self.ask("symbolic-ref", "--quiet", "--short", reference)[1].strip()
            if (found := named.removeprefix("origin/")) and (found in there or not there):
                return found
        if len(there) != 1:
            message = (
                f"the main branch of {self.directory} is not known: it has {', '.join(there[:5])}; "
                "set it (COALMINE_FORGE__LOCAL__MAIN)"
            )
            raise ForgeUnreachableError(message)
        return there[0]

    def main_tip(self) -> str:
        """Return the newest commit of the main branch; ForgeUnreachableError while it has none."""
        return self.tip_of(self.main_branch())

    def tip_of(self, branch: str) -> str:
        """Return the newest commit of a branch that work goes to; ForgeUnreachableError while it has none."""
        return self._first_of(branch, self.tip(branch))

    def _first_of(self, branch: str, tip: str | None) -> str:
        if tip is None:
            message = f"the main branch {branch!r} of {self.directory} has no commit yet; make a first one"
            raise ForgeUnreachableError(message)
        return tip

    def target(self, base: Base | None) -> str:
        """The branch that work goes to: the one that it began from while that is there, else the main one."""
        return self.heads_for(base).target

    def heads_for(self, base: Base | None) -> Heads:
        """Return the branch that work from a base goes to."""
        return self.heads(onto="" if base is None else checked_branch(base.branch))

    def brings_foreign(self, head: str, onto: str, base: Base | None) -> bool:
        """Whether `head` has commits from before its base that `onto` does not have.

        So it is when they were taken out of that branch since, or never were on it.
        """
        if base is None or not self.has_commit(base.commit) or self.is_ancestor(base.commit, onto):
            return False
        new = [self.run("rev-list", "--count", head, f"^{onto}", *more) for more in ([], [f"^{base.commit}"])]
        return new[0] != new[1]

    def has_commit(self, commit: str) -> bool:
        """Whether the repository holds the commit, on whatever branch, or on none any longer.

        git says no in the same way for a missing commit and for a missing repository, so a no is checked.
        """
        done = self._attempted("cat-file", "-e", f"{checked_commit(commit)}^{{commit}}")
        if done.returncode != _YES:
            self.run("rev-parse", "--git-dir")  # fails where git finds no repository: then nothing is known
        return done.returncode == _YES

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `of` contains `commit`; a commit contains itself."""
        return self.ask("merge-base", "--is-ancestor", commit, of)[0] == _YES

    def time_of(self, commit: str) -> datetime:
        """When the commit was made: aware UTC, by its committer's clock, which need not be right."""
        return datetime.fromtimestamp(int(self.run("log", "-1", "--format=%ct", commit)), UTC)


def existing_commit(git: LocalGit, text: str) -> str:
    """Return the commit when the repository holds it, or raise ForgeGoneError."""
    if not git.has_commit(checked_commit(text)):
        message = f"{git.directory} has no commit {text}"
        raise ForgeGoneError(message)
    return text
