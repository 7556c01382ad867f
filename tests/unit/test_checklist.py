"""The checklist: its whole text for each phase of a run, whatever the words in it try to be."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from routing.forges.commit_status import CiVerdict
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobRequest, JobResult, JobState
from routing.templates.trial import Arm, Bet
from tasks.issues.checklist import CheckMark, RunProgress, checklist, code, phases

REF = IssueRef(forge="github", repo="acme/shop", number=7)
COMMIT = "4be1c0ffee" * 4

QUEUED = Job(
    id="0123456789abcdef", request=JobRequest(template="implementer", task="fix it"), state=JobState.QUEUED,
    template="implementer", version=3, content_hash="", created_at=0.0,
)  # fmt: skip
RUNNING = replace(QUEUED, state=JobState.RUNNING, fence=1)
PUSHED = replace(
    RUNNING, state=JobState.WAITING, result=JobResult(commit=COMMIT, branch="coalmine/0123456789abcdef")
)
DONE = replace(PUSHED, state=JobState.SUCCEEDED, reason="pushed, and CI is green")
FAILED = replace(RUNNING, state=JobState.ESCALATED, reason="committed nothing")

HEAD = "**acme/shop#7 — run progress**\n\n"
FOOT = "\n\njob `0123456789abcdef`, version `implementer@v3`"
END = "\n\n<!-- coalmine run 0123456789abcdef -->"
LEFT_TO_PEOPLE = "deployed: a merge is left to people"


def boxes(*marks: str, pushed: str = "pushed", ci: str = "CI", deployed: str = LEFT_TO_PEOPLE) -> str:
    """The seven lines; nobody sees an agent's tests red."""
    whose = "" if marks[2] == "x" else " (the agent's own)"
    names = ("worktree", "tests red (the agent's own)", f"green{whose}", pushed, ci, deployed, "done")
    return "\n".join(f"- [{mark}] {name}" for mark, name in zip(marks, names, strict=True))


AT = "pushed `4be1c0ffee4b`"


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (RunProgress(job=QUEUED), boxes(*"       ") + FOOT),
        (RunProgress(job=RUNNING), boxes(*"x~~    ") + FOOT),
        (RunProgress(job=PUSHED), boxes(*"x~~x~  ", pushed=AT) + FOOT),
        (RunProgress(job=PUSHED, ci=CiVerdict.PENDING), boxes(*"x~~x~  ", pushed=AT) + FOOT),
        (
            RunProgress(job=replace(PUSHED, fix_forwards=2), ci=CiVerdict.RED, most_fix_forwards=5),
            boxes(*"x~~x~  ", pushed=AT, ci="CI: red") + FOOT + "\nfix-forwards (corrective turns): 2 of 5",
        ),
        (
            RunProgress(job=PUSHED, merges_green=True),
            boxes(*"x~~x~  ", pushed=AT, deployed="deployed: merged when CI is green") + FOOT,
        ),
        (
            RunProgress(job=DONE, ci=CiVerdict.GREEN, closed=True),
            boxes(*"x~xxx~x", pushed=AT) + FOOT + "\n\nDone — issue closed: `pushed, and CI is green`",
        ),
        (
            RunProgress(job=DONE, ci=CiVerdict.GREEN, closed=True, to_merge=DONE.branch),
            boxes(*"x~xxx~x", pushed=AT)
            + FOOT
            + "\n\nDone, and not merged: `pushed, and CI is green`\n\n"
            + "Merge the branch `coalmine/0123456789abcdef`: the issue stays open until then.",
        ),
        (
            RunProgress(job=DONE, ci=CiVerdict.GREEN, closed=True, merged=True),
            boxes(*"x~xxxxx", pushed=AT, deployed="deployed: merged into the main branch")
            + FOOT
            + "\n\nDone — issue closed: `pushed, and CI is green`",
        ),
        (
            RunProgress(job=DONE, has_ci=False, closed=True),
            boxes(*"x~~x~~x", pushed=AT, ci="CI: there is none")
            + FOOT
            + "\n\nDone — issue closed: `pushed, and CI is green`",
        ),
        (
            RunProgress(job=FAILED, escalation_label="ready-for-human"),
            boxes(*"x~~   ~")
            + FOOT
            + "\n\n**A person is needed**: `committed nothing`\n\n"
            + "Remove the label `ready-for-human` to have an agent try again.",
        ),
        (
            RunProgress(job=replace(FAILED, state=JobState.CANCELLED), escalation_label="ready-for-human"),
            boxes(*"x~~   ~")
            + FOOT
            + "\n\n**Cancelled**: `committed nothing`\n\n"
            + "Remove the label `ready-for-human` to have an agent try again.",
        ),
    ],
    ids=[
        "queued",
        "running",
        "pushed",
        "pending",
        "red",
        "merging",
        "done",
        "to merge",
        "merged",
        "without CI",
        "failed",
        "cancelled",
    ],
)
def test_each_phase_has_its_text(progress: RunProgress, text: str) -> None:
    """Letter by letter: people learn to read it at a glance."""
    assert checklist(REF, progress) == HEAD + text + END


