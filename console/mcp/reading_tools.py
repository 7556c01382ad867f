"""Tools that look at the fleet and change nothing."""

from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from console.details.account_lines import account_document, account_lines
from console.details.fleet_lines import read_fleet_lines
from console.details.gate_lines import gate_document, shut_gates
from console.details.job_detail import log_document, read_job
from console.details.template_detail import read_difference, read_template, read_version
from console.details.trial_detail import read_trial
from console.mcp.tool import Arguments, Caller, Document, Tool
from console.output.issue_detail import detail_of
from console.output.issue_views import detail_document, issue_document
from console.output.job_views import job_document
from console.output.template_views import template_documents
from console.output.trials.trial_attention import trial_documents
from console.status.fleet_reading import read_status
from console.status.status_document import status_document
from routing.backlog.item import BacklogState
from routing.issues.issue import IssueRef
from routing.jobs.job import JobState
from routing.store.jobs.job_page import JobFilter
from tasks.composition.composition import Coalmine

Most = Annotated[int, Field(ge=1, le=200, description="At most so many.")]


class JobQuery(Arguments):
    """Which jobs to list."""

    state: list[JobState] = Field(default=[], description="Only in these states.")
    template: str = Field(default="", description="Only of this template.")
    after: str = Field(default="", description="`next` of the answer before.")
    limit: Most = 20


class OneJob(Arguments):
    """A job."""

    job: str = Field(description="Its id, 16 hex digits.")


class LogQuery(OneJob):
    """How much of a job's log."""

    last: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="Only the last lines.")


class OneTrial(Arguments):
    """A trial."""

    trial: str = Field(description="Its id, or a template for its open or last one.")


class OneTemplate(Arguments):
    """A template."""

    template: str


class OneVersion(Arguments):
    """A version."""

    version: str = Field(examples=["implementer@v3", "implementer@latest"])


class VersionPair(OneVersion):
    """Two versions."""

    other: str | None = Field(default=None, description="By default the parent is compared with it.")


class IssueQuery(Arguments):
    """Which issues to list."""

    state: BacklogState = BacklogState.READY
    limit: Most = 50


class OneIssue(Arguments):
    """An issue."""

    ref: str = Field(examples=["github:acme/shop#7"])


def _jobs(parts: Coalmine, asked: JobQuery, _: Caller) -> Document:
    only = JobFilter(states=frozenset(asked.state), template=asked.template)
    found = parts.jobs.page(only, most=asked.limit, after=asked.after)
    return {"jobs": [job_document(job) for job in found.jobs], "next": found.next or None}


def _log(parts: Coalmine, asked: LogQuery, _: Caller) -> Document:
    found = parts.jobs.find(asked.job)
    lines = [log_document(line) for line in parts.log_store.read(found.id)]
    return {"lines": lines[-asked.last :], "left_out": max(0, len(lines) - asked.last)}


def _issues(parts: Coalmine, asked: IssueQuery, _: Caller) -> Document:
    store = parts.backlog_store
    return {
        "issues": [issue_document(item) for item in islice(store.listed(asked.state), asked.limit)],
        "counts": {each.value: store.count(each) for each in BacklogState},
    }


def _accounts(parts: Coalmine, _asked: Arguments, _caller: Caller) -> Document:
    now = parts.now()
    return {"accounts": [account_document(line, now) for line in account_lines(parts)]}


READING: tuple[Tool[Any], ...] = (
    Tool(
        name="fleet_status", form=Arguments,
        description="The fleet now: agents at work, worker processes, queues, what is held and why, open "
        "trials, what today cost.",
        call=lambda parts, _, __: status_document(read_status(parts)),
    ),
    Tool(
        name="list_workers", form=Arguments,
        description="Queues with what waits there and since when; workers, and what they run.",
        call=lambda parts, _, __: read_fleet_lines(parts).document(),
    ),
    Tool(name="list_jobs", form=JobQuery, call=_jobs, description="Jobs, the newest first."),
    Tool(
        name="show_job", form=OneJob,
        description="One job: its draw, attempts, result, signals, its score and why.",
        call=lambda parts, asked, _: read_job(parts, asked.job).document(),
    ),
    Tool(
        name="job_log", form=LogQuery, call=_log,
        description="What a job's agent said, oldest first, as far as it is kept.",
    ),
    Tool(
        name="list_trials", form=Arguments, description="All trials of all templates, without evidence.",
        call=lambda parts, _, __: {"trials": trial_documents(parts, parts.templates.names())},
    ),
    Tool(
        name="show_trial", form=OneTrial,
        description="One trial: its arms, its evidence with the thresholds, and the verdict now.",
        call=lambda parts, asked, _: read_trial(parts, asked.trial).document(),
    ),
    Tool(
        name="list_templates", form=Arguments, description="All templates with champion and open trial.",
        call=lambda parts, _, __: {"templates": template_documents(parts)},
    ),
    Tool(
        name="show_template", form=OneTemplate,
        description="One template: its versions, their costs, and the decisions about them.",
        call=lambda parts, asked, _: read_template(parts, asked.template).document(),
    ),
    Tool(
        name="show_version", form=OneVersion, description="One version with its content and its cost.",
        call=lambda parts, asked, _: read_version(parts, asked.version).document(),
    ),
    Tool(
        name="compare_versions", form=VersionPair, description="A unified diff of two versions' contents.",
        call=lambda parts, asked, _: read_difference(parts, asked.version, asked.other).document(),
    ),
    Tool(
        name="list_issues", form=IssueQuery, call=_issues,
        description="Issues of the backlog in a state, with what each waits for, and the counts of all.",
    ),
    Tool(
        name="show_issue", form=OneIssue,
        description="One issue: its state and why, its neighbours, its job, its events.",
        call=lambda parts, asked, _: detail_document(
            detail_of(IssueRef.parse(asked.ref), parts.backlog_store, parts.events)
        ),
    ),
    Tool(
        name="list_gates", form=Arguments,
        description="Questions of agents that wait for a person: the one that ends first, first.",
        call=lambda parts, _, __: {"gates": [gate_document(each) for each in shut_gates(parts)]},
    ),
    Tool(
        name="list_accounts", form=Arguments, call=_accounts,
        description="Credentials of agents: what closed them, and until when.",
    ),
)  # fmt: skip
