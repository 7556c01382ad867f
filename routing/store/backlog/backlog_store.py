"""The backlog in Redis: items, the edges between them, and what the forge said of issues that are none."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from redis import Redis

from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Refusal
from routing.errors import CorruptRecordError
from routing.issues.issue import IssueRef
from routing.issues.metadata import parsed_metadata
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.store import Store

_log = structlog.get_logger(__name__)

#: Form of the record that this release writes.
FORM = 1

#: Items that are read, and forgotten, in one round trip.
PAGE = 200

Unknown = Literal["satisfied", "blocked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What became of an issue that was taken in."""

    word: Literal["added", "edited", "same", "closed"]  # closed: it is, and was no item
    state: BacklogState | None  # None for `closed`


class BacklogStore(Store):
    """One call a step; the answers are the scripts' own words."""

    def __init__(self, redis: "Redis", keys: Keys, clock: Any = None, *, unknown_blocker: Unknown) -> None:
        super().__init__(redis, keys, clock)
        self.unknown_blocker = unknown_blocker

    def put(
        self, ref: IssueRef, *, live: Literal["open", "closed"], for_person: str,
        fields: dict[str, str], edges: Iterable[tuple[IssueRef, IssueRef]], notes: dict[str, str],
    ) -> Taken:  # fmt: skip
        """Take in an issue as it is now; `edges` are pairs of a blocked issue and its blocker.

        `for_person` is the label on it by which it waits for a person, "" without one. `notes` are about the
        look itself: they are kept, and are no change of the issue.
        """
        declared = ",".join(sorted({f"{blocked} {blocker}" for blocked, blocker in edges}))
        word, state = self.run(
            "backlog_put", self._names(), self.unknown_blocker, str(ref), live, for_person,
            json.dumps(fields), declared, json.dumps(notes),
            doing=f"taking issue {ref} into the backlog",
        )  # fmt: skip
        return Taken(word=word, state=BacklogState(state) if state else None)

    def move(
        self, ref: IssueRef, to: BacklogState, *, allowed: Iterable[BacklogState], reason: str,
        fence: int | None = None, job: str = "", per_repo: int | None = None, away: bool = False,
    ) -> tuple[str, int]:  # fmt: skip
        """Move an item: ('ok', its fence), or why not and 0."""
        word, number = self.run(
            "backlog_move", self._names(), self.unknown_blocker, str(ref), ",".join(allowed), to.value,
            reason, "" if fence is None else fence, job, "" if per_repo is None else per_repo,
            "1" if away else "",
            doing=f"moving issue {ref} to {to.value}",
        )  # fmt: skip
        return str(word), int(number or 0)

    def pause(self, ref: IssueRef, step: Literal["pause", "resume"], *, reason: str) -> str:
        """Take an item out of the queue for a person, or let it back in: 'ok', 'same', or why not."""
        return str(self.run(
            "backlog_pause", self._names(), self.unknown_blocker, str(ref), step, reason,
            doing=f"taking issue {ref} out of the queue, or back into it",
        ))  # fmt: skip

    def attach(self, ref: IssueRef, job: str, *, fence: int | None = None) -> str:
        """Note the job at work on an item in progress: 'ok', or why not."""
        return str(self.run(
            "backlog_attach", [self.keys("backlog")], str(ref), "" if fence is None else fence, job,
            doing=f"noting the job of issue {ref}",
        ))  # fmt: skip

    def refuse(self, refusal: Refusal) -> str:
        """Note which gate is shut for an item: 'ok', or 'same' when that is known, or 'missing'."""
        return str(self.run(
            "backlog_refuse", [self.keys("backlog"), self.keys("events")],
            refusal.issue, refusal.gate.value, refusal.to_json(),
            doing=f"noting why issue {refusal.issue} is not dispatched",
        ))  # fmt: skip

    def answer(self, ref: IssueRef, said: Literal["open", "closed", "missing", ""], *, again: float) -> str:
        """Note what the forge said of a blocker that is no item; `again` is in seconds."""
        return str(
            self.run(
                "backlog_answer",
                self._names(),
                self.unknown_blocker,
                str(ref),
                said,
                again,
                doing=f"noting what became of issue {ref}",
            )
        )

    def trim(self, *, before: float, most_kept: int) -> int:
        """Forget finished items, at most a page; returns how many."""
        return int(self.run(
            "backlog_trim", self._names(), self.unknown_blocker, before, most_kept, PAGE,
            doing="trimming the backlog",
        ))  # fmt: skip

    def to_ask(self, most: int) -> list[IssueRef]:
        """Blockers that the forge is to be asked about now, the longest due first."""
        with redis_errors("reading which blockers are to be asked about"):
            due = self.redis.zrangebyscore(self.keys("backlog_asks"), "-inf", self.now(), start=0, num=most)
        return [IssueRef.parse(text) for text in due]

    def read(self, refs: Sequence[IssueRef]) -> list[BacklogItem | None]:
        """Items in the order asked for; None for an issue that is none."""
        return [parsed_item(ref, text) if text else None for ref, text in self._texts(refs)]

    def read_sound(self, refs: Sequence[IssueRef]) -> list[BacklogItem]:
        """Those of the items that can be read; one that cannot is logged and does not stop the others."""
        found = []
        for ref, text in self._texts(refs):
            try:
                found += [parsed_item(ref, text)] if text else []
            except CorruptRecordError as error:
                _log.error("backlog.unreadable", issue=str(ref), reason=str(error))
        return found

    def _texts(self, refs: Sequence[IssueRef]) -> list[tuple[IssueRef, str | None]]:
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
        """What the forge said of issues that are no items: open, closed, missing, or "" when it has not."""
        if not refs:
            return []
        with redis_errors("reading what forges said of blockers"):
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
        """The issues that come before this one, whoever declared it, closed ones too."""
        return self._neighbours("<", ref)

    def dependents(self, ref: IssueRef) -> list[IssueRef]:
        """The issues that this one comes before."""
        return self._neighbours(">", ref)

    def _neighbours(self, direction: str, ref: IssueRef) -> list[IssueRef]:
        with redis_errors(f"reading the dependencies of issue {ref}"):
            members = self.redis.zrangebylex(
                self.keys("backlog_edges"), f"[{direction}{ref} ", f"({direction}{ref}!"
            )
        return [IssueRef.parse(name) for name in dict.fromkeys(member.split(" ")[1] for member in members)]

    @staticmethod
    def _between(state: BacklogState, within: str) -> tuple[str, str]:
        """The ends of a part of the index by state: names hold neither blanks nor what follows them."""
        if not within:
            return f"[{state} ", f"({state}!"
        if within.endswith(":"):
            return f"[{state} {within}", f"({state} {within[:-1]};"
        return f"[{state} {within} ", f"({state} {within}!"

    def _names(self) -> list[str]:
        keys = self.keys
        return [
            keys("backlog"), keys("backlog_edges"), keys("backlog_outside"), keys("backlog_asks"),
            keys("backlog_ready"), keys("backlog_open"), keys("backlog_working"), keys("backlog_finished"),
            keys("events"), keys("backlog_states"),
        ]  # fmt: skip


