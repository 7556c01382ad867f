"""What an issue says of itself is read from its markdown, the same each time, and never obeyed."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.issues.body_text import MAX_BODY_CHARACTERS
from routing.issues.issue import IssueRef
from routing.issues.metadata import PARTS, IssueMetadata, Source, parsed_metadata, read_metadata
from tests.fakes.issues import issue, ref

OWN = IssueRef(forge="github", repo="owner/shop", number=99)


def read(body: str, *labels: str) -> IssueMetadata:
    """The metadata of an issue of `github:owner/shop`."""
    return read_metadata(issue(99, body, ref=OWN, labels=labels))


def names(refs: tuple[IssueRef, ...]) -> list[str]:
    """References as the same forge's people write them."""
    return [str(each).removeprefix("github:").removeprefix("owner/shop") for each in refs]


#: Bodies with what they are blocked by.
BLOCKED_BY = [
    ("## Dependencies\n\nBlocked by: #160 (COORD-004, after #12), #161", ["#160", "#161"]),
    ("## Dependencies\n- #3\n- other/repo#5\n* [ ] #7 the schema", ["#3", "other/repo#5", "#7"]),
    ("## Dependencies\n\n- The schema (#6)\n- Related: #9\n- not #8", ["#6"]),
    ("## Dependencies\nNone", []),
    ("## Dependencies\nPandas 3, see #9 for why", []),
    ("### Blocked by\n1. #3\n2. #4", ["#3", "#4"]),
    ("**Blocked by:**\n- #3\n- #4\n\nSee #5", ["#3", "#4"]),
    ("- Blocked by:\n  - #3\n- Blocks:\n  - #4", ["#3"]),
    ("Blocked by: #3 the schema, #4 the login\nPriority 1, see #9", ["#3", "#4"]),
    ("Blocked by: #3,\n#4 and\n#5", ["#3", "#4", "#5"]),
    ("Blocked by:\n#3", ["#3"]),
    ("Blocked by: None (was #7)", []),
    ("Blocked by: #160 Blocks: #7", ["#160"]),
    ("blocked by #3. See #4.", ["#3"]),
    ("This depends\non #3 and #4, see #5", ["#3", "#4"]),
    ("Depends on the schema of #4", ["#4"]),
    ("Add a login (depends on #3)", ["#3"]),
    ("Requires #3/#4", ["#3", "#4"]),
    ("| Blocked by | #3 |\n|---|---|\n| Blocks | #4 |", ["#3"]),
    ("<details>\nBlocked by <b>#3</b>\n</details>", ["#3"]),
    ("Blocked by [#3](https://example.org) and &#35;4", ["#3", "#4"]),
    ("Blocked by https://github.com/owner/shop/issues/5 and https://github.com/a/b/issues/6", ["#5"]),
    ("Blocked by Owner/Shop#5, gitea:a/b#6", ["#5", "gitea:a/b#6"]),
    ("#5 blocks this", ["#5"]),
    ("not only blocked by #3", ["#3"]),
    ("This does not work, blocked by #3", ["#3"]),
    ("Blocked by: #3, #3", ["#3"]),
    # addresses and links
    (
        "Blocked by https://github.com/owner/shop/pull/5/files and https://git.test/owner/shop/pulls/6",
        ["#5", "#6"],
    ),
    (
        "Depends on https://git.test/owner/shop/-/issues/5#note_12 and [it](https://x.test/owner/shop/issues/6?a=1)",
        ["#5", "#6"],
    ),
    ("Blocked by https://git.test/owner/shop/-/work_items/5 and https://x.test/a/b/-/work_items/6", ["#5"]),
    (
        "Blocked by [the schema](https://github.com/owner/shop/issues/5) and [#9](https://x.test/a/b/pull/6)",
        ["#5"],
    ),
    (
        "### Blocked by\n- [ ] [a](https://x.test/owner/shop/pull/5)\n- <https://x.test/owner/shop/issues/6>",
        ["#5", "#6"],
    ),
    ("Blocked by [it][1]\n\n[1]: https://x.test/owner/shop/issues/5", ["#5"]),
    ('Blocked by <a href="https://x.test/owner/shop/issues/5">it</a>', ["#5"]),
    ('<p>Blocked by <a class="x" href="https://x.test/owner/shop/issues/5">#9</a></p>', ["#5"]),
    ("[blocked by the schema](https://x.test/owner/shop/issues/5)", ["#5"]),
    ("Depends-On: https://x.test/owner/shop/pull/5\nblocked_by: #6", ["#5", "#6"]),
    # fields of forms
    ("### Blocked by\n\n#5\n#6\n\n### Notes\n\n#7", ["#5", "#6"]),
    ("### Is this blocked by another issue?\n\n#5", ["#5"]),
    ("### :construction: Blocked by:\n\nthe schema in #5, then #6", ["#5", "#6"]),
    ("### Dependencies (issues that must be done first)\n\n#5", ["#5"]),
    ("### 3. Blocking issues\n\n#5; #6", ["#5", "#6"]),
    ("### Depends on\n\n_No response_\n\n### Version\n\n#5", []),
    ("### Is this blocked by another issue?\n\nNo, see #5", []),
    ("### Update the dependencies of the shop\n\n#5", []),
    ("> [it](https://x.test/owner/shop/issues/5) blocks this", []),
    ("`Blocked by https://x.test/owner/shop/issues/5`", []),
    # what is not a statement
    ("This is not blocked by #7 or #8", []),
    ("isn't blocked by #7", []),
    ("no longer blocked by #7", []),
    ("unblocked by #7", []),
    ("#5 is blocked by #6", []),
    ("#5 does not block this", []),
    ("COORD-004 depends on COORD-3 and X#2", []),
    ("Blocked by COORD-004, GH-5, v1#2, #3a, #0, ##4", []),
    ("Fixes #3, see #4", []),
    ("`blocked by #3`", []),
    ("```\nBlocked by: #3\n```", []),
    ("    Blocked by: #3", []),
    ("> Blocked by: #3\nand #4", []),
    ("<!-- Blocked by: #3\n\n#4 -->", []),
    ("x <!-- blocked by #3 --> y", []),
    ("<pre>\nBlocked by: #3\n</pre>", []),
    ("~~Blocked by: #3~~", []),
    ('He said "blocked by #3"', []),
]


