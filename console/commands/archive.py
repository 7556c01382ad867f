"""`coalmine export` and `coalmine import`: all that a fleet keeps, as one file of JSON lines.

An export is right only if nothing changed while it was read, and says so when something did: a fleet whose
dispatch is paused, or whose workers are stopped, holds still. An import looks at the whole file before it
writes anything, and leaves dispatch paused, as the fleet that was exported may be at work still.
"""

import json
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import IO, Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr

from console.invocation import AsJson, examples, noted, opened
from console.output.rendering import iso, text, when
from console.output.terminal import Terminal
from routing.errors import ConflictError, InvalidInputError
from routing.store.archive.archive_file import (
    CheckedFile,
    LineFault,
    check_archive,
    read_entries,
    write_archive,
)
from routing.store.archive.archive_reader import ReadCounts
from routing.store.archive.line import FORM, Header
from tasks.composition.composition import Coalmine
from tasks.settings.origins import flat
from tasks.settings.settings import Settings

#: Faults of a file that are printed.
MOST_FAULTS = 100

#: Times that an export is tried while the fleet changes.
TRIES = 3

#: Entries that are written in one step.
_BATCH = 50

#: Shorter secrets are words, and stand in other texts.
_SHORTEST_SECRET = 6

archive_app = typer.Typer()


@archive_app.command(epilog=examples("export backup.jsonl", "export backup.jsonl --namespace shop"))
def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="To write; it must not exist.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Write all that the fleet keeps to a file: templates, trials, jobs, issues, mail, events.

    Secrets are never written, nor queues and leases; jobs that run are written as waiting. Pause dispatch
    first, or stop the workers: what changes while it is read cannot be exported.
    """
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    if file.exists():
        message = f"{file} exists; nothing was written: give the name of a new file"
        raise InvalidInputError(message)
    counts, entries = _exported(coalmine, file)
    for name in counts.unknown:
        terminal.note(f"{coalmine.keys(name)} was left out: it is not a key of ours, or of another type")
    document = {
        "file": str(file),
        "entries": entries,
        "keys": counts.keys,
        "put_back": counts.put_back,
        "left_out": counts.unknown,
    }
    ran = f" {len(counts.put_back)} ran, and are written as waiting." if counts.put_back else ""
    terminal.answer(
        document, f"{file}: {sum(counts.keys.values())} keys, {counts.keys.get('job:*', 0)} jobs.{ran}"
    )


def _exported(coalmine: Coalmine, file: Path) -> tuple[ReadCounts, int]:
    """Write the file, again when the fleet changed meanwhile; ConflictError when it always does."""
    hidden = list(_secrets(coalmine.settings))

    def mask(line: str) -> str:
        for secret in hidden:
            line = line.replace(secret, "********")
        return line

    for left in reversed(range(TRIES)):
        counts = ReadCounts()
        header = Header(
            coalmine_export=FORM,
            release=version("coalmine"),
            namespace=coalmine.keys.namespace,
            at=coalmine.now(),
        )
        try:
            return counts, write_archive(file, header, coalmine.archive_reader.entries(counts), mask)
        except ConflictError:
            if not left:
                raise
    raise AssertionError  # the last try returns or raises


def _secrets(settings: Settings) -> Iterator[str]:
    """The secrets that this process knows, as they would stand in JSON, and in JSON within it."""
    for place, value in flat(settings):
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            if place[-1].endswith("_url"):
                secret = urlsplit(secret).password or ""
            if len(secret) >= _SHORTEST_SECRET:
                once = json.dumps(secret, ensure_ascii=False)[1:-1]
                yield from dict.fromkeys((json.dumps(once, ensure_ascii=False)[1:-1], once))


@archive_app.command(
    "import",
    epilog=examples("import backup.jsonl --namespace shop2", "import backup.jsonl --check"),
)
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="That `coalmine export` wrote.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only look at the file.")] = False,
    without_damaged: Annotated[
        bool,
        typer.Option("--without-damaged", help="Leave records out that cannot be read, and say which."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put an export into an empty namespace. It is checked whole before anything is written.

    One that was interrupted goes on when it is run again. Dispatch is paused then: `coalmine resume` starts
    it, once the fleet that was exported does nothing any more.
    """
    coalmine, terminal = opened(ctx, as_json=as_json)
    try:
        with file.open("rb") as lines:
            found = check_archive(lines)
            left_out = _allowed(found, file, terminal, without_damaged=without_damaged)
            assert found.header is not None  # noqa: S101 - a file without one has a fault
            document = {
                "file": str(file),
                "namespace": coalmine.keys.namespace,
                "from": {"namespace": found.header.namespace, "at": iso(found.header.at)},
                "keys": found.keys,
                "left_out": [fault.line for fault in left_out],
                "written": not check,
            }
            if check:
                terminal.answer(document, f"{file} is whole: {sum(found.keys.values())} keys.")
                return
            lines.seek(0)
            _write(coalmine, found, lines, without={fault.line for fault in left_out})
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror or error}"
        raise InvalidInputError(message) from error
    origin = f"imported from {found.header.namespace}, exported {when(found.header.at)}"
    coalmine.archive_writer.end(f"{origin}; resume when that fleet is not at work any more")
    noted(ctx, reason=origin)
    terminal.answer(
        document,
        f"{coalmine.keys.namespace} has {sum(found.keys.values())} keys of {file}. Dispatch is paused: "
        f"see that the fleet {found.header.namespace} does nothing any more, then `coalmine resume`.",
    )


def _allowed(found: CheckedFile, file: Path, terminal: Terminal, *, without_damaged: bool) -> list[LineFault]:
    """The lines to leave out; InvalidInputError, after all faults were printed, where that is not enough."""
    for fault in found.faults[:MOST_FAULTS]:
        if without_damaged and fault.is_content:
            terminal.note(f"line {fault.line} is left out: {fault.what}")
        else:
            terminal.line({"line": fault.line, "fault": fault.what}, text(f"line {fault.line}: {fault.what}"))
    if all(fault.is_content and without_damaged for fault in found.faults):
        return found.faults
    only_content = all(fault.is_content for fault in found.faults)
    remedy = "give --without-damaged to leave these records out" if only_content else "export anew"
    message = f"{file} has {len(found.faults)} faults; nothing was written: {remedy}"
    raise InvalidInputError(message)


def _write(coalmine: Coalmine, found: CheckedFile, lines: IO[bytes], *, without: set[int]) -> None:
    """Write what is not written yet, some entries a step."""
    writer = coalmine.archive_writer
    done = writer.begin(found.digest)
    entries = read_entries(lines, without=without, after=done)
    while batch := list(islice(entries, _BATCH)):
        writer.write(batch, done=done)
        done += len(batch)
