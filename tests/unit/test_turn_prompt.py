"""What a turn's prompt says: its kind, what to repair, and a recap for an agent that remembers nothing."""

from dataclasses import replace
from typing import Any

import pytest

from routing.errors import InvalidInputError
from routing.jobs.job import Job, JobRequest, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.turn import Repair, TurnKind
from routing.templates.version import Snapshot, Version, VersionState
from tasks.agents.turn.order import TurnStart
from tasks.agents.turn.prompt import DEFAULT_TEMPLATES, compose, prompt_input

REPAIR = Repair(commit="4be1c0ffee00", checks=("unit", "lint"), log="FAILED test_sum")
RESUMED = TurnStart(session_id="s1", earlier=True, mail="")
FRESH = TurnStart(session_id=None, earlier=True, mail="")


def claim(kind: str, *, snapshot: Snapshot | None = None, **fields: Any) -> Claim:
    """A claim of a job that has had one turn, which said that it was done."""
    job = Job(
        id="1" * 16, request=JobRequest(template="implementer", task="2+2=5"), state=JobState.RUNNING,
        template="implementer", version=1, content_hash="h", created_at=1.0, fence=2, attempts=1, turns=1,
        result=JobResult(tail="I am done"),
    )  # fmt: skip
    content = snapshot or Snapshot(prompt="Be careful.")
    version = Version(
        template="implementer", number=1, snapshot=content, content_hash=content.content_hash,
        created_at=1.0, state=VersionState.CHAMPION,
    )  # fmt: skip
    return Claim(job=replace(job, kind=kind, **fields), version=version)


def text(given: Claim, start: TurnStart = RESUMED, *, resumed: bool = True) -> str:
    """The prompt of a turn, in a tree that has work of an earlier one unless said otherwise."""
    return compose(prompt_input(given, start, branch="coalmine/1", resumed=resumed))


def test_prompt_of_a_corrective_turn_says_what_to_repair() -> None:
    """Commit, checks and the end of their log; the branch, and the task."""
    prompt = text(claim("fix_forward", repair=REPAIR))
    for part in (
        "commit 4be1c0ffee00 to branch coalmine/1",
        "Repair this branch",
        "unit\nlint",
        "FAILED test_sum",
        "2+2=5",
    ):
        assert part in prompt


def test_corrective_turn_in_its_conversation_needs_no_recap() -> None:
    """Without the conversation, or when an attempt at the repair has failed meanwhile, there is one."""
    assert "I am done" not in text(claim("fix_forward", repair=REPAIR))
    assert "I am done" in text(claim("fix_forward", repair=REPAIR), FRESH)
    assert "I am done" in text(claim("fix_forward", repair=REPAIR, attempts=2))


def test_corrective_turn_stays_one_whatever_is_remembered() -> None:
    """A host without the tree, and a lost conversation: the branch is to be repaired all the same."""
    assert "Repair this branch" in text(claim("fix_forward", repair=REPAIR, turns=0), FRESH, resumed=False)


def test_redispatch_gets_a_recap() -> None:
    """In the conversation too: its last turn did not come to its end."""
    prompt = text(claim("redispatch"))
    assert "An earlier turn did not come to its end" in prompt
    assert "I am done" in prompt


def test_work_that_is_not_on_the_branch_is_named() -> None:
    """Also in a conversation that holds the rest: it was found after the turn had ended."""
    given = prompt_input(claim("fix_forward", repair=REPAIR), RESUMED, aside=["branch helper (4be1c0ffee00)"])
    assert "is in this repository: branch helper (4be1c0ffee00)." in compose(given)


def test_redispatch_of_nothing_is_a_first_turn() -> None:
    """A worker that was lost before the agent began has left nothing to go on with."""
    prompt = text(claim("redispatch", turns=0), FRESH, resumed=False)
    assert prompt.startswith("Be careful.\n\nWork on the task below")
    assert "Recap" not in prompt


def test_mail_comes_without_a_recap_in_its_conversation() -> None:
    """Elsewhere with one."""
    mail = replace(RESUMED, mail="1 mail arrived for you.")
    assert "1 mail arrived for you." in text(claim("mail"), mail)
    assert "I am done" not in text(claim("mail"), mail)
    assert "I am done" in text(claim("mail"), replace(mail, session_id=None))


def test_mail_for_a_corrective_turn_in_a_new_conversation() -> None:
    """The recap says what the turn was repairing."""
    prompt = text(claim("mail", repair=REPAIR), FRESH)
    assert "Commit 4be1c0ffee00 was pushed, and its checks failed: unit, lint." in prompt


def test_unknown_kind_is_refused() -> None:
    """No prompt says to begin anew because a record says something that this release does not know."""
    with pytest.raises(InvalidInputError, match="'polish' is not a kind of turn"):
        text(claim("polish"))


def test_version_brings_its_own_text_of_a_kind() -> None:
    """It stands in place of the default; the other kinds keep theirs."""
    snapshot = Snapshot(prompts={TurnKind.FIX_FORWARD: "Fix $commit on $branch; $unknown costs $$5."})
    prompt = text(claim("fix_forward", snapshot=snapshot, repair=REPAIR))
    assert "Fix 4be1c0ffee00 on coalmine/1; $unknown costs $5." in prompt
    assert "Repair this branch" not in prompt
    assert DEFAULT_TEMPLATES["redispatch"][:30] in text(claim("redispatch", snapshot=snapshot))


def test_every_kind_has_a_default() -> None:
    """And there is no text for a kind that a version could not replace."""
    assert set(DEFAULT_TEMPLATES) == set(TurnKind)
