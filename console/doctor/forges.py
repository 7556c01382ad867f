"""What `coalmine doctor` finds out about forges over HTTP: settings, webhooks, access by API and by git.

Nothing is written to a forge. Each is asked for FORGE_SECONDS at most, with a client that does not retry,
and in a thread of its own, so a forge that hangs delays no other. Names of checks end with the name of the
forge or the repository. Settings are judged first: a forge that is not served is not asked anything.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from console.doctor.findings import ok, problem, warning
from console.doctor.guessable_secrets import REMEDY, guessable
from routing.errors import CoalmineError, ConflictError
from routing.forges.config import RemoteConfig
from routing.forges.errors import ForgeRefusedError, ForgeUnreachableError
from routing.forges.forge import Access, HoldsConnections
from routing.forges.registry import KINDS
from routing.forges.site import ForgeSite, ServedRemotes
from routing.forges.work_branch import WORK_PREFIX
from routing.git.git import Git
from routing.git.limits import GitLimits
from routing.git.remote import Remote, RemoteGoneError, RemoteMovedError
from routing.http.connection import IdBoard, Surroundings
from routing.http.settings import HttpLimits
from routing.store.redis.health import HealthFinding
from tasks.composition.composition import Coalmine
from tasks.composition.sites import sites_of
from tasks.settings.settings import Settings

#: Patience with one answer of a forge, and with all that is asked of it, in seconds.
ANSWER_SECONDS, FORGE_SECONDS = 4.0, 12.0

#: A branch of this name leaves no room for ours.
_OURS = WORK_PREFIX.rstrip("/")

#: Limits of the client: one attempt, since a person waits for the answer.
HASTE = HttpLimits(
    connect_seconds=ANSWER_SECONDS,
    read_seconds=ANSWER_SECONDS,
    answer_seconds=ANSWER_SECONDS,
    attempts=1,
    patience_seconds=0,
)


def forge_templates(coalmine: Coalmine) -> HealthFinding:
    """Whether the templates exist that issues are given to.

    A missing one is a problem: every issue there would be refused when its job is made.
    """
    known = set(coalmine.templates.names())
    wanted = {source.template for source in coalmine.settings.issue_sources if source.is_served}
    missing = sorted(wanted - known)
    if missing:
        remedy = f"make it with `coalmine template add {missing[0]}`, or name another in the settings"
        message = f"issues are given to templates that do not exist: {', '.join(missing)}"
        return problem("forge-templates", message, remedy)
    return ok(
        "forge-templates", f"issues are given to {', '.join(sorted(wanted)) or 'none: no forge is set up'}"
    )


def forges(settings: Settings, ids: IdBoard | None = None) -> list[HealthFinding]:
    """Everything about forges over HTTP; each is asked for a few seconds, all at the same time.

    The findings are in the order of the settings. Each forge there has some, even one that is named alone.
    `ids` keeps which repositories were meant by names; None where that is not to be asked.
    """
    known = [forge for forge in settings.forge if isinstance(forge, RemoteConfig)]
    if not known:
        titles = [kind.title for kind in KINDS.values() if issubclass(kind.config, RemoteConfig)]
        return [ok("forges", f"{', '.join(titles[:-1])} and {titles[-1]} are not set up")]
    with ThreadPoolExecutor(max_workers=len(known)) as pool:
        found = pool.map(lambda forge: list(_forge(forge, settings, ids)), known)
        return [finding for findings in found for finding in findings]


def _forge(forge: RemoteConfig, settings: Settings, ids: IdBoard | None) -> Iterator[HealthFinding]:
    """The findings about one forge. Runs in a thread; its connections are closed before it ends."""
    yield _set_up(forge)
    yield _webhook(forge)
    if not forge.is_served or not forge.repositories:
        return
    try:
        # Only this forge, so that a fault in the settings of another one is not reported here.
        alone = settings.model_copy(update={"forge": (forge,)})
        site = sites_of(alone, Surroundings(limits=HASTE, ids=_KnownIds(ids)))[forge.name]
    except CoalmineError as error:
        yield problem(f"access-{forge.name}", str(error), f"correct the settings of forge.{forge.name}")
        return
    try:
        yield from _Examination(site).findings()
    finally:
        if isinstance(site.forge, HoldsConnections):
            site.forge.close_connections()


def _set_up(forge: RemoteConfig) -> HealthFinding:
    """What the settings let the fleet do there: the first thing that keeps it from work.

    The order is that of setting a forge up. All of these are warnings: each may be on purpose.
    """
    check, lack = f"forge-{forge.name}", forge.lack
    for lacks, message, remedy in (
        (lack is not None, lack and lack.because, lack and lack.setting),
        (not forge.repositories, "no repository is named, so nothing is done there", "repositories"),
        (
            forge.kill_switch,
            "its kill switch is on: nothing is read or dispatched",
            "kill_switch = false when work may begin",
        ),
        (
            not forge.enabled,
            "it is not enabled: issues are read, and none is dispatched",
            "enabled = true when work may begin",
        ),
        (
            forge.label is None,
            "it has no label: every open issue of its repositories is for agents",
            "label if only some are meant",
        ),
    ):
        if lacks:
            return warning(check, str(message), f"set forge.{forge.name}.{remedy}")
    served = f"{len(forge.repositories)} repositories, issues with the label {forge.label}"
    return ok(check, f"{served}, a look every {forge.poll_interval_seconds:g} s")


def _webhook(forge: RemoteConfig) -> HealthFinding:
    """Whether deliveries are accepted, and with which secrets; not whether the forge sends any."""
    check = f"webhook-{forge.name}"
    if forge.webhook_secret is None:
        every = f"{forge.poll_interval_seconds:g} s"
        return ok(check, f"no secret is set: its door is shut, and news is found by a look every {every}")
    if short := guessable([forge]):
        return warning(check, "; ".join(short), REMEDY)
    if forge.previous_webhook_secret is not None:
        remedy = f"take forge.{forge.name}.previous_webhook_secret away once the forge has the new one"
        return warning(check, "the previous secret is accepted still", remedy)
    return ok(check, "its secret is set")


class _KnownIds:
    """The ids that are kept, for one who only looks: none is added, and none is known without the store."""

    def __init__(self, ids: IdBoard | None) -> None:
        self._ids = ids

    def kept(self, forge: str, server: str, name: str) -> int | None:
        """The id; None also when the store does not say, which is another check's to find."""
        try:
            return None if self._ids is None else self._ids.kept(forge, server, name)
        except CoalmineError:
            self._ids = None  # one wait is enough
            return None

    def keep(self, forge: str, server: str, name: str, id_: int) -> int:
        """It, as if it were kept."""
        del forge, server, name
        return id_


