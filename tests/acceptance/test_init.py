"""`coalmine init`: five questions, and a file that `coalmine up` reads."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from console.input.first_settings import FirstSettings, ForgeAddress
from routing.errors import InvalidInputError
from routing.forges.local.issue_file import IssueFile
from routing.git.git import Git
from tasks.settings.settings import load_settings
from tests.programs.command_line import CommandLine
from tests.waiting import until_ended, wait_until

ROOT = Path(__file__).parents[2]

#: What every test of a folder answers.
ANSWERS = (
    "--repo",
    "shop",
    "--issues",
    "issues",
    "--ci",
    "test -e a",
    "--runtime",
    "claude",
    "--merge",
    "green",
)

#: A program that is called like Claude Code, and answers as it does.
CLAUDE = r"""#!/bin/sh
case "$1" in
  --version) echo '99.0.0 (Claude Code)' ;;
  auth) exit 0 ;;
  *) cat > /dev/null; echo hello > greeting.txt
     echo '{"type": "system", "subtype": "init", "session_id": "s-1"}'
     echo '{"type": "result", "subtype": "success", "is_error": false, "result": "done"}' ;;
esac
"""


def repository(folder: Path) -> Path:
    """A repository with a commit."""
    folder.mkdir()
    (folder / "a").write_text("1\n")
    git = Git(folder)
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    return folder


def test_each_answer_is_an_option_and_up_goes_by_the_file(coalmine: CommandLine) -> None:
    """Nobody is asked; what is written is read as it was answered, and the folder of issues is made."""
    repository(coalmine.folder / "shop")
    made = coalmine.document("init", *ANSWERS, "--model", "opus")
    assert made["made"] == [str(coalmine.folder / "issues")]
    settings = load_settings(coalmine.folder / "coalmine.toml")
    (forge,) = settings.forge
    assert (forge.kind, forge.merge, forge.is_served) == ("local", "green", True)
    assert forge.model_dump()["repository"] == coalmine.folder / "shop"
    assert forge.model_dump()["issues"] == coalmine.folder / "issues"
    assert forge.model_dump()["ci"] == "test -e a"
    assert (settings.up.runtime, settings.up.model) == ("claude", "opus")
    assert coalmine.stored() == {}


@pytest.mark.parametrize("make", ["file", "link"])
def test_a_file_is_never_overwritten(coalmine: CommandLine, make: str) -> None:
    """Nor is what a link leads to, even where there is nothing yet."""
    repository(coalmine.folder / "shop")
    file = coalmine.folder / "coalmine.toml"
    if make == "file":
        file.write_text("# mine\n")
    else:
        file.symlink_to(coalmine.folder / "elsewhere.toml")
    refused = coalmine("init", *ANSWERS)
    assert refused.exit_code == 4
    assert "exists already and was not changed" in refused.stderr
    assert not (coalmine.folder / "elsewhere.toml").exists()
    assert not (coalmine.folder / "issues").exists(), "nothing else was made"
    other = coalmine("--config", "other.toml", "init", *ANSWERS)
    assert other.exit_code == 0, other.stderr
    assert load_settings(coalmine.folder / "other.toml").up.runtime == "claude"


@pytest.mark.parametrize("option", ["--repo", "--issues", "--ci", "--runtime", "--merge"])
def test_a_script_that_leaves_an_answer_out_learns_which(coalmine: CommandLine, option: str) -> None:
    """Nothing is guessed where nobody can be asked; with --yes what is proposed is taken."""
    shop = repository(coalmine.folder / "shop")
    os.chdir(shop)
    place = ANSWERS.index(option)
    words = [str(coalmine.folder / word) if word in {"shop", "issues"} else word for word in ANSWERS]
    left = [*words[:place], *words[place + 2 :]]
    refused = coalmine("init", *left)
    assert refused.exit_code == 2
    assert f"Give {option}" in refused.stderr
    assert not Path("coalmine.toml").exists()
    bin_folder = coalmine.folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "codex").write_text("#!/bin/sh\n")
    (bin_folder / "codex").chmod(0o755)
    path = os.pathsep.join([str(bin_folder), "/usr/bin", "/bin"])
    taken = coalmine("init", *left, "--yes", PATH=path)
    assert taken.exit_code == 0, taken.stderr
    settings = load_settings(Path("coalmine.toml"))
    found = {**settings.forge[0].model_dump(), "runtime": settings.up.runtime}
    proposed = {"repo": ("repository", shop), "issues": ("issues", shop / "issues"), "ci": ("ci", None),
                "runtime": ("runtime", "codex"), "merge": ("merge", "never")}  # fmt: skip
    name, value = proposed[option.removeprefix("--")]
    assert found[name] == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repo", "nowhere"), "nowhere is not a folder"),
        (("--repo", "github:shop"), "github:shop is not a repository of a forge; write one of: github:OWNER"),
        (("--repo", "gitea:acme/shop"), "gitea:https://HOST/OWNER/NAME"),
        (("--repo", "https://github.com/acme/shop"), "does not say which kind of forge it is"),
        (("--repo", "github:acme/shop", "--ci", "make"), "on a forge its own checks judge: leave it out"),
        (("--repo", "github:acme/shop", "--runtime", "gpt"), "no agent program is known as 'gpt'"),
        (("--repo", "github:acme/shop", "--runtime", "codex", "--agent", "x"), "are two agents"),
        (("--repo", "github:acme/shop", "--runtime", "codex", "--merge", "red"), "is not green or never"),
    ],
)
def test_an_answer_that_cannot_be_right_writes_nothing(
    coalmine: CommandLine, words: Sequence[str], said: str
) -> None:
    """It is said at once, with what could be given."""
    refused = coalmine("init", *words)
    assert refused.exit_code == 2, refused.output
    assert said in refused.stderr
    assert not list(coalmine.folder.iterdir())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("github:acme/shop", ForgeAddress(kind="github", repository="acme/shop")),
        (
            "forgejo:https://git.example.com/sub/acme/shop.git",
            ForgeAddress(kind="forgejo", repository="acme/shop", base_url="https://git.example.com/sub"),
        ),
        ("C:issues", None),
        ("../shop", None),
    ],
)
def test_an_address_of_a_forge_differs_from_a_path(text: str, address: ForgeAddress | None) -> None:
    """By its kind before the colon."""
    assert ForgeAddress.read(text) == address


def test_a_forge_is_served_when_its_token_is_there(
    coalmine: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that is printed is the right one; only labelled issues are worked on."""
    words = ("--repo", "gitea:https://git.example.com/acme/shop", "--agent", "./a.sh", "--merge", "never")
    said = coalmine.shown("init", *words)
    assert "export COALMINE_FORGE__GITEA__TOKEN=…" in said
    monkeypatch.setenv("COALMINE_FORGE__GITEA__TOKEN", "t-0123456789")
    (forge,) = load_settings(coalmine.folder / "coalmine.toml").forge
    assert (forge.allow_list, forge.label, forge.merge) == (("acme/shop",), "coalmine", "never")
    assert forge.is_served
    assert not forge.kill_switch


