"""The file of an export: written line by line, and checked whole before anything of it is used."""

import hashlib
import os
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from routing.errors import InvalidInputError
from routing.store.archive.content import fault_of
from routing.store.archive.key_kinds import kind_of
from routing.store.archive.line import FORM, Entry, Footer, Header

#: Bytes of a line; what Coalmine writes is far below it.
MOST_BYTES = 64 * 1_048_576

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with a line."""

    line: int  # from 1
    what: str
    is_content: bool = False  # the line is well formed; what it holds cannot be read


@dataclass(kw_only=True)
class CheckedFile:
    """What a look at a whole file found."""

    header: Header | None = None
    entries: int = 0
    digest: str = ""  # of all lines before the footer
    keys: dict[str, int] = field(default_factory=dict)  # of each kind, by its pattern
    faults: list[LineFault] = field(default_factory=list)


def write_archive(
    path: Path, header: Header, entries: Iterable[Entry], mask: Callable[[str], str] = str
) -> int:
    """Write a file that only its owner may read; returns how many entries it has.

    `mask` takes secrets out of a line. The file appears under its name when it is whole; InvalidInputError
    when it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    digest, count = hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for text in chain([header.model_dump_json()], map(_text, entries)):
                line = mask(text).encode() + b"\n"
                digest.update(line)
                file.write(line)
                count += 1
            count -= 1  # the header
            footer = Footer(end=True, entries=count, sha256=digest.hexdigest())
            file.write(footer.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise InvalidInputError(message) from error
    finally:
        part.unlink(missing_ok=True)
    return count


def check_archive(file: IO[bytes]) -> CheckedFile:
    """Look at every line of a file. Where there are faults, nothing of it may be used."""
    found, digest = CheckedFile(), hashlib.sha256()
    parts: dict[str, int] = {}  # key -> how many of its lines were seen
    lines = enumerate(_lines(file), start=1)
    number = 0
    for number, line in lines:
        if number > 1 and line.startswith(b'{"end"'):
            found.faults += _footer_faults(number, line, found.entries, digest.hexdigest())
            found.faults += [LineFault(later, "it stands after the end") for later, _ in islice(lines, 1)]
            break
        digest.update(line)
        if number > 1:
            found.entries += 1
            found.faults += _entry_faults(number, line, parts, found.keys)
            continue
        found.header, faults = _header(line)
        found.faults += faults
        if faults:
            return found  # whatever it is, it is not ours
    else:
        found.faults.append(LineFault(number + 1, "the end is missing: the file was cut short"))
    found.digest = digest.hexdigest()
    return found


def read_entries(file: IO[bytes], *, without: Container[int], after: int = 0) -> Iterator[Entry | None]:
    """The entries of a file that was checked, from its beginning, but for the first `after`.

    None stands for one whose line is to be left `without`.
    """
    for number, line in enumerate(_lines(file), start=1):
        if line.startswith(b'{"end"'):
            return
        if number > 1 + after:
            yield None if number in without else _ENTRY.validate_json(line)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(MOST_BYTES):
        yield line


def _text(entry: Entry) -> str:
    return entry.model_dump_json(exclude_none=True)


def _header(line: bytes) -> tuple[Header | None, list[LineFault]]:
    try:
        header = Header.model_validate_json(line)
    except ValidationError:
        return None, [LineFault(1, "it is not the header of an export of Coalmine")]
    if header.coalmine_export > FORM:
        what = (
            f"it was written by a newer release, {header.release} (form {header.coalmine_export}): upgrade "
            "this one"
        )
        return header, [LineFault(1, what)]
    return header, []


def _footer_faults(number: int, line: bytes, entries: int, digest: str) -> list[LineFault]:
    try:
        footer = Footer.model_validate_json(line)
    except ValidationError as error:
        return [LineFault(number, _words(error))]
    if footer.entries != entries:
        return [LineFault(number, f"{footer.entries} entries were written, and {entries} are here")]
    if footer.sha256 != digest:
        return [LineFault(number, "lines before it were changed: their checksum is another one")]
    return []


def _entry_faults(
    number: int, line: bytes, parts: dict[str, int], keys: dict[str, int]
) -> Iterator[LineFault]:
    try:
        entry = _ENTRY.validate_json(line)
    except ValidationError as error:
        yield LineFault(number, _words(error))
        return
    kind = kind_of(entry.key)
    if kind is None or kind.left_out:
        yield LineFault(number, f"{entry.key!r:.100} is not a key that is imported")
        return
    if kind.type != entry.type:
        yield LineFault(number, f"{entry.key!r:.100} is a {entry.type} and should be a {kind.type}")
        return
    seen = parts.get(entry.key, 0)
    if entry.part != seen:
        yield LineFault(number, f"part {entry.part} of {entry.key!r:.100} follows {seen} parts of it")
    if not entry.value and entry.type != "string":
        yield LineFault(number, f"{entry.key!r:.100} is empty")
    parts[entry.key] = seen + 1
    keys[kind.pattern] = keys.get(kind.pattern, 0) + (seen == 0)
    if what := fault_of(entry, kind.pattern):
        yield LineFault(number, f"{entry.key!r:.100}: {what}", is_content=True)


def _words(error: ValidationError) -> str:
    """The first things that are wrong, in words; nothing of the input, which may be long."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'line'}: {fault['msg']}" for fault in faults[:3])
