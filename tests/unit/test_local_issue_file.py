"""Issue files: what is read from front matter, and what a rewrite leaves alone."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import CorruptRecordError, InvalidInputError
from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeUnreachableError
from routing.forges.local.issue_file import MAX_ISSUE_BYTES, IssueFile
from routing.forges.local.issues import LocalIssues
from routing.issues.issue import IssueRef

WRITTEN_BY_HAND = b"""---
# kept by the shop team
number: 3
title: 404 on checkout   # seen twice
labels: [agent, bug]

# ours, not Coalmine's
estimate: {hours: 2}
comments:
- author: maria
  body: I saw it too
---

  Body with trailing spaces  \r
---
no front matter here
"""


def test_text_that_nothing_can_hold_is_replaced() -> None:
    """YAML can spell NUL: it becomes a question mark."""
    front = rb'{title: "a \0 b", labels: ["x\0y"], author: "\0", comments: [{body: "\0"}]}'
    matter = IssueFile.parse(b"---\n" + front + b"\n---\ntext").matter
    assert (matter.title, matter.labels, matter.author) == ("a ? b", ("x?y",), "?")
    assert matter.comments[0].body == "?"


def test_reads_what_a_person_writes() -> None:
    """Scalars, lists and comments come out as a person means them."""
    file = IssueFile.parse(
        b"---\nnumber: 7\ntitle: 404\nlabels: agent, bug\nblocked_by: ['#3', 4]\n"
        b"comments: [{body: hello, at: 2024-05-01 10:00:00}]\n---\ntext"
    )
    assert (file.matter.number, file.matter.title, file.matter.labels) == (7, "404", ("agent", "bug"))
    assert file.matter.blocked_by == (3, 4)
    assert file.matter.comments[0].at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert file.matter.state == "open"
    assert file.body == "text"


def test_a_change_rewrites_only_the_lines_of_its_key() -> None:
    """A person's order, comments, unknown keys and the body stay byte for byte."""
    changed = IssueFile.parse(WRITTEN_BY_HAND).with_fields(labels=["agent"], state="closed")
    expected = WRITTEN_BY_HAND.replace(b"labels: [agent, bug]\n", b"labels:\n- agent\n").replace(
        b"  body: I saw it too\n", b"  body: I saw it too\nstate: closed\n"
    )
    assert changed.content == expected


def test_front_matter_that_is_not_one_key_to_a_line_is_written_anew() -> None:
    """Where lines cannot be replaced the fields are kept, and the body is."""
    changed = IssueFile.parse(b"---\n{number: 3, x: [1, 2]}\n---\n body \n").with_fields(state="closed")
    assert IssueFile.parse(changed.content).fields == {"number": 3, "x": [1, 2], "state": "closed"}
    assert changed.content.endswith(b"---\n body \n")


def test_a_file_without_front_matter_gets_some() -> None:
    """The body of a plain markdown file is not touched, whatever its line ends."""
    assert IssueFile.parse(b"# Title\r\ntext").with_fields(number=4).content == (
        b"---\r\nnumber: 4\r\n---\r\n# Title\r\ntext"
    )


@given(body=st.text(), comment=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_body_survives_any_comment(body: str, comment: str) -> None:
    """Whatever a comment contains, the body after it is the same bytes, and the comment comes back."""
    before = IssueFile.parse(b"---\nnumber: 1\n---\n" + body.encode())
    text = f"{comment}\n---\n{comment}"
    after = IssueFile.parse(before.with_fields(comments=[{"id": 1, "body": text}]).content)
    assert after.body == body
    assert after.matter.comments[0].body == text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"---\nnumber: 3\n", "not closed"),
        (b"---\nlabels: [a\n---\n", "not YAML"),
        (b"---\nnumber: true\n---\n", "truth value"),
        (b"---\nnumber: 0\n---\n", "number"),
        (b"---\nlabels: [no]\n---\n", "quotes"),
        (b"---\nstate: wontfix\n---\n", "state"),
        (b"---\ndue: 2024-13-45\n---\n", "not YAML"),
        (b"---\njust text\n---\n", "key: value"),
        (b"---\nlabels: [[a]]\n---\n", "labels: Value error, must be a list of words"),
        (b"---\nblocked_by: {a: 1}\n---\n", "blocked_by: Value error, must be a list of words"),
        (b"---\nx: !!python/object/apply:os.getcwd []\n---\n", "not YAML"),
        (b"---\nx: " + b"[" * 5000 + b"\n---\n", "nested more than 50 deep"),
        (b"---\nx: " + b"[" * 100_000 + b"]" * 100_000 + b"\n---\n", "nested more than 50 deep"),
        (b"---\n" + b"- " * 60 + b"x\n---\n", "nested more than 50 deep"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, said: str) -> None:
    """Each kind of broken file has an error that says what is wrong."""
    with pytest.raises(CorruptRecordError, match=said):
        IssueFile.parse(content)


