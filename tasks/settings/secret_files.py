"""Variables whose value lies in a file: `COALMINE_WEB__TOKEN_FILE=/run/secrets/web_token`.

Read once, into the environment of this process, before anything else looks at it. Programs that it starts
find the value there; the block that the kernel shows to others never held it.
"""

from collections.abc import MutableMapping
from pathlib import Path

from routing.errors import SettingsError

#: Whose variables may be given so: ours, and those of Flower.
PREFIXES = ("COALMINE_", "FLOWER_")

#: Keys of the agent programs that we know may be given so too. Other names that end alike are somebody else's
#: (`AWS_WEB_IDENTITY_TOKEN_FILE`, what a CI reads), and stay as they are.
KEYS = frozenset({
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CODEX_API_KEY", "GEMINI_API_KEY",
    "OPENAI_API_KEY", "OPENROUTER_API_KEY",
})  # fmt: skip

_ENDING = "_FILE"

#: Variables that end so and mean a file themselves.
_FILES = frozenset({"COALMINE_PROMPT_FILE"})

#: Bytes of a file at most: a secret, or a URL with one.
MOST_BYTES = 65_536


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """Put the contents of named files in the place of their names; a second call changes nothing.

    The newline at the end is not a part of the value. An empty file sets nothing, so that a description of
    containers may name secrets that not everybody has. SettingsError for a file that cannot be read, and for
    a variable that is given in both ways; of the key of a program the variable counts then, as programs of
    others may be meant by the file.
    """
    for name in filter(_is_of_a_file, list(environment)):
        target, file = name.removesuffix(_ENDING), Path(environment[name])
        if environment.get(target):
            if target in KEYS:
                continue
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


def _is_of_a_file(name: str) -> bool:
    """Whether a variable names the file of another one's value."""
    target = name.removesuffix(_ENDING)
    if target == name or name in _FILES:
        return False
    return name.startswith(PREFIXES) or target in KEYS
