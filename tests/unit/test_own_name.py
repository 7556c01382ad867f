"""How people can type the program's name: what is proposed to them can be run."""

import sys
from pathlib import Path

import pytest

from console.output.own_name import own_name


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installation with a space in its path, and another `coalmine` on the PATH."""
    for name in ("my venv", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "coalmine").write_text("#!/bin/sh\n")
        (folder / "coalmine").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my venv" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    return tmp_path / "my venv"


def test_the_name_alone_where_the_shell_finds_this_program(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a link, as installers make them."""
    links = tmp_path / "bin"
    links.mkdir()
    (links / "coalmine").symlink_to(installed / "coalmine")
    monkeypatch.setenv("PATH", str(links))
    assert own_name() == "coalmine"


def test_the_path_where_it_is_not_found(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As short as it can be, and quoted for a shell; another program of this name is not meant."""
    assert own_name() == f"'{installed / 'coalmine'}'"
    monkeypatch.chdir(tmp_path)
    assert own_name() == "'my venv/coalmine'"


def test_a_module_where_there_is_no_program(installed: Path) -> None:
    """An installation that makes none can still be run."""
    (installed / "coalmine").unlink()
    assert own_name() == f"'{installed / 'python'}' -m coalmine"
