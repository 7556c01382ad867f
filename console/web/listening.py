"""The socket that a web process listens on; opened by us, so that its errors are ours.

uvicorn would log a port in use and exit with a code of its own; here that is an error like any other, with
its remedy. Nothing of the web framework is imported, as `coalmine up` asks here before it starts anything.
"""

import errno
import socket

from routing.errors import InvalidInputError, UnavailableError

#: Connections that the system holds for us until they are accepted; all of them may be, in one go.
BACKLOG = 256


class PortInUseError(UnavailableError):
    """Another program listens there."""


def listen(host: str, port: int, *, descriptor: int | None = None) -> socket.socket:
    """Open a socket; port 0 is any free one. The caller closes it.

    With a `descriptor` it is the open socket of that number, which the starting program listens with.

    InvalidInputError for an address that this machine does not have, UnavailableError for a port in use or
    one that this user may not open. Connections wait in the backlog from here on, until `serve` accepts
    them.
    """
    if descriptor is not None:
        return _listening(descriptor)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        message = f"{host!r} is not an address of this machine ({error}); use 127.0.0.1 or one that it has"
        raise InvalidInputError(message) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} of {host} is in use; end the program that uses it, or choose another with "
                "COALMINE_WEB__PORT (`coalmine web` also takes --port)"
            )
            raise PortInUseError(message) from error
        message = (
            f"cannot listen on {host} port {port} ({error.strerror}); choose another with "
            "COALMINE_WEB__HOST and COALMINE_WEB__PORT (`coalmine web` also takes --host and --port)"
        )
        raise UnavailableError(message) from error


def _listening(descriptor: int) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        message = f"descriptor {descriptor} is not an open socket ({error.strerror}); leave the option out"
        raise InvalidInputError(message) from error


def address_of(listener: socket.socket) -> str:
    """The URL of the socket, with its real port; an IPv6 address stands in brackets (RFC 3986)."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
