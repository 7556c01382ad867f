"""The backlog: issues that are known and not finished, and the order in which they may be worked.

An item is `pending` until its forge has said what state its blockers are in, `blocked` while one of them is
open, and `ready` otherwise; `start` takes it `in_progress` and its repository's slot with it. It ends
`completed`, or waits for a person as `escalated` or `frozen`, or leaves the queue as `cancelled`. Those that
wait for an item are judged again in the same step. The forge outranks what is stored: each look at an issue
takes in what it says now.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import structlog

from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Refusal
from routing.backlog.settings import BacklogSettings
from routing.errors import ConflictError, InvalidInputError, NotFoundError
from routing.forges.errors import ForgeError, ForgeGoneError, ForgeMovedError
from routing.issues.issue import Issue, IssueListing, IssueRef
from routing.issues.metadata import IssueMetadata, read_metadata
from routing.issues.stated_words import PRIORITIES
from routing.store.backlog.backlog_store import BacklogStore, ItemAnswer, Taken, WishAnswer, place_of

_log = structlog.get_logger(__name__)

_WAITING = (BacklogState.PENDING, BacklogState.BLOCKED, BacklogState.READY)
_UNFINISHED = (*_WAITING, BacklogState.IN_PROGRESS, BacklogState.ESCALATED, BacklogState.FROZEN)


#: Why an issue of a tracker waits for a person.
WITHOUT_PLACE = (
    "nothing says which repository its work goes to: give it a label or a component that one of its "
    "tracker's routes names, or set the tracker's `repository`"
)


class IssueSource(Protocol):
    """What the backlog needs of a forge (`routing.forges.forge.Forge` has it)."""

    def read_issue(self, ref: IssueRef) -> Issue:
        """Return the issue as it is now, or raise a `ForgeError`."""
        ...


class Backlog:
    """Keeps the order of work on issues. It creates no jobs and writes nothing to forges.

    Who calls what:

    - The poll: `accept` for each issue that it sees and each that is `missing` in a listing, `withdraw` or
      `unwanted` for those that are not to be worked on, `ask`.
    - The dispatcher: `ready`, `start`, then `attach` with the job that it enqueued. After a definite failure
      it calls `release` instead. Without an answer it does neither: `unconfirmed` has the item later, and the
      job is looked up by the key of its start. `refuse` notes why an item has to wait.
    - The watcher, when the job has ended: `complete`, `escalate` or `freeze`, with the job's id. The
      dispatcher also escalates what it cannot enqueue.
    - People: `cancel`, `requeue` and `set_priority`. The sweep: `trim`.

    `start` gives a fence; `attach` and `release` with another one do nothing. An end that names a job other
    than the item's is a ConflictError. So is one that the item's state does not allow, and a wish of a person
    about an item that is completed or has left the queue by itself: only its forge can bring that back.
    NotFoundError: the issue is not an item.

    A step is atomic, and repeating it changes nothing. `ask` reads forges, item by item, and makes a step for
    each; when a forge gives no answer, that is logged and the item stays as it is.
    Nothing is kept in memory, so any number of threads and processes may run at once.
    """

    def __init__(
        self, store: BacklogStore, *, forges: Mapping[str, IssueSource], settings: BacklogSettings,
        escalation_label: str, read: Callable[[Issue], IssueMetadata] = read_metadata,
    ) -> None:  # fmt: skip
        self._store = store
        self._forges = forges  # by name
        self._settings = settings
        self._escalation_label = escalation_label  # label of issues that wait for a person
        self._read = read

    def accept(
        self, issue: Issue, *, blockers: Sequence[IssueRef] = (), requested_by: str = "", seen: str = "",
        works_in: str | None = None,
    ) -> Taken:  # fmt: skip
        """Take in an issue as its forge shows it now: new, edited, closed, reopened, or unchanged.

        `blockers` are those in the forge's own fields, beside what the body says. `requested_by` is who
        labelled or assigned it, whom the gates must trust; "" leaves what is known. `seen` is the forge's
        time of the last change that the caller has read whole, so that a poll need not read it again; ""
        notes nothing. `works_in` is the `forge:repo` that its work goes to, None where the issue is itself;
        with "", where nothing says which, it waits for a person.
        """
        metadata = self._read(issue).with_blockers(tuple(blockers))
        ref = issue.ref
        if works_in == "":
            metadata = metadata.model_copy(update={"held": WITHOUT_PLACE})
        own = f"{ref.forge}:{ref.repo}"
        fields = {
            "title": issue.title[:500],
            "revision": issue.revision,
            "requested_by": requested_by,
            "held": metadata.held,
            "priority": str(metadata.priority),
            "place": place_of(ref, metadata.priority),
            "metadata": metadata.model_dump_json(),
            **({"works_in": works_in} if works_in is not None and works_in != own else {}),
        }
        escalation_label = self._escalation_label if issue.carries(self._escalation_label) else ""
        edges = [(ref, blocker) for blocker in metadata.blocked_by]
        edges += [(blocked, ref) for blocked in metadata.blocks]
        return self._store.put(
            ref, live=issue.state, escalation_label=escalation_label, fields=fields, edges=edges,
            notes={"seen": seen, "assignees": "\n".join(sorted(issue.assignees))}
            | ({"looked_at": f"{self._store.now():.3f}"} if seen else {}),
        )  # fmt: skip

    def missing(self, repository: str, listing: IssueListing) -> list[IssueRef]:
        """The items of `forge:repo` that a complete listing lacks: read each, as it may have left the queue.

        An incomplete listing proves nothing, so it lacks none.
        """
        if not listing.complete:
            return []
        listed = {issue.ref for issue in listing.issues}
        return [ref for ref in self._store.unfinished(repository) if ref not in listed]

    def withdraw(self, ref: IssueRef, reason: str) -> bool:
        """Take an item that waits out of the queue; False for one that is worked on, which goes on."""
        allowed = (*_WAITING, BacklogState.ESCALATED, BacklogState.FROZEN)
        return self._store.move(ref, BacklogState.CANCELLED, allowed=allowed, reason=reason, away=True).done

    def unwanted(self, ref: IssueRef, reason: str) -> str | None:
        """Note that people no longer want an item in progress; returns its job, "" if none is known yet.

        None when it is not in progress. It leaves the queue with the end of the job, whatever that is; when
        `accept` sees it wanted again before, it is back in the queue then.
        """
        return self._store.unwanted(ref, reason=reason)

    def ask(self, *, most: int = 50) -> int:
        """Ask forges about blockers that are not items themselves; returns how many answers came.

        A forge that cannot be reached has not answered: items stay as they are, and it is asked again later.
        """
        answered = 0
        for ref in self._store.to_ask(most):
            said = self._said_of(ref)
            self._store.answer(ref, said, again=self._settings.ask_again_seconds)
            answered += said != ""
        return answered

    def _said_of(self, ref: IssueRef) -> Literal["open", "closed", "missing", ""]:
        """What the forge says about a blocker; "" when it did not answer. An unknown forge knows no issue."""
        forge = self._forges.get(ref.forge)
        if forge is None:
            _log.warning("backlog.no_such_forge", issue=str(ref), reason=f"no forge is called {ref.forge}")
            return "missing"
        try:
            return forge.read_issue(ref).state
        except ForgeMovedError as moved:
            return moved.state
        except ForgeGoneError:
            taken_for = self._settings.unknown_blocker
            _log.warning("backlog.unknown_blocker", issue=str(ref), taken_for=taken_for)
            return "missing"
        except ForgeError as error:
            _log.warning("backlog.no_answer", issue=str(ref), reason=str(error))
            return ""

    def start(self, ref: IssueRef, *, per_repo: int) -> int | None:
        """Take a slot of the repository for a ready item; returns the fence of this start.

        None when the item is not ready any longer, or `per_repo` items of the repository are in progress.
        """
        moved = self._store.move(
            ref,
            BacklogState.IN_PROGRESS,
            allowed=[BacklogState.READY],
            per_repo=per_repo,
            reason="its job is queued or at work",
        )
        return moved.fence if moved.done else None

    def attach(self, ref: IssueRef, job: str, *, fence: int | None = None) -> bool:
        """Note the job that was enqueued for an item in progress; False when another start or job has it.

        Without a fence, a tick notes a job that it found: the dispatcher died before it could.
        """
        return self._store.attach(ref, job, fence=fence)

    def release(self, ref: IssueRef, *, fence: int, reason: str) -> bool:
        """Give the slot back after a definite failure to dispatch: the item is ready again, or blocked.

        After an indefinite one (no answer) the job may exist: see `unconfirmed`.
        """
        return self._store.move(
            ref, BacklogState.PENDING, allowed=[BacklogState.IN_PROGRESS], reason=reason, fence=fence
        ).done

    def unconfirmed(self, *, older_than: float) -> list[BacklogItem]:
        """Items in progress without a known job that were started before a time.

        Look for their job among the jobs before they are dispatched again: it may have been enqueued.
        """
        items = self._store.read_sound(self._store.working())
        return [item for item in items if not item.job and (item.started_at or 0.0) < older_than]

    def complete(self, ref: IssueRef, *, reason: str, job: str = "") -> bool:
        """The work is done; what waited for it alone is ready in the same step."""
        return self._end(ref, BacklogState.COMPLETED, _UNFINISHED, reason, job)

    def escalate(self, ref: IssueRef, *, reason: str, job: str = "") -> bool:
        """A person must take over; what waits for it stays blocked."""
        return self._end(ref, BacklogState.ESCALATED, (*_WAITING, BacklogState.IN_PROGRESS), reason, job)

    def freeze(self, ref: IssueRef, *, reason: str, job: str = "") -> bool:
        """CI stayed red: a person must take over, and what waits for it stays blocked."""
        return self._end(ref, BacklogState.FROZEN, (*_WAITING, BacklogState.IN_PROGRESS), reason, job)

    def cancel(self, ref: IssueRef, *, by: str) -> bool:
        """A person takes it out of the queue; it stays out until a person lets it back in, or it is reopened.

        An item in progress keeps its slot until its job has ended, and then leaves unless its work is done.
        """
        return self._pause(ref, "pause", f"paused by {by}")

    def requeue(self, ref: IssueRef, *, by: str) -> bool:
        """A person puts an escalated, frozen or paused item back, or takes back a pause while in progress."""
        return self._pause(ref, "resume", f"resumed by {by}")

    def set_priority(self, ref: IssueRef, priority: int | None, *, by: str) -> bool:
        """A person says how urgent it is, by one of PRIORITIES, whatever its labels say now or later.

        None takes that back: what the issue says holds again. The order of what is ready changes in the same
        step. A job that was made for it keeps its place in its queue; the next one has the new priority.
        InvalidInputError for any other number.
        """
        if priority is not None and priority not in PRIORITIES:
            known = f"{PRIORITIES[0]} (the most urgent) to {PRIORITIES[-1]}"
            message = f"{priority} is not a priority; it is {known}, and nothing was changed"
            raise InvalidInputError(message)
        said = "left to what the issue says" if priority is None else f"set to {priority}"
        return self._wished(ref, self._store.set_priority(ref, priority, reason=f"{said} by {by}"))

    def _pause(self, ref: IssueRef, step: Literal["pause", "resume"], reason: str) -> bool:
        """Make the step; False when it was made before. What is not allowed raises."""
        return self._wished(ref, self._store.pause(ref, step, reason=reason))

    def _wished(self, ref: IssueRef, answer: WishAnswer) -> bool:
        """Whether a person's wish changed anything. What is not allowed raises."""
        if answer is WishAnswer.MISSING:
            raise _unknown(ref)
        if answer is WishAnswer.COMPLETED:
            remedy = "reopen it on its forge to have it worked on again"
            message = f"issue {ref} is completed and was not changed; {remedy}"
            raise ConflictError(message)
        if answer is WishAnswer.AWAY:
            remedy = "it comes back when that is put right on its forge"
            message = f"issue {ref} left the queue ({self.find(ref).reason}) and was not changed; {remedy}"
            raise ConflictError(message)
        return answer is WishAnswer.OK

    def _end(
        self, ref: IssueRef, to: BacklogState, allowed: Sequence[BacklogState], reason: str, job: str
    ) -> bool:
        """Make the step; False when it was made before. What is not allowed raises."""
        moved = self._store.move(ref, to, allowed=allowed, reason=reason, job=job)
        if moved.answer is ItemAnswer.MISSING:
            raise _unknown(ref)
        if moved.answer is ItemAnswer.STALE:
            message = f"issue {ref} is worked on by another job than {job}; nothing was changed"
            raise ConflictError(message)
        if moved.state not in {None, to}:
            message = f"issue {ref} is {moved.state} and cannot become {to.value}; queue it again first"
            raise ConflictError(message)
        return moved.done

    def now(self) -> float:
        """Seconds since the epoch by the server's clock."""
        return self._store.now()

    def stand_aside(
        self, ref: IssueRef, job: str, *, reason: str, most: int, in_review: bool = False,
        main_red: bool = False,
    ) -> bool:  # fmt: skip
        """Free the slot of an item whose pushed work waits for others; False when it keeps its slot.

        `main_red`: it waits for a green main branch, see `red_mains`. `most` is for how many items of the
        repository that may be done at once: beyond it no new issue is started, as for any other that is in
        progress.
        """
        return self._store.stand_aside(
            ref, job, reason=reason[:500], most=most, in_review=in_review, main_red=main_red
        )

    def take_place(self, ref: IssueRef, job: str) -> bool:
        """What the work of an item waited for is there: it holds a slot again, also where none is free."""
        return self._store.stand_aside(ref, job, reason="", most=0, in_review=False)

    def refuse(self, refusal: Refusal) -> bool:
        """Note why an item is not dispatched; False when that is known."""
        return self._store.refuse(refusal)

    def in_progress(self) -> list[BacklogItem]:
        """The items that are worked on, also those that stand aside."""
        return self._store.read_sound(self._store.working())

    def known(self, ref: IssueRef) -> BacklogItem | None:
        """One item; None when the issue is not one, and when its record cannot be read, which is logged."""
        found = self._store.read_sound([ref])
        return found[0] if found else None

    def find(self, ref: IssueRef) -> BacklogItem:
        """One item, or NotFoundError."""
        item = self._store.read([ref])[0]
        if item is None:
            raise _unknown(ref)
        return item

    def ready(self) -> dict[str, Iterator[BacklogItem]]:
        """What is ready, by `forge:repo`, the most urgent first; read page by page, on demand."""
        return {name: self._store.ready(name) for name in self._store.ready_repositories()}

    def busy(self) -> dict[str, int]:
        """How many items hold a slot, by `forge:repo`; those that stand aside hold none."""
        working = self._store.working()
        items = self._store.read_sound(working)
        aside = {item.ref for item in items if item.aside}
        places = {item.ref: item.place for item in items}
        counts: dict[str, int] = {}
        for ref in working:
            if ref in aside:
                continue
            name = places.get(ref, f"{ref.forge}:{ref.repo}")
            counts[name] = counts.get(name, 0) + 1
        return counts

    def red_mains(self) -> dict[str, str]:
        """By `forge:repo` an issue whose pushed work waits until the main branch there is green."""
        return {item.place: str(item.ref) for item in self.in_progress() if item.main_red}

    def trim(self) -> int:
        """Forget what was finished long ago, at most a page a call; returns how many items."""
        settings = self._settings
        before = self._store.now() - settings.retention_days * 86_400
        return self._store.trim(before=before, most_kept=settings.most_finished)


def _unknown(ref: IssueRef) -> NotFoundError:
    return NotFoundError(f"issue {ref} is not in the backlog; label it on its forge to have it taken in")
