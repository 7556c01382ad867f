"""The documentation as a site: built without network, with links that lead somewhere."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.source import ROOT
from tests.waiting import run

#: Where requests would go: nobody listens there.
NOWHERE = "http://127.0.0.1:9"


class _Page(HTMLParser):
    """The addresses that a page has, those that a browser loads by itself, and its headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        found = dict(attrs)
        self.ids |= {name for name in (found.get("id"), found.get("name")) if name}
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if found.get("src"):
            self.loaded.append(str(found["src"]))
        if tag == "link" and found.get("rel") in {"stylesheet", "icon", "preload", "preconnect"}:
            self.loaded.append(str(found["href"]))


def _build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    program = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "site" / "bin" / "mkdocs"
    if not program.exists():
        pytest.fail("mkdocs is not installed; run tests/real/install.sh")
    given = {
        **os.environ, "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": NOWHERE, "https_proxy": NOWHERE, "no_proxy": "",
    }  # fmt: skip
    command = [str(program), "build", "--strict", "--site-dir", str(site)]
    return run(command, cwd=folder, env=given)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, _Page]:
    """Every page of the built site."""
    folder = tmp_path_factory.mktemp("site")
    built = _build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return {file: _Page(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("*.html"))}


def test_every_page_of_the_docs_is_on_the_site(site: dict[Path, _Page]) -> None:
    """And the README, the changelog, and the pages for contributors and finders of faults."""
    names = {file.stem for file in site}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= names
    assert {"project-readme", "project-changelog", "project-contributing", "project-security"} <= names


def test_every_link_leads_to_a_page_and_a_heading(site: dict[Path, _Page]) -> None:
    """As they are in the built pages, with the navigation's."""
    wrong = []
    for file, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or file.name == "404.html":  # begins at the site's root
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            found = site.get(target)
            if found is None and not target.is_file():
                wrong.append(f"{file.name}: {link}")
            elif found is not None and parts.fragment not in {"", "__skip", *found.ids}:
                wrong.append(f"{file.name}: {link} (no such heading)")
    assert wrong == []


def test_nothing_is_loaded_from_another_host(site: dict[Path, _Page]) -> None:
    """No script, style, font or picture, so that the site can be read where there is no network."""
    assert [each for page in site.values() for each in page.loaded if urlsplit(each).netloc] == []
    styles = "".join(file.read_text() for file in next(iter(site)).parent.rglob("*.css"))
    assert re.findall(r"url\((?:https?:)?//[^)]*\)|@import", styles) == []


def test_a_link_to_nothing_ends_the_build(tmp_path: Path) -> None:
    """A page that is not there, and a heading that is not."""
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "concepts.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](nowhere.md) and [no heading](events.md#no-such-heading)\n")
    built = _build(tmp_path, tmp_path / "out")
    assert built.returncode != 0
    assert "nowhere.md" in built.stderr
    assert "no-such-heading" in built.stderr
