"""Jobs: the intent to work one issue, or one request, to its end.

A job is pinned to its version, its arm and its draw for life: retries, corrective turns and continuations
keep them; only the rejection of its version changes them.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from routing.base import Base
from routing.cost import NO_COST, Cost, Payer
from routing.errors import InvalidInputError
from routing.jobs.ending import Ending
from routing.jobs.turn import EndedTurn, FinishedTurn, Hindrance, Repair, TurnKind
from routing.templates.trial import Arm, Bet

#: The largest request, as JSON in bytes, that is accepted.
MAX_REQUEST_BYTES = 256 * 1024

#: The roles whose work on a repository is a commit; agents of the others read, judge and dispatch.
ROLES_THAT_COMMIT = frozenset({"builder", "merger"})

#: Names of agents, or "" for none; `tasks.agents.mail.address` has the whole rule.
_AGENT = r"^([a-z][a-z0-9-]{0,62})?$"

_JOB_ID = re.compile(r"[0-9a-f]{16}")


class JobState(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # pushed, its CI is being watched
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    ESCALATED = "escalated"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be done for the job."""
        return self not in ACTIVE_STATES


#: The states in which a job can still be worked on or cancelled.
ACTIVE_STATES = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.WAITING})


class Priority(StrEnum):
    """Order within a queue, the most urgent first."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class JobRequest(BaseModel):
    """What is asked of the mailbox. Checked before anything is written."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    template: str  # reference: NAME, or NAME@v3 to pin a version
    task: Annotated[str, StringConstraints(min_length=1)]  # what is to be done, in words
    title: Annotated[str, StringConstraints(max_length=500)] = ""
    priority: Priority = Priority.NORMAL
    repository: Annotated[str, StringConstraints(max_length=500)] = ""  # "" when no repository is worked on
    issue: Annotated[str, StringConstraints(max_length=500)] = ""  # `local:shop#3`, "" for ad-hoc requests
    difficulty: Annotated[str, StringConstraints(max_length=40)] = ""
    idempotency_key: Annotated[str, StringConstraints(max_length=500)] = ""
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = None  # None: the fleet's default
    agent: Annotated[str, StringConstraints(pattern=_AGENT)] = ""  # whose session goes on; "": one of its own
    revision: Annotated[str, StringConstraints(max_length=100)] = ""  # of the issue's text, "" without one
    role: Literal["scout", "builder", "reviewer", "merger", "lead", "coordinator", "monitor"] = "builder"
    parent: Annotated[str, StringConstraints(pattern=_AGENT)] = ""  # agent that asked for it, "" for none

    @field_validator("task")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; say what the agent is to do")
        return value

    @classmethod
    def checked(cls, **fields: Any) -> Self:
        """Build a request from outside data, or raise InvalidInputError naming every wrong field."""
        try:
            request = cls(**fields)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, part['loc'])) or 'request'}: {part['msg']}" for part in error.errors()
            )
            message = f"the request was refused and nothing was written: {problems}"
            raise InvalidInputError(message) from error
        return request


