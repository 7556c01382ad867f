"""The documentation names what there is, and nothing that there is not."""

import inspect
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from routing.events import MEANINGS
from routing.forges.config import ForgeConfig, IssueSourceConfig, RemoteConfig
from routing.forges.registry import KINDS
from routing.store.redis.keys import PERMANENT_KINDS, Keys
from routing.trackers.config import TrackerConfig
from routing.trackers.registry import TRACKER_KINDS
from tasks import broker
from tasks.settings.origins import flat
from tasks.settings.settings import Settings, load_settings
from tests.programs.command_line import whole_command_line
from tests.source import forge_rooms, product, text, written_by_us

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.glob("*.md"), *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"))]
)

#: Every file of tests, below the root.
TESTS = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("test_*.py"))

#: Words that end the part of a shell line that is ours.
_ENDS = {"|", "&&", "||", ";", "&", ">", "<", "#"}


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def rows(name: str) -> dict[str, list[str]]:
    """The rows of a page's tables whose first cell is a name in backticks, by that name."""
    found = {}
    for line in page(name).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and (match := re.fullmatch(r"`([^`]+)`", cells[0])):
            found[match[1]] = cells[1:]
    return found


def shown(value: object) -> str:
    """A default as the reference writes it."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:.10g}`" if isinstance(value, int | float) else f"`{value}`"


def forge_settings() -> Iterator[tuple[str, str, object]]:
    """The settings of forges, each where it is declared or overridden: whose, its name, its default."""
    shared = [("forge.NAME", IssueSourceConfig), ("forge.NAME", ForgeConfig), ("forge.NAME", RemoteConfig)]
    yield from _settings_of([*shared, *((f"forge.{kind.name}", kind.config) for kind in KINDS.values())])


def tracker_settings() -> Iterator[tuple[str, str, object]]:
    """The same of trackers."""
    shared = [("tracker.NAME", IssueSourceConfig), ("tracker.NAME", TrackerConfig)]
    kinds = [(f"tracker.{kind.name}", kind.config) for kind in TRACKER_KINDS.values()]
    for whose, name, default in _settings_of([*shared, *kinds]):
        inner = flat(default) if isinstance(default, BaseModel) else [((), default)]
        yield from ((whose, ".".join((name, *place)), value) for place, value in inner)


def _settings_of(configs: Iterable[tuple[str, type[BaseModel]]]) -> Iterator[tuple[str, str, object]]:
    for whose, config in configs:
        for name in config.__annotations__:
            if name in config.model_fields and (config is IssueSourceConfig or name not in {"kind", "name"}):
                default = config.model_fields[name].default
                yield whose, name, None if default is PydanticUndefined else default


def test_the_list_for_models_is_that_of_the_index() -> None:
    """llms.txt has every heading and page of docs/index.md, with paths from the root."""
    wanted = [
        re.sub(r"\]\((?=[a-z0-9-]+\.md)", "](docs/", line)
        for line in page("index.md").splitlines()
        if line.startswith(("## ", "- ["))
    ]
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")
    listed = [line for line in text.splitlines() if line.startswith(("## ", "- ["))]
    assert listed == wanted, "copy the line of docs/index.md into llms.txt, with docs/ before the page"
    linked = [path for path in re.findall(r"\]\(([^)#]+)", text) if ":" not in path]
    assert linked
    assert not [path for path in linked if not (ROOT / path).is_file()]


def test_every_setting_is_in_the_reference_with_its_default() -> None:
    """docs/settings.md is the whole truth about settings."""
    written = {name: cells[0] for name, cells in rows("settings.md").items() if not name.isupper()}
    plain = {".".join(place): shown(value) for place, value in flat(Settings())}
    sources = [*forge_settings(), *tracker_settings()]
    assert written == plain | {f"{whose}.{name}": shown(value) for whose, name, value in sources}


def test_every_event_is_in_the_reference() -> None:
    """docs/events.md has each kind with the meaning that the code gives it."""
    written = {name: cells[0] for name, cells in rows("events.md").items()}
    assert {name: written.get(name) for name in MEANINGS} == MEANINGS


@pytest.mark.parametrize("kind", sorted(PERMANENT_KINDS))
def test_every_permanent_kind_of_key_is_in_the_layout(kind: str) -> None:
    """What lives for ever is written down."""
    assert re.search(rf"`{re.escape(kind)}[`:.]", page("keys.md")), kind


def test_every_key_is_in_the_layout() -> None:
    """Each method of `Keys` stands in docs/keys.md, with its parameter in capitals."""
    keys = Keys("n")
    made = set()
    for name, method in vars(Keys).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            _, parameter, *_ = inspect.signature(method).parameters
            made.add(method(keys, parameter.upper()).removeprefix("n:"))
    assert made <= set(rows("keys.md"))


def test_every_script_is_in_the_architecture() -> None:
    """A Lua script that is added or renamed shows."""
    scripts = {file.stem for file in (ROOT / "routing/store").glob("*/*.lua")}
    assert scripts <= set(rows("architecture.md"))


def test_the_picture_shows_every_room() -> None:
    """docs/architecture.md draws each folder of the floors that has modules, once, and no other.

    Kinds of forges are examples there: a new one need not be drawn.
    """
    (picture,) = re.findall(r"```mermaid\n(.*?)```", page("architecture.md"), re.DOTALL)
    drawn = re.findall(r"\[\"([a-z_/]+)[:<\"]", picture)
    rooms = {path.parent.as_posix() for path in product()}
    missing = rooms - {*drawn, *forge_rooms()}
    assert not missing, f"draw {sorted(missing)} in docs/architecture.md"
    assert set(drawn) <= rooms, f"there is no {sorted({*drawn} - rooms)}: docs/architecture.md draws it"
    assert len(drawn) == len(set(drawn)), "docs/architecture.md draws a room twice"


def test_the_index_leads_to_every_page() -> None:
    """No page is out of reach."""
    linked = set(re.findall(r"\]\(([a-z-]+\.md)\)", page("index.md")))
    assert linked == {file.name for file in DOCS.glob("*.md")} - {"index.md"}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links_lead_somewhere(file: Path) -> None:
    """Relative links name files that are there, and headings that those files have."""
    for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        name, _, heading = target.partition("#")
        other = (file.parent / name) if name else file
        assert other.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_files_that_are_named_are_there(file: Path) -> None:
    """`tests/unit/test_x.py`, `routing/templates/route.py` and their like exist."""
    text = file.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:routing|harvest|tasks|console|tests|benchmarks|docs)/[\w/.]+)`", text):
        assert (ROOT / name).exists() or f"The new file `{name}`" in text, name


def test_modules_that_are_named_are_there() -> None:
    """`tasks.work.outcome`, or a name in it, exists: in each comment, docstring and page."""
    named = {
        (name, place)
        for place in written_by_us()
        for name in re.findall(r"`((?:routing|harvest|tasks|console|tests|benchmarks)\.[\w.]+)`", text(place))
    }
    assert len(named) > 30
    tasks = {value for value in vars(broker).values() if isinstance(value, str)}  # their names in messages
    files = {"tasks.py"}  # which must not lie where Celery is started
    unknown = {(name, place) for name, place in named if name not in tasks | files}
    assert not {f"{place}: {name}" for name, place in unknown if not _is_there(name)}


def _is_there(name: str) -> bool:
    """Whether a dotted name is a package, a module, or something that a module has."""
    for path in (ROOT / name.replace(".", "/"), ROOT / (name.replace(".", "/") + ".py")):
        if path.exists():
            return True
    module, _, rest = name.rpartition(".")
    return (ROOT / (module.replace(".", "/") + ".py")).exists() and hasattr(import_module(module), rest)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_tests_that_are_named_are_there(file: Path) -> None:
    """A page that says which test holds a promise names one that there is, in the file that it names."""
    for line in file.read_text(encoding="utf-8").splitlines():
        named = re.findall(r"`(test_\w+)`", line)
        files = re.findall(r"`(tests/[\w/]+\.py)`", line) or TESTS
        for name in named:
            assert any(f"def {name}(" in (ROOT / each).read_text(encoding="utf-8") for each in files), name


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Each field of a table, and each of a section in it."""
    for name, field in model.model_fields.items():
        yield (name,)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from ((name, *inner) for inner in fields_of(field.annotation))


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_settings_that_are_named_exist(file: Path) -> None:
    """`forge.github.token` and `COALMINE_WEB__PORT` are settings, or sections of them."""
    places = [place for place, _ in flat(Settings())]
    forges = {"NAME": RemoteConfig} | {name: kind.config for name, kind in KINDS.items()}
    forges |= {"corp": RemoteConfig}  # the forge of the pages' examples
    places += [("forge", name, field) for name, config in forges.items() for field in config.model_fields]
    trackers = {"NAME": TrackerConfig} | {name: kind.config for name, kind in TRACKER_KINDS.items()}
    places += [("tracker", name, *field) for name, kind in trackers.items() for field in fields_of(kind)]
    known = {".".join(place[:size]) for place in places for size in range(1, len(place) + 1)}
    text = file.read_text(encoding="utf-8")
    dotted = re.findall(
        r"`((?:forge|tracker|issues|http|webhook|web|agent|canary)\.[a-z_.]+)(?: = [^`]*)?`", text
    )
    named = {name for name in dotted if name not in MEANINGS and name.split(".")[-1] != "accepted"}
    variables = re.findall(r"\bCOALMINE_([A-Z]+__[A-Z_]*[A-Z])\b", text)
    named |= {
        name.removesuffix("_FILE").lower().replace("__", ".") for name in variables if "SECTION" not in name
    }
    assert named <= known


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_settings_in_examples_are_accepted(file: Path, tmp_path: Path) -> None:
    """Each block of a settings file is read as one."""
    for block in re.findall(r"```toml\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL):
        sections = {line.strip("[]").split(".")[0] for line in block.splitlines() if line.startswith("[")}
        if sections and sections <= set(Settings.model_fields):
            example = tmp_path / "coalmine.toml"
            example.write_text(block, encoding="utf-8")
            load_settings(example)


def commands(text: str) -> list[list[str]]:
    """The `coalmine` command lines in a page's blocks, and in its sentences."""
    text = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(coalmine [^`]+)`", text)
    found = []
    for line in lines:
        words = re.sub(r"'[^']*'|\"[^\"]*\"", "TEXT", line.replace("\\", " ")).split()
        if words[:1] == ["coalmine"]:
            end = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
            found.append(words[1:end])
    return found


def spoken(words: list[str]) -> None:
    """Follow a command line down to its command; what does not exist is an AssertionError."""
    command: Any = whole_command_line()
    for word in words:
        if word.startswith("-") and word.strip("-"):
            options = {"--help", "-h"} | {
                name for each in command.params for name in (*each.opts, *each.secondary_opts)
            }
            assert word.partition("=")[0] in options, (words, word)
        elif hasattr(command, "commands"):
            if word.isupper() or not word.strip("…"):
                return
            if word in command.commands:
                command = command.commands[word]
            else:
                assert command.name == "coalmine", (words, word)
                assert words[words.index(word) - 1].startswith("--"), (words, word)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_commands_exist(file: Path) -> None:
    """Every `coalmine` command that a page shows is one, and so is each of its options."""
    for words in commands(file.read_text(encoding="utf-8")):
        spoken(words)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_targets_of_make_exist(file: Path) -> None:
    """`make X` is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = file.read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z-]+)`", text) + re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    assert set(named) <= targets
