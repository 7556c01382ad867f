"""Keeps the secrets that an agent was given out of its log, its events and its mail.

Works on bytes, line by line, before anything is decoded, parsed or stored. It finds a secret as it is and
as JSON writes it; other encodings of it (base64, hex, pieces) are not found.
"""

import json
from collections.abc import Mapping
from typing import Self

#: Shorter lines of a secret are left: taking them out would mangle the log and protect nothing.
_SHORTEST = 6


class Redactor:
    """Replaces secrets in lines of output by their names."""

    def __init__(self, replacements: Mapping[bytes, bytes]) -> None:
        # The longest first, so that a secret that contains another one goes as a whole.
        self._replacements = sorted(replacements.items(), key=lambda pair: -len(pair[0]))
        #: Length of the longest secret in bytes; a line that was cut short may end in a part of one.
        self.longest = max(map(len, replacements), default=0)

    @classmethod
    def of(cls, secrets: Mapping[str, str]) -> Self:
        """Look for each value, line by line, as it is and as JSON would write it."""
        found: dict[bytes, bytes] = {}
        for name, value in secrets.items():
            for line in value.splitlines():
                for form in (line, json.dumps(line)[1:-1]):
                    if len(form) >= _SHORTEST:
                        found[form.encode(errors="replace")] = f"[{name}]".encode()
        return cls(found)

    def __call__(self, line: bytes, *, cut: bool = False) -> bytes:
        """Return the line without secrets; `cut` says that its end is missing."""
        for secret, name in self._replacements:
            line = line.replace(secret, name)
        return line[: len(line) - self.longest] if cut and self.longest else line
