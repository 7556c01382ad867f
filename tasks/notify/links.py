"""Links in notifications: to the page of a thing, and to one answer to an agent that asks.

Who has an answer's link may answer that one mail, without signing in. It is signed, ends ANSWER_SECONDS after
the mail, and answers once: a gate takes one answer. It is sent to sinks that people read, and to no log.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote

from tasks.notify.log_sink import LogSink
from tasks.notify.notification import Notification
from tasks.notify.sink import Sink

#: Seconds after its mail for which a link answers.
ANSWER_SECONDS = 24 * 3600

#: The page of a thing, by the field of a notification that names it; the first that is there counts.
_PAGES = {
    "mail": "/mail/{}",
    "backtest": "/backtests/{}",
    "job": "/jobs/{}",
    "issue": "/issue?ref={}",
    "version": "/versions/{}",
    "account": "/accounts",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Makes the links of one fleet, and checks those that come back."""

    address: str  # of its pages, as people reach them, without a slash at the end; "" for no links
    secret: str = ""  # that answers are signed with; "" for none

    def added(self, notification: Notification, *, answers: bool) -> Notification:
        """The notification with the link of its page, and with that of an answer where one is asked for."""
        if not self.address:
            return notification
        fields = dict(notification.fields)
        page = next((path for name, path in _PAGES.items() if fields.get(name)), "")
        if page:
            thing = next(fields[name] for name in _PAGES if fields.get(name))
            fields["link"] = self.address + page.format(quote(thing, safe="@"))
        if answers and self.secret and fields.get("type") == "decision_gate" and fields.get("mail"):
            fields["answer"] = self.answer(fields["mail"], until=int(notification.at + ANSWER_SECONDS))
        return notification.model_copy(update={"fields": fields})

    def answer(self, mail: str, *, until: int) -> str:
        """The link that answers a mail; `until` in seconds since the epoch."""
        return f"{self.address}/answer/{quote(mail, safe='')}?key={until}.{self._signature(mail, until)}"

    def allows(self, mail: str, key: str, *, now: float) -> bool:
        """Whether the key of a link that came back is ours, is about that mail, and has not ended."""
        until, _, signature = key.partition(".")
        if not self.secret or not re.fullmatch("[0-9]{1,12}", until):
            return False
        expected = self._signature(mail, int(until)).encode()
        return hmac.compare_digest(signature.encode(errors="replace"), expected) and now < int(until)

    def _signature(self, mail: str, until: int) -> str:
        made = hmac.new(self.secret.encode(), f"answer\n{mail}\n{until}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).decode().rstrip("=")


class LinkedSink:
    """A sink whose notifications have links. They are added when one is sent, so none is ever stored."""

    def __init__(self, sink: Sink, links: Links) -> None:
        self._sink = sink
        self._links = links

    @property
    def name(self) -> str:
        """The sink's own."""
        return self._sink.name

    def send(self, notification: Notification) -> None:
        """Send it with its links; a log gets no answer's."""
        answers = not isinstance(self._sink, LogSink)
        self._sink.send(self._links.added(notification, answers=answers))
