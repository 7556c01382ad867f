"""What `coalmine doctor` looks at: settings, Redis, git, the fleet, and the forges.

The order of the findings is the order in which a person should deal with them: without settings nothing
else can be judged, and without a server nothing that is stored. The command takes a second for the workers
and a few for the forges, whatever the size of the fleet.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery
from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError

from console.doctor.accounts import accounts
from console.doctor.agent_programs import agent_programs
from console.doctor.backlog import backlog, held, intake, unreadable
from console.doctor.findings import ok, problem, warning
from console.doctor.forges import forge_templates, forges
from console.doctor.sandbox import champions_containers, sandboxes, unconfined_champions
from console.doctor.traces import traces
from console.doctor.trackers import trackers
from console.invocation import Invocation
from routing.errors import STORE_AWAY, CoalmineError, SettingsError
from routing.forges.local.config import LocalConfig
from routing.forges.local.fitness import fault_of, is_large, issues_fault, lacks_lfs
from routing.forges.local.git import LocalGit
from routing.git.git import Git
from routing.http.connection import IdBoard
from routing.process.cgroup import CgroupHome
from routing.process.cgroup_probe import usable_cgroup_home
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.store.redis.health import (
    CLOCK_PROBLEM_SECONDS,
    CLOCK_REMEDY,
    CLOCK_WARNING_SECONDS,
    HealthFinding,
    look_at,
)
from tasks.composition.composition import Coalmine
from tasks.notify.settings import SINK_NAMES
from tasks.settings.forge_tables import variable_of
from tasks.settings.settings import Settings

#: The oldest git whose commands we use (`git merge-tree --write-tree`).
MINIMUM_GIT = (2, 38)


def examine(invocation: Invocation, *, wait_seconds: float) -> list[HealthFinding]:
    """Every finding, in the order in which a person should deal with them.

    With wrong settings only they and git are looked at; where no fleet runs, or while Redis does not answer,
    the checks that need the store are left out. `wait_seconds` is how long workers have to answer.
    """
    try:
        coalmine = invocation.coalmine
    except SettingsError as error:
        happened, _, remedy = str(error).rpartition("; ")
        wrong = problem("settings", happened or str(error), remedy if happened else "correct what is named")
        return [wrong, *_without_a_fleet(invocation)]
    groups = check_groups(coalmine, invocation.file, wait_seconds=wait_seconds)
    return [finding for look in groups.values() for finding in look()]


def _without_a_fleet(invocation: Invocation) -> list[HealthFinding]:
    """What keeps a fleet from starting here, or would keep it from its work."""
    try:
        settings = invocation.settings
    except SettingsError:
        return [git()]
    return [*_machine(settings), *_of_forges(settings)]


def check_groups(
    coalmine: Coalmine, file: Path, *, wait_seconds: float
) -> dict[str, Callable[[], list[HealthFinding]]]:
    """What is looked at, in order, in parts that do not wait for each other; `file` has the settings."""
    settings = coalmine.settings
    return {
        "settings": lambda: [ok("settings", _origin(file))],
        "fleet": lambda: _fleet(coalmine, wait_seconds=wait_seconds),
        "machine": lambda: [kill_switch(coalmine), *_machine(settings)],
        "forges": lambda: _of_forges(settings, coalmine.repository_ids),
    }


def _fleet(coalmine: Coalmine, *, wait_seconds: float) -> list[HealthFinding]:
    found = _redis(coalmine)
    if found[-1].check != "redis":
        found += _of_store(coalmine, wait_seconds=wait_seconds)
    return found


def _machine(settings: Settings) -> list[HealthFinding]:
    return [
        secrecy(sys.platform, os.getuid()),
        cgroups(usable_cgroup_home()),
        *sandboxes(find_bubblewrap(), settings),
        git(),
    ]


def _of_forges(settings: Settings, ids: IdBoard | None = None) -> list[HealthFinding]:
    """Forges and trackers; `ids` as `forges` has them."""
    return [*local_forges(settings), *forges(settings, ids), *trackers(settings)]


def _origin(file: Path) -> str:
    """Where the settings are from; nobody needs a file."""
    if file.is_file():
        return f"read from {file} and the environment"
    return f"read from the environment; there is no {file}, and none is needed"


def _redis(coalmine: Coalmine) -> list[HealthFinding]:
    """What the server says of itself, or one problem named `redis` when it does not answer.

    The message of our error ends with its remedy after the last colon; here the two go into their own
    fields.
    """
    try:
        return look_at(coalmine.redis, time.time)
    except CoalmineError as error:
        happened, _, remedy = str(error).rpartition(": ")
        return [problem("redis", happened or str(error), remedy)]


def _of_store(coalmine: Coalmine, *, wait_seconds: float) -> list[HealthFinding]:
    """What the store knows; a server that refuses one of the checks is a problem, and the others go on."""
    checks: list[Callable[[], list[HealthFinding]]] = [
        lambda: [clocks(coalmine)],
        lambda: fleet(coalmine),
        lambda: champions_containers(coalmine),
        lambda: [workers(coalmine.app, wait_seconds=wait_seconds)],
    ]
    findings: list[HealthFinding] = []
    for check in checks:
        try:
            findings += check()
        except STORE_AWAY as error:
            happened, _, remedy = str(error).rpartition(": ")
            findings.append(problem("redis", happened or str(error), remedy))
    return findings


def clocks(coalmine: Coalmine) -> HealthFinding:
    """Whether the clocks of workers and beat agree with the server's, as they last compared them."""
    reports = coalmine.clocks.reports()
    wrong = [report for report in reports if abs(report.ahead_seconds) >= CLOCK_WARNING_SECONDS]
    if not wrong:
        return ok("clocks", f"{len(reports)} processes reported theirs, and they agree with the server's")
    named = "; ".join(
        f"{report.process} is {abs(report.ahead_seconds):.1f} s "
        + ("fast" if report.ahead_seconds > 0 else "slow")
        for report in wrong
    )
    found = (
        problem if max(abs(report.ahead_seconds) for report in wrong) >= CLOCK_PROBLEM_SECONDS else warning
    )
    whose = " (all are off, so the server's own clock may be)" if len(wrong) == len(reports) > 1 else ""
    return found("clocks", f"compared with the server's clock, {named}{whose}", CLOCK_REMEDY)


