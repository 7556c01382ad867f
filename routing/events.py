"""Names of the events in the stream, and what each means.

An event is written in the same step as the change that it reports. The names are stored and sent to others: a
name that was written once keeps its meaning. The reference, and a test, hold the list complete.
"""

from dataclasses import dataclass
from typing import Any

TEMPLATE_ADDED = "template.added"
CANDIDATE_AWAITING = "candidate.awaiting_promotion"
CANDIDATE_HELD = "candidate.held"
CANARY_STARTED = "candidate.canary_started"
STEP_PASSED = "candidate.step_passed"
WAY_STOPPED = "candidate.way_stopped"
AUTO_PROMOTED = "candidate.auto_promoted"
PROMOTED = "candidate.promoted"
ROLLED_BACK = "candidate.rolled_back"
REJECTED = "candidate.rejected"
REVERTED = "template.reverted"
TRIAL_STOPPED = "trial.stopped"
TRIAL_EXPIRED = "trial.expired"
TRIAL_CONTRADICTED = "trial.contradicted"
TRIAL_SHARE_CHANGED = "trial.share_changed"
TRIAL_HELD = "trial.held"
TRIAL_RESUMED = "trial.resumed"
JOB_QUEUED = "job.queued"
JOB_CLAIMED = "job.claimed"
JOB_HELD = "job.held"
JOB_REROUTED = "job.rerouted"
JOB_WAITING = "job.waiting"
JOB_IN_REVIEW = "job.in_review"
JOB_REVIEWED = "job.reviewed"
JOB_CONFLICT = "job.conflict"
JOB_EDITED = "job.edited"
JOB_FIX_FORWARD = "job.fix_forward"
JOB_RETRIED = "job.retried"
JOB_RETURNED = "job.returned"
JOB_PUT_OFF = "job.put_off"
JOB_HINDERED = "job.hindered"
JOB_LIMITED = "job.limited"
JOB_REFUSED = "job.refused"
JOB_AWAITING = "job.awaiting"
JOB_WOKEN = "job.woken"
JOB_LEASE_EXPIRED = "job.lease_expired"
JOB_CANCELLING = "job.cancelling"
JOB_FINISHED = "job.finished"
JOB_SETTLED = "job.settled"
PAIR_SETTLED = "pair.settled"
PAIR_JUDGED = "pair.judged"
BACKTEST_STARTED = "backtest.started"
BACKTEST_HELD = "backtest.held"
BACKTEST_RESUMED = "backtest.resumed"
BACKTEST_ENDED = "backtest.ended"
JOB_SIGNAL = "job.signal"
SNAPSHOT_UNREADABLE = "candidate.snapshot_unreadable"
AGENT_REGISTERED = "agent.registered"
AGENT_FINISHED = "agent.finished"
MAIL_SENT = "mail.sent"
MAIL_CLAIMED = "mail.claimed"
MAIL_ACKED = "mail.acked"
MAIL_RETURNED = "mail.returned"
MAIL_DEAD = "mail.dead"
SESSION_STATE = "session.state"
SESSION_LOST = "session.lost"
SESSION_RESUME_MISMATCH = "session.resume_mismatch"
SESSION_TERMINAL_MAIL_MISSING = "session.terminal_mail_missing"
SESSION_SILENT = "session.silent"
WEBHOOK_ACCEPTED = "webhook.accepted"
ISSUE_UNREADABLE = "issue.unreadable"
BACKLOG_ADDED = "backlog.added"
BACKLOG_EDITED = "backlog.edited"
BACKLOG_STATE = "backlog.state"
BACKLOG_PAUSING = "backlog.pausing"
BACKLOG_PRIORITY = "backlog.priority"
BACKLOG_UNWANTED = "backlog.unwanted"
BACKLOG_HELD = "backlog.held"
BACKLOG_CYCLE = "backlog.cycle"
BACKLOG_UNKNOWN_BLOCKER = "backlog.unknown_blocker"
BACKLOG_REFUSED = "backlog.refused"
MAIN_RED = "main.red"
MAIN_GREEN = "main.green"
FORGE_TOKEN_REFUSED = "forge.token_refused"  # noqa: S105 - an event's name
FORGE_TOKEN_ACCEPTED = "forge.token_accepted"  # noqa: S105
ACCOUNT_LIMITED = "account.limited"
ACCOUNT_BROKEN = "account.broken"
ACCOUNT_CLOSED = "account.closed"
ACCOUNT_REOPENED = "account.reopened"
DISPATCH_PAUSED = "dispatch.paused"
DISPATCH_RESUMED = "dispatch.resumed"

