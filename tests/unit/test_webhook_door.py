"""The door: one delivery from its bytes to the hand-over, and what the intake gives out again."""

import json
from collections.abc import Iterable

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.backlog.intake import Hint, Intake
from routing.errors import CoalmineError
from routing.events import WEBHOOK_ACCEPTED
from routing.forges.config import RemoteConfig
from routing.store.backlog import delivery_store
from routing.store.backlog.delivery_store import SEEN_SECONDS, DeliveryStore
from routing.webhook.door import DeliveryReceipt, Door, ReceiptStatus
from routing.webhook.errors import (
    BadPayloadError,
    BadSignatureError,
    IntakeFullError,
    NoSecretError,
)
from tests.fakes.deliveries import (
    FORGES,
    SECRET,
    WEBHOOK_KINDS,
    SentDelivery,
    dialect_of,
    payload,
    recorded,
    sent,
)
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks


class DoorHouse:
    """A fleet with a door, and the tick that reads it in the test's hands."""

    def __init__(
        self, client: redis.Redis, given: Iterable[RemoteConfig] = FORGES, *, kill_switch: bool = False
    ) -> None:
        self.fleet = SteppedFleet(client)
        store = DeliveryStore(client, self.fleet.app.keys, self.fleet.clock)
        self.door = Door(given, store, kill_switch=kill_switch)
        self.intake = Intake(store)

    def receive(self, request: SentDelivery) -> DeliveryReceipt:
        """Bring a request to the door."""
        return self.door.receive(request.kind, request.headers, request.body)

    def status(self, request: SentDelivery) -> str:
        """What became of it, in a word."""
        return self.receive(request).status.value


@pytest.fixture
def house(redis_client: redis.Redis) -> DoorHouse:
    """A house whose clock stands still."""
    return DoorHouse(redis_client)


def of(number: int, *, delivery: str = "", **changes: object) -> SentDelivery:
    """A delivery of GitHub's about an issue."""
    return sent("github", payload(number=number, **changes), delivery=delivery)


def test_accepted_delivery_lets_its_issue_wait(house: DoorHouse) -> None:
    """One entry with what was said, one event, and nothing that lives for ever."""
    receipt = house.receive(of(161, delivery="d1"))
    assert (receipt.status, str(receipt.issue)) == (ReceiptStatus.SUCCESS, "github:acme/shop#161")
    (arrival,) = house.intake.take_intake()
    assert str(arrival.issue) == "github:acme/shop#161"
    (hint,) = arrival.hints
    assert hint == Hint(digest=hint.digest, delivery="d1", event="issues", action="assigned", actor="ada")
    (event,) = house.fleet.events(WEBHOOK_ACCEPTED)
    assert (event.subject, event.data["actor"], event.data["forge"]) == (
        "github:acme/shop#161",
        "ada",
        "github",
    )
    assert leaks(house.fleet.redis, house.fleet.app.keys) == []


def test_a_delivery_under_a_new_name_is_for_the_name_that_is_set(house: DoorHouse) -> None:
    """As the last poll has found it, in any case; not where the settings leave the new name out."""
    names = {"acme/store": "acme/shop", "acme/gone": "acme/away"}
    store = DeliveryStore(house.fleet.redis, house.fleet.app.keys, house.fleet.clock)
    house.door = Door(FORGES, store, kill_switch=False, names=lambda _: names)
    renamed = sent("github", payload(number=161) | {"repository": {"full_name": "Acme/Store"}})
    assert str(house.receive(renamed).issue) == "github:acme/shop#161"
    nobodys = sent("github", payload(number=162) | {"repository": {"full_name": "acme/gone"}})
    assert house.status(nobodys) == "ignored"
    left_out = [forge.model_copy(update={"repositories": ("acme/shop", "!acme/store")}) for forge in FORGES]
    house.door = Door(left_out, store, kill_switch=False, names=lambda _: names)
    assert house.status(renamed) == "ignored"


def test_recorded_story(house: DoorHouse) -> None:
    """What a real Gitea sent: `assigned` came twice under one id, and one comment was our own."""
    words = [house.status(request) for request in recorded()]
    assert words == [
        "success", "success", "duplicate", "success", "ignored", "success", "success", "success", "success",
        "success",
    ]  # fmt: skip
    arrivals = house.intake.take_intake()
    assert [str(arrival.issue) for arrival in arrivals] == ["gitea:boss/proj#1", "gitea:boss/proj#2"]
    assert len(house.fleet.events(WEBHOOK_ACCEPTED)) == 8


def test_order_of_deliveries_does_not_matter(house: DoorHouse) -> None:
    """Gitea sends `assigned` before `opened`: the issue waits once, and is read as it is then."""
    for request in reversed(recorded()):
        house.receive(request)
    assert len(house.intake.take_intake()) == 2


