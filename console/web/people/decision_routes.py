"""What people decide on the pages: one POST each, and back to the page of the thing.

A decision needs the acting token's session, a form of that session from a page of ours, and a reason where
others will ask for one. It is recorded with the name that the person signed in with, by the same steps as the
command line's; a step that was made before changes nothing. All may be repeated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from console.decisions.issue_decisions import pause_issue, resume_issue
from console.decisions.job_decisions import THUMBS, retry_job, thumb_job
from console.details.account_lines import known_account
from console.web.people.form import read_decision
from console.web.request_limits import DECISION_SECONDS, decided_in_thread
from routing.errors import InvalidInputError
from routing.issues.issue import IssueRef
from routing.printable import printable
from tasks.composition.composition import Coalmine

_log = structlog.get_logger(__name__)

#: Characters of a reason.
LONGEST_REASON = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class SentDecision:
    """What a person sent: about what, with which form, and who."""

    thing: str  # from the path: a job, a trial, a version; "" for those whose form says it
    form: Mapping[str, str]
    by: str

    @property
    def reason(self) -> str:
        """Why, in words; InvalidInputError without any."""
        words = " ".join(printable(self.form.get("reason", "")).split())
        if not words or len(words) > LONGEST_REASON:
            message = f"give a reason of at most {LONGEST_REASON} characters; nothing was changed"
            raise InvalidInputError(message)
        return words

    def field(self, name: str) -> str:
        """A field that the form must have."""
        if name not in self.form:
            message = f"the form has no {name}; load the page again"
            raise InvalidInputError(message)
        return self.form[name]


#: Does it, and returns the path of the page to go on to.
Step = Callable[[Coalmine, SentDecision], str]


def decision_routes(parts: Coalmine, *, seconds: float = DECISION_SECONDS) -> APIRouter:
    """A route for each of STEPS, that answers within so many seconds."""
    router = APIRouter(include_in_schema=False)
    for path, step in STEPS.items():
        router.add_api_route(path, _route(parts, step, seconds), methods=["POST"])
    return router


def _route(parts: Coalmine, step: Step, seconds: float) -> Callable[[Request], object]:
    async def decide(request: Request) -> Response:
        viewer, form = await read_decision(request)
        thing = str(request.path_params.get("thing", ""))
        decision = SentDecision(thing=thing, form=form, by=viewer.name)
        to = await decided_in_thread(lambda: step(parts, decision), seconds=seconds)
        _log.info("web.decided", path=request.url.path, by=viewer.name)
        return RedirectResponse(to, status_code=303)

    return decide


def _pause(parts: Coalmine, decision: SentDecision) -> str:
    parts.switch.pause(f"{decision.reason} (by {decision.by})")
    return "/"


def _resume(parts: Coalmine, decision: SentDecision) -> str:
    parts.switch.resume(f"resumed by {decision.by}")
    return "/"


def _cancel_job(parts: Coalmine, decision: SentDecision) -> str:
    return _job(parts.jobs.cancel(decision.thing, by=decision.by, at=parts.signals.now()).id)


def _retry_job(parts: Coalmine, decision: SentDecision) -> str:
    job, _ = retry_job(parts, decision.thing, by=decision.by)
    return _job(job.id)


def _thumb_job(parts: Coalmine, decision: SentDecision) -> str:
    kind = THUMBS.get(decision.field("thumb"))
    if kind is None:
        raise InvalidInputError("a thumb is up or down; nothing was changed")
    thumb_job(parts, decision.thing, kind, by=decision.by)
    return _job(decision.thing)


def _pause_issue(parts: Coalmine, decision: SentDecision) -> str:
    item, _ = pause_issue(parts, IssueRef.parse(decision.field("ref")), by=decision.by)
    return _issue(item.ref)


def _resume_issue(parts: Coalmine, decision: SentDecision) -> str:
    return _issue(resume_issue(parts, IssueRef.parse(decision.field("ref")), by=decision.by).item.ref)


def _stop_trial(parts: Coalmine, decision: SentDecision) -> str:
    trial = parts.trials.find(decision.thing)
    return _trial(parts.trials.stop(trial, by=decision.by, reason=decision.reason).trial.id)


def _resume_trial(parts: Coalmine, decision: SentDecision) -> str:
    trial = parts.trials.find(decision.thing)
    return _trial(parts.trials.resume(trial, by=decision.by, reason=decision.reason).trial.id)


def _open_trial(parts: Coalmine, decision: SentDecision) -> str:
    canary = parts.templates.find(decision.thing)
    policy = parts.settings.canary.policy
    return _trial(parts.proposals.open(canary, policy, by=decision.by).trial.id)


def _promote(parts: Coalmine, decision: SentDecision) -> str:
    step = parts.templates.promote(decision.thing, by=decision.by, reason=decision.reason)
    return _version(step.version.id)


def _reject(parts: Coalmine, decision: SentDecision) -> str:
    step = parts.templates.reject(decision.thing, by=decision.by, reason=decision.reason)
    return _version(step.version.id)


def _revert(parts: Coalmine, decision: SentDecision) -> str:
    step = parts.templates.revert(decision.thing, by=decision.by, reason=decision.reason)
    return _version(step.version.id)


def _close_account(parts: Coalmine, decision: SentDecision) -> str:
    account = known_account(parts, decision.field("account"))
    parts.breakers.close(account, decision.field("model"), until=None, words=decision.reason, by=decision.by)
    return "/accounts"


def _reopen_account(parts: Coalmine, decision: SentDecision) -> str:
    account = known_account(parts, decision.field("account"))
    parts.breakers.reopen(account, by=decision.by, model=decision.field("model"))
    return "/accounts"


def _job(job: str) -> str:
    return f"/jobs/{quote(job, safe='')}"


def _issue(ref: IssueRef) -> str:
    return f"/issue?ref={quote(str(ref), safe='')}"


def _trial(trial: str) -> str:
    return f"/trials/{quote(trial, safe='')}"


def _version(version: str) -> str:
    return f"/versions/{quote(version, safe='@')}"


#: Every decision, by the path that its form is sent to.
STEPS: dict[str, Step] = {
    "/fleet/pause": _pause,
    "/fleet/resume": _resume,
    "/jobs/{thing}/cancel": _cancel_job,
    "/jobs/{thing}/retry": _retry_job,
    "/jobs/{thing}/thumb": _thumb_job,
    "/issue/pause": _pause_issue,
    "/issue/resume": _resume_issue,
    "/trials/{thing}/stop": _stop_trial,
    "/trials/{thing}/resume": _resume_trial,
    "/versions/{thing}/open": _open_trial,
    "/versions/{thing}/promote": _promote,
    "/versions/{thing}/reject": _reject,
    "/versions/{thing}/revert": _revert,
    "/accounts/close": _close_account,
    "/accounts/reopen": _reopen_account,
}
