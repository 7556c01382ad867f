"""Recorded deliveries, damaged at random and signed: each is answered, none is a fault of ours."""

import json
import random
from collections import Counter

import redis

from routing.store.backlog.delivery_store import DeliveryStore
from routing.store.redis.keys import Keys
from routing.webhook.door import Door
from routing.webhook.errors import BadPayloadError
from tests.fakes.deliveries import DELIVERING_KINDS, FORGES, SentDelivery, payload, recorded, section, sent
from tests.fakes.gitlab_events import LOOKED_AT

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

#: What the header of an event says, where there is one.
_EVENTS = ("", "issues", "issue_comment")
_GITLAB_EVENTS = ("", "Issue Hook", "Note Hook", "Merge Request Hook", "Push Hook", "Pipeline Hook")


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
    forges = (*FORGES, section("gitlab", repositories=("acme/tools/*",)))
    door = Door(forges, DeliveryStore(fake_redis, Keys()), kill_switch=False)
    bodies = [request.body for request in recorded()] + [json.dumps(payload()).encode()] * 5
    gitlab = [json.dumps(document).encode() for _, document in LOOKED_AT]
    answers: dict[str, Counter[str]] = {kind: Counter() for kind in DELIVERING_KINDS}
    for _ in range(BODIES):
        kind = generator.choice(DELIVERING_KINDS)
        known, events = (gitlab, _GITLAB_EVENTS) if kind == "gitlab" else (bodies, _EVENTS)
        request = sent(kind, damaged(generator.choice(known), generator), event=generator.choice(events))
        answers[kind][answer(door, request)] += 1
    for kind, counted in answers.items():
        assert set(counted) == {"success", "ignored", "duplicate", "refused"}, kind
        assert counted["refused"] > counted.total() / 2, kind
