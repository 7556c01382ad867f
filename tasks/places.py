"""When a worker takes messages: not while all its places are busy, but for jobs that take no time.

With a prefetch multiplier of 1 a worker of Celery's holds as many messages more as it has places. For jobs of
an hour these wait an hour in its memory, while other workers are idle: only the relay, which sees after
seconds that nobody claimed them, brings them elsewhere. So a worker whose places are all busy takes none:
see `PatientConsumer`.

Jobs of milliseconds are another matter: there the next message is to be at hand when a place is free. As
many as there are places come and go within QUICK_SECONDS then, which is how they are known.
"""

import time
from collections import deque
from collections.abc import Callable

#: Seconds in which twice as many jobs begin as a worker has places, where its jobs take no time.
QUICK_SECONDS = 0.5


class Places:
    """How many jobs one worker has, and may have. Belongs to the thread that takes messages."""

    def __init__(
        self, places: Callable[[], int], *, held: Callable[[], int], begun: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._places = places  # jobs that may run at once, now
        self._held = held  # messages that were taken and are not done with
        self._begun = begun  # jobs, since the worker started
        self._monotonic = monotonic
        self._marks: deque[tuple[float, int]] = deque()  # when, and how many had begun by then
        self.turned_away = False  # a look since somebody else last set it found no room

    def is_full(self) -> bool:
        """Whether to take no message now."""
        begun, now, places = self._begun(), self._monotonic(), self._places()
        if not self._marks or self._marks[-1][1] != begun:
            self._marks.append((now, begun))
        while len(self._marks) > 1 and self._marks[1][0] <= now - QUICK_SECONDS:
            self._marks.popleft()
        is_quick = begun - self._marks[0][1] >= 2 * places
        is_full = self._held() >= places and not is_quick
        self.turned_away = self.turned_away or is_full
        return is_full
