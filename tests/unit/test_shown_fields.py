"""What `… show` prints: each field is declared once, and the keys of JSON stay."""

from dataclasses import dataclass

from rich.console import Console

from console.output.fields import ShownField, document, moment, rows
from console.output.issue_views import ISSUE
from console.output.job_views import JOB
from console.output.template_views import VERSION

#: Keys that scripts may rely on. A new one is added here; none may go.
JOB_KEYS = {
    "id", "state", "reason", "version", "content_hash", "source_commit", "pinned", "rerouted_from", "queue",
    "parent", "depth", "trial", "arm", "shadow", "partner", "draw", "bet", "request",
    "created_at", "claimed_at", "finished_at",
    "lease_until", "worker", "attempts", "max_attempts", "cancel", "result", "cost", "ended_turns",
    "score", "score_reason",
    "excluded", "settled_at", "late_score", "base_branch", "base_commit",
    "account", "model", "fell_back", "held_at", "held_until", "held_seconds",
}  # fmt: skip
ISSUE_KEYS = {
    "issue", "title", "state", "reason", "paused", "pausing", "priority", "refusal", "requested_by",
    "works_in", "job", "added_at", "changed_at", "started_at", "in_review",
}  # fmt: skip
VERSION_KEYS = {
    "id", "template", "number", "state", "content_hash", "parent", "source_commit", "note", "created_at",
    "snapshot",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A record that is shown."""

    weight: float
    note: str
    sent_at: float | None


PARCEL: tuple[ShownField[Parcel], ...] = (
    ShownField("weight", "weight", shown=lambda parcel: f"{parcel.weight:g} kg"),
    ShownField("note", "note"),
    moment("sent_at", "sent"),
    ShownField("fragile", value=lambda _parcel: True),
    ShownField("", "to", shown=lambda _parcel: "Ada"),
)


def printed(parcel: Parcel) -> list[str]:
    """The lines that people read."""
    console = Console(width=60)
    with console.capture() as captured:
        console.print(rows(PARCEL, parcel))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_one_declaration_gives_key_label_and_both_forms() -> None:
    """A field is in the JSON object under its key, and on a line under its label."""
    parcel = Parcel(weight=2.50, note="books", sent_at=0.0)
    assert document(PARCEL, parcel) == {
        "weight": 2.5,
        "note": "books",
        "sent_at": "1970-01-01T00:00:00.000Z",
        "fragile": True,
    }
    assert printed(parcel) == ["weight 2.5 kg", "note books", "sent 1970-01-01 00:00:00Z", "to Ada"]


def test_a_field_without_a_value_has_no_line() -> None:
    """People read what is known; scripts get null."""
    parcel = Parcel(weight=1, note="", sent_at=None)
    assert document(PARCEL, parcel)["sent_at"] is None
    assert printed(parcel) == ["weight 1 kg", "to Ada"]


def test_scripts_may_rely_on_these_keys() -> None:
    """The keys of `job show`, `issue list` and `template show` with `--json`."""
    for fields, keys in ((JOB, JOB_KEYS), (ISSUE, ISSUE_KEYS), (VERSION, VERSION_KEYS)):
        shown = {field.key for field in fields if field.key}
        assert not keys - shown, "scripts rely on a key that is gone"
        assert shown == keys, "add the new key here: from now on scripts may rely on it"


def test_no_key_and_no_label_is_given_twice() -> None:
    """A later field would silently replace an earlier one."""
    for fields in (JOB, ISSUE, VERSION):
        for names in ([each.key for each in fields], [each.label for each in fields]):
            given = [name for name in names if name]
            assert len(given) == len(set(given))
