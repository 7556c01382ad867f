"""The forges that the settings name."""

from routing.backlog.settings import GateSettings
from routing.forges.forge import Forge
from routing.forges.gitea.forge import GiteaSettings, gitea_forge
from routing.forges.github.forge import GitHubSettings, github_forge
from routing.forges.rest.client import Surroundings
from routing.forges.rest.forge import RestForge
from routing.git.clone_url import clone_remote
from routing.git.remote import Remote
from routing.http.settings import HttpLimits
from routing.webhook.forge_kind import ForgeKind
from tasks.composition.local_forge import local_forge
from tasks.issues.site import ForgeSite
from tasks.settings.forge_settings import RemoteSettings
from tasks.settings.settings import Settings


def sites_of(settings: Settings, surroundings: Surroundings | None = None) -> dict[str, ForgeSite]:
    """The forges that are served, by name. Nothing is asked of them yet."""
    forge = settings.forge
    kinds = {ForgeKind.GITHUB: forge.github, ForgeKind.GITEA: forge.gitea, ForgeKind.FORGEJO: forge.forgejo}
    sites = [
        _remote_site(kind, remote, settings, surroundings)
        for kind, remote in kinds.items()
        if remote.is_served
    ]
    if (local := _local_site(settings)) is not None:
        sites.insert(0, local)
    return {site.name: site for site in sites}


def _local_site(settings: Settings) -> ForgeSite | None:
    forge, local = local_forge(settings), settings.forge.local
    if forge is None:
        return None
    address = str(forge.settings.repo)
    return ForgeSite(
        forge=forge,
        repositories=(forge.repo,),
        label=local.label,
        template=local.template,
        gates=GateSettings(
            kill_switch=settings.kill_switch,
            allow_list=(forge.repo,),
            per_repo=local.at_once,
            fleet_size=settings.forge.fleet_size,
        ),
        opens_changes=False,  # a branch is its own change request
        merges_green=local.merge == "green",
        has_ci=local.ci is not None,
        poll_interval_seconds=local.poll_interval_seconds,
        remote=lambda _repo: Remote(address=address),
        run_ci=forge.run_ci if local.ci is not None else None,
    )


def _remote_site(
    kind: ForgeKind, remote: RemoteSettings, settings: Settings, surroundings: Surroundings | None
) -> ForgeSite:
    return ForgeSite(
        forge=_forge(kind, remote, settings.forge.http, surroundings),
        repositories=remote.repositories,
        label=remote.label,
        template=remote.template,
        gates=GateSettings(
            kill_switch=settings.kill_switch or remote.kill_switch,
            enabled=remote.enabled,
            allow_list=remote.repositories,
            per_repo=remote.per_repo,
            fleet_size=settings.forge.fleet_size,
            usd_per_day=remote.usd_per_day,
            usd_per_job=remote.usd_per_job,
        ),
        opens_changes=remote.change == "request",
        merges_green=remote.merge == "green",
        has_ci=remote.ci,
        poll_interval_seconds=remote.poll_interval_seconds,
        remote=lambda repo: _git(kind, remote, repo),
    )


def _forge(
    kind: ForgeKind, remote: RemoteSettings, limits: HttpLimits, surroundings: Surroundings | None
) -> Forge:
    told = {
        "name": remote.name,
        "base_url": remote.base_url,
        "token": remote.token,
        "login": remote.login,
        "merge": remote.merge,
        "merge_method": remote.merge_method,
        "limits": limits,
    }
    made: RestForge
    if kind is ForgeKind.GITHUB:
        made = github_forge(GitHubSettings.model_validate(told), surroundings)
    else:
        made = gitea_forge(GiteaSettings.model_validate(told), surroundings)
    return made


def _git(kind: ForgeKind, remote: RemoteSettings, repo: str) -> Remote:
    if remote.token is None or remote.base_url is None:  # pragma: no cover - such a forge is not served
        raise ValueError(remote.name)
    return clone_remote(
        kind, remote.base_url, repo, token=remote.token, login=remote.login, prefix=remote.git_url or ""
    )
