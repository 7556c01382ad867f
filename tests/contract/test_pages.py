"""The pages for those who change Coalmine: each is followed, and does what it says."""

from pathlib import Path

import pytest

from tests.pages import Page, ran
from tests.source import ROOT

PAGES = sorted(file.name for file in (ROOT / "docs").glob("add-a-*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_followed_does_what_it_says(name: str, tmp_path: Path) -> None:
    """Its steps, made in a copy of the product, make its programs run; without them they fail."""
    page = Page.read(name)
    assert page.steps
    assert page.claims
    page.follow(tmp_path)
    for claim in page.claims:
        after = ran(claim, tmp_path)
        assert after.returncode == 0, after.stderr
        assert ran(claim, ROOT).returncode != 0, f"holds without the steps of {name}: {claim}"


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_is_followed(name: str) -> None:
    """No block of code is only to look at."""
    page = Page.read(name)
    assert page.text.count("```python") + page.text.count("```lua") == len(page.steps) + len(page.claims)
