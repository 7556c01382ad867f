"""Variables whose value lies in a file: `COALMINE_WEB__TOKEN_FILE=/run/secrets/web_token`.

Read once, into the environment of this process, before anything else looks at it. Programs that it starts
find the value there; the block that the kernel shows to others never held it.
"""

from collections.abc import MutableMapping
from pathlib import Path

from routing.errors import SettingsError

#: Whose variables may be given so: ours, and those of Flower.
PREFIXES = ("COALMINE_", "FLOWER_")

_ENDING = "_FILE"

#: Variables that end so and mean a file themselves.
_FILES = frozenset({"COALMINE_PROMPT_FILE"})

#: Bytes of a file at most: a secret, or a URL with one.
MOST_BYTES = 65_536


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """Put the contents of named files in the place of their names; a second call changes nothing.

    The newline at the end is not a part of the value. An empty file sets nothing, so that a description of
    containers may name secrets that not everybody has. SettingsError for a file that cannot be read, and for
    a variable that is given in both ways.
    """
    for name in [name for name in environment if name.startswith(PREFIXES) and name.endswith(_ENDING)]:
        if name in _FILES:
            continue
        target, file = name.removesuffix(_ENDING), Path(environment[name])
        if environment.get(target):
            message = f"{name} and {target} are both set; unset one of them"
            raise SettingsError(message)
        try:
            with file.open("rb") as opened:
                value = opened.read(MOST_BYTES).decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            message = f"{name} names {file}, which cannot be read: {why}; correct the path or its permissions"
            raise SettingsError(message) from None  # the cause may hold a part of the secret
        del environment[name]
        if value:
            environment[target] = value
