"""Dispatch: from the backlog through the gates to jobs.

The order makes a dispatch that dies half-way repairable: the item is started (with a fence, which takes the
repository's slot), then the job is enqueued under a key made of that start, then the item notes the job,
then the issue is labelled. A start without a job is enqueued again under its key, which leads to one job.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

import structlog

from routing.backlog.backlog import Backlog
from routing.backlog.gates import Inputs, choose
from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Gate
from routing.errors import CoalmineError, InvalidInputError, UnavailableError
from routing.forges.errors import ForgeError
from routing.forges.forge import Permission
from routing.forges.site import ForgeSite, IssueSite
from routing.issues.issue import Issue, IssueRef
from routing.jobs.mailbox import Mailbox
from routing.store.fleet.switch import Switch
from routing.store.jobs.job_store import JobStore
from tasks.issues.collector import Collector
from tasks.issues.main_look import MainLooks
from tasks.issues.projection import Projection
from tasks.issues.request_text import request_of, start_key
from tasks.work.log_and_continue import LogAndContinue

_log = structlog.get_logger(__name__)

#: Seconds after which a start without a job is taken up again: the process that made it has died.
UNCONFIRMED_SECONDS = 30.0


class Dispatcher:
    """One tick: issues that are ready and pass the gates become jobs, at most one a repository.

    Ticks are single-flight. Should two overlap, the start in the store, which takes the repository's slot,
    lets only one of them through. Nothing but `_served` is kept between ticks, and losing that costs fairness
    alone.
    """

    def __init__(
        self, *, sites: Mapping[str, ForgeSite], sources: Mapping[str, IssueSite], backlog: Backlog,
        collector: Collector, mailbox: Mailbox,
        jobs: JobStore, switch: Switch, projection: Projection, mains: MainLooks, fleet_size: int,
    ) -> None:  # fmt: skip
        self._sites = sites  # the forges, where work goes
        self._sources = sources  # the same, and the trackers, where issues are
        self._backlog = backlog
        self._collector = collector
        self._mailbox = mailbox
        self._jobs = jobs
        self._switch = switch
        self._projection = projection
        self._mains = mains
        self._fleet_size = fleet_size  # issues of all forges in progress at once
        self._served: list[str] = []  # forges that got a job from this process, the last one at the end

    def tick(self) -> list[str]:
        """Dispatch; returns the ids of the new jobs. A forge whose kill switch is on costs no I/O at all.

        A forge that fails is logged and does not keep the next from its turn. A result that is not empty
        means that there may be more: the caller asks for another tick.
        """
        jobs: list[str] = []
        for site in self._in_turn():
            with LogAndContinue("dispatch.failed", forge=site.name):
                jobs += self._dispatch(site)
        return jobs

    def _in_turn(self) -> list[IssueSite]:
        """The forges whose kill switch is off, those with the fewest issues in progress first.

        Of equals, the one that got a job longest ago comes first, so that no forge starves another.
        """
        open_ = [site for site in self._sources.values() if not site.config.kill_switch]
        if len(open_) == 1:
            return open_
        at_work = Counter(item.ref.forge for item in self._backlog.in_progress()) if open_ else Counter()
        served = {name: place for place, name in enumerate(self._served)}
        return sorted(open_, key=lambda site: (at_work[site.name], served.get(site.name, -1)))

    def _dispatch(self, site: IssueSite) -> list[str]:
        """One forge: repair earlier starts, note which gates are shut, start what was chosen.

        An issue that cannot be started now stays ready. Returns the ids of its new jobs.
        """
        self._reconcile(site)
        choice = choose(site.config, self._inputs(site))
        for refused in choice.refusals:
            if refused.issue and self._backlog.refuse(refused):
                say = _log.warning if refused.gate is Gate.UNFIT else _log.info
                say("issue.refused", issue=refused.issue, gate=refused.gate, reason=refused.reason)
        jobs = []
        for item in choice.chosen:
            with LogAndContinue("dispatch.put_off", issue=str(item.ref)):
                jobs.append(self._start(site, item))
        started = [job for job in jobs if job]
        if started:
            self._served = [name for name in self._served if name != site.name] + [site.name]
        return started

    def _inputs(self, site: IssueSite) -> Inputs:
        """What the gates ask for, as functions: a gate that is shut early costs none of the later reads."""
        prefix = f"{site.name}:"

        def ready() -> dict[str, Iterator[BacklogItem]]:
            return {name: items for name, items in self._backlog.ready().items() if name.startswith(prefix)}

        return Inputs(
            fleet_size=self._fleet_size,
            paused=self._switch.reason,
            ready=ready,
            permission=lambda item: self._permission(site, item),
            busy=self._backlog.busy,
            red_mains=self._backlog.red_mains,
            spent_today_usd=lambda: self._spent_today(site),
            spent_usd=lambda item: self._jobs.spent_on(str(item.ref)),
            fault=self._fault,
            main_fault=self._main_fault,
            held=lambda: self._held(site),
        )

    def _place(self, item: BacklogItem) -> tuple[ForgeSite | None, str]:
        """The forge and the repository that work on an item goes to; None for a forge that is not served."""
        forge, _, repo = item.place.partition(":")
        return self._sites.get(forge), repo

    def _fault(self, item: BacklogItem) -> str:
        """What keeps agents from working for the repository; a forge that does not say keeps them, too."""
        site, repo = self._place(item)
        if site is None or (item.works_in and site.config.served.spelled(repo) is None):
            return f"its work goes to {item.place}, which no forge of the settings serves; add it there"
        if site.config.kill_switch:
            return f"its work goes to {item.place}, and the kill switch of that forge is on"
        try:
            return site.forge.repository_fault(repo)
        except ForgeError as error:
            return f"whether agents can work there is not known: {error}"

    def _main_fault(self, item: BacklogItem) -> str:
        """Why the main branch there is red; "" when it is not, or when that is not known."""
        site, repo = self._place(item)
        return "" if site is None else self._mains.red(site, repo)

    def _permission(self, site: IssueSite, item: BacklogItem) -> Permission | None:
        """What the person who asked for the work may do; None while the forge does not say."""
        if not item.requested_by:
            return None
        with LogAndContinue("permission.unknown", issue=str(item.ref)):
            return site.forge.permission(item.ref.repo, item.requested_by)
        return None

    def _held(self, site: IssueSite) -> int:
        """How many issues of other templates hold a place of the fleet while their jobs wait for an account.

        What waits for one account must not keep the issues of a template that uses another.
        """
        own = site.config.template
        if all(other.config.template == own for other in self._sources.values()):
            return 0
        at_work = [item.job for item in self._backlog.in_progress() if item.job and not item.aside]
        found = [job for job in self._jobs.read_many(at_work) if job is not None]
        return sum(job.template != own and job.is_held for job in found)

    def _spent_today(self, site: IssueSite) -> float:
        """USD spent today, and what the jobs at work may cost up to their limit.

        Spending is reported after the fact, so without what is promised a whole fleet could start below the
        limit and end far above it. Without a limit for each job nothing is promised; nor to work that
        waits for people, for a green main branch, or in a queue, and may do so for days.
        """
        limit = site.config.usd_per_job
        working = self._backlog.in_progress()
        at_work = [item.job for item in working if item.job and not item.aside and not item.in_review]
        promised = 0.0
        if limit is not None:
            promised = sum(
                max(0.0, limit - job.spent_usd) for job in self._jobs.read_many(at_work) if job is not None
            )
        return self._jobs.occupancy().spent_usd + promised

    def _start(self, site: IssueSite, item: BacklogItem) -> str:
        """Read what was chosen once more, take the slot and enqueue; "" when nothing is started after all.

        The gates judged what the backlog knew. Between then and now a person may have closed the issue, taken
        the label off, or another one may have put it on: then nothing starts, and the next tick judges anew.
        """
        if self._is_ending(item):
            return ""
        issue = self._collector.read(site, item.ref)
        now = self._backlog.known(item.ref)
        if issue is None or now is None or now.state is not BacklogState.READY:
            return ""
        if (now.requested_by, now.place) != (item.requested_by, item.place):  # the gates judged another one
            return ""
        fence = self._backlog.start(item.ref, per_repo=site.config.per_repo)
        started = self._backlog.known(item.ref)
        return "" if fence is None or started is None else self._enqueue(site, started, issue, fence)

    def _is_ending(self, item: BacklogItem) -> bool:
        """Whether the end of an earlier job is yet to be written to the issue: until then it has no other."""
        active = self._jobs.active_on([str(item.ref)])[0][0]
        job = self._jobs.read(active) if active else None
        return job is not None and job.state.is_final

    def _enqueue(self, site: IssueSite, item: BacklogItem, issue: Issue, fence: int) -> str:
        """Enqueue the job of a start; repeating this for the same start leads to the same job.

        Returns the job's id, or "". An issue that can never become a job is handed to a person; one that
        cannot now gives its slot back. Where the answer was lost, the start keeps its slot until `_resume`
        has looked.
        """
        before = self._jobs.read(item.before) if item.before else None
        try:
            done = self._mailbox.enqueue(request_of(site, item, issue, fence, before=before))
        except UnavailableError as error:  # it may have been enqueued: `_resume` finds out
            _log.warning("dispatch.unconfirmed", issue=str(issue.ref), reason=str(error))
            return ""
        except InvalidInputError as error:  # this issue cannot become a job as it is
            _log.error("dispatch.impossible", issue=str(issue.ref), reason=str(error))
            self._backlog.escalate(issue.ref, reason=str(error)[:500])
            self._ask_person(site, issue.ref)
            return ""
        except CoalmineError as error:
            _log.error("dispatch.refused", issue=str(issue.ref), reason=str(error))
            self._backlog.release(issue.ref, fence=fence, reason=str(error)[:500])
            return ""
        self._backlog.attach(issue.ref, done.job, fence=fence)
        if before is not None:
            self._projection.note_before(done.job, before.id)
        self._label(item, done.job)
        return done.job

    def _label(self, item: BacklogItem, job: str) -> None:
        """Show that the issue is in progress; when that fails the watcher tries again."""
        site, issue = self._place(item)[0], item.ref
        try:
            if site is not None:
                self._projection.label(site, issue, job)
        except ForgeError as error:
            _log.warning("issue.not_labelled", issue=str(issue), reason=str(error))
            return
        found = self._jobs.read(job)
        if found is not None and found.state.is_final:  # its end removed the label before it was added
            self._jobs.tell_again(job)

    def _ask_person(self, site: IssueSite, issue: IssueRef) -> None:
        """Add the escalation label; when that fails the backlog knows of the escalation all the same."""
        try:
            self._projection.ask_person(site, issue)
        except ForgeError as error:
            _log.warning("issue.not_labelled", issue=str(issue), reason=str(error))

    def _reconcile(self, site: IssueSite) -> None:
        """Continue starts whose dispatch died half-way, and note ends that were not noted."""
        before = self._backlog.now() - UNCONFIRMED_SECONDS
        for item in self._backlog.unconfirmed(older_than=before):
            if item.ref.forge == site.name:
                with LogAndContinue("dispatch.put_off", issue=str(item.ref)):
                    self._resume(site, item)
        self._settle(site)

    def _resume(self, site: IssueSite, item: BacklogItem) -> None:
        """Find the job that was enqueued for a start, or enqueue it again.

        An issue that is no longer for agents gives its slot back. Nothing is enqueued during a pause.
        """
        job = self._mailbox.find(start_key(item.ref, item.fence), issue=str(item.ref))
        if job:
            self._backlog.attach(item.ref, job, fence=item.fence)
        elif self._switch.reason() is None:
            issue = self._collector.read(site, item.ref)
            if issue is None or not site.wants(issue):
                self._backlog.release(item.ref, fence=item.fence, reason="it is no longer for agents")
            else:
                job = self._enqueue(site, item, issue, item.fence)
        _log.warning("dispatch.resumed", issue=str(item.ref), started=item.fence, job_found=job)

    def _settle(self, site: IssueSite) -> None:
        """Repair items in progress whose job has ended without their noting it, or has lost its record.

        `tell_again` puts the job back among those whose end the watcher carries over to the issue.
        """
        items = [item for item in self._backlog.in_progress() if item.job and item.ref.forge == site.name]
        for item, job in zip(items, self._jobs.read_many([item.job for item in items]), strict=True):
            with LogAndContinue("dispatch.put_off", issue=str(item.ref)):
                if job is None:
                    self._backlog.escalate(item.ref, reason="the record of its job is gone", job=item.job)
                elif job.state.is_final and self._jobs.active_on([str(item.ref)])[0][0] != job.id:
                    self._jobs.tell_again(job.id)
