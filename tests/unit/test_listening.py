"""Where the web process listens, and how a fleet holds the place for it."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from console.local.fleet import LocalDoor
from console.web.listening import PortInUseError, listen
from routing.errors import InvalidInputError
from tasks.settings.settings import Settings
from tasks.settings.web_settings import WebSettings


def test_two_fleets_never_choose_one_port() -> None:
    """The socket stays open, so that the second one looks elsewhere before the first has its web process."""
    with closing(listen("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(web=WebSettings(port=port))
    first = LocalDoor.of(settings)
    with closing(first.listener), closing(LocalDoor.of(settings).listener) as second:
        assert first.port == port
        assert second.getsockname()[1] != port
        with pytest.raises(PortInUseError, match=f"port {port} of 127"):
            listen("127.0.0.1", port)
        with closing(listen("", 0, descriptor=os.dup(first.listener.fileno()))) as handed:
            assert handed.getsockname() == first.listener.getsockname()


def test_a_number_without_an_open_socket_is_refused() -> None:
    """A number that names nothing, and a file."""
    with Path(os.devnull).open(encoding="utf-8") as file:
        for descriptor in (file.fileno(), 9_999):
            with pytest.raises(InvalidInputError, match=f"descriptor {descriptor} is not an open socket"):
                listen("127.0.0.1", 0, descriptor=descriptor)
