"""The log of jobs: an entry that cannot be stored is lost alone."""

from typing import Any

import pytest
import redis

from routing.errors import UnavailableError
from routing.store.jobs.log_store import KEPT, SENT_AT_ONCE, LogStore
from routing.store.redis.keys import Keys

KEYS = Keys("t")


def texts(log: LogStore, job: str) -> list[str]:
    """What is stored of a job."""
    return [line.text for line in log.read(job)]


class Refusing(redis.client.Pipeline):
    """A pipeline of a server that refuses some entries; each is sent as Redis would answer it."""

    refused: str = ""  # the entry's text
    error: Exception

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - theirs
        """Leave the refused out, and put the error in their place."""
        kept = [command for command in self.command_stack if self.refused not in command[0]]
        places = [self.refused in command[0] for command in self.command_stack]
        self.command_stack = kept
        answers = iter(super().execute(raise_on_error))
        return [self.error if refused else next(answers) for refused in places]


def refuse(log: LogStore, monkeypatch: pytest.MonkeyPatch, text: str, error: Exception) -> None:
    """Let the server refuse every entry of that text."""
    kind = type("RefusingOne", (Refusing,), {"refused": text, "error": error})

    def pipeline(*, transaction: bool) -> Refusing:
        made = log.redis.__class__.pipeline(log.redis, transaction=transaction)
        made.__class__ = type("RefusingHere", (kind, type(made)), {})
        return made  # type: ignore[no-any-return]

    monkeypatch.setattr(log.redis, "pipeline", pipeline)


def test_entry_that_the_server_refuses_is_lost_alone(
    fake_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbours of the same job and of others are stored once, and the loss is counted."""
    log = LogStore(fake_redis, KEYS)
    refuse(log, monkeypatch, "second", redis.ResponseError("ERR string exceeds maximum allowed size"))
    for text in ("first", "second", "third"):
        log.say("j1", "text", text)
    log.say("j2", "text", "of another")
    log.flush()
    assert texts(log, "j1") == ["first", "third"]
    assert texts(log, "j2") == ["of another"]
    assert log.lost == 1


def test_job_whose_log_is_refused_loses_its_own_alone(fake_redis: redis.Redis) -> None:
    """A key of another type says nothing about the logs of other jobs."""
    log = LogStore(fake_redis, KEYS)
    fake_redis.set(KEYS.log("j1"), "no stream")
    log.say("j1", "text", "refused")
    log.say("j2", "text", "stored")
    log.flush()
    assert texts(log, "j2") == ["stored"]
    assert log.lost == 1


@pytest.mark.parametrize("kind", [None, "\ud83d"])
def test_entry_that_the_driver_cannot_send_is_lost_alone(fake_redis: redis.Redis, kind: Any) -> None:
    """Nothing of what is sent together was sent then, so each is tried alone."""
    log = LogStore(fake_redis, KEYS)
    log.say("j1", "text", "before")
    log.say("j1", kind, "no kind that could be sent")
    log.say("j1", "text", "after")
    log.flush()
    assert texts(log, "j1") == ["before", "after"]
    assert log.lost == 1


def test_half_a_character_costs_itself(fake_redis: redis.Redis) -> None:
    """The rest of the text is stored."""
    log = LogStore(fake_redis, KEYS)
    log.say("j1", "text", "half \ud83d, NUL \0, huge " + "x" * 10_000)
    log.flush()
    (text,) = texts(log, "j1")
    assert text.startswith("half ?, NUL \0, huge xxx")
    assert log.lost == 0


def test_what_was_not_sent_waits_for_the_server(
    fake_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is away, or full, costs what was just sent; the rest comes with the next flush."""
    log = LogStore(fake_redis, KEYS)
    with monkeypatch.context() as away:
        refuse(log, away, "0", redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'"))
        for number in range(SENT_AT_ONCE + 2):
            log.say("j1", "text", str(number))
        with pytest.raises(UnavailableError, match="maxmemory"):
            log.flush()
    fake_redis.flushall()
    log.say("j1", "text", "later")
    log.flush()
    assert texts(log, "j1") == [str(SENT_AT_ONCE), str(SENT_AT_ONCE + 1), "later"]


def test_what_waits_is_bounded(fake_redis: redis.Redis) -> None:
    """A job's entries that wait are never more than its stream holds."""
    log = LogStore(fake_redis, KEYS)
    for number in range(KEPT + 5):
        log.say("j1", "text", str(number))
    log.flush()
    assert texts(log, "j1")[0] == "5"
