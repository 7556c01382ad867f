"""What people decide on the pages: one POST each, and back to the page of the thing.

A decision needs the acting token's session, a form of that session from a page of ours, and a reason where
others will ask for one. It is recorded with the name that the person signed in with, by the same steps as the
command line's; a step that was made before changes nothing. All may be repeated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from console.decisions.fleet_decisions import resume_fleet
from console.decisions.issue_decisions import pause_issue, prioritize_issue, priority_named, resume_issue
from console.decisions.job_decisions import THUMBS, cancel_job, retry_job, thumb_job
from console.decisions.mail_decisions import answer_mail, message_job, read_by
from console.decisions.noting import DecisionDoor, note_decision
from console.decisions.version_decisions import NewContent, propose_version
from console.decisions.worker_decisions import drain_worker
from console.details.account_lines import known_account
from console.web.people.form import read_decision
from console.web.request_limits import DECISION_SECONDS, decided_in_thread
from routing.errors import InvalidInputError
from routing.issues.issue import IssueRef
from routing.printable import printable
from routing.templates.trial import Trial
from tasks.composition.composition import Coalmine

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

    @property
    def noted_reason(self) -> str:
        """What is kept of why: the reason if there is one, or what was chosen or answered."""
        names = ("reason", "thumb", "option", "words", "priority")
        given = next((self.form[name] for name in names if self.form.get(name)), "")
        return " ".join(printable(given).split())[:LONGEST_REASON]

    @property
    def about(self) -> str:
        """What was decided about: from the path, or from the form; "" for the fleet."""
        fields = (self.form.get(name, "") for name in ("ref", "account", "worker"))
        return self.thing or next(filter(None, fields), "")

    def field(self, name: str) -> str:
        """A field that the form must have."""
        if name not in self.form:
            message = f"the form has no {name}; load the page again"
            raise InvalidInputError(message)
        return self.form[name]


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision."""

    to: str  # path of the page to go on to
    changed: bool = True  # False when the step had been made before
    way_of: str = ""  # a template whose way it is about, while that has no trial


Step = Callable[[Coalmine, SentDecision], Decided]


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
        act = act_of(request.scope["route"].path)

        def made() -> str:
            decided = step(parts, decision)
            if decided.changed:
                note_decision(
                    parts,
                    act,
                    decision.about,
                    by=viewer.name,
                    way=DecisionDoor.PAGE,
                    reason=decision.noted_reason,
                )
            return decided.to

        return RedirectResponse(await decided_in_thread(made, seconds=seconds), status_code=303)

    return decide


def act_of(path: str) -> str:
    """The words of the command that does what a path of STEPS does, as `job cancel`."""
    first, *_, last = path.strip("/").split("/")
    if (first, last) == ("versions", "open"):
        return "trial open"
    group = {"fleet": "", "versions": "template"}.get(first, first.removesuffix("s"))
    return f"{group} {last}".strip()


def _pause(parts: Coalmine, decision: SentDecision) -> Decided:
    return Decided("/", changed=parts.switch.pause(f"{decision.reason} (by {decision.by})"))


def _resume(parts: Coalmine, decision: SentDecision) -> Decided:
    return Decided("/", changed=resume_fleet(parts, by=decision.by).changed)


def _cancel_job(parts: Coalmine, decision: SentDecision) -> Decided:
    job, changed = cancel_job(parts, decision.thing, by=decision.by)
    return Decided(_job(job.id), changed=changed)


def _retry_job(parts: Coalmine, decision: SentDecision) -> Decided:
    job, _ = retry_job(parts, decision.thing, by=decision.by)
    return Decided(_job(job.id))


def _thumb_job(parts: Coalmine, decision: SentDecision) -> Decided:
    kind = THUMBS.get(decision.field("thumb"))
    if kind is None:
        raise InvalidInputError("a thumb is up or down; nothing was changed")
    changed = thumb_job(parts, decision.thing, kind, by=decision.by)
    return Decided(_job(decision.thing), changed=changed)


def _message_job(parts: Coalmine, decision: SentDecision) -> Decided:
    message_job(parts, decision.thing, decision.form.get("words", ""), by=decision.by)
    return Decided(_job(decision.thing))


def _pause_issue(parts: Coalmine, decision: SentDecision) -> Decided:
    item, changed = pause_issue(parts, IssueRef.parse(decision.field("ref")), by=decision.by)
    return Decided(_issue(item.ref), changed=changed)


def _resume_issue(parts: Coalmine, decision: SentDecision) -> Decided:
    found = resume_issue(parts, IssueRef.parse(decision.field("ref")), by=decision.by)
    return Decided(_issue(found.item.ref), changed=found.changed)


def _prioritize_issue(parts: Coalmine, decision: SentDecision) -> Decided:
    ref, priority = IssueRef.parse(decision.field("ref")), priority_named(decision.field("priority"))
    item, changed = prioritize_issue(parts, ref, priority, by=decision.by)
    return Decided(_issue(item.ref), changed=changed)


def _stop_trial(parts: Coalmine, decision: SentDecision) -> Decided:
    if parts.ways.stop(decision.thing, by=decision.by, reason=decision.reason):
        return Decided(_template(decision.thing), way_of=decision.thing)
    trial = parts.trials.find(decision.thing)
    step = parts.trials.stop(trial, by=decision.by, reason=decision.reason)
    return Decided(_trial(step.trial.id), changed=step.changed)


def _hold_trial(parts: Coalmine, decision: SentDecision) -> Decided:
    step = parts.trials.hold(parts.trials.find(decision.thing), by=decision.by, reason=decision.reason)
    return Decided(_trial(step.trial.id), changed=step.changed)


