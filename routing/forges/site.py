"""A forge or a tracker that the fleet serves: its description, and what speaks to it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from routing.forges.config import ForgeConfig, IssueSourceConfig
from routing.forges.errors import ForgeError, ForgeRefusedError, ForgeReplacedError
from routing.forges.forge import FollowsNames, Forge, IssueTracker
from routing.git.limits import GitLimits
from routing.git.remote import Remote, RemoteAwayError, RemoteMovedError, RemoteRefusedError
from routing.issues.issue import Issue, IssueRef


@dataclass(frozen=True, kw_only=True)
class IssueSite:
    """A place of the settings that issues come from, wired: a forge, or a tracker."""

    config: IssueSourceConfig
    forge: IssueTracker

    @property
    def name(self) -> str:
        """The configured name."""
        return self.config.name

    def wants(self, issue: Issue) -> bool:
        """Whether the issue is open, and for agents."""
        return not self.unwanted(issue)

    def unwanted(self, issue: Issue) -> str:
        """What people did with the issue that ends the work on it, in words; "" while it is for agents."""
        if issue.state == "closed":
            return "its issue was closed"
        label = self.config.label
        wanted = label is None or issue.carries(label)
        return "" if wanted else f"the label {label} was taken off its issue"

    def left_out(self, issue: Issue) -> str:  # noqa: ARG002 - trackers look at it
        """Why work on the issue does not begin although it is for agents; "" when it may.

        What has begun goes on: we move issues ourselves, and a filter may select them by their state.
        """
        return ""

    def works_in(self, issue: Issue) -> str:
        """`FORGE:REPOSITORY` that work on the issue goes to; "" when nothing says which."""
        return self.full_name(issue.ref.repo)

    def full_name(self, repo: str) -> str:
        """`github:acme/shop`: the name under which jobs ask for a repository."""
        return f"{self.name}:{repo}"


@dataclass(frozen=True, kw_only=True)
class ForgeSite(IssueSite):
    """One forge of the settings, wired."""

    config: ForgeConfig
    forge: Forge
    remote: Callable[[str], Remote]  # where git finds a repository of the allow-list
    run_ci: Callable[[str], object] | None = None  # judges a commit; None: CI is not ours to run
    trackers: Mapping[str, IssueSite] = field(default_factory=dict)  # whose issues may be worked on here

    def of(self, issue: IssueRef) -> IssueSite | None:
        """Where an issue is that is worked on here; None when its place is not among the settings."""
        return self if issue.forge == self.name else self.trackers.get(issue.forge)


class ServedRemotes(Mapping[str, Remote]):
    """Where git finds what is served; those that patterns mean are known by name, and not listed."""

    def __init__(self, sites: Mapping[str, ForgeSite], limits: GitLimits) -> None:
        self._sites = sites
        self._limits = limits

    def __getitem__(self, name: str) -> Remote:
        """KeyError for a repository that no forge serves."""
        forge, _, asked = name.partition(":")
        site = self._sites.get(forge)
        repo = site.config.served.spelled(asked) if site is not None else None
        if site is None or repo is None:
            raise KeyError(name)
        called = _name_now(site, repo)
        look = partial(_look, site, repo, called) if isinstance(site.forge, FollowsNames) else None
        return replace(site.remote(called), limits=self._limits, submodules=site.config.submodules, look=look)

    def __iter__(self) -> Iterator[str]:
        """Those that are named."""
        return (site.full_name(repo) for site in self._sites.values() for repo in site.config.allow_list)

    def __len__(self) -> int:
        """How many are named."""
        return sum(1 for _ in self)


def _name_now(site: ForgeSite, repo: str) -> str:
    """The name that git knows a repository by.

    It is followed neither to where it is excluded nor to a name that is served itself, as by a pattern: its
    issues are found under that one, and would be worked twice. RemoteMovedError where another repository has
    its name, RemoteRefusedError and RemoteAwayError where it could not be known from another one.
    """
    try:
        name = site.forge.name_now(repo) if isinstance(site.forge, FollowsNames) else repo
    except ForgeReplacedError as error:
        raise RemoteMovedError(str(error)) from error
    except ForgeRefusedError as error:
        raise RemoteRefusedError(str(error)) from error
    except ForgeError as error:
        raise RemoteAwayError(str(error)) from error
    served = site.config.served
    return repo if served.excludes(name) or served.spelled(name) is not None else name


def _look(site: ForgeSite, repo: str, name: str) -> None:
    """Raise RemoteMovedError where a repository has another name by now, and what `_name_now` does.

    A turn may last for hours, and the name that it began with be another repository's at its end.
    """
    now = _name_now(site, repo)
    if now != name:
        message = f"{site.full_name(repo)} is called {now} now, and was {name}; the next attempt goes there"
        raise RemoteMovedError(message)
