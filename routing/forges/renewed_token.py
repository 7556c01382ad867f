"""A token that another program renews: it lies in a file, which is read again at each use.

Tokens of a GitHub App's installation end after an hour, and companies give out others that do. Who renews
one writes the new file beside the old one and moves it into its place.
"""

from pathlib import Path

from routing.forges.errors import ForgeTokenError
from routing.http.lent_token import LastTokens, LentToken
from routing.http.settings import is_token

#: The longest file that is read, in bytes.
MOST_BYTES = 16_384


class RenewedToken(LentToken):
    """Is used as any secret, and shown as none. A file that is gone for a moment leaves the last token."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the token in {path}")
        self._path = path
        self._last = ""
        self._used = LastTokens()

    def at(self, url: str) -> str:
        """The token that is in the file now; ForgeTokenError when there has been none yet."""
        del url
        try:
            with self._path.open("rb") as file:
                read = file.read(MOST_BYTES + 1)
            text = read.decode("ascii").strip() if len(read) <= MOST_BYTES else ""
        except (OSError, UnicodeDecodeError) as error:
            text, why = "", str(error)
        else:
            why = "it is empty, or has more than a token in it"
        if is_token(text):
            self._last = text
            self._used.note(text)
        elif not self._last:
            message = f"the file {self._path} has no token: {why}"
            raise ForgeTokenError(message)
        return self._last

    def hidden(self, text: str) -> str:
        """Without those that were in the file."""
        return self._used.hidden(text)