def _resume_trial(parts: Coalmine, decision: SentDecision) -> Decided:
    trial = parts.trials.find(decision.thing)
    step = parts.trials.resume(trial, by=decision.by, reason=decision.reason)
    return Decided(_trial(step.trial.id), changed=step.changed)


def _stop_backtest(parts: Coalmine, decision: SentDecision) -> Decided:
    run = parts.backtest_opening.find(decision.thing)
    stopped, changed = parts.backtest_opening.stop(run, by=decision.by, reason=decision.reason)
    return Decided(_backtest(stopped.id), changed=changed)


def _resume_backtest(parts: Coalmine, decision: SentDecision) -> Decided:
    run = parts.backtest_opening.find(decision.thing)
    resumed, changed = parts.backtest_opening.resume(run, by=decision.by, reason=decision.reason)
    return Decided(_backtest(resumed.id), changed=changed)


def _open_trial(parts: Coalmine, decision: SentDecision) -> Decided:
    canary = parts.templates.find(decision.thing)
    begun = parts.proposals.begin(canary, parts.settings.canary.policy, by=decision.by)
    if isinstance(begun.run, Trial):
        return Decided(_trial(begun.run.id), changed=begun.changed)
    return Decided(_template(canary.template), changed=begun.changed, way_of=canary.template)


def _propose(parts: Coalmine, decision: SentDecision) -> Decided:
    content = NewContent(prompt=decision.form.get("prompt"), model=decision.form.get("model"))
    step = propose_version(parts, decision.thing, content, note=decision.reason)
    return Decided(_version(step.version.id), changed=step.changed)


def _promote(parts: Coalmine, decision: SentDecision) -> Decided:
    step = parts.templates.promote(decision.thing, by=decision.by, reason=decision.reason)
    return Decided(_version(step.version.id), changed=step.changed)


def _reject(parts: Coalmine, decision: SentDecision) -> Decided:
    step = parts.templates.reject(decision.thing, by=decision.by, reason=decision.reason)
    return Decided(_version(step.version.id), changed=step.changed)


def _revert(parts: Coalmine, decision: SentDecision) -> Decided:
    step = parts.templates.revert(decision.thing, by=decision.by, reason=decision.reason)
    return Decided(_version(step.version.id), changed=step.changed)


def _close_account(parts: Coalmine, decision: SentDecision) -> Decided:
    account = known_account(parts, decision.field("account"))
    model, why = decision.field("model"), decision.reason
    changed = parts.breakers.close(account, model, until=None, words=why, by=decision.by)
    return Decided("/accounts", changed=changed)


def _reopen_account(parts: Coalmine, decision: SentDecision) -> Decided:
    account = known_account(parts, decision.field("account"))
    opened = parts.breakers.reopen(account, by=decision.by, model=decision.field("model"))
    return Decided("/accounts", changed=bool(opened))


def _answer_mail(parts: Coalmine, decision: SentDecision) -> Decided:
    option, words = decision.form.get("option", ""), decision.form.get("words", "")
    answer_mail(parts, decision.thing, option=option, words=words, by=decision.by)
    return Decided(_mail(decision.thing))


def _read_mail(parts: Coalmine, decision: SentDecision) -> Decided:
    return Decided(_mail(decision.thing), changed=read_by(parts, decision.thing, by=decision.by))


def _drain_worker(parts: Coalmine, decision: SentDecision) -> Decided:
    _ = decision.reason  # without one it is refused before anything is done
    drain_worker(parts, decision.field("worker"))
    return Decided("/workers")


def _mail(mail: str) -> str:
    return f"/mail/{quote(mail, safe='')}"


def _job(job: str) -> str:
    return f"/jobs/{quote(job, safe='')}"


def _issue(ref: IssueRef) -> str:
    return f"/issue?ref={quote(str(ref), safe='')}"


def _trial(trial: str) -> str:
    return f"/trials/{quote(trial, safe='')}"


def _backtest(backtest: str) -> str:
    return f"/backtests/{quote(backtest, safe='')}"


def _template(name: str) -> str:
    return f"/templates/{quote(name, safe='')}"


def _version(version: str) -> str:
    return f"/versions/{quote(version, safe='@')}"


#: Every decision, by the path that its form is sent to.
STEPS: dict[str, Step] = {
    "/fleet/pause": _pause,
    "/fleet/resume": _resume,
    "/jobs/{thing}/cancel": _cancel_job,
    "/jobs/{thing}/retry": _retry_job,
    "/jobs/{thing}/thumb": _thumb_job,
    "/jobs/{thing}/message": _message_job,
    "/issue/pause": _pause_issue,
    "/issue/resume": _resume_issue,
    "/issue/priority": _prioritize_issue,
    "/trials/{thing}/stop": _stop_trial,
    "/trials/{thing}/hold": _hold_trial,
    "/trials/{thing}/resume": _resume_trial,
    "/backtests/{thing}/stop": _stop_backtest,
    "/backtests/{thing}/resume": _resume_backtest,
    "/templates/{thing}/propose": _propose,
    "/versions/{thing}/open": _open_trial,
    "/versions/{thing}/promote": _promote,
    "/versions/{thing}/reject": _reject,
    "/versions/{thing}/revert": _revert,
    "/accounts/close": _close_account,
    "/accounts/reopen": _reopen_account,
    "/mail/{thing}/answer": _answer_mail,
    "/mail/{thing}/read": _read_mail,
    "/workers/drain": _drain_worker,
}
