"""Enqueuing from one process: `Mailbox.enqueue` and `enqueue_many` against Celery's `delay()`.

A pass is made of short turns of each, so that a busy machine slows all of them alike.
"""

import statistics
from typing import Any

from benchmarks.fleet import MeasuredFleet, measured_fleet, plain_app, ratio, request, seconds
from benchmarks.results import Row, row

NAME = "enqueue"

#: Passes, of which the median counts.
PASSES = 5

#: Jobs of a batch.
BATCH = 1000

#: Jobs enqueued in one turn.
TURN = 100


def rows(*, quick: bool) -> list[Row]:
    """Jobs a second of each, and how many times as many ours are."""
    with measured_fleet() as site:
        no_op = plain_app(site.url).task(name="no_op", ignore_result=True)(_nothing)
        _measure(site, no_op, turns=1)  # connections, caches
        passes = [_measure(site, no_op, turns=1 if quick else 3) for _ in range(PASSES)]
    delay, one, many = (list(column) for column in zip(*passes, strict=True))
    plain = 1 / statistics.median(delay)
    figures = [("enqueue", one, 3.0), (f"enqueue_many({BATCH})", many, 12.0)]
    found = []
    for name, ours, target in figures:
        rate = 1 / statistics.median(ours)
        times = ratio(ours, delay)
        found += [
            row(f"{name}: jobs a second", rate, unit="jobs/s", baseline=plain),
            row(f"{name}: speed against delay()", times, unit="times", target=target, better="higher"),
        ]
    return found


def _measure(site: MeasuredFleet, no_op: Any, *, turns: int) -> tuple[float, float, float]:
    """Seconds a job: delay(), enqueue(), enqueue_many()."""
    mailbox = site.coalmine.mailbox
    delay = one = many = 0.0
    # What is asked for is made before it is timed, on both sides.
    requests = [request(number) for number in range(BATCH)]
    arguments = [f"{number:016x}" for number in range(TURN)]
    for _ in range(turns * BATCH // TURN):
        delay += seconds(lambda: [no_op.delay(argument) for argument in arguments])
        one += seconds(lambda: [mailbox.enqueue(asked) for asked in requests[:TURN]])
    for _ in range(turns):
        many += seconds(lambda: mailbox.enqueue_many(requests))
    jobs = turns * BATCH
    return delay / jobs, one / jobs, many / jobs


def _nothing(_job: str) -> None:
    """A task that does nothing."""
