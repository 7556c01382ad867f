"""Signatures of deliveries: right over the raw body with one of our secrets, or refused."""

import pytest

from routing.webhook.errors import BadSignatureError
from routing.webhook.forge_kind import HEADERS, ForgeKind
from routing.webhook.signature import check_signature, sign

BODY = b'{"action": "opened"}'
KINDS = list(ForgeKind)


def test_signatures_are_those_of_the_forges() -> None:
    """GitHub's own published example, and the same digest bare for Gitea and Forgejo."""
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret, body = "It's a Secret to Everybody", b"Hello, World!"
    assert sign(ForgeKind.GITHUB, secret, body) == f"sha256={digest}"
    assert sign(ForgeKind.GITEA, secret, body) == sign(ForgeKind.FORGEJO, secret, body) == digest


@pytest.mark.parametrize("kind", KINDS)
def test_right_signature_passes(kind: ForgeKind) -> None:
    """In each header that the kind may use."""
    for name in HEADERS[kind].signature:
        check_signature(kind, ["a"], {name: sign(kind, "a", BODY)}, BODY)


@pytest.mark.parametrize("kind", KINDS)
def test_both_secrets_pass_while_they_are_changed(kind: ForgeKind) -> None:
    """The new one and the previous one, and no third."""
    name = HEADERS[kind].signature[0]
    for secret in ("new", "old"):
        check_signature(kind, ["new", "old"], {name: sign(kind, secret, BODY)}, BODY)
    with pytest.raises(BadSignatureError):
        check_signature(kind, ["new", "old"], {name: sign(kind, "older", BODY)}, BODY)


@pytest.mark.parametrize("kind", KINDS)
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
def test_wrong_signature_is_refused(kind: ForgeKind, spoil: object) -> None:
    """Cut, longer, in capitals, in the other forge's form, in no ASCII, of another method."""
    assert callable(spoil)
    headers = {HEADERS[kind].signature[0]: spoil(sign(kind, "a", BODY))}
    with pytest.raises(BadSignatureError, match=r"^Invalid or missing signature$"):
        check_signature(kind, ["a"], headers, BODY)


@pytest.mark.parametrize("kind", KINDS)
def test_signature_is_of_this_body(kind: ForgeKind) -> None:
    """One byte more, even a space, makes it another body."""
    headers = {HEADERS[kind].signature[0]: sign(kind, "a", BODY)}
    with pytest.raises(BadSignatureError):
        check_signature(kind, ["a"], headers, BODY + b" ")


@pytest.mark.parametrize("kind", KINDS)
def test_without_secrets_nothing_passes(kind: ForgeKind) -> None:
    """Not even what is signed with an empty secret."""
    with pytest.raises(BadSignatureError):
        check_signature(kind, [], {HEADERS[kind].signature[0]: sign(kind, "", BODY)}, BODY)


def test_header_of_another_forge_does_not_count() -> None:
    """A door for GitHub does not look at Gitea's header, nor the other way round."""
    right = {"x-gitea-signature": sign(ForgeKind.GITHUB, "a", BODY)}
    with pytest.raises(BadSignatureError):
        check_signature(ForgeKind.GITHUB, ["a"], right, BODY)
    with pytest.raises(BadSignatureError):
        check_signature(ForgeKind.GITEA, ["a"], {"x-hub-signature-256": right["x-gitea-signature"]}, BODY)
