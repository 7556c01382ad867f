"""The pages for those who change Coalmine: each is followed, and does what it says."""

import itertools
import runpy
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from routing.forges.commit_status import CommitStatus, StatusState
from routing.forges.errors import ForgeGoneError, ForgeInvalidError
from routing.issues.issue import Comment, IssueRef
from tests.contract import test_forge as suite
from tests.fakes.memory_repository import MemoryRepository
from tests.pages import Page, ran
from tests.source import ROOT

PAGES = sorted(file.name for file in (ROOT / "docs").glob("add-a-*.md"))


@pytest.mark.long
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


#: The cases of every forge that Acme can be in: it has no change requests and no dependencies of its own.
CASES_OF_ACME = (
    suite.test_issues_are_listed_by_label,
    suite.test_an_issue_is_read_whole,
    suite.test_the_revision_is_of_what_the_job_is_made_from,
    suite.test_our_comments_can_be_edited_and_others_cannot,
    suite.test_writing_twice_is_writing_once,
    suite.test_what_is_not_there_is_gone,
    suite.test_permission_is_asked_for,
    suite.test_who_asked_is_asked_of_the_forge,
    suite.test_our_comments_differ_from_others,
    suite.test_what_failed_can_be_read,
)


@pytest.fixture
def acme(tmp_path: Path) -> suite.ForgeUnderTest:
    """The adapter of docs/add-a-forge.md, as it stands there, with a project."""
    (code,) = (
        step["code"] for step in Page.read("add-a-forge.md").steps
        if step["new"] == "routing/forges/acme/forge.py"
    )  # fmt: skip
    file = tmp_path / "forge.py"
    file.write_text(code, encoding="utf-8")
    module = runpy.run_path(str(file))
    tickets, commits = module["TICKETS"].setdefault("cart", {}), module["COMMITS"].setdefault("cart", {})
    now = datetime.now(UTC)
    numbers = itertools.count(1)

    def open_issue(
        title: str, body: str, *, labels: Sequence[str] = (), blocked_by: Sequence[int] = ()
    ) -> IssueRef:
        assert not blocked_by
        ref = IssueRef(forge="acme", repo="cart", number=next(numbers))
        tickets[ref.number] = {
            "title": title, "text": body, "labels": dict.fromkeys(labels, "ann"), "state": "open",
            "by": "ann", "assignees": {}, "comments": {}, "at": now,
        }  # fmt: skip
        return ref

    def person_comments(ref: IssueRef, body: str) -> None:
        tickets[ref.number]["comments"][1] = Comment(id=1, author="ann", body=body)

    def say(commit: str, state: StatusState) -> None:
        status = CommitStatus(context="acme/build", state=state, description="the cart is broken", at=now)
        commits[commit] = {"statuses": [status], "on_main": False}

    return suite.ForgeUnderTest(
        forge=module["AcmeForge"]("acme"), repo="cart", repository=MemoryRepository(lambda: now),
        open_issue=open_issue, person_comments=person_comments,
        judge=lambda commit: say(commit, StatusState.SUCCESS),
        fail=lambda commit: say(commit, StatusState.FAILURE),
        person_merges=lambda _branch: None, vanish=lambda: None,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES_OF_ACME, ids=lambda case: case.__name__.removeprefix("test_"))
def test_the_forge_of_the_page_keeps_the_contract(
    acme: suite.ForgeUnderTest, case: Callable[[suite.ForgeUnderTest], None]
) -> None:
    """What people copy from the page is right: above all, who asked for agents."""
    case(acme)


def test_the_forge_of_the_page_knows_which_commits_it_has(acme: suite.ForgeUnderTest) -> None:
    """One that is not on the main branch is not contained in it; an unknown one is gone."""
    acme.judge("a" * 40)
    assert not acme.forge.contains(acme.repo, "a" * 40)
    with pytest.raises(ForgeGoneError):
        acme.forge.contains(acme.repo, "0" * 40)
    with pytest.raises(ForgeInvalidError):
        acme.forge.contains(acme.repo, "main")
