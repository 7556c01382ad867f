"""Decisions about the content of versions: one is proposed, with a few changes to the champion's content."""

from dataclasses import dataclass

from pydantic import ValidationError

from routing.errors import InvalidInputError
from routing.templates.templates import VersionStep
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class NewContent:
    """What is new in a version. What it may run and reach is set by the command line alone."""

    prompt: str | None = None  # None: the champion's
    model: str | None = None  # None: the champion's; "": its program's default


def propose_version(parts: Coalmine, template: str, content: NewContent, *, note: str) -> VersionStep:
    """Store the champion's content with what is new; the template's policy says what becomes of it.

    For content that a version has already, that version, and nothing changes. InvalidInputError for content
    that no version may have; NotFoundError for a template that is not there.
    """
    champion = parts.templates.champion(template).snapshot
    new: dict[str, str | None] = {}
    if content.prompt is not None:
        new["prompt"] = content.prompt.strip("\n") if content.prompt != champion.prompt else champion.prompt
    if content.model is not None:
        new["model"] = content.model.strip() or None
    try:
        snapshot = Snapshot.model_validate(champion.model_dump() | new)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        message = f"no version may have this content, and none was proposed: {faults}"
        raise InvalidInputError(message) from error
    step, _ = parts.proposals.propose(template, snapshot, note=note)
    return step
