"""Real agent programs, and a stub where their model would be."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.model_stub import ModelStub, model_stub

_HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this suite out unless it is named: the others need nothing but Python, git and make."""
    named = any(_HERE.name in Path(argument.split("::")[0]).parts for argument in config.args)
    return None if named or _HERE not in [collection_path, *collection_path.parents] else True


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the installed programs."""
    folder = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "node_modules" / ".bin"
    if not (folder / "claude").exists():
        pytest.fail(f"the agent programs are not in {folder}; run tests/real/install.sh first")
    return folder


@pytest.fixture
def model() -> Iterator[ModelStub]:
    """A model that answers."""
    with model_stub() as stub:
        yield stub
