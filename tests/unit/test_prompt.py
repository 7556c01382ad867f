"""Prompts: the parts of each kind, and data that stays data."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import InvalidInputError
from routing.jobs.turn import LOG_END_CHARACTERS
from tasks.agents.turn.prompt import PromptInput, compose, fenced


def test_the_first_prompt_has_the_versions_words_then_the_task() -> None:
    """The version's own prompt comes first, the issue last."""
    prompt = compose(
        PromptInput(
            kind="first",
            version_prompt="Be careful.",
            title="Sum is wrong",
            task="2+2=5",
            issue="local:shop#3",
            branch="coalmine/1",
        )
    )
    assert prompt.startswith("Be careful.\n\nWork on the task below")
    assert "branch coalmine/1" in prompt
    assert prompt.endswith("```text\nIssue: local:shop#3\nSum is wrong\n\n2+2=5\n```\n")


def test_a_redispatch_tells_what_is_known() -> None:
    """The recap of the earlier turn is part of the prompt."""
    prompt = compose(PromptInput(kind="redispatch", task="t", recap="two commits were made"))
    assert "An earlier turn" in prompt
    assert "two commits were made" in prompt


def test_mail_is_what_the_turn_is_about() -> None:
    """It stands between the words of its kind and the task; the recap is for a new conversation."""
    prompt = compose(
        PromptInput(kind="mail", task="2+2=5", mail="1 mail arrived for you. …\n", recap="sent two")
    )
    assert prompt.index("ended to wait for mail") < prompt.index("sent two") < prompt.index("1 mail arrived")
    assert prompt.endswith("2+2=5\n```\n")
    assert "Recap" not in compose(PromptInput(kind="mail", task="t", mail="1 mail arrived for you."))


def test_time_is_over_without_mail() -> None:
    """The prompt says so, and how to wait again."""
    prompt = compose(PromptInput(kind="mail", task="t"))
    assert "No mail has arrived for you, and the time to wait for it is over" in prompt
    assert '"$COALMINE_MAIL" await' in prompt


def test_a_fix_forward_names_commit_checks_and_the_end_of_the_log() -> None:
    """Of a long log only its end is shown."""
    log = "beginning\n" + "x" * LOG_END_CHARACTERS + "\nFAILED test_sum"
    prompt = compose(
        PromptInput(kind="fix_forward", task="t", commit="abc123", failing_checks=["unit", "lint"], log=log)
    )
    assert "commit abc123" in prompt
    assert "Repair this branch" in prompt
    assert "unit\nlint" in prompt
    assert "FAILED test_sum" in prompt
    assert "beginning" not in prompt


def test_parts_of_other_kinds_do_not_appear() -> None:
    """A first turn says nothing of logs, whatever is passed along."""
    assert "recap" not in compose(PromptInput(kind="first", task="t", recap="recap", log="recap"))


def test_a_version_may_bring_its_own_text() -> None:
    """The text of a kind can be replaced; a dollar sign in it does no harm."""
    prompt = compose(
        PromptInput(kind="first", task="t", branch="b", templates={"first": "Costs $5 and ${x} on $branch."})
    )
    assert "Costs $5 and ${x} on b." in prompt


def test_an_unknown_kind_is_refused() -> None:
    """No default is guessed."""
    with pytest.raises(InvalidInputError, match="'retry' is not a kind of turn"):
        compose(PromptInput(kind="retry", task="t"))


def test_nothing_in_the_task_is_filled_in() -> None:
    """Only our own text has placeholders."""
    assert "$branch $commit" in compose(PromptInput(kind="first", task="$branch $commit", branch="b"))


@given(st.text(alphabet=st.sampled_from("`~ab\n\r\x1b\u2028 ")))
def test_data_cannot_close_its_fence(data: str) -> None:
    """No run of backticks in the data is as long as the fence."""
    block = fenced("Task", data)
    fence = re.match(r"Task:\n(`+)text\n", block)
    assert fence is not None
    assert block.count(fence[1]) == 2
    assert block.endswith("\n" + fence[1])


def test_control_characters_do_not_reach_the_prompt() -> None:
    """Escape sequences and marks that reorder text are taken out."""
    assert fenced("T", "a\x1b[31mb\x00c\u202ed\te") == "T:\n```text\nabcd\te\n```"
