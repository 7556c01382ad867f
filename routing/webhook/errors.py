"""Why a delivery is not taken; `console/web` maps each to an HTTP status."""

from dataclasses import dataclass

from routing.errors import CoalmineError, InvalidInputError, NotFoundError, SettingsError, UnavailableError


class UnknownForgeError(NotFoundError):
    """The address that a delivery came to belongs to no forge."""


class NoSecretError(SettingsError):
    """No secret is configured for this forge, so nothing that it says can be believed."""


class BadSignatureError(CoalmineError):
    """The signature is missing, or was not made with one of our secrets over this body."""

    def __init__(self) -> None:
        super().__init__("Invalid or missing signature")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a body."""

    place: tuple[str, ...]  # names on the way to the field; empty for the whole body
    message: str


class BadPayloadError(InvalidInputError):
    """The body is not JSON, or lacks a field that its event must have."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{'.'.join(fault.place) or 'body'}: {fault.message}" for fault in faults))
        self.faults = faults


class IntakeFullError(UnavailableError):
    """Too many issues wait to be looked at; the forge may deliver again, and polling finds them anyway."""
