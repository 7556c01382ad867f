"""The Celery application: queues, serialisers, beat schedule. Made from settings, in one place.

Two fleets may share a broker, whatever it is: all that a fleet writes there carries its namespace. In Redis
it begins every key and channel; other brokers have it in the names of queues and exchanges. Commands and
settings say `champion` all the same. With the default namespace, a broker that is not the store's server has
the names that it always had, without a prefix.
"""

from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu import Exchange, Queue

from routing.store.redis.address import RedisAddress
from tasks.application import FleetApp
from tasks.broker_connection import ANSWER_SECONDS, CONNECT_SECONDS, SILENCE_SECONDS, HintAMQP, HintEvents
from tasks.settings.settings import Settings
from tasks.work.tick import USEFUL_SECONDS

#: Queues of jobs, and the one of ticks.
QUEUES = ("champion", "canary", "control", "backtest")

#: Name of the task that works a job; its only argument is the job's id.
WORK = "tasks.work"

#: Names of the ticks, which run on the queue `control`.
SWEEP, HARVEST, WATCH, LAND, POLL, DISPATCH, CI, JUDGE, WATCHDOG, NOTIFY, TRACE = (
    f"tasks.{name}"
    for name in (
        "sweep",
        "harvest",
        "watch",
        "land",
        "poll",
        "dispatch",
        "ci",
        "judge",
        "watchdog",
        "notify",
        "trace",
    )
)


def make_app(settings: Settings) -> Celery:
    """A Celery application that is fully configured; nothing is connected yet."""
    app = FleetApp("coalmine", amqp=HintAMQP, events=HintEvents)
    broker_url, options = broker(settings)
    app.conf.update(
        broker_url=broker_url,
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        broker_channel_error_retry=True,  # a server that refuses is waited for like one that is away
        broker_connection_max_retries=None,  # a broker that is away for a day finds its workers waiting
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,  # durability comes from our lease, not from the broker (see DESIGN)
        task_queues=queues(settings),
        task_default_queue="control",
        task_create_missing_queues=False,
        task_track_started=True,
        task_send_sent_event=False,
        worker_send_task_events=True,  # Flower sees everything
        worker_consumer="tasks.consumer:PatientConsumer",
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        # Of tasks that are acknowledged late, which ours are not. Off, each lost connection is a warning.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_prefetch_count_reduction=False,
        enable_utc=True,
        timezone="UTC",
        beat_schedule=schedule(settings),
        beat_max_loop_interval=1,
        beat_scheduler="tasks.beat:PatientScheduler",
        **_exchanges(settings),
    )
    return app


def queues(settings: Settings) -> list[Queue]:
    """The queues as the broker knows them; Celery finds each by its short name too."""
    prefix = _name_prefix(settings)
    return [
        Queue(
            prefix + name, Exchange(prefix + name), routing_key=prefix + name, alias=name if prefix else None
        )
        for name in QUEUES
    ]


def served_queues(app: Celery) -> list[str]:
    """The queues that the worker in this process takes from, by their short names."""
    taken = set(app.amqp.queues.consume_from)
    return [name for name in QUEUES if any(each == name or each.endswith(f".{name}") for each in taken)]


def _exchanges(settings: Settings) -> dict[str, str]:
    """Names of what all processes of a fleet hear: commands to workers, and their events."""
    prefix = _name_prefix(settings)
    if not prefix:
        return {}
    return {
        "control_exchange": f"{prefix}celery",
        "event_exchange": f"{prefix}celeryev",
        "event_queue_prefix": f"{prefix}celeryev",
    }


def _name_prefix(settings: Settings) -> str:
    """What names of queues begin with on brokers without a prefix for keys; "" where nothing is needed."""
    return "" if not _has_own_names(settings) or _is_redis(settings) else f"{settings.namespace}."


def _has_own_names(settings: Settings) -> bool:
    """Whether a broker that the settings name must know this fleet from others."""
    default = Settings.model_fields["namespace"].default
    return settings.broker_url is not None and settings.namespace != default


def _is_redis(settings: Settings) -> bool:
    """Whether the broker that the settings name is reached by kombu's Redis transports."""
    url = settings.broker_url.get_secret_value() if settings.broker_url else ""
    return urlsplit(url).scheme.partition("+")[0] in {"redis", "rediss", "sentinel"}


def broker(settings: Settings) -> tuple[str, dict[str, Any]]:
    """URL and transport options of the broker: the store's own server unless another is named."""
    if settings.broker_url is not None:
        url = settings.broker_url.get_secret_value()
        prefix = f"{settings.namespace}:" if _has_own_names(settings) else ""
        return url, _redis_options(prefix) if _is_redis(settings) else {}
    if settings.redis_url is None:
        return "memory://", {}  # `config show` and the help need no server
    address = RedisAddress.parse(settings.redis_url.get_secret_value())
    options = _redis_options(f"{settings.namespace}:")
    return address.broker_url(), options | address.broker_transport_options()


def _redis_options(prefix: str) -> dict[str, Any]:
    """How every Redis broker is spoken to; `prefix` begins its keys and channels."""
    return {
        "global_keyprefix": prefix,
        "queue_order_strategy": "priority",
        "socket_keepalive": True,
        "health_check_interval": SILENCE_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
    }


def schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """The ticks. One that comes late is dropped: the next one does its work."""
    times = settings.times
    every = {
        SWEEP: times.sweep_interval_seconds,
        WATCH: times.watch_interval_seconds,
        LAND: times.watch_interval_seconds,
        WATCHDOG: times.watchdog_interval_seconds,
        HARVEST: times.harvest_interval_seconds,
    }
    polls = settings.poll_intervals
    if polls:
        every[DISPATCH] = times.dispatch_interval_seconds
    if settings.notify.is_on:
        every[NOTIFY] = settings.notify.interval_seconds
    if settings.telemetry.is_on:
        every[TRACE] = settings.telemetry.interval_seconds
    ticks = {name: _entry(name, seconds) for name, seconds in every.items()}
    return ticks | {f"{POLL} {forge}": _entry(POLL, seconds, forge) for forge, seconds in polls.items()}


def _entry(task: str, seconds: float, *arguments: str) -> dict[str, Any]:
    headers = {USEFUL_SECONDS: max(10.0, 2 * seconds)}
    return {
        "task": task,
        "args": arguments,
        "schedule": seconds,
        "options": {"queue": "control", "headers": headers, "ignore_result": True},
    }


def refused_pool(pool: object) -> str:
    """Why a worker must not have a pool, by its name or class; "" for one that it may have.

    A turn waits for its agent in calls that stop all green threads, those that keep leases too.
    """
    found = [name for name in ("gevent", "eventlet") if name in str(pool)]
    return f"the pool {found[0]} is not supported: use -P threads, prefork or solo" if found else ""
