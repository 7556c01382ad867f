"""Coalmine as people install it, from a clone into an empty home; and what its wheel says of it."""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path

import pytest

from routing.git.git import Git
from tests.acceptance.test_init import CLAUDE
from tests.acceptance.test_printed_commands import carry_out_the_quickstart
from tests.printed_commands import SYSTEM_PATH, Block, PrintedShell
from tests.source import FLOORS, ROOT
from tests.waiting import carried_out, until_ended, wait_until

#: Variables and files by which pip finds its index on this machine.
_OF_PIP = ("PIP_", "SSL_", "REQUESTS_")

#: Where a person's own Python is.
PYTHONS = {f"{folder}/python3" for folder in SYSTEM_PATH.split(":")}

#: Seconds for an installation with all that it needs, and for the demonstration.
_INSTALL_SECONDS, _DEMO_SECONDS = 600, 300


@pytest.fixture(scope="module")
def installers() -> Path:
    """The folder of pipx and uv."""
    folder = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "installers" / "bin"
    for program in ("pipx", "uv"):
        if not (folder / program).exists():
            pytest.fail(f"{program} is not in {folder}; run tests/real/install.sh first")
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of the project, as its files are now."""
    folder = tmp_path_factory.mktemp("clone") / "coalmine"
    carried_out(["git", "clone", "--quiet", ROOT, folder], timeout=120)
    listed = ["git", "-C", str(ROOT), "ls-files", "--modified", "--others", "--exclude-standard", "-z"]
    for name in filter(None, carried_out(listed).split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, clone: Path, installers: Path) -> PrintedShell:
    """A person's terminal after the first block of the README, but for its demonstration."""
    home = tmp_path_factory.mktemp("home")
    programs = home / "installers"
    programs.mkdir()
    (programs / "pipx").symlink_to(installers / "pipx")
    opened = _in_a_clone(home, clone, programs)
    block = next(block for block in Block.all_of("README.md") if block.needs == "the network")
    install = block.text.replace("coalmine demo\n", "")
    assert install != block.text
    opened.run(Block(text=install), timeout=_INSTALL_SECONDS)
    opened.folder = home
    return opened


def _in_a_clone(home: Path, clone: Path, *programs: Path) -> PrintedShell:
    """A person's terminal with an empty home, and how installers reach their index here."""
    opened = PrintedShell.at(home, home / ".local" / "bin", *programs)
    pins = dict.fromkeys(("PIP_CONSTRAINT", "UV_CONSTRAINT"), str(ROOT / "constraints.txt"))
    opened.environment = {**opened.environment, **_of_pip(), **pins}
    opened.folder = clone
    return opened


def _of_pip() -> Mapping[str, str]:
    """How pip reaches its index here; a person's home would say it."""
    found = {name: value for name, value in os.environ.items() if name.startswith(_OF_PIP)}
    config = subprocess.run(
        ["python3", "-m", "pip", "config", "debug"], capture_output=True, text=True, check=False
    )
    files = re.findall(r"^\s+(\S+), exists: True$", config.stdout, re.MULTILINE)
    return _for_uv() | found | ({"PIP_CONFIG_FILE": files[-1]} if files else {})


def _for_uv() -> dict[str, str]:
    """What pip is set to, as uv, which pipx prefers, calls it."""
    listed = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    values = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", said, re.MULTILINE))
    names = {"cert": "SSL_CERT_FILE", "index-url": "UV_DEFAULT_INDEX"}
    return {names[name]: value for name, value in values.items() if name in names}


@pytest.mark.timeout(_INSTALL_SECONDS + 60)
def test_one_program_is_put_on_the_path(shell: PrintedShell) -> None:
    """And the person's Python stays first, for them and for their CI."""
    programs = [file.name for file in (shell.home / ".local" / "bin").iterdir()]
    assert programs == ["coalmine"]
    assert shell.run(Block(text="command -v python3")).strip() in {
        "/usr/bin/python3",
        "/usr/local/bin/python3",
    }
    assert shell.run(Block(text="coalmine config example")) == (ROOT / "coalmine.example.toml").read_text()