def fleet(coalmine: Coalmine) -> list[HealthFinding]:
    """Findings from the store: templates, trials, dead letters, switches, limits, backlog.

    They follow the order of a job's way: what it is made from, what judges it, what stops it, who hears of
    it, and where it comes from. A fault of the store in between is raised.
    """
    checks: tuple[Callable[[Coalmine], HealthFinding], ...] = (
        _templates,
        _secrets,
        agent_programs,
        unconfined_champions,
        _trials,
        _dead,
        _paused,
        _limits,
        accounts,
        notifications,
        traces,
        forge_templates,
        backlog,
        unreadable,
        held,
        intake,
    )
    return [check(coalmine) for check in checks]


def _templates(coalmine: Coalmine) -> HealthFinding:
    """Whether a template exists; without one no job can be made. At most ten are named."""
    names = coalmine.templates.names()
    if names:
        return ok("templates", f"{len(names)}: {', '.join(names[:10])}")
    return warning("templates", "no template exists", "make one with `coalmine template add NAME`")


def _secrets(coalmine: Coalmine) -> HealthFinding:
    """Whether the variables that champions name are set here. Workers on other machines are not asked.

    A secret that is missing is a warning: this command may run where no worker does. Values are never
    shown.
    """
    wanted = {
        secret
        for name in coalmine.templates.names()
        for secret in coalmine.templates.champion(name).snapshot.secrets
    }
    missing = sorted(wanted - set(os.environ))
    if not missing:
        return ok("secrets", f"{len(wanted)} are named by champions, and are set here")
    message = f"champions name secrets that are not set here: {', '.join(missing)}"
    return warning("secrets", message, "set them in the environment of every worker")


