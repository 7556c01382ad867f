"""Bad input and missing things: one line that says what, where and what to do; a code; nothing written."""

from pathlib import Path

import pytest
from typer.testing import Result

from console.boundary import MEANINGS, ExitCode, exit_code_of
from routing import errors
from tests.programs.command_line import CommandLine


def refused(result: Result, code: ExitCode) -> str:
    """The one line of a command that was refused with this exit code."""
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("coalmine: ")
    return line


@pytest.mark.parametrize(
    "arguments",
    [
        ["enqueue", "implementer", "caf\udce9 task"],
        ["enqueue", "caf\udce9", "task"],
        ["template", "propose", "implementer", "--prompt", "p", "--note", "caf\udce9"],
        ["template", "show", "caf\udce9"],
        ["trial", "stop", "caf\udce9"],
        ["--redis-url", "redis://caf\udce9@localhost:1", "job", "list"],
        ["caf\udce9"],
    ],
)
def test_bytes_that_are_not_text_are_refused(
    coalmine: CommandLine, template: str, arguments: list[str]
) -> None:
    """Python passes them on as halves of characters, which no store and no JSON can hold."""
    assert template
    before = coalmine.stored()
    assert "is not UTF-8 text" in refused(coalmine(*arguments), ExitCode.BAD_INPUT)
    assert coalmine.stored() == before


