"""What people decide by the command line is noted: who, by which command, about what, and why."""

import ast
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path

import pytest

from routing.errors import StoreAwayError
from routing.store.events.decision_store import DecisionStore
from tasks.agents.mail.role import Role
from tests.programs.command_line import CommandLine
from tests.source import modules, tree

#: Commands that change nothing that a person decides, or that only ask others to do what they do anyway.
NOT_DECISIONS = {
    "account list_accounts", "backtest collect", "backtest import", "backtest export", "issue poll",
    "mail read", "job watch", "web web",
}  # fmt: skip


def noted(coalmine: CommandLine) -> list[tuple[str, str, str]]:
    """What was noted, oldest first: act, thing, reason; each by this machine's user, by a command."""
    with coalmine.coalmine() as parts:
        found = parts.decisions.newest(100)
    assert {(each.by, each.way) for each in found} <= {(getuser(), "command"), ("ada", "command")}
    return [(each.act, each.thing, each.reason) for each in reversed(found)]


def test_dispatch_and_accounts(coalmine: CommandLine, template: str) -> None:
    """A step that was made before changes nothing, and is not noted."""
    for _ in range(2):
        coalmine.shown("pause", "the forge is upgraded")
    for _ in range(2):
        coalmine.shown("resume")
    coalmine.shown("enqueue", template, "work")
    job = coalmine.document("job", "list")["jobs"][0]["id"]
    for _ in range(2):
        coalmine.shown("job", "cancel", job)
    coalmine.shown("job", "retry", job)
    for _ in range(2):
        coalmine.shown("job", "thumb", job, "down")
    coalmine.shown("enqueue", template, "--task-file", "-", "--each-line", stdin="one\ntwo\nthree\n")
    listed = noted(coalmine)
    several = listed.pop()
    assert (several[0], several[2]) == ("enqueue", "and 2 jobs more")
    assert listed == [
        ("template add", "implementer@v1", ""), ("template propose", "implementer@v2", ""),
        ("pause", "", "the forge is upgraded"), ("resume", "", ""),
        ("enqueue", job, ""), ("job cancel", job, ""), ("job retry", job, ""), ("job thumb", job, "down"),
    ]  # fmt: skip


def test_trials_and_versions(coalmine: CommandLine, template: str) -> None:
    """With their reasons; what was refused was not decided."""
    coalmine.shown("trial", "open", template)
    for _ in range(2):
        coalmine.shown("trial", "hold", template, "--reason", "flaky tests")
    coalmine.shown("trial", "resume", template, "--reason", "repaired")
    coalmine.shown("trial", "stop", template, "--reason", "wrong model")
    coalmine.shown("template", "promote", "implementer@v2", "--reason", "read it")
    coalmine.shown("template", "revert", template, "--reason", "worse")
    coalmine.shown("template", "policy", template)
    coalmine.shown("template", "policy", template, "canary")
    assert coalmine("template", "reject", "implementer@v1").exit_code == 4
    assert noted(coalmine)[2:] == [
        ("trial open", "implementer@v2", ""), ("trial hold", "implementer-t1", "flaky tests"),
        ("trial resume", "implementer-t1", "repaired"), ("trial stop", "implementer-t1", "wrong model"),
        ("template promote", "implementer@v2", "read it"), ("template revert", "implementer@v1", "worse"),
        ("template policy", "implementer", "canary"),
    ]  # fmt: skip


def test_mail(coalmine: CommandLine, template: str) -> None:
    """A mail with a key is sent, and noted, once."""
    with coalmine.coalmine() as parts:
        agent = parts.agents.register(role=Role.BUILDER, job="4f1d0c2ab39e8876").name
    for _ in range(2):
        coalmine.shown("mail", "send", "--to", agent, "--body", "Use port 8080.", "--key", "port")
    coalmine.shown("enqueue", template, "work")
    with coalmine.coalmine() as parts:
        job = parts.jobs.newest(most=1)[0].id
        parts.jobs.claim(job, worker="w1", lease_seconds=60.0)
        parts.agents.register(role=Role.BUILDER, job=job)
    coalmine.shown("job", "message", job, "Use port 8080.")
    assert noted(coalmine)[-3:] == [
        ("mail send", agent, ""), ("enqueue", job, ""), ("job message", job, "Use port 8080."),
    ]  # fmt: skip


def test_a_command_succeeds_although_it_cannot_be_noted(
    coalmine: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was carried out; a warning says that nobody will find it in the list."""

    def away(*_: object) -> None:
        message = "away"
        raise StoreAwayError(message)

    monkeypatch.setattr(DecisionStore, "note", away)
    done = coalmine("pause", "lunch", "--json")
    assert done.exit_code == 0
    assert '"changed": true' in done.stdout
    assert "decision_not_noted" in done.stderr


def test_every_command_that_changes_something_notes_it() -> None:
    """A new one is noted as well, or is in the list above."""
    found = dict(_commands())
    assert set(found) >= NOT_DECISIONS
    silent = {name for name, says in found.items() if not says and name not in NOT_DECISIONS}
    assert not silent


def _commands() -> Iterator[tuple[str, bool]]:
    """Each function of `console.commands` that opens the fleet to change it, and whether it notes that."""
    for path in modules("console"):
        if path.parent != Path("console/commands"):
            continue
        for each in tree(path).body:
            if isinstance(each, ast.FunctionDef):
                calls = [node for node in ast.walk(each) if isinstance(node, ast.Call)]
                names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
                opens = [
                    call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "opened"
                ]
                if opens and not any(word.arg == "reads" for call in opens for word in call.keywords):
                    yield f"{path.stem} {each.name.strip('_')}", "noted" in names
