"""`POST /api/v1/…`: what people decide on the pages, for programs; and jobs and mail, which they may make.

Each decision is the step of the page of the same path, answers with the thing as it is then, and is noted
with who sent it. All may be repeated: a step that was made before changes nothing, and a call that makes
something says so by the same `Idempotency-Key`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import JSONResponse, Response

from console.decisions.noting import DecisionDoor, note_decision
from console.details.account_lines import account_document, account_lines
from console.details.backtest_detail import report_of
from console.details.fleet_lines import read_fleet_lines
from console.details.job_detail import read_job
from console.details.template_detail import read_version
from console.details.trial_detail import read_trial
from console.output.issue_detail import detail_of
from console.output.issue_views import detail_document
from console.output.job_views import enqueued_document
from console.output.mail_views import mail_document, receipt_document
from console.output.template_views import template_document
from console.output.trials.backtest_views import report_document
from console.web.api.acting import (
    AccountAct,
    Act,
    AnswerAct,
    ClosingAct,
    DrainAct,
    EnqueueAct,
    IssueAct,
    MessageAct,
    PriorityAct,
    ProposeAct,
    ReasonedAct,
    ReplyAct,
    SendAct,
    ThumbAct,
    body_of,
    idempotency_key,
    read_act,
)
from console.web.api.api_routes import answered
from console.web.people.decision_routes import STEPS, SentDecision, act_of
from console.web.request_limits import decided_in_thread
from routing.issues.issue import IssueRef
from routing.jobs.job import JobRequest
from tasks.agents.mail.address import OPERATOR, Author
from tasks.agents.mail.letter import Letter
from tasks.composition.composition import Coalmine

Document = dict[str, Any]
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=500, description="Makes a repeat harmless.")]


@dataclass(frozen=True, slots=True)
class ApiAct:
    """A decision over the API."""

    summary: str
    form: type[Act]
    answer: Callable[[Coalmine, SentDecision], Document]  # the thing as it is after the decision


def _fleet(parts: Coalmine, _: SentDecision) -> Document:
    reason = parts.switch.reason()
    return {"paused": reason is not None, "reason": reason}


def _job(parts: Coalmine, decision: SentDecision) -> Document:
    return read_job(parts, decision.thing).document()


def _issue(parts: Coalmine, decision: SentDecision) -> Document:
    ref = IssueRef.parse(decision.field("ref"))
    return detail_document(detail_of(ref, parts.backlog_store, parts.events))


def _trial(parts: Coalmine, decision: SentDecision) -> Document:
    return read_trial(parts, decision.thing).document()


def _backtest(parts: Coalmine, decision: SentDecision) -> Document:
    return report_document(report_of(parts, decision.thing))


def _trial_of_version(parts: Coalmine, decision: SentDecision) -> Document:
    return read_trial(parts, parts.templates.find(decision.thing).template).document()


def _template(parts: Coalmine, decision: SentDecision) -> Document:
    return template_document(parts, decision.thing)


def _version(parts: Coalmine, decision: SentDecision) -> Document:
    return read_version(parts, decision.thing).document()


def _accounts(parts: Coalmine, _: SentDecision) -> Document:
    now = parts.now()
    return {"accounts": [account_document(line, now) for line in account_lines(parts)]}


def _mail(parts: Coalmine, decision: SentDecision) -> Document:
    return mail_document(parts.post_office.find(decision.thing))


def _workers(parts: Coalmine, _: SentDecision) -> Document:
    return read_fleet_lines(parts).document()


#: Every decision, by the path of the page's form.
ACTS: dict[str, ApiAct] = {
    "/fleet/pause": ApiAct("Stop dispatch", ReasonedAct, _fleet),
    "/fleet/resume": ApiAct("Start dispatch again", Act, _fleet),
    "/jobs/{thing}/cancel": ApiAct("End a job that is not finished", Act, _job),
    "/jobs/{thing}/retry": ApiAct("Queue a job again that ended without success", Act, _job),
    "/jobs/{thing}/thumb": ApiAct("Judge a job's work", ThumbAct, _job),
    "/jobs/{thing}/message": ApiAct("Send mail to the agent of a job", MessageAct, _job),
    "/issue/pause": ApiAct("Take an issue out of the queue", IssueAct, _issue),
    "/issue/resume": ApiAct("Put an issue back into the queue", IssueAct, _issue),
    "/issue/priority": ApiAct("Set how urgent an issue is", PriorityAct, _issue),
    "/trials/{thing}/stop": ApiAct("End a trial or a way without a verdict", ReasonedAct, _trial),
    "/trials/{thing}/hold": ApiAct("Have no verdict of a trial carried out", ReasonedAct, _trial),
    "/trials/{thing}/resume": ApiAct("Let a trial decide again that is held", ReasonedAct, _trial),
    "/backtests/{thing}/stop": ApiAct("End a backtest without a verdict", ReasonedAct, _backtest),
    "/backtests/{thing}/resume": ApiAct("Let a backtest decide again that is held", ReasonedAct, _backtest),
    "/templates/{thing}/propose": ApiAct("Propose a version", ProposeAct, _template),
    "/versions/{thing}/open": ApiAct("Put a pending version on trial, or on its way", Act, _trial_of_version),
    "/versions/{thing}/promote": ApiAct("Make a version champion", ReasonedAct, _version),
    "/versions/{thing}/reject": ApiAct("Reject a version for good", ReasonedAct, _version),
    "/versions/{thing}/revert": ApiAct("Make a superseded version champion again", ReasonedAct, _version),
    "/accounts/close": ApiAct("Close an account until a person reopens it", ClosingAct, _accounts),
    "/accounts/reopen": ApiAct("Open a closed account", AccountAct, _accounts),
    "/mail/{thing}/answer": ApiAct("Answer a mail to people: a gate once", AnswerAct, _mail),
    "/mail/{thing}/read": ApiAct("Note that a mail to people was read", Act, _mail),
    "/workers/drain": ApiAct("Have a worker end its turns, or give them back, and end", DrainAct, _workers),
}


def act_routes(parts: Coalmine, *, prefix: str, errors: Mapping[int | str, Document]) -> APIRouter:
    """The routes, below a prefix; `errors` are the answers that OpenAPI has for each."""
    refused: dict[int | str, Document] = {
        403: {"description": "The acting token is missing."},
        409: {"description": "The thing is in a state that does not allow it."},
    }
    router = APIRouter(prefix=prefix, tags=["acts"], responses={**errors, **refused})
    for path, act in ACTS.items():
        router.add_api_route(
            path, _decide(parts, path, act), methods=["POST"], summary=act.summary, response_model=Document,
            openapi_extra=body_of(act.form), name=act_of(path),
        )  # fmt: skip
    _add_jobs(router, parts)
    _add_mail(router, parts)
    return router


def _decide(parts: Coalmine, path: str, act: ApiAct) -> Callable[..., Awaitable[Response]]:
    async def sent_to(request: Request, thing: str) -> Response:
        sent = await read_act(request, act.form)
        given = sent.model_dump(mode="json", exclude_none=True)
        form = {name: str(value) for name, value in given.items()}
        decision = SentDecision(thing=thing, form=form, by=sent.by)

        def made() -> Document:
            decided = STEPS[path](parts, decision)
            if decided.changed:
                about = decision.about
                note_decision(
                    parts, act_of(path), about, by=sent.by, way=DecisionDoor.API, reason=decision.noted_reason
                )
            return (
                act.answer(parts, decision)
                if not decided.way_of
                else template_document(parts, decided.way_of)
            )

        return JSONResponse(await decided_in_thread(made))

    async def of_thing(request: Request, thing: Annotated[str, Path(max_length=600)]) -> Response:
        return await sent_to(request, thing)

    async def of_fleet(request: Request) -> Response:
        return await sent_to(request, "")

    return of_thing if "{thing}" in path else of_fleet


def _add_jobs(router: APIRouter, parts: Coalmine) -> None:
    @router.post(
        "/jobs",
        summary="Make a job",
        response_model=Document,
        status_code=201,
        openapi_extra=body_of(EnqueueAct),
    )
    async def enqueue(request: Request, _key: Key = "") -> Response:
        """Its version, arm and draw. 200 instead of 201 when the key had led to a job before."""
        sent = await read_act(request, EnqueueAct)
        asked = JobRequest.checked(
            **sent.model_dump(exclude={"by", "reason"}), idempotency_key=idempotency_key(request)
        )

        def made() -> Document:
            found = enqueued_document(parts.mailbox.enqueue(asked))
            if found["created"]:
                job = str(found["job"])
                note_decision(parts, "enqueue", job, by=sent.by, way=DecisionDoor.API, reason=sent.reason)
            return found

        document = await decided_in_thread(made)
        return JSONResponse(document, status_code=201 if document["created"] else 200)


def _add_mail(router: APIRouter, parts: Coalmine) -> None:
    @router.get("/mail", summary="Mail, the newest first", response_model=Document)
    async def mail(
        request: Request,
        to: str = OPERATOR,
        thread: str = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        """To an address; by default to people. A `decision_gate` waits for an answer."""

        def read() -> Document:
            found = parts.post_office.newest(limit, recipient="" if thread else to, thread=thread)
            return {"mails": [mail_document(each) for each in found]}

        return await answered(request, read)

    @router.post(
        "/mail", summary="Send mail to an agent or a group", response_model=Document, status_code=201,
        openapi_extra=body_of(SendAct),
    )  # fmt: skip
    async def send(request: Request, _key: Key = "") -> Response:
        """A receipt for each recipient; their next turns begin with it."""
        sent = await read_act(request, SendAct)
        letter = Letter.checked(to=sent.to, dedupe_key=idempotency_key(request), **_content(sent))

        def made() -> Document:
            receipts = parts.post_office.send(Author.of_person(sent.by), letter)
            if any(each.created for each in receipts):
                note_decision(
                    parts, "mail send", sent.to, by=sent.by, way=DecisionDoor.API, reason=sent.reason
                )
            return {"sent": [receipt_document(each) for each in receipts]}

        return JSONResponse(await decided_in_thread(made), status_code=201)

    @router.post(
        "/mail/{mail}/reply", summary="Answer an agent", response_model=Document, status_code=201,
        openapi_extra=body_of(ReplyAct),
    )  # fmt: skip
    async def reply(request: Request, mail: str, _key: Key = "") -> Response:
        """In the same thread. If it waits for a decision, it goes on."""
        sent = await read_act(request, ReplyAct)
        key = idempotency_key(request)

        def made() -> Document:
            receipts = parts.post_office.reply(
                Author.of_person(sent.by), mail, dedupe_key=key, **_content(sent)
            )
            if any(each.created for each in receipts):
                note_decision(parts, "mail reply", mail, by=sent.by, way=DecisionDoor.API, reason=sent.reason)
            return {"sent": [receipt_document(each) for each in receipts]}

        return JSONResponse(await decided_in_thread(made), status_code=201)


def _content(sent: ReplyAct) -> Document:
    return {
        "type_": sent.type, "subject": sent.subject, "body": sent.body, "payload": sent.payload,
        "priority": sent.priority,
    }  # fmt: skip
