"""Payloads: each type of mail has its fields, and they are checked when it is sent."""

import json
from typing import Any

import pytest

from tasks.agents.mail.mail import MailType, UnknownMailTypeError, mail_type
from tasks.agents.mail.payloads import PAYLOADS, PayloadError, checked_payload, needs_payload

#: A whole payload of each type.
WHOLE: dict[MailType, dict[str, Any]] = {
    MailType.STATUS: {},
    MailType.QUESTION: {},
    MailType.RESULT: {},
    MailType.ERROR: {},
    MailType.HEALTH_CHECK: {},
    MailType.ASSIGN: {},
    MailType.WORKER_DONE: {"task_id": "t", "branch": "b", "exit_code": 0, "files_modified": ["a"]},
    MailType.WORKER_DIED: {
        "agent": "builder-1", "role": "builder", "task_id": "t", "reason": "crashed with exit code 1",
        "last_activity": "2026-01-02T03:04:05Z", "ended_by": "result",
    },
    MailType.MERGE_READY: {"branch": "b", "task_id": "t", "agent": "builder-1", "files_modified": []},
    MailType.MERGED: {"branch": "b", "task_id": "t", "tier": "clean"},
    MailType.MERGE_FAILED: {"branch": "b", "task_id": "t", "conflict_files": ["a"], "error": "conflict"},
    MailType.ESCALATION: {"severity": "error", "task_id": "t", "context": "stuck"},
    MailType.DISPATCH: {"task_id": "t", "spec": "do it", "role": "scout", "file_scope": ["src"]},
    MailType.DECISION_GATE: {"options": ["a", "b"], "context": "which?", "deadline": "2026-01-02T03:04:05Z"},
}  # fmt: skip

#: Fields that may be left out.
OPTIONAL = {(MailType.ESCALATION, "task_id"), (MailType.DECISION_GATE, "deadline")}


def test_every_type_has_a_payload() -> None:
    """A type without one could not be checked."""
    assert set(PAYLOADS) == set(MailType) == set(WHOLE)


@pytest.mark.parametrize("type_", MailType)
def test_a_whole_payload_comes_back_as_it_was(type_: MailType) -> None:
    """What is stored says what was sent."""
    stored = json.loads(checked_payload(type_, WHOLE[type_]).model_dump_json())
    assert stored == WHOLE[type_]


@pytest.mark.parametrize(
    ("type_", "field"), [(type_, name) for type_, all_ in WHOLE.items() for name in all_]
)
def test_a_missing_field_is_named(type_: MailType, field: str) -> None:
    """Unless it may be left out."""
    given = {name: value for name, value in WHOLE[type_].items() if name != field}
    if (type_, field) in OPTIONAL:
        assert getattr(checked_payload(type_, given), field) is None
        return
    with pytest.raises(PayloadError, match=f"{field}: Field required"):
        checked_payload(type_, given)


@pytest.mark.parametrize("type_", MailType)
def test_an_unknown_field_is_named(type_: MailType) -> None:
    """A misspelt field is not lost in silence."""
    with pytest.raises(PayloadError, match="colour: Extra inputs"):
        checked_payload(type_, WHOLE[type_] | {"colour": "red"})


@pytest.mark.parametrize(
    ("type_", "wrong"),
    [
        (MailType.WORKER_DONE, {"exit_code": "0"}),
        (MailType.WORKER_DONE, {"files_modified": "a.py"}),
        (MailType.WORKER_DONE, {"task_id": ""}),
        (MailType.ESCALATION, {"severity": "loud"}),
        (MailType.DISPATCH, {"role": "wizard"}),
        (MailType.DECISION_GATE, {"options": []}),
        (MailType.DECISION_GATE, {"deadline": "2026-01-02T03:04:05"}),
        (MailType.MERGED, {"tier": None}),
    ],
)
def test_a_value_of_a_wrong_kind_is_named(type_: MailType, wrong: dict[str, Any]) -> None:
    """Nothing is guessed: text is neither a number nor a list, and a time says where it holds."""
    with pytest.raises(PayloadError, match=next(iter(wrong))):
        checked_payload(type_, WHOLE[type_] | wrong)


@pytest.mark.parametrize("given", [[], "text", 3, None, {"x": float("nan")}, {"x": object()}])
def test_what_is_not_an_object_is_refused(given: Any) -> None:
    """Also when it comes from outside in another form altogether."""
    with pytest.raises(PayloadError):
        checked_payload(MailType.STATUS, given)


def test_a_payload_is_bounded() -> None:
    """Files are named, not sent."""
    with pytest.raises(PayloadError, match="may take"):
        checked_payload(MailType.ESCALATION, {"severity": "info", "context": "x" * 40_000})


def test_an_unknown_type_is_refused_by_name() -> None:
    """The error says what there is."""
    with pytest.raises(UnknownMailTypeError, match=r"'gossip'.*worker_done"):
        mail_type("gossip")


def test_types_that_only_fields_can_say() -> None:
    """A reply of such a type without a payload would be half a mail."""
    assert needs_payload(MailType.DISPATCH)
    assert not needs_payload(MailType.QUESTION)
