"""Notifications as they are stored for one sink: those that wait to be sent, and the dead letters.

A dead letter is a notification that its sink refused, or did not take in all its attempts. It stays until a
person has it sent again, or newer ones push it out. Each sink has its own, so one that is down delays no
other.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.errors import NotFoundError
from routing.store.events.notice_store import MOST_DEAD, NoticeStore
from tasks.notify.notification import Notification
from tasks.notify.settings import SINK_NAMES


class WaitingNotice(BaseModel):
    """A notification with what became of it so far, as it is stored for one sink.

    `v` is the version of the record; a field may be added with a default, all else needs a new one.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    v: Literal[1] = 1
    notification: Notification
    attempts: int = 0  # that failed
    reason: str = ""  # of the last one, in words

    def failed(self, reason: str) -> "WaitingNotice":
        """The same after one more failure."""
        return self.model_copy(update={"attempts": self.attempts + 1, "reason": reason[:500]})

    def afresh(self) -> "WaitingNotice":
        """The same with all its attempts left."""
        return self.model_copy(update={"attempts": 0})


def parsed_notice(text: str) -> WaitingNotice | None:
    """A stored one; None when it cannot be read, or is gone."""
    try:
        return WaitingNotice.model_validate_json(text)
    except ValidationError:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A notification that is sent again only when a person says so."""

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
    """The dead letters of every sink, whether it is on now or not; of each at most so many, newest first."""
    for sink in SINK_NAMES:
        for identifier, record in store.dead(sink, most).items():
            yield DeadLetter(id=identifier, sink=sink, notice=parsed_notice(record))


def revive(store: NoticeStore, wanted: Collection[str]) -> list[DeadLetter]:
    """Have dead letters sent again, all of them when none is named; returns which.

    What cannot be read stays. An id that is not a dead letter raises NotFoundError, and none is revived. They
    are due at once; a sink that is off sends them when it is on again.
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
    for sink in SINK_NAMES:
        store.revive(sink, {
            letter.id: letter.notice.afresh().model_dump_json()
            for letter in chosen
            if letter.sink == sink and letter.notice is not None
        })  # fmt: skip
    return [letter for letter in chosen if letter.notice is not None]
