"""The backlog in Redis: items, the edges between them, and what forges said about issues that are not items.

An edge says that one issue comes before another. The state of an item that waits follows from its edges, and
is changed by the step that changes one of them: see `_backlog.lua`. Lists of items are read page by page.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import structlog
from redis import Redis

from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Refusal
from routing.errors import CorruptRecordError
from routing.issues.issue import IssueRef
from routing.store.backlog.stored_item import parsed_item
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

_log = structlog.get_logger(__name__)

#: Items that are read, and forgotten, in one round trip.
PAGE = 200

Unknown = Literal["satisfied", "blocked"]


class TakenAs(StrEnum):
    """What an issue was to the backlog when it was taken in."""

    ADDED = "added"
    EDITED = "edited"
    SAME = "same"
    CLOSED = "closed"  # its issue is closed, and was not an item: nothing was stored


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an issue that was taken in."""

    how: TakenAs
    state: BacklogState | None = None  # None for CLOSED


class ItemAnswer(StrEnum):
    """What became of a move of an item. All but OK changed nothing."""

    OK = "ok"
    MISSING = "missing"
    STALE = "stale"  # another start, or another job, has it
    BUSY = "busy"  # its repository has no room
    STATE = "state"  # its state does not allow the move


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemMoved:
    """A move's answer."""

    answer: ItemAnswer
    fence: int = 0  # OK: of the item's last start
    state: BacklogState | None = None  # STATE: the one that it is in

    @property
    def done(self) -> bool:
        """Whether the item was moved."""
        return self.answer is ItemAnswer.OK


class WishAnswer(StrEnum):
    """What became of a person's wish about an item. All but OK changed nothing."""

    OK = "ok"
    SAME = "same"
    MISSING = "missing"
    COMPLETED = "completed"
    AWAY = "away"  # only its forge can bring it back


def _moved(words: Sequence[str]) -> ItemMoved:
    """The script's word, with the fence after `ok` and the item's state after `state`."""
    answer = ItemAnswer(words[0])
    if answer is ItemAnswer.OK:
        return ItemMoved(answer=answer, fence=int(words[1]))
    return ItemMoved(answer=answer, state=BacklogState(words[1]) if answer is ItemAnswer.STATE else None)


_INDEXES = (
    "backlog backlog_edges backlog_outside backlog_asks backlog_ready backlog_open backlog_working "
    "backlog_finished backlog_states events"
)
_PUT = Script(
    "backlog_put",
    lambda words: Taken(TakenAs(words[0]), *map(BacklogState, words[1:])),
    indexes=_INDEXES,
    args="unknown_blocker ref live escalation_label fields declared notes",
)
_MOVE = Script(
    "backlog_move",
    _moved,
    keys="main_look",
    indexes=_INDEXES,
    args="unknown_blocker ref allowed to reason fence job per_repo",
    flags="away",
)
_PRIORITY = Script(
    "backlog_priority", WishAnswer, indexes="backlog backlog_ready events", args="ref wished reason"
)
_PAUSE = Script("backlog_pause", WishAnswer, indexes=_INDEXES, args="unknown_blocker ref step reason")
_ANSWER = Script("backlog_answer", bool, indexes=_INDEXES, args="unknown_blocker ref said again_seconds")
_TRIM = Script("backlog_trim", int, indexes=_INDEXES, args="unknown_blocker before most_kept most")
_ATTACH = Script("backlog_attach", bool, indexes="backlog", args="ref fence job")
_UNWANTED = Script(
    "backlog_unwanted", lambda job: None if job is None else str(job), indexes="backlog events",
    args="ref reason",
)  # fmt: skip
_PLACES, _WHY = "backlog backlog_working events", "in_review main_red"
_LOOK, _STAND = "main_look", "ref job reason most"
_ASIDE = Script("backlog_aside", bool, keys=_LOOK, indexes=_PLACES, args=_STAND, flags=_WHY)
_REFUSE = Script("backlog_refuse", bool, indexes="backlog events", args="ref gate refusal")


