"""Which issues must come first, and which wait for this one, as the words of a body say it.

Read are: a label with its list (`Blocked by: #160 (the schema), #161`), on one line or with the list under
it; lists under a heading (`## Dependencies`, `### Blocks`); and sentences (`depends on #3 and #4`, `#5 blocks
this`). Not read are denials (`not blocked by #7`), remarks in brackets after a reference, statements whose
subject is another issue (`#5 is blocked by #3`), and statements in quotation marks.

A missed dependency lets an issue run too early; an invented one blocks it until a person looks. So a
statement must name the relation and the issue in one clause; where that is in doubt, it is not read.
docs/issue-format.md lists examples, each with its test.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from routing.issues.body_text import Block, UnreadableBodyError
from routing.issues.issue import IssueRef
from routing.issues.references import REFERENCE, Reference, references

#: The most issues that a body may name on either side; a longer list means something else.
MOST_REFERENCES = 200

#: Characters of a list after a label in the middle of a sentence, and between two references of one list.
_LONGEST_LIST = 4000
_LONGEST_GAP = 400

#: Brackets within brackets that are followed; text with deeper ones is read as if it had none.
_MOST_BRACKETS = 8

#: Who waits: this issue for those that are named, or they for this one.
Side = Literal["blocked_by", "blocks"]

_WAITS = r"blocked(?:\s+|[_-])(?:by|on)|depend(?:s|ent|ing)?(?:\s+|[_-])(?:up)?on|requires"
_HOLDS = r"blocks|blocking|(?:will|would)\s+block"
_PHRASE = re.compile(rf"(?<![\w-])(?:(?P<blocked_by>{_WAITS})|(?P<blocks>{_HOLDS}))(?![\w-])", re.IGNORECASE)
_LABEL = re.compile(
    rf"^[^\w\n#]*(?:\[[xX]\]\s*)?(?:(?P<blocked_by>{_WAITS}|depends|dependenc(?:y|ies)|blockers?|prerequisites?)|(?P<blocks>{_HOLDS}))"
    r"[ \t]*(?P<colon>:|=|(?=$))",
    re.IGNORECASE | re.MULTILINE,
)
#: What a heading may be about; where the last is true any reference under it counts, else those in lists.
_HEADINGS: tuple[tuple[str, Side, bool], ...] = (
    (
        r"\b(?:blocked (?:by|on)|blockers?|depends? (?:up)?on|dependent (?:up)?on|requires)\b",
        "blocked_by",
        True,
    ),
    (r"\b(?:blocking (?:issues|tickets|tasks|prs|pull requests)|that blocks? this)\b", "blocked_by", True),
    (r"\b(?:dependencies|dependency|prerequisites)\b", "blocked_by", False),
    (r"\b(?:blocks?|blocking)\b", "blocks", False),
)
#: Words that say nothing more, in the headings of forms: "Is this blocked by another issue? (optional)".
_OF_FORMS = re.compile(
    r"(?:an?|all|and|another|any|are|be|before|can|do|does|done|field|first|for|has|have|if|is|issues?|it|known|"
    r"links?|list|must|none|numbers?|of|on|one|open|optional|or|others?|please|prs?|pull|requests?|section|start|"
    r"started|still|tasks?|that|the|these|this|tickets?|to|urls?|what|which|with|work|[0-9]+)"
)
_NONE = re.compile(r"\W*(?:none\b|nothing\b|nobody\b|no\b|n/?a\b|not\b|nil\b)", re.IGNORECASE)
_DENIAL = re.compile(
    r"(?<![\w-])(?:not(?!\s+only)|never|no|none|nothing|neither|nor|cannot|without|isnt|no\s+longer)(?![\w-])|n['\u2019]t\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.;:!?,](?=\s|$)|\s[\u2013\u2014-]+\s|\b(?:and|but|because|so|since|while)\b|\n(?=[A-Z*])"
)
_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)")
_FILLER = r"(?:(?:the|both|either|on|by|issues?|tickets?|tasks?|prs?|pull\s+requests?|all\s+of|of)\s+)*"
_SEPARATOR = re.compile(rf"\s*(?:[,&/+;]|\band\b|\bor\b)?\s*(?:(?:and|or)\s+)?{_FILLER}", re.IGNORECASE)
_LEAD = re.compile(rf"[\s:]*{_FILLER}", re.IGNORECASE)
_TO_THE_FIRST = re.compile(r"[^#.,;:!?\n]{0,60}?")
_SUBJECT = re.compile(r"#[0-9]+\s+(?:is|are|was|were|also|still|now|currently|both|then|\s)*$", re.IGNORECASE)
_BLOCKS_THIS = re.compile(
    r"\s+(?:is\s+|are\s+)?(?:still\s+)?(?:blocks?|blocking)\s+(?:this|us|me|it)\b", re.IGNORECASE
)
_OTHER_ITEM = re.compile(
    r"\W*(?:related|relates|see|cf|fixes|closes|resolves|part|parent|duplicate|supersedes)\b", re.IGNORECASE
)
_GOES_ON = re.compile(r"(?:,|&|\band|\bor)[ \t]*$", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"\n]*\"|\u201c[^\u201d\n]*\u201d|\u00ab[^\u00bb\n]*\u00bb")
_COLON = re.compile(r"[ \t]*[:=]")
_MENTION = re.compile(r"depend|block|prerequisit|requires", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """What a body says of other issues, each once, in the order of the text."""

    blocked_by: tuple[IssueRef, ...] = ()  # issues that come first
    blocks: tuple[IssueRef, ...] = ()  # issues that wait for this one
    stated: frozenset[Side] = frozenset()  # sides on which it said anything, "None" too

    def said(self, side: Side) -> tuple[IssueRef, ...] | None:
        """The issues on one side; None where the body says nothing about it."""
        issues = self.blocked_by if side == "blocked_by" else self.blocks
        return issues if side in self.stated else None


def mentions_dependencies(body: str) -> bool:
    """Whether a body that could not be parsed may state dependencies; then a person must look at it."""
    return _MENTION.search(body) is not None


def dependencies_of(blocks: Iterable[Block], own: IssueRef) -> Dependencies:
    """Read the dependencies of the issue `own`. More than MOST_REFERENCES raise UnreadableBodyError."""
    reading = _Reading(own=own)
    for block in blocks:
        reading.read(block)
    for side, found in reading.found.items():
        if len(found) > MOST_REFERENCES:
            message = (
                f"the body names {len(found)} issues under {side}, more than {MOST_REFERENCES}; name fewer"
            )
            raise UnreadableBodyError(message)
    return Dependencies(
        blocked_by=tuple(reading.found["blocked_by"]),
        blocks=tuple(reading.found["blocks"]),
        stated=frozenset(reading.stated),
    )


@dataclass(slots=True)
class _Reading:
    """One pass over the blocks, in their order, with the label whose list may follow."""

    own: IssueRef
    found: dict[Side, dict[IssueRef, None]] = field(default_factory=lambda: {"blocked_by": {}, "blocks": {}})
    stated: set[Side] = field(default_factory=set)
    label: tuple[Side, int] | None = None  # a label without a value, and the depth that it stands in

    def read(self, block: Block) -> None:
        """Read a block: its lines that are labels or items of lists, then the sentences of the others."""
        if block.is_heading:
            self.label = None
            self._sentences(block.text)
            return
        text = _without_quotations(block.text)
        if self.label is not None and block.depth <= self.label[1] and not _begins_with_reference(text):
            self.label = None
        rest = [line for line in _lines(text) if not self._line(line, block)]
        self._sentences("\n".join(rest))

    def _line(self, line: str, block: Block) -> bool:
        """Read a line that is a label, or an item of a list under one or a heading; False for others."""
        label = _LABEL.match(line)
        if label is not None:
            side: Side = "blocks" if label["blocks"] else "blocked_by"
            self.label = None
            value = line[label.end() :]
            if value.strip(" \t*_"):
                following = _PHRASE.search(_unbracketed(value)[0])
                self._value(side, value)
                self._sentences(value[following.start() :] if following else "")
            else:
                self.label = (side, block.depth)
                self.stated.add(side)
            return True
        governing, whole = self._governing(block)
        if governing is None or _PHRASE.search(line):
            return False
        if block.depth == 0 and not whole and not _begins_with_reference(line):
            self.stated |= {governing} if _NONE.match(line) else set()
            return False
        self._item(governing, line)
        return True

    def _governing(self, block: Block) -> tuple[Side | None, bool]:
        """The side that items of this block belong to: by the label before it, else by its heading.

        Also whether any line of it is an item: what stands under "Blocked by" is what somebody entered in a
        form.
        """
        if self.label is not None:
            return self.label[0], False
        found = (heading for name in reversed(block.headings) if (heading := _heading(name)) is not None)
        return next(found, (None, False))

    def _value(self, side: Side, value: str) -> None:
        """Read what follows a label, up to the next label or the end of the sentence."""
        self.stated.add(side)
        bare, inner = _unbracketed(value.lstrip(" \t:="))
        for end in (_PHRASE.search(bare), _SENTENCE_END.search(bare)):
            bare = bare[: end.start()] if end is not None else bare
        for text in inner:
            self._sentences(text)
        if not _NONE.match(bare):
            self._add(side, (each for each in references(bare, self.own) if not _denied(bare, each.start)))

    def _item(self, side: Side, line: str) -> None:
        """Read an item of a list: its references, those in brackets only when there are no others."""
        self.stated.add(side)
        if _OTHER_ITEM.match(line) or _NONE.match(line):
            return
        bare, _ = _unbracketed(line)
        text = bare if REFERENCE.search(bare) else line
        self._add(side, (each for each in references(text, self.own) if not _denied(text, each.start)))

    def _sentences(self, text: str) -> None:
        """Read the phrases of a text, each with the references that it governs, and those in brackets."""
        bare, inner = _unbracketed(_without_quotations(text))
        named = list(references(bare, self.own))
        for phrase in _PHRASE.finditer(bare):
            side: Side = "blocks" if phrase["blocks"] else "blocked_by"
            before = bare[max(0, phrase.start() - 300) : phrase.start()]
            if _COLON.match(bare, phrase.end()):
                self._value(side, _first_line(bare[phrase.end() : phrase.end() + _LONGEST_LIST]))
            elif not _SUBJECT.search(before) and not _denied(bare, phrase.start()):
                self._add(side, _listed(bare, phrase, named))
        for reference in named:
            if _BLOCKS_THIS.match(bare, reference.end) and not _denied(bare, reference.start):
                self._add("blocked_by", [reference])
        for piece in inner:
            self._sentences(piece)

    def _add(self, side: Side, found: Iterable[Reference]) -> None:
        """Note references on a side, each once; that anything was said there is noted with the first."""
        for each in found:
            self.stated.add(side)
            self.found[side][each.ref] = None


def _heading(name: str) -> tuple[Side, bool] | None:
    """What a heading is about, by its words; None when it says more than that, or something else."""
    for pattern, side, whole in _HEADINGS:
        found = re.search(pattern, name)
        if found is not None:
            others = f"{name[: found.start()]} {name[found.end() :]}".split()
            return (side, whole) if all(map(_OF_FORMS.fullmatch, others)) else None
    return None


def _listed(text: str, phrase: re.Match[str], named: Sequence[Reference]) -> list[Reference]:
    """The references that belong to a phrase: the first one in its clause, and those enumerated after it."""
    strict = bool(phrase["blocks"]) or phrase[0].lower() == "requires"
    at = _end_of(_LEAD, text, phrase.end())
    listed: list[Reference] = []
    for each in named[bisect_left(named, at, key=lambda one: one.start) :]:
        if each.start - at > _LONGEST_GAP:
            break
        between = text[at : each.start]
        if listed:
            near = _SEPARATOR.fullmatch(between)
        else:
            near = None if strict and between else _TO_THE_FIRST.fullmatch(between)
        if near is None or _denied(between, len(between)):
            break
        listed.append(each)
        at = each.end
    return listed


def _lines(text: str) -> list[str]:
    """The lines; one that ends with a comma or "and" goes on in the next."""
    lines: list[str] = []
    for line in text.split("\n"):
        if lines and _GOES_ON.search(lines[-1]):
            lines[-1] += " " + line
        else:
            lines.append(line)
    return lines


def _first_line(text: str) -> str:
    return _lines(text)[0]


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that begins at a place ends; the place itself when it does not match."""
    found = pattern.match(text, at)
    return found.end() if found else at


