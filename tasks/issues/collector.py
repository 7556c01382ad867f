"""The collector: takes issues from their forges into the backlog, always as the forge has them now.

A webhook's delivery only says which issue to read; the poll finds what no delivery came for. So a delivery
that is late, repeated, forged or lost changes nothing but the time at which the issue is read. A look that
shows that people no longer want an issue in progress ends its job.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog

from routing.backlog.backlog import Backlog
from routing.backlog.intake import Arrival, Hint, Intake
from routing.backlog.item import BacklogItem, BacklogState
from routing.errors import CoalmineError
from routing.forges.errors import ForgeError, ForgeGoneError
from routing.forges.forge import Deed, FollowsNames
from routing.forges.site import IssueSite
from routing.issues.issue import Issue, IssueProblem, IssueRef
from routing.store.backlog.problem_store import ProblemStore
from tasks.issues.doers import by, by_delivery
from tasks.issues.people import People, what_became
from tasks.work.log_and_continue import LogAndContinue

_log = structlog.get_logger(__name__)

#: Seconds for which an issue that has changed is read whole at every look: forges give times to the second,
#: and their clocks are not ours.
UNSETTLED_SECONDS = 60.0

#: Seconds after which a blocked issue is read whole again although its time of change is the same: forges
#: need not change it when a dependency comes or goes.
BLOCKED_SECONDS = 600.0


class Collector:
    """`look` reads what webhooks named, `poll` compares one forge with the backlog; both may be repeated.

    Nothing is kept between two calls. Two processes may take the same issue at once: a look too many costs
    calls and changes nothing.
    """

    def __init__(
        self, *, sites: Mapping[str, IssueSite], backlog: Backlog, intake: Intake, people: People,
        problems: ProblemStore,
    ) -> None:  # fmt: skip
        self._sites = sites
        self._backlog = backlog
        self._intake = intake
        self._people = people
        self._problems = problems

    def poll(self, site: IssueSite) -> None:
        """Compare the backlog with what the forge lists; with the kill switch on nothing is asked.

        Each repository by itself: one that cannot be listed is logged, and the next one is looked at.
        """
        if site.config.kill_switch:
            return
        places = self._places(site)
        self._note_names(site, places)
        for repo in places:
            name, problems = site.full_name(repo), list[IssueProblem]()
            with LogAndContinue("poll.failed", repository=name):
                try:
                    self._poll(site, repo, problems)
                except ForgeError as error:
                    problems.append(IssueProblem(where=name, message=f"was not looked through: {error}"))
                    raise
                finally:  # people see it where they look, and not in a log alone
                    for new in self._problems.note(name, problems):
                        _log.warning("issue.unreadable", where=new.where, reason=new.message)
        self._backlog.ask()

    def _places(self, site: IssueSite) -> Sequence[str]:
        """The repositories to look through: those that are named, and those that the patterns mean now."""
        served, found = site.config.served, list[str]()
        for owner in served.owners:
            with LogAndContinue("poll.not_listed", forge=site.name, owner=owner):
                found += [repo for repo in site.forge.repositories_of(owner) if served.spelled(repo) == repo]
        if served.patterns:
            self._problems.note_places(site.name, found)
        return list(dict.fromkeys([*served.names, *found]))

    def _note_names(self, site: IssueSite, places: Sequence[str]) -> None:
        """Note what renamed repositories are called now: deliveries come under that name.

        Nothing is taken from a name that is excluded, or served itself.
        """
        if not isinstance(site.forge, FollowsNames):
            return
        names = dict[str, str]()
        for repo in places:
            with LogAndContinue("poll.name_not_known", repository=site.full_name(repo)):
                names[repo] = site.forge.name_now(repo)
        served = site.config.served
        with LogAndContinue("poll.names_not_noted", forge=site.name):
            self._problems.note_names(
                site.name,
                {
                    name: repo
                    for repo, name in names.items()
                    if name != repo and not served.excludes(name) and served.spelled(name) is None
                },
            )

    def _poll(self, site: IssueSite, repo: str, problems: list[IssueProblem]) -> None:
        """Take in what one repository lists, then look at items that a complete listing lacks.

        So people's decisions are followed also where no agent can work: a gate keeps those from being paid.
        """
        listing = site.forge.list_issues(repo, site.config.label)
        problems += listing.problems
        if not listing.complete:
            reason = f"more issues than the {len(listing.issues)} that were read; raise http.max_pages"
            _log.warning("poll.cut", repository=site.full_name(repo), reason=reason)
            problems.append(IssueProblem(where=site.full_name(repo), message=f"has {reason}"))
        missing = self._backlog.missing(site.full_name(repo), listing)  # closed, gone, without its label
        looks: list[tuple[IssueRef, Callable[[], object]]] = [
            *((issue.ref, partial(self.take, site, issue)) for issue in listing.issues),
            *((ref, partial(self.read, site, ref)) for ref in missing),
        ]
        for ref, look in looks:
            with LogAndContinue("issue.not_taken", issue=str(ref)):
                try:
                    look()
                except CoalmineError as error:
                    problems.append(IssueProblem(where=str(ref), message=f"was not taken in: {error}"))
                    raise

    def look(self) -> int:
        """Read the issues that webhooks named, and ask about blockers that are not items; returns how many.

        Blockers are asked about here too, so that an issue waits for no poll, which may be off.

        What cannot be read now stays in the intake and is looked at again. A delivery is taken out only after
        its issue is in the backlog, so a process that dies loses none.
        """
        looked = 0
        for arrival in self._intake.take_intake():
            with LogAndContinue("intake.not_read", issue=str(arrival.issue)):
                self._look(arrival)
                self._intake.done(arrival)
                looked += 1
        self._backlog.ask()
        return looked

    def _look(self, arrival: Arrival) -> None:
        """Read one issue that a webhook named; one of a repository that is not served is dropped."""
        ref = arrival.issue
        site = self._sites.get(ref.forge)
        if site is None or site.config.kill_switch or site.config.served.spelled(ref.repo) is None:
            _log.info("intake.ignored", issue=str(ref), reason="its repository is not served")
            return
        self.read(site, ref, hints=arrival.hints)

    def read(self, site: IssueSite, ref: IssueRef, *, hints: Sequence[Hint] = ()) -> Issue | None:
        """Read an issue and take it in as it is; None when it is gone, which withdraws it from the backlog.

        `hints` may say who did what ends work on it. ForgeUnreachableError is passed on: what is not known to
        be gone stays.
        """
        try:
            issue = site.forge.read_issue(ref)
        except ForgeGoneError as error:
            self._gone(site, ref, what_became(error) + by_delivery(site, hints))
            return None
        self.take(site, issue, anew=True, hints=hints)
        return issue

    def _gone(self, site: IssueSite, ref: IssueRef, what: str) -> None:
        """Take an issue that is gone out of the queue, or end its job.

        Forges say the same of what a token may not see any longer. So a job is ended only while the
        repository is there to be seen.
        """
        if not self._backlog.withdraw(ref, f"it {what}") and site.forge.access(ref.repo).readable:
            self._people.end_work(ref, f"its issue {what}")

    def take(self, site: IssueSite, issue: Issue, *, anew: bool = False, hints: Sequence[Hint] = ()) -> None:
        """Take an issue in; one that has not changed since it was last read whole is left as it is.

        Reading it whole costs calls for its history and its dependencies. `anew`: read it whole in any case.
        An issue that lost its label is withdrawn; a closed one is noted as closed, whatever its labels are.
        Either ends the job at work on it.
        """
        item = self._backlog.known(issue.ref)
        why = site.unwanted(issue)
        if issue.state == "open" and (why or (not _is_begun(item) and site.left_out(issue))):
            said = why or site.left_out(issue)
            if item is not None and not self._backlog.withdraw(issue.ref, said):
                who = by(site, issue.ref, Deed.UNLABEL, hints) if _is_begun(item) else ""
                self._people.end_work(issue.ref, said + who)
            return
        seen = issue.updated_at.isoformat()
        if not anew and item is not None and item.seen == seen and not self._may_be_free(item):
            return
        if issue.state == "closed":
            self._backlog.accept(issue)
            who = by(site, issue.ref, Deed.CLOSE, hints) if _is_begun(item) else ""
            self._people.end_work(issue.ref, why + who)
            return
        asked = self._requested_by(site, issue, item)
        self._backlog.accept(
            issue,
            blockers=site.forge.dependencies(issue.ref),
            requested_by=asked or "",
            seen=seen if asked is not None and self._is_settled(issue.updated_at) else "",
            works_in=site.works_in(issue),
        )
        if item is not None:
            self._people.follow_assignment(site, issue, item, hints)

    def _may_be_free(self, item: BacklogItem) -> bool:
        """Whether it is time to see if a blocked item still is."""
        overdue = self._backlog.now() - item.looked_at > BLOCKED_SECONDS
        return item.state is BacklogState.BLOCKED and overdue

    def _requested_by(self, site: IssueSite, issue: Issue, item: BacklogItem | None) -> str | None:
        """Login of the person who asked for agents to work on it; None when the forge cannot say now.

        "" is an answer: nobody can be named. Either way no agent starts; with None it is asked again at the
        next look.
        """
        try:
            return site.forge.requested_by(issue.ref, site.config.label)
        except ForgeError as error:
            _log.warning(
                "issue.nobody_known", issue=str(issue.ref), known=item is not None, reason=str(error)
            )
            return None

    def _is_settled(self, updated_at: datetime) -> bool:
        """Whether no second change may hide in the same time: one to the second must be some time ago."""
        return updated_at.microsecond > 0 or self._backlog.now() - updated_at.timestamp() > UNSETTLED_SECONDS


def _is_begun(item: BacklogItem | None) -> bool:
    """Whether there is work on an item."""
    return item is not None and item.state is BacklogState.IN_PROGRESS
