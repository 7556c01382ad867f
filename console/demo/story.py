"""The story of the demonstration: two trials, each run to its verdict on a real fleet.

A worse version is proposed and rolled back, then a better one and it graduates. The fleet decides both by
itself; the story only proposes versions, files issues as fast as they are finished, and waits. The same
seed draws the same arms and gives the agent the same luck, but jobs may end in another order, so the number
of jobs until a verdict can differ by a few.
"""

import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from console.demo.shop import Shop
from console.local.fleet import FleetPlan, LocalFleet
from console.local.start_checks import sandbox_words
from routing.errors import UnavailableError
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import SandboxKind
from routing.templates.trial import Trial
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine

TEMPLATE = "implementer"

#: The prompts of the three versions; the scripted agent acts on them.
CHAMPION = "You write price rules for a shop."
HASTY = "You write price rules for a shop, as fast as you can."
CAREFUL = "You write price rules for a shop. Before you commit a rule, run its test."

#: Keeps a person's configuration of git (signing, hooks, templates) out of the story.
NO_GIT_CONFIGURATION = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

#: How many issues are kept open: enough to keep the agents busy.
OPEN_ISSUES = 6

#: Characters of a folder for temporary files in which a socket can still be made; the limit is about 100.
LONGEST_TEMPORARY = 60

