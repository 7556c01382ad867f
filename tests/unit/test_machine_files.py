"""What of the machine is shown: toolchains with their libraries, and never the folders around them."""

import sys
from pathlib import Path

import pytest

from routing.sandbox.machine_files import OF_ETC, SYSTEM, program_mounts, system_mounts, toolchain


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a secret in it."""
    made = tmp_path / "home"
    (made / ".ssh").mkdir(parents=True)
    (made / ".ssh" / "id").write_text("secret")
    return made


def program(path: Path) -> Path:
    """A file that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def shown(home: Path, search_path: str, *programs: Path) -> set[str]:
    """The places that are shown for a PATH and programs."""
    return {mount.at for mount in program_mounts(search_path, map(str, programs), home=str(home))}


def test_of_a_toolchain_programs_and_libraries_are_shown(home: Path) -> None:
    """Its other files are not: they may be settings and tokens."""
    folder = home / "node"
    program(folder / "bin" / "node")
    (folder / "lib").mkdir()
    (folder / "etc").mkdir()
    assert shown(home, str(folder / "bin")) == {str(folder / "bin"), str(folder / "lib")}


def test_local_programs_do_not_show_what_is_beside_them(home: Path) -> None:
    """`~/.local` has a folder `lib`, and all kinds of data."""
    program(home / ".local" / "bin" / "tool")
    (home / ".local" / "lib").mkdir()
    assert shown(home, str(home / ".local" / "bin")) == {str(home / ".local" / "bin")}


def test_a_folder_of_programs_in_the_home_does_not_show_the_home(home: Path) -> None:
    """Even with a folder `lib` beside it."""
    program(home / "bin" / "tool")
    (home / "lib").mkdir()
    assert shown(home, str(home / "bin")) == {str(home / "bin")}


def test_a_program_that_is_installed_anew_is_looked_up_again(home: Path) -> None:
    """Its link leads elsewhere from now on, or it is there at last; what has not changed is kept."""
    old, new = program(home / "v1" / "tool"), program(home / "v2" / "tool")
    link = home / "links" / "tool"
    link.parent.mkdir()
    link.symlink_to(old)
    assert str(old) in shown(home, "", link)
    link.unlink()
    link.symlink_to(new)
    assert shown(home, "", link) == {str(link), str(new)}
    second = home / "links" / "second"
    assert shown(home, "", second) == set()
    program(second)
    assert shown(home, "", second) == {str(second)}


@pytest.mark.parametrize("entry", ["", ".", "relative/bin"])
def test_entries_that_are_not_absolute_show_nothing(home: Path, entry: str) -> None:
    """They mean a folder of the work tree."""
    assert shown(home, entry) == set()


def test_the_home_itself_on_a_path_shows_nothing(home: Path) -> None:
    """Nor does a folder above it."""
    assert shown(home, f"{home}:{home.parent}") == set()


def test_links_are_followed_to_where_a_program_is_installed(home: Path) -> None:
    """As those are that installers put into `~/.local/bin`."""
    real = program(home / ".local" / "share" / "claude" / "versions" / "2.1")
    link = home / ".local" / "bin" / "claude"
    link.parent.mkdir(parents=True)
    link.symlink_to("../share/claude/versions/2.1")
    assert str(real) in shown(home, str(link.parent))


def test_a_package_of_node_has_the_packages_that_it_needs(home: Path) -> None:
    """The outermost folder of packages is shown."""
    packages = home / "tools" / "node_modules"
    real = program(packages / "agent" / "node_modules" / "dependency" / "cli.js")
    assert toolchain(real, home=str(home)) == [packages]


def test_a_virtual_environment_has_the_python_that_it_is_made_of(home: Path) -> None:
    """Whole, with that Python's libraries."""
    base, made = home / ".pyenv" / "versions" / "3.12", home / "src" / "shop" / ".venv"
    program(base / "bin" / "python3")
    (base / "lib").mkdir()
    (made / "bin").mkdir(parents=True)
    (made / "pyvenv.cfg").touch()
    (made / "bin" / "python").symlink_to(base / "bin" / "python3")
    assert set(toolchain(made / "bin" / "python", home=str(home))) == {made, base / "bin", base / "lib"}


def test_a_single_program_is_shown_alone(home: Path) -> None:
    """A script of the operator's is not a reason to show its folder."""
    script = program(home / "src" / "agent.sh")
    assert toolchain(script, home=str(home)) == [script]


def test_our_own_python_is_found() -> None:
    """Agents run the mail command with it."""
    found = [str(path) for path in toolchain(Path(sys.executable), home="/nowhere")]
    covered = (*SYSTEM, *found)
    assert any(str(Path(sys.executable).resolve()).startswith(folder) for folder in covered)


def test_nothing_of_the_system_holds_keys() -> None:
    """What a site keeps in /etc is not shown, nor are the keys of the machine."""
    places = {mount.at for mount in system_mounts()}
    assert "/usr" in places
    assert not places & {
        "/etc",
        "/etc/shadow",
        "/etc/ssl",
        "/etc/ssl/private",
        "/etc/ssh",
        "/home",
        "/root",
        "/run",
    }
    assert not {name for name in OF_ETC if "key" in name or "shadow" in name or "private" in name}
