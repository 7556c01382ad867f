"""Where git finds a repository of a forge whose API we know, and who we are there.

The token of the API serves git as well. It is kept beside the address, never in it, so that no log of git
shows it.
"""

from collections.abc import Callable

from routing.errors import InvalidInputError
from routing.forges.config import RemoteConfig
from routing.forges.rest.path import repository_name
from routing.git.remote import Credential, Remote, without_password
from routing.http.address import ApiAddress

#: A user's name for tokens that name their user themselves.
ANY_USER = "x-access-token"


def clone_remote(
    config: RemoteConfig, repo: str, *, user: str, root: Callable[[str], str], nested: bool = False
) -> Remote:
    """Return `owner/name` as git reaches it over HTTPS with the forge's token.

    `root` makes of the API's address what stands before `/owner/name.git`, unless `git_url` is set; it raises
    ValueError for an address that says nothing of git's. That, and an address that the token must not be sent
    to, becomes InvalidInputError; a wrong name raises what `repository_name` does, which takes `nested`.
    """
    name = repository_name(repo, nested=nested)
    try:
        base = config.git_url or root(ApiAddress.of(config.address).base)
        address = f"{ApiAddress.of(base).base}/{name}.git"
    except ValueError as error:
        shown = without_password(config.git_url or config.address)
        message = f"git's address cannot be made from {shown!r}: {error}"
        raise InvalidInputError(message) from None
    return Remote(address=address, credential=Credential(user=user, secret=config.credential_for(repo)))
