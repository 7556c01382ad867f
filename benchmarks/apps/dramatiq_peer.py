"""dramatiq with an actor that does nothing."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["COALMINE_REDIS_URL"])
dramatiq.set_broker(broker)

#: How its worker is started: one process, one thread.
ARGUMENTS = ("-m", "dramatiq", "benchmarks.apps.dramatiq_peer", "-p", "1", "-t", "1", "--skip-logging")


@dramatiq.actor(queue_name="no_op_actor")
def no_op(_job: str) -> None:
    """Do nothing."""


def send(jobs: int) -> None:
    """Enqueue that many, one after the other."""
    for number in range(jobs):
        no_op.send(f"{number:016x}")


def left() -> int:
    """Jobs that are not done: a message is kept until it is acknowledged."""
    return int(broker.client.hlen("dramatiq:no_op_actor.msgs"))
