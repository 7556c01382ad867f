"""What servers say when they refuse a push, and what each of it is."""

import pytest

from routing.git.push_refusal import RefusalKind, push_refusal, what_was_said

_BRANCH = "0a1b2c -> coalmine/00aa"
_URL = "https://git.acme.example/acme/shop.git/"


def rejected(why: str, *said: str) -> str:
    """What git prints for a push that a server's hook or rule did not take."""
    lines = [f"remote: {line}" for line in said]
    return "\n".join(
        [*lines, f"To {_URL}", f" ! [remote rejected] {_BRANCH} ({why})", "error: failed to push"]
    )


HOOK = "pre-receive hook declined"


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        (rejected(HOOK, "error: GH001: Large files detected."), RefusalKind.LARGE_FILE),
        (rejected(HOOK, 'File "a.bin" is larger than the allowed size'), RefusalKind.LARGE_FILE),
        (rejected(HOOK, "File archived.bin exceeds the 5 MB limit"), RefusalKind.LARGE_FILE),
        (rejected("unpacker error", "fatal: pack exceeds maximum allowed size"), RefusalKind.LARGE_FILE),
        ("error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413", RefusalKind.LARGE_FILE),
        (
            rejected(
                "push declined due to repository rule violations",
                "error: GH013: Repository rule violations found for refs/heads/coalmine/00aa.",
                "- GITHUB PUSH PROTECTION", "  - Push cannot contain secrets",
            ),
            RefusalKind.SECRET,
        ),
        (rejected(HOOK, "GitLab: PUSH BLOCKED: Secrets detected in code changes"), RefusalKind.SECRET),
        (
            rejected(
                "refusing to allow a Personal Access Token to create or update workflow "
                "`.github/workflows/ci.yml` without `workflow` scope"
            ),
            RefusalKind.PROTECTED_PATH,
        ),
        (
            rejected(HOOK, "Gitea: branch coalmine/00aa is protected from changing file .ci/run"),
            RefusalKind.PROTECTED_PATH,
        ),
        (rejected(HOOK, "GitLab: File name .env was prohibited by the pattern"), RefusalKind.PROTECTED_PATH),
        (rejected("unpacker error", "fatal: fsck error in packed object"), RefusalKind.OBJECT),
        (rejected(HOOK, "GH008: Your push referenced 1 unknown LFS object"), RefusalKind.OBJECT),
        (rejected(HOOK, "Your commit has no ticket. Fix the message and try again."), RefusalKind.RULE),
        (rejected("hook declined", "GitLab: Commit must be signed with a GPG key"), RefusalKind.RULE),
        (
            rejected("protected branch hook declined", "error: GH006: Protected branch update failed"),
            RefusalKind.PROTECTED_BRANCH,
        ),
        (
            rejected(HOOK, "GitLab: You are not allowed to push code to protected branches on this project."),
            RefusalKind.PROTECTED_BRANCH,
        ),
        (
            rejected("rule violations", "Cannot create ref due to creations being restricted."),
            RefusalKind.PROTECTED_BRANCH,
        ),
        (
            rejected(
                "failed to update ref",
                "cannot lock ref 'refs/heads/coalmine/0': 'refs/heads/coalmine' exists; cannot create 'r'",
            ),
            RefusalKind.NAME_TAKEN,
        ),
        (
            f"remote: This repository was archived so it is read-only.\nfatal: unable to access '{_URL}'",
            RefusalKind.READ_ONLY,
        ),
        ("ERROR: This repository was archived so it is read-only.", RefusalKind.READ_ONLY),
        (rejected(HOOK, "this repository has exceeded its size limit"), RefusalKind.READ_ONLY),
        (rejected("branch is currently checked out"), RefusalKind.READ_ONLY),
        (rejected("non-fast-forward"), RefusalKind.MOVED),
    ],
)  # fmt: skip
def test_refusal_is_named_by_what_was_said(stderr: str, kind: RefusalKind) -> None:
    """In the words of GitHub, GitLab, Gitea, git itself, and a hook of somebody's own."""
    assert push_refusal(stderr) is kind


@pytest.mark.parametrize(
    "stderr",
    [
        "",
        f"fatal: unable to access '{_URL}archived/': Could not resolve host: git.acme.example",
        f"fatal: unable to access '{_URL}': The requested URL returned error: 503",
        f"fatal: unable to access '{_URL}': The requested URL returned error: 429",
        f"remote: Invalid username or token.\nfatal: Authentication failed for '{_URL}'",
        f" ! [rejected] {_BRANCH} (stale info)\nerror: failed to push some refs",
        rejected("internal server error"),
        rejected(HOOK, "GitLab: Internal API unreachable"),
        rejected("unpacker error", "fatal: write error: No space left on device"),
        rejected(HOOK, "fatal: No space left on device"),
        rejected(HOOK, "error: Disk quota exceeded"),
        rejected("failed to update ref", "error: cannot lock ref 'refs/heads/c': Unable to create lock"),
    ],
)  # fmt: skip
def test_what_passes_by_itself_is_not_a_refusal(stderr: str) -> None:
    """A server that is down, full or busy, a token, and a push that somebody else's came before."""
    assert push_refusal(stderr) is None


def test_words_of_a_refusal_are_printable_and_bounded() -> None:
    """They go into a prompt and into a reason, and are the server's."""
    said = what_was_said("remote: " + "x" * 9000 + "\nremote: \x1b[31mGH001\x1b[0m\n ! [remote rejected] a\n")
    assert said.endswith("GH001\n! [remote rejected] a")
    assert len(said) == 4000
    assert what_was_said("remote: GH001\nremote:\nremote: Too large\n") == "GH001\nToo large"
