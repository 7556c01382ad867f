"""A fleet of several local forges: each repository is its own alone, and is looked at first."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.input.up_options import UpOptions
from console.local.fleet import FleetPlan, LocalFleet
from routing.errors import ConflictError, InvalidInputError
from routing.git.git import Git
from tasks.work.fleet_lock import NAME, FleetLock, locked_folders
from tests.programs.command_line import own_surroundings


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder with three repositories that have a commit, and one without."""
    monkeypatch.chdir(tmp_path)
    for name in ("shop", "blog", "wiki", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}-issues").mkdir()
        git = Git(tmp_path / name)
        git("init", "--quiet", "--initial-branch=main")
        if name != "new":
            (tmp_path / name / "agent.sh").write_text("true\n")
            (tmp_path / name / "agent.sh").chmod(0o755 if name == "shop" else 0o644)
            git("add", "--all")
            git("commit", "--quiet", "--message=Begin")
    with own_surroundings():
        yield tmp_path


def written(*names: str, ci: str = "") -> None:
    """The settings file: a local forge for each repository; `ci` is the last one's."""
    tables = [
        f'[[forge]]\nkind = "local"\nname = "{name}"\nrepository = "{name}"\nissues = "{name}-issues"\n'
        for name in names
    ]
    extra = f'ci = "{ci}"\nci_sandbox = "none"\n' if ci else ""
    Path("coalmine.toml").write_text("\n".join(tables) + extra)


def fleet(state: str) -> LocalFleet:
    """A fleet of the settings file, on a server that it need not reach to begin."""
    return LocalFleet(FleetPlan(state=Path(state), variables={"COALMINE_REDIS_URL": "redis://127.0.0.1:1/0"}))


def is_free(place: Path, name: str) -> bool:
    """Whether a fleet can have the repository and its issues."""
    with (
        suppress(ConflictError),
        FleetLock(locked_folders(place / name, place / f"{name}-issues"), state=Path("s")),
    ):
        return True
    return False


def test_each_repository_is_locked(place: Path) -> None:
    """A second fleet of any of them is refused, and has let go of its others then."""
    written("shop", "blog")
    with fleet("one"):
        assert [is_free(place, name) for name in ("shop", "blog", "wiki")] == [False, False, True]
        for shared in ("shop", "blog"):
            for names in (["wiki", shared], [shared, "wiki"]):
                written(*names)
                with (
                    own_surroundings(),
                    pytest.raises(ConflictError, match=f"works on .*/{shared}.* already"),
                ):
                    fleet("two").__enter__()
                assert is_free(place, "wiki")
    assert [is_free(place, name) for name in ("shop", "blog")] == [True, True], "it has ended"


def test_a_state_folder_is_one_fleets(place: Path) -> None:
    """Of two that start in it at once, on other repositories, one is refused before it starts a store."""
    written("shop")
    with fleet("one"):
        written("blog")
        with own_surroundings(), pytest.raises(ConflictError, match=f"works on {place}/one already"):
            fleet("one").__enter__()
        assert is_free(place, "blog")


def test_two_forges_may_share_a_repository(place: Path) -> None:
    """It is one fleet, which is not in its own way."""
    written("shop")
    file = Path("coalmine.toml")
    file.write_text(
        file.read_text() + file.read_text().replace('"shop"', '"old"', 1).replace("shop-", "wiki-")
    )
    with fleet("one"):
        assert not is_free(place, "shop")


def test_each_repository_has_a_commit_and_hides_our_files(place: Path) -> None:
    """The first that cannot be worked for is named, and nothing stays locked."""
    written("shop", "new")
    with pytest.raises(InvalidInputError, match=f"{place}/new has no commit yet|new has no commit yet"):
        fleet("one").__enter__()
    assert is_free(place, "shop")
    (place / "blog" / "todo").mkdir()
    written("shop", "blog")
    file = Path("coalmine.toml")
    file.write_text(file.read_text().replace("blog-issues", "blog/todo"))
    with own_surroundings(), fleet("one"):
        assert NAME in (place / "blog" / ".git" / "info" / "exclude").read_text()


@pytest.mark.long
def test_up_looks_at_each(place: Path) -> None:
    """An agent that one repository lacks, and a main branch that is red, start nothing; its name is said."""
    written("shop", "blog")
    said = CliRunner().invoke(app, ["up", "--agent", "./agent.sh"]).stderr
    assert f"a clone of main of {place}/blog, where it is a file that cannot be run" in said
    written("shop", "blog", ci="exit 1")
    with own_surroundings():
        result = CliRunner().invoke(app, ["up", "--agent", "true"])
    assert result.exit_code != 0
    assert "blog: CI is red on main already" in result.output
    assert "the main branch is red, so nothing was started" in result.stderr


def test_a_red_main_branch_is_allowed_for_all() -> None:
    """`--allow-red` is about every local forge, whatever they are called."""
    given = UpOptions(allow_red=True).variables("local", ["shop", "my-blog"])
    assert given == {
        "COALMINE_FORGE__SHOP__ALLOW_RED": "true",
        "COALMINE_FORGE__MY_BLOG__ALLOW_RED": "true",
    }


@pytest.mark.parametrize(("option", "field"), [("repo", "repository"), ("ci", "ci"), ("agents", "per_repo")])
def test_an_option_of_one_forge_among_several_is_refused(option: str, field: str) -> None:
    """None of them is called `local`, so it cannot be known which is meant; nothing is started."""
    written("shop", "blog")
    value = {"repo": "shop", "ci": "true", "agents": "2"}[option]
    result = CliRunner().invoke(app, ["up", f"--{option}", value])
    assert result.exit_code == 2
    said = f"--{option} is about one local forge, and the settings have 2: shop, blog; write {field} into"
    assert said in " ".join(result.stderr.split())
