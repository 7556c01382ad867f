"""Whether this host was at its limits is decided by facts: no name that an agent chose says so."""

import signal
from pathlib import Path

import pytest

from routing.git.complaints import Complaints
from routing.git.git import Git, GitError, is_at_limit

#: What git, or the system, says of a host at its limits; an agent may call a file so.
WORDS = (
    "No space left on device",
    "Disk quota exceeded",
    "Input/output error",
    "Out of memory, malloc failed",
    "index-pack died of signal 9",
    "Resource temporarily unavailable",
)


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A repository with one commit."""
    git = Git(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    (tmp_path / "one").write_text("one\n" * 10_000)
    git("add", "--all")
    git("commit", "--quiet", "--message=Begin")
    return git


def failed(git: Git, *arguments: str) -> GitError:
    """The error of a git that fails."""
    with pytest.raises(GitError) as caught:
        git(*arguments)
    return caught.value


def test_full_disk_is_a_limit(git: Git) -> None:
    """A real one: nothing can be written to that device."""
    error = failed(git, "archive", "--format=tar", "--output=/dev/full", "HEAD")

    assert is_at_limit(error)
    assert git.attempt("archive", "--format=tar", "--output=/dev/full", "HEAD").at_limit


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_git_that_was_ended_is_a_limit(git: Git, how: signal.Signals) -> None:
    """By the kernel, for want of memory, or with this host; a crash is git's own fault."""
    ends = f"alias.ends=!kill -{how.value} $PPID; sleep 5"
    assert is_at_limit(failed(git, "-c", ends, "ends"))
    assert not is_at_limit(failed(git, "-c", ends.replace(str(how.value), "SEGV"), "ends"))


def test_part_of_git_that_was_ended_is_a_limit(git: Git) -> None:
    """What git had started was killed; git itself came to its end and says so."""
    killed = ("-c", "core.sshCommand=kill -9 $$; true", "ls-remote", "ssh://far.test/shop")

    assert is_at_limit(failed(git, *killed))
    assert not is_at_limit(failed(git, *[word.replace("-9", "-SEGV") for word in killed]))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("form", ["{}", "x: {}", "x\n{}", "x\n: {}", "x\nfatal: write error: {}"])
def test_names_say_nothing(git: Git, words: str, form: str) -> None:
    """Git prints them as they are, with line breaks too."""
    name = form.format(words).replace("/", "\u2215")
    error = failed(git, "rev-parse", "--verify", "--end-of-options", name)
    other = failed(git, "cat-file", "blob", f"HEAD:{name}")

    assert words.replace("/", "\u2215") in other.stderr
    assert not is_at_limit(error)
    assert not is_at_limit(other)


def test_error_of_the_remote_says_nothing(git: Git, tmp_path: Path) -> None:
    """A server's own words come through git as a message of git's."""
    hook = tmp_path / "says"
    hook.write_text("#!/bin/sh\necho 'fatal: write error: No space left on device' >&2\nexit 1\n")
    hook.chmod(0o755)

    error = failed(git, "fetch", f"--upload-pack={hook}", "--", str(tmp_path), "main")
    assert "No space left on device" in error.stderr
    assert not is_at_limit(error)


def test_trace_that_was_cut_off_says_nothing() -> None:
    """A part of a line, bytes that are not UTF-8, and what looks like an event within a name."""
    with Complaints.noted() as noted:
        noted.file.write(
            b'{"event":"error","fmt":"write error: No space left on device"\n\xff{"event":"error"\n'
        )
        noted.file.write(b'{"event":"error","msg":"\\"fmt\\":\\"x: No space left on device\\"","fmt":"%s"}\n')
        noted.file.flush()
        assert not noted.are_of_a_limit()
        noted.file.write(
            b'{"event":"error","msg":"\xff","fmt":"unable to write %s: No space left on device"}\n'
        )
        noted.file.flush()
        assert noted.are_of_a_limit()