class NewTask(BaseModel):
    """The text of an issue that was changed while a job worked on it."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    title: str
    text: str
    revision: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResult:
    """What a worker reports of a job's turn."""

    exit_code: int | None = None  # None when we ended the process
    ended_by: Ending | None = None  # None: no turn has ended yet
    commit: str = ""  # the pushed commit as git says, "" when nothing was pushed
    branch: str = ""
    duration_seconds: float = 0.0
    cost_usd: float | None = None  # of the turn alone; None: nobody said
    tail: str = ""  # the end of what the agent printed


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job as stored."""

    id: str
    request: JobRequest
    state: JobState
    template: str
    version: int  # version number that works, or worked, on it
    content_hash: str
    source_commit: str = ""
    pinned: bool = False
    trial: str = ""  # trial id, "" when the job is in none
    draw: float | None = None
    bet: Bet | None = None  # frozen at dispatch; None outside trials
    sequence: int | None = None  # place in the trial's order of dispatch, from 0
    pair: int | None = None  # place of its pair in a trial of pairs, from 0; None outside of one
    partner: str = ""  # id of the pair's other job
    pair_arm: Arm | None = None  # whose version it is in its pair
    backtest: str = ""  # id of the backtest that it is part of, "" for none
    case: str = ""  # digest of the past issue that it works on there
    case_pair: str = ""  # id of the canary's job of its case, by which both are judged
    shadow: bool = False  # its work is judged, and never delivered: nobody outside sees anything of it
    rerouted_from: int | None = None  # version that it was drawn to before that was rejected
    queue: Literal["champion", "canary", "backtest"] = "champion"
    parent: str = ""  # id of the job whose agent asked for it, "" for none
    depth: int = 0  # generations below a job without a parent
    parent_arm: Arm | None = None  # its parent's, of whose version it is; the child counts for neither
    created_at: float  # seconds since the epoch, the server's, like all times here
    published_at: float | None = None  # when its message was last sent by itself, None: when it was created
    claimed_at: float | None = None  # the last claim, also when the job waits again; None: no claim yet
    first_claimed_at: float | None = None  # None before it, and for jobs that an earlier release claimed
    pushed_at: float | None = None  # the last push that its CI was watched for, None: there was none
    handed_at: float | None = None  # when its first work went to the judge of its pair
    finished_at: float | None = None  # when it ended; None until then, and again after a person's retry
    lease_until: float | None = None
    fence: int = 0
    attempts: int = 0  # claims that count
    cut_short: int = 0  # fence of the last claim whose worker was lost, or shut down, in the middle
    max_attempts: int = 3
    worker: str = ""
    cancel: str = ""  # why it is to be cancelled, "" when it is not
    cancel_to: JobState = JobState.CANCELLED  # how it then ends: its work may have landed meanwhile
    kind: str = TurnKind.FIRST  # of the next turn; one of a later release is read, and not run
    turns: int = 0  # that were run for it
    spent_tokens: int = 0  # by all of them: input, with that from the cache, and output
    spent_usd: float = 0.0  # by all of them, as far as it is known
    spent_seconds: float = 0.0  # in all of them
    cost: Cost = NO_COST  # of every turn ever run for it; a person's retry begins the three before anew
    ended_turns: tuple[EndedTurn, ...] = ()  # the newest 20, oldest first; none of earlier releases
    base_branch: str = ""  # that its work began from and goes to, "" before it began
    base_commit: str = ""  # of that branch, after which all commits are its own
    in_review: str = ""  # the last commit of its that was left to people to merge, "" for none
    fix_forwards: int = 0  # corrective turns that it was sent back for
    review_rounds: int = 0  # turns that it was sent back for by reviewers
    merge_rounds: int = 0  # turns that it was sent back for by conflicts with the branch that it goes to
    reviews: tuple[str, ...] = ()  # ids of the feedback that these turns were about
    reviewed_commit: str = ""  # at which the last of them began
    review_end: str = ""  # at which it ended: the same where it made none; "" before, and by earlier releases
    review_said: str = ""  # the end of its agent's words, where it made no commit
    new_task: NewTask | None = None  # in place of the request's, None when its issue was not changed
    judged: tuple[str, ...] = ()  # commits that CI was red at, the newest last
    repair: Repair | None = None  # what its corrective turn has to repair, None outside of one
    finished: FinishedTurn | None = None  # a turn whose work is done and not delivered yet
    account: str = ""  # that its last turn was leased, `claude:default`; "" before the first
    model: str = ""  # that its last turn used, in the runtime's words; "" for the runtime's default
    fell_back: bool = False  # that was one of its version's fallbacks
    held_at: float | None = None  # since when it waits for an account, None when it does not
    held_until: float | None = None  # when an account that it waits for is tried again, None: nobody knows
    held_seconds: float = 0.0  # for which it has waited for accounts: its deadline is put off by that
    hindrance: Hindrance | None = None  # what it waits for, None when nothing is in its way
    refused: str = (
        ""  # what was said of work that the server did not take, "" when it was, or none was pushed
    )
    refusals: int = 0  # corrective turns that refused work has cost
    reason: str = ""  # why it is in its state, in words
    result: JobResult = field(default_factory=JobResult)
    score: float | None = None
    score_reason: str = ""
    excluded: bool = False  # settled without a score because the fault was not the agent's
    settled_at: float | None = None
    aged: bool = False  # whether the ledger of its trial says that it is late
    late_score: float | None = None  # what signals after the settlement would make of it

    @property
    def begun_at(self) -> float | None:
        """When a worker first took it, as far as that is known; None: none has."""
        return self.claimed_at if self.first_claimed_at is None else self.first_claimed_at

    @property
    def arm(self) -> Arm | None:
        """The arm that it counts for, None outside trials."""
        if not self.trial:
            return None
        return self.bet.arm if self.bet else self.pair_arm

    @property
    def pair_id(self) -> str:
        """By which its pair goes to the judge: the champion's job, in a backtest the canary's.

        There the champion may have none, as a kept result stands for it.
        """
        if self.case:
            return self.case_pair or self.id
        return self.partner if self.shadow else self.id

    @property
    def title(self) -> str:
        """Of its issue, as its agent was last given it."""
        return self.request.title if self.new_task is None else self.new_task.title

    @property
    def task(self) -> str:
        """What is to be done, as its agent was last given it."""
        return self.request.task if self.new_task is None else self.new_task.text

    @property
    def revision(self) -> str:
        """Of the issue's text, as its agent was last given it; "" when it has none."""
        return self.request.revision if self.new_task is None else self.new_task.revision

    @property
    def base(self) -> Base | None:
        """Where its work began; None before it did, and for jobs of earlier releases."""
        known = self.base_branch and self.base_commit
        return Base(branch=self.base_branch, commit=self.base_commit) if known else None

    @property
    def is_held(self) -> bool:
        """Whether it waits for an account."""
        return self.state is JobState.QUEUED and self.held_at is not None

    def waited(self, now: float) -> float:
        """Seconds for which it has waited for accounts so far: no arm pays for that time."""
        return self.held_seconds + (0.0 if self.held_at is None else max(0.0, now - self.held_at))

    @property
    def version_id(self) -> str:
        """`implementer@v3`."""
        return f"{self.template}@v{self.version}"

    @property
    def message_priority(self) -> Priority:
        """Of its next message: what a worker was at goes on before anything else begins."""
        return Priority.URGENT if self.is_cut_short else self.request.priority

    @property
    def is_cut_short(self) -> bool:
        """Whether its last attempt ended with its worker, and none has begun since."""
        return self.cut_short == self.fence > 0

    @property
    def kind_again(self) -> str:
        """The kind of its next turn when this one failed: a repair is still a repair."""
        if self.refused:
            return TurnKind.REFUSED
        if self.repair is None:
            return TurnKind.REDISPATCH
        if self.repair.review:
            return TurnKind.REVIEW
        if self.repair.onto:
            return TurnKind.CONFLICT
        return TurnKind.FIX_FORWARD if self.is_red else TurnKind.EDITED

    @property
    def is_corrected(self) -> bool:
        """Whether its turn repairs a pushed commit, which stays if that comes to nothing."""
        return self.repair is not None

    @property
    def is_red(self) -> bool:
        """Whether it repairs a commit that CI was red at."""
        return self.repair is not None and self.repair.commit in self.judged

    @property
    def was_sent_back(self) -> bool:
        """Whether it had pushed work, and got a corrective turn since a person last queued it."""
        return self.fix_forwards + self.review_rounds + self.merge_rounds > 0

    @property
    def is_in_review(self) -> bool:
        """Whether its pushed work is done as far as the fleet can say, and a person is to merge it."""
        return self.state is JobState.WAITING and self.in_review == self.result.commit != ""

    @property
    def payer(self) -> Payer:
        """Whose sums its turns are added to."""
        return Payer(
            template=self.template,
            version=self.version,
            trial=self.trial,
            arm=self.arm or "",
            repository=self.request.repository,
        )

    @property
    def pushed_commits(self) -> set[str]:
        """The commits that were pushed for it."""
        return {commit for commit in (self.result.commit, *self.judged) if commit}

    @property
    def branch(self) -> str:
        """The branch that its work is pushed to."""
        return f"coalmine/{self.id}"


def is_job_id(text: str) -> bool:
    """Whether a text may be the id of a job: it becomes part of keys."""
    return _JOB_ID.fullmatch(text) is not None


def checked_job_id(text: str) -> str:
    """Return the id, or say what a job's id looks like."""
    if not is_job_id(text):
        message = f"{text[:40]!r} is not a job id; a job id has 16 hex digits, see `coalmine job list`"
        raise InvalidInputError(message)
    return text
