"""An issue as the backlog remembers it: its state, why it is in it, and what is known about it.

The scripts of `routing/store/backlog` write the states; `Backlog` says what they mean and who may change
them.
"""

from dataclasses import dataclass
from enum import StrEnum

from routing.backlog.refusal import Refusal
from routing.issues.issue import IssueRef
from routing.issues.metadata import IssueMetadata


class BacklogState(StrEnum):
    """Where an issue is on its way through the fleet."""

    PENDING = "pending"  # taken in; its forge has not answered yet about a blocker
    BLOCKED = "blocked"  # an issue that comes first is open, or its body must be looked at by a person
    READY = "ready"
    IN_PROGRESS = "in_progress"  # its repository's slot is taken for it, unless it stands aside
    COMPLETED = "completed"
    ESCALATED = "escalated"  # a person must take over
    FROZEN = "frozen"  # CI stayed red; a person must take over
    CANCELLED = "cancelled"  # out of the queue while it may still be open on the forge


@dataclass(frozen=True, kw_only=True, slots=True)
class BacklogItem:
    """One issue of the backlog."""

    ref: IssueRef
    title: str
    state: BacklogState
    reason: str  # why it is in that state, in words
    metadata: IssueMetadata
    revision: str  # of the title and the body that the metadata is from
    requested_by: str  # who labelled or assigned it; "" when that could not be found out
    ring: tuple[str, ...]  # issues of the cycle that it is in, itself among them; () for none
    job: str  # at work on it, "" for none
    fence: int  # grows with every start
    added_at: float  # seconds since the epoch, like all times here
    changed_at: float  # when its state or its reason last changed
    started_at: float | None  # when its slot was last taken
    seen: str = ""  # the forge's time of the last change that was read whole; "": read it again
    looked_at: float = 0.0  # when that was
    refusal: Refusal | None = None  # the gate that was shut for it when it was last considered
    paused: bool = False  # cancelled by a person, who alone lets it back in
    pausing: str = ""  # by whom it was paused while in progress; "": it was not
    unwanted: str = ""  # what people did that ends the job in progress; "": nothing
    aside: str = ""  # what its pushed work waits for, so that it holds no slot; "": it holds one
    in_review: bool = False  # that is a person, who is to merge it; also where it holds a slot
    main_red: bool = False  # with `aside`: it waits for a green main branch
    before: str = ""  # the job that was at work on it before it was last started, "" for none
    assigned: tuple[str, ...] | None = None  # to whom when it was started; None: not known
    works_in: str = ""  # `forge:repo` that its work goes to; "": where the issue is itself

    @property
    def place(self) -> str:
        """`forge:repo` that its work goes to, and whose places it takes."""
        return self.works_in or f"{self.ref.forge}:{self.ref.repo}"

    @property
    def order(self) -> tuple[int, int, str]:
        """The order of dispatch: priority, then number; the name decides between repositories."""
        return (self.metadata.priority, self.ref.number, str(self.ref))
