"""A GitHub App's tokens: asked for by ourselves, one an installation, and renewed before they end.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app. The App proves who it is
by a short text that its private key signs (RS256, RFC 7518); for that it is shown which installation serves a
repository, and is given a token of an hour for it. An App has an installation an account, so what is asked
about `/repos/OWNER/…` goes out with that owner's token.

The key stays in its file: the program `openssl` signs with it. Tokens are in this process's memory alone.
"""

import base64
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AwareDatetime, SecretStr

from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeRefusedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Text, Wire
from routing.http.connection import Surroundings
from routing.http.lent_token import LastTokens, LentToken
from routing.http.settings import is_token
from routing.process.bounded_command import capture
from routing.process.command import Command, SpawnError

#: Seconds before its end at which a token is replaced: no call, and no push, takes so long to begin.
RENEW_SECONDS = 300.0

#: A proof is of a minute ago, as clocks differ, and ends before the ten minutes that GitHub allows.
EARLIER_SECONDS, PROOF_SECONDS = 60, 480

#: Seconds by which clocks may differ without the server's being asked for.
SKEW_SECONDS = 30.0

#: Seconds for the program that signs.
SIGN_SECONDS = 10.0

Answered = TypeVar("Answered", bound=Wire)


class WireInstallation(Wire):
    """Where an App is installed."""

    id: int


class WireInstallationToken(Wire):
    """A token, and when it ends."""

    token: Text
    expires_at: AwareDatetime


class WireAppUser(Wire):
    """The App itself; its user is called `SLUG[bot]`."""

    slug: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lent:
    """A token of one account."""

    text: str
    until: float  # seconds since the epoch, the server's


class _Proof(LentToken):
    """Who the App is, signed anew for each use."""

    def __init__(self, app: "GitHubApp") -> None:
        super().__init__(app.name)
        self._app = app
        self._used = LastTokens()

    def at(self, url: str) -> str:
        """The same for all addresses."""
        del url
        proof = self._app.proof()
        self._used.note(proof)
        return proof

    def refused(self, token: str, *, date: str = "") -> None:
        """It may have been signed at a wrong time."""
        del token
        self._app.take_time(date)

    def hidden(self, text: str) -> str:
        """Without those of the last requests."""
        return self._used.hidden(text)


class _CannotSignError(ForgeTokenError):
    """The key, or the program that signs with it, cannot be used: nobody was asked."""


