"""Work of a cancelled job: nothing of it is pushed, and people learn where it is."""

import shlex
from collections.abc import Callable

import structlog

from routing.errors import CoalmineError
from routing.jobs.job import Job
from tasks.agents.repository.worktree import Worktree

_log = structlog.get_logger(__name__)


def kept_work(tree: Worktree, *, host: str, say: Callable[[str, str], object]) -> str:
    """Keep what turns did in a tree of this host, and name the place; "" when they did nothing.

    `say` is given a line for the job's log: its kind, and the text, which says how to fetch the work.
    """
    where = f"on the branch {tree.branch}"
    try:
        if not tree.keep():
            return ""
        how = f"git fetch {shlex.quote(str(tree.git_dir))} {tree.branch}"
    except (CoalmineError, OSError) as error:
        _log.warning("work.not_kept", reason=str(error))
        where, how = "as it is", f"{error}; it is in {tree.path}"
    kept = f"kept {where} in its work tree on {host}"
    say("text", f"cancelled: what the agent did is {kept}: {how}")
    return f"what its turn did is {kept}"


def kept_elsewhere(job: Job) -> str:
    """Where a finished turn's work is that another host has, as far as the job knows; "" for none."""
    if job.finished is None:
        return ""
    return f"what its turn did is kept as it is in its work tree on {job.finished.host}"
