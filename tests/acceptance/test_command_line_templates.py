"""`coalmine template …`."""

import subprocess
from pathlib import Path

import pytest

from tests.programs.command_line import CommandLine


def test_first_version_is_champion(coalmine: CommandLine) -> None:
    """What was given is the content of v1, which is champion."""
    coalmine.shown(
        *("template", "add", "implementer", "--prompt", "be good", "--command", "./agent.sh", "--model", "m"),
        *("--tool", "edit", "--tool", "run", "--env", "A=1=2", "--secret", "TOKEN", "--time-limit", "60"),
        *("--policy", "canary", "--note", "the first"),
    )
    found = coalmine.document("template", "show", "implementer@v1")
    assert found["state"] == "champion"
    assert found["note"] == "the first"
    assert found["snapshot"] == {
        "prompt": "be good", "runtime": "command", "command": "./agent.sh", "model": "m",
        "tools": ["edit", "run"], "environment": {"A": "1=2"}, "secrets": ["TOKEN"],
        "time_limit_seconds": 60.0, "sandbox": "auto",
    }  # fmt: skip
    assert coalmine.document("template", "policy", "implementer")["policy"] == "canary"


def test_content_from_a_file_can_be_shown_and_read_again(coalmine: CommandLine) -> None:
    """What `show` prints is what `--from` reads: the same content is the same version."""
    coalmine.shown("template", "add", "a", "--prompt", "two\nlines", "--command", "x", "--env", "A=1")
    shown = coalmine.shown("template", "show", "a@v1")
    Path("whole.toml").write_text(shown[shown.index("prompt = ") :])
    step = coalmine.document("template", "add", "a", "--from", "whole.toml")
    assert step["changed"] is False


def test_propose_changes_only_what_is_given(coalmine: CommandLine) -> None:
    """The rest is the champion's; --clear empties a part."""
    coalmine.shown("template", "add", "a", "--prompt", "p", "--command", "x", "--model", "m", "--env", "A=1")
    step = coalmine.document("template", "propose", "a", "--env", "B=2", "--clear", "model")
    assert step["version"]["state"] == "pending"
    assert step["version"]["parent"] == 1
    snapshot = step["version"]["snapshot"]
    assert (snapshot["prompt"], snapshot["command"]) == ("p", "x")
    assert snapshot["environment"] == {"A": "1", "B": "2"}
    assert snapshot["model"] is None


@pytest.mark.parametrize(
    ("policy", "state"), [("notify", "pending"), ("canary", "canary"), ("direct", "champion")]
)
def test_policy_decides_what_becomes_of_a_proposal(coalmine: CommandLine, policy: str, state: str) -> None:
    """A person, a trial, or nobody stands between a proposal and the work."""
    coalmine.shown("template", "add", "a", "--command", "x")
    coalmine.shown("template", "policy", "a", policy)
    step = coalmine.document("template", "propose", "a", "--command", "y")
    assert coalmine.document("template", "show", "a@v2")["state"] == state
    assert bool(step["trial"]) == (policy == "canary")
    assert step["version"]["state"] == state


def test_promote_revert_and_reject(coalmine: CommandLine, template: str) -> None:
    """Each step changes the state once, is recorded with its reason, and changes nothing when repeated."""
    assert coalmine.document("template", "promote", template, "--reason", "seen by hand")["changed"]
    assert not coalmine.document("template", "promote", template)["changed"]
    assert coalmine.document("template", "revert", template)["version"]["id"] == "implementer@v1"
    coalmine.shown("template", "propose", template, "--prompt", "worse")
    assert coalmine.document("template", "reject", template)["version"]["id"] == "implementer@v3"
    whole = coalmine.document("template", "show", template)
    assert [found["state"] for found in whole["versions"]] == ["champion", "superseded", "rejected"]
    assert [review["decision"] for review in whole["reviews"]] == ["promote", "revert", "reject"]
    assert whole["reviews"][0]["reason"] == "seen by hand"


def test_diff_shows_what_differs(coalmine: CommandLine, template: str) -> None:
    """Between two versions, or a version and its parent."""
    found = coalmine.document("template", "diff", f"{template}@v1", f"{template}@v2")
    assert {'-prompt = "be good"', '+prompt = "be better"'} <= set(found["diff"])
    assert coalmine.document("template", "diff", f"{template}@latest") == found
    assert not coalmine.document("template", "diff", template, template)["changed"]


def test_texts_of_kinds_come_from_files(coalmine: CommandLine) -> None:
    """They are added to those that there are, shown, compared, read again by --from, and cleared."""
    Path("repair.md").write_text("Fix $commit.\n")
    Path("first.md").write_text("Begin on $branch.\n")
    coalmine.shown("template", "add", "a", "--command", "x", "--prompt-for", "first=first.md")
    coalmine.shown("template", "propose", "a", "--prompt-for", "fix_forward=repair.md")
    found = coalmine.document("template", "show", "a@v2")["snapshot"]
    assert found["prompts"] == {"first": "Begin on $branch.\n", "fix_forward": "Fix $commit.\n"}
    assert "Fix $commit." in coalmine.shown("template", "diff", "a@v1", "a@v2")
    shown = coalmine.shown("template", "show", "a@v2")
    Path("whole.toml").write_text(shown[shown.index("runtime = ") :])
    assert coalmine.document("template", "propose", "a", "--from", "whole.toml")["changed"] is False
    cleared = coalmine.document("template", "propose", "a", "--clear", "prompts")
    assert "prompts" not in cleared["version"]["snapshot"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("polish=repair.md", "first, redispatch, mail, fix_forward"),
        ("fix_forward", "KIND=FILE"),
        ("fix_forward=empty.md", "is empty"),
        ("fix_forward=none.md", "none.md cannot be read"),
    ],
)
def test_texts_of_kinds_that_are_refused(coalmine: CommandLine, given: str, says: str) -> None:
    """The message names what is wrong, and no template is made."""
    Path("repair.md").write_text("Fix it.\n")
    Path("empty.md").write_text("\n")
    result = coalmine("template", "add", "a", "--command", "x", "--prompt-for", given)
    assert result.exit_code != 0
    assert says in result.stderr
    assert coalmine.document("template", "list")["templates"] == []


def test_source_commit_is_found_by_git(coalmine: CommandLine, tmp_path: Path) -> None:
    """A committed file names its commit; a changed one names none and says why."""
    prompt = tmp_path / "prompt.md"
    prompt.write_text("be good")
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    step = coalmine.document("template", "add", "a", "--prompt-file", "prompt.md", "--command", "x")
    assert step["version"]["source_commit"] == head.stdout.strip()
    step = coalmine.document("template", "propose", "a", "--prompt-for", "fix_forward=prompt.md")
    assert step["version"]["source_commit"] == head.stdout.strip()
    prompt.write_text("be better")
    result = coalmine("template", "propose", "a", "--prompt-file", "prompt.md", "--json")
    assert '"source_commit": ""' in result.stdout
    assert "differs from its last commit" in result.stderr


def test_text_from_outside_stays_text(coalmine: CommandLine) -> None:
    """Markup is shown as it was written, and control characters do not reach the terminal."""
    note = "[red]a[/red] \x1b[31mred\x1b[0m \x9b2J b\rc"
    coalmine.shown("template", "add", "a", "--command", "x", "--note", note)
    for arguments in (("template", "show", "a"), ("template", "show", "a@v1"), ("events",)):
        shown = coalmine.shown(*arguments)
        assert "[red]a[/red] red" in shown
        assert not {"\x1b", "\x9b", "\r"} & set(shown)
