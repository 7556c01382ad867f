"""What may be done on the local forge: what the file system lets this user do.

`coalmine doctor` asks. Nothing is written to find out, so the answer is a hint: a disk that is full or
mounted read-only shows itself at the first write.
"""

import os
from pathlib import Path

from routing.forges.forge import Access


def access_to(issues: Path, git_directory: Path, *, has_ci: bool) -> Access:
    """Look at the folder of issues and at the repository's git directory, without writing to either.

    `git_directory` is the absolute one, of a bare repository the repository itself. A missing CI command
    takes no right away, it is only noted.
    """
    places = {"the folder of issues": issues, "the repository": git_directory}
    unreadable = [f"{what} {path}" for what, path in places.items() if not os.access(path, os.R_OK | os.X_OK)]
    unwritable = [f"{what} {path}" for what, path in places.items() if not os.access(path, os.W_OK)]
    notes = ["a folder of issues"]
    if unreadable or unwritable:
        lacking = " and ".join(dict.fromkeys([*unreadable, *unwritable]))
        notes = [f"this user may not read and write {lacking}: correct its permissions"]
    if not has_ci:
        notes.append("no CI command is set, so no work is ever judged")
    return Access(readable=not unreadable, writable=not unreadable and not unwritable, note="; ".join(notes))
