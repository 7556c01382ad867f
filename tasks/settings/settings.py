"""Settings: one TOML file and the environment over it, read once and frozen.

Which source wins, the strongest first: what a command passes, variables, old variables that hold for all
forges, the file. Within a section they are merged field by field. `load_settings` is the one way in: making
`Settings` directly leaves out the checks of names, and of settings against each other.
"""

import grp
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableValueError

from harvest.evidence.policy import TrialPolicy
from harvest.settling.score import ScorePolicy
from routing.accounts.account import Account
from routing.accounts.budget import Budget
from routing.accounts.prices import ModelPrice
from routing.errors import SettingsError
from routing.forges.config import IssueSourceConfig
from routing.git.limits import GitLimits
from routing.http.settings import HttpLimits
from routing.sandbox.mount import ProcessLimits
from routing.sandbox.profile import SandboxKind
from routing.sandbox.resource_watch import usual_limits
from routing.setting_types import Count, Days, Limit, NotNegative, Positive, Seconds, Switch
from routing.templates.step import StepKind, Steps
from routing.templates.trial import Mode
from tasks.notify.settings import NotifySettings
from tasks.settings.backtest_settings import BacktestSettings
from tasks.settings.celery_variables import not_read
from tasks.settings.forge_tables import Forges, ForgeTables, renamed_variables
from tasks.settings.issue_settings import IssueSettings
from tasks.settings.old_places import moved
from tasks.settings.refused import PREFIX, check_names, problem_of
from tasks.settings.secret_files import read_secret_files
from tasks.settings.time_settings import TimeSettings
from tasks.settings.tracker_tables import Trackers, names_of, refuse_names_of, with_variables
from tasks.settings.up_settings import UpSettings
from tasks.settings.web_settings import WebSettings
from tasks.telemetry.settings import TelemetrySettings

#: The file that is read when COALMINE_CONFIG names no other.
DEFAULT_FILE = Path("coalmine.toml")

Tokens = Annotated[int, Field(ge=1, le=10**15)]


class _Section(BaseModel):
    """A section: frozen, and an unknown name in it is an error, as it is nearly always misspelt."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class OnRollback(StrEnum):
    """What becomes of a rejected canary's running jobs."""

    FINISH = "finish"
    CANCEL = "cancel"


class CanarySettings(_Section):
    """Trials: routing and harvest are switched on and off together."""

    enabled: Switch = True  # off: nothing is drawn, nothing is decided, open trials are stopped
    policy: TrialPolicy = TrialPolicy()  # of trials that are opened without one of their own
    steps: Steps | None = None  # of a version's way to champion; None: one, in the policy's mode
    scores: ScorePolicy = ScorePolicy()  # what outcomes are worth
    on_rollback: OnRollback = OnRollback.FINISH  # the fate of a rejected canary's running jobs


class JudgeSettings(_Section):
    """What scores the work of pairs, in trials where both versions work on the same issue."""

    command: str | None = None  # shell line; None: CI of the local forge
    seconds: Seconds = 1800.0  # that it may take


class JobSettings(_Section):
    """Attempts, limits, and how long finished jobs are remembered."""

    max_attempts: Annotated[Count, Field(le=100)] = 3
    back_off_first_seconds: NotNegative = 5.0
    back_off_cap_seconds: NotNegative = 300.0
    delivery_days: Days = 3.0  # for which finished work waits for its push, before a person is asked
    lost_work_seconds: Seconds = 900.0  # for which it waits for the host that has it; then it is lost
    no_verdict_seconds: Seconds = 7200.0  # of silent CI, after which a person is asked
    retention_days: Days = 30.0
    agents_at_once: Limit = 0  # running jobs of the fleet; 0: no limit
    per_repository: Limit = 0  # running jobs of one repository; 0: no limit
    day_cost_usd: NotNegative = 0.0  # that the fleet may spend a day (UTC) before no job begins; 0: no limit
    day_tokens: Annotated[int, Field(ge=0, le=10**15)] = 0  # the same in tokens; 0: no limit
    children_at_once: Count = 5  # active children of one job
    child_depth: Limit = 2  # generations below a job that was enqueued; 0: no children
    children: Literal["cancel", "keep"] = "cancel"  # the fate of a failed job's children
    drain_grace_seconds: NotNegative = 30.0  # for which a warm shutdown lets turns go on