class _Examination:
    """Asks one forge about its repositories, until time is up or it gives no answer.

    The time begins when it is made; it is looked at between two repositories, so the last one may end
    later. Used once, by one thread.
    """

    def __init__(self, site: ForgeSite) -> None:
        self._site = site
        self._section = f"forge.{site.name}"
        self._until = time.monotonic() + FORGE_SECONDS

    def findings(self) -> Iterator[HealthFinding]:
        """One finding about the API and one about git for each repository.

        A forge that cannot be reached ends the examination with one finding, instead of one for each
        repository. The repositories for which there was no time are counted in a last one.
        """
        yield from self._patterns()
        for place, repo in enumerate(self._site.config.allow_list):
            if time.monotonic() > self._until:
                left = len(self._site.config.allow_list) - place
                message = f"{left} repositories were not looked at, because the forge is slow"
                yield warning(f"access-{self._site.name}", message, "run `coalmine doctor` again later")
                return
            try:
                yield self._access(repo)
                yield self._git(repo)
            except ForgeUnreachableError as error:
                yield self._no_answer(f"access-{self._site.full_name(repo)}", error)
                return

    def _patterns(self) -> Iterator[HealthFinding]:
        """How many repositories the patterns mean; nothing without patterns."""
        served, check = self._site.config.served, f"repositories-{self._site.name}"
        try:
            listed = [repo for owner in served.owners for repo in self._site.forge.repositories_of(owner)]
        except CoalmineError as error:
            yield problem(
                check, str(error), f"correct {self._section}.repositories, or what the token may see"
            )
            return
        found = [repo for repo in listed if served.spelled(repo) == repo]
        said = f"{', '.join(served.patterns)} means {len(found)} repositories: {', '.join(found[:5])}"
        if served.patterns and found:
            yield ok(check, f"{said}{', …' if len(found) > 5 else ''}")  # noqa: PLR2004 - the first five
        elif served.patterns:
            yield warning(check, f"{', '.join(served.patterns)} means no repository", "correct the pattern")

    def _access(self, repo: str) -> HealthFinding:
        """What the token may do in the repository, by the API.

        A refusal is about the token, anything else that is not silence about the settings; a forge that
        cannot be reached is left to `findings`.
        """
        check = f"access-{self._site.full_name(repo)}"
        try:
            remedy = f"correct {self._section}.repositories, or what the token may see"
            return access_finding(check, self._site.forge.access(repo), remedy=remedy, page="docs/forges.md")
        except ForgeRefusedError as error:
            remedy = f"give {self._section}.token a valid one, or correct what is set in its place"
            return problem(check, f"the token was refused: {error}", remedy)
        except ForgeUnreachableError:
            raise
        except CoalmineError as error:
            return problem(check, str(error), f"correct {self._section}.base_url and .repositories")

    def _git(self, repo: str) -> HealthFinding:
        """Whether git can list the repository with the token, as workers do when they fetch.

        It is asked apart from the API, because proxies and tokens may let one of them through and not the
        other.
        """
        check = f"git-{self._site.full_name(repo)}"
        try:
            remote = self._remote(repo)
            with tempfile.TemporaryDirectory() as nowhere:  # an empty folder: no repository's settings apply
                asked = ("ls-remote", "--", remote.address, "HEAD", f"refs/heads/{_OURS}")
                listed = remote.run(Git(Path(nowhere)), *asked)
        except RemoteGoneError as error:
            return problem(
                check, str(error), f"correct {self._section}.repositories, or what the token may see"
            )
        except ConflictError as error:
            return problem(check, str(error), "see what the token needs for git in docs/forges.md")
        except CoalmineError as error:
            remedy = "see that the network lets git through; docs/forges.md names the variables of proxies"
            return problem(check, f"git gets no answer: {error}", remedy)
        if f"refs/heads/{_OURS}" in listed:
            message = f"{remote.shown} has a branch {_OURS}, so no branch {WORK_PREFIX}JOB can be made there"
            return problem(check, message, f"rename the branch {_OURS}")
        return ok(check, f"git reads {remote.shown}")

    def _remote(self, repo: str) -> Remote:
        """Where workers find it; what the API does not say is left to git.

        RemoteMovedError where another repository has its name.
        """
        limits = GitLimits(answer_seconds=ANSWER_SECONDS)
        try:
            return ServedRemotes({self._site.name: self._site}, limits)[self._site.full_name(repo)]
        except RemoteMovedError:
            raise
        except CoalmineError:
            return replace(self._site.remote(repo), limits=limits)

    def _no_answer(self, check: str, error: ForgeUnreachableError) -> HealthFinding:
        remedy = f"see that {self._section}.base_url is right and can be reached from here"
        return problem(check, f"the forge does not answer: {error}", remedy)


def access_finding(check: str, access: Access, *, remedy: str, page: str) -> HealthFinding:
    """The first thing that is missing: to read, to write, and to see who may ask for work.

    Without the last every issue would be refused, because nothing shows that its author is trusted. `remedy`
    is for what cannot be read; `page` says what a token needs.
    """
    if not access.readable:
        return problem(check, access.note, remedy)
    if not access.writable:
        return problem(check, f"it can be read and not written: {access.note}", f"see {page}")
    if not access.knows_people:
        return problem(check, f"no issue will be dispatched: {access.note}", f"see {page}")
    return ok(check, access.note)