@pytest.mark.parametrize("value", ["a \"b\" \\ 'c'", "ünïcode ☃", "two\nlines", "# no comment", "$HOME"])
def test_any_text_comes_back_as_it_was_answered(tmp_path: Path, value: str) -> None:
    """Quotes, backslashes, line ends and signs of TOML's own."""
    file = tmp_path / "c.toml"
    answers = FirstSettings(
        repository=f"/r/{value}", issues=f"/i/{value}", ci=value, agent=value, model=value
    )
    file.write_text(answers.text(), encoding="utf-8")
    settings = load_settings(file)
    found = settings.forge[0].model_dump()
    assert (str(found["repository"]), str(found["issues"])) == (f"/r/{value}", f"/i/{value}")
    assert (found["ci"], settings.up.agent, settings.up.model) == (value, value, value)


def test_a_half_written_address_names_every_form() -> None:
    """Of each kind of forge."""
    with pytest.raises(InvalidInputError, match=r"github:OWNER/NAME, gitea:https.*forgejo:https"):
        ForgeAddress.read("github:")


def place(folder: Path) -> Mapping[str, str]:
    """A shell in a folder with a repository, and with a program on its PATH."""
    repository(folder / "shop")
    (folder / "bin").mkdir()
    (folder / "bin" / "claude").write_text(CLAUDE)
    (folder / "bin" / "claude").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return kept | {
        "PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), "COALMINE_WEB__PORT": "0",
    }  # fmt: skip