def place_of(ref: IssueRef, priority: int) -> str:
    """The item's place among those that are ready: by repository, priority, number."""
    return f"{ref.forge}:{ref.repo} {priority:02d} {ref.number:010d}"


def parsed_item(ref: IssueRef, text: str) -> BacklogItem:
    """A stored item, or CorruptRecordError."""
    try:
        fields = json.loads(text)
        if int(fields["v"]) > FORM:
            message = f"issue {ref} was stored by a newer release (form {fields['v']}); upgrade this one"
            raise CorruptRecordError(message)
        return BacklogItem(
            ref=ref,
            title=fields["title"],
            state=BacklogState(fields["state"]),
            reason=fields["reason"],
            metadata=parsed_metadata(fields["metadata"]),
            revision=fields["revision"],
            requested_by=fields["requested_by"],
            ring=tuple(fields["ring"].split()),
            job=fields["job"],
            fence=int(fields["fence"]),
            added_at=float(fields["added_at"]),
            changed_at=float(fields["changed_at"]),
            started_at=float(fields["started_at"]) if "started_at" in fields else None,
            seen=fields.get("seen", ""),
            looked_at=float(fields.get("looked_at") or 0.0),
            refusal=Refusal.from_json(str(ref), fields["refusal"]) if fields.get("refusal") else None,
            paused=fields["state"] == BacklogState.CANCELLED and fields.get("away", "") != "1",
            pausing=fields.get("pause", ""),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        message = f"the stored record of issue {ref} cannot be read ({error})"
        raise CorruptRecordError(message) from error
