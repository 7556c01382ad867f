"""Whether others than this machine are let in, and by which token."""

from routing.errors import SettingsError
from routing.http.loopback import is_loopback
from tasks.settings.web_settings import WebSettings


def checked_token(settings: WebSettings, host: str, *, public: bool) -> str | None:
    """The token to ask for, none on loopback; letting others in must be said, and needs one.

    A console on loopback that a proxy makes public is public.
    """
    if not public:
        if is_loopback(host):
            return None
        message = (
            f"{host} can be reached from other machines; say --public (COALMINE_WEB__PUBLIC) if that is meant"
        )
        raise SettingsError(message)
    if settings.token is None:
        message = (
            "the console is to be public, and no token is set: set web.token (COALMINE_WEB__TOKEN) to at "
            "least 16 random characters"
        )
        raise SettingsError(message)
    return settings.token.get_secret_value()