def _trials(coalmine: Coalmine) -> HealthFinding:
    """Which trials are open. With canaries switched off an open one is a problem: nothing would decide it.

    As with the kill switch, the settings of the fleet's workers count, whatever this environment says.
    """
    trials = coalmine.trials.open_trials()
    names = ", ".join(trial.id for trial in trials)
    if trials and not coalmine.switch.settings_in_force().canaries:
        remedy = "start a worker and beat, whose harvest stops them, or use `coalmine trial stop`"
        return problem("trials", f"canaries are switched off and these trials are open: {names}", remedy)
    if held := coalmine.templates.held():
        waits = "; ".join(f"{one.id}: {one.reason}" for one in held)
        remedy = "do what it says, the trial is opened then, or reject the version"
        return warning("trials", f"versions wait for trials that cannot be opened: {waits}", remedy)
    return ok("trials", f"open: {names}" if trials else "none is open")


def _dead(coalmine: Coalmine) -> HealthFinding:
    """How many jobs used up their attempts; a person has to decide about each."""
    dead = coalmine.job_store.depths()["dead"]
    if not dead:
        return ok("dead-letters", "there is none")
    remedy = "see `coalmine job dead`, repair the cause, then `coalmine job retry JOB`"
    return warning("dead-letters", f"{dead} jobs used up their attempts", remedy)


def _paused(coalmine: Coalmine) -> HealthFinding:
    """Whether dispatch is paused, and why."""
    reason = coalmine.switch.reason()
    if reason is None:
        return ok("pause", "dispatch is not paused")
    return warning("pause", f"dispatch is paused: {reason}", "`coalmine resume` when it may go on")


def notifications(coalmine: Coalmine) -> HealthFinding:
    """Whether notifications reach their sinks; the first sink with a fault is the finding.

    Dead letters come before a sink that does not answer just now, because those are not sent again by
    themselves.
    """
    found = []
    for sink in SINK_NAMES:
        status, (waiting, dead) = coalmine.notices.status(sink), coalmine.notices.depths(sink)
        if dead:
            remedy = "see `coalmine notify list-dead`, repair the cause, then `coalmine notify retry-dead`"
            return warning("notifications", f"{sink} did not take {dead} notifications", remedy)
        if status is not None and status.failures:
            message = f"{sink} did not answer {status.failures} times in a row; {waiting} wait for it"
            return warning("notifications", message, "try it with `coalmine notify test done`")
        if status is not None:
            missed = f", {status.missed} events were trimmed before they were read" if status.missed else ""
            found.append(f"{waiting} wait for {sink}{missed}")
    return ok("notifications", "; ".join(found) or "nothing was sent to a sink yet")


def _limits(coalmine: Coalmine) -> HealthFinding:
    """Whether jobs wait because of the limits, and for which. Money is in USD, a day begins at midnight UTC.

    The limits are those of the fleet's workers, whatever this command's environment says; 0 is none. Jobs
    that wait for room are normal; only a spent day's budget is a warning.
    """
    limits, used = coalmine.job_store.limits_in_force(), coalmine.job_store.occupancy()
    most = f" of {limits.agents_at_once}" if limits.agents_at_once else ""
    message = f"{used.running}{most} agents at work, {used.held} jobs wait for room"
    uses = coalmine.job_store.budgets_in_force().uses(coalmine.costs.budgeted(coalmine.costs.today()))
    if limits.day_cost_usd:
        message += f", {used.spent_usd:.2f} of {limits.day_cost_usd:.2f} USD spent today"
    message += "".join(f"; today {use}" for use in uses)
    if limits.day_cost_usd and used.spent_usd >= limits.day_cost_usd:
        return warning(
            "limits", f"{message}: no job begins", "wait for midnight UTC, or raise job.day_cost_usd"
        )
    if reached := [use.of for use in uses if use.is_reached]:
        remedy = "wait for midnight UTC, or raise job.day_tokens, or its table [[budget]]"
        return warning("limits", f"{message}: no job of {', '.join(reached)} begins", remedy)
    return ok("limits", message)


def workers(app: Celery, *, wait_seconds: float) -> HealthFinding:
    """Whether any worker answers a ping, over the broker, within `wait_seconds`.

    No answer is a warning and not a problem: a fleet may be stopped on purpose. A busy worker of the solo
    pool does not answer while it runs a job.
    """
    try:
        answers = app.control.ping(timeout=wait_seconds)
    except (KombuError, OperationalError, OSError, RedisError) as error:
        return problem("workers", f"the broker does not answer: {error}", "see COALMINE_BROKER_URL")
    names = sorted(name for answer in answers or [] for name in answer)
    if names:
        return ok("workers", f"{len(names)} answered: {', '.join(names[:10])}")
    message = f"no worker answered within {wait_seconds:g} s; jobs wait in the queues"
    return warning(
        "workers", message, "start one with `celery -A coalmine worker`, or everything with `coalmine up`"
    )


