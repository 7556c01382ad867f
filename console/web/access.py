"""Whether other machines may use the HTTP server, and with which token.

`coalmine web` and the fleet of `coalmine up` both ask here before they listen, so that neither can be
opened to a network by an address alone.
"""

from routing.errors import SettingsError
from routing.http.address import is_loopback
from tasks.settings.web_settings import WebSettings


def checked_token(settings: WebSettings, host: str, *, public: bool) -> str | None:
    """The token that requests must carry; None on loopback, where only this machine can connect.

    Any other address needs both `public` and a token, or SettingsError is raised: a wrong address alone
    must not expose the server. A server on loopback that a proxy makes public is public too and says so
    with `public`. The token is returned in clear, for the middleware that compares it; it must not be
    logged.
    """
    if not public:
        if is_loopback(host):
            return None
        message = (
            f"{host} can be reached from other machines; give --public (COALMINE_WEB__PUBLIC) to allow it"
        )
        raise SettingsError(message)
    if settings.token is None:
        message = (
            "a public server needs a token: set web.token (COALMINE_WEB__TOKEN) to at "
            "least 16 random characters"
        )
        raise SettingsError(message)
    return settings.token.get_secret_value()
