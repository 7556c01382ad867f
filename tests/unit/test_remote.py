"""A remote and its credential: what is refused before git is started."""

import pytest
from pydantic import SecretStr

from routing.errors import InvalidInputError
from routing.git.remote import Credential, Remote, RemoteAnswer, remote_answer, without_password

CREDENTIAL = Credential(user="coalmine-bot", secret=SecretStr("tok-of-a-test"))


@pytest.mark.parametrize(
    "address",
    [
        "http://git.acme.example/shop.git",
        "https://ann:hunter2@git.acme.example/shop.git",
        "ssh://git@git.acme.example/shop.git",
        "git@git.acme.example:shop.git",
        "/srv/shop.git",
        "https://git.acme.example:port/shop.git",
    ],
)
def test_a_token_goes_to_https_addresses_only(address: str) -> None:
    """Whatever would send it in clear, or has a password already, is refused; no password is repeated."""
    with pytest.raises(InvalidInputError, match="takes no token") as caught:
        Remote(address=address, credential=CREDENTIAL)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("address", ["https://git.acme.example/shop.git", "http://127.0.0.1:8/shop.git"])
def test_https_and_this_machine_take_a_token(address: str) -> None:
    """It shows in no text of the remote."""
    remote = Remote(address=address, credential=CREDENTIAL)
    assert remote.shown == address
    assert "tok-of-a-test" not in repr(remote)


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        ("", "tok"),
        ("ann", ""),
        ("ann", "tok\n"),
        ("ann\nhost=evil", "tok"),
        ("ann", " tok"),
        ("ann", "t" * 5000),
    ],
)
def test_what_is_not_a_line_of_gits_protocol_is_not_a_credential(user: str, secret: str) -> None:
    """A line break would tell git something else; the token is not in the message."""
    with pytest.raises(InvalidInputError, match="as the forge showed it") as caught:
        Credential(user=user, secret=SecretStr(secret))
    assert "tok\n" not in str(caught.value)


def test_the_token_is_taken_out_of_texts_in_each_form() -> None:
    """As it is, and as the header of a request has it."""
    text = "sent tok-of-a-test, as Basic Y29hbG1pbmUtYm90OnRvay1vZi1hLXRlc3Q="
    assert CREDENTIAL.hidden(text) == "sent [token], as Basic [token]"


def test_passwords_are_taken_out_of_addresses() -> None:
    """Whatever stands before the host goes."""
    assert without_password("see https://ann:pw@h/x and http://tok@h/y") == "see https://h/x and http://h/y"


_URL = "https://git.acme.example/acme/shop.git/"


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            f"remote: Invalid username or token.\nfatal: Authentication failed for '{_URL}'\n",
            RemoteAnswer.REFUSED,
        ),
        (
            "fatal: could not read Username for 'https://git.acme.example': terminal prompts disabled",
            RemoteAnswer.REFUSED,
        ),
        (
            (
                "remote: Permission to acme/shop.git denied to coalmine-bot.\n"
                f"fatal: unable to access '{_URL}': The requested URL returned error: 403\n"
            ),
            RemoteAnswer.REFUSED,
        ),
        ("error: RPC failed; HTTP 403 curl 22 The requested URL returned error: 403\n", RemoteAnswer.REFUSED),
        (
            "git@git.acme.example: Permission denied (publickey).\nfatal: Could not read from",
            RemoteAnswer.REFUSED,
        ),
        (f"remote: Repository not found.\nfatal: repository '{_URL}' not found\n", RemoteAnswer.GONE),
        (f"fatal: unable to access '{_URL}': The requested URL returned error: 301\n", RemoteAnswer.MOVED),
        (f"fatal: unable to access '{_URL}': The requested URL returned error: 503\n", RemoteAnswer.OTHER),
        (f"fatal: unable to access '{_URL}': Could not resolve host: git.acme.example\n", RemoteAnswer.OTHER),
        (f"remote: fatal: Authentication failed for '{_URL}'\nfatal: early EOF\n", RemoteAnswer.OTHER),
        (" ! [remote rejected] 0a1b2c -> coalmine/00aa (pre-receive hook declined)\n", RemoteAnswer.OTHER),
        ("", RemoteAnswer.OTHER),
    ],
)
def test_what_git_met_is_read_from_its_own_words(stderr: str, expected: RemoteAnswer) -> None:
    """Refused, gone and moved are distinguished; what a server's hook prints is believed in nothing."""
    assert remote_answer(stderr) is expected
