"""CI of a commit on GitLab: its pipelines, their jobs, and what other systems say as commit statuses.

https://docs.gitlab.com/api/commits/#list-commit-statuses lists jobs and statuses of others in one. Of the
pipelines of one branch, or of one merge request, the newest counts, as GitLab has it. A pipeline that has no
job to show speaks for itself: it may have been refused for its file.

A pipeline of merged results, or of a merge train, runs at a commit that GitLab makes of the work and of the
branch it goes to, and is listed under that commit alone. The merge request names it as its head pipeline.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pydantic import AwareDatetime

from routing.forges.commit_status import CombinedStatus, CommitStatus, StatusState
from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError, ForgeUnreachableError
from routing.forges.failing_log import Complaint, failing_log_of
from routing.forges.gitlab.projects import GitLabProjects
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.wire import Items, Text, Wire
from routing.forges.work_branch import checked_commit

_CANCELED, _MANUAL, _EXTERNAL = "canceled", "manual", "external"

#: What the words mean; the others, and those that are not known, mean that more is to come.
_STATES: Mapping[str, StatusState] = {
    "success": StatusState.SUCCESS,
    "failed": StatusState.FAILURE,
    _CANCELED: StatusState.ERROR,
    "skipped": StatusState.NEUTRAL,
}

#: What a runner prints where a part of a log begins or ends.
_SECTION = re.compile(r"section_(?:start|end):[0-9]+:[^\r\n]*?(?:\r|$)", re.MULTILINE)

#: What a pipeline of a merge request is of, without which of its commits it runs at.
_REQUEST = re.compile(r"refs/merge-requests/[0-9]+/")

#: The end of a log that is read, in characters.
_LOG_CHARACTERS = 100_000


class WireJob(Wire):
    """A job, or a commit status of another system."""

    id: int = 0
    name: Text = ""
    status: Text = ""
    description: Text = ""
    target_url: Text = ""
    allow_failure: bool | None = None
    pipeline_id: int | None = None
    created_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None

    @property
    def is_optional(self) -> bool:
        """Whether nothing depends on how it ends."""
        return bool(self.allow_failure)


class WirePipeline(Wire):
    """A pipeline of a commit."""

    id: int
    sha: Text = ""  # the commit that it runs at
    ref: Text = ""  # the branch, or `refs/merge-requests/N/head`, `/merge` for merged results, `/train`
    status: Text = ""
    source: Text = ""  # what it was begun by: `push`, `merge_request_event`, or `external`
    web_url: Text = ""
    created_at: AwareDatetime | None = None

    @property
    def title(self) -> str:
        """What people are shown of it."""
        return f"pipeline ({self.source})" if self.source else "pipeline"

    @property
    def of(self) -> str:
        """The branch, or the merge request, that it is of."""
        request = _REQUEST.match(self.ref)
        return request[0] if request else self.ref


class WireRequest(Wire):
    """A merge request with its newest pipeline, which a listing leaves out."""

    iid: int
    state: Text = ""
    sha: Text = ""  # the head of its branch
    head_pipeline: WirePipeline | None = None


class WireParents(Wire):
    """A commit with those that it was made of."""

    parent_ids: Items[str] = ()


class GitLabStatuses:
    """Statuses of one forge. It keeps nothing: a job that is run again is seen at the next call."""

    def __init__(self, client: ForgeClient, projects: GitLabProjects) -> None:
        self._client = client
        self._projects = projects

    def of(self, repo: str, commit: str, branch: str = "") -> CombinedStatus:
        """Return all that is known of the commit's CI, or raise ForgeGoneError when it does not exist.

        GitLab requires no checks by name for a branch, but whole pipelines: whatever is listed must pass.
        """
        del branch
        return self._read(repo, commit)[0]

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return the end of the log of each job that failed; of other systems their line and address."""
        said, jobs = self._read(repo, commit)
        failed = {job.name: job for job in jobs if job.status == "failed"}
        complaints = [
            Complaint(heading=one.complaint, text=self._log(repo, failed.get(one.context)) or one.url)
            for one in said.failed
        ]
        return failing_log_of(complaints, most_characters)

    def _read(self, repo: str, commit: str) -> tuple[CombinedStatus, list[WireJob]]:
        """Jobs come last, so that the newest verdicts are the newest facts."""
        path = self._projects.path(repo)
        asked = {"sha": checked_commit(commit), "order_by": "id", "sort": "desc"}
        pipelines = self._client.parsed_all(WirePipeline, self._client.read_all(f"{path}/pipelines", asked))
        jobs = self._jobs(path, commit)
        for merged in self._of_merged_results(path, commit):
            pipelines.append(merged)
            jobs += [job for job in self._jobs(path, merged.sha) if job.pipeline_id == merged.id]
        newest = in_force(pipelines)
        superseded = {one.id for one in pipelines} - {one.id for one in newest}
        jobs = [job for job in jobs if job.pipeline_id not in superseded]
        jobs.sort(key=lambda job: job.id)
        return combined(commit, newest, jobs), jobs

    def _jobs(self, path: str, commit: str) -> list[WireJob]:
        listing = self._client.read_all(f"{path}/repository/commits/{checked_commit(commit)}/statuses")
        return self._client.parsed_all(WireJob, listing)

    def _of_merged_results(self, path: str, commit: str) -> list[WirePipeline]:
        """The head pipelines of open merge requests at this commit that run at a merge of it.

        For a while after a push the head pipeline is still that of the commit before: the commit that it runs
        at must have this one as a parent.
        """
        listing = self._client.read_all(f"{path}/repository/commits/{commit}/merge_requests")
        found = []
        for one in self._client.parsed_all(WireRequest, listing):
            if one.state != "opened" or one.sha != commit:
                continue
            request = self._client.parsed(WireRequest, self._client.get(f"{path}/merge_requests/{one.iid}"))
            pipeline = request.head_pipeline
            merge = pipeline.sha if pipeline is not None else ""
            if pipeline is not None and merge not in {"", commit} and self._is_made_of(path, merge, commit):
                found.append(pipeline)
        return found

    def _is_made_of(self, path: str, merge: str, commit: str) -> bool:
        """Whether a commit is a merge of another; one that is gone is none."""
        try:
            made = self._client.get(f"{path}/repository/commits/{checked_commit(merge)}")
        except ForgeGoneError:
            return False
        return commit in self._client.parsed(WireParents, made).parent_ids

    def _log(self, repo: str, job: WireJob | None) -> str:
        """What a job printed; "" for a status of another system, and for a log that is gone."""
        if job is None:
            return ""
        try:
            text = self._client.text(f"{self._projects.path(repo)}/jobs/{job.id}/trace")
        except (ForgeGoneError, ForgeRefusedError, ForgeInvalidError, ForgeUnreachableError):
            return ""  # the rest of the log is worth more than an error
        return _SECTION.sub("", text[-_LOG_CHARACTERS:])