class AgentSettings(_Section):
    """Limits of a turn, and where work trees live."""

    work_dir: Path = Path(".coalmine/work")  # mirrors, work trees and turn logs of this host
    time_limit_seconds: Seconds = 3600.0
    stall_seconds: Seconds = 600.0  # without any output, unless it waits for a person
    result_grace_seconds: NotNegative = 10.0  # between its result and its end, if it does not exit by itself
    kill_grace_seconds: NotNegative = 2.0  # between SIGTERM and SIGKILL
    output_megabytes: Positive = 512.0
    cost_usd: Positive | None = None  # per turn, as the agent reports it
    job_cost_usd: Positive | None = None  # of all turns of a job together
    tokens: Tokens | None = None  # per turn: input, with that from the cache, and output
    job_tokens: Tokens | None = None  # of all turns of a job together
    turns_per_job: Count = 20
    silence_warn_seconds: Seconds = 120.0  # without an event, after which the watchdog writes a warning
    silence_nudge_seconds: Seconds = 300.0  # … it sends the agent a mail
    silence_cancel_seconds: Seconds = 900.0  # … it has a turn ended that its own worker has not
    await_seconds: Seconds = 3600.0  # for which a job waits for mail that its agent awaits, at the most
    commit_leftovers: Switch = True  # commit what the agent left uncommitted
    keep_failed_days: NotNegative = 3.0  # for which the work trees of failed jobs are kept
    memory_megabytes: Limit | None = None  # that all processes of a turn may have together; None: the usual
    processes: Limit | None = None  # of a turn; 0: no limit, here, above and below
    file_megabytes: Limit = 0  # of one file that an agent in a sandbox writes
    disk_megabytes: Limit = 0  # in the work tree, home and temporary files of a turn
    sandbox: SandboxKind = SandboxKind.AUTO  # of versions that are proposed without naming one
    require_sandbox: SandboxKind = SandboxKind.NONE  # the least that any version runs in
    container: str | None = None  # the program of the container engine; None: podman, else docker
    group: str | None = None  # that this user shares with the one that agents run as; None: they run as this

    @property
    def resources(self) -> ProcessLimits:
        """The limits of what a turn may take of its machine: those that are set, else the usual ones."""
        usual, said = usual_limits(), self.set_resources
        return replace(
            said,
            memory_bytes=usual.memory_bytes if self.memory_megabytes is None else said.memory_bytes,
            processes=usual.processes if self.processes is None else said.processes,
        )

    @property
    def set_resources(self) -> ProcessLimits:
        """The limits that the settings say, without the usual ones: not every container engine keeps any."""
        mib = 1024 * 1024
        return ProcessLimits(
            memory_bytes=(self.memory_megabytes or 0) * mib or None,
            processes=self.processes or None,
            file_bytes=self.file_megabytes * mib or None,
            disk_bytes=self.disk_megabytes * mib or None,
        )

    @property
    def group_id(self) -> int | None:
        """The number of `group`. SettingsError: this machine has no such group."""
        if not self.group:
            return None
        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            message = f"agent.group is {self.group!r}, a group that this machine does not have; make it"
            raise SettingsError(message) from None


#: What the environment wins over while a file is read, the strongest first.
_BELOW: ContextVar[tuple[dict[str, Any], ...]] = ContextVar("below", default=())


