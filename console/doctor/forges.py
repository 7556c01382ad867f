"""What `coalmine doctor` finds out about forges behind HTTP: settings, access, webhooks, and git's side."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from console.doctor.findings import ok, problem, warning
from console.doctor.guessable_secrets import REMEDY, guessable
from routing.errors import CoalmineError, ConflictError
from routing.forges.errors import ForgeRefusedError, ForgeUnreachableError
from routing.forges.forge import Access
from routing.forges.rest.forge import RestForge
from routing.git.git import Git
from routing.git.remote import RemoteGoneError
from routing.http.settings import HttpLimits
from routing.store.redis.health import HealthFinding
from routing.webhook.forge_kind import ForgeKind
from tasks.composition.composition import Coalmine
from tasks.composition.sites import sites_of
from tasks.issues.site import ForgeSite
from tasks.settings.forge_settings import LocalSettings, RemoteSettings
from tasks.settings.settings import Settings

#: Patience with one answer of a forge, and with all that is asked of it, in seconds.
ANSWER_SECONDS, FORGE_SECONDS = 4.0, 12.0

_HASTE = HttpLimits(
    connect_seconds=ANSWER_SECONDS,
    read_seconds=ANSWER_SECONDS,
    answer_seconds=ANSWER_SECONDS,
    attempts=1,
    patience_seconds=0,
)


def forge_templates(coalmine: Coalmine) -> HealthFinding:
    """Whether the templates exist that issues are given to."""
    forge, known = coalmine.settings.forge, set(coalmine.templates.names())
    wanted = {remote.template for remote in forge.remote if remote.is_served}
    if forge.local.repository is not None:
        wanted.add(forge.local.template)
    missing = sorted(wanted - known)
    if missing:
        remedy = f"make it with `coalmine template add {missing[0]}`, or name another in the forge's settings"
        message = f"issues are given to templates that there are not: {', '.join(missing)}"
        return problem("forge-templates", message, remedy)
    return ok(
        "forge-templates", f"issues are given to {', '.join(sorted(wanted)) or 'none: no forge is set up'}"
    )


def forges(settings: Settings) -> list[HealthFinding]:
    """Everything about forges behind HTTP; each is asked for a few seconds, all at the same time."""
    forge = settings.forge
    kinds = {ForgeKind.GITHUB: forge.github, ForgeKind.GITEA: forge.gitea, ForgeKind.FORGEJO: forge.forgejo}
    known = {kind: remote for kind, remote in kinds.items() if _is_set_up(remote)}
    if not known:
        return [ok("forges", "GitHub, Gitea and Forgejo are not set up")]
    sites = _sites(settings)
    with ThreadPoolExecutor(max_workers=len(known)) as pool:
        found = pool.map(lambda kind: list(_forge(kind, known[kind], sites)), known)
        return [finding for findings in found for finding in findings]


def _is_set_up(remote: RemoteSettings) -> bool:
    return bool(remote.token or remote.repositories or remote.webhook_secret)


def _sites(settings: Settings) -> Mapping[str, ForgeSite] | CoalmineError:
    """The forges behind HTTP with less patience than a fleet has; or what keeps them from being made."""
    forge = settings.forge.model_copy(update={"local": LocalSettings(), "http": _HASTE})
    try:
        return sites_of(settings.model_copy(update={"forge": forge}))
    except CoalmineError as error:
        return error


def _forge(
    kind: ForgeKind, remote: RemoteSettings, sites: Mapping[str, ForgeSite] | CoalmineError
) -> Iterator[HealthFinding]:
    yield _set_up(kind, remote)
    yield _webhook(kind, remote)
    if not remote.is_served or not remote.repositories:
        return
    if isinstance(sites, CoalmineError):
        yield problem(f"access-{remote.name}", str(sites), f"correct the settings of forge.{kind}")
        return
    site = sites[remote.name]
    try:
        yield from _Examination(site, kind).findings()
    finally:
        if isinstance(site.forge, RestForge):
            site.forge.close_connections()


def _set_up(kind: ForgeKind, remote: RemoteSettings) -> HealthFinding:
    """What the settings let the fleet do there: the first thing that keeps it from work."""
    check, section = f"forge-{remote.name}", f"forge.{kind}"
    for lacks, message, remedy in (
        (remote.base_url is None, "it has no address, so it is not asked for anything", "base_url"),
        (remote.token is None, "it has no token, so it is not asked for anything", "token"),
        (not remote.repositories, "no repository is named, so nothing is done there", "repositories"),
        (
            remote.kill_switch,
            "its kill switch is on: nothing is read or dispatched",
            "kill_switch = false when work may begin",
        ),
        (
            not remote.enabled,
            "it is not enabled: issues are read, and none is dispatched",
            "enabled = true when work may begin",
        ),
        (
            remote.label is None,
            "it has no label: every open issue of its repositories is for agents",
            "label if only some are meant",
        ),
    ):
        if lacks:
            return warning(check, message, f"set {section}.{remedy}")
    served = f"{len(remote.repositories)} repositories, issues with the label {remote.label}"
    return ok(check, f"{served}, a look every {remote.poll_interval_seconds:g} s")


def _webhook(kind: ForgeKind, remote: RemoteSettings) -> HealthFinding:
    check, section, secret = f"webhook-{remote.name}", f"forge.{kind}", remote.webhook_secret
    if secret is None:
        every = f"{remote.poll_interval_seconds:g} s"
        return ok(check, f"no secret is set: its door is shut, and news is found by a look every {every}")
    if short := guessable([remote]):
        return warning(check, "; ".join(short), REMEDY)
    if remote.previous_webhook_secret is not None:
        remedy = f"take {section}.previous_webhook_secret away once the forge has the new one"
        return warning(check, "the previous secret is accepted still", remedy)
    return ok(check, "its secret is set")


class _Examination:
    """Asks one forge about its repositories, until time is up or it gives no answer."""

    def __init__(self, site: ForgeSite, kind: ForgeKind) -> None:
        self._site = site
        self._section = f"forge.{kind}"
        self._until = time.monotonic() + FORGE_SECONDS

    def findings(self) -> Iterator[HealthFinding]:
        """One finding about the API and one about git for each repository."""
        for place, repo in enumerate(self._site.repositories):
            if time.monotonic() > self._until:
                left = len(self._site.repositories) - place
                message = f"{left} repositories were not looked at, because the forge is slow"
                yield warning(f"access-{self._site.name}", message, "run `coalmine doctor` again later")
                return
            try:
                yield self._access(repo)
                yield self._git(repo)
            except ForgeUnreachableError as error:
                yield self._no_answer(f"access-{self._site.full_name(repo)}", error)
                return

    def _access(self, repo: str) -> HealthFinding:
        check = f"access-{self._site.full_name(repo)}"
        try:
            return _judged(check, self._site.forge.access(repo), self._section)
        except ForgeRefusedError as error:
            return problem(
                check, f"the token was refused: {error}", f"give {self._section}.token a valid one"
            )
        except ForgeUnreachableError:
            raise
        except CoalmineError as error:
            return problem(check, str(error), f"correct {self._section}.base_url and .repositories")

    def _git(self, repo: str) -> HealthFinding:
        check = f"git-{self._site.full_name(repo)}"
        try:
            remote = replace(self._site.remote(repo), answer_seconds=ANSWER_SECONDS)
            with tempfile.TemporaryDirectory() as nowhere:  # whose settings are nobody's
                remote.run(Git(Path(nowhere)), "ls-remote", "--", remote.address, "HEAD")
        except RemoteGoneError as error:
            return problem(
                check, str(error), f"correct {self._section}.repositories, or what the token may see"
            )
        except ConflictError as error:
            return problem(check, str(error), "see what the token needs for git in docs/forges.md")
        except CoalmineError as error:
            remedy = "see that the network lets git through; docs/forges.md names the variables of proxies"
            return problem(check, f"git gets no answer: {error}", remedy)
        return ok(check, f"git reads {remote.shown}")

    def _no_answer(self, check: str, error: ForgeUnreachableError) -> HealthFinding:
        remedy = f"see that {self._section}.base_url is right and can be reached from here"
        return problem(check, f"the forge does not answer: {error}", remedy)


def _judged(check: str, access: Access, section: str) -> HealthFinding:
    if not access.readable:
        return problem(check, access.note, f"correct {section}.repositories, or what the token may see")
    if not access.writable:
        return problem(check, f"it can be read and not written: {access.note}", "see docs/forges.md")
    if not access.knows_people:
        return problem(check, f"no issue will be dispatched: {access.note}", "see docs/forges.md")
    return ok(check, access.note)