class GitHubApp:
    """One App, for the API and for git. Threads share it; an account's token is asked for by one of them.

    It asks by a client of its own, with the retries, the pauses and the circuit breaker of any other.
    """

    def __init__(
        self, *, app_id: int, key: Path, client: Callable[[SecretStr, Surroundings], ForgeClient],
    ) -> None:  # fmt: skip
        self.name = f"App {app_id}"
        self._app_id = app_id
        self._key = key
        self._ahead = 0.0  # seconds by which the server's clock is ahead of ours
        self._lock = threading.Lock()
        self._lent: dict[str, _Lent] = {}  # by owner, in lower case
        self._asking: dict[str, threading.Lock] = {}
        self._used = LastTokens()
        self._made = client
        self.ask_in(Surroundings())

    def ask_in(self, surroundings: Surroundings) -> None:
        """Ask with these limits, clocks and pauses from now on."""
        self._clock = surroundings.clock
        self._client = self._made(_Proof(self), surroundings)

    def token(self, owner: str, repo: str = "") -> str:
        """The token for what an account owns, with at least RENEW_SECONDS left.

        `repo` is one of its repositories, by which the installation is found; "" asks by the account. Raises
        ForgeTokenError where GitHub does not take the key, ForgeGoneError where the App is not installed, and
        ForgeUnreachableError when it gave no answer.
        """
        account = owner.casefold()
        with self._lock:
            asking = self._asking.setdefault(account, threading.Lock())
        with asking:
            known = self._lent.get(account)
            if known is None or known.until - RENEW_SECONDS < self._now():
                known = self._lent[account] = self._asked(owner, repo)
            self._used.note(known.text)
            return known.text

    def forget(self, token: str) -> None:
        """A token was refused before its end, so it was revoked: another one is asked for at the next use."""
        for account, known in list(self._lent.items()):
            if known.text == token:
                self._lent.pop(account, None)

    def login(self) -> str:
        """The name under which the App comments."""
        return f"{self._answered(WireAppUser, lambda: self._client.get('/app')).slug}[bot]"

    def hidden(self, text: str) -> str:
        """The text without any of the tokens that were used last, whether they are used still or not."""
        return self._used.hidden(text)

    def proof(self) -> str:
        """A signed text that says which App asks; ForgeTokenError when it cannot be signed."""
        now = int(self._now())
        head = {"alg": "RS256", "typ": "JWT"}
        body = {"iat": now - EARLIER_SECONDS, "exp": now + PROOF_SECONDS, "iss": str(self._app_id)}
        signed = b".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        return b".".join((signed, _base64(self._signature(signed)))).decode()

    def take_time(self, date: str) -> None:
        """Go by the server's clock, a `Date` header, where it and ours differ more than was known."""
        try:
            there = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        ahead = there - self._clock()
        if abs(ahead - self._ahead) > SKEW_SECONDS:
            self._ahead = ahead

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _now(self) -> float:
        return self._clock() + self._ahead

    def _asked(self, owner: str, repo: str) -> _Lent:
        paths = [f"{repository_path(f'{owner}/{repo}')}/installation"] if repo else []
        paths += [f"/{kind}/{path_segment(owner)}/installation" for kind in ("orgs", "users")]
        for path in paths:
            try:
                lent = self._lent_at(path)
            except ForgeGoneError:
                continue
            if not is_token(lent.token):
                message = f"GitHub gave {self.name} a token that is none; ask again later"
                raise ForgeUnreachableError(message)
            return _Lent(text=lent.token, until=lent.expires_at.timestamp())
        message = f"{self.name} is not installed for {owner}, or was suspended there; install it for {owner}"
        raise ForgeGoneError(message)

    def _lent_at(self, path: str) -> WireInstallationToken:
        found = self._answered(WireInstallation, partial(self._client.get, path))
        tokens = f"/app/installations/{found.id}/access_tokens"
        lend = partial(self._client.write, "POST", tokens, repeatable=True)  # a second one harms nobody
        return self._answered(WireInstallationToken, lend)

    def _answered(self, model: type[Answered], ask: Callable[[], object]) -> Answered:
        """Ask as the App itself; once more with the server's clock where ours is wrong."""
        try:
            ahead = self._ahead
            try:
                return self._client.parsed(model, ask())
            except ForgeTokenError:
                if ahead == self._ahead:
                    raise
                return self._client.parsed(model, ask())
        except (_CannotSignError, ForgeGoneError):
            raise
        except ForgeUnreachableError as error:
            message = f"{self.name} got no token: {error}"
            raise ForgeUnreachableError(message, retry_at=error.retry_at) from error
        except ForgeRefusedError as error:
            message = f"{error}; see that app_id is right and that the key in {self._key} is one of its keys"
            raise ForgeTokenError(message) from error
        except ForgeError as error:
            message = f"{self.name} got no token: {error}; it is asked again later"
            raise ForgeUnreachableError(message) from error

    def _signature(self, text: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017), by the key in the file."""
        argv = ("openssl", "dgst", "-sha256", "-binary", "-passin", "pass:", "-sign", str(self._key))
        try:
            command = Command(argv=argv, environment={"PATH": os.environ.get("PATH", os.defpath)}, stdin=text)
            done = capture(command, timeout_seconds=SIGN_SECONDS)
        except SpawnError as error:
            message = f"{self.name} cannot sign: {error}; install openssl"
            raise _CannotSignError(message) from error
        if done.ended.exit_code != 0 or not done.output:
            why = "no RSA key in PEM form, or not to be read"
            message = f"{self.name} cannot sign: {self._key} is {why} ({done.ended}); correct app_key_path"
            raise _CannotSignError(message)
        return done.output


class AppTokens(LentToken):
    """An App's tokens for the API, by the owner that an address names.

    An address that names none, as GraphQL's, is asked about what this thread asked about last.
    """

    def __init__(self, app: GitHubApp) -> None:
        super().__init__(app.name)
        self._app = app
        self._last = threading.local()

    def at(self, url: str) -> str:
        """The token of the owner in the address."""
        owner, repo = self._place(url)
        if not owner:
            message = f"{self._app.name} has a token for each account, and nothing says which one is meant"
            raise ForgeTokenError(message)
        return self._app.token(owner, repo)

    def known_as(self, url: str) -> str:
        """GitHub limits each installation by itself."""
        return f"{self.name} {self._place(url)[0].casefold()}"

    def refused(self, token: str, *, date: str = "") -> None:
        """Another one is asked for."""
        del date
        self._app.forget(token)

    def hidden(self, text: str) -> str:
        """Without any of them."""
        return self._app.hidden(text)

    def _place(self, url: str) -> tuple[str, str]:
        owner, repo = _owner_in(url)
        if owner:
            self._last.place = owner, repo
        else:
            owner, repo = getattr(self._last, "place", ("", ""))
        return owner, repo


class RepositoryToken(LentToken):
    """An App's token for git with one repository, as it is when git is run."""

    def __init__(self, app: GitHubApp, repo: str) -> None:
        super().__init__(app.name)
        self._app = app
        self._owner, _, self._repo = repo.partition("/")

    def at(self, url: str) -> str:
        """What `GitHubApp.token` gives, or raises."""
        del url
        return self._app.token(self._owner, self._repo)

    def refused(self, token: str, *, date: str = "") -> None:
        """Another one is asked for, which has the permissions that the App has now."""
        del date
        self._app.forget(token)

    def hidden(self, text: str) -> str:
        """Without any of the App's."""
        return self._app.hidden(text)


def _owner_in(url: str) -> tuple[str, str]:
    """Owner and repository that an address of the API names; "" for what it does not."""
    parts = [unquote(part) for part in urlsplit(url).path.split("/")]
    for place, word in enumerate(parts[:-1]):
        if word == "repos" and len(parts) > place + 2:
            return parts[place + 1], parts[place + 2]
        if word in {"orgs", "users"}:
            return parts[place + 1], ""
    return "", ""


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
