"""Where git finds a repository of a forge whose API we know, and who we are there."""

from urllib.parse import urlsplit

from pydantic import SecretStr

from routing.errors import InvalidInputError
from routing.forges.rest.path import repository_path
from routing.git.remote import Credential, Remote, without_password
from routing.http.address import ApiAddress
from routing.webhook.forge_kind import ForgeKind

#: Where the API of github.com is, and of the companies' own instances on ghe.com: `api.` before their host.
_GITHUB_API = "api.github.com"
_GHE_API = ("api.", ".ghe.com")

#: What a GitHub Enterprise Server and a Gitea or Forgejo add to their own address for the API.
_API_ROOTS = {ForgeKind.GITHUB: "/api/v3", ForgeKind.GITEA: "/api/v1", ForgeKind.FORGEJO: "/api/v1"}

#: The user's name that GitHub takes with any kind of token. The others look at the token alone.
_ANY_TOKEN = "x-access-token"  # noqa: S105 - a name, no token


def clone_url(kind: ForgeKind, base_url: str, repo: str, *, prefix: str = "") -> str:
    """Return the https address of `owner/name` at the forge whose API is at `base_url`.

    `prefix`, if given, is what stands before `/owner/name.git` in place of what follows from the API's
    address. Raises InvalidInputError for an address that the token must not be sent to, or that tells
    nothing of git's, and what `repository_path` raises for a name.
    """
    name = repository_path(repo).removeprefix("/repos/")
    try:
        root = ApiAddress.of(prefix).base if prefix else _git_root(kind, ApiAddress.of(base_url).base)
    except ValueError as error:
        message = f"git's address cannot be made from {without_password(prefix or base_url)!r}: {error}"
        raise InvalidInputError(message) from None
    return f"{root}/{name}.git"


def clone_remote(
    kind: ForgeKind, base_url: str, repo: str, *, token: SecretStr, login: str = "", prefix: str = ""
) -> Remote:
    """Return the repository as git reaches it with the forge's token; `login` is whose it is, if known."""
    user = _ANY_TOKEN if kind is ForgeKind.GITHUB else login or _ANY_TOKEN
    address = clone_url(kind, base_url, repo, prefix=prefix)
    return Remote(address=address, credential=Credential(user=user, secret=token))


def _git_root(kind: ForgeKind, base: str) -> str:
    parts = urlsplit(base)
    if kind is ForgeKind.GITHUB:
        host = parts.hostname or ""
        if host == _GITHUB_API:
            return "https://github.com"
        before, after = _GHE_API
        if host.startswith(before) and host.endswith(after):
            return f"https://{host.removeprefix(before)}"
        if parts.path and not parts.path.endswith(_API_ROOTS[kind]):
            message = "a GitHub's API is at https://api.github.com or at https://HOST/api/v3"
            raise ValueError(message)
    return base.removesuffix(_API_ROOTS[kind])
