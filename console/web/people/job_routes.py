"""Pages of jobs: the list by state and template, and one job with its timeline, its log and its signals."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from console.decisions.mail_decisions import agent_of
from console.details.branch_changes import read_branch
from console.details.job_detail import read_job
from console.output.job_views import JOB
from console.pages.job_log import shown_log
from console.pages.pictures.timeline_plot import timeline_plot
from console.pages.rendering import fact_rows
from console.web.people.page_answers import rows_of, shown
from routing.jobs.job import JobState
from routing.store.jobs.job_page import JobFilter
from tasks.composition.composition import Coalmine

#: Jobs of a page, and mails to an agent on the page of its job.
PAGE_LENGTH, MOST_LETTERS = 50, 5

Text = Annotated[str, Query(max_length=600)]


def job_routes(parts: Coalmine) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/jobs")
    async def jobs(
        request: Request, state: JobState | str = "", template: Text = "", after: Text = ""
    ) -> Response:
        most = rows_of(request, PAGE_LENGTH)
        return await shown(parts, request, "jobs", "Jobs", lambda: _jobs(parts, state, template, after, most))

    @router.get("/jobs/{job}")
    async def job(request: Request, job: str, *, all: bool = False, q: Text = "") -> Response:  # noqa: A002 - in the URL
        return await shown(
            parts, request, "job", "Jobs", lambda: _job(parts, job, every=all, words=q.strip())
        )

    @router.get("/jobs/{job}/diff")
    async def branch(request: Request, job: str) -> Response:
        return await shown(parts, request, "branch", "Jobs", lambda: {"changes": read_branch(parts, job)})

    return router


def _jobs(parts: Coalmine, state: str, template: str, after: str, most: int) -> dict[str, Any]:
    states = frozenset([JobState(state)]) if state in set(JobState) else frozenset[JobState]()
    found = parts.jobs.page(JobFilter(states=states, template=template), most=most, after=after)
    return {
        "jobs": found.jobs,
        "next": found.next,
        "state": str(state),
        "template": template,
        "states": [each.value for each in JobState],
        "templates": parts.templates.names(),
    }


def _job(parts: Coalmine, reference: str, *, every: bool, words: str) -> dict[str, Any]:
    detail = read_job(parts, reference)
    job = detail.job
    agent = None if job.state.is_final or job.shadow or job.begun_at is None else agent_of(parts, job)
    letters = parts.post_office.newest(MOST_LETTERS, recipient=agent) if agent else []
    return {
        "job": job,
        "rows": fact_rows([field for field in JOB if field.label not in {"reason", "title"}], job),
        "spending": detail.spending,
        "moments": detail.timeline,
        "timeline": timeline_plot(detail.timeline),
        "agent": agent,
        "letters": letters,
        "log": shown_log(list(parts.log_store.read(job.id)), words=words, every=every),
        "every": every,
    }
