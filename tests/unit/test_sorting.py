"""The order of a page's table is what its address asks for, and every heading says where to have another."""

import re

import httpx
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from console.details.sorting import Columns, sorted_rows
from harvest.evidence.policy import TrialPolicy
from routing.errors import InvalidInputError
from tests.fleets.stepped_fleet import SteppedFleet

ROWS: list[tuple[str, float | None]] = [("b@v10", 2.0), ("a", None), ("b@v9", 1.0), ("A", 2.0), ("", 1.0)]
COLUMNS: Columns[tuple[str, float | None]] = {"name": lambda row: row[0], "size, MB": lambda row: row[1]}


def ordered(asked: str) -> list[tuple[str, float | None]]:
    """The rows as an address has them."""
    return sorted_rows(ROWS, COLUMNS, [("sort", asked)])[0]


def test_without_a_wish_rows_stay_as_they_are() -> None:
    """Also where the wish is empty."""
    assert sorted_rows(ROWS, COLUMNS, [])[0] == ordered("") == ROWS


def test_rows_are_ordered_by_numbers_and_by_text_as_people_do() -> None:
    """Unknown ones last in either order, rows that are alike as they were, `v9` before `v10`."""
    assert [row[0] for row in ordered("name")] == ["a", "A", "b@v9", "b@v10", ""]
    assert [row[0] for row in ordered("-name")] == ["b@v10", "b@v9", "a", "A", ""]
    assert [row[0] for row in ordered("size, MB")] == ["b@v9", "", "b@v10", "A", "a"]
    assert [row[0] for row in ordered("-size, MB")] == ["b@v10", "A", "b@v9", "", "a"]


@given(st.lists(st.tuples(st.text(max_size=8), st.none() | st.floats(allow_nan=False))))
def test_no_row_is_lost(rows: list[tuple[str, float | None]]) -> None:
    """Whatever is in it; and both orders begin with what is known."""
    for asked in ("name", "-name", "size, MB", "-size, MB"):
        found = sorted_rows(rows, COLUMNS, [("sort", asked)])[0]
        assert sorted(map(repr, found)) == sorted(map(repr, rows))
        unknown = [COLUMNS[asked.removeprefix("-")](row) in {None, ""} for row in found]
        assert unknown == sorted(unknown)


@pytest.mark.parametrize("asked", ["names", "-", "--name", "-size", "<b>"])
def test_an_unknown_column_is_refused_with_those_there_are(asked: str) -> None:
    """In words."""
    with pytest.raises(InvalidInputError, match=r"has no column .* one of: name, size, MB"):
        ordered(asked)


def test_headings_lead_to_the_other_orders_and_keep_the_filters() -> None:
    """The chosen one the other way round."""
    _, sorting = sorted_rows(ROWS, COLUMNS, [("all", "1"), ("sort", "name"), ("x", "a&b")])
    assert sorting.address("name") == "?all=1&x=a%26b&sort=-name"
    assert sorting.address("size, MB") == "?all=1&x=a%26b&sort=size%2C+MB"
    assert [sorting.direction(each) for each in COLUMNS] == ["ascending", ""]
    _, sorting = sorted_rows(ROWS, COLUMNS, [("sort", "-name")])
    assert (sorting.direction("name"), sorting.address("name")) == ("descending", "?sort=name")


@pytest.fixture
def fleet(fake_redis: redis.Redis) -> SteppedFleet:
    """A fleet with a trial, and jobs of both versions."""
    made = SteppedFleet(fake_redis, draws=[0.9] * 20)
    made.on_trial()
    made.enqueue(title="one")
    return made


def asked(fleet: SteppedFleet, path: str) -> httpx.Response:
    """The answer to somebody at a browser."""
    return fleet.web.get(path, Accept="text/html")


@pytest.mark.parametrize("path", ["/trials", "/templates", "/templates/implementer", "/accounts", "/workers"])
def test_every_column_of_a_page_can_be_asked_for(fleet: SteppedFleet, path: str) -> None:
    """Both ways, and its CSV is asked for in the same order; any other column is refused in words."""
    fleet.app.clocks.report("jobs@host", 0.1, version="1", queues=("jobs",))
    columns = re.findall(r'<a class="sort" href="\?sort=([^"]+)">', asked(fleet, path).text)
    assert len(columns) > 4
    for column in columns:
        for wish, direction in ((column, "ascending"), (f"-{column}", "descending")):
            page = asked(fleet, f"{path}?sort={wish}")
            assert page.status_code == 200, page.text
            assert page.text.count(f'aria-sort="{direction}"') == 1
            assert f"?sort={wish}&amp;csv=" in page.text
            (document,) = re.findall(r'href="(/api/[^"]*)">As JSON', page.text)
            assert document == f"/api/v1{path}?sort={wish}"
            assert fleet.web.get(document).status_code == 200
    refused = fleet.web.get(f"/api/v1{path}?sort=nothing")
    assert (refused.status_code, "to sort by" in refused.text) == (422, True)
    refused = asked(fleet, f"{path}?sort=nothing")
    assert (refused.status_code, "to sort by" in refused.text) == (422, True)


def test_versions_are_shown_in_the_order_that_is_asked_for(fleet: SteppedFleet) -> None:
    """As their CSV has them."""
    names = ["implementer@v1", "implementer@v2"]
    for wish, order in (("version", names), ("-version", names[::-1]), ("-created", names[::-1])):
        table = asked(fleet, f"/templates/implementer?sort={wish}&csv=Versions").text.splitlines()
        assert [line.partition(",")[0] for line in table] == ["version", *order]
        document = fleet.web.get(f"/api/v1/templates/implementer?sort={wish}").json()
        assert [each["id"] for each in document["versions"]] == order


def test_documents_have_the_order_of_their_page(fleet: SteppedFleet) -> None:
    """Of trials, templates, accounts and processes, each way round."""
    app = fleet.app
    app.trials.stop(app.trials.find("implementer"), by="ada")
    fleet.clock.forward(5)
    app.proposals.open(app.templates.find("implementer@v2"), TrialPolicy(), by="ada")
    fleet.add("reviewer")
    for process in ("jobs@a", "jobs@b"):
        app.clocks.report(process, 0.1, version="1", queues=("jobs",))
        app.breakers.close(f"claude:{process[-1]}", "*", until=None, words="x", by="ada")
    for path, kind, key, column in (
        ("trials", "trials", "id", "opened"),
        ("templates", "templates", "template", "template"),
        ("accounts", "accounts", "account", "account"),
        ("workers", "processes", "process", "process"),
    ):
        up, down = (
            [each[key] for each in fleet.web.get(f"/api/v1/{path}?sort={sign}{column}").json()[kind]]
            for sign in ("", "-")
        )
        assert len(up) > 1, path
        assert down == up[::-1], path
        assert up == sorted(up), path