class BacklogStore(Store):
    """Items and their dependencies. `Backlog` decides which steps are made; this carries them out.

    `put`, `move`, `pause`, `answer` and `trim` are atomic, and evaluate in the same step all items that they
    could make ready or block. `attach` and `refuse` change one record. A move to `in_progress` counts the
    items in progress of the repository, takes the slot and makes a new fence, all in the step: two
    dispatchers never exceed `per_repo`. Items that stand aside hold no slot.

    A move may end in another state than the caller asked for, if more was known: an issue that was closed on
    its forge becomes completed, and one that a person paused meanwhile is cancelled unless its work is done.

    Lists are read page by page without a lock, so an item that moves meanwhile may be missed until the next
    read. `ready` and `listed` leave out those that are no longer in the state. `read` raises
    CorruptRecordError for a record that it cannot read; `read_sound`, and the lists, log it and go on.
    """

    def __init__(self, redis: "Redis", keys: Keys, clock: Any = None, *, unknown_blocker: Unknown) -> None:
        super().__init__(redis, keys, clock)
        self.unknown_blocker = unknown_blocker  # what an issue is that its forge does not know

    def put(
        self, ref: IssueRef, *, live: Literal["open", "closed"], escalation_label: str,
        fields: dict[str, str], edges: Iterable[tuple[IssueRef, IssueRef]], notes: dict[str, str],
    ) -> Taken:  # fmt: skip
        """Take in an issue as it is now; `edges` are pairs of a blocked issue and its blocker.

        `escalation_label` is the label on it by which it waits for a person, "" without one. `notes` are
        about this look at it: they are kept, and do not count as an edit.
        """
        return self.call(
            _PUT, unknown_blocker=self.unknown_blocker, ref=str(ref), live=live,
            escalation_label=escalation_label, fields=json.dumps(fields), notes=json.dumps(notes),
            declared=",".join(sorted({f"{blocked} {blocker}" for blocked, blocker in edges})),
            doing=f"taking issue {ref} into the backlog",
        )  # fmt: skip

    def move(
        self, ref: IssueRef, to: BacklogState, *, allowed: Iterable[BacklogState], reason: str,
        fence: int | None = None, job: str = "", per_repo: int | None = None, away: bool = False,
    ) -> ItemMoved:  # fmt: skip
        """Move an item from one of the `allowed` states.

        `fence` is that of the start which the caller made, `job` the job that it speaks for; a start or job
        that is not the item's is refused. `per_repo` is the most items of the repository in progress. `away`:
        the item leaves the queue by itself, and comes back when its forge shows it again.
        """
        return self.call(
            _MOVE, unknown_blocker=self.unknown_blocker, ref=str(ref), allowed=",".join(allowed), to=to.value,
            reason=reason, fence=fence, job=job, per_repo=per_repo, away=away,
            main_look=self.keys.main_look(self._place(ref)),
            doing=f"moving issue {ref} to {to.value}",
        )  # fmt: skip

    def pause(self, ref: IssueRef, step: Literal["pause", "resume"], *, reason: str) -> WishAnswer:
        """Take an item out of the queue for a person, or let it back in."""
        return self.call(
            _PAUSE, unknown_blocker=self.unknown_blocker, ref=str(ref), step=step, reason=reason,
            doing=f"taking issue {ref} out of the queue, or back into it",
        )  # fmt: skip

    def set_priority(self, ref: IssueRef, priority: int | None, *, reason: str) -> WishAnswer:
        """Set an item's priority for a person; None leaves it to what the issue says."""
        return self.call(
            _PRIORITY, ref=str(ref), wished="" if priority is None else str(priority), reason=reason,
            doing=f"setting the priority of issue {ref}",
        )  # fmt: skip

    def attach(self, ref: IssueRef, job: str, *, fence: int | None = None) -> bool:
        """Note the job at work on an item in progress; False when another start or job has it."""
        return self.call(_ATTACH, ref=str(ref), fence=fence, job=job, doing=f"noting the job of issue {ref}")

    def unwanted(self, ref: IssueRef, *, reason: str) -> str | None:
        """Note that people no longer want the work in progress on an item; returns its job, "" if unknown.

        None when the item is not in progress. It leaves the queue when the job has ended, unless it is wanted
        again by then.
        """
        return self.call(
            _UNWANTED, ref=str(ref), reason=reason, doing=f"noting that issue {ref} is no longer wanted"
        )

    def stand_aside(
        self, ref: IssueRef, job: str, *, reason: str, most: int, in_review: bool, main_red: bool = False
    ) -> bool:
        """Have an item in progress hold no slot, or with `reason` "" hold one again.

        `main_red`: it waits for a green main branch. False when that is not so now: another job has it, or
        `most` of its repository stand aside.
        """
        doing = f"noting what issue {ref} waits for"
        return self.call(
            _ASIDE, ref=str(ref), job=job, reason=reason, most=most, in_review=in_review,
            main_red=main_red, main_look=self.keys.main_look(self._place(ref)), doing=doing,
        )  # fmt: skip

    def _place(self, ref: IssueRef) -> str:
        """`forge:repo` that work on the issue goes to, which stays the same while it is in progress."""
        (item,) = self.read_sound([ref]) or (None,)
        return item.place if item is not None else f"{ref.forge}:{ref.repo}"

    def refuse(self, refusal: Refusal) -> bool:
        """Note which gate is shut for an item; False when that is known, or the issue is not an item."""
        return self.call(
            _REFUSE, ref=refusal.issue, gate=refusal.gate.value, refusal=refusal.to_json(),
            doing=f"noting why issue {refusal.issue} is not dispatched",
        )  # fmt: skip

    def answer(self, ref: IssueRef, said: Literal["open", "closed", "missing", ""], *, again: float) -> bool:
        """Note what the forge said about a blocker that is not an item; False when nothing waits for it.

        "" stands for a forge that did not answer. `again` is in seconds until the forge is asked again.
        """
        return self.call(
            _ANSWER, unknown_blocker=self.unknown_blocker, ref=str(ref), said=said, again_seconds=again,
            doing=f"noting what became of issue {ref}",
        )  # fmt: skip

    def trim(self, *, before: float, most_kept: int) -> int:
        """Forget items that were finished `before` a time, or are too many; at most a page. How many were."""
        return self.call(
            _TRIM, unknown_blocker=self.unknown_blocker, before=before, most_kept=most_kept, most=PAGE,
            doing="trimming the backlog",
        )  # fmt: skip

    def to_ask(self, most: int) -> list[IssueRef]:
        """Blockers to ask the forge about now, those that have waited longest first."""
        with redis_errors("reading which blockers are to be asked about"):
            due = self.redis.zrangebyscore(self.keys("backlog_asks"), "-inf", self.now(), start=0, num=most)
        return [IssueRef.parse(text) for text in due]

    def read(self, refs: Sequence[IssueRef]) -> list[BacklogItem | None]:
        """Items in the order of `refs`; None for an issue that is not an item."""
        return [parsed_item(ref, text) if text else None for ref, text in self._texts(refs)]

    def read_sound(self, refs: Sequence[IssueRef]) -> list[BacklogItem]:
        """The items that can be read; one that cannot is logged, and does not hold up the others."""
        found = []
        for ref, text in self._texts(refs):
            try:
                found += [parsed_item(ref, text)] if text else []
            except CorruptRecordError as error:
                _log.error("backlog.unreadable", issue=str(ref), reason=str(error))
        return found

    def _texts(self, refs: Sequence[IssueRef]) -> list[tuple[IssueRef, str | None]]:
        """The stored records, with the issues that they were asked for by."""
        if not refs:
            return []
        with redis_errors("reading the backlog"):
            return list(zip(refs, self.redis.hmget(self.keys("backlog"), list(map(str, refs))), strict=True))

    def ready_repositories(self) -> Iterator[str]:
        """The repositories, as `forge:repo`, in which something is ready."""
        after = "-"
        while True:
            with redis_errors("reading what is ready"):
                first = self.redis.zrangebylex(self.keys("backlog_ready"), after, "+", start=0, num=1)
            if not first:
                return
            repository = first[0].split(" ")[0]
            yield repository
            after = f"({repository}!"

    def ready(self, repository: str) -> Iterator[BacklogItem]:
        """What is ready in `forge:repo`, the most urgent first; read page by page, on demand."""
        start = 0
        while True:
            with redis_errors("reading what is ready"):
                places = self.redis.zrangebylex(
                    self.keys("backlog_ready"), f"[{repository} ", f"({repository}!", start=start, num=PAGE
                )
            refs = [IssueRef.parse(f"{repository}#{int(place.split(' ')[2])}") for place in places]
            yield from (item for item in self.read_sound(refs) if item.state is BacklogState.READY)
            if len(places) < PAGE:
                return
            start += PAGE

    def listed(self, state: BacklogState, within: str = "") -> Iterator[BacklogItem]:
        """The items in a state by repository and number; read page by page, on demand.

        `within` is `forge:repo`, or `forge:` for all of a forge, or "" for all.
        """
        after, end = self._between(state, within)
        while True:
            with redis_errors("listing the backlog"):
                page = self.redis.zrangebylex(self.keys("backlog_states"), after, end, start=0, num=PAGE)
            refs = [IssueRef.parse(f"{place.split(' ')[1]}#{int(place.split(' ')[2])}") for place in page]
            yield from (item for item in self.read_sound(refs) if item.state is state)
            if len(page) < PAGE:
                return
            after = f"({page[-1]}"

    def count(self, state: BacklogState, within: str = "") -> int:
        """How many items are in a state; `within` as for `listed`."""
        with redis_errors("counting the backlog"):
            return int(self.redis.zlexcount(self.keys("backlog_states"), *self._between(state, within)))

    def said(self, refs: Sequence[IssueRef]) -> list[str]:
        """What the forge said about issues that are not items: open, closed, missing, or "" for nothing."""
        if not refs:
            return []
        with redis_errors("reading what forges said about blockers"):
            answers = self.redis.hmget(self.keys("backlog_outside"), [str(ref) for ref in refs])
        return [answer or "" for answer in answers]

    def unfinished(self, repository: str) -> list[IssueRef]:
        """The items of `forge:repo` that are neither completed nor cancelled."""
        with redis_errors("listing the backlog"):
            names = self.redis.zrangebylex(self.keys("backlog_open"), f"[{repository}#", f"({repository}$")
        return [IssueRef.parse(name) for name in names]

    def working(self) -> list[IssueRef]:
        """The items in progress."""
        with redis_errors("listing what is in progress"):
            return [
                IssueRef.parse(name) for name in sorted(self.redis.smembers(self.keys("backlog_working")))
            ]

    def blockers(self, ref: IssueRef) -> list[IssueRef]:
        """The issues that come before this one, whichever of the two declared it; closed ones too."""
        return self._neighbours("<", ref)

    def dependents(self, ref: IssueRef) -> list[IssueRef]:
        """The issues that wait for this one."""
        return self._neighbours(">", ref)

    def _neighbours(self, direction: str, ref: IssueRef) -> list[IssueRef]:
        """The issues at the other ends of edges, each once; `_backlog.lua` says how they are stored."""
        with redis_errors(f"reading the dependencies of issue {ref}"):
            members = self.redis.zrangebylex(
                self.keys("backlog_edges"), f"[{direction}{ref} ", f"({direction}{ref}!"
            )
        return [IssueRef.parse(name) for name in dict.fromkeys(member.split(" ")[1] for member in members)]

    @staticmethod
    def _between(state: BacklogState, within: str) -> tuple[str, str]:
        """The ends of a range of the list by state. Names hold no blank, "!" or ";"."""
        if not within:
            return f"[{state} ", f"({state}!"
        if within.endswith(":"):
            return f"[{state} {within}", f"({state} {within[:-1]};"
        return f"[{state} {within} ", f"({state} {within}!"


def place_of(ref: IssueRef, priority: int) -> str:
    """The member of the list of ready items, which sorts by repository, priority and number."""
    return f"{ref.forge}:{ref.repo} {priority:02d} {ref.number:010d}"
