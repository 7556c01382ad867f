"""A repository elsewhere: its address, who we are there, and git that speaks to it.

The secret reaches git through a pipe that only that git and its children inherit: a credential helper, which
git calls when the server wants to know who we are, reads it there. So the secret is in no argument,
environment, configuration or file. The helper answers for the origin of the address alone; other hosts learn
nothing.

Without a credential, a git that speaks to a remote on another machine reads the settings of the worker's
user, who may have one; of what they say of other things our repositories say the opposite. A remote on this
machine needs none of them.

A git that has a credential reads neither the `~/.gitconfig` nor the `~/.netrc` of the worker's user: anybody
who can write there could have it store the secret, send it in clear, or be somebody else. Proxies and
certificates are set by environment variables instead (see docs/forges.md), or in the machine's own
`/etc/gitconfig`.
"""

import base64
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from routing.errors import (
    CoalmineError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from routing.git.git import Git, GitAccess, GitError
from routing.git.limits import GitLimits
from routing.git.own_settings import APART, trust_in
from routing.git.push_refusal import PushRefusedError, push_refusal, what_was_said
from routing.http.address import ApiAddress
from routing.http.lent_token import LentToken

#: Most bytes of a user's name and a secret: what a pipe takes at once, even on systems with small ones.
_MOST_BYTES = 4096

#: Characters. Shorter secrets are not taken out of messages: that would mangle them and protect nothing.
_SHORTEST_HIDDEN = 4

_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")

#: Addresses that are not paths, and the variables that name git's configuration.
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*://|[^/]+:")
_CONFIGURATION = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")

# Messages of git itself, in the C locale. What a server has written begins with "remote:" and proves nothing.
_HTTP = r"(fatal: unable to access '.*': The requested URL returned error: |error: RPC failed; HTTP )"
_REFUSED = re.compile(
    rf"^({_HTTP}(401|403)\b|fatal: Authentication failed for |fatal: could not read (Username|Password) for "
    r"|.*: Permission denied \(|ERROR: Permission to .* denied to |ERROR: The key .* marked as read only)",
    re.MULTILINE,
)
_GONE = re.compile(
    rf"^({_HTTP}(404|410)\b|fatal: repository '.*' (not found|does not exist)"
    r"|fatal: '.*' does not appear to be a git repository)",
    re.MULTILINE,
)
_MOVED = re.compile(rf"^{_HTTP}30[0-9]\b", re.MULTILINE)


class RemoteAnswer(StrEnum):
    """How a remote answered a git that failed, as far as git's messages show."""

    REFUSED = "refused"
    GONE = "gone"
    MOVED = "moved"
    OTHER = "other"  # no answer, or one that has nothing to do with us


_ANSWERS = {RemoteAnswer.REFUSED: _REFUSED, RemoteAnswer.GONE: _GONE, RemoteAnswer.MOVED: _MOVED}


class RemoteRefusedError(ConflictError):
    """The remote does not know us, or does not let us do this: a person has to look at the token."""


class RemoteAwayError(GitError):
    """The remote gave no answer, or one that has nothing to do with us: the same git may succeed later."""


class RemoteGoneError(NotFoundError):
    """There is no such repository at the remote, or none that we may see."""


class RemoteMovedError(RemoteGoneError):
    """The repository has another name now: a person has to put that into the settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """Who we are at a remote. The secret must appear in no log, error or `repr`.

    One that is lent is asked for by `held`, when git is run: making a remote asks nobody anything.
    """

    user: str  # GitHub takes `x-access-token` for any token, Gitea and Forgejo any name
    secret: SecretStr

    def __post_init__(self) -> None:
        """Refuse what would not be one line of git's credential protocol."""
        if self.is_lent:
            return
        parts = (self.user, self.secret.get_secret_value())
        one_line = all(part and part.isprintable() and part == part.strip() for part in parts)
        if not one_line or len(self.lines) > _MOST_BYTES:
            message = (
                "the user name or the token for git is empty, too long, or has blanks around it or line "
                "breaks in it; give the token as the forge showed it"
            )
            raise InvalidInputError(message)

    @property
    def is_lent(self) -> bool:
        """Whether the secret is asked for at each use."""
        return isinstance(self.secret, LentToken)

    def held(self, address: str) -> "Credential":
        """The same with the token as it is now, for one git; raises what keeps it from being had."""
        if not isinstance(self.secret, LentToken):
            return self
        return replace(self, secret=SecretStr(self.secret.at(address)))

    @property
    def lines(self) -> bytes:
        """Both in the form of git's credential protocol (see gitcredentials(7))."""
        return f"username={self.user}\npassword={self.secret.get_secret_value()}\n".encode()

    def give_up(self, held: "Credential") -> None:
        """The remote refused the one that `held` returned."""
        if isinstance(self.secret, LentToken):
            self.secret.refused(held.secret.get_secret_value())

    def hidden(self, text: str) -> str:
        """Return a text without the secret, plain or as the `Authorization` header has it."""
        secret = self.secret.get_secret_value()
        header = base64.b64encode(f"{self.user}:{secret}".encode()).decode()
        for form in (header, secret):
            if len(form) >= _SHORTEST_HIDDEN:
                text = text.replace(form, "[token]")
        return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A repository elsewhere: a path, or an address that git takes.

    With a credential the address is `https`, or `http` on this machine; anything else is refused when this
    is made (InvalidInputError), because it would show the secret to others.
    """

    address: str  # a path, or whatever else git takes
    credential: Credential | None = None
    limits: GitLimits = field(default_factory=GitLimits)
    submodules: bool = True  # whether those of the repository are fetched with it
    main_branch: Callable[[], str] | None = None  # names its main branch; None: its HEAD does
    look: Callable[[], None] | None = field(default=None, repr=False, compare=False)  # asked before each git
    # whether the address leads to what is meant; where it does not, it raises what `run` does

    def __post_init__(self) -> None:
        """Refuse addresses that would show the secret to others."""
        if self.credential is None:
            return
        try:
            ApiAddress.of(self.address)
        except ValueError as error:
            message = f"the address {without_password(self.address)[:200]!r} takes no token: {error}"
            raise InvalidInputError(message) from None

    @property
    def shown(self) -> str:
        """The address without a password, as agents, logs and events may show it."""
        return without_password(self.address)

    def run(self, git: Git, *arguments: str) -> str:
        """Run `git ls-remote`, `fetch` or `push` at the remote, whose address is among the arguments.

        Returns what it printed. Raises PushRefusedError for a push that was refused for what it holds or for
        where it goes, RemoteRefusedError when the token is, RemoteGoneError when there is no such repository
        (or none that we may see), RemoteMovedError when it has another name now, and RemoteAwayError for all
        else, also after its time limit. None of them has a password in it.

        A token that is lent is asked for once, and given up when it was refused: the next git has another.
        """
        if self.look is not None:
            self.look()
        if self.credential is not None and self.credential.is_lent:
            return self._run_lent(self.credential, git, *arguments)
        asks = arguments[0] == "ls-remote"
        timed = self.limits.for_answers(git) if asks else self.limits.for_transfers(git)
        try:
            with self._access() as access:
                return replace(timed, access=_in_place(git, access))(*arguments)
        except GitError as error:
            kind = push_refusal(error.stderr) if arguments[0] == "push" else None
            if kind is None:
                raise self._error(error) from None
            said = self._hidden(what_was_said(error.stderr))
            message = f"{self.shown} refused the push ({kind}): {' '.join(said.split())[-500:]}"
            raise PushRefusedError(message, kind=kind, said=said) from None

    def _run_lent(self, lent: Credential, git: Git, *arguments: str) -> str:
        """With the token as it is now. Without one nothing is known of the repository."""
        try:
            held = lent.held(self.address)
        except UnavailableError as error:
            message = f"{self.shown} was not asked, as there is no token for it now: {error}"
            raise RemoteAwayError(message) from error
        except CoalmineError as error:
            message = f"{self.shown} was not asked, as there is no token for it: {error}"
            raise RemoteRefusedError(message) from error
        try:
            return replace(self, credential=held).run(git, *arguments)
        except RemoteRefusedError:
            lent.give_up(held)
            raise

    @contextmanager
    def _access(self) -> Iterator[GitAccess]:
        """What git needs to be us at the remote; its pipe is closed after the block."""
        if self.credential is None:
            with self._of_the_user() as environment:
                yield GitAccess(environment=environment)
            return
        reading, writing = os.pipe()
        try:
            try:
                os.write(writing, self.credential.lines)
            finally:
                os.close(writing)
            yield _access_by(reading, urlsplit(self.address).scheme, _origin(self.address))
        finally:
            os.close(reading)

    @contextmanager
    def _of_the_user(self) -> Iterator[Mapping[str, str]]:
        """Settings of the user count where they may say how a remote is reached: not for one on this disk.

        A hook of the user's would run in that one.
        """
        if _ELSEWHERE.match(self.address) or not Path(self.address).is_dir():
            yield {}
            return
        with trust_in(Path(self.address)) as trusted:
            yield {name: APART[name] for name in _CONFIGURATION} | dict(trusted)

    def _error(self, error: GitError) -> Exception:
        shown = self._hidden(str(error))
        match remote_answer(error.stderr):
            case RemoteAnswer.REFUSED if self.credential:
                remedy = "see that the token is valid and may read and write the repository's contents"
                return RemoteRefusedError(f"{self.shown} refused us: {shown}; {remedy}")
            case RemoteAnswer.REFUSED:
                remedy = "give the forge a token, or check the keys of the worker's user"
                return RemoteRefusedError(f"{self.shown} refused us: {shown}; {remedy}")
            case RemoteAnswer.GONE:
                return RemoteGoneError(f"{self.shown} is not there, or the token may not see it: {shown}")
            case RemoteAnswer.MOVED:
                message = f"{self.shown} has moved, and is not followed: {shown}; name it by its new address"
                return RemoteMovedError(message)
            case _:
                return RemoteAwayError(
                    shown,
                    stderr=self._hidden(error.stderr),
                    returncode=error.returncode,
                    at_limit=error.at_limit,
                )

    def _hidden(self, text: str) -> str:
        shown = without_password(text)
        return self.credential.hidden(shown) if self.credential else shown


def remote_answer(stderr: str) -> RemoteAnswer:
    """Classify what git printed, by git's own messages alone."""
    found = (answer for answer, pattern in _ANSWERS.items() if pattern.search(stderr))
    return next(found, RemoteAnswer.OTHER)


def without_password(text: str) -> str:
    """Return a text without the names and passwords that addresses in it hold."""
    return _PASSWORD.sub("", text)


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _in_place(git: Git, access: GitAccess) -> GitAccess:
    """The access of a git that stays in the repository that it was made for."""
    given = git.access.environment if git.access is not None else {}
    place = {name: given[name] for name in ("GIT_DIR", "GIT_CEILING_DIRECTORIES") if name in given}
    return replace(access, environment={**place, **access.environment})


def _access_by(descriptor: int, scheme: str, origin: str) -> GitAccess:
    # `/dev/fd/N`, because shells know descriptors of one digit only. The helper does not read what git sends.
    helper = f'!f() {{ test "$1" != get || cat /dev/fd/{descriptor}; }}; f'
    settings = (
        ("credential.helper", ""),  # the machine's helpers are not called: they would learn the secret
        (f"credential.{origin}.helper", helper),
        ("credential.useHttpPath", "false"),
        ("http.followRedirects", "false"),
        ("protocol.allow", "never"),  # so that the machine's `url.*.insteadOf` cannot lead elsewhere
        (f"protocol.{scheme}.allow", "always"),
    )
    return GitAccess(
        options=tuple(part for name, value in settings for part in ("-c", f"{name}={value}")),
        environment={
            "HOME": os.devnull,  # a folder that is none: libcurl looks there for a .netrc
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ASKPASS": "",  # nor is the machine's core.askPass asked
        },
        descriptors=(descriptor,),
    )
