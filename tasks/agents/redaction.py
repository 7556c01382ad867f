"""Keeps the secrets that an agent was given out of its log, its events and its mail.

A secret is found as it is, in the encodings that programs print (JSON, URL, HTML, base64 at any offset, hex
with and without separators), and in pieces: a half of it, or PIECE characters, on one line or on lines that
follow each other. So a secret that is broken into parts never stands in a log as a whole. An agent that means
to reveal one can: it spells it out, or encodes it in its own way.

Callers take terminal sequences and control characters out first: they may stand within a secret.
"""

import base64
import html
import json
import math
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import NamedTuple, TypeVar

from routing.printable import printable

T = TypeVar("T")

#: Shorter secrets are left: taking them out would mangle the log and protect nothing.
_SHORTEST = 6
#: From this length on a secret is looked for in pieces; a shorter one has pieces that are common words.
_SHORTEST_IN_PIECES = 12
#: Characters of a piece that is taken out of the longest secrets; of shorter ones it is a half.
PIECE = 24
#: Characters between two looks at a text; few, as each is another look at the whole of it.
_STEPS = (3, 4, 6, 9, 12)


@dataclass(frozen=True, slots=True)
class _Spelling:
    """One way to write a secret."""

    text: str
    label: str  # what is put in its place
    piece: int  # characters of it that are taken out wherever they stand


class Redactor:
    """Replaces secrets in output by their names.

    Made of their values by name; each line of a value is one.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        forms = {text: _spelling(name, text) for name, value in secrets.items() for text in _forms(value)}
        # The longest first, so that a secret that contains another one goes as a whole.
        self._forms = sorted(forms.values(), key=lambda form: -len(form.text))
        #: Length of the longest secret; a text that was cut short may end in a part of one.
        self.longest = max((len(value) for value in secrets.values()), default=0)
        by_step: defaultdict[int, list[_Spelling]] = defaultdict(list)
        for form in self._forms:
            by_step[_step(form)].append(form)
        self._indexes = [_Index(by_step[step], step) for step in sorted(by_step, reverse=True)]

    def __call__(self, text: str, *, cut: bool = False) -> str:
        """Return the text without secrets; `cut` says that its end is missing."""
        # A closer look is seldom needed: nearly no line has even the beginning of one.
        if any(index.may_hold_one(text) for index in self._indexes):
            for form in self._forms:
                text = text.replace(form.text, form.label)
            for index in self._indexes:
                text = index.without_pieces(text)
        return text[: len(text) - self.longest] if cut and self.longest else text

    def record(self, record: T) -> T:
        """Return a frozen record with printable texts without secrets."""
        if not is_dataclass(record) or isinstance(record, type):
            return record
        texts = {field.name: getattr(record, field.name) for field in fields(record)}
        changed = {name: self(printable(text)) for name, text in texts.items() if isinstance(text, str)}
        return replace(record, **changed) if changed else record

    def following(self) -> "FollowingTexts":
        """Redact texts that follow each other, such as the lines of a stream."""
        return FollowingTexts(self)

    def at_the_end(self, text: str) -> Iterator["_Begun"]:
        """The forms of which a part may stand at the end of the text, and go on in the next one."""
        for index in self._indexes:
            yield from index.at_the_end(text)


class _Index:
    """Where every part of `step` characters stands in some forms.

    Every piece of them holds such a part, wherever it begins, if a text is looked at every `step` characters.
    Forms with longer pieces have an index with a longer step: parts of three characters stand in a long
    secret by the hundred, and all of them would be looked at for each that a text holds.
    """

    def __init__(self, forms: Sequence[_Spelling], step: int) -> None:
        self._forms = forms
        self._step = step
        self._places = _places(forms, step)

    def may_hold_one(self, text: str) -> bool:
        """Whether a part stands where the text is looked at."""
        step, places = self._step, self._places
        return any(text[at : at + step] in places for at in range(0, len(text) - step + 1, step))

    def without_pieces(self, text: str) -> str:
        """Return the text with each piece replaced."""
        kept: list[str] = []
        at = 0  # what is before is in `kept`
        for begin, end, label in self._pieces(text):
            if begin >= at:
                kept += [text[at:begin], label]
            at = max(at, end)
        return "".join([*kept, text[at:]]) if kept else text

    def at_the_end(self, text: str) -> Iterator["_Begun"]:
        """The forms of which a part may stand at the end of the text."""
        at = max(0, len(text) - self._step)
        end = text[at:]
        places = self._places.get(end, ()) if len(end) == self._step else self._all_places(end)
        for form, offset in places:
            begin = _run(text, at, form, offset)[0]
            if offset + len(end) < len(form.text):
                yield _Begun(form, offset + len(end), len(text) - begin)

    def _all_places(self, part: str) -> Iterator[tuple[_Spelling, int]]:
        """Where a part that is too short for the index stands in the forms."""
        if len(part) < _SHORTEST_BEGIN:
            return
        for form in self._forms:
            offset = form.text.find(part)
            while offset >= 0:
                yield form, offset
                offset = form.text.find(part, offset + 1)

    def _pieces(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where pieces begin and end, in their order."""
        step, places = self._step, self._places
        after = 0
        for at in range(0, len(text) - step + 1, step):
            if at < after or text[at : at + step] not in places:
                continue
            runs = [(*_run(text, at, form, offset), form) for form, offset in places[text[at : at + step]]]
            found = [(begin, end, form.label) for begin, end, form in runs if end - begin >= form.piece]
            if found:
                begin, after, label = max(found, key=lambda run: run[1] - run[0])
                yield begin, after, label


