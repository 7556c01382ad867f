"""Recorded deliveries, damaged at random and signed: each is answered, none is a fault of ours."""

import json
import random
from collections import Counter

import redis

from routing.store.backlog.delivery_store import DeliveryStore
from routing.store.redis.keys import Keys
from routing.webhook.door import Door
from routing.webhook.errors import BadPayloadError
from tests.fakes.deliveries import FORGES, WEBHOOK_KINDS, SentDelivery, payload, recorded, sent

#: How many; the same seed makes the same ones, so a longer run begins with these.
BODIES = 10_000

#: What is put in at random places: values of other types, and what JSON readers trip over.
_SPANNERS = (
    b"null",
    b"{}",
    b"[]",
    b"1e999",
    b'"\\ud800"',
    b"NaN",
    b"\\u0000",
    b'"',
    b"\xff",
    b"-",
    b"9" * 30,
)


def damaged(body: bytes, generator: random.Random) -> bytes:
    """The body with up to six changes: a byte, a hole, a spanner, a part twice."""
    found = bytearray(body)
    for _ in range(generator.randint(0, 6)):
        place, other = (generator.randrange(len(found) + 1) for _ in range(2))
        match generator.randrange(4):
            case 0:
                found[place : place + 1] = bytes([generator.randrange(256)])
            case 1:
                del found[place : place + generator.randint(1, 200)]
            case 2:
                found[place:place] = generator.choice(_SPANNERS)
            case _:
                found[place:place] = found[other : other + generator.randint(1, 100)]
    return bytes(found)


def answer(door: Door, request: SentDelivery) -> str:
    """What became of it, in a word; any error but that of a bad body ends the test."""
    try:
        return door.receive(request.kind, request.headers, request.body).status.value
    except BadPayloadError:
        return "refused"


def test_damaged_deliveries_are_answered(fake_redis: redis.Redis) -> None:
    """Some are still accepted, ignored or duplicates, most are refused with the field."""
    generator = random.Random(7)
    door = Door(FORGES, DeliveryStore(fake_redis, Keys()), kill_switch=False)
    bodies = [request.body for request in recorded()] + [json.dumps(payload()).encode()] * 5
    answers: Counter[str] = Counter()
    for _ in range(BODIES):
        kind, event = generator.choice(WEBHOOK_KINDS), generator.choice(["", "issues", "issue_comment"])
        answers[answer(door, sent(kind, damaged(generator.choice(bodies), generator), event=event))] += 1
    assert set(answers) == {"success", "ignored", "duplicate", "refused"}
    assert answers["refused"] > BODIES / 2