def test_duplicate_changes_nothing(house: DoorHouse) -> None:
    """Neither the intake nor the events, until the delivery is forgotten."""
    house.receive(of(161, delivery="d1"))
    before = house.fleet.everything()
    assert house.status(of(161, delivery="d1")) == "duplicate"
    assert house.fleet.everything() == before


def test_without_an_id_the_body_counts(house: DoorHouse) -> None:
    """The same bytes are the same delivery."""
    assert [house.status(of(number)) for number in (1, 1, 2)] == ["success", "duplicate", "success"]


def test_delivery_is_remembered_for_days(house: DoorHouse) -> None:
    """As long as a forge lets people send it again."""
    house.receive(of(161, delivery="d1"))
    (key,) = house.fleet.redis.keys("coalmine:delivery:*")
    assert house.fleet.redis.ttl(key) == SEEN_SECONDS


@pytest.mark.parametrize("kind", WEBHOOK_KINDS)
def test_door_without_a_secret_is_shut(redis_client: redis.Redis, kind: str) -> None:
    """Whatever the signature, and without a look at the body."""
    house = DoorHouse(redis_client, ())
    with pytest.raises(NoSecretError, match=rf"forge\.{kind}\.webhook_secret"):
        house.receive(sent(kind, payload()))


def test_signature_is_checked_before_the_body_is_read(house: DoorHouse) -> None:
    """Who does not know the secret does not learn whether a body makes sense."""
    with pytest.raises(BadSignatureError):
        house.receive(of(161).signed_with("wrong"))
    with pytest.raises(BadSignatureError):
        house.receive(sent("github", b"{", secret="wrong"))  # noqa: S106 - a wrong one
    assert house.fleet.everything() == {}


def test_ignored_delivery_leaves_no_trace(house: DoorHouse) -> None:
    """So it is accepted when it is sent again after the settings were repaired."""
    strange = of(1, delivery="d1", repository={"full_name": "acme/other"})
    assert house.status(strange) == "ignored"
    with pytest.raises(BadPayloadError):
        house.receive(of(1, delivery="d1", action=None))
    assert house.fleet.everything() == {}
    assert house.status(of(1, delivery="d1")) == "success"


def test_kill_switch_reads_and_writes_nothing(redis_client: redis.Redis) -> None:
    """Not even the server is asked: this one is gone."""
    house = DoorHouse(redis_client, kill_switch=True)
    redis_client.connection_pool.disconnect()
    with redis.Redis(port=1) as gone:
        nowhere = DeliveryStore(gone, house.fleet.app.keys)
        house.door = Door(FORGES, nowhere, kill_switch=True)
        assert "kill switch" in house.receive(of(161)).reason


def test_nothing_is_accepted_or_taken_while_paused(house: DoorHouse) -> None:
    """What came before waits; what comes meanwhile is not remembered, so that it may come again."""
    house.receive(of(1))
    house.fleet.app.switch.pause("lunch")
    receipt = house.receive(of(2))
    assert (receipt.status, receipt.reason) == (ReceiptStatus.IGNORED, "dispatch is paused")
    assert house.intake.take_intake() == []
    house.fleet.app.switch.resume("over")
    assert house.status(of(2)) == "success"
    assert len(house.intake.take_intake()) == 2


def test_issue_reported_often_waits_once_with_all_that_was_said(house: DoorHouse) -> None:
    """The place in the line is that of the first delivery; of the hints the last few are kept."""
    house.receive(of(1, delivery="first"))
    house.fleet.clock.forward(1)
    house.receive(of(2))
    for number in range(30):
        house.receive(of(1, delivery=f"d{number}", sender={"login": f"u{number}"}))
    first, second = house.intake.take_intake()
    assert (first.issue.number, second.issue.number) == (1, 2)
    assert [hint.actor for hint in first.hints] == [f"u{number}" for number in range(10, 30)]


def test_issue_is_taken_by_one_until_its_lease_ends(house: DoorHouse) -> None:
    """A tick that dies leaves its issues to the next."""
    house.receive(of(1))
    (taken,) = house.intake.take_intake(lease_seconds=60)
    assert house.intake.take_intake() == []
    house.fleet.clock.forward(61)
    assert house.intake.take_intake() == [taken]
    assert house.intake.done(taken)
    house.fleet.clock.forward(61)
    assert house.intake.take_intake() == []


def test_issue_reported_during_its_look_is_looked_at_again(house: DoorHouse) -> None:
    """What was said after the reading is not lost, nor is the issue read twice at a time."""
    house.receive(of(1, delivery="d1"))
    (taken,) = house.intake.take_intake()
    house.receive(of(1, delivery="d2", action="closed"))
    assert house.intake.take_intake() == []
    assert not house.intake.done(taken)
    (again,) = house.intake.take_intake()
    assert [hint.action for hint in again.hints] == ["assigned", "closed"]
    assert house.intake.done(again)
    assert house.fleet.redis.exists("coalmine:intake", "coalmine:intake_notes") == 0


