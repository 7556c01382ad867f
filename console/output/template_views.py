"""What the command line prints of templates and their versions.

Content is shown, compared and read as TOML in one form, `content`, so that what `template show` prints can
be given to `template propose --from`. Secrets appear by name only: a version never holds their values.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w
from rich.console import Group, RenderableType
from rich.text import Text

from console.output.cost_views import cost_cell, cost_words
from console.output.fields import ShownField, document, moment, rows
from console.output.rendering import facts, heading, one_line, table, text, when, word
from routing.cost import NO_COST, Cost
from routing.errors import CorruptRecordError
from routing.templates.templates import VersionStep
from routing.templates.version import Snapshot, Version
from routing.templates.way import Way
from tasks.composition.composition import Coalmine

#: Colours of the lines of a unified diff, by their first character.
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def version_document(version: Version) -> dict[str, Any]:
    """A version for scripts, with its content."""
    return document(VERSION, version)


def template_document(coalmine: Coalmine, name: str) -> dict[str, Any]:
    """A template for scripts, without its versions; `trial` and `canary` are null when no trial is open.

    It reads the store several times, so a promotion in between may show in one key and not in another.
    """
    champion = coalmine.templates.champion(name)
    trial = coalmine.trials.of_template(name)
    way = coalmine.versions.way(name)
    return {
        "template": name,
        "champion": champion.id,
        "latest": coalmine.templates.find(f"{name}@latest").id,
        "policy": coalmine.templates.policy(name).value,
        "trial": trial.id if trial else None,
        "canary": trial.canary_id if trial else None,
        "way": Way.parse(way, name).document() if way else None,
    }


def template_documents(coalmine: Coalmine) -> list[dict[str, Any]]:
    """All templates as lists have them; one that cannot be read has nulls, and why under `error`."""
    return [_document_or_error(coalmine, name) for name in coalmine.templates.names()]


def _document_or_error(coalmine: Coalmine, name: str) -> dict[str, Any]:
    try:
        return template_document(coalmine, name)
    except CorruptRecordError as error:
        unknown = dict.fromkeys(("champion", "latest", "policy", "trial", "canary", "way"))
        return {"template": name, **unknown, "error": str(error)}


def templates_view(documents: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Templates for people, one a line."""
    if not documents:
        return "There are no templates yet; make one with `coalmine template add NAME`."
    keys = ("template", "champion", "latest", "policy", "trial", "canary")
    lines = ([str(document[key] or "-") for key in keys] for document in documents)
    unread = [text(f"{each['template']}: {each['error']}") for each in documents if "error" in each]
    return Group(table(keys, lines), *unread) if unread else table(keys, lines)


def template_view(
    document: Mapping[str, Any], versions: Sequence[Version], reviews: Sequence[Mapping[str, Any]],
    costs: Mapping[str, Cost],
) -> list[RenderableType]:  # fmt: skip
    """One template for people, with its versions and decisions, both the newest first.

    `costs` are those of its versions, by `v3`.
    """
    trial = document["trial"]
    parts: list[RenderableType] = [
        facts(
            [
                ("template", heading(str(document["template"]))),
                ("champion", str(document["champion"])),
                ("proposals", str(document["policy"])),
                ("trial", f"{trial} of {document['canary']}" if trial else "none open"),
                ("way", _way(document["way"])),
            ]
        ),
        "",
        table(
            ("!version", "!state", "?!parent", "?!hash", "?!commit", "?!created", "!>USD", "note"),
            (
                (
                    version.id,
                    _state(version, document["way"]),
                    f"v{version.parent}" if version.parent else "-",
                    version.content_hash[:12],
                    version.source_commit[:12] or "-",
                    when(version.created_at),
                    cost_cell(costs.get(f"v{version.number}", NO_COST)),
                    one_line(version.note),
                )
                for version in reversed(versions)
            ),
        ),
    ]
    if reviews:
        parts += ["", heading("Decisions, the newest first"), _reviews(reviews)]
    return parts