@pytest.mark.parametrize("way", ["uv", "pip alone"])
@pytest.mark.timeout(_INSTALL_SECONDS + 60)
def test_other_ways_of_the_readme_put_one_program_on_the_path_too(
    way: str, clone: Path, installers: Path, tmp_path: Path
) -> None:
    """From a clone, each command of the table as printed, in an empty home."""
    programs, home = tmp_path / "installers", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    (programs / "uv").symlink_to(installers / "uv")
    shell = _in_a_clone(home, clone, *([programs] if way == "uv" else []))
    (row,) = re.findall(rf"^\| {way} \| (.+?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    commands = re.findall(r"`(.+?)`", row)
    assert commands
    shell.run(Block(text="\n".join(commands)), timeout=_INSTALL_SECONDS)
    shell.folder = home
    assert [file.name for file in (home / ".local" / "bin").iterdir()] == ["coalmine"]
    found, version = shell.run(Block(text="command -v python3\ncoalmine --version")).splitlines()
    assert found in PYTHONS
    assert version.startswith("coalmine ")


@pytest.mark.timeout(_DEMO_SECONDS + 120)
def test_what_the_demonstration_proposes_can_be_typed(shell: PrintedShell, tmp_path: Path) -> None:
    """Each command, as printed, in an empty folder; what must be filled in is filled in."""
    shell.folder = tmp_path
    said = shell.run(Block(text="coalmine demo --keep story"), timeout=_DEMO_SECONDS)
    assert "What happened" in said
    proposed = re.findall(r"^(coalmine .+)$", said.partition("What to try next")[2], re.MULTILINE)
    assert [line.split()[1] for line in proposed] == ["demo", "demo", "trial", "init", "up"]
    _seed, keep, plan, init, up = proposed
    assert keep.replace("DIR", "story") == "coalmine demo --keep story"
    assert (tmp_path / "story" / "shop").is_dir()
    assert "canary jobs" in shell.run(Block(text=plan))
    _try_on_a_repository(shell, tmp_path, init, up)


def _try_on_a_repository(shell: PrintedShell, folder: Path, init: str, up: str) -> None:
    """The last two proposals, with an agent that costs nothing."""
    shop = folder / "shop"
    (shop / "issues").mkdir(parents=True)
    (shop / "issues" / "1.md").write_text("Write greeting.txt.\n")
    git = Git(shop)
    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message", "Begin")
    agent = shell.home / "installers" / "claude"
    agent.write_text(CLAUDE)
    agent.chmod(0o755)
    shell.folder = shop
    shell.run(Block(text=f"{init} --yes --ci 'command -v python3'"))
    log = folder / "up.log"
    fleet = shell.start(Block(text=up), log)
    try:
        wait_until(
            lambda: git("branch", "--list", "coalmine/*") or fleet.poll() is not None,
            description="a branch of the fleet's is there",
            timeout=90,
        )
    finally:
        fleet.send_signal(signal.SIGINT)
        until_ended(fleet, timeout=60)
    assert git("branch", "--list", "coalmine/*"), log.read_text()
    logs = list((shop / ".coalmine" / "forge" / "logs").glob("*.log"))
    assert logs
    # The first line may say in what CI ran.
    assert {file.read_text().strip().splitlines()[-1] for file in logs} <= PYTHONS


@pytest.mark.timeout(300)
def test_make_dist_makes_the_same_again(clone: Path, installers: Path, tmp_path: Path) -> None:
    """Whatever the umask is; the wheel has all that the program reads, and its sources make it too."""
    Git(clone)("remote", "set-url", "origin", str(ROOT))
    made = list[dict[str, bytes]]()
    for umask in ("022", "077"):
        command = f"umask {umask} && make dist BUILDER={installers / 'python'}"
        carried_out(["sh", "-c", command], cwd=clone, timeout=120)
        made.append({file.name: file.read_bytes() for file in (clone / "dist").iterdir()})
    assert made[0] == made[1]
    wheel, sdist = sorted((clone / "dist").iterdir(), key=lambda file: file.suffix != ".whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    tracked = set(Git(clone)("ls-files", *FLOORS).split())
    assert {Path(name).suffix for name in tracked} >= {".lua", ".html", ".css", ".js", ".py"}
    assert tracked <= held
    carried_out(["tar", "-xzf", sdist, "-C", tmp_path])
    (unpacked,) = tmp_path.iterdir()
    again = _built(unpacked, installers, tmp_path / "wheels", "wheel")
    assert again.read_bytes() == made[0][again.name]


@pytest.mark.timeout(300)
def test_the_version_is_that_of_the_tag(clone: Path, installers: Path, tmp_path: Path) -> None:
    """Of the newest at the commit that is built, and of no other name; a source distribution keeps it."""
    git = Git(clone)
    assert "-0.1.0.dev0-" in _built(clone, installers, tmp_path / "none", "wheel").name
    for tag in ("v0.9.0", "v0.10.1", "victory"):
        git("tag", tag)
    try:
        sdist = _built(clone, installers, tmp_path / "tagged", "sdist")
    finally:
        git("tag", "--delete", "v0.9.0", "v0.10.1", "victory")
    assert sdist.name == "coalmine-0.10.1.tar.gz"
    carried_out(["tar", "-xzf", sdist, "-C", tmp_path])
    wheel = _built(tmp_path / "coalmine-0.10.1", installers, tmp_path / "again", "wheel")
    assert wheel.name.startswith("coalmine-0.10.1-")


@pytest.mark.timeout(_DEMO_SECONDS + 60)
def test_the_demonstration_of_a_wheel(clone: Path, installers: Path, tmp_path: Path) -> None:
    """In an environment of its own, with the libraries of this one and nothing of the clone."""
    wheel, environment = _built(clone, installers, tmp_path / "wheels", "wheel"), tmp_path / "environment"
    carried_out([sys.executable, "-m", "venv", environment], timeout=120)
    python, (site,) = environment / "bin" / "python", environment.glob("lib/python3*/site-packages")
    quietly = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
    carried_out([str(python), *quietly, "install", "--no-deps", str(wheel)], timeout=120)
    (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("COALMINE_", "PYTHON"))
    }
    found = carried_out(
        [str(python), "-c", "import console; print(console.__file__)"], cwd=tmp_path, env=clean
    )
    assert Path(found.strip()).is_relative_to(site)
    demo = [str(environment / "bin" / "coalmine"), "demo"]
    assert "What happened" in carried_out(demo, cwd=tmp_path, env=clean, timeout=_DEMO_SECONDS)


@pytest.mark.timeout(600)
def test_the_quickstart_comes_to_its_verdict(tmp_path: Path) -> None:
    """The hasty version is rolled back after ten to twenty jobs, as the page says."""
    carry_out_the_quickstart(tmp_path, until="rolled back", timeout=200)


def _built(clone: Path, installers: Path, folder: Path, kind: str, **variables: str) -> Path:
    """A wheel or a source distribution, built in an environment that has hatchling."""
    argv = [str(installers / "python"), "-m", "hatchling", "build", "-d", str(folder), "-t", kind]
    kept = {name: value for name, value in os.environ.items() if name != "PROJECT_URL"}
    carried_out(argv, cwd=clone, env=kept | variables, timeout=120)
    (made,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def _metadata(wheel: Path) -> tuple[dict[str, str], str]:
    """The addresses of a project, and what an index shows of it."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        parsed = Parser().parsestr(archive.read(name).decode())
    urls = [
        (name, url) for name, _, url in (each.partition(", ") for each in parsed.get_all("Project-URL") or [])
    ]
    return dict(urls), str(parsed.get_payload())


#: Links of markdown that begin at the page itself.
_RELATIVE = re.compile(r"\]\((?!https?:|#)[^)]+\)")


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        ("https://me:s3cr3t@github.com/acme/coalmine.git", "https://github.com/acme/coalmine/blob/HEAD/"),
        ("git@git.example.com:acme/coalmine.git", "https://git.example.com/acme/coalmine/src/branch/main/"),
        ("ssh://git@gitlab.com/acme/coalmine", "https://gitlab.com/acme/coalmine/-/blob/HEAD/"),
    ],
)
def test_the_readme_of_a_wheel_links_to_where_it_was_cloned_from(
    clone: Path, installers: Path, tmp_path: Path, origin: str, page: str
) -> None:
    """Every link is whole; neither user nor password goes along."""
    Git(clone)("remote", "set-url", "origin", origin)
    urls, text = _metadata(_built(clone, installers, tmp_path, "wheel"))
    assert urls["Documentation"] == f"{page}docs/index.md"
    assert f"]({page}docs/quickstart.md)" in text
    assert not _RELATIVE.findall(text)
    assert "s3cr3t" not in str(urls) + text


def test_a_wheel_of_a_source_distribution_has_its_address(
    clone: Path, installers: Path, tmp_path: Path
) -> None:
    """Where there is no clone any longer; a variable says another one."""
    Git(clone)("remote", "set-url", "origin", str(ROOT))
    sdist = _built(clone, installers, tmp_path, "sdist", PROJECT_URL="https://codeberg.org/acme/coalmine")
    carried_out(["tar", "--extract", "--gzip", "--file", sdist, "--directory", tmp_path])
    (unpacked,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    wheel = _built(unpacked, installers, tmp_path / "wheels", "wheel")
    urls, text = _metadata(wheel)
    assert urls["Repository"] == "https://codeberg.org/acme/coalmine"
    assert not _RELATIVE.findall(text)
    with zipfile.ZipFile(wheel) as archive:
        assert "console/coalmine.example.toml" in archive.namelist()


def test_a_wheel_of_a_folder_makes_no_address_up(clone: Path, installers: Path, tmp_path: Path) -> None:
    """A clone of a path has none: links become words."""
    Git(clone)("remote", "set-url", "origin", str(ROOT))
    urls, text = _metadata(_built(clone, installers, tmp_path, "wheel"))
    assert urls == {}
    assert "Quickstart (`docs/quickstart.md`)" in text
    assert not _RELATIVE.findall(text)