def test_late_end_of_a_lost_look_does_no_harm(house: DoorHouse) -> None:
    """It does not forget what was reported after another look had ended."""
    house.receive(of(1, delivery="d1"))
    (lost,) = house.intake.take_intake(lease_seconds=1)
    house.fleet.clock.forward(2)
    (found,) = house.intake.take_intake()
    assert house.intake.done(found)
    house.receive(of(1, delivery="d2"))
    assert not house.intake.done(lost)
    assert len(house.intake.take_intake()) == 1


def test_intake_is_bounded(house: DoorHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound new issues are refused and not remembered; those that wait may be reported again."""
    monkeypatch.setattr(delivery_store, "MOST_ISSUES", 2)
    house.receive(of(1))
    house.receive(of(2))
    with pytest.raises(IntakeFullError, match="acme/shop#3"):
        house.receive(of(3))
    assert house.status(of(2, action="closed")) == "success"
    assert len(house.intake.take_intake(most=1)) == 1
    house.intake.done(house.intake.take_intake()[0])
    assert house.status(of(3)) == "success"


@pytest.mark.parametrize("damaged", ["", "?", "[]", "7", '{"v": 1, "hints": "?"}', '{"v": 2, "hints": []}'])
def test_damaged_note_does_not_hold_its_issue_up(house: DoorHouse, damaged: str) -> None:
    """The issue is looked at without hints and forgotten; another delivery begins the note anew."""
    house.receive(of(1, delivery="d1"))
    house.fleet.redis.hset("coalmine:intake_notes", "github:acme/shop#1", damaged)
    (arrival,) = house.intake.take_intake()
    assert (arrival.issue.number, arrival.hints) == (1, ())
    assert house.status(of(1, delivery="d2")) == "success"
    assert not house.intake.done(arrival)
    (again,) = house.intake.take_intake()
    assert house.intake.done(again)
    house.receive(of(1, delivery="d3"))
    (anew,) = house.intake.take_intake()
    assert [hint.delivery for hint in anew.hints] == ["d3"]


# What a signed body may hold: any JSON, and shapes close to the right ones.
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NEAR = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["opened", "assigned", "created", "pinned"]) | _ANY,
        "issue": st.fixed_dictionaries(
            {},
            optional={
                "number": st.integers(-1, 50) | _ANY,
                "labels": st.lists(st.fixed_dictionaries({"name": st.text(max_size=5) | _ANY})) | _ANY,
                "pull_request": _ANY,
            },
        )
        | _ANY,
        "repository": st.fixed_dictionaries({"full_name": st.sampled_from(["acme/shop", "x"]) | _ANY}) | _ANY,
        "sender": st.fixed_dictionaries({"login": st.text(max_size=5) | _ANY}) | _ANY,
        "label": _ANY,
        "comment": st.none() | st.fixed_dictionaries({"user": _ANY}) | _ANY,
    },
)
_BODIES = st.binary(max_size=300) | st.builds(lambda document: json.dumps(document).encode(), _ANY | _NEAR)
_EVENTS = st.sampled_from(["", "issues", "issue_comment", "push", "ping"]) | st.text(max_size=10)


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(kind=st.sampled_from(WEBHOOK_KINDS), body=_BODIES, event=_EVENTS, delivery=st.text(max_size=10))
def test_any_signed_body_is_answered(
    house: DoorHouse, kind: str, body: bytes, event: str, delivery: str
) -> None:
    """Accepted, ignored with a reason, a duplicate, or refused with the place of the fault: nothing else."""
    request = sent(kind, body, event=event, delivery=delivery, secret=SECRET)
    assert answer(house, request)


def answer(house: DoorHouse, request: SentDelivery) -> object:
    """Why it was ignored, which issue will be looked at, or where the fault is."""
    try:
        receipt = house.receive(request)
    except BadPayloadError as error:
        return error.faults
    return receipt.reason or receipt.issue


@given(body=_BODIES, signature=st.text(max_size=80))
def test_no_guessed_signature_is_let_in(body: bytes, signature: str) -> None:
    """Whatever stands in the header, it is one kind of refusal, before anything else happens."""
    with redis.Redis(port=1) as nowhere:
        door = Door(FORGES, DeliveryStore(nowhere, SteppedFleet(nowhere).app.keys), kill_switch=False)
        headers = {dialect_of("github").signature[0]: signature}
        with pytest.raises(CoalmineError, match=r"^Invalid or missing signature$"):
            door.receive("github", headers, body)
