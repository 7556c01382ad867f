"""The news of a fleet while it runs: its events in words for people, each once.

One thread follows the stream. A job that waits for the same thing after each try is shown once.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable

from console.output.happenings import SAID_KINDS, Happening, happening
from routing.errors import STORE_AWAY, CoalmineError
from routing.events import Event
from tasks.composition.composition import Coalmine

#: Things whose last line is remembered.
_MOST_REMEMBERED = 1_000


class FleetNews:
    """Call `follow` in a thread of its own, until `stop` is set."""

    def __init__(
        self, parts: Coalmine, *, tell: Callable[[Event, Happening | None], None], say: Callable[[str], None]
    ) -> None:
        self._parts = parts
        self._tell = tell  # every event, and what it says to people if anything
        self._say = say  # what keeps us from telling it
        self._last: OrderedDict[str, str] = OrderedDict()  # what was shown last, by subject

    def follow(self, stop: threading.Event) -> None:
        """Tell what happens from now on.

        A server that is away is reported once, asked again each second, and what happened meanwhile is shown
        when it is there again. An event that cannot be shown is reported and left out.
        """
        last, is_away = "", False
        while not stop.is_set():
            try:
                last = last or self._newest()
                for event in self._parts.events.after(last, wait_seconds=0.5):
                    self._take_or_leave_out(event)
                    last = event.id
            except CoalmineError as error:
                if not is_away:
                    self._say(str(error))
                is_away = True
                stop.wait(1.0)
            except Exception as error:  # noqa: BLE001 - one event's fault; this thread has all others to show
                self._say(f"an event after {last or 'the start'} could not be shown: {error!r}")
                last = ""
                stop.wait(1.0)
            else:
                if is_away:
                    self._say("The server answers again.")
                is_away = False

    def _take_or_leave_out(self, event: Event) -> None:
        """Take an event. STORE_AWAY is raised before it is shown, so that it can be taken again."""
        try:
            self.take(event)
        except STORE_AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - one event's fault; this thread has all others to show
            self._say(f"the event {event.id} ({event.kind}) could not be shown: {error!r}")

    def take(self, event: Event) -> None:
        """Pass an event on, with what it says to people; None where they know it, or need not."""
        shown = None
        if event.kind in SAID_KINDS:
            job = self._parts.job_store.read(event.subject) if event.kind.startswith("job.") else None
            shown = self._if_new(event.subject, happening(event, job))
        self._tell(event, shown)

    def _if_new(self, subject: str, shown: Happening | None) -> Happening | None:
        """The words, unless the same ones were shown of that thing last."""
        if shown is None or self._last.get(subject) == shown.words:
            return None
        self._last[subject] = shown.words
        self._last.move_to_end(subject)
        if len(self._last) > _MOST_REMEMBERED:
            self._last.popitem(last=False)
        return shown

    def _newest(self) -> str:
        newest = self._parts.events.newest(1)
        return newest[0].id if newest else "0-0"
