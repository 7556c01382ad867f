"""What the webhook door is told: the forges' settings as it sees them."""

from routing.webhook.settings import WebhookForge, WebhookSettings
from tasks.settings.forge_settings import RemoteSettings
from tasks.settings.settings import Settings


def door_settings(settings: Settings) -> WebhookSettings:
    """The door's view of the settings."""
    forge = settings.forge
    return WebhookSettings(
        max_bytes=settings.web.delivery_bytes,
        github=_section(forge.github),
        gitea=_section(forge.gitea),
        forgejo=_section(forge.forgejo),
    )


def _section(forge: RemoteSettings) -> WebhookForge:
    return WebhookForge(
        secret=forge.webhook_secret,
        previous_secret=forge.previous_webhook_secret,
        repositories=forge.repositories,
        name=forge.name,
        login=forge.login or None,
        label=forge.label,
        kill_switch=forge.kill_switch,
    )
