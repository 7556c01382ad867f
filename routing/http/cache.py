"""What was answered before, to be asked for again by its ETag: an unchanged page costs next to nothing."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from routing.http.reply import Reply


@dataclass(slots=True)
class ReplyCache:
    """The replies that were used last, bounded in number and size; safe to share between threads."""

    max_replies: int
    max_bytes: int  # of all bodies together
    _replies: OrderedDict[str, Reply] = field(default_factory=OrderedDict, repr=False)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def find(self, url: str) -> Reply | None:
        """The reply that is known of an address."""
        with self._lock:
            reply = self._replies.get(url)
            if reply is not None:
                self._replies.move_to_end(url)
            return reply

    def keep(self, url: str, reply: Reply) -> None:
        """Remember a reply that has an ETag; beyond the bounds the oldest are forgotten."""
        with self._lock:
            old = self._replies.pop(url, None)
            self._bytes -= len(old.body) if old else 0
            if not reply.headers.get("ETag") or len(reply.body) > self.max_bytes:
                return
            self._replies[url] = reply
            self._bytes += len(reply.body)
            while len(self._replies) > self.max_replies or self._bytes > self.max_bytes:
                _, forgotten = self._replies.popitem(last=False)
                self._bytes -= len(forgotten.body)
