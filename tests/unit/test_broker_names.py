"""What a fleet is called on its broker: two namespaces never meet, and old names stay in use."""

from typing import Any

import pytest
from celery import Celery
from celery.concurrency.thread import TaskPool
from pydantic import SecretStr

from routing.jobs.job import Priority
from routing.jobs.publisher import CeleryPublisher
from tasks.broker import QUEUES, WORK, make_app, refused_pool
from tasks.settings.celery_variables import NOT_READ, not_read
from tasks.settings.settings import Settings

REDIS = ["redis://h/1", "rediss://h", "redis+socket:///r.sock", "sentinel://h:1;sentinel://h:2"]
OTHERS = ["amqp://h//", "sqs://", "memory://"]


def app_of(namespace: str, broker_url: str | None) -> Celery:
    """The application of a fleet with a broker that is written out, or the store's."""
    broker = None if broker_url is None else SecretStr(broker_url)
    return make_app(Settings(namespace=namespace, redis_url=SecretStr("redis://store/0"), broker_url=broker))


def mailbox_of(app: Celery) -> Any:
    """Where commands to workers are sent, and their answers come from."""
    control: Any = app.control
    return control.mailbox


@pytest.mark.parametrize("url", [None, *REDIS])
def test_redis_broker_has_the_namespace_before_every_key(url: str | None) -> None:
    """Queues, bindings, replies and channels: kombu puts it before all that it writes."""
    app = app_of("shop", url)
    assert app.conf.broker_transport_options["global_keyprefix"] == "shop:"
    assert {queue.name for queue in app.conf.task_queues} == set(QUEUES)


@pytest.mark.parametrize("url", OTHERS)
def test_other_brokers_have_it_in_queues_and_exchanges(url: str) -> None:
    """What workers hear from everybody, commands and events, is apart as well."""
    one, other = app_of("shop", url), app_of("shop-2", url)
    for app, prefix in ((one, "shop."), (other, "shop-2.")):
        queues = app.amqp.queues
        assert {queues[name].name for name in QUEUES} == {prefix + name for name in QUEUES}
        assert {queues[name].exchange.name for name in QUEUES} == {prefix + name for name in QUEUES}
        mailbox = mailbox_of(app)
        assert mailbox.exchange.name == f"{prefix}celery.pidbox"
        assert mailbox.reply_exchange.name == f"reply.{prefix}celery.pidbox"
        assert app.conf.event_exchange == f"{prefix}celeryev"


@pytest.mark.parametrize("url", [*REDIS, *OTHERS])
def test_default_namespace_keeps_the_names_of_a_broker_of_its_own(url: str) -> None:
    """Messages that an earlier release left there are consumed, and its workers understand ours."""
    app = app_of("coalmine", url)
    assert not app.conf.broker_transport_options.get("global_keyprefix")
    assert {queue.name for queue in app.conf.task_queues} == set(QUEUES)
    assert mailbox_of(app).exchange.name == "celery.pidbox"


def test_workers_choose_queues_by_their_short_names() -> None:
    """`-Q champion,canary` means the fleet's own, whatever they are called on the broker."""
    app = app_of("shop", "memory://")
    app.amqp.queues.select(["champion", "canary"])
    assert set(app.amqp.queues.consume_from) == {"shop.champion", "shop.canary"}


def test_message_is_seen_by_its_own_fleet_alone() -> None:
    """Two fleets on one broker: each publishes to its own queue, and counts its own."""
    one, other = (
        CeleryPublisher(app_of(name, "memory://"), task=WORK, broker_is_store=False)
        for name in ("shop", "shopping")
    )
    one.publish("0123456789abcdef", "champion", Priority.NORMAL)
    assert (one.depth("champion"), other.depth("champion")) == (1, 0)


def test_celerys_own_variables_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another project's broker is nothing to this fleet, whenever Celery looks at its environment."""
    for name in NOT_READ:
        monkeypatch.setenv(name, "redis://elsewhere/0")
    app = app_of("shop", None)
    for conf in (app.conf, app.conf):  # before it was asked for anything, and after that
        urls = (conf.broker_read_url, conf.broker_write_url, conf.broker_url, conf.result_backend)
        assert urls == (*["redis://store:6379/0"] * 3, None)
    assert app.connection_for_write().hostname == "store"


def test_variables_that_are_not_read_are_named_once() -> None:
    """With what to set instead."""
    assert not not_read({"CELERY_WORKER_CONCURRENCY": "2", "CELERY_BROKER_URL": ""})
    said = not_read({"CELERY_BROKER_URL": "a", "CELERY_BROKER_READ_URL": "b"})
    assert said.startswith("CELERY_BROKER_URL, CELERY_BROKER_READ_URL (")
    assert "set COALMINE_BROKER_URL if" in said
    assert "no use for it" in not_read({"CELERY_RESULT_BACKEND": "a"})


@pytest.mark.parametrize("pool", ["gevent", "eventlet", "<class 'celery.concurrency.gevent.TaskPool'>"])
def test_green_threads_are_refused_by_name(pool: str) -> None:
    """With what to use instead; the others are fine."""
    assert "is not supported: use -P threads" in refused_pool(pool)
    assert not any(map(refused_pool, ["threads", "prefork", "solo", TaskPool]))
