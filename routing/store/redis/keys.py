"""Every key that Coalmine writes, in one place.

Names are stored state: a key that was written once keeps its name and type, or is read under both names.
"""

from dataclasses import dataclass

#: Kinds of keys that live for ever. Every other key carries a time to live; a test holds this.
#: Permanent kinds are bounded by the number of templates and trials, by the number of jobs at work,
#: by the number of agents that live, by that of repositories that were served, or by a trim (`events`,
#: `dead`, `jobs`).
PERMANENT_KINDS = frozenset(
    {
        "templates",  # set of template names
        "template",  # template:NAME and what belongs to it
        "champions",  # hash: template name -> champion's number
        "rejected",  # set of rejected version ids
        "trial",  # trial:ID and its ledger
        "trials",  # trials:open, trials:moved
        "backtest",  # backtest:ID and its pairs; the broker's queue of that name
        "backtests",  # backtests:open, backtests:refusing
        "jobs",  # zset of job ids by creation, trimmed by the sweep
        "pulse",  # hash: when the last sweep began, and until when holders may renew leases that ran out
        "outbox",  # zset of queued jobs whose message is to be published, by time
        "unclaimed",  # zset of published jobs that nobody has claimed, by the time of the next look
        "judging",  # zset of pairs that are to be judged, by the time of the next look
        "leases",  # zset of running jobs by the end of their lease
        "held",  # zset of queued jobs that wait for room, each after its repository's name, by creation
        "limited",  # zset of queued jobs that wait for an account, each after its gate and its creation
        "gates",  # hash: name of a gate at which jobs wait -> what must be open; gone with the last of them
        "breakers",  # hash: account and model -> whether it is closed, and until when
        "children",  # zset of jobs that have not ended, each after its parent's id, by name
        "bereaved",  # set of jobs that ended badly before their children
        "at_work",  # zset of running jobs of repositories, each after its repository's name, by name
        "waiting",  # zset of pushed jobs by the time they were last watched
        "landing",  # zset of pushed jobs by the time of the next look for a merge or a revert
        "due",  # zset of unsettled jobs by the time they must be looked at
        "effects",  # set of final jobs whose issue has yet to be updated
        "dead",  # zset of jobs that failed for good, trimmed by the sweep
        "events",  # stream, trimmed at each write
        "decisions",  # stream of what people decided, trimmed at each write
        "paused",  # why a person stopped dispatch
        "backlog",  # hash: issue -> its item; finished ones are trimmed, as are their entries in all of these
        "backlog_edges",  # zset of dependencies, twice each: from the blocked issue and from the blocker
        "backlog_outside",  # hash: blocker that is not an item -> what its forge answered about it
        "backlog_asks",  # zset of blockers that are not items, by the time of the next question
        "backlog_ready",  # zset of ready items by repository, priority, number
        "backlog_open",  # zset of items that are neither completed nor cancelled, by name
        "backlog_working",  # set of items in progress
        "backlog_finished",  # zset of items that are done or left the queue by themselves, by time, trimmed
        "backlog_states",  # zset of all items by state, repository, number
        "agents",  # set of the names of agents that live
        "sessions",  # zset of sessions that live, by their last step
        "turns",  # zset of sessions in whose turn somebody is, by the end of the lease
        "mail_sequence",  # the number of the last mail, or claim of mail
        "mail_waiting",  # zset of agents that live and have mail, by the time of the next look
        "repository_ids",  # hash: name of a repository that was served -> its id at its forge
        "intake",  # zset of issues that a forge has reported, by the time of the next look; bounded
        "intake_notes",  # hash: issue of the intake -> what was reported about it
        "traced",  # id of the last event that was sent as a trace; traced:JOB expires
        "notify",  # notify:SINK and what waits for it; bounded by the kinds of sinks and by a trim
        "champion",  # the broker's queues
        "canary",
        "control",
        "_kombu",  # the broker's bookkeeping
        "unacked",
        "unacked_index",
        "unacked_mutex",
    }
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one namespace."""

    namespace: str = "coalmine"

    def __call__(self, *parts: str | int) -> str:
        """`coalmine:job:0123…` from its parts."""
        return ":".join((self.namespace, *map(str, parts)))

    def template(self, name: str) -> str:
        """Hash: champion, latest, previous, trial, trials, revision, policy, waiting, state:N."""
        return self("template", name)

    def versions(self, name: str) -> str:
        """Hash: number -> record of the version as JSON."""
        return self("template", name, "versions")

    def hashes(self, name: str) -> str:
        """Hash: content hash -> number."""
        return self("template", name, "hashes")

    def reviews(self, name: str) -> str:
        """List: one JSON record a decision about a version, oldest first."""
        return self("template", name, "reviews")

    def template_costs(self, name: str) -> str:
        """Hash: what turns have cost, VERSION:MEASURE -> sum (`v3:usd`)."""
        return self("template", name, "costs")

    def trial(self, trial: str) -> str:
        """Hash: the trial, its share, its baselines and the state of its test."""
        return self("trial", trial)

    def dispatches(self, trial: str) -> str:
        """List in order of dispatch: one JSON record a routed job, with its frozen bet."""
        return self("trial", trial, "dispatches")

    def settlements(self, trial: str) -> str:
        """List in order of arrival: one JSON record a settlement."""
        return self("trial", trial, "settlements")

    def history(self, trial: str) -> str:
        """List: one JSON point an advance, for the plot of evidence over time."""
        return self("trial", trial, "history")

    def trial_costs(self, trial: str) -> str:
        """Hash: what turns have cost, ARM:MEASURE -> sum (`canary:usd`)."""
        return self("trial", trial, "costs")

    def day_costs(self, day: int) -> str:
        """Hash: what turns that ended on a day (UTC) have cost, TEMPLATE:MEASURE -> sum. Expires."""
        return self("costs", day)

    def backtest(self, backtest: str) -> str:
        """Hash: the backtest, its cases in their order and the state of its test."""
        return self("backtest", backtest)

    def backtest_pairs(self, backtest: str) -> str:
        """List in order of dispatch: one JSON record a case that was given out."""
        return self("backtest", backtest, "pairs")

    def backtest_settlements(self, backtest: str) -> str:
        """List in order of arrival: one JSON record of what became of a pair."""
        return self("backtest", backtest, "settlements")

    def spending(self, job: str) -> str:
        """String: what a turn that is run has cost so far, as JSON. Expires."""
        return self("job", job, "spending")

    def job(self, job: str) -> str:
        """Hash: the job. Expires `retention` after its end."""
        return f"{self.namespace}:job:{job}"  # used most often; written out, as that is faster

    def signals(self, job: str) -> str:
        """Hash: signal id -> JSON. Expires with the job."""
        return self("job", job, "signals")

    def pair(self, job: str) -> str:
        """Hash: by a job, see `Job.pair_id`, what a pair handed over to its judge, and the lease. Expires."""
        return self("pair", job)

    def run(self, job: str) -> str:
        """Hash: what the watcher did outside for a job: checklist, change request, label. Expires."""
        return self("run", job)

    def log(self, job: str) -> str:
        """Stream: what the agent said, bounded. Expires."""
        return self("job", job, "log")

    def issue(self, issue: str) -> str:
        """Hash: active (job id), rounds (jobs that ended), spent_usd. Expires after the last job's end."""
        return self("issue", issue)

    def issue_problems(self, repository: str) -> str:
        """String: what the last poll of a repository found wrong, as JSON. Expires."""
        return self("issue_problems", repository)

    def repositories(self, forge: str) -> str:
        """String: the repositories that the patterns of a forge's settings meant, as JSON. Expires."""
        return self("repositories", forge)

    def new_names(self, forge: str) -> str:
        """String: what renamed repositories of a forge are called now, by that, as JSON. Expires."""
        return self("new_names", forge)

    @property
    def repository_ids(self) -> str:
        """Hash: forge, its address and a repository's name -> its id there, as it was first seen."""
        return self("repository_ids")

    def idempotency(self, digest: str) -> str:
        """String: the job that a request's idempotency key led to. Expires."""
        return self("once", digest)

    def model_answer(self, digest: str) -> str:
        """String: a model's answer about an issue's body, by the hash of model and body. Expires."""
        return self("model_answer", digest)

    def tick(self, name: str) -> str:
        """String: the token of the process that runs a tick. Expires."""
        return self("tick", name)

    def rate_limit(self, token: str) -> str:
        """String: the limit of a token, named by a digest, is used up. Expires when that ends."""
        return self("rate_limit", token)

    def token(self, forge: str) -> str:
        """String: a forge refuses our token. Expires."""
        return self("token_refused", forge)

    def main_look(self, repository: str) -> str:
        """Hash: looked_at, commit, and why the main branch is red, or "". Expires."""
        return self("main_look", repository)

    def delivery(self, digest: str) -> str:
        """String: the issue that a forge's delivery was about. Expires."""
        return self("delivery", digest)

    def agent(self, name: str) -> str:
        """Hash: an agent, its newest terminal mail and the gate it waits at. Expires after its end."""
        return self("agent", name)

    def mail(self, mail: str) -> str:
        """Hash: one mail. Expires."""
        return self("mail", mail)

    def mail_once(self, digest: str) -> str:
        """Hash: the mail that a dedupe key led to, and its sequence. Expires."""
        return self("mail_once", digest)

    def thread(self, thread: str) -> str:
        """Zset: the mails of a thread by sequence, bounded. Expires."""
        return self("mail_thread", thread)

    def waiting_mail(self, address: str) -> str:
        """Zset: the mails that wait for an agent, by sequence, bounded. Expires."""
        return self("mailbox", address, "waiting")

    def claimed_mail(self, address: str) -> str:
        """Zset: the mails that a turn of an agent has claimed, by the end of their lease. Expires."""
        return self("mailbox", address, "claimed")

    def received_mail(self, address: str) -> str:
        """Zset: all mails to an address by sequence, bounded. Expires."""
        return self("mailbox", address, "received")

    def session(self, name: str) -> str:
        """Hash: an agent's session, its turn's lease and the process that runs it. Expires."""
        return self("session", name)

    def notify(self, sink: str) -> str:
        """Hash: a sink's place in the event stream, what it missed, its failures in a row."""
        return self("notify", sink)

    def notify_notes(self, sink: str) -> str:
        """Hash: id of a notification that waits or is dead -> its record."""
        return self("notify", sink, "notes")

    def notify_due(self, sink: str) -> str:
        """Zset: notifications that wait, by the time of the next attempt; bounded."""
        return self("notify", sink, "due")

    def notify_dead(self, sink: str) -> str:
        """Zset: notifications that will no longer be sent, by their end; bounded."""
        return self("notify", sink, "dead")
