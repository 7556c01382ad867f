"""Runs the agent of one claimed job: work tree, prompt, turn, push. What goes wrong comes back as a fact."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from routing.errors import ConflictError, InvalidInputError, SettingsError, UnavailableError
from routing.job import Job, JobResult
from routing.jobs import Claim
from routing.signal import SignalKind
from routing.store.log_store import LogStore
from tasks.agents.agent_event import AgentEvent, ResultEvent, TextEvent, ToolEvent
from tasks.agents.environment import AgentIdentity, agent_environment, secret_values
from tasks.agents.orphans import end_turns_of
from tasks.agents.process_group import SpawnError
from tasks.agents.process_table import ProcessTable
from tasks.agents.prompt import PromptInput, compose
from tasks.agents.repository_place import RepositoryPlace
from tasks.agents.runtime import RuntimeRefusedError, RuntimeSpec, TurnInput
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.stop_signal import StopReason, StopSignal
from tasks.agents.turn import run_turn
from tasks.agents.turn_limits import TurnLimits
from tasks.agents.turn_result import TurnResult
from tasks.agents.worktree import PushRefusedError, Worktree, open_worktree
from tasks.outcome import Ran

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerRules:
    """What the runner is told by the settings."""

    work_dir: Path
    limits: TurnLimits
    commit_leftovers: bool


class AgentRunner:
    """One a worker process, shared by its threads."""

    def __init__(
        self, *, rules: RunnerRules, remotes: Mapping[str, str], environment: Mapping[str, str],
        log: LogStore, holds: Callable[[Claim], bool],
    ) -> None:  # fmt: skip
        self._rules = rules
        self._remotes = remotes  # address of each repository that the fleet knows, by name
        self._environment = environment  # the worker's own
        self._log = log
        self._holds = holds  # whether a lease is still ours
        self._table = ProcessTable()

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Run one attempt. Faults that are not the agent's are told apart here, where they happen."""
        try:
            return self._run(claim, stop)
        except RuntimeRefusedError as error:
            return _fault(SignalKind.AGENT_ERRORED, error)
        except SettingsError as error:  # a secret that the version names is not there
            return _fault(SignalKind.AUTHENTICATION, error)
        except PushRefusedError as error:  # somebody else works on the branch
            return _fault(SignalKind.CANCELLED, error)
        except SpawnError as error:
            return _fault(SignalKind.MACHINE_LOST, error)
        except (UnavailableError, ConflictError, InvalidInputError, OSError) as error:
            return _fault(SignalKind.UNREACHABLE, error)

    def _run(self, claim: Claim, stop: StopSignal) -> Ran:
        job = claim.job
        spec = RuntimeSpec.of(claim.version.snapshot)
        runtime_for(spec)  # refused by name before anything changes
        if job.fence > 1:  # somebody had it before: nobody but us may be at work in its tree
            end_turns_of(job.id, self._table)
        if not job.request.repository:
            folder = self._rules.work_dir / "scratch" / job.id
            folder.mkdir(parents=True, exist_ok=True)
            return _ran(self._turn(claim, spec, folder, stop), has_repository=False)
        tree = open_worktree(
            RepositoryPlace(work_dir=self._rules.work_dir, repository=job.request.repository),
            remote=self._remote(job.request.repository),
            job_id=job.id,
        )
        turn = self._turn(claim, spec, tree.path, stop, tree=tree)
        ran = _ran(turn, has_repository=True)
        if not turn.clean:
            return ran
        if not self._holds(claim):  # git knows no fence: a push after the lease would overtake its heir's
            return replace(ran, ended_by=StopReason.LEASE_LOST.value)
        pushed = tree.push(keep_leftovers=self._rules.commit_leftovers)
        result = replace(ran.result, commit=pushed.commit or "", branch=tree.branch)
        return replace(ran, result=result)

    def _remote(self, repository: str) -> str:
        address = self._remotes.get(repository)
        if address is None:
            known = ", ".join(sorted(self._remotes)) or "none"
            message = f"this worker knows no repository {repository} (known: {known}); see its settings"
            raise InvalidInputError(message)
        return address

    def _turn(
        self, claim: Claim, spec: RuntimeSpec, folder: Path, stop: StopSignal, tree: Worktree | None = None
    ) -> TurnResult:
        job = claim.job
        files = self._rules.work_dir / "turns" / job.id / str(job.fence)
        prompt_file = files.resolve() / "prompt.md"
        identity = AgentIdentity(
            job_id=job.id,
            agent=claim.version.id,
            issue=job.request.issue,
            attempt=job.attempts,
            branch=tree.branch if tree else "",
        )
        turn = TurnInput(
            prompt=compose(_prompt(claim, tree)),
            worktree=folder.resolve(),
            environment=agent_environment(
                self._environment, spec=spec, identity=identity, prompt_file=prompt_file
            ),
            prompt_file=prompt_file,
            log_file=files / "turn.log",
            secrets=secret_values(self._environment, spec),
        )
        limits = replace(self._rules.limits, time_limit_seconds=self._rules.limits.time_limit_of(spec))
        return run_turn(
            runtime_for(spec),
            turn,
            stop=stop,
            table=self._table,
            limits=limits,
            on_event=self._listener(job),
        )

    def _listener(self, job: Job) -> Callable[[AgentEvent], None]:
        def hear(event: AgentEvent) -> None:
            match event:
                case TextEvent(text=text):
                    self._log.say(job.id, "text", text)
                case ToolEvent(name=name, detail=detail):
                    self._log.say(job.id, "tool", f"{name} {detail}".strip())
                case ResultEvent(text=text, is_error=is_error):
                    self._log.say(job.id, "error" if is_error else "result", text)
                case _:
                    pass

        return hear


def _prompt(claim: Claim, tree: Worktree | None) -> PromptInput:
    job = claim.job
    kind = "redispatch" if job.kind == "redispatch" and tree is not None and tree.resumed else "first"
    return PromptInput(
        kind=kind,
        version_prompt=claim.version.snapshot.prompt,
        title=job.request.title,
        task=job.request.task,
        issue=job.request.issue,
        branch=tree.branch if tree else "",
        recap=f"{job.reason}\n{job.result.tail}".strip(),
    )


def _ran(turn: TurnResult, *, has_repository: bool) -> Ran:
    result = JobResult(
        exit_code=turn.exit_code,
        ended_by=turn.ended_by.value,
        duration_seconds=round(turn.duration_seconds, 3),
        cost_usd=turn.usage.cost_usd,
        tail=turn.output_tail[-1000:],
    )
    return Ran(ended_by=turn.ended_by.value, clean=turn.clean, has_repository=has_repository, result=result)


def _fault(kind: SignalKind, error: Exception) -> Ran:
    _log.warning("turn.not_run", fault=kind.value, reason=str(error))
    return Ran(ended_by="fault", fault=kind, note=str(error)[:1000])
