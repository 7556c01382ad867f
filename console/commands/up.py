"""`coalmine up`: the whole fleet on this machine, in the foreground.

The fleet and its programs are in `console.local`; this file checks the options, prepares the template and
prints what happens. The order: options, then that no other fleet runs here, then the server, then CI and
agent are tried, and only then are workers started. So a mistake is reported at once, and not by failing
jobs.

Two threads print: the main one, which runs the programs, and a follower of events. With `--json` standard
output has events alone.
"""

import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import typer

from console.input.up_options import (
    Agent,
    Agents,
    Allow,
    AllowRed,
    Ci,
    Issues,
    Label,
    Merge,
    Model,
    Prompt,
    Repo,
    Runtime,
    Secrets,
    State,
    Template,
    UpOptions,
)
from console.invocation import AsJson, Invocation, examples, started
from console.local.fleet import (
    DEFAULT_AGENTS,
    SPARE_SECONDS,
    FleetPlan,
    LocalFleet,
)
from console.local.fleet_ending import FleetEnding
from console.local.fleet_news import FleetNews
from console.local.fleet_place import DEFAULT_STATE, kept_state, running_variables
from console.local.last_options import LastOptions
from console.local.offered_agent import OfferedAgent, check_programs, take
from console.local.start_checks import (
    RED_WORDS,
    check_repository,
    check_start_on_red,
    red_mains,
    sandbox_words,
)
from console.output.event_views import event_document
from console.output.happenings import Happening
from console.output.rendering import Prose
from console.output.settings_view import changed_settings
from console.output.terminal import Terminal
from routing.errors import ConflictError
from routing.events import Event
from routing.forges.local.config import LocalConfig
from routing.forges.local.forge import LocalForge
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import SandboxKind
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tasks.composition.sites import local_configs
from tasks.settings.forge_tables import ForgeTables, variable_of
from tasks.settings.settings import Settings, file_values, settings_file

#: Printed when no forge is polled for issues.
NO_ISSUES = (
    "No forge is polled for issues: answer the questions of `coalmine init`, give --repo and --issues, or "
    "see `coalmine doctor` for what your settings lack. `coalmine enqueue` works without one."
)

#: The template that is made where neither an option nor a forge names one.
DEFAULT_TEMPLATE = "implementer"


up_app = typer.Typer()


