"""Handing a work tree to an agent: its files, and a repository of its own in `.git`.

The repository is made where agents do not write, and moved into the tree when it is complete: so none of the
git commands that make it reads a setting of the agent's.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from routing.errors import ConflictError
from routing.folder_removal import remove_all
from routing.git.git import Git, GitAccess
from routing.git.own_settings import ALONE
from tasks.agents.repository.agent_files import AgentFolder
from tasks.agents.repository.agent_work import TAKEN, Aside
from tasks.agents.repository.leftovers import note_checkout
from tasks.agents.repository.our_git import borrow, our_git, own_repository, without_tree
from tasks.agents.repository.our_repository import end_history_like, format_of
from tasks.agents.repository.place import (
    RepositoryPlace,
    is_of_earlier_layout,
    job_ids_in,
    left_over_in,
    out_of_the_way,
    paths_of,
)

_log = structlog.get_logger(__name__)

#: Levels of folders that are opened to a group of users.
_LEVELS = 100

#: The origin of a shadow's tree: no address, as nothing of it goes anywhere.
_NOWHERE = "/dev/null"

#: The end of the name of what could not be removed, which has been said.
_STAYS = ".stays"


class NotRemovedError(ConflictError):
    """Something of an agent's could neither be removed nor put out of the way."""


def check_out(place: RepositoryPlace, job_id: str, *, branch: str, start: str) -> None:
    """Make a job's work tree at a commit. What was there before is removed, or put out of the way."""
    tree, git_dir = place.tree(job_id), place.git_dir(job_id)
    clear(tree, place.out_of_the_way)
    tree.mkdir(parents=True)
    own_repository(place, job_id)
    git = our_git(git_dir, tree, place.limits)
    git("update-ref", f"refs/heads/{branch}", start)
    git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    git("reset", "--quiet", "--hard")
    note_checkout(git, start)


def lay_out_git(
    place: RepositoryPlace, job_id: str, *, branch: str, start: str, origin: str,
    seen: Mapping[str, str], tags: str, aside: Sequence[Aside], restores: bool = False,
    keeps: bool = False, alone: bool = False,
) -> None:  # fmt: skip
    """Give the tree a new `.git`, so that nothing of an old one is ever read. Raises NotRemovedError.

    `origin` is the address as the agent may see it, `seen` its branches with their commits, `tags` a line for
    each of its tags, sorted. With `restores` files are written that are not there. With `keeps` the origin is
    no address: the agent can push as little as we do. With `alone` there is no origin and nothing of it, and
    objects are copied in place of borrowed, so that nothing in the tree leads to another repository.
    """
    tree, git_dir = place.tree(job_id), place.git_dir(job_id)
    ours = our_git(git_dir, tree, place.limits)
    ours("update-ref", TAKEN, start)
    ours("read-tree", "--reset", start)
    if restores:
        ours.raw("checkout-index", "-z", "--stdin", stdin=ours.raw("ls-files", "-z", "--deleted"))
    made = git_dir / "handed.git"
    remove_all(made)
    made.mkdir()
    git = place.limits.for_files(Git(made, access=GitAccess(environment=ALONE)))
    kind = format_of(git_dir)
    git("init", "--bare", "--quiet", "--template=", f"--object-format={kind}", f"--initial-branch={branch}")
    if alone:
        seen, tags = {}, ""
        _copy(ours, made, [start, *(one.commit for one in aside)])
    else:
        borrow(made, place.mirror, git_dir)
    end_history_like(made, git_dir)
    refs = {f"refs/heads/{branch}": start}
    if tags:  # in one file, however many there are
        (made / "packed-refs").write_text(f"# pack-refs with: sorted \n{tags}\n", encoding="utf-8")
    refs |= {f"refs/remotes/origin/{name}": commit for name, commit in seen.items()}
    point(git, refs)
    for one in aside:  # a name may be in the way of another one
        where = "refs/stash" if one.is_stash else f"refs/heads/{one.branch}"
        git.attempt("update-ref", "--create-reflog", "-m", "kept by Coalmine", where, one.commit)
    shown = "" if alone else _NOWHERE if keeps else origin
    _configure(made / "config", origin=shown, is_shared=place.group is not None)
    shutil.copyfile(git_dir / "index", made / "index")
    clear(tree / ".git", place.out_of_the_way)
    made.rename(tree / ".git")
    if place.group is not None:
        open_to_group(tree, place.group)


def _copy(ours: Git, repository: Path, commits: Sequence[str]) -> None:
    """Give a repository some commits with their ancestors, and nothing else of ours; no reference is left."""
    names = {f"refs/coalmine/handed/{number}": commit for number, commit in enumerate(commits)}
    wanted = [f"{commit}:{name}" for name, commit in names.items()]
    receives = "--receive-pack=git -c receive.shallowUpdate=true receive-pack"
    without_tree(ours)("push", "--quiet", receives, "--", str(repository.resolve()), *wanted)
    made = Git(repository, access=GitAccess(environment=ALONE))
    made("update-ref", "--stdin", stdin="".join(f"delete {name}\n" for name in names))


