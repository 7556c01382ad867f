"""Settings whose places have changed: a file or a variable that has the old one is still read.

The one table of them, but for what the section `forge` held as a whole; see `tasks.settings.forge_tables`.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

#: A setting's path, from the section on.
Place = tuple[str, ...]

#: Where settings stood before, and where they stand now.
OLD_PLACES: Mapping[Place, Place] = {
    ("job", "lease_seconds"): ("times", "lease_seconds"),
    ("job", "sweep_interval_seconds"): ("times", "sweep_interval_seconds"),
    ("job", "watch_interval_seconds"): ("times", "watch_interval_seconds"),
    ("agent", "watchdog_interval_seconds"): ("times", "watchdog_interval_seconds"),
    ("canary", "harvest_interval_seconds"): ("times", "harvest_interval_seconds"),
    ("issues", "watch", "for_person_label"): ("issues", "watch", "escalation_label"),
}


def moved(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What one source says, with every setting at its present place.

    The second value is which old names it used, with the new ones, by place (`job.lease_seconds`). Where a
    source says both, the new name counts. The values are not checked here.
    """
    made, used = deepcopy(dict(values)), dict[str, str]()
    for old, new in OLD_PLACES.items():
        held: Any = made
        for name in old[:-1]:
            held = held.get(name) if isinstance(held, dict) else None
        if not isinstance(held, dict) or old[-1] not in held:
            continue
        value = held.pop(old[-1])
        used[".".join(old)] = ".".join(new)
        target: Any = made
        for name in new[:-1]:
            target = target.setdefault(name, {}) if isinstance(target, dict) else None
        if isinstance(target, dict):
            target.setdefault(new[-1], value)
    return made, used
