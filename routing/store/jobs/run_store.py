"""What the watcher remembers of a run between two looks: what was done outside for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from redis import Redis

from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class RunNotes:
    """Notes about one run; losing them costs a look at the forge, and never an effect done twice."""

    comment: int | None = None  # the checklist's comment on the issue
    shown: str = ""  # digest of the checklist as it is there
    labelled: str = ""  # which label of its run the issue carries, a `RunLabel`; "" for none
    reviewed_at: float = 0.0  # when its work was last seen to be in review
    hastened_at: float = 0.0  # when there was last a reason to look at work in review at once
    change: bool = False  # its change request was opened
    change_tries: int = 0  # times that the forge did not open it
    change_at: float = 0.0  # not to be asked for again before
    change_finding: str = "no_change_request"  # what the last answer meant, a `Finding` of the watcher
    change_said: str = ""  # its words
    merging: str = ""  # the commit whose merge was asked for, when that was, or when the forge's merge queue
    # last got on, and its place there: see `merge_asked`
    held_at: float | None = None  # when the forge last refused the token: until then nothing could be known
    first_pushed_at: float | None = None  # seconds since the epoch
    red_as_main: str = ""  # the commit at which CI was red as it is on the main branch
    aside: str = ""  # the commit at which its work was last seen to wait for people or for a green main
    bringing: str = ""  # the commit at which its branch was when the forge was asked to bring it up to date
    brought_up: str = ""  # the commit by which its branch was last brought up to date
    answered: str = ""  # ids of feedback that we have answered, with blanks between them
    withdraw_tries: int = 0  # times that the forge refused to take it out of its merge queue
    withdraw_at: float = 0.0  # not to be asked for that again before
    same_text: str = ""  # a revision of its issue that says the same as the one that its agent has
    conflicts_at: float = 0.0  # conflicts of work that CI does not judge are not to be looked for before
    feedback_at: float = 0.0  # when feedback on work that CI is at was last looked for
    edit_at: float = 0.0  # a text that was changed while a turn runs is not to be looked at before
    branch_left: str = ""  # the commit at which its branch was deleted, or at which it is kept
    branch_tries: int = 0  # times that the forge did not take our token when it was to be deleted
    refusals: int = 0  # times that the forge refused the report of the run's end
    tell_at: float = 0.0  # not to be tried again before
    before: str = ""  # the job that worked on the issue before, "" for none
    finished: str = ""  # the end of the job with which its issue was closed, or handed to a person

    def asked_to_merge(self, commit: str) -> bool:
        """Whether the forge was asked to merge this commit, or was about to be."""
        return self.merging.split(" ", 1)[0] == commit


def merge_asked(commit: str, since: float, place: str = "") -> str:
    """What is noted of a merge before it is asked for, and while it is not made: with blanks between."""
    return f"{commit} {since:.6f} {place}"


class RunStore(Store):
    """What the ticks have done on a forge for a job, so that it is not done twice.

    One hash a run, which expires by itself. Each note changes the fields that it names, and no other. Write a
    note after the effect: a tick that dies between the two repeats the effect, which must bear that. There is
    no fence: of two notes of a field the last one counts.
    """

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *, retention_seconds: int
    ) -> None:
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds

    def read(self, job: str) -> RunNotes:
        """What is noted of a job's run."""
        with redis_errors(f"reading the notes of the run of job {job}"):
            fields = self.redis.hgetall(self.keys.run(job))
        return _parsed(fields)

    def note(self, job: str, **fields: str | float) -> None:
        """Note something; what was noted before is kept, but for these fields."""
        with redis_errors(f"noting the run of job {job}"):
            pipeline = self.redis.pipeline(transaction=True)
            pipeline.hset(self.keys.run(job), mapping=fields)
            pipeline.expire(self.keys.run(job), self.retention_seconds)
            pipeline.execute()


def _parsed(fields: Mapping[str, str]) -> RunNotes:
    first = fields.get("first_pushed_at")
    return RunNotes(
        comment=int(fields["comment"]) if fields.get("comment") else None,
        shown=fields.get("shown", ""),
        labelled=fields.get("labelled", ""),
        reviewed_at=float(fields.get("reviewed_at") or 0.0),
        hastened_at=float(fields.get("hastened_at") or 0.0),
        change=fields.get("change") == "1",
        change_tries=int(fields.get("change_tries") or 0),
        change_at=float(fields.get("change_at") or 0.0),
        change_finding=fields.get("change_finding") or "no_change_request",
        change_said=fields.get("change_said", ""),
        merging=fields.get("merging", ""),
        held_at=float(fields["held_at"]) if fields.get("held_at") else None,
        first_pushed_at=float(first) if first else None,
        red_as_main=fields.get("red_as_main", ""),
        aside=fields.get("aside", ""),
        bringing=fields.get("bringing", ""),
        brought_up=fields.get("brought_up", ""),
        answered=fields.get("answered", ""),
        withdraw_tries=int(fields.get("withdraw_tries") or 0),
        withdraw_at=float(fields.get("withdraw_at") or 0.0),
        same_text=fields.get("same_text", ""),
        feedback_at=float(fields.get("feedback_at") or 0.0),
        edit_at=float(fields.get("edit_at") or 0.0),
        conflicts_at=float(fields.get("conflicts_at") or 0.0),
        branch_left=fields.get("branch_left", ""),
        branch_tries=int(fields.get("branch_tries") or 0),
        refusals=int(fields.get("refusals") or 0),
        tell_at=float(fields.get("tell_at") or 0.0),
        before=fields.get("before", ""),
        finished=fields.get("finished", ""),
    )