def in_force(pipelines: Iterable[WirePipeline]) -> list[WirePipeline]:
    """Of each branch, and of each merge request, the newest; those of other systems for themselves."""
    newest: dict[tuple[str, bool], WirePipeline] = {}
    for one in pipelines:
        key = (one.of, one.source == _EXTERNAL)
        if key not in newest or newest[key].id < one.id:
            newest[key] = one
    return sorted(newest.values(), key=lambda one: one.id)


def combined(commit: str, pipelines: Iterable[WirePipeline], jobs: Iterable[WireJob]) -> CombinedStatus:
    """What pipelines and their jobs say together; of two jobs of a name the one that came last: pure."""
    last = {job.name or "default": job for job in jobs}
    speaking = {job.pipeline_id for job in last.values()}
    red = {job.pipeline_id for job in last.values() if _status(job).is_red}
    own = [
        CommitStatus(
            context=one.title, state=StatusState.FAILURE, url=one.web_url, at=one.created_at or _LONG_AGO,
            description="it failed before any of its jobs began", unstarted=one.id not in speaking,
        )
        for one in pipelines
        if one.status == "failed" and one.id not in red
    ]  # fmt: skip
    said = CombinedStatus.of(commit, [*map(_status, last.values()), *own])
    going_on = [one for one in pipelines if one.status not in {*_STATES, _MANUAL}]
    return said.model_copy(
        update={
            "expected": tuple(one.title for one in going_on),
            "approvals": tuple(
                job.name for job in last.values() if job.status == _MANUAL and not job.is_optional
            ),
        }
    )


_LONG_AGO = datetime.fromtimestamp(0, UTC)


def _status(job: WireJob) -> CommitStatus:
    """A job that waits for somebody to start it, and one that may fail, say nothing of the work."""
    state = _STATES.get(job.status, StatusState.PENDING)
    harmless = (
        job.is_optional and state is not StatusState.SUCCESS and (state.is_final or job.status == _MANUAL)
    )
    return CommitStatus(
        context=job.name or "default",
        state=StatusState.NEUTRAL if harmless or job.status == _MANUAL else state,
        description=job.description,
        url=job.target_url,
        at=job.finished_at or job.created_at or _LONG_AGO,
        cancelled=job.status == _CANCELED,
    )