@pytest.mark.parametrize(("body", "expected"), BLOCKED_BY, ids=[body for body, _ in BLOCKED_BY])
def test_blockers_are_those_that_the_body_states(body: str, expected: list[str]) -> None:
    """Statements count in every form that people write; what is denied, shown or quoted does not."""
    assert names(read(body).blocked_by) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Blocks: #7, #8", ["#7", "#8"]),
        ("## Blocks\n- #7", ["#7"]),
        ("this blocks #7 and will block #8", ["#7", "#8"]),
        ("Blocked by: #160 (which blocks #9)\nBlocks: None", []),
        ("does not block #7", []),
        ("The call blocks until the lock of #5 is free", []),
    ],
)
def test_dependents_are_those_that_the_body_states(body: str, expected: list[str]) -> None:
    """The other direction, by the same rules."""
    assert names(read(body).blocks) == expected


@pytest.mark.parametrize(
    ("body", "difficulty"),
    [
        ("## Difficulty\n\nHard (three services)", "hard"),
        ("## Difficulty: \neasy", "easy"),
        ("**Difficulty:** low", "easy"),
        ("## Difficulty\n\npurple", None),
        ("It is hard", None),
        ("```\nDifficulty: hard\n```", None),
    ],
)
def test_difficulty(body: str, difficulty: str | None) -> None:
    """It is what stands first under its heading; a word that means nothing leaves the default."""
    known = read(body)
    assert known.difficulty == (difficulty or "medium")
    assert known.metadata_source["difficulty"] == ("body" if difficulty else "default")


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ("**Total estimated: 46800 tokens**", 46_800),
        ("Total estimated: 46,800 tokens (with 30% buffer)", 46_800),
        ("- **Total estimated:** 47k tokens", 47_000),
        ("**Total estimated: 0 tokens**", None),
        ("**Total estimated: 99999999999999 tokens**", None),
        ("**Total estimated: 4.5 tokens**", None),
        ("Estimated: 46800 tokens", None),
        ("**Total estimated: nan tokens**", None),
    ],
)
def test_estimate_is_read_as_it_stands(body: str, tokens: int | None) -> None:
    """Nothing is added to it, and what is out of range is not an estimate."""
    assert read(body).estimated_context == (tokens or 50_000)


@pytest.mark.parametrize(
    ("body", "agent"),
    [
        ("**Recommended agent: sonnet**", "sonnet"),
        ("Recommended agent: `Opus`", "opus"),
        ("Recommended agent: claude-opus-4.5.", "claude-opus-4.5"),
        ("Recommended agent: ../../bin/sh", "sonnet"),
        ("Recommended agent: $(reboot)", "sonnet"),
        ("Recommended agent: a/b", "sonnet"),
    ],
)
def test_agent_is_a_name(body: str, agent: str) -> None:
    """Only names get through."""
    assert read(body).assigned_agent == agent


@pytest.mark.parametrize(
    ("labels", "priority"),
    [
        (["priority:1"], 1),
        (["P0"], 0),
        (["priority: P2", "p3"], 2),
        (["priority/4", "bug"], 4),
        (["priority:12", "P", "APP1", "up0"], 5),
        ([], 5),
    ],
)
def test_priority_is_the_most_urgent_label(labels: list[str], priority: int) -> None:
    """Other labels are not read as one."""
    assert read("", *labels).priority == priority


