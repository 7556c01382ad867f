"""A token that is asked for when it is used, and that may be another one for each address."""

from abc import abstractmethod

from pydantic import SecretStr


class LentToken(SecretStr):
    """Takes the place of a token in `TokenAuth`. It is shown as no secret is; `name` may be."""

    def __init__(self, name: str) -> None:
        super().__init__("")
        self.name = name  # of whom it is, the same in all processes

    @abstractmethod
    def at(self, url: str) -> str:
        """The token for an absolute address; raises what keeps it from being had."""

    def refused(self, token: str) -> None:
        """The server did not know this one."""
        del token

    def hidden(self, text: str) -> str:
        """The text without any token that was lent."""
        return text

    def __len__(self) -> int:
        """Nothing of it is shown."""
        return 0
