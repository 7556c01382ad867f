"""Hidden tests laid over a commit: the files of a case in place of the agent's, whatever it did to its own.

It is done in the judge's own repository, which is removed with it: no repository of an agent ever holds one
of these files.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from harvest.backtests.case import HiddenFile
from routing.git.git import Git
from tasks.agents.repository.our_git import with_index


def laid_over(git: Git, commit: str, hidden: Sequence[HiddenFile]) -> str:
    """The tree of a commit with these files in it, written into the repository that `git` has.

    A folder of the commit where a file is to be gives way, as does a file where a folder is to be. GitError.
    """
    if not hidden:
        return git("rev-parse", f"{commit}^{{tree}}")
    with tempfile.TemporaryDirectory(prefix="index-", dir=git.directory) as folder:
        staged = with_index(git, Path(folder) / "index")
        staged("read-tree", commit)
        entries = "".join(_entry(git, file) for file in hidden)
        staged("update-index", "--add", "--replace", "-z", "--index-info", stdin=entries)
        return staged("write-tree")


def _entry(git: Git, file: HiddenFile) -> str:
    """A file as a line for `git update-index --index-info`; its content is written."""
    content = file.data
    if content is None:
        return f"0 {'0' * 40}\t{file.path}\0"
    blob = git.raw("hash-object", "-w", "--stdin", stdin=content).decode().strip()
    return f"{'100755' if file.executable else '100644'} {blob}\t{file.path}\0"