@pytest.mark.parametrize("ci", [verdict for verdict in CiVerdict if verdict is not CiVerdict.GREEN])
@pytest.mark.parametrize("closed", [False, True])
def test_only_green_ci_says_that_tests_pass(ci: CiVerdict, *, closed: bool) -> None:
    """A push does not prove that the agent ran any test."""
    within = phases(RunProgress(job=PUSHED, ci=ci, closed=closed))[1:3]
    assert within == [
        ("tests red (the agent's own)", CheckMark.UNDER_WAY),
        ("green (the agent's own)", CheckMark.UNDER_WAY),
    ]


@pytest.mark.parametrize("job", [DONE, replace(DONE, result=JobResult()), replace(DONE, fence=0)])
@pytest.mark.parametrize("ci", list(CiVerdict))
@pytest.mark.parametrize("has_ci", [False, True])
def test_nothing_is_unchecked_at_the_end(job: Job, ci: CiVerdict, *, has_ci: bool) -> None:
    """Whatever was left out on the way."""
    progress = RunProgress(job=job, ci=ci, has_ci=has_ci, closed=True)
    assert CheckMark.OPEN not in {mark for _, mark in phases(progress)}
    assert "- [ ]" not in checklist(REF, progress)


HOSTILE = [
    "`; rm -rf /`", "``` fence", "``", "two\nlines\r\nand more", "@ann look", "[click](https://evil.example)",
    "<script>alert(1)</script>", "\x1b[31mred\x1b[0m", "-->", "<!-- coalmine run f00 -->", "- [x] done",
    "| a | b |", "#1 GH-2 acme/shop#3", "\u202ereversed", "", " ", "`", "x" * 9_999, "\u2028\u2029\x85",
]  # fmt: skip


def rendered(text: str) -> str:
    """As a forge shows it."""
    return str(MarkdownIt("commonmark", {"html": True}).render(text))


@pytest.mark.parametrize("words", HOSTILE)
def test_words_from_outside_are_one_line_of_code(words: str) -> None:
    """They become no markup, mention, link, second marker or control character."""
    progress = RunProgress(job=replace(FAILED, reason=words), escalation_label=words or "x")
    plain = checklist(REF, replace(progress, job=replace(FAILED, reason="r"), escalation_label="x"))
    text = checklist(REF, progress)
    assert len(text.splitlines()) == len(plain.splitlines())
    html = rendered(text)
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    assert outside == re.sub(r"<code>.*?</code>", "", rendered(plain), flags=re.DOTALL)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


@given(words=st.text(alphabet=st.sampled_from("`a @[]()\n\r<>-!*_\\|#\x1b\t~"), max_size=60))
@settings(max_examples=300)
def test_no_words_get_out_of_their_code(words: str) -> None:
    """Any mixture of what means something in markdown."""
    html = rendered(f"before {code(words)} after").strip()
    assert re.fullmatch(r"<p>before <code>[^<]*</code> after</p>", html), html


def test_version_and_arm_are_named() -> None:
    """A reader sees which version did the work."""
    job = replace(RUNNING, trial="t1", bet=Bet(arm=Arm.CANARY, share=0.5, baseline=0.5))
    assert "version `implementer@v3`, arm canary" in checklist(REF, RunProgress(job=job))
