"""The parts that report to the outside, wired: one notifier for each sink that the settings name."""

import random
import time

from routing.back_off import BackOff
from tasks.composition.composition import Coalmine
from tasks.notify.facts import FactReader
from tasks.notify.links import LinkedSink, Links
from tasks.notify.notifier import Notifier, NotifierRules
from tasks.settings.settings import Settings


def notifiers_of(parts: Coalmine) -> list[Notifier]:
    """Make them; a notifier remembers its place in the stream in Redis, so any process may have one.

    Only the process that holds a sink's tick runs it. [] when no sink is on. Raises nothing for a sink that
    cannot be reached: that shows when it sends.
    """
    notify = parts.settings.notify
    facts = FactReader(jobs=parts.job_store, signals=parts.signals, backlog=parts.backlog_store)
    links = links_of(parts.settings)
    back_off = BackOff(first_seconds=notify.back_off_first_seconds, cap_seconds=notify.back_off_cap_seconds)
    return [
        Notifier(
            sink=LinkedSink(sink, links),
            rules=NotifierRules(
                kinds=kinds,
                attempts=notify.attempts,
                back_off=back_off,
                max_age_seconds=notify.max_age_hours * 3600,
            ),
            store=parts.notices,
            events=parts.events,
            facts=facts,
            generator=random.SystemRandom(),  # the draws of a seed are not disturbed
            monotonic=time.monotonic,
        )
        for sink, kinds in notify.configured(parts.now)
    ]


def links_of(settings: Settings) -> Links:
    """What makes the links of notifications, and checks those that come back."""
    secret = settings.web.link_secret
    return Links(
        address=settings.web.address.rstrip("/"), secret="" if secret is None else secret.get_secret_value()
    )