@pytest.mark.parametrize("share", ["0", "1", "1.5", "nan", "-0.1", "inf"])
def test_shares_that_no_trial_can_have(coalmine: CommandLine, template: str, share: str) -> None:
    """Both ends are excluded, and so is what is not a number."""
    before = coalmine.stored()
    line = refused(coalmine("trial", "open", template, "--share", share), ExitCode.BAD_INPUT)
    assert "must lie between 0 and 1" in line
    assert coalmine.stored() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trial", "open", "implementer", "--delta", "0"], "delta"),
        (["trial", "open", "implementer", "--delta", "0.1", "--margin", "0.2"], "larger than margin"),
        (["trial", "open", "implementer", "--guardrail", "cost_usd"], "write NAME=CAP"),
        (["trial", "open", "implementer", "--guardrail", "speed=1"], "guardrails.0.name"),
        (["trial", "open", "implementer", "--share", "much"], "--share"),
        (["template", "propose", "implementer", "--sandbox", "container"], "names no image"),
        (["template", "propose", "implementer", "--prompt", ""], "the prompt is empty"),
        (["template", "propose", "implementer", "--prompt", "a", "--prompt-file", "b"], "give only one"),
        (["template", "propose", "implementer", "--prompt-file", "missing.md"], "missing.md cannot be read"),
        (["template", "propose", "implementer", "--env", "A"], "--env NAME=VALUE"),
        (["template", "propose", "implementer", "--env", "A B=1"], "environment"),
        (["template", "propose", "implementer", "--clear", "everything"], "use one of: prompt"),
        (["template", "propose", "implementer", "--time-limit", "nan"], "time_limit_seconds"),
        (["template", "propose", "implementer", "--runtime", "ghost"], "no runtime is called 'ghost'"),
        (["template", "propose", "implementer", "--clear", "command"], "give --command"),
        (["template", "add", "Bad_Name", "--command", "x"], "is not a template name"),
        (["template", "add", "other", "--prompt", "p"], "give --command"),
        (["template", "policy", "implementer", "maybe"], "maybe"),
        (["template", "show", "implementer@three"], "NAME@v3"),
        (["enqueue", "implementer"], "the task is empty"),
        (["enqueue", "implementer", "  "], "the task is empty"),
        (["enqueue", "implementer", "do", "--priority", "soon"], "--priority"),
        (["enqueue", "implementer", "do", "--max-attempts", "0"], "max_attempts"),
        (["enqueue", "implementer", "do", "--title", "t" * 501], "title"),
        (["job", "show", "12"], "a job id has 16 hex digits"),
        (["job", "list", "--state", "lost"], "lost"),
        (["job", "thumb", "0" * 16, "sideways"], "neither up nor down"),
        (["trial", "plan", "--baseline", "2"], "baseline in [0,1]"),
        (["template", "lst"], "No such command 'lst'"),
        (["template", "list", "--colour"], "--colour"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(coalmine: CommandLine, template: str, arguments: list[str], says: str) -> None:
    """Whatever is malformed is named, and nothing is written."""
    assert template
    before = coalmine.stored()
    assert says in refused(coalmine(*arguments), ExitCode.BAD_INPUT)
    assert coalmine.stored() == before


def test_payload_that_is_too_large(coalmine: CommandLine, template: str) -> None:
    """A megabyte is refused as a task and as a prompt, and so is what does not end soon."""
    before = coalmine.stored()
    Path("large.md").write_text("a" * 1_000_000)
    for arguments in (
        ("enqueue", template, "--task-file", "large.md"),
        ("template", "propose", template, "--prompt-file", "large.md"),
        ("enqueue", template, "--task-file", "/dev/zero"),
    ):
        line = refused(coalmine(*arguments), ExitCode.BAD_INPUT)
        assert "nothing was written" in line
        assert len(line) < 400
    assert "at most 262144" in refused(
        coalmine("enqueue", template, "-", stdin="a" * 1_000_000), ExitCode.BAD_INPUT
    )
    assert coalmine.stored() == before


def test_files_that_are_not_text_or_not_toml(coalmine: CommandLine, template: str) -> None:
    """The file and the place of its fault are named."""
    before = coalmine.stored()
    Path("bytes.md").write_bytes(b"ab\xff")
    Path("broken.toml").write_text("prompt = = 1")
    Path("unknown.toml").write_text("command = 'x'\npromt = 'p'")
    cases = {
        "byte 2": ("template", "propose", template, "--prompt-file", "bytes.md"),
        "line 1, column 10": ("template", "propose", template, "--from", "broken.toml"),
        "promt: there is no such field; use accounts": (
            "template",
            "propose",
            template,
            "--from",
            "unknown.toml",
        ),
        "broken.toml cannot be read as TOML": ("--config", "broken.toml", "template", "list"),
        "missing.toml, which is not a file": ("--config", "missing.toml", "template", "list"),
    }
    for says, arguments in cases.items():
        assert says in refused(coalmine(*arguments), ExitCode.BAD_INPUT)
    assert coalmine.stored() == before


def test_every_wrong_setting_is_named_on_the_one_line(coalmine: CommandLine) -> None:
    """Both variables are named, and a variable that is not a setting is not ignored."""
    result = coalmine("template", "list", COALMINE_SEED="x", COALMINE_TIMES__LEASE_SECONDS="-1")
    line = refused(result, ExitCode.BAD_INPUT)
    assert "COALMINE_SEED" in line
    assert "COALMINE_TIMES__LEASE_SECONDS" in line
    result = coalmine("template", "list", COALMINE_WEB__TOKEN="", COALMINE_FORGE__GITHUB__WEBHOOK_SECRET="")
    assert refused(result, ExitCode.BAD_INPUT).count("it is empty; give it a value, or unset it") == 2
    assert "it has 4 characters and needs at least 16" in refused(
        coalmine("template", "list", COALMINE_WEB__TOKEN="a" * 4), ExitCode.BAD_INPUT
    )
    assert "COALMINE_SEDE" in refused(coalmine("template", "list", COALMINE_SEDE="1"), ExitCode.BAD_INPUT)


@pytest.mark.parametrize(
    "arguments",
    [
        ["enqueue", "nobody", "do"],
        ["template", "show", "nobody"],
        ["template", "propose", "nobody", "--command", "x"],
        ["template", "show", "implementer@v9"],
        ["template", "policy", "nobody", "direct"],
        ["trial", "open", "nobody"],
        ["trial", "status", "implementer"],
        ["trial", "stop", "nobody-t1"],
        ["job", "show", "0" * 16],
        ["job", "logs", "0" * 16],
        ["job", "retry", "0" * 16],
        ["job", "thumb", "0" * 16, "up"],
        ["job", "list", "--template", "nobody"],
    ],
)
def test_what_does_not_exist_is_not_found(coalmine: CommandLine, template: str, arguments: list[str]) -> None:
    """Exit 3, and nothing is written."""
    assert template
    before = coalmine.stored()
    refused(coalmine(*arguments), ExitCode.NOT_FOUND)
    assert coalmine.stored() == before


def test_steps_that_the_state_does_not_allow(coalmine: CommandLine, template: str) -> None:
    """A second trial, a second first version, a trial of the champion, a trial while canaries are off."""
    off = coalmine("trial", "open", template, COALMINE_CANARY__ENABLED="false")
    assert "canaries are switched off" in refused(off, ExitCode.CONFLICT)
    coalmine.shown("trial", "open", f"{template}@v2")
    coalmine.shown("template", "propose", template, "--prompt", "another")
    before = coalmine.stored()
    cases = {
        "has an open trial already (implementer-t1)": ("trial", "open", f"{template}@v3"),
        "exists with v3": ("template", "add", template, "--command", "y"),
        "champion": ("template", "reject", f"{template}@v1"),
        "nothing to revert to": ("template", "revert", template),
    }
    for says, arguments in cases.items():
        assert says in refused(coalmine(*arguments), ExitCode.CONFLICT)
    assert coalmine.stored() == before


def test_server_that_is_down_or_not_named(coalmine: CommandLine) -> None:
    """The line names the server and the variable; the exit code tells a script to try again later."""
    line = refused(
        coalmine("template", "list", COALMINE_REDIS_URL="redis://127.0.0.1:1/0"), ExitCode.UNAVAILABLE
    )
    assert "redis://127.0.0.1:1/0" in line
    assert "COALMINE_REDIS_URL" in line
    nowhere = coalmine("template", "list", COALMINE_REDIS_URL="")
    assert "COALMINE_REDIS_URL" in refused(nowhere, ExitCode.BAD_INPUT)


def test_unexpected_errors_are_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback unless COALMINE_DEBUG asks for it; interruptions are quiet."""

    def broken() -> None:
        raise KeyError("a\nb\x1b[2J")

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.delenv("COALMINE_DEBUG", raising=False)
    assert exit_code_of(broken) == ExitCode.INTERNAL
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "COALMINE_DEBUG=1" in said
    monkeypatch.setenv("COALMINE_DEBUG", "1")
    assert exit_code_of(broken) == ExitCode.INTERNAL
    assert "Traceback" in capsys.readouterr().err
    assert exit_code_of(interrupted) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == ""


def test_exit_codes_are_those_of_the_error_tree() -> None:
    """Every error of the tree has a code that is documented."""
    tree = [getattr(errors, name) for name in dir(errors) if name.endswith("Error")]
    assert {error.exit_code for error in tree} == {1, 2, 3, 4, 5, 6}
    assert set(MEANINGS) == set(ExitCode)