@pytest.mark.long
def test_five_questions_are_asked_on_a_terminal_and_up_needs_no_option(tmp_path: Path) -> None:
    """An empty line takes what is proposed; the next `up` has the program that was named do an issue."""
    environment = place(tmp_path)
    argv = [sys.executable, "-m", "coalmine"]
    terminal, of_the_program = pty.openpty()
    asking = subprocess.Popen(
        [*argv, "init"], cwd=tmp_path / "shop", env=environment, stdin=of_the_program,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.close(of_the_program)
    os.write(terminal, b"\n\ntest -e a\n\ngreen\n")
    said = asking.communicate(timeout=60)[0].decode()
    os.close(terminal)
    assert asking.returncode == 0, said
    assert sum(said.count(question) for question in ("Which ", "Where ", "Who ")) == 5
    issue = tmp_path / "shop" / "issues" / "1.md"
    issue.write_text("---\ntitle: Greet\n---\nWrite greeting.txt.\n")
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "up", "--json"], cwd=tmp_path / "shop", env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(
            lambda: (
                IssueFile.parse(issue.read_bytes()).matter.state == "closed" or process.poll() is not None
            ),
            description="the issue is closed",
            timeout=60,
        )
    finally:
        process.terminate()
        until_ended(process, timeout=40)
    log_text = (tmp_path / "up.log").read_text()
    assert "Claude Code 99.0.0 is installed and logged in" in log_text
    assert (tmp_path / "shop" / "greeting.txt").read_text() == "hello\n", log_text
    queued = [json.loads(line) for line in log_text.splitlines() if '"job.queued"' in line]
    assert [event["data"]["version"] for event in queued] == ["implementer@v1"]


def test_the_example_is_printed_whole(coalmine: CommandLine) -> None:
    """As it lies in the clone; the wheel has it, too."""
    assert coalmine.shown("config", "example") == (ROOT / "coalmine.example.toml").read_text()


def test_paths_are_written_as_they_can_be_used(coalmine: CommandLine) -> None:
    """A program whose path has a space is quoted for the shell that will start it; `..` is gone."""
    repository(coalmine.folder / "shop")
    program = coalmine.folder / "my agent.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    options = ("--repo", "shop", "--issues", "shop/../issues", "--ci", "-", "--merge", "never")
    coalmine.document("init", *options, "--agent", str(program))
    settings = load_settings(coalmine.folder / "coalmine.toml")
    assert settings.up.agent == f"'{program}'"
    assert settings.forge[0].model_dump()["issues"] == coalmine.folder / "issues"


@pytest.mark.parametrize(
    ("written", "repository", "base_url"),
    [
        ("gitlab:acme/tools/deep/shop", "acme/tools/deep/shop", ""),
        ("gitlab:https://git.example.com/acme/tools/shop.git", "acme/tools/shop", "https://git.example.com"),
    ],
)
def test_projects_within_groups_are_named_whole(written: str, repository: str, base_url: str) -> None:
    """On GitLab all of the path is the name, on gitlab.com and on a server of one's own."""
    address = ForgeAddress.read(written)
    assert address is not None
    assert (address.kind, address.repository, address.base_url) == ("gitlab", repository, base_url)