def _begins_with_reference(line: str) -> bool:
    """Whether a line is an item of a list of issues, with a checkbox or without."""
    found = re.match(r"\s*(?:\[[ xX]\]\s*)?", line)
    at = _end_of(_LEAD, line, found.end() if found else 0)
    return REFERENCE.match(line, at) is not None


def _denied(text: str, at: int) -> bool:
    """Whether the clause says "not" (or "never", "no longer", …) before the place."""
    before = text[max(0, at - 200) : at]
    ends = [found.end() for found in _CLAUSE_END.finditer(before)]
    return _DENIAL.search(before, ends[-1] if ends else 0) is not None


def _without_quotations(text: str) -> str:
    """The text with blanks for statements in quotation marks: somebody else made them."""
    return _QUOTED.sub(lambda found: " " * len(found[0]) if _PHRASE.search(found[0]) else found[0], text)


def _unbracketed(text: str) -> tuple[str, Sequence[str]]:
    """The text with blanks for brackets, and the bracketed statements other than remarks on a reference."""
    kept: list[str] = []
    inner: list[str] = []
    opened: list[int] = []
    last = text.rfind(")")
    for place, letter in enumerate(text):
        if letter == "(" and place < last:
            opened.append(place)
        kept.append(" " if opened else letter)
        if letter == ")" and opened:
            start = opened.pop()
            statement = text[start + 1 : place]
            if not opened and _PHRASE.search(statement) and not re.search(r"#[0-9]+\s*$", text[:start]):
                inner.append(statement)
        if len(opened) > _MOST_BRACKETS:
            return text, ()
    if opened:  # not all are closed: read the text as if there were none
        return text, ()
    return "".join(kept), inner
