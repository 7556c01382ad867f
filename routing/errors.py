"""The error tree. Every message says what happened, to which thing, and what to do next.

An error of a driver or a program is translated once, where it is called, and keeps the original as its cause.
"""


class CoalmineError(Exception):
    """Anything that Coalmine refuses or fails to do."""

    #: Exit code of the command line when this error ends a command.
    exit_code = 1


class InvalidInputError(CoalmineError):
    """What was asked for is malformed or out of range; nothing was written."""

    exit_code = 2


class NotFoundError(CoalmineError):
    """The named thing does not exist."""

    exit_code = 3


class ConflictError(CoalmineError):
    """The thing is in a state in which the step is not allowed; nothing was written."""

    exit_code = 4


class UnavailableError(CoalmineError):
    """A server or program that is needed did not answer; the same call may succeed later."""

    exit_code = 5


class SettingsError(InvalidInputError):
    """The settings file or an environment variable is wrong; the message names every one that is."""


class StoreAwayError(UnavailableError):
    """The store did not answer; what it was sent may have been carried out."""


class StoreRefusedError(StoreAwayError):
    """The store carried nothing out, and serves nobody else either: it says so, or nobody listens there.

    Not so where another server may have taken its place: then it is away.
    """


class LockedOutError(SettingsError):
    """The store does not accept our user or password, or does not let that user do this."""


#: What a store raises that does not serve us now. All of it may pass: a password may be being changed.
STORE_AWAY = (StoreAwayError, LockedOutError)


class CorruptRecordError(CoalmineError):
    """A stored record does not have the form, or the hash, that it must have."""

    exit_code = 6
