"""Dispatch: from the forge's open issues to jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from routing.forge import Forge
from routing.forge_errors import ForgeError
from routing.issue import Issue
from routing.job import JobRequest
from routing.mailbox import Mailbox
from routing.store.job_store import JobStore
from routing.store.switch import Switch
from tasks.telling import FOR_HUMAN, IN_PROGRESS

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DispatchRules:
    """What the dispatcher is told by the settings."""

    kill_switch: bool
    repository: str
    label: str | None  # of issues that are for agents; None: every open one
    template: str
    at_once: int  # jobs at work in the repository at the same time


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An open issue with what the fleet knows of it."""

    issue: Issue
    active: str  # the job at work on it, "" for none
    rounds: int  # jobs that have ended on it


class Dispatcher:
    """One tick: issues that are ready become jobs, as many as there is room for."""

    def __init__(
        self, *, forge: Forge, mailbox: Mailbox, store: JobStore, switch: Switch, rules: DispatchRules
    ) -> None:
        self._forge = forge
        self._mailbox = mailbox
        self._store = store
        self._switch = switch
        self._rules = rules

    def tick(self) -> list[str]:
        """Dispatch; returns the ids of new jobs. The kill switch comes first and does no I/O at all."""
        rules = self._rules
        if rules.kill_switch or self._switch.reason() is not None:
            return []
        listing = self._forge.list_issues(rules.repository, rules.label)
        for problem in listing.problems:
            _log.warning("issue.unreadable", where=problem.where, reason=problem.message)
        active = self._store.active_on([str(issue.ref) for issue in listing.issues])
        candidates = [
            Candidate(issue=issue, active=job, rounds=rounds)
            for issue, (job, rounds) in zip(listing.issues, active, strict=True)
        ]
        ready = eligible(candidates, at_once=rules.at_once)
        if not ready:
            return []
        done = self._mailbox.enqueue_many([request_of(one, rules) for one in ready])
        created = [one.job for one in done if one.created]
        for one in ready:
            self._label(one.issue)
        return created

    def _label(self, issue: Issue) -> None:
        """The label is a projection: that it cannot be written leads to no second dispatch."""
        try:
            self._forge.add_label(issue.ref, IN_PROGRESS)
        except ForgeError as error:
            _log.warning("issue.not_labelled", issue=str(issue.ref), reason=str(error))


def eligible(candidates: Sequence[Candidate], *, at_once: int) -> list[Candidate]:
    """The issues to dispatch now, by number: not at work, not waiting for a person, while there is room."""
    room = at_once - sum(bool(one.active) for one in candidates)
    ready = [one for one in candidates if not one.active and FOR_HUMAN not in one.issue.labels]
    return sorted(ready, key=lambda one: one.issue.ref.number)[: max(0, room)]


def request_of(one: Candidate, rules: DispatchRules) -> JobRequest:
    """The request for an issue; its key makes a second dispatch of the same state the first one's job."""
    issue = one.issue
    return JobRequest.checked(
        template=rules.template,
        task=issue.body.strip() or issue.title,
        title=issue.title[:500],
        repository=f"{issue.ref.forge}:{issue.ref.repo}",
        issue=str(issue.ref),
        idempotency_key=f"{issue.ref}:{issue.revision}:{one.rounds}",
    )