#: Rules of the shop: more than any seed has needed.
RULES = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class StoryPlan:
    """How the story is played."""

    folder: Path  # everything is written here
    seed: int  # of the draws and of the agent's luck
    agents: int = 4
    longest_seconds: float = (
        600.0  # then UnavailableError is raised; a busy machine takes many times the usual minute
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """One trial of the story."""

    title: str
    prompt: str  # of the canary
    trial: Trial  # as it ended


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What happened, in numbers."""

    chapters: tuple[Chapter, ...]
    seconds: float
    jobs: int
    merges: int
    champion: str  # version id at the end
    seed: int
    pages: str  # the address of the fleet's pages; "" where none are served

    @property
    def page(self) -> str:
        """The address of the page of the last trial; "" where no pages are served."""
        return page_of(self.pages, self.chapters[-1].trial)


def page_of(pages: str, trial: Trial) -> str:
    """The address of a trial's page; "" where no pages are served."""
    return f"{pages}/trials/{trial.id}" if pages else ""


#: Called a few times a second with the fleet, the chapter's title and its trial.
Watcher = Callable[[Coalmine, str, Trial], None]


def play(
    plan: StoryPlan, *, watch: Watcher, say: Callable[[str], None], show: Callable[[Played], None]
) -> None:
    """Play the story; UnavailableError when a trial has no verdict in time. `say` gets each step.

    `show` gets what happened, while the fleet and its pages are still there. It, `watch` and `say` are called
    in this thread, and hold up the story while they run. The fleet has ended when this returns or raises;
    everything that it wrote stays in the plan's folder.
    """
    begun = time.monotonic()
    shop = Shop(plan.folder, rules=RULES)
    say("Making a git repository with failing tests, and its issues")
    shop.build()
    with LocalFleet(_fleet_plan(plan, shop)) as fleet:
        say("Starting a private Redis server, two Celery workers, beat and the pages")
        parts, pages = fleet.coalmine, "" if fleet.door is None else fleet.door.address
        if pages:
            say(f"Look at it in a browser: {pages}")
        elif fleet.why_no_door:
            say(f"Its pages are not served: {fleet.why_no_door}.")
        say(sandbox_words(find_bubblewrap(), SandboxKind.AUTO))
        parts.templates.add(TEMPLATE, _snapshot(plan, CHAMPION), note="the version that works today")
        telling = _Telling(plan=plan, shop=shop, parts=parts, watch=watch, say=say, begun=begun, pages=pages)
        with fleet.programs():
            chapters = (
                telling.chapter("A hasty prompt", HASTY),
                telling.chapter("A careful prompt", CAREFUL),
            )
            telling.finish()
            show(
                Played(
                    chapters=chapters,
                    seconds=time.monotonic() - begun,
                    jobs=sum(job.state.is_final for job in parts.jobs.newest(most=RULES)),
                    merges=shop.merges(),
                    champion=parts.templates.champion(TEMPLATE).id,
                    seed=plan.seed,
                    pages=pages,
                )
            )


@dataclass(kw_only=True)
class _Telling:
    """The story while it is played: `chapter` for each trial, then `finish`; both block until then."""

    plan: StoryPlan
    shop: Shop
    parts: Coalmine
    watch: Watcher
    say: Callable[[str], None]
    begun: float
    pages: str  # their address, or ""

    def chapter(self, title: str, prompt: str) -> Chapter:
        """Propose a version, open its trial, and file issues until the evidence decides.

        Returns the trial as it ended. UnavailableError when the time or the issues are used up before that.
        """
        step, _ = self.parts.proposals.propose(TEMPLATE, _snapshot(self.plan, prompt), note=title)
        policy = self.parts.settings.canary.policy
        trial = self.parts.proposals.open(step.version, policy, by="the demonstration").trial
        self.say(f"{title}: {step.version.id} is tried against {trial.champion_id}, share {policy.share:g}")
        if page := page_of(self.pages, trial):
            self.say(f"{title}: its page is {page}")
        while trial.is_open:
            self._file_issues()
            self._look(title, trial)
            trial = self.parts.trials.find(trial.id)
        self.watch(self.parts, title, trial)
        return Chapter(title=title, prompt=prompt, trial=trial)

    def finish(self) -> None:
        """Pause dispatch and wait until all jobs have ended.

        Otherwise agents that are at work would be stopped in the middle, and the numbers would change after
        the end.
        """
        self.parts.switch.pause("the demonstration is over")
        self.say("Waiting for the jobs that are still running")
        while self._busy():
            self._in_time("the last jobs")
            time.sleep(0.2)

    def _busy(self) -> int:
        """How many jobs run, or wait for CI."""
        depths = self.parts.job_store.depths()
        return depths["running"] + depths["waiting"]

    def _file_issues(self) -> None:
        """Keep OPEN_ISSUES open: enough for the agents, and few enough that a verdict leaves little over."""
        done = sum(job.state.is_final for job in self.parts.jobs.newest(most=RULES))
        missing = OPEN_ISSUES - (self.shop.filed - done)
        if missing > 0 and self.shop.file_issues(missing) == 0:
            message = (
                f"the demonstration used all of its {RULES} issues without a verdict; try another --seed"
            )
            raise UnavailableError(message)

    def _look(self, title: str, trial: Trial) -> None:
        """Show the trial and wait a moment; raises when the story takes too long."""
        self.watch(self.parts, title, trial)
        self._in_time(f"{trial.id}")
        time.sleep(0.2)

    def _in_time(self, what: str) -> None:
        if time.monotonic() - self.begun > self.plan.longest_seconds:
            message = (
                f"the demonstration was given up: {what} did not end within {self.plan.longest_seconds:g} s; "
                f"the logs are in {self.plan.folder / 'state' / 'logs'}"
            )
            raise UnavailableError(message)


def _snapshot(plan: StoryPlan, prompt: str) -> Snapshot:
    """A version whose agent is the scripted one, run by this Python, with the seed in its environment."""
    program = Path(__file__).with_name("agent.py")
    command = " ".join(shlex.quote(part) for part in (sys.executable, "-I", "-S", str(program)))
    environment = {"DEMO_SEED": str(plan.seed), **NO_GIT_CONFIGURATION}
    return Snapshot(prompt=prompt, command=command, environment=environment, sandbox=SandboxKind.AUTO)


def _fleet_plan(plan: StoryPlan, shop: Shop) -> FleetPlan:
    """A fleet of the story's own: nothing of the current folder or of the environment's settings reaches it.

    Its programs put temporary files below the story's folder too, unless that makes the paths of sockets too
    long; so nothing is left of one that was killed.
    """
    settings, temporary = plan.folder / "coalmine.toml", plan.folder / "tmp"
    settings.write_text("# The demonstration has all of its settings from variables.\n", encoding="utf-8")
    temporary.mkdir()
    return FleetPlan(
        state=plan.folder / "state",
        variables=_variables(plan, shop) | {"COALMINE_CONFIG": str(settings)},
        agents=plan.agents,
        door=True,
        folder=plan.folder,
        temporary=temporary if len(str(temporary)) < LONGEST_TEMPORARY else None,
    )


def _variables(plan: StoryPlan, shop: Shop) -> dict[str, str]:
    """Settings that make a story of a minute instead of a week. All of them are public settings."""
    ci = " ".join(shlex.quote(part) for part in (sys.executable, "-I", "ci.py"))
    return {
        "COALMINE_SEED": str(plan.seed),
        "COALMINE_NAMESPACE": "demo",
        "COALMINE_LOG_LEVEL": "info",
        "COALMINE_CANARY__ENABLED": "true",
        "COALMINE_CANARY__POLICY": '{"share": 0.5, "revert_window_seconds": 0}',
        "COALMINE_TIMES__HARVEST_INTERVAL_SECONDS": "1",
        "COALMINE_TIMES__WATCH_INTERVAL_SECONDS": "1",
        "COALMINE_TIMES__SWEEP_INTERVAL_SECONDS": "1",
        "COALMINE_JOB__DRAIN_GRACE_SECONDS": "1",
        "COALMINE_FORGE__LOCAL__REPOSITORY": str(shop.repository),
        "COALMINE_FORGE__LOCAL__ISSUES": str(shop.issues),
        "COALMINE_FORGE__LOCAL__CI": ci,
        "COALMINE_FORGE__LOCAL__MERGE": "green",
        "COALMINE_FORGE__LOCAL__JUDGE_MERGES": "false",  # each rule is a file of its own: none breaks another
        "COALMINE_FORGE__LOCAL__TEMPLATE": TEMPLATE,
        "COALMINE_FORGE__LOCAL__PER_REPO": str(OPEN_ISSUES),
        "COALMINE_FORGE__LOCAL__POLL_INTERVAL_SECONDS": "0.5",
        "COALMINE_TIMES__DISPATCH_INTERVAL_SECONDS": "0.5",
        "COALMINE_ISSUES__WATCH__FIX_FORWARDS": "0",  # a red job has its score at once, and is not repaired
    }