#: Every event with its meaning, for the reference and for the test that holds the two together.
MEANINGS: dict[str, str] = {
    TEMPLATE_ADDED: "a template got its first version, which is its champion",
    CANDIDATE_AWAITING: "a version was proposed and waits for a person or a trial",
    CANDIDATE_HELD: "a version waits for a trial that cannot be opened: why, and what to do",
    CANARY_STARTED: "a trial was opened",
    STEP_PASSED: "the evidence of a step that is not the last is there: the next one begins, and "
    "the champion stays",
    WAY_STOPPED: "a way was ended between two of its steps, by a person or the settings",
    AUTO_PROMOTED: "the evidence graduated a canary: it is champion now",
    PROMOTED: "a person made a version champion",
    ROLLED_BACK: "a canary was rejected and its trial ended; the champion stays",
    REJECTED: "a person rejected a version that was not on trial",
    REVERTED: "a person made a superseded version champion again",
    TRIAL_STOPPED: "a trial ended without a verdict; its canary is pending again",
    TRIAL_EXPIRED: "a trial reached its limit of jobs or days; the champion stays, a person is asked",
    TRIAL_CONTRADICTED: "signals after the verdict no longer support it",
    TRIAL_SHARE_CHANGED: "the evidence ramp changed the canary's share",
    TRIAL_HELD: "a check of a trial's health has fired, or a person holds it: "
    "no verdict is carried out until a person resumes it",
    TRIAL_RESUMED: "a person let a trial decide again that a check of its health, or a person, held",
    JOB_QUEUED: "a job was accepted, with its draw",
    JOB_CLAIMED: "a worker won the lease of a job",
    JOB_HELD: "a job could be claimed, and waits until the limits leave room for it",
    JOB_REROUTED: "a job's canary was rejected before it was claimed: the champion does it",
    JOB_WAITING: "a job's commit was pushed and its CI is watched",
    JOB_IN_REVIEW: "a job's work is done, and a person is to merge its change request",
    JOB_REVIEWED: "reviewers asked for changes: the job is queued for a turn that makes them",
    JOB_CONFLICT: "a job's work cannot be merged: the job is queued for a turn that settles the conflicts",
    JOB_EDITED: "the text of a job's issue was changed: the job is queued for a turn with the new one",
    JOB_FIX_FORWARD: "CI is red at a job's commit: the job is queued for a turn that repairs its branch",
    JOB_RETRIED: "an attempt failed and the job is queued again, or a person retried it",
    JOB_RETURNED: "a worker that shuts down gave the job back, without counting the attempt",
    JOB_PUT_OFF: "a job's agent was busy with another one, so the job waits a moment",
    JOB_HINDERED: "a job waits, without counting the attempt: its forge is away, or refuses the token",
    JOB_LIMITED: "the limit of an account ended a job's turn: it waits for one, without counting the attempt",
    JOB_REFUSED: "the server did not take a job's work: the job is queued for a turn that repairs it",
    JOB_AWAITING: "a job's agent ended its turn to wait for mail; the job is queued until some arrives",
    JOB_WOKEN: "mail arrived for the agent of a job that waits for it: the job is published",
    JOB_LEASE_EXPIRED: "a worker was lost and the job is queued again",
    JOB_CANCELLING: "a running job is to be cancelled by its worker",
    JOB_FINISHED: "a job reached a final state",
    JOB_SETTLED: "a job's score is settled",
    PAIR_JUDGED: "the judge has scored the work of a pair, in the order that is said",
    PAIR_SETTLED: "both jobs of a pair were judged, or the pair was left out",
    BACKTEST_STARTED: "two versions are given past issues whose answer is known",
    BACKTEST_HELD: "a check of a backtest's health has fired: a person resumes or stops it",
    BACKTEST_RESUMED: "a person let a backtest decide again that a check of its health held",
    BACKTEST_ENDED: "a backtest has its answer, or ended without one",
    JOB_SIGNAL: "a fact about a job was recorded",
    SNAPSHOT_UNREADABLE: "a canary's content could not be read; its jobs go to the champion",
    AGENT_REGISTERED: "an agent has a name now, under which it gets mail",
    AGENT_FINISHED: "an agent has ended and no longer gets mail",
    MAIL_SENT: "a mail was accepted for delivery",
    MAIL_CLAIMED: "a turn of an agent took the mail that waited for it",
    MAIL_ACKED: "mail was delivered",
    MAIL_RETURNED: "a turn ended badly and its mail waits again",
    MAIL_DEAD: "a mail will no longer be delivered",
    SESSION_STATE: "an agent's session went from one state to another",
    SESSION_LOST: "a conversation cannot be resumed: the turn starts a new one, with a recap",
    SESSION_RESUME_MISMATCH: "an agent resumed another conversation than it was asked to",
    SESSION_TERMINAL_MAIL_MISSING: "an agent ended cleanly without the mail that ends its task",
    SESSION_SILENT: "a turn has said nothing for a while, and something was done about it",
    WEBHOOK_ACCEPTED: "a forge reported an issue, which will be read again",
    ISSUE_UNREADABLE: "an issue could not be taken in, or a repository not looked through; said once",
    BACKLOG_ADDED: "an issue was taken into the backlog",
    BACKLOG_EDITED: "an issue of the backlog was read again: its text, priority or dependencies changed",
    BACKLOG_STATE: "an issue of the backlog went from one state to another",
    BACKLOG_PAUSING: "an issue in progress was paused, so that it leaves with the end of its job, or resumed",
    BACKLOG_PRIORITY: "a person set the priority of an issue, or left it to what the issue says again",
    BACKLOG_UNWANTED: "people no longer want an issue in progress, whose job is ended",
    BACKLOG_HELD: "an issue's body could not be read and speaks of dependencies; a person must look at it",
    BACKLOG_CYCLE: "an issue waits for itself by way of others; it stays blocked until an edge is removed",
    BACKLOG_UNKNOWN_BLOCKER: "an issue waits for one that its forge does not know",
    MAIN_RED: "a main branch is red, or pushed work fails as it does: no issue is begun until that is green",
    MAIN_GREEN: "no work waits any more for the main branch of a repository to be green",
    BACKLOG_REFUSED: "a ready issue was not dispatched: which gate is shut, why, and what it looked at",
    FORGE_TOKEN_REFUSED: "a forge does not take our token: work waits until it is right",
    FORGE_TOKEN_ACCEPTED: "a forge takes our token again",
    ACCOUNT_LIMITED: "an account reached a limit: its jobs wait until it is over",
    ACCOUNT_BROKEN: "an account, or a version whose agents do not start, needs a person: its jobs wait",
    ACCOUNT_CLOSED: "a person closed an account",
    ACCOUNT_REOPENED: "an account serves again, or a version starts again",
    DISPATCH_PAUSED: "a person stopped dispatch",
    DISPATCH_RESUMED: "a person resumed dispatch",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One entry of the stream."""

    id: str  # the stream's id, to deduplicate by
    kind: str
    at: float  # seconds since the epoch, the server's
    subject: str  # job, trial or version id
    data: dict[str, Any]