class Settings(BaseSettings):
    """Everything that can be set, with its default. Environment names are COALMINE_SECTION__FIELD."""

    model_config = SettingsConfigDict(
        defer_build=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    redis_url: SecretStr | None = None  # the store; None: commands that need one say so
    broker_url: SecretStr | None = None  # any broker that Celery speaks to; None: the store's server
    # Prefix of all keys; in braces it is a hash tag, by which a Redis Cluster has all of them on one node.
    namespace: Annotated[str, Field(pattern=r"^(?:[a-z][a-z0-9_-]{0,30}|\{[a-z][a-z0-9_-]{0,30}\})$")] = (
        "coalmine"
    )
    kill_switch: Switch = False  # on: nothing is dispatched from any forge, with no I/O at all
    seed: int | None = None  # of the routing generator; None: from the system, as production wants it
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    times: TimeSettings = TimeSettings()  # leases and ticks
    canary: CanarySettings = CanarySettings()
    judge: JudgeSettings = JudgeSettings()
    backtest: BacktestSettings = BacktestSettings()
    job: JobSettings = JobSettings()
    agent: AgentSettings = AgentSettings()
    account: Annotated[tuple[Account, ...], Field(max_length=100)] = ()  # credentials that agents work with
    price: Annotated[tuple[ModelPrice, ...], Field(max_length=1000)] = ()  # of models, before those we know
    budget: Annotated[tuple[Budget, ...], Field(max_length=100)] = ()  # of a day, by template or repository
    git: GitLimits = GitLimits()  # how long git may take
    forge: Forges = ()  # where issues come from and work is judged
    tracker: Trackers = ()  # where issues come from whose work goes to a forge
    http: HttpLimits = HttpLimits()  # how patient we are with forges, and how much is read
    issues: IssueSettings = IssueSettings()  # what is made of issues
    web: WebSettings = WebSettings()
    up: UpSettings = UpSettings()  # the agent that `coalmine up` begins with
    notify: NotifySettings = NotifySettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is theirs
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """What was passed in wins over the environment, and that over the file.

        The variables of forges are over the file's tables already; see `tasks.settings.forge_tables`.
        """
        variables, _ = moved({name: value for name, value in env_settings().items() if name != "forge"})
        below = _BELOW.get() or _below({}, ForgeTables.read({}, os.environ))
        if "tracker" in variables:
            tables: Any = next((values["tracker"] for values in below if "tracker" in values), [])
            variables["tracker"] = with_variables(tables, variables["tracker"])
        return (
            init_settings,
            *(InitSettingsSource(settings_cls, init_kwargs=values) for values in (variables, *below)),
        )

    @property
    def issue_sources(self) -> tuple[IssueSourceConfig, ...]:
        """Where issues come from: the forges, and the trackers."""
        return (*self.forge, *self.tracker)

    @property
    def poll_intervals(self) -> dict[str, float]:
        """Seconds between two looks at each forge and tracker that may be asked for issues, by its name."""
        return {
            source.name: source.poll_interval_seconds
            for source in self.issue_sources
            if source.is_served and not (self.kill_switch or source.kill_switch)
        }

    @property
    def steps(self) -> Steps:
        """In which a version comes to be champion."""
        return self.canary.steps or (StepKind(self.canary.policy.mode.value),)

    @property
    def has_judge(self) -> bool:
        """Whether anything scores the work of pairs: a command of its own, or CI that is ours to run."""
        return self.judged_forges is None or bool(self.judged_forges)

    @property
    def judged_forges(self) -> frozenset[str] | None:
        """The forges whose work can be one of a pair, by name; None: all work, by a command of its own."""
        if self.judge.command:
            return None
        return frozenset(
            forge.name for forge in self.forge if forge.kind == "local" and forge.is_served and forge.has_ci
        )

    @property
    def retention_seconds(self) -> int:
        """How long finished jobs are remembered."""
        return int(self.job.retention_days * 86_400)


def settings_file(environment: Mapping[str, str] | None = None) -> Path:
    """The file that settings are read from; it need not exist unless COALMINE_CONFIG names it."""
    given = (os.environ if environment is None else environment).get("COALMINE_CONFIG", "")
    file = Path(given) if given else DEFAULT_FILE
    if given and not file.is_file():
        message = f"COALMINE_CONFIG names {file}, which is not a file; create it or unset the variable"
        raise SettingsError(message)
    return file


def load_settings(
    file: Path | None = None, *, warn: Callable[[str], object] | None = None, **given: Any
) -> Settings:
    """Read file and environment, or raise one SettingsError that names everything that is wrong.

    What is written in an old form is read, and `warn` is given one text that says how to write it now; by
    default it goes to standard error. `given` are settings by their names, which win over both.
    """
    read_secret_files(os.environ)
    file = file or settings_file()
    values = file_values(file)
    check_names(Settings.model_fields, os.environ)
    forges = ForgeTables.read(values, os.environ)
    file_says = _BELOW.set(_below(values, forges))
    try:
        settings = Settings(**given)
    except ValidationError as error:
        trackers = names_of(values.get("tracker"))
        problems = "\n".join(problem_of(part, forges.keys, trackers) for part in error.errors())
        message = f"the settings are wrong (file {file}, environment {PREFIX}…):\n{problems}"
        raise SettingsError(message) from error
    except UnreadableValueError as error:  # a section given as JSON that is none
        message = f"the environment {PREFIX}… is wrong: {error}; correct or unset it"
        raise SettingsError(message) from error
    finally:
        _BELOW.reset(file_says)
    _check_together(settings)
    if text := _old_forms(file, values, forges):  # not before: what is wrong may be a secret in a wrong place
        (warn or _to_standard_error)(text)
    return settings


def file_values(file: Path) -> dict[str, Any]:
    """What the file says, {} without one; SettingsError with the place of the fault."""
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        message = f"{file} cannot be read as TOML: {error}; correct the file or move it away"
        raise SettingsError(message) from error


def _below(values: Mapping[str, Any], forges: ForgeTables) -> tuple[dict[str, Any], ...]:
    """Old variables that hold for all forges, the file, and what holds for all forges in its old sections."""
    return forges.old_in_variables, {**moved(values)[0], "forge": forges.tables}, forges.old_in_file


def _old_forms(file: Path, values: Mapping[str, Any], forges: ForgeTables) -> str:
    """What is written in an old form or is not read, and what to write, by its source; "" for nothing."""
    in_file = [forges.file_warning(values), _renamings(moved(values)[1])]
    renamed = _renamings(forges.renamed | renamed_variables(os.environ))
    variables = [renamed, *forges.notes, not_read(os.environ)]
    sources = {str(file): "\n".join(filter(None, in_file)), "environment": "\n".join(filter(None, variables))}
    return "\n".join(f"{source}: {text}" for source, text in sources.items() if text)


def _renamings(names: Mapping[str, str]) -> str:
    return "\n".join(f"{old} is called {new} now" for old, new in names.items())


def _to_standard_error(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _check_together(settings: Settings) -> None:
    """Refuse settings that are right one by one and wrong together: jobs must outlive their scoring."""
    policy = settings.canary.policy
    needed = policy.settle_deadline_seconds + policy.revert_window_seconds
    if settings.retention_seconds <= needed:
        message = (
            f"job.retention_days ({PREFIX}JOB__RETENTION_DAYS) is {settings.job.retention_days:g}, but jobs "
            f"are scored until {needed / 86_400:g} days after their start; set it above that"
        )
        raise SettingsError(message)
    if settings.canary.steps and policy.mode is Mode.SHADOW and StepKind.SHADOW not in settings.canary.steps:
        message = (
            f"canary.policy.mode ({PREFIX}CANARY__POLICY__MODE) is shadow, which is none of canary.steps; "
            "name it among the steps, or leave the mode out"
        )
        raise SettingsError(message)
    refuse_names_of([forge.name for forge in settings.forge], settings.tracker)
    names = [account.id for account in settings.account]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = (
            f"account: {', '.join(twice)} stands there twice; give each account of a runtime its own name"
        )
        raise SettingsError(message)
