"""Backtests and ways, wired: making and proving cases, beginning and running backtests, opening steps.

Each function imports what it makes, as commands that only read ask for ways and run no backtest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from routing.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from harvest.backtests.case import Case
    from harvest.trials.opening import Proposals
    from harvest.trials.ways import BacktestSteps, Ways
    from routing.forges.change_request import RequestText
    from routing.git.git import Git
    from routing.issues.issue import IssueRef
    from tasks.agents.pairs.judge import Judge
    from tasks.backtests.collecting import CaseCollector, IssueText
    from tasks.backtests.opening import BacktestOpening
    from tasks.backtests.running import BacktestRuns
    from tasks.composition.composition import Coalmine
    from tasks.composition.forge_parts import ForgeParts


@dataclass(frozen=True, kw_only=True)
class CaseParts:
    """What makes cases of a repository that the settings serve."""

    parts: Coalmine
    forges: ForgeParts
    command: str = ""  # of a judge in place of the settings', which the cases then keep
    keeps_changed: bool = False  # also cases whose issue was, or may have been, changed after their change

    def repository(self, named: str) -> str:
        """`forge:repo` of a repository by its name, "" for the only one. InvalidInputError."""
        places = self.forges.served_places()
        fitting = [place for place in places if named in {"", place, place.partition(":")[2]}]
        if len(fitting) == 1:
            return fitting[0]
        known = ", ".join(places[:10]) or "none"
        which = f"{named!r} is not one of them" if named else "give the one that is meant"
        message = f"the settings serve these repositories: {known}; {which}"
        raise InvalidInputError(message)

    def place_of_line(self, named: str, other_name: str = "") -> Callable[[str], str | None]:
        """What finds the repository of a line of the common form by its `repo`; None: it is not imported.

        `named` is the only one that is asked for, or "" for every served one; `other_name` is what lines
        call it, where that is another name, and asks for that one alone too. InvalidInputError.
        """
        from tasks.backtests.common_import import place_named

        alone = self.repository(named) if named or other_name else None
        if alone is not None and other_name:
            return lambda repo: alone if repo == other_name else None
        places = self.forges.served_places() if alone is None else [alone]
        return lambda repo: place_named(repo, places)

    @contextmanager
    def scratch(self, repository: str) -> Iterator[tuple[Git, str]]:
        """A scratch copy of a repository, and the newest commit of its main branch."""
        from tasks.agents.pairs.sealed_repository import scratch_repository
        from tasks.agents.repository.place import RepositoryPlace

        remote = self.forges.remotes.get(repository)
        if remote is None:
            message = f"the settings serve no repository {repository}"
            raise InvalidInputError(message)
        settings = self.parts.settings
        place = RepositoryPlace(work_dir=settings.agent.work_dir, repository=repository, limits=settings.git)
        with scratch_repository(place, remote) as (git, main):
            yield git, main

    def judge(self, case: Case) -> Judge:
        """The judge of a case. ConflictError when nothing can judge it."""
        from tasks.composition.judges import judge_of_case

        asked = case.model_copy(update={"judge": self.command}) if self.command else case
        found = judge_of_case(self.parts.settings, asked)
        if found is None:
            message = (
                f"nothing can judge work on {case.repository}; set `judge.command`, or CI of the local "
                "forge, or give --judge"
            )
            raise ConflictError(message)
        return found

    @contextmanager
    def collector(self, repository: str) -> Iterator[CaseCollector]:
        """What makes cases of a repository's past."""
        from routing.issues.issue import IssueRef
        from tasks.backtests.collecting import CaseCollector

        forge, _, repo = repository.partition(":")
        own = IssueRef(forge=forge, repo=repo, number=1)
        with self.scratch(repository) as (git, main):
            yield CaseCollector(
                git=git, main=main, own=own, judge=self.judge, job=self.parts.job_store.read,
                issue=self._issue, requests=partial(self._requests, own), command=self.command,
                work_dir=git.directory.parent / "judge", keeps_changed=self.keeps_changed,
            )  # fmt: skip

    def _requests(self, own: IssueRef, commit: str) -> Sequence[RequestText]:
        """What change requests say that brought a commit; local forges have none."""
        from routing.forges.forge import KnowsRequests

        site = self.forges.sites.get(own.forge)
        forge = site.forge if site is not None else None
        return forge.requests_of(own.repo, commit) if isinstance(forge, KnowsRequests) else ()

    def _issue(self, ref: IssueRef) -> IssueText | None:
        from routing.forges.errors import ForgeGoneError
        from tasks.backtests.collecting import IssueText

        place = self.forges.sources.get(ref.forge)
        try:
            issue = place.forge.read_issue(ref) if place is not None else None
        except ForgeGoneError:
            issue = None
        if issue is None:
            return None
        return IssueText(title=issue.title, body=issue.body, text="now", updated_at=issue.updated_at)


def ways_of(parts: Coalmine) -> Ways:
    """What takes versions from one step to the next. What makes backtests is made with the first one."""
    from harvest.trials.ways import Ways

    steps = cache(partial(_step_backtests_of, parts))
    return Ways(trials=parts.trials, versions=parts.versions, backtests=steps)


def _step_backtests_of(parts: Coalmine) -> BacktestSteps:
    from tasks.backtests.opening import StepBacktests

    return StepBacktests(
        parts.backtest_opening, champion=parts.templates.champion, folder=parts.settings.backtest.cases
    )


def proposals_of(parts: Coalmine) -> Proposals:
    """What is done with proposed versions."""
    from harvest.trials.opening import Proposals

    settings, canary = parts.settings, parts.settings.canary
    return Proposals(
        templates=parts.templates, trials=parts.trials, versions=parts.versions, enabled=canary.enabled,
        policy=lambda: canary.policy, ways=parts.ways, steps=lambda: settings.steps,
        has_judge=settings.has_judge,
    )  # fmt: skip


def backtest_opening_of(parts: Coalmine) -> BacktestOpening:
    """What begins and stops backtests."""
    from tasks.backtests.opening import BacktestOpening
    from tasks.composition.judges import judge_key

    settings = parts.settings
    return BacktestOpening(
        store=parts.backtest_store, versions=parts.versions, generator=parts.generator,
        policy=lambda: settings.canary.policy, judge=partial(judge_key, settings), judging=parts.judging,
    )  # fmt: skip


def backtest_runs_of(parts: Coalmine) -> BacktestRuns:
    """What gives out cases, settles pairs and ends backtests."""
    from harvest.settling.score import ScoreRules
    from tasks.backtests.running import BacktestRuns, RunningRules
    from tasks.composition.judges import judge_key

    settings, canary = parts.settings, parts.settings.canary

    def is_busy() -> bool:
        """Whether real work waits for a worker, for room or for an account."""
        used = parts.job_store.occupancy()
        queues = ("champion", "canary")
        return used.held + used.limited > 0 or any(parts.publisher.depths(queues).values())

    return BacktestRuns(
        store=parts.backtest_store, signals=parts.signals, publisher=parts.publisher,
        generator=parts.generator, templates=parts.templates, judge=partial(judge_key, settings),
        is_busy=is_busy, cancel=lambda job, by: parts.jobs.cancel(job, by=by, at=parts.now()),
        rules=RunningRules(
            scores=ScoreRules(
                policy=canary.scores, settle_deadline_seconds=canary.policy.settle_deadline_seconds
            ),
            pairs_at_once=settings.backtest.pairs_at_once, max_attempts=settings.job.max_attempts,
            keep_seconds=settings.backtest.keep_days * 86_400.0,
        ),
        judging=parts.judging,
    )  # fmt: skip