def test_defaults_when_nothing_is_known() -> None:
    """A plain body is not a failure: it has the defaults, says so, and may run."""
    known = read("The cart is slow.")
    assert known.model_dump(exclude={"metadata_source", "v"}) == {
        "difficulty": "medium",
        "estimated_context": 50_000,
        "assigned_agent": "sonnet",
        "priority": 5,
        "blocked_by": (),
        "blocks": (),
        "held": "",
    }
    assert set(known.metadata_source.values()) == {Source.DEFAULT}


def test_source_is_named_for_each_part() -> None:
    """That there are none is said too."""
    known = read("Blocked by: None\n\n## Difficulty\neasy", "P1")
    assert known.metadata_source == {
        "difficulty": "body",
        "estimated_context": "default",
        "assigned_agent": "default",
        "priority": "labels",
        "blocked_by": "body",
        "blocks": "default",
    }
    assert known.gaps() == ("estimated_context", "assigned_agent", "blocks")


@pytest.mark.parametrize(
    "start",
    ["x" * MAX_BODY_CHARACTERS, "- " * 40 + "x", "> " * 40 + "x"],
    ids=["too long", "lists", "quotes"],
)
def test_body_that_was_not_understood_is_held_when_it_speaks_of_dependencies(start: str) -> None:
    """A person looks at it; one that speaks of none runs with the defaults and its labels."""
    held = read(f"{start}\n\nDepends on #3", "P1")
    assert "a person must look" in held.held
    assert held.priority == 1
    assert not read(f"{start}\n\nNothing else", "P1").held


def test_too_many_references_are_not_cut_off_in_silence() -> None:
    """A list that goes on for ever is not a list of blockers."""
    held = read("Blocked by: " + ", ".join(f"#{number}" for number in range(1, 300)))
    assert held.held
    assert held.blocked_by == ()


def test_a_part_that_a_stored_record_does_not_have_yet_has_its_default() -> None:
    """Metadata that an earlier release stored is read, and the new part counts as a gap."""
    stored = read("Difficulty: hard").model_dump(mode="json")
    del stored["difficulty"], stored["metadata_source"]["difficulty"]
    known = parsed_metadata(json.dumps(stored))
    assert (known.difficulty, known.source("difficulty")) == ("medium", Source.DEFAULT)
    assert "difficulty" in known.gaps()


def test_every_part_is_documented() -> None:
    """Each declared part has its row in the page on how an issue is written."""
    page = (Path(__file__).parents[2] / "docs" / "issue-format.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| ([a-z ]+) \|", page, re.MULTILINE))
    assert {name.replace("_", " ") for name in PARTS} <= rows


def test_metadata_comes_back_from_its_stored_form() -> None:
    """What is written is what is read."""
    known = read("Blocked by: #3", "P1").with_blockers((ref(4),))
    assert parsed_metadata(known.model_dump_json()) == known


WORDS = st.sampled_from(
    [
        *(
            "Blocked by",
            "Depends on",
            "Blocks",
            ":",
            "#3",
            "o/r#5",
            "not",
            "and",
            ",",
            "(",
            ")",
            "\n",
            "\n\n",
        ),
        *(
            "- ",
            "> ",
            "`",
            "```",
            "<!--",
            "-->",
            "**",
            "## Dependencies",
            "\u201c",
            '"',
            "|",
            "  ",
            "<pre>",
            "&#",
        ),
        *(
            "$(rm -rf /)",
            "{{x}}",
            "\x00",
            "\x1b[2J",
            "\ud800",
            "None",
            "Total estimated:",
            "9" * 30,
            "\u202e",
        ),
    ]
)


@settings(max_examples=150)
@given(
    body=st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=30).map(" ".join)),
    labels=st.lists(st.text()),
)
def test_reading_never_raises_and_is_repeatable(body: str, labels: list[str]) -> None:
    """Whatever is written, there is metadata: the same twice, in range, and with nothing but names in it."""
    first = read(body, *labels)
    assert first == read(body, *labels)
    assert parsed_metadata(first.model_dump_json()) == first
    assert first.assigned_agent.replace("-", "").replace(".", "").isalnum()
    assert first.blocked_by == tuple(dict.fromkeys(first.blocked_by))
    assert not first.held or "\x1b" not in first.held


@settings(max_examples=150)
@given(body=st.lists(WORDS, max_size=25).map(" ".join), fence=st.sampled_from(["```", "~~~~"]))
def test_nothing_in_a_code_block_counts(body: str, fence: str) -> None:
    """What stands between fences is shown, and changes nothing."""
    inside = body.replace(fence, "").replace("`", "").replace("~", "")
    assert read(f"{fence}\n{inside}\n{fence}\n") == read("")
