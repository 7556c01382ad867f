"""CI is run once before a fleet starts: one that is not there would fail every job, by nobody's fault."""

from collections.abc import Callable
from pathlib import Path

from routing.errors import InvalidInputError
from routing.forges.commit_status import StatusState
from routing.forges.local.forge import LocalForge

#: How much of the end of CI's output is shown, in characters.
SHOWN_CHARACTERS = 300


def rehearse_ci(forge: LocalForge | None, say: Callable[[str], None]) -> None:
    """Run CI on the tip of the main branch, unless that is green already.

    Raises InvalidInputError when the command cannot be run there. A main branch that is merely red is the
    user's own affair: it is said, and the fleet may start.
    """
    if forge is None or forge.ci is None:
        return
    ci, branch, tip = forge.ci, forge.git.main_branch(), forge.git.main_tip()
    if ci.statuses(tip).has_real_ci:
        return
    say(f"Running CI once on {branch}: {ci.command}")
    status = ci.rehearse(tip)
    if status.state is StatusState.ERROR:
        message = (
            f"the CI command {ci.command!r} was not found, or may not be executed, in a clone of "
            f"{forge.git.directory} at {branch}: {status.description}; it printed: {_end_of(status.url)}; "
            "all work would be judged red, so nothing was started: commit what the command needs, or give "
            "another --ci"
        )
        raise InvalidInputError(message)
    if status.state is StatusState.FAILURE:
        say(f"CI is red on {branch} already: {status.description}, see {status.url}")


def _end_of(log: str) -> str:
    said = Path(log).read_bytes()[-SHOWN_CHARACTERS:].decode(errors="replace").strip()
    return said or "nothing"
