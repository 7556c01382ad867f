"""Webhook secrets that could be guessed: said, and not refused, as a forge may have them already."""

from collections.abc import Iterable

from tasks.settings.forge_settings import RemoteSettings

#: Characters of a secret that nobody can guess.
SHORTEST_SECRET = 16

REMEDY = "make one with `openssl rand -hex 32`; see docs/webhooks.md"


def guessable(remotes: Iterable[RemoteSettings]) -> list[str]:
    """What is to be said of each forge whose secret, or the one before it, is too short."""
    return [
        f"{words} of {remote.name} is shorter than {SHORTEST_SECRET} characters, and could be guessed"
        for remote in remotes
        for words, secret in (
            ("the webhook secret", remote.webhook_secret),
            ("the previous webhook secret", remote.previous_webhook_secret),
        )
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET
    ]
