"""Completion in bash of names that have a `:` or an `@`, where bash splits words."""

import subprocess
from pathlib import Path

import pytest
from typer import _completion_shared as shared

from console.bash_completion import SCRIPT
from console.cli import app

#: Offers all that begins as the word that it is asked for, as `coalmine` does.
PROGRAM = """#!/bin/bash
mapfile -t words <<< "$COMP_WORDS"
for each in github:acme/shop#7 github:acme/shop#8 local:shop#1 implementer@v1 implementer@v2 @all status; do
  case "$each" in "${words[COMP_CWORD]}"*) echo "$each" ;; esac
done
"""


def replies(folder: Path, line: str, words: list[str], breaks: str = " \t\n\"'@><=;|&(:") -> list[str]:
    """What bash puts in the place of the last of its words, as it split the line."""
    (folder / "coalmine").write_text(PROGRAM)
    (folder / "coalmine").chmod(0o755)
    script = SCRIPT % {"complete_func": "_c", "autocomplete_var": "_X", "prog_name": "coalmine"}
    program = f"""{script}
COMP_WORDBREAKS=$3; COMP_LINE=$2; COMP_POINT=${{#2}}; shift 3; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_c {folder}/coalmine
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    argv = ["bash", "--norc", "-c", program, "bash", "", line, breaks, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("line", "words", "expected"),
    [
        ("coalmine st", ["coalmine", "st"], ["status"]),
        ("coalmine issue show git", ["coalmine", "issue", "show", "git"],
         ["github:acme/shop#7", "github:acme/shop#8"]),
        ("coalmine issue show github:", ["coalmine", "issue", "show", "github", ":"],
         ["acme/shop#7", "acme/shop#8"]),
        ("coalmine issue show github:acme/shop#8",
         ["coalmine", "issue", "show", "github", ":", "acme/shop#8"], ["acme/shop#8"]),
        ("coalmine trial open implementer@v", ["coalmine", "trial", "open", "implementer", "@", "v"],
         ["v1", "v2"]),
        ("coalmine mail send @a", ["coalmine", "mail", "send", "@", "a"], ["all"]),
        ("coalmine --config a:b status", ["coalmine", "--config", "a", ":", "b", "status"], ["status"]),
    ],
    ids=["plain", "before the colon", "at the colon", "after it", "a version", "a group", "an earlier word"],
)  # fmt: skip
def test_the_word_is_taken_as_it_stands_in_the_line(
    tmp_path: Path, line: str, words: list[str], expected: list[str]
) -> None:
    """And only what bash does not have yet is given back."""
    assert replies(tmp_path, line, words) == expected


def test_a_bash_that_does_not_split_gets_whole_words(tmp_path: Path) -> None:
    """Some people take the colon out of COMP_WORDBREAKS."""
    words = ["coalmine", "issue", "show", "github:ac"]
    found = replies(tmp_path, "coalmine issue show github:ac", words, breaks=" \t\n")
    assert found == ["github:acme/shop#7", "github:acme/shop#8"]


def test_an_empty_last_word_is_one_of_its_own(tmp_path: Path) -> None:
    """After a blank everything is offered."""
    assert len(replies(tmp_path, "coalmine issue show ", ["coalmine", "issue", "show", ""])) == 7


def test_the_command_line_gives_this_script() -> None:
    """For `--show-completion` and `--install-completion`; the name is typer's own."""
    assert app.info.name == "coalmine"
    script = shared.get_completion_script(  # noqa: S604 - `shell` is the name of one
        prog_name="coalmine",
        complete_var="_COALMINE_COMPLETE",
        shell="bash",
    )
    assert "COMP_WORDBREAKS" in script
