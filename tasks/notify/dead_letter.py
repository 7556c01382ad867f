"""Notifications that will not be sent any more, unless a person says so."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from routing.errors import NotFoundError
from routing.store.events.notice_store import MOST_DEAD, NoticeStore
from tasks.notify.sinks import NAMES
from tasks.notify.waiting_notice import WaitingNotice, parsed_notice


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """One of them."""

    id: str
    sink: str
    notice: WaitingNotice | None  # None: its record cannot be read

    @property
    def reason(self) -> str:
        """Why it died, in words."""
        if self.notice is None:
            return "its record cannot be read"
        return self.notice.reason or "too many waited for the sink"


def dead_letters(store: NoticeStore, *, most: int = MOST_DEAD) -> Iterator[DeadLetter]:
    """Those of every sink, whether it is configured now or not; of each the last to die first."""
    for sink in NAMES:
        for identifier, record in store.dead(sink, most).items():
            yield DeadLetter(id=identifier, sink=sink, notice=parsed_notice(record))


def revive(store: NoticeStore, wanted: Collection[str]) -> list[DeadLetter]:
    """Have dead letters sent again, all of them when none is named; returns which.

    What cannot be read stays. An id that is no dead letter is a NotFoundError, and nothing is revived.
    """
    found = list(dead_letters(store))
    unknown = sorted(set(wanted) - {letter.id for letter in found})
    if unknown:
        message = (
            f"no notification {', '.join(unknown)[:200]} is among the dead letters and nothing was revived; "
            "see `coalmine notify list-dead`"
        )
        raise NotFoundError(message)
    chosen = [letter for letter in found if not wanted or letter.id in wanted]
    for sink in NAMES:
        store.revive(sink, {
            letter.id: letter.notice.afresh().model_dump_json()
            for letter in chosen
            if letter.sink == sink and letter.notice is not None
        })  # fmt: skip
    return [letter for letter in chosen if letter.notice is not None]
