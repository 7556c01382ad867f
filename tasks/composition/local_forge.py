"""The local forge as the settings describe it."""

from routing.forges.local.forge import LocalForge, LocalForgeSettings
from tasks.settings.settings import Settings


def local_forge(settings: Settings) -> LocalForge | None:
    """The local forge, or None when none is configured."""
    local = settings.forge.local
    if local.repository is None or local.issues is None:
        return None
    return LocalForge.of(
        LocalForgeSettings(
            repo=local.repository,
            issues=local.issues,
            state=local.state,
            ci_command=local.ci or "",
            ci_timeout_seconds=local.ci_seconds,
            merge=local.merge,
            main_branch=local.main or "",
        )
    )


def repository_name(forge: LocalForge) -> str:
    """The name under which jobs ask for the forge's repository: `local:shop`."""
    return f"{forge.name}:{forge.repo}"