def point(git: Git, refs: Mapping[str, str]) -> None:
    """Have references point at commits, in one step of git."""
    git("update-ref", "--stdin", stdin="".join(f"update {name} {commit}\n" for name, commit in refs.items()))


def _configure(config: Path, *, origin: str, is_shared: bool) -> None:
    """Make a repository that has files of a bare one, with an origin: at once, as each git takes its time.

    "" for no origin.
    """
    quoted = origin.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    core = ["bare = false", "logAllRefUpdates = true", *(["sharedRepository = group"] if is_shared else [])]
    text = config.read_text(encoding="utf-8").replace("bare = true", "\n\t".join(core))
    if origin:
        text += f'[remote "origin"]\n\turl = "{quoted}"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
    config.write_text(text, encoding="utf-8", errors="surrogateescape")


def make_scratch(folder: Path, *, group: int | None) -> None:
    """Make the folder of a job without repository, or keep the one that is there."""
    if not folder.is_dir() or folder.is_symlink():
        remove_all(folder)
        folder.mkdir(parents=True)
    if group is not None:
        open_to_group(folder, group)


def open_to_group(tree: Path, group: int) -> None:
    """Let a group do in a tree what its owner may; what belongs to others, and links, stay as they are.

    Agents of the group may write there meanwhile, from other jobs. So each entry is changed by an open
    descriptor: a link that takes its place leads nowhere. Folders below many others are left out.
    """
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        below = waiting.pop()
        with AgentFolder.at(tree, *below) as folder:
            if folder.descriptor is None:
                continue
            _share(folder.descriptor, group)
            with os.scandir(folder.descriptor) as entries:
                listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            waiting += [(*below, name) for name, is_folder in listed if is_folder and len(below) < _LEVELS]
            for name in (name for name, is_folder in listed if not is_folder):
                with folder.file(name) as file:
                    if file is not None:
                        _share(file.fileno(), group)


def _share(descriptor: int, group: int) -> None:
    """Give a file or folder to a group. A file with other names may be one that is elsewhere, too."""
    facts = os.fstat(descriptor)
    is_folder = stat.S_ISDIR(facts.st_mode)
    inherits = stat.S_ISGID if is_folder else 0
    mode = stat.S_IMODE(facts.st_mode) | (facts.st_mode & stat.S_IRWXU) >> 3 | inherits
    if (facts.st_gid, stat.S_IMODE(facts.st_mode)) == (group, mode) or not (is_folder or facts.st_nlink == 1):
        return
    with suppress(PermissionError):
        os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)


def clear(path: Path, out_of_the_way: Path) -> None:
    """Have nothing at a path. What was there is moved away, at once however large it is; a sweep removes it.

    NotRemovedError when it can neither be moved nor removed.
    """
    why = _moved_away(path, out_of_the_way)
    if why and not (removal := remove_all(path)).is_complete:
        message = (
            f"{path} is in the way and can neither be moved ({why}) nor removed ({removal.why}); "
            "remove it as its owner, or as root, and retry the job"
        )
        raise NotRemovedError(message)


def sweep_away(path: Path, out_of_the_way: Path) -> None:
    """Remove whatever is at a path. What cannot be removed is moved away, and logged that one time."""
    removal = remove_all(path)
    if removal.is_complete or path.suffix == _STAYS:
        return
    why = _moved_away(path, out_of_the_way, suffix=_STAYS)
    _log.warning(
        "tree.not_removed", path=str(path), reason=removal.why, moved_to=str(out_of_the_way), not_moved=why
    )


def _moved_away(path: Path, to: Path, *, suffix: str = "") -> str:
    """Move what is at a path to a folder for such things; returns why not, "" when nothing is there now."""
    if not os.path.lexists(path):
        return ""
    try:
        to.mkdir(parents=True, exist_ok=True)
        path.rename(to / f"{path.name.lstrip('.')}-{secrets.token_hex(4)}{suffix}")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def sweep_worktrees(work_dir: Path, *, is_wanted: Callable[[str], bool]) -> list[str]:
    """Remove the trees of jobs that are no longer wanted, and return the ids of those jobs.

    `is_wanted` is called for each job that is found here, after it was found: so the tree of a job that
    begins meanwhile is never removed. What cannot be removed is logged, and put out of the way, where every
    later sweep tries again; it stops nothing else.
    """
    for path in left_over_in(work_dir):
        sweep_away(path, path.parent)
    swept = []
    for folder, job_id in job_ids_in(work_dir):
        if not is_wanted(job_id):
            for path in paths_of(folder, job_id):
                sweep_away(path, out_of_the_way(folder))
            swept.append(job_id)
            if is_of_earlier_layout(folder, work_dir):
                with suppress(OSError):  # there is more in it
                    folder.rmdir()
    return swept
