"""Signatures of deliveries: right over the raw body with one of our secrets, or refused."""

import pytest

from tests.fakes.deliveries import WEBHOOK_KINDS, dialect_of

BODY = b'{"action": "opened"}'


def test_signatures_are_those_of_the_forges() -> None:
    """GitHub's own published example, and the same digest bare for Gitea and Forgejo."""
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret, body = "It's a Secret to Everybody", b"Hello, World!"
    assert dialect_of("github").sign(secret, body) == f"sha256={digest}"
    assert dialect_of("gitea").sign(secret, body) == dialect_of("forgejo").sign(secret, body) == digest


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_right_signature_passes(kind: str) -> None:
    """In each header that the kind may use."""
    for name in dialect_of(kind).signature:
        assert dialect_of(kind).is_signed(["a"], {name: dialect_of(kind).sign("a", BODY)}, BODY)


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_both_secrets_pass_while_they_are_changed(kind: str) -> None:
    """The new one and the previous one, and no third."""
    name = dialect_of(kind).signature[0]
    for secret in ("new", "old"):
        assert dialect_of(kind).is_signed(["new", "old"], {name: dialect_of(kind).sign(secret, BODY)}, BODY)
    assert not dialect_of(kind).is_signed(["new", "old"], {name: dialect_of(kind).sign("older", BODY)}, BODY)


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda _right: "",
        lambda right: right[:-1],
        lambda right: right + "0",
        lambda right: right.upper(),
        lambda right: right.removeprefix("sha256=") if right.startswith("sha256=") else "sha256=" + right,
        lambda right: right.replace(right[-1], "ü"),
        lambda _right: "\ud800",
        lambda _right: "sha256=",
        lambda _right: "sha1=" + "0" * 40,
    ],
)
def test_wrong_signature_is_refused(kind: str, spoil: object) -> None:
    """Cut, longer, in capitals, in the other forge's form, in no ASCII, of another method."""
    assert callable(spoil)
    headers = {dialect_of(kind).signature[0]: spoil(dialect_of(kind).sign("a", BODY))}
    assert not dialect_of(kind).is_signed(["a"], headers, BODY)


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_signature_is_of_this_body(kind: str) -> None:
    """One byte more, even a space, makes it another body."""
    headers = {dialect_of(kind).signature[0]: dialect_of(kind).sign("a", BODY)}
    assert not dialect_of(kind).is_signed(["a"], headers, BODY + b" ")


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_without_secrets_nothing_passes(kind: str) -> None:
    """Not even what is signed with an empty secret."""
    dialect = dialect_of(kind)
    assert not dialect.is_signed([], {dialect.signature[0]: dialect.sign("", BODY)}, BODY)


def test_header_of_another_forge_does_not_count() -> None:
    """A door for GitHub does not look at Gitea's header, nor the other way round."""
    right = {"x-gitea-signature": dialect_of("github").sign("a", BODY)}
    assert not dialect_of("github").is_signed(["a"], right, BODY)
    assert not dialect_of("gitea").is_signed(["a"], {"x-hub-signature-256": right["x-gitea-signature"]}, BODY)
