"""Webhook secrets that could be guessed: a warning and not an error, as a forge may use them already.

`coalmine web` and `coalmine doctor` give the same warning. Only the length is judged; the secret itself is
never shown.
"""

from collections.abc import Iterable

from routing.forges.config import ForgeConfig, RemoteConfig

#: Characters of a secret that nobody can guess.
SHORTEST_SECRET = 16

REMEDY = "make one with `openssl rand -hex 32`; see docs/webhooks.md"


def guessable(forges: Iterable[ForgeConfig]) -> list[str]:
    """One sentence for each secret, present or previous, that is too short."""
    return [
        f"{words} of {forge.name} is shorter than {SHORTEST_SECRET} characters, and could be guessed"
        for forge in forges
        if isinstance(forge, RemoteConfig)
        for words, secret in (
            ("the webhook secret", forge.webhook_secret),
            ("the previous webhook secret", forge.previous_webhook_secret),
        )
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET
    ]
