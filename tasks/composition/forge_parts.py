"""The parts of a fleet that deal with forges, wired.

A kill switch is put into effect here, once for all: a forge whose switch is on is in the tables, so that its
issues and jobs keep their names, and whatever asks it for issues gets no answer. Workers and ticks have these
parts; the web console and most commands do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tasks.composition.sites import SilentForge, sites_that_can_be, trackers_of

if TYPE_CHECKING:
    from routing.backlog.backlog import Backlog, IssueSource
    from routing.backlog.intake import Intake
    from routing.forges.site import ForgeSite, IssueSite
    from routing.git.remote import Remote
    from routing.issues.issue import Issue
    from routing.issues.metadata import IssueMetadata
    from routing.issues.model_reader import ModelReader
    from routing.store.backlog.problem_store import ProblemStore
    from routing.store.jobs.run_store import RunStore
    from tasks.composition.composition import Coalmine
    from tasks.issues.collector import Collector
    from tasks.issues.dispatcher import Dispatcher
    from tasks.issues.people import People
    from tasks.issues.projection import Projection
    from tasks.issues.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class ForgeParts:
    """What deals with issues, forges and pushed work. One a process, beside its `Coalmine`.

    Making it asks no forge. Its parts share one site for each forge, and with it the connection and its rate
    limit.
    """

    coalmine: Coalmine
    run_ci: Callable[[str], None]  # has the local CI look at a commit
    given: Mapping[str, ForgeSite] | None = None  # in place of those of the settings

    @cached_property
    def sites(self) -> Mapping[str, ForgeSite]:
        """The forges that are served, by name."""
        from routing.http.connection import Surroundings

        settings = self.coalmine.settings
        folder = settings.agent.work_dir / "histories"
        surroundings = Surroundings(
            limits=settings.http,
            board=self.coalmine.tokens,
            ids=self.coalmine.repository_ids,
            folder=folder,
        )
        found = self.given if self.given is not None else sites_that_can_be(settings, surroundings)
        trackers = trackers_of(settings, surroundings)
        return {name: replace(site, trackers=trackers) for name, site in found.items()} if trackers else found

    def close(self) -> None:
        """Give back the sockets of forges and trackers; what was never made is not made for it.

        All may be asked again after it. Those that were given are their owner's.
        """
        from routing.forges.forge import HoldsConnections

        # cached_property keeps what it made in __dict__: asking for the attribute would make it.
        for site in self.sources.values() if "sites" in self.__dict__ else ():
            is_given = self.given is not None and site.name in self.given
            if isinstance(site.forge, HoldsConnections) and not is_given:
                site.forge.close_connections()

    @cached_property
    def sources(self) -> Mapping[str, IssueSite]:
        """Where issues come from, by name: the forges, and the trackers."""
        trackers = [site.trackers for site in self.sites.values()][:1]
        return {**self.sites, **(trackers[0] if trackers else {})}

    @cached_property
    def problems(self) -> ProblemStore:
        """What the last polls could not take in."""
        from routing.store.backlog.problem_store import ProblemStore

        parts = self.coalmine
        return ProblemStore(parts.redis, parts.keys, parts.clock)

    def served_places(self) -> list[str]:
        """`forge:repo` of all that is served: by name, and by patterns as the last poll found it."""
        sources, problems = self.coalmine.settings.issue_sources, self.problems
        return [
            f"{source.name}:{repo}"
            for source in sources
            for repo in (
                *source.allow_list,
                *(problems.places(source.name) if source.served.patterns else ()),
            )
        ]

    @property
    def is_off(self) -> bool:
        """Whether no forge may be asked for issues: true also when none is served."""
        return all(site.config.kill_switch for site in self.sources.values())

    @property
    def remotes(self) -> Mapping[str, Remote]:
        """Where git finds each repository that is served, by the name that jobs have for it.

        They hold tokens, and are passed to git alone.
        """
        from routing.forges.site import ServedRemotes

        return ServedRemotes(self.sites, self.coalmine.settings.git)

    @cached_property
    def backlog(self) -> Backlog:
        """The issues that are known, with what their texts say about difficulty, priority and blockers."""
        from routing.backlog.backlog import Backlog

        issues = self.coalmine.settings.issues
        sources: dict[str, IssueSource] = {
            name: SilentForge(name) if site.config.kill_switch else site.forge
            for name, site in self.sources.items()
        }
        return Backlog(
            self.coalmine.backlog_store,
            forges=sources,
            settings=issues.backlog,
            escalation_label=issues.watch.escalation_label,
            read=self._read_metadata,
        )

    def _read_metadata(self, issue: Issue) -> IssueMetadata:
        """What an issue's text says of itself; a model fills in what it does not, if one is switched on.

        The text decides first: a model never changes what a person has written.
        """
        from routing.issues.metadata import read_metadata

        known = read_metadata(issue)
        return self._model.fill(issue, known) if self._model is not None else known

    @cached_property
    def _model(self) -> ModelReader | None:
        """The reader that asks a model, None unless it is switched on. Its answers are kept in Redis."""
        parts, settings = self.coalmine, self.coalmine.settings.issues.model
        if not settings.enabled:
            return None
        import requests

        from routing.issues.model_reader import ModelReader
        from routing.store.backlog.metadata_store import MetadataStore

        cache = MetadataStore(parts.redis, parts.keys, parts.clock)
        return ModelReader(settings, session=requests.Session(), cache=cache)

    @cached_property
    def intake(self) -> Intake:
        """Issues that webhooks reported and that are still to be read."""
        from routing.backlog.intake import Intake

        return Intake(self.coalmine.deliveries)

    @cached_property
    def collector(self) -> Collector:
        """Takes issues from their forges into the backlog."""
        from tasks.issues.collector import Collector

        return Collector(
            sites=self.sources, backlog=self.backlog, intake=self.intake, people=self.people,
            problems=self.problems,
        )  # fmt: skip

    @cached_property
    def people(self) -> People:
        """Ends jobs whose issue or change request people closed, or whose work they landed."""
        from tasks.issues.people import People

        parts = self.coalmine
        return People(
            sites=self.sites,
            backlog=self.backlog,
            jobs=parts.jobs,
            store=parts.job_store,
            signals=parts.signals,
        )

    @cached_property
    def runs(self) -> RunStore:
        """What was done outside for runs: comments, labels, change requests; so that it is done once."""
        from routing.store.jobs.run_store import RunStore

        parts = self.coalmine
        return RunStore(
            parts.redis, parts.keys, parts.clock, retention_seconds=parts.settings.retention_seconds
        )

    @cached_property
    def projection(self) -> Projection:
        """What issues show of their runs."""
        from tasks.issues.projection import Projection

        watch = self.coalmine.settings.issues.watch
        return Projection(
            self.runs,
            in_progress_label=watch.in_progress_label,
            in_review_label=watch.in_review_label,
            escalation_label=watch.escalation_label,
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Turns issues into jobs, through the gates."""
        from tasks.issues.dispatcher import Dispatcher
        from tasks.issues.main_look import MainLooks

        return Dispatcher(
            sites=self.sites,
            sources=self.sources,
            backlog=self.backlog,
            collector=self.collector,
            mailbox=self.coalmine.mailbox,
            jobs=self.coalmine.job_store,
            switch=self.coalmine.switch,
            projection=self.projection,
            mains=MainLooks(store=self.coalmine.mains),
            fleet_size=self.coalmine.settings.issues.fleet_size,
        )

    @cached_property
    def watcher(self) -> Watcher:
        """Follows pushed work to its end, and shows on the issue how far it is."""
        from tasks.issues.closing import Closing
        from tasks.issues.conflicts import ConflictTurns
        from tasks.issues.editing import EditedIssues
        from tasks.issues.landings import Landings, ReportedWork
        from tasks.issues.merging import Merging
        from tasks.issues.opening import ChangeRequests
        from tasks.issues.reviewing import ReviewTurns
        from tasks.issues.sending_back import SendingBack
        from tasks.issues.watch import WatchLimits
        from tasks.issues.watcher import Watcher
        from tasks.issues.watching import Watching
        from tasks.issues.writers import Writers

        parts, settings = self.coalmine, self.coalmine.settings
        watch = settings.issues.watch
        closing = Closing(
            backlog=self.backlog,
            collector=self.collector,
            jobs=parts.job_store,
            runs=self.runs,
            signals=parts.signals,
            projection=self.projection,
            settings=watch,
        )
        landings = Landings(
            store=parts.job_store,
            signals=parts.signals,
            interval_seconds=settings.times.watch_interval_seconds,
        )
        merging = Merging(jobs=parts.jobs, store=parts.job_store, runs=self.runs, people=self.people)
        back = SendingBack(
            jobs=parts.jobs, corrections=parts.corrections, runs=self.runs, people=self.people,
            merging=merging,
        )  # fmt: skip
        return Watcher(
            Watching(
                changes=ChangeRequests(self.runs, now=parts.signals.now, goes_on=self.people.goes_on),
                tokens=parts.tokens,
                backlog=self.backlog,
                jobs=parts.jobs,
                store=parts.job_store,
                signals=parts.signals,
                runs=self.runs,
                projection=self.projection,
                closing=closing,
                landings=landings,
                reported=ReportedWork(deliveries=parts.deliveries, store=parts.job_store, runs=self.runs),
                back=back,
                reviews=ReviewTurns(
                    runs=self.runs,
                    signals=parts.signals,
                    back=back,
                    writers=Writers(parts.signals.now),
                    most_rounds=watch.review_rounds,
                ),
                conflicts=ConflictTurns(back=back, most_rounds=watch.merge_rounds),
                edits=EditedIssues(
                    backlog=self.backlog,
                    runs=self.runs,
                    back=back,
                    most_rounds=watch.review_rounds,
                    begins_anew=watch.on_edit == "anew",
                ),
                people=self.people,
                merging=merging,
            ),
            sites=self.sites,
            limits=WatchLimits(
                fix_forwards=watch.fix_forwards,
                fix_forward_seconds=watch.fix_forward_seconds,
                no_verdict_seconds=settings.job.no_verdict_seconds,
                token_seconds=settings.job.delivery_days * 86_400,
            ),
            run_ci=self.run_ci,
        )