def _way(way: Mapping[str, Any] | None) -> str:
    """The way that a version is on, in words; "" for none."""
    if way is None:
        return ""
    where = f"step {way['number']} of {way['of']} ({', '.join(way['steps'])})"
    return f"{way['version']} at {where}: {way['run']}"


def _state(version: Version, way: Mapping[str, Any] | None) -> Text:
    """A version's state, with its step while it is on its way."""
    if way is None or way["version"] != version.id:
        return word(version.state)
    return word(version.state, f"{version.state.value}, step {way['number']} of {way['of']}")


def _reviews(reviews: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Decisions on versions, the newest first. `reviews` are records as they were stored, oldest first.

    Records of older releases may lack fields, and have one `reason` or several `reasons`: both are read.
    """
    rows = (
        (
            str(review.get("version", "")),
            word(str(review.get("decision", "")), _decision(review)),
            str(review.get("by", "")),
            str(review.get("reason") or " ".join(map(str, review.get("reasons", ())))),
        )
        for review in reversed(reviews)
    )
    return table(("version", "decision", "by", "reason"), rows)


def _decision(review: Mapping[str, Any]) -> str:
    """What was decided, and at which step where there are several."""
    said, step = str(review.get("decision", "")), review.get("step")
    if not isinstance(step, Mapping) or step.get("of", 1) == 1:
        return said
    return f"{said} (step {step['number']} of {step['of']})"


def version_view(version: Version, cost: Cost) -> list[RenderableType]:
    """One version for people, with what its turns have cost, and its content as TOML."""
    spent = facts([("cost", cost_words(cost))])
    return [
        rows(VERSION, version),
        *([spent] if cost.turns else []),
        "",
        text(content(version.snapshot).rstrip("\n")),
    ]


def content(snapshot: Snapshot) -> str:
    """The content as TOML that `template add --from` reads; empty fields are left out.

    Fields keep their order, and long texts are written over several lines, so that a diff shows lines of a
    prompt.
    """
    fields = snapshot.model_dump(mode="json", exclude_none=True)
    shown = {name: value for name, value in fields.items() if value not in ("", [], {})}
    return tomli_w.dumps(shown, multiline_strings=True)


def content_difference(before: Version, after: Version) -> list[str]:
    """The lines of a unified diff; an empty list when the contents are the same."""
    lines = difflib.unified_diff(
        content(before.snapshot).splitlines(),
        content(after.snapshot).splitlines(),
        fromfile=before.id,
        tofile=after.id,
        lineterm="",
    )
    return list(lines)


def difference_view(before: Version, after: Version, lines: Sequence[str]) -> list[RenderableType]:
    """A diff for people, in colours."""
    if not lines:
        return [f"{before.id} and {after.id} have the same content."]
    return [text(line, _DIFF_STYLES.get(line[:1], "")) for line in lines]


def step_view(step: VersionStep, done: str, unchanged: str) -> Text:
    """What a step did, in one line: `done` when it changed something, else `unchanged`.

    A step that had been made before is a success that changes nothing, and the exit code is 0 as well.
    """
    if step.changed:
        return text(f"{step.version.id} {done}")
    return text(f"{step.version.id} {unchanged}; nothing was changed")


#: What `template show NAME@vN` has of a version, in the order of its lines.
VERSION: tuple[ShownField[Version], ...] = (
    ShownField("id", "version", shown=lambda version: heading(version.id)),
    ShownField("template"),
    ShownField("number"),
    ShownField("state", "state", shown=lambda version: word(version.state)),
    ShownField("content_hash", "hash"),
    ShownField("parent", "parent", shown=lambda version: f"v{version.parent}" if version.parent else ""),
    ShownField("source_commit", "commit"),
    moment("created_at", "created"),
    ShownField("note", "note"),
    ShownField("snapshot", value=lambda version: version.snapshot.model_dump(mode="json")),
)
