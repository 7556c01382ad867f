"""GitHub, on github.com or on a server of one's own: settings, client, address of git, and webhooks.

Signatures: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from routing.forges.config import ForgeName, Lack, RemoteConfig, none_if_empty
from routing.forges.kind import ForgeKind
from routing.forges.rest.webhook import RestWebhook
from routing.http.settings import BaseUrl

if TYPE_CHECKING:
    from routing.forges.github.app import GitHubApp
    from routing.forges.rest.client import ForgeClient
    from routing.forges.rest.forge import RestForge
    from routing.git.remote import Remote
    from routing.http.connection import Surroundings

#: Where the API of github.com is, and of the companies' own instances on ghe.com: `api.` before their host.
_PUBLIC_API = "api.github.com"
_GHE_API = ("api.", ".ghe.com")

#: What a GitHub Enterprise Server adds to its own address for the API.
_SERVER_API = "/api/v3"


class GitHubConfig(RemoteConfig):
    """Which GitHub, and as whom. On a server of one's own the address ends with `/api/v3`."""

    kind: Literal["github"] = "github"
    name: ForgeName = "github"
    base_url: BaseUrl | None = "https://api.github.com"
    app_id: Annotated[Annotated[int, Field(gt=0)] | None, BeforeValidator(none_if_empty)] = None  # of a
    # GitHub App that we are, in place of a token
    app_key_path: Path | None = None  # the file with its private key

    @model_validator(mode="after")
    def _is_one_identity(self) -> Self:
        if (self.app_id is None) != (self.app_key_path is None):
            raise ValueError("app_id and app_key_path belong together; set both of them, or none")
        if self.app_id is not None and not (self.token is None and self.token_path is None):
            raise ValueError("app_id is set, and token or token_path too; set one of them")
        if self.app_id is not None and self.base_url is None:
            raise ValueError("app_id is set without base_url; set the address of the forge too")
        return self

    @property
    def lack(self) -> Lack | None:
        """An App needs no token."""
        lack = super().lack
        return None if self.app_id is not None and self.base_url is not None else lack

    @cached_property
    def app(self) -> GitHubApp | None:
        """The App that we are, with the tokens that it was given; None for a user's token."""
        if self.app_id is None or self.app_key_path is None:
            return None
        from routing.forges.github.app import GitHubApp

        return GitHubApp(app_id=self.app_id, key=self.app_key_path, client=partial(_client, self))

    @property
    def credential(self) -> SecretStr:
        """The App's, by what is asked about; else the token."""
        if self.app is None:
            return super().credential
        from routing.forges.github.app import AppTokens

        return AppTokens(self.app)

    def credential_for(self, repo: str) -> SecretStr:
        """For git with one repository."""
        if self.app is None:
            return super().credential
        from routing.forges.github.app import RepositoryToken

        return RepositoryToken(self.app, repo)


def _client(config: GitHubConfig, credential: SecretStr, surroundings: Surroundings) -> ForgeClient:
    from routing.forges.github.access import API_VERSION
    from routing.forges.rest.client import ForgeClient, HttpDialect

    dialect = HttpDialect(
        api_root="",
        scheme="Bearer",
        headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION},
        numbered_pages=False,
    )
    return ForgeClient(config, dialect, surroundings, credential=credential)


def github_forge(config: GitHubConfig, surroundings: Surroundings) -> RestForge:
    """Wire the parts; nothing is asked of the forge yet. An App asks for its tokens in the same way."""
    from routing.forges.github.access import GitHubAccess
    from routing.forges.github.changes import GitHubChanges
    from routing.forges.github.checks import GitHubChecks
    from routing.forges.github.feedback import GitHubFeedback
    from routing.forges.github.issues import GitHubIssues
    from routing.forges.rest.clone import RepositoryNames
    from routing.forges.rest.forge import RestForge
    from routing.forges.rest.history import RestHistory

    if config.app is not None:
        config.app.ask_in(surroundings)
    asking = _client(config, config.credential, surroundings)
    by = GitHubAccess(asking)
    names = RepositoryNames(
        config, by_name=by.read, by_id=by.by_id, monotonic=surroundings.monotonic, ids=surroundings.ids
    )
    client = asking.following(names.called)
    access = GitHubAccess(client)
    history = RestHistory(
        remote=lambda repo: _remote(config, names.now(repo)), folder=surroundings.folder_of(config.name)
    )
    checks = GitHubChecks(client)
    issues = GitHubIssues(client, forge=config.name, login=config.login, app=config.app)
    return RestForge(
        name=config.name,
        client=client,
        issues=issues,
        checks=checks,
        changes=GitHubChanges(
            client, config=config, statuses=checks.of, history=history, own_login=issues.own_login
        ),
        rights=access,
        names=names,
        said=GitHubFeedback(client, own_login=issues.own_login, verdicts=GitHubChanges.verdicts),
        beside=() if config.app is None else (config.app,),
    )


def _remote(config: GitHubConfig, repo: str) -> Remote:
    """GitHub takes one user's name with any kind of token."""
    from routing.forges.rest.clone import ANY_USER, clone_remote

    return clone_remote(config, repo, user=ANY_USER, root=_git_root)


def _git_root(api: str) -> str:
    """The address that git uses, made of the API's; ValueError where no rule leads from one to the other.

    `api.github.com` → `github.com`, `api.CORP.ghe.com` → `CORP.ghe.com`, `HOST/api/v3` → `HOST`.
    """
    parts = urlsplit(api)
    host = parts.hostname or ""
    if host == _PUBLIC_API:
        return "https://github.com"
    before, after = _GHE_API
    if host.startswith(before) and host.endswith(after):
        return f"https://{host.removeprefix(before)}"
    if parts.path and not parts.path.endswith(_SERVER_API):
        message = "a GitHub's API is at https://api.github.com or at https://HOST/api/v3"
        raise ValueError(message)
    return api.removesuffix(_SERVER_API)


GITHUB = ForgeKind(
    title="GitHub",
    config=GitHubConfig,
    make=github_forge,
    remote=_remote,
    webhook=RestWebhook(
        signature=("x-hub-signature-256",),
        prefix="sha256=",
        event=("x-github-event",),
        delivery=("x-github-delivery",),
    ),
)
