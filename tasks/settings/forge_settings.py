"""Settings of the forges: where issues come from, and what is watched."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from routing.backlog.settings import BacklogSettings
from routing.http.settings import BaseUrl, ForgeName, HttpLimits, is_token
from routing.issues.model_settings import ModelSettings
from routing.setting_types import Count, Dollars, Seconds, Switch
from routing.webhook.settings import Repositories, Secret

#: Names of labels: what forges take, without the commas that lists of labels have.
Label = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^,\x00-\x1f]+$")]


def _word(value: object) -> object:
    """A variable cannot say nothing: an empty one means none."""
    return None if value == "" else value


def _token(value: SecretStr) -> SecretStr:
    if not is_token(value.get_secret_value()):
        raise ValueError("is empty, or holds spaces or control characters; give the token alone, or unset it")
    return value


Token = Annotated[SecretStr, AfterValidator(_token)]


class _ForgeSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class LocalSettings(_ForgeSection):
    """A folder of issues, a git repository and a command that is CI."""

    repository: Path | None = None  # None: no local forge
    issues: Path | None = None
    state: Path = Path(".coalmine/forge")  # what the forge remembers: statuses, logs, branches seen
    ci: str | None = None  # shell line of the operator; None: no CI
    ci_seconds: Seconds = 1800.0
    merge: Literal["green", "never"] = "green"  # whether a green branch is merged by itself
    main: str | None = None  # main branch; None: main, else master, else what HEAD names
    label: str | None = None  # issues with it are for agents; None: every open one
    template: str = "implementer"  # that works on the issues
    poll_interval_seconds: Seconds = 5.0
    at_once: Count = 1  # jobs at work in the repository at the same time


class RemoteSettings(_ForgeSection):
    """A forge behind HTTP. It is served when it has a token, and dispatches when all gates are open."""

    name: ForgeName  # of the forge in the names of issues
    base_url: BaseUrl | None  # of its API; None: there is no such forge
    token: Token | None = None  # None: the forge is not asked for anything
    login: str = ""  # whose token it is; "" asks the forge, which does not tell GitHub Apps
    repositories: Repositories = ()  # `owner/name` each; no other is listened to, or worked on
    label: Annotated[Label | None, BeforeValidator(_word)] = "coalmine"  # issues with it are for agents;
    # None, or "": every open one
    template: str = "implementer"  # that works on the issues
    kill_switch: Switch = True  # on: nothing is dispatched, and the forge is not even asked
    enabled: Switch = True  # off: issues are taken into the backlog, and none is dispatched
    per_repo: Count = 1  # issues of a repository in progress at once
    usd_per_day: Dollars | None = None  # that all jobs may cost together; None: no limit
    usd_per_job: Dollars | None = None  # that one issue may cost; None: no limit
    poll_interval_seconds: Seconds = 60.0  # between two looks for what no webhook told of
    webhook_secret: Secret | None = None  # that deliveries are signed with; None: the door is shut
    previous_webhook_secret: Secret | None = None  # accepted too, while the forge's is being changed
    git_url: BaseUrl | None = None  # what git's addresses begin with; None: as it follows from base_url
    change: Literal["request", "none"] = "request"  # whether a pushed branch becomes a pull request
    merge: Literal["green", "never"] = "never"  # whether a green change is merged without a person
    merge_method: Literal["merge", "squash", "rebase"] = "merge"
    ci: Switch = True  # off: nobody judges commits there, so pushed work is done

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.previous_webhook_secret is not None and self.webhook_secret is None:
            raise ValueError(
                "previous_webhook_secret is set without webhook_secret; set both while a secret is changed"
            )
        if self.token is not None and self.base_url is None:
            raise ValueError("token is set without base_url; set the address of the forge too")
        if self.merge == "green" and self.change == "none":
            raise ValueError('merge = "green" needs change = "request": only a pull request can be merged')
        return self

    @property
    def is_served(self) -> bool:
        """Whether the fleet asks this forge for anything."""
        return self.token is not None and self.base_url is not None


class GitHubSection(RemoteSettings):
    """GitHub. On a server of one's own the address ends with `/api/v3`."""

    name: ForgeName = "github"
    base_url: BaseUrl | None = "https://api.github.com"


class GiteaSection(RemoteSettings):
    """Gitea; the address is the server's own."""

    name: ForgeName = "gitea"
    base_url: BaseUrl | None = None


class ForgejoSection(GiteaSection):
    """Forgejo; the address is the server's own."""

    name: ForgeName = "forgejo"


class WatchSettings(_ForgeSection):
    """How long work is seen after, and with which labels."""

    fix_forwards: Annotated[int, Field(ge=0, le=100)] = 5  # corrective turns a job may have; 0: none
    fix_forward_seconds: Seconds = 3600.0  # behind the first push, after which none is begun
    in_progress_label: Label = "agent-in-progress"
    for_person_label: Label = "ready-for-human"  # an issue with it is left alone until it is taken off

    @model_validator(mode="after")
    def _two_labels(self) -> Self:
        if self.in_progress_label == self.for_person_label:
            raise ValueError("in_progress_label and for_person_label must differ")
        return self


class ForgeSettings(_ForgeSection):
    """Where issues come from, what is made of them, and how their work is watched."""

    local: LocalSettings = LocalSettings()
    github: GitHubSection = GitHubSection()
    gitea: GiteaSection = GiteaSection()
    forgejo: ForgejoSection = ForgejoSection()
    fleet_size: Count = 100  # issues of all forges in progress at once
    dispatch_interval_seconds: Seconds = 5.0  # between two looks at what may be dispatched
    http: HttpLimits = HttpLimits()  # how patient we are with forges, and how much is read
    backlog: BacklogSettings = BacklogSettings()
    watch: WatchSettings = WatchSettings()
    model: ModelSettings = ModelSettings()

    @property
    def remote(self) -> tuple[RemoteSettings, ...]:
        """The forges behind HTTP, whether they are served or not."""
        return (self.github, self.gitea, self.forgejo)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = ["local", *(forge.name for forge in self.remote)]
        if len(set(names)) != len(names):
            raise ValueError(f"two forges have one name among {', '.join(names)}; give each its own")
        return self