#: Characters with which a secret in several parts begins; shorter ones begin every other word.
_SHORTEST_BEGIN = 3


class _Begun(NamedTuple):
    """A part of a secret that stood at the end of a text."""

    form: _Spelling
    offset: int  # where its next part begins
    length: int  # of what has stood there


#: Parts of secrets that one text may have begun; only an agent that means to begin more does.
_MOST_BEGUN = 100


class FollowingTexts:
    """A redactor of texts that follow each other: a secret in several parts goes from its half on.

    Blanks around the parts do not matter. A single letter or two begin nothing, but go on with what was
    begun. Not for several threads.
    """

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._begun: list[_Begun] = []

    def __call__(self, text: str, *, cut: bool = False) -> str:
        """Return the next text without secrets; `cut` says that its end is missing."""
        said = text.strip()
        if not said:
            return text
        goes_on: list[_Begun] = []
        known, label = 0, ""  # characters that are the next part of a secret, and its name
        for form, offset, length in self._begun:
            same = _run(said, 0, form, offset)[1]
            if same > known and length + same >= form.piece:
                known, label = same, form.label
            if same == len(said) and offset + same < len(form.text):
                goes_on.append(_Begun(form, offset + same, length + same))
        self._begun = [*goes_on, *self._redact.at_the_end(said)][:_MOST_BEGUN]
        at = len(text) - len(text.lstrip())
        return self._redact(text[:at] + label + text[at + known :], cut=cut)


def _spelling(name: str, text: str) -> _Spelling:
    in_pieces = len(text) >= _SHORTEST_IN_PIECES
    piece = max(_SHORTEST, min(PIECE, math.ceil(len(text) / 2))) if in_pieces else len(text)
    return _Spelling(text, f"[{name}]", piece)


def _step(form: _Spelling) -> int:
    """The longest step that finds every piece of the form."""
    return max(step for step in _STEPS if step <= (form.piece + 1) // 2)


def _forms(value: str) -> set[str]:
    """A secret as programs may print it: as a whole, and line by line.

    Lines in another encoding are pieces of the whole in that encoding.
    """
    data = _as_bytes(value.strip())
    whole = data.decode(errors="replace")
    lines = [line.strip() for line in whole.splitlines()]
    shown = (form for line in (whole, *lines) for form in (line, printable(line), json.dumps(line)[1:-1]))
    forms = {*_encodings(whole, data), *shown}
    return {form for form in forms if len(form) >= _SHORTEST} if len(whole) >= _SHORTEST else set()


def _as_bytes(value: str) -> bytes:
    """As the agent has it in its environment: bytes that are not UTF-8 among them (PEP 383)."""
    try:
        return value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return value.encode(errors="replace")


def _encodings(part: str, data: bytes) -> Iterable[str]:
    said = json.dumps(part)[1:-1]
    pairs = [f"{byte:02x}" for byte in data]
    yield from (part, said, said.replace("/", r"\/"), json.dumps(part, ensure_ascii=False)[1:-1])
    yield from (json.dumps(said)[1:-1], "".join(f"\\u{ord(character):04x}" for character in part))
    url = (urllib.parse.quote(part), urllib.parse.quote(part, safe=""), urllib.parse.quote_plus(part))
    for quoted in (*url, "".join(f"%{pair.upper()}" for pair in pairs)):
        yield from (quoted, _small_escapes(quoted))
    yield html.escape(part)
    yield from _base64(data)
    for separator in ("", " ", ":", "\\x"):
        yield from (separator.join(pairs), separator.join(pairs).upper().replace("\\X", "\\x"))
    grouped = "".join(pairs)  # as `xxd` does, by two bytes
    yield " ".join(grouped[at : at + 4] for at in range(0, len(grouped), 4))


def _base64(data: bytes) -> Iterable[str]:
    """What is certain of its base64, whatever stands before and after it."""
    for before, unsure in ((0, 0), (1, 2), (2, 3)):  # bytes before it, and characters that these touch
        whole = base64.b64encode(b"\0" * before + data).decode("ascii")
        sure = whole[unsure : (before + len(data)) * 8 // 6]
        yield from (sure, sure.translate(str.maketrans("+/", "-_")))


def _small_escapes(quoted: str) -> str:
    """The same with the hex digits of its escapes in small letters."""
    head, *escaped = quoted.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in escaped)])


def _places(forms: Iterable[_Spelling], step: int) -> Mapping[str, list[tuple[_Spelling, int]]]:
    places: defaultdict[str, list[tuple[_Spelling, int]]] = defaultdict(list)
    for form in forms:
        for offset in range(len(form.text) - step + 1):
            places[form.text[offset : offset + step]].append((form, offset))
    return dict(places)


def _run(text: str, at: int, form: _Spelling, offset: int) -> tuple[int, int]:
    """The longest part of the text around `at` that is a part of the form around `offset`."""
    begin, end, known = at, at, form.text
    while begin > 0 and offset - (at - begin) > 0 and text[begin - 1] == known[offset - (at - begin) - 1]:
        begin -= 1
    while end < len(text) and offset + end - at < len(known) and text[end] == known[offset + end - at]:
        end += 1
    return begin, end
