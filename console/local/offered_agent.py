"""The agent that `coalmine up` was given, by options or settings, and what becomes of it.

It is the first version of a template that does not exist yet, and otherwise a proposal: it never replaces a
champion by itself, that is what trials are for. Its program is looked at before anything is started.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from console.local.start_checks import check_agent
from routing.errors import InvalidInputError
from routing.forges.local.forge import LocalForge
from routing.sandbox.profile import SandboxKind, SandboxProfile
from routing.templates.templates import checked_snapshot
from routing.templates.version import Snapshot
from tasks.agents.accounts.leased_accounts import readiness_on_accounts
from tasks.agents.runtimes.readiness import Ask
from tasks.agents.runtimes.registry import PROGRAMS, RUNTIMES
from tasks.composition.composition import Coalmine
from tasks.settings.origins import Origin, Origins
from tasks.settings.up_settings import UpSettings

#: How an agent is named to `up`.
HOW = f"give --runtime {'|'.join(PROGRAMS)}, or --agent 'CMD' for any other program"


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedAgent:
    """A version's content, and whether it was asked for now or stands in settings since an earlier start."""

    snapshot: Snapshot
    asked: bool

    @classmethod
    def of(
        cls, settings: UpSettings, origins: Origins, environment: Mapping[str, str],
        *, sandbox: SandboxKind | None = None,
    ) -> Self | None:  # fmt: skip
        """What the settings describe; None when they name no agent. InvalidInputError for half of one.

        A known program gets the keys of this environment by their names, and is said where its files and its
        model are, as the person's own shell says it.
        """
        runtime = settings.runtime or ("command" if settings.agent else None)
        given = [
            name for name in ("runtime", "agent", "model", "prompt", "secrets") if getattr(settings, name)
        ]
        if runtime is None:
            if given:
                message = f"up.{given[0]} is given without an agent; {HOW}"
                raise InvalidInputError(message)
            return None
        if runtime not in RUNTIMES:
            message = f"no agent program is known as {runtime[:40]!r}; {HOW}"
            raise InvalidInputError(message)
        if (runtime == "command") != (settings.agent is not None):
            message = (
                f"up.runtime is {runtime} and up.agent is {settings.agent!r}, which do not describe one "
                "agent; set the first for a known program, or the second for any other"
            )
            raise InvalidInputError(message)
        program = PROGRAMS.get(runtime)
        keys = program.keys_in(environment) if program else ()
        hosts = program.hosts_in(environment) if program else ()
        allowed = tuple(dict.fromkeys([*hosts, *settings.allow]))
        snapshot = checked_snapshot(
            runtime=runtime,
            command=settings.agent,
            model=settings.model,
            prompt=settings.prompt,
            secrets=tuple(dict.fromkeys([*keys, *settings.secrets])),
            environment=program.surroundings_in(environment) if program else {},
            sandbox=sandbox,
            profile=SandboxProfile(allow=allowed) if allowed else None,
        )
        return cls(snapshot=snapshot, asked=any(origins.of(("up", name)) is Origin.OPTION for name in given))

    def is_one_of(self, others: Sequence[Snapshot]) -> bool:
        """Whether this agent was offered before; that other keys are set today makes it no other agent."""
        return any(_essence(self.snapshot) == _essence(other) for other in others)


def _essence(snapshot: Snapshot) -> tuple[str, str | None, str | None, str]:
    return snapshot.runtime, snapshot.command, snapshot.model, snapshot.prompt


def check_programs(
    parts: Coalmine,
    template: str,
    offered: OfferedAgent | None,
    *,
    forges: Sequence[LocalForge] = (),
    environment: Mapping[str, str],
    ask: Ask | None = None,
) -> list[str]:
    """Look whether the agents that are about to work can be run here; returns what was found, as lines.

    Those are the champion of the template, and what is offered. A command is looked for in each repository.
    Raises InvalidInputError with what is lacking and how to get it: otherwise every job would wait for it.
    """
    snapshots = []
    if template in parts.templates.names():
        snapshots.append(parts.templates.champion(template).snapshot)
    if offered is not None and (offered.asked or not snapshots):
        snapshots.append(offered.snapshot)
        if offered.snapshot.command is not None:
            for forge in forges:
                check_agent(offered.snapshot.command, forge)
    lines = []
    for text in dict.fromkeys(map(Snapshot.canonical, snapshots)):
        snapshot = Snapshot.model_validate_json(text)
        ready = readiness_on_accounts(parts.pools, snapshot, environment, ask)
        if ready is not None and ready.lack:
            message = f"nothing was started: {ready.words}"
            raise InvalidInputError(message)
        if ready is not None:
            lines.append(f"{ready.title} is installed and logged in" + _given(snapshot))
    return lines


def _given(snapshot: Snapshot) -> str:
    """The names of what agents are given besides."""
    return f"; agents are given {', '.join(snapshot.secrets)}" if snapshot.secrets else ""


def take(parts: Coalmine, template: str, offered: OfferedAgent | None, *, is_needed: bool) -> list[str]:
    """Make the template if it is missing, or propose the version, and return what was done, as lines.

    Without an offered agent an existing template is used as it is; InvalidInputError when there is none
    although issues are to be worked on. Starting `up` again with the same agent changes nothing.
    """
    known = template in parts.templates.names()
    if offered is None:
        if not known and is_needed:
            message = (
                f"template {template} does not exist yet, so nobody would work on the issues: {HOW}, or make "
                f"it with `coalmine template add {template}`"
            )
            raise InvalidInputError(message)
        return []
    if not known:
        made = parts.templates.add(template, offered.snapshot, note="made by coalmine up").version
        return [f"{made.id} is the champion; it runs: {_words(offered.snapshot)}"]
    if not offered.asked and offered.is_one_of([v.snapshot for v in parts.templates.versions(template)]):
        return []
    step, begun = parts.proposals.propose(template, offered.snapshot, note="given to coalmine up")
    if not step.changed:
        return [f"{step.version.id} ({step.version.state}) has this agent already"]
    if begun is not None:
        return [f"{step.version.id} has the new agent and is on trial ({begun.run.id})"]
    what = f"{step.version.id} has the new agent and is {step.version.state}; the champion works on."
    return [what, f"Try it with: coalmine trial open {step.version.id}"]


def _words(snapshot: Snapshot) -> str:
    """The program of a version for people."""
    if snapshot.command is not None:
        return snapshot.command
    model = f" with the model {snapshot.model}" if snapshot.model else ""
    return f"{PROGRAMS[snapshot.runtime].name}{model}"