def test_numbers_come_from_front_matter_then_name_then_are_given(tmp_path: Path) -> None:
    """A file without a number gets the next one, keeps it, and a deleted issue's number is not reused."""
    (tmp_path / "0002-slow.md").write_text("slow")
    (tmp_path / "odd.md").write_text("---\nnumber: 7\n---\nodd")
    (tmp_path / "new.md").write_text("# It breaks\n")
    (tmp_path / "README.md").write_text("about this folder")
    issues = LocalIssues(tmp_path)
    assert {number: found.path.name for number, found in issues.read().issues.items()} == {
        2: "0002-slow.md",
        7: "odd.md",
        8: "new.md",
    }
    assert (tmp_path / "new.md").read_bytes() == b"---\nnumber: 8\n---\n# It breaks\n"
    assert (tmp_path / "README.md").read_text() == "about this folder"
    (tmp_path / "new.md").unlink()
    (tmp_path / "later.md").write_text("later")
    assert sorted(LocalIssues(tmp_path).read().issues) == [2, 7, 9]


def test_titles_come_from_front_matter_heading_or_name(tmp_path: Path) -> None:
    """Every issue has a title."""
    (tmp_path / "1-cart_is-slow.md").write_text("text")
    (tmp_path / "2.md").write_text("text\n\n# The heading #\n")
    (tmp_path / "3.md").write_text("---\ntitle: Given\n---\n# Other\n")
    (tmp_path / "4.md").write_text("text")
    assert [found.title for found in LocalIssues(tmp_path).read().issues.values()] == [
        "cart is slow",
        "The heading",
        "Given",
        "Issue 4",
    ]


@pytest.mark.parametrize("text", ["", " \n\n", "---\nlabels: [agent]\n---\n"])
def test_an_issue_that_says_nothing_waits_until_it_does(tmp_path: Path, text: str) -> None:
    """Editors make files empty first: no number is given, and nobody knows the issue yet."""
    (tmp_path / "1.md").write_text("fine")
    new, issues = tmp_path / "new.md", LocalIssues(tmp_path)
    new.write_text(text)
    reading = issues.read()
    assert (list(reading.issues), new.read_text()) == ([1], text)
    (problem,) = reading.problems
    assert (problem.where, problem.message) == ("new.md", "says nothing yet, and waits until it does")
    new.write_text(f"{text}It is slow.")
    assert list(issues.read().issues) == [1, 2]


def test_a_folder_that_may_not_be_written_shows_the_issues_that_have_a_number(tmp_path: Path) -> None:
    """Those without one are named, with the reason."""
    (tmp_path / "1.md").write_text("fine")
    (tmp_path / "new.md").write_text("new")
    (tmp_path / ".coalmine.lock").symlink_to(tmp_path / "elsewhere")
    reading = LocalIssues(tmp_path).read()
    assert list(reading.issues) == [1]
    (problem,) = reading.problems
    assert (problem.where, problem.message.partition(":")[0]) == ("new.md", "has no number, and gets none")


def test_a_broken_file_is_a_problem_and_the_others_are_listed(tmp_path: Path) -> None:
    """Broken, doubled, oversized and linked files are reported by name, and hide nothing else."""
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    folder = tmp_path / "issues"
    folder.mkdir()
    (folder / "1.md").write_text("fine")
    (folder / "2.md").write_text("---\nlabels: [\n---\n")
    (folder / "3.md").write_text("---\nnumber: 1\n---\n")
    (folder / "4.md").write_bytes(b"x" * (MAX_ISSUE_BYTES + 1))
    (folder / "5.md").symlink_to(outside)
    reading = LocalIssues(folder).read()
    assert list(reading.issues) == [1]
    assert [problem.where for problem in reading.problems] == ["2.md", "3.md", "4.md", "5.md"]
    assert "symbolic link" in reading.problems[3].message


def test_a_broken_issue_is_not_a_missing_one(tmp_path: Path) -> None:
    """A file that cannot be read gives no answer; only a file that is not there is gone."""
    (tmp_path / "2.md").write_text("---\nlabels: [\n---\n")
    with pytest.raises(ForgeUnreachableError, match="not YAML"):
        LocalIssues(tmp_path).find(2)
    with pytest.raises(ForgeGoneError):
        LocalIssues(tmp_path).find(3)