def kill_switch(coalmine: Coalmine) -> HealthFinding:
    """Whether dispatch from forges is switched off in the fleet's workers.

    The settings of this environment are looked at where the store does not say what those of the workers are.
    """
    try:
        is_on, whose = coalmine.switch.settings_in_force().kill_switch, "the workers' settings"
    except STORE_AWAY:
        is_on, whose = coalmine.settings.kill_switch, "the settings here, and those of workers"
    if not is_on:
        return ok("kill-switch", "off")
    remedy = f"take kill_switch (COALMINE_KILL_SWITCH) from {whose} when work may be dispatched"
    return warning("kill-switch", "on: nothing is dispatched from any forge", remedy)


def secrecy(platform: str, user: int) -> HealthFinding:
    """Whether processes of this user hide their environment from its agents; see `tasks.secrecy`."""
    remedy = "run workers as a user of their own, not as root, on Linux; see docs/secrets.md"
    if not platform.startswith("linux"):
        message = "on this system agents can read the environment of workers of their user"
        return warning("secrecy", message, remedy)
    if user == 0:
        return warning("secrecy", "this is root: its agents could read the memory of its workers", remedy)
    return ok("secrecy", "workers of this user hide their environment from its agents")


def cgroups(home: CgroupHome | None) -> HealthFinding:
    """Whether a worker that is started like this command can give each turn a cgroup of its own."""
    if home is not None:
        return ok("cgroups", f"each turn has one of its own in {home.path}: what it started ends with it")
    message = "turns have none here; what they started is found by its marker, its session and its parents"
    return ok("cgroups", f"{message}: see docs/runtimes.md")


def git() -> HealthFinding:
    """Whether git is there and new enough; its first two numbers count."""
    needed = ".".join(map(str, MINIMUM_GIT))
    try:
        said = Git(Path.cwd(), timeout_seconds=10)("--version")
    except CoalmineError as error:
        return problem("git", str(error), f"install git {needed} or newer")
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if version >= MINIMUM_GIT:
        return ok("git", said)
    return problem("git", f"{said} is too old", f"install git {needed} or newer")


def local_forges(settings: Settings) -> list[HealthFinding]:
    """Whether local forges' paths are right: a git repository, and a folder of issues that can be written."""
    configured = [forge for forge in settings.forge if isinstance(forge, LocalConfig) and forge.is_served]
    found = [finding for forge in configured for finding in _local_forge(forge)]
    return found or [ok("local-forge", "not configured")]


def _local_forge(local: LocalConfig) -> list[HealthFinding]:
    """The findings about one forge; the one that is called `local` keeps the check's short name."""
    check = "local-forge" if local.name == "local" else f"local-forge-{local.name}"
    findings, repository, issues = [], local.repository or Path(), local.issues or Path()
    variable = variable_of("forge", local.name, "repository")
    git = LocalGit(repository, local.main or "")
    if not repository.is_dir():
        findings.append(problem(check, f"{repository} is not a git repository", f"correct {variable}"))
    elif fault := fault_of(git):
        findings.append(problem(check, fault.message, f"{fault.remedy}, or correct {variable}"))
    elif lacks_lfs(git):
        message = f"{repository} uses Git LFS, which is not installed here: agents find pointers, not files"
        findings.append(warning(check, message, "install git-lfs on every worker"))
    elif large := is_large(git):
        remedy = "see that git.files_seconds and git.transfer_seconds are enough"
        findings.append(warning(check, large, remedy))
    if fault := issues_fault(issues):
        variable = variable_of("forge", local.name, "issues")
        findings.append(problem(f"{check}-issues", fault.message, f"{fault.remedy}, or correct {variable}"))
    return findings or [ok(check, f"{repository}, issues in {issues}")]
