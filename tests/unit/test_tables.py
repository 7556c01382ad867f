"""Every table of every page as CSV: the same rows, exact times, and no cell that a spreadsheet calculates."""

import csv
import html
import re
from urllib.parse import quote

import pytest
import redis

from console.pages.tables import csv_of, harmless, table_names
from routing.jobs.signal import SignalKind
from tests.fleets.stepped_fleet import SteppedFleet
from tests.unit.test_console_pages import fleet as hostile_fleet
from tests.unit.test_console_pages import paths

_ = hostile_fleet
FORMULA = '=HYPERLINK("http://evil.example", "x")'


@pytest.fixture
def sheet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet whose texts from outside are formulas."""
    made = SteppedFleet(redis_client, draws=[0.9] * 300)
    made.add()
    for text in (FORMULA, "@SUM(1)", "+1-2", "-2+3", "\uff1d1+1", 'plain, with "quotes"\nand a line'):
        job = made.enqueue(title=text, task=text).job
        made.end(job, SignalKind.AGENT_ERRORED, tail=text)
    return made


def rows(text: str) -> list[list[str]]:
    """A CSV file, read."""
    return list(csv.reader(text.splitlines()))


def test_every_table_is_a_csv_file(hostile_fleet: SteppedFleet) -> None:
    """Of every page, with a link in its footer, the rows that the page has, and JSON beside it."""
    client, seen = hostile_fleet.web, 0
    for path in paths(hostile_fleet):
        page = client.get(path, Accept="text/html").text
        names = table_names(page)
        assert page.count("<table") == len(names), f"{path} has a table without a name"
        assert len(set(names)) == len(names), path
        assert not names or "/api/v1/" in page.partition("<footer>")[2], path
        links = re.findall(r'<a href="([^"]*csv=[^"]*)"', page.partition("<footer>")[2])
        assert len(links) == len(names), path
        for name, link in zip(names, links, strict=True):
            answer = client.get(html.unescape(link))
            assert answer.status_code == 200, (link, answer.text)
            assert answer.headers["content-type"].startswith("text/csv")
            assert answer.headers["content-disposition"].startswith('attachment; filename="')
            found = rows(answer.text)
            body = page.partition(f'aria-label="{html.escape(name)}"')[2].partition("</table>")[0]
            assert len(found) >= 1 + body.partition("<tbody>")[2].count("<tr>"), link
            assert all(found[0]), link
            assert {len(row) for row in found} == {len(found[0])}, link
            for cell in (cell for row in found for cell in row):
                assert cell == harmless(cell) or cell.startswith("'"), (link, cell)
                assert not re.search("[\x00-\x1f\x7f\u202a-\u202e]", cell), (link, cell)
            seen += 1
    assert seen > 20


def test_a_formula_is_text(sheet: SteppedFleet) -> None:
    """It is there to be read, after an apostrophe; quotes, commas and lines stay in their cell."""
    page = sheet.web.get("/jobs?csv=Jobs").text
    titles = [row[2] for row in rows(page)[1:]]
    assert sorted(titles) == sorted(
        [f"'{FORMULA}", "'@SUM(1)", "'+1-2", "'-2+3", "'\uff1d1+1", 'plain, with "quotes" and a line']
    )


@pytest.mark.parametrize(
    ("cell", "kept"),
    [("-0.50", "-0.50"), ("+3", "+3"), ("-", ""), ("-1,000.5%", "-1,000.5%"),
     ("-1.00 [-1, 0]", "'-1.00 [-1, 0]"), ("=1", "'=1"), ("a=1", "a=1"), ("\uff0b1", "'\uff0b1")],
)  # fmt: skip
def test_numbers_stay_numbers(cell: str, kept: str) -> None:
    """And what a page shows for nothing is nothing."""
    assert harmless(cell) == kept


def test_times_are_exact_and_texts_whole(sheet: SteppedFleet) -> None:
    """A page shortens both."""
    long = "x" * 60 + " " + "y" * 60
    sheet.enqueue(title=long)
    client = sheet.web
    found = rows(client.get("/jobs?csv=Jobs").text)
    (row,) = [row for row in found if row[2] == long]
    assert row[found[0].index("created")] == "2023-11-14T22:13:20.000Z"
    assert long not in client.get("/jobs", Accept="text/html").text


def test_a_file_has_more_rows_than_a_page_and_says_what_follows(
    sheet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `Link`, which keeps what is filtered."""
    for number in range(70):
        sheet.enqueue(title=f"n{number}")
    client = sheet.web
    whole = client.get("/jobs?csv=Jobs")
    assert (len(rows(whole.text)), "Link" in whole.headers) == (77, False)
    monkeypatch.setattr("console.web.people.page_answers.MOST_IN_CSV", 40)
    address, found = "/jobs?template=implementer&csv=Jobs", list[list[str]]()
    while address:
        answer = client.get(address)
        found += rows(answer.text)[1:]
        address = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert not address or "template=implementer&csv=Jobs&after=" in address
    assert found == rows(whole.text)[1:]


def test_a_table_that_is_not_there_is_an_error_with_those_that_are(sheet: SteppedFleet) -> None:
    """And a page that is an error is one."""
    client = sheet.web
    answer = client.get(f"/jobs?csv={quote('<b>')}")
    assert (answer.status_code, "it has Jobs" in answer.text) == (404, True)
    assert client.get("/jobs/0123456789abcdef?csv=Jobs", Accept="text/html").status_code == 404


def test_acts_are_left_out() -> None:
    """Forms in cells, and columns without a heading."""
    page = (
        '<div class="scroll" tabindex="0" role="region" aria-label="A &amp; b"><table><thead><tr><th>a</th>'
        "<th></th></tr></thead><tbody><tr><td>1<br>2<details><summary>Do</summary>now</details></td><td>x</td>"
        "</tr></tbody></table></div>"
    )
    assert csv_of(page, "A & b") == "a\r\n1 2\r\n"
    assert csv_of(page, "A") is None