def test_a_missing_folder_is_not_an_empty_answer(tmp_path: Path) -> None:
    """A folder that vanished is unreachable, not empty."""
    with pytest.raises(ForgeUnreachableError, match="exists"):
        LocalIssues(tmp_path / "gone").read()


def test_an_issue_does_not_grow_beyond_what_is_read(tmp_path: Path) -> None:
    """A change that would make the file unreadable is refused and nothing is written."""
    (tmp_path / "1.md").write_text("fine")
    with pytest.raises(ForgeInvalidError, match="nothing was written"):
        LocalIssues(tmp_path).change(1, lambda _: {"title": "x" * MAX_ISSUE_BYTES})
    assert (tmp_path / "1.md").read_text() == "fine"


def test_a_rewrite_keeps_the_permissions_and_leaves_no_other_file(tmp_path: Path) -> None:
    """The new file has the old one's mode, and no temporary file stays."""
    (tmp_path / "1.md").write_text("fine")
    (tmp_path / "1.md").chmod(0o640)
    LocalIssues(tmp_path).change(1, lambda _: {"state": "closed"})
    assert (tmp_path / "1.md").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == [".coalmine.lock", "1.md"]


def test_a_write_without_our_lock_is_not_lost(tmp_path: Path) -> None:
    """An editor that saves between our read and our write wins its lines; ours is made again on top."""
    path = tmp_path / "1.md"
    path.write_text("first")
    saved = iter(["second"])

    def step(_file: IssueFile) -> dict[str, str]:
        path.write_text(next(saved, path.read_text()))
        return {"state": "closed"}

    LocalIssues(tmp_path).change(1, step)
    assert path.read_text() == "---\nstate: closed\n---\nsecond"


@pytest.mark.parametrize("text", ["local:shop#3", "github:owner/shop#160", "gitea-2:a/b.c_d-e#1"])
def test_a_reference_is_read_back(text: str) -> None:
    """The canonical form of an issue's name survives both ways."""
    assert str(IssueRef.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["shop#3", "local:shop", "local:shop#0", "local:../x#1", "local:a b#1", "local:shop#3\n", "L:a#1"]
)
def test_what_is_not_a_reference_is_refused(text: str) -> None:
    """Names that could become a path or another name are refused."""
    with pytest.raises(InvalidInputError, match="FORGE:REPOSITORY#NUMBER"):
        IssueRef.parse(text)


def test_shared_values_do_not_slow_a_change_down() -> None:
    """Aliases that multiply to 10^15 values are compared as they are written, not value by value."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 8)}]" for level in range(1, 17)]
    before = IssueFile.parse(f"---\n{chr(10).join(lines)}\n---\nbody\n".encode())
    after = before.with_fields(state="closed")
    assert after.matter.state == "closed"
    assert after.content.endswith(b"---\nbody\n")


#: 24 lines, each of which merges the one before it twice.
BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 25))
LAUGHS = "a0: &a0 [ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
HARMFUL = {
    "a label that is a truth value": "labels: [true]",
    "a label that is a set": "labels: [!!set {a}]",
    "labels that are pairs": "labels: !!omap [a: b]",
    "a label that is bytes": "labels: [!!binary aGk=]",
    "a label that is nothing": "labels: [null]",
    "a number without digits": "x: !!int ''",
    "a time that is none": "x: !!timestamp soon",
    "labels within themselves": "labels: &a [*a]",
    "a merge of itself": "x: &a {<<: *a}",
    "merges in a list": BOMB + "y: {<<: [*a23, {<<: *a23}]}",
    "merges of merges": BOMB,
    "a billion laughs": LAUGHS + "labels: *a9",
    "a number of many parts": "x: " + "1:" * 300_000 + "1",
    "a number of many digits": "x: " + "9" * 100_000,
}


@pytest.mark.parametrize("matter", HARMFUL.values(), ids=HARMFUL)
def test_a_harmful_file_stops_itself_alone(tmp_path: Path, matter: str) -> None:
    """It is among the problems, at once and each time; the others are listed, and it is not read again."""
    (tmp_path / "1.md").write_text("---\nlabels: [agent]\n---\nIt is slow.\n")
    (tmp_path / "2.md").write_text(f"---\n{matter}\n---\nIt is slow.\n")
    (tmp_path / "3.md").write_bytes("It is slow.".encode("utf-16"))
    with (tmp_path / "4.md").open("wb") as huge:
        huge.truncate(100 * 2**20)
    issues, begun = LocalIssues(tmp_path), time.process_time()
    for _ in range(2):
        reading = issues.read()
        assert list(reading.issues) == [1]
        assert [problem.where for problem in reading.problems] == ["2.md", "3.md", "4.md"]
    assert time.process_time() - begun < 2
