"""Real git repositories for tests, and work on their branches."""

from dataclasses import dataclass
from pathlib import Path

from routing.git.git import Git


@dataclass(frozen=True, slots=True)
class TemporaryRepository:
    """A repository at `path`; commits are made in a clone beside it, so its own work tree is left alone."""

    path: Path
    bench: Path  # the clone

    @property
    def git(self) -> Git:
        """Git in the repository itself."""
        return Git(self.path)

    def work(self, branch: str, files: dict[str, str], *, onto: str = "origin/main") -> str:
        """Commit files on a branch, push it into the repository, and return the commit."""
        git = Git(self.bench)
        git("fetch", "--quiet", "--prune", "origin")
        git("checkout", "--quiet", "-B", branch, onto)
        return self.more_work(branch, files)

    def more_work(self, branch: str, files: dict[str, str]) -> str:
        """Add one more commit to the branch that was worked on last."""
        git = Git(self.bench)
        for name, text in files.items():
            (self.bench / name).write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--message", f"Work on {', '.join(files)}")
        git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return git("rev-parse", "HEAD")

    def tip(self, branch: str = "main") -> str:
        """The newest commit of a branch."""
        return self.git("rev-parse", f"refs/heads/{branch}")


def new_repository(folder: Path, name: str = "shop", *, bare: bool = False) -> TemporaryRepository:
    """A repository with one commit on `main`, which is checked out unless the repository is bare."""
    path, bench = folder / name, folder / f"{name}-bench"
    git = Git(folder)
    git("init", "--quiet", "--initial-branch", "main", "--bare", str(path))
    git("clone", "--quiet", str(path), str(bench))
    Git(bench)("checkout", "--quiet", "-B", "main")
    repository = TemporaryRepository(path, bench)
    repository.more_work("main", {"README.md": "shop\n", "cart.txt": "one\ntwo\nthree\n"})
    if bare:
        return repository
    worked = folder / f"{name}-with-tree" / name
    git("clone", "--quiet", "--branch", "main", str(path), str(worked))
    Git(bench)("remote", "set-url", "origin", str(worked))
    return TemporaryRepository(worked, bench)