@up_app.command(
    epilog=examples(
        "up --repo . --issues issues --ci 'pytest -q' --runtime claude --merge never",
        "up --repo ../shop --issues ../shop-issues --ci 'make test' --agent \"$PWD/agent.sh\"",
        "up",
    )
)
def up(
    ctx: typer.Context,
    *,
    repo: Repo = None,
    issues: Issues = None,
    ci: Ci = None,
    runtime: Runtime = None,
    model: Model = None,
    agent: Agent = None,
    prompt: Prompt = None,
    secrets: Secrets = None,
    allow: Allow = None,
    template: Template = None,
    label: Label = None,
    merge: Merge = None,
    allow_red: AllowRed = None,
    agents: Agents = None,
    state: State = DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """Start the fleet: a private Redis server, workers, beat, pages. Ctrl-C ends it; `up` goes on.

    Options that were given are kept with the state, so `coalmine up` alone goes on with them. The
    environment and the settings file count more than what is kept.

    Its pages are at http://127.0.0.1:8321 (COALMINE_WEB__PORT), or at a free port where that one is taken.
    Where a forge that sends webhooks is set up, they are taken there.

    Other `coalmine` commands that you run in the same folder find it by themselves. With --json its events
    are printed, one JSON object on each line; everything else goes to standard error.
    """
    given = UpOptions.given(
        ctx, repo=repo, issues=issues, ci=ci, label=label, merge=merge, template=template, agents=agents,
        allow_red=allow_red, runtime=runtime, model=model, agent=agent, prompt=prompt, secrets=secrets,
        allow=allow,
    )  # fmt: skip
    speaker = _Speaker(Terminal(as_json=as_json))
    state = _state(ctx, state, speaker)
    # Two fleets with one state folder would write into the same server data and work trees.
    if running_variables(state):
        message = (
            f"a fleet is already running with its state in {state}; end it first, or name another --state"
        )
        raise ConflictError(message)
    plan = _plan(started(ctx), given, state)
    with LocalFleet(plan) as fleet:
        for line in changed_settings(fleet.coalmine.settings, fleet.origins):
            speaker.say(line)
        if others := fleet.others():
            speaker.say(others)
        local = local_configs(fleet.coalmine.settings)
        # Before any worker runs: a broken repository, CI or agent would make every job fail.
        forges = _checked_forges(local)
        parts, worked_by = fleet.coalmine, given.template or _template(fleet.coalmine.settings)
        offered = OfferedAgent.of(
            parts.settings.up, fleet.origins, os.environ, sandbox=parts.settings.agent.sandbox
        )
        for line in check_programs(parts, worked_by, offered, forges=forges, environment=os.environ):
            speaker.say(line)
        if red := red_mains(forges, speaker.say):
            allowed = all(each.allow_red for each in local if each.name in red)
            is_first = not LastOptions(state).are_kept
            _go_on_with_red(red.values(), allowed=allowed, is_first=is_first, speaker=speaker)
        is_needed = any(each.template == worked_by for each in local)
        for line in take(parts, worked_by, offered, is_needed=is_needed):
            speaker.say(line)
        if worked_by in fleet.coalmine.templates.names():
            kind = fleet.coalmine.templates.champion(worked_by).snapshot.sandbox or SandboxKind.NONE
            speaker.say(sandbox_words(find_bubblewrap(), kind))
        LastOptions(state).keep(plan.variables)
        for line in _unread(fleet.coalmine):
            speaker.say(line)
        if not fleet.coalmine.settings.poll_intervals:
            speaker.say(NO_ISSUES)
        _run(fleet, speaker)


def _state(ctx: typer.Context, given: Path, speaker: "_Speaker") -> Path:
    """The folder that --state names; without the option the one that it named before, which is said."""
    source = ctx.get_parameter_source("state")
    if source is not None and source.name == "COMMANDLINE":
        return given
    kept = kept_state()
    if kept != given:
        speaker.say(f"The state is in {kept}; --state {given} begins anew in this folder.")
    return kept


def _checked_forges(local: Iterable[LocalConfig]) -> list[LocalForge]:
    """The local forges; InvalidInputError where no agent can work for a repository."""
    forges = [LocalForge.of(config) for config in local]
    for forge in forges:
        check_repository(forge)
    return forges


def _template(settings: Settings) -> str:
    """The template that works on the issues of the local forges, or of the only other one."""
    served = {forge.template for forge in (local_configs(settings) or settings.forge) if forge.is_served}
    return served.pop() if len(served) == 1 else DEFAULT_TEMPLATE


def _unread(parts: Coalmine) -> list[str]:
    """What the last look of an earlier fleet could not take in; what this one finds anew is an event."""
    forges = ForgeParts(coalmine=parts, run_ci=lambda _commit: None)
    found = forges.problems.read(forges.served_places())
    return [
        f"{one.where} {one.message} (as it was last looked at)" for listed in found.values() for one in listed
    ]


def _plan(invocation: Invocation, given: UpOptions, state: Path) -> FleetPlan:
    """What to start: the options, and below file and environment what the last `up` was given."""
    last = LastOptions(state).read()
    before = invocation.variables
    if "COALMINE_CONFIG" in last and "COALMINE_CONFIG" not in {**os.environ, **before}:
        before["COALMINE_CONFIG"] = last["COALMINE_CONFIG"]
    file = settings_file({**os.environ, **before})
    in_file = file_values(file)
    tables = ForgeTables.read(in_file, {**os.environ, **before})
    store = {**os.environ, **before}.get("COALMINE_REDIS_URL") or in_file.get("redis_url")
    last = LastOptions(state).read(store=store)
    names = tables.local_names()
    defaults = {variable_of("forge", name, "per_repo"): str(DEFAULT_AGENTS) for name in names}
    return FleetPlan(
        state=state,
        variables=before | given.variables(tables.local_name(), names),
        unsaid=defaults | last,
        last_up=frozenset(last),
        agents=given.agents,
        door=True,
        is_found_here=True,
    )


class _Speaker:
    """Prints what happens. With --json only events go to standard output, the rest to standard error.

    Both threads use it, each for its own kind of line.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    @property
    def as_json(self) -> bool:
        """Whether a script reads what is printed."""
        return self._terminal.as_json

    def say(self, words: str) -> None:
        """Print something that is not an event."""
        if self._terminal.as_json:
            self._terminal.note(words)
        else:
            self._terminal.line({}, Prose(words))

    def tell(self, event: Event, shown: Happening | None) -> None:
        """Print what happened: for scripts every event, for people what concerns them."""
        if self._terminal.as_json or shown is not None:
            self._terminal.line(event_document(event), shown or "")


def _go_on_with_red(red: Iterable[str], *, allowed: bool, is_first: bool, speaker: _Speaker) -> None:
    """Say which main branch is red; ask on a terminal. Raises ConflictError when it is not to start."""
    for words in red:
        speaker.say(words)
    asks = sys.stdin.isatty() and not speaker.as_json

    def ask() -> bool:
        speaker.say(RED_WORDS)
        return typer.confirm("Start all the same?", err=True)

    words = check_start_on_red(allowed=allowed, is_first=is_first, ask=ask if asks else None)
    if not asks or allowed:
        speaker.say(words)


def _run(fleet: LocalFleet, speaker: _Speaker) -> None:
    """Run the programs until Ctrl-C, while a thread prints the events.

    Raises ProgramFailedError when a program dies too often. The follower is stopped in either case, and
    given five seconds, which is longer than one of its waits.
    """
    supervisor = fleet.programs()
    stop = threading.Event()
    news = FleetNews(fleet.coalmine, tell=speaker.tell, say=speaker.say)
    follower = threading.Thread(target=news.follow, args=(stop,), name="events", daemon=True)
    speaker.say(f"The fleet is starting; logs are in {fleet.log_folder}, Ctrl-C ends it.")
    if fleet.door is not None:
        speaker.say(f"Look at it in a browser: {fleet.door.address}")
    if fleet.why_no_lock:
        speaker.say(f"Note that {fleet.why_no_lock}.")
    if fleet.why_no_door:
        speaker.say(f"Its pages are not served: {fleet.why_no_door}.")
    if fleet.door is not None and fleet.door.takes_webhooks:
        speaker.say(f"Webhooks are taken at {fleet.door.address}/webhook/github and the like.")
    ending = FleetEnding(fleet.coalmine, speaker.say, worker=fleet.worker)
    try:
        follower.start()  # it waits for the thread, so Ctrl-C may come here, and the store is closed then
        supervisor.run(on_ending=lambda seconds: ending.watch(seconds - SPARE_SECONDS))
    finally:
        stop.set()
        if follower.is_alive():
            follower.join(timeout=5)
        ending.ended()
    speaker.say("The fleet has ended; its data is kept for the next start.")
