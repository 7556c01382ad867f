"""The description of a forge: everything that is set about one, in one record that is passed down.

A kind of forge subclasses one of the two classes here, gives `kind` and `name` their defaults, and adds the
fields that it alone has. Code that serves, gates or watches a forge reads the properties here, and never asks
which kind it is. Two places look for a `LocalConfig`, as only a local forge has paths on this machine:
`coalmine doctor` checks them, and `tasks.composition.forge_parts` finds the one local forge for the command
`up`, which tries its CI, and for `enqueue`, whose requests are about its repository.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from routing.forges.allow_list import AllowList, wrong_entry
from routing.forges.ci_rules import CiRules
from routing.forges.renewed_token import RenewedToken
from routing.http.settings import BaseUrl, is_token
from routing.setting_types import Count, Dollars, NotNegative, Seconds, Switch


def _token(value: SecretStr) -> SecretStr:
    if not is_token(value.get_secret_value()):
        raise ValueError("is empty, or holds spaces or control characters; give the token alone, or unset it")
    return value


def none_if_empty(value: object) -> object:
    """A variable cannot say nothing: an empty one means none."""
    return None if value == "" else value


def listed(value: object) -> object:
    """Names with commas between them, or as JSON, as a variable has them; a file has a list."""
    if isinstance(value, str):
        return tuple(filter(None, map(str.strip, value.strip("[] ").replace('"', "").split(","))))
    return value


def _repositories(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = wrong_entry(names)
    if wrong is not None:
        message = (
            f"{wrong[:80]!r} is not a repository; write owner/name for each, owner/* or owner/app-* for "
            "several, and !owner/name for what to leave out of them"
        )
        raise ValueError(message)
    return names


#: A forge's name. It does not end with `-`: in the names of variables that would be one more `_` before `__`.
NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
#: How a forge is called in the names of its issues (`github:acme/shop#3`) and of its variables.
ForgeName = Annotated[str, Field(pattern=NAME_PATTERN)]
#: A label, as forges take it: without the commas that lists of labels have.
Label = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^,\x00-\x1f]+$")]
#: What goes into a header of a request.
Token = Annotated[SecretStr, AfterValidator(_token)]
#: What deliveries are signed with.
Secret = Annotated[SecretStr, Field(min_length=1)]
#: Names of checks, or patterns of them.
Checks = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], BeforeValidator(listed)]
#: Names of users; those of GitHub's Apps without `[bot]`.
Users = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\s,\[\]]+$")], ...],
    BeforeValidator(listed),
]
Repositories = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(_repositories)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """Why a forge is not asked for anything."""

    setting: str  # the field that should be set
    because: str  # what follows from it, as a sentence for people


class IssueSourceConfig(BaseModel):
    """What every place has that issues come from: a forge, or a tracker (`routing.trackers`).

    Nothing is dispatched until its kill switch is off and it has repositories.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str  # one of `routing.forges.registry`, or of `routing.trackers.registry`
    name: ForgeName  # its own, among all forges and trackers of the fleet
    label: Annotated[Label | None, BeforeValidator(none_if_empty)] = "coalmine"  # of issues for agents;
    # None, or "": every open one is
    template: str = "implementer"  # that works on the issues
    kill_switch: Switch = True  # on: nothing is dispatched, and it is not even asked
    enabled: Switch = True  # off: issues are taken into the backlog, and none is dispatched
    per_repo: Count = 1  # issues in progress at once that are worked on in one repository
    usd_per_day: Dollars | None = None  # that all jobs may cost together; None: no limit
    usd_per_job: Dollars | None = None  # that one issue may cost; None: no limit
    poll_interval_seconds: Seconds = 60.0  # between two looks for what no webhook reported
    allow_red: Switch = False  # on: issues are begun although work waits for the main branch to be green

    @property
    def allow_list(self) -> tuple[str, ...]:
        """The repositories that are named to be worked on, as the forge spells them; see `served`."""
        return ()

    @property
    def served(self) -> AllowList:
        """The same with what is set by patterns."""
        return AllowList(names=self.allow_list)

    @property
    def lack(self) -> Lack | None:
        """The first thing that keeps it from being asked for anything; None when nothing does."""
        return None

    @property
    def is_served(self) -> bool:
        """Whether the fleet asks it for anything, once its kill switch is off."""
        return self.lack is None


