"""Submodules in CI's clone: fetched as git would, and whose doing it is when one cannot be.

What the main branch has as well is not the work's: nobody judges it until the submodule is there again. What
the work brought itself (a submodule of its own, another address, a commit that nobody can fetch) is red.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from routing.folder_removal import remove_all
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.git import LocalGit
from routing.git.git import Git, GitError, is_at_limit
from routing.git.limits import GitLimits
from routing.git.own_settings import PLAIN, lfs_filters
from routing.git.remote import Remote
from routing.git.submodules import Submodule, SubmoduleError, Submodules, submodules_at

#: Local files are allowed, as a repository on this disk may have its submodules beside it; programs are not.
_ALLOWED = ("-c", "protocol.file.allow=always", "-c", "protocol.ext.allow=never")


class BrokenSubmoduleError(Exception):
    """The work under judgement has a submodule that cannot be fetched, and the main branch does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CiSubmodules:
    """Puts the submodules of a commit into a clone of its repository."""

    git: LocalGit  # the repository, which knows its main branch
    cache: Path

    def put(self, folder: Path, commit: str) -> None:
        """Have git put them there, as `git submodule update` would in the repository.

        BrokenSubmoduleError when the commit is to blame; ForgeUnreachableError when that says nothing of it.
        """
        clone = GitLimits().for_files(Git(folder))
        address = str(self.git.directory.resolve())
        sources = Submodules(remote=Remote(address=address), cache=self.cache)
        for one in submodules_at(clone, commit):
            addresses = list(sources.addresses(one, address))
            said = self._failure(clone, one, addresses)
            if said:
                error = SubmoduleError(one, said)
                if self._is_of_the_work(clone, one, commit, addresses):
                    raise BrokenSubmoduleError(str(error))
                raise ForgeUnreachableError(str(error))

    def _failure(self, clone: Git, one: Submodule, addresses: Iterable[str]) -> str:
        """Why no address gave the submodule; "" when it is there."""
        said = "it has no address"
        for address in addresses:
            try:
                clone("config", f"submodule.{one.name}.url", address)
                update = ("submodule", "--quiet", "update", "--init", "--recursive", "--", one.path)
                clone(*PLAIN, *_ALLOWED, *lfs_filters(), *update)
            except GitError as error:
                if is_at_limit(error):
                    raise ForgeUnreachableError(str(error)) from error
                said = error.stderr.strip() or str(error)
                remove_all(clone.directory / ".git" / "modules" / one.name)
                remove_all(clone.directory / one.path)
            else:
                return ""
        return said

    def _is_of_the_work(self, clone: Git, one: Submodule, commit: str, addresses: Iterable[str]) -> bool:
        """Whether the main branch, where the work left it, does without what is missing here.

        A submodule that it has at another commit is the work's where an address answers: then that commit is
        not there, because nobody pushed it.
        """
        main = self.git.main_tip()
        code, found = self.git.ask("merge-base", commit, main)
        there = submodules_at(clone, found.strip() if code == 0 else main)
        if one in there:
            return False
        if all((one.name, one.path, one.url) != (it.name, it.path, it.url) for it in there):
            return True
        return any(_answers(clone, address) for address in addresses)


def _answers(git: Git, address: str) -> bool:
    """Whether a repository is at an address, and can be read."""
    try:
        asked = GitLimits().for_answers(git).attempt(*_ALLOWED, "ls-remote", "--quiet", "--", address)
    except GitError:
        return False
    return asked.returncode == 0
