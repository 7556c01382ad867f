"""What the command line offers before anything is done: completion, suggestions, help."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from tasks.agents.mail.role import Role
from tests.fakes.issues import IssueForge, issue, ref
from tests.programs.command_line import CommandLine


def offered(coalmine: CommandLine, *words: str) -> list[str]:
    """What a shell is offered after these words, the last of which is not complete."""
    line = " ".join(("coalmine", *words))
    asked = coalmine(
        _COALMINE_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line, COALMINE_REDIS_URL=coalmine.url
    )
    return re.findall(r'"([^"]+)":"', asked.stdout)


def test_ids_and_names_are_completed(coalmine: CommandLine, template: str) -> None:
    """Jobs, templates, versions and trials of the fleet, by how they begin."""
    (job,) = coalmine.lines("enqueue", template, "count", "the", "socks")
    coalmine.shown("trial", "open", template)
    assert offered(coalmine, "job", "show", job["job"][:4]) == [job["job"]]
    assert offered(coalmine, "template", "policy", "impl") == ["implementer"]
    assert offered(coalmine, "template", "show", "impl") == [
        "implementer", "implementer@v2", "implementer@v1",
    ]  # fmt: skip
    assert offered(coalmine, "trial", "explain", "") == ["implementer-t1"]
    assert "@all" in offered(coalmine, "mail", "send", "--to", "@")
    assert offered(coalmine, "job", "show", "zz") == []


def test_issues_and_live_agents_are_completed(coalmine: CommandLine, template: str) -> None:
    """Issues that a person may want to name, with their titles, and those agents that mail reaches."""
    (job,) = coalmine.lines("enqueue", template, "count")
    with coalmine.coalmine() as parts:
        backlog = Backlog(
            parts.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
            escalation_label="ready-for-human",
        )  # fmt: skip
        backlog.accept(issue(3, "", labels=["ready-for-human"]), requested_by="ada")
        live = parts.agents.register(role=Role.BUILDER, job=job["job"])
        gone = parts.agents.register(role=Role.LEAD)
        parts.agents.finish(gone.name, reason="done")
    named = str(ref(3)).replace(":", "\\\\:")  # as zsh has it
    assert offered(coalmine, "issue", "show", str(ref(3))[:4]) == [named]
    assert offered(coalmine, "issue", "show", "other") == []
    assert offered(coalmine, "mail", "send", "--to", live.name[:3]) == [live.name]
    assert offered(coalmine, "mail", "send", "--to", gone.name[:3]) == []
    assert offered(coalmine, "--redis-url", "redis://127.0.0.1:1/0", "issue", "show", "") == []


def test_completion_never_complains(coalmine: CommandLine) -> None:
    """Without a server there is nothing to offer, and nothing is said."""
    asked = coalmine(
        _COALMINE_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="coalmine job show ",
        COALMINE_REDIS_URL="redis://127.0.0.1:1/0",
    )  # fmt: skip
    assert (asked.stderr, "Error" in asked.stdout) == ("", False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "Did you mean 'status'? See `coalmine --help`"),
        (["job", "lst"], "Did you mean 'list'? See `coalmine job --help`"),
        (["job", "show", "--jsn", "x"], "Did you mean --json? See `coalmine job show --help`"),
    ],
)
def test_a_slip_gets_a_suggestion(coalmine: CommandLine, words: list[str], said: str) -> None:
    """One line, which ends with where to look."""
    result = coalmine(*words)
    assert result.exit_code == 2
    assert result.stderr.strip().endswith(said)


@pytest.mark.parametrize("words", [["job", "list"], ["trial", "open"], ["up"], ["mail", "send"], ["cost"]])
def test_help_has_no_names_of_programmers_types(words: list[str]) -> None:
    """A flag takes nothing, a choice is named in the help, a range is said in words."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "100"}).stdout
    lines = [line for line in shown.splitlines() if "--help" not in line]
    for type_ in ("<str>", "<int", "<float", "<list", "<path>", "<bool>", "<="):
        assert not [line for line in lines if type_ in line], type_


def test_choices_and_ranges_are_words() -> None:
    """Where they can be folded."""
    shown = " ".join(
        CliRunner()
        .invoke(app, ["job", "list", "--help"], env={"COLUMNS": "100"})
        .stdout.replace("│", " ")
        .split()
    )
    assert "One of: queued, running, waiting," in shown
    assert "(1 to 100000)" in shown


def test_titles_cannot_speak_to_the_shell(coalmine: CommandLine, template: str) -> None:
    """A shell evaluates what it is offered, and titles come from outside."""
    title = '\'; touch owned; $(id) `id` "quoted" (all) : done'
    (job,) = coalmine.lines("enqueue", template, "do", "--title", title)
    asked = coalmine(_COALMINE_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="coalmine job show ")
    assert f'"{job["job"]}":"queued touch owned id id quoted all done"' in asked.stdout


def test_a_state_that_is_a_file_is_named(tmp_path: Path, coalmine: CommandLine) -> None:
    """As for a folder that cannot be written: one line about that file."""
    (tmp_path / "state").write_text("")
    result = coalmine("up", "--state", str(tmp_path / "state"))
    assert result.exit_code == 5, result.stderr
    assert "fault in Coalmine" not in result.stderr
    assert f"coalmine: {tmp_path / 'state'} cannot be used: File exists" in result.stderr