class ForgeConfig(IssueSourceConfig):
    """What every forge has."""

    waiting_per_repo: Count = 10  # of the issues in progress those that need no slot, as their pushed work
    # waits for people, or for a green main branch; more of them hold one each
    submodules: Switch = True  # off: agents, and CI that we run, find empty folders in their place
    merge: Literal["green", "never"] = "never"  # whether a green change is merged without a person
    judge_merges: Switch = True  # a green change that lacks commits of the main branch is brought up to date,
    # and judged again, before it is merged; off: it is merged as it is
    delete_branches: Switch = False  # whether a branch of ours is deleted once its work is merged
    wait_for_green_main: Switch = True  # a failure that the main branch has too is not the version's: the job
    # waits until that is repaired; off: it is corrected like any other

    @property
    def opens_changes(self) -> bool:
        """Whether a pushed branch needs a change request; on some forges it is one by itself."""
        return False

    @property
    def merges_green(self) -> bool:
        """Whether a green change is merged without a person."""
        return self.merge == "green"

    @property
    def leaves_merging(self) -> bool:
        """Whether done work waits in its change request until a person merges it."""
        return self.opens_changes and not self.merges_green

    @property
    def has_ci(self) -> bool:
        """Whether anybody judges commits there; otherwise work is done when it is pushed."""
        return True

    @property
    def has_change_requests(self) -> bool:
        """Whether work that is to be merged is shown there by itself, beside its issue."""
        return True

    @property
    def programs(self) -> tuple[str, ...]:
        """Users that are programs, by the settings; those whose names say so need not be among them."""
        return ()

    @property
    def ci_rules(self) -> CiRules:
        """Which of its checks count, and how long more of them may begin."""
        return CiRules()


class RemoteConfig(ForgeConfig):
    """A forge on another machine, reached over HTTP with a token. It may send webhooks."""

    base_url: BaseUrl | None = None  # of its API; None: the forge is not set up
    token: Token | None = None  # None: the forge is not asked for anything
    token_path: Path | None = None  # a file that has the token and is read again at each use, in its place
    login: str = ""  # whose token it is; "" asks the forge, which does not tell GitHub Apps
    repositories: Repositories = ()  # `owner/name`, `owner/*`, and `!owner/name` for what is left out; no
    # other is listened to, or worked on
    webhook_secret: Secret | None = None  # that deliveries are signed with; None: they are refused
    previous_webhook_secret: Secret | None = None  # accepted too, while the forge's is being changed
    git_url: BaseUrl | None = None  # what git's addresses begin with; None: as it follows from base_url
    change: Literal["request", "none"] = "request"  # whether a pushed branch becomes a pull request
    merge_method: Literal["merge", "squash", "rebase"] = "merge"
    ci: Switch = True  # off: nobody judges commits there, so pushed work is done
    checks: Checks = ()  # that must pass, besides those that the main branch requires; `ci/*` names several
    people_checks: Checks = ()  # that wait for people, besides the usual ones; see `routing.forges.ci_rules`
    settle_seconds: NotNegative = 60.0  # after a push, in which more checks may begin; used where no check is
    # required and `checks` names none
    bots: Users = ()  # users that are programs, besides those whose names say so; see docs/reviewers.md

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.previous_webhook_secret is not None and self.webhook_secret is None:
            raise ValueError(
                "previous_webhook_secret is set without webhook_secret; set both while a secret is changed"
            )
        if self.token is not None and self.token_path is not None:
            raise ValueError("token and token_path are both set; set one of them")
        if not (self.token is None and self.token_path is None) and self.base_url is None:
            raise ValueError("token is set without base_url; set the address of the forge too")
        if self.merge == "green" and self.change == "none":
            raise ValueError('merge = "green" needs change = "request": only a pull request can be merged')
        return self

    @property
    def allow_list(self) -> tuple[str, ...]:
        """The repositories that are named, and not excluded."""
        return self.served.names

    @property
    def served(self) -> AllowList:
        """By names and by patterns."""
        return AllowList.of(self.repositories)

    @property
    def lack(self) -> Lack | None:
        """An address first, then a token."""
        if self.base_url is None:
            return Lack(setting="base_url", because="it has no address, so it is not asked for anything")
        if self.token is None and self.token_path is None:
            return Lack(setting="token", because="it has no token, so it is not asked for anything")
        return None

    @property
    def opens_changes(self) -> bool:
        """Whether pull requests are wanted."""
        return self.change == "request"

    @property
    def has_ci(self) -> bool:
        """As it is set."""
        return self.ci

    @property
    def programs(self) -> tuple[str, ...]:
        """As they are set."""
        return self.bots

    @property
    def ci_rules(self) -> CiRules:
        """As they are set."""
        return CiRules(checks=self.checks, people=self.people_checks, settle_seconds=self.settle_seconds)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that a delivery may be signed with, the present one first."""
        both = (self.webhook_secret, self.previous_webhook_secret)
        return tuple(secret.get_secret_value() for secret in both if secret is not None)

    @property
    def address(self) -> str:
        """The API's address; only a forge that is served may be asked for it."""
        if self.base_url is None:
            raise ValueError(self.name)
        return self.base_url

    @cached_property
    def renewed(self) -> RenewedToken | None:
        """The token in a file, one for the API and git: what is known of it is known to both."""
        return None if self.token_path is None else RenewedToken(self.token_path)

    def credential_for(self, repo: str) -> SecretStr:
        """The same for git with one repository."""
        del repo
        return self.credential

    @property
    def credential(self) -> SecretStr:
        """The token; only a forge that is served may be asked for it."""
        if self.renewed is not None:
            return self.renewed
        if self.token is None:
            raise ValueError(self.name)
        return self.token
