"""An item of the backlog as it is stored. Pure."""

import json

from routing.backlog.item import BacklogItem, BacklogState
from routing.backlog.refusal import Refusal
from routing.errors import CorruptRecordError
from routing.issues.issue import IssueRef
from routing.issues.metadata import Source, parsed_metadata

#: Form of the record that this release writes; a record of a later form is refused, not guessed at.
FORM = 1


def parsed_item(ref: IssueRef, text: str) -> BacklogItem:
    """A stored item, or CorruptRecordError. Fields that earlier releases did not write have defaults."""
    try:
        fields = json.loads(text)
        if int(fields["v"]) > FORM:
            message = f"issue {ref} was stored by a newer release (form {fields['v']}); upgrade this one"
            raise CorruptRecordError(message)
        metadata, wished = parsed_metadata(fields["metadata"]), fields.get("wished", "")
        if wished:
            metadata = metadata.filled(Source.PERSON, priority=int(wished))
        return BacklogItem(
            ref=ref,
            title=fields["title"],
            state=BacklogState(fields["state"]),
            reason=fields["reason"],
            metadata=metadata,
            revision=fields["revision"],
            requested_by=fields["requested_by"],
            ring=tuple(fields["ring"].split()),
            job=fields["job"],
            fence=int(fields["fence"]),
            added_at=float(fields["added_at"]),
            changed_at=float(fields["changed_at"]),
            started_at=float(fields["started_at"]) if "started_at" in fields else None,
            seen=fields.get("seen", ""),
            looked_at=float(fields.get("looked_at") or 0.0),
            refusal=Refusal.from_json(str(ref), fields["refusal"]) if fields.get("refusal") else None,
            paused=fields["state"] == BacklogState.CANCELLED and fields.get("away", "") != "1",
            pausing=fields.get("pause", ""),
            unwanted=fields.get("unwanted", ""),
            aside=fields.get("aside", ""),
            in_review=fields.get("in_review", "") == "1",
            main_red=fields.get("main_red", "") == "1",
            before=fields.get("before", ""),
            works_in=fields.get("works_in", ""),
            assigned=tuple(fields["assigned"].splitlines()) if "assigned" in fields else None,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        message = f"the stored record of issue {ref} cannot be read ({error})"
        raise CorruptRecordError(message) from error
