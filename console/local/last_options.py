"""The options of the last `coalmine up` of a state folder, so that the next one goes on without them.

They are kept as the variables that they became, in a file of the owner's alone: an address may hold a
password. They count less than the environment and the settings file, and only where neither says anything:
who edits the file is obeyed. A broker that was kept beside one store is not that of another.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tasks.settings.origins import Origin, Origins
from tasks.settings.refused import PREFIX

#: The addresses of the store and of the broker that was given with it.
_STORE, _BROKER = f"{PREFIX}REDIS_URL", f"{PREFIX}BROKER_URL"

#: What is decided anew at each start: whether a red main branch may be worked on.
_OF_ONE_START = "__ALLOW_RED"

#: What describes the agent's program.
_AGENT = frozenset(f"{PREFIX}UP__{name}" for name in ("RUNTIME", "AGENT", "MODEL"))


class LastOptions:
    """One file below a state folder: `read` before a fleet starts, `keep` when its options were right."""

    def __init__(self, state: Path) -> None:
        self._file = state / "last-up.json"

    @property
    def are_kept(self) -> bool:
        """Whether a fleet was started here before."""
        return self._file.is_file()

    def read(self, *, store: str | None = None) -> dict[str, str]:
        """The variables; none without a file, or when it cannot be read as one of ours.

        `store`: the address of one that something else says now. Where another one was kept, the broker that
        was given with that is left out: two fleets would be mixed.
        """
        kept = self._variables()
        if store is not None and kept.get(_STORE, store) != store:
            kept.pop(_BROKER, None)
        return kept

    def _variables(self) -> dict[str, str]:
        try:
            noted = json.loads(self._file.read_text(encoding="utf-8"))
            variables = dict(noted["variables"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {
            name: value
            for name, value in variables.items()
            if isinstance(name, str) and isinstance(value, str) and name.startswith(PREFIX)
        }

    def keep(self, variables: Mapping[str, str]) -> None:
        """Add the variables to those that are kept; the file is replaced in one step."""
        kept = {name: value for name, value in variables.items() if not name.endswith(_OF_ONE_START)}
        before = self.read(store=variables.get(_STORE))
        partial = self._file.with_suffix(".part")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            json.dump({"v": 1, "variables": before | kept}, written, indent=1)
        partial.replace(self._file)


def unsaid(variables: Mapping[str, str], origins: Origins) -> dict[str, str]:
    """Those of the variables about which neither an option, the environment nor the file says anything.

    An agent is one thing: where one is said, nothing of another one is added to it.
    """
    said = any(origins.of(("up", name)) is not Origin.DEFAULT for name in ("runtime", "agent"))
    not_added = _AGENT if said else frozenset()
    return {
        name: value
        for name, value in variables.items()
        if name not in not_added and origins.of(_place(name)) is Origin.DEFAULT
    }


def _place(variable: str) -> tuple[str, ...]:
    """`COALMINE_FORGE__LOCAL__PER_REPO` as `("forge", "local", "per_repo")`."""
    return tuple(variable.removeprefix(PREFIX).lower().split("__"))
