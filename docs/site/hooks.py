"""What mkdocs calls while it builds the site: pages of the root, their links, and the navigation.

The pages are written for a repository, where `../CHANGELOG.md` leads out of `docs/`. On the site that page
lies beside the others; what has no page (the licence, a folder of tests) is named without a link.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]

#: Pages of the root that are on the site too.
OF_ROOT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")

#: The heading under which they are.
PROJECT = "Project"

#: A link, or a picture, to a file; its address has neither a scheme nor a heading alone.
_LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<path>(?!\w+:|#)[^)\s#]+)(?P<heading>#[^)\s]*)?\)")
_SECTION = re.compile(r"^## (.+)$|^- \[([^\]]+)\]\(([\w-]+\.md)\)", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation is that of docs/index.md."""
    config.nav = navigation((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root. There is one index, and it is that of the docs."""
    for name in OF_ROOT:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, site_name(name), content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as they are on the site."""
    at_root = page.file.src_uri in {site_name(name) for name in OF_ROOT}
    return with_links(markdown, ROOT if at_root else (ROOT / "docs" / page.file.src_uri).parent)


def navigation(index: str) -> list[Any]:
    """The sections of the index with their pages, and the pages of the root at the end."""
    found: list[Any] = [{"Coalmine": "index.md"}]
    for section, title, path in _SECTION.findall(index):
        if section:
            found.append({section: []})
        else:
            next(iter(found[-1].values())).append({title: path})
    named = [{name.removesuffix(".md").capitalize(): site_name(name)} for name in OF_ROOT]
    recordings = {"What the first commands print": "recordings/README.md"}
    return [*found, {PROJECT: [*named, recordings]}]


def site_name(name: str) -> str:
    """The file of a page of the root on the site; README.md would be a second index."""
    return f"project-{name.lower()}"


def with_links(markdown: str, folder: Path) -> str:
    """The page with each link to a file as a link of the site, or as words where the site has none."""

    def link(match: re.Match[str]) -> str:
        target = (folder / match["path"]).resolve()
        heading = match["heading"] or ""
        if target.parent == ROOT and target.name in OF_ROOT:
            path = site_name(target.name)
        elif target.is_relative_to(ROOT / "docs") and target.suffix in {".md", ".png", ".svg"}:
            path = str(target.relative_to(ROOT / "docs"))
        else:
            return f"{match['text'].strip('![]')} (`{target.relative_to(ROOT)}`)"
        depth = len(folder.relative_to(ROOT / "docs").parts) if folder.is_relative_to(ROOT / "docs") else 0
        return f"{match['text']}({'../' * depth}{path}{heading})"

    return _LINK.sub(link, markdown)
