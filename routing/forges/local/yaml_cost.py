"""What it would cost to read a front matter, found out before it is read.

YAML of a few hundred bytes can take minutes, or end the process: nested brackets, parts that merge each
other, numbers of many digits. The parser's events are cheap, whatever they say.
"""

import re
from dataclasses import dataclass

import yaml

from routing.errors import CorruptRecordError

#: The most nodes of a front matter, with all that is merged; a thousand comments have fewer.
MOST_NODES = 50_000

#: Characters of a number that is read; YAML's `1:30:00` is one, too.
_LONGEST_NUMBER = 400
_NUMBER_LIKE = re.compile(r"[-+0-9a-fA-FxXoO_:.,]+")

#: How deep lists and mappings of the front matter may be nested. libyaml composes by recursion in C: some ten
#: thousand brackets overflow the stack and end the process, and no `except` sees it.
_DEEPEST = 50

#: libyaml's parser where PyYAML was built with it; both build nothing but plain values.
Loader: type[yaml.CSafeLoader | yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Opened:
    """A collection of YAML that is being read, by its events."""

    anchor: str
    is_mapping: bool
    merges: bool  # whether what is in it is merged into a mapping
    size: int = 1  # in nodes, with what is merged
    children: int = 0
    key_merges: bool = False  # whether the key that was read last is `<<`

    def merges_next(self) -> bool:
        """Whether the next child is merged: it is the value of `<<`, or one of several."""
        return self.key_merges and self.children % 2 == 1 if self.is_mapping else self.merges


def refuse_costly(source: str) -> None:
    """Raise CorruptRecordError for YAML whose reading would cost much: deep, merged often, or a long number.

    The parser's events come one by one, without recursion, so counting them is safe at any depth. What a
    mapping merges (`<<`) counts as often as it is copied, which is what takes the time; a value that aliases
    share is read once.
    """
    sizes: dict[str, int] = {}  # of the collections that have an anchor
    opened = [_Opened(anchor="", is_mapping=False, merges=False)]
    for event in yaml.parse(source, Loader=Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            done = opened.pop()
            sizes[done.anchor] = done.size
            _count(opened[-1], done.size if opened[-1].merges_next() else 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            within = opened[-1].merges_next()
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            opened.append(_Opened(anchor=event.anchor or "", is_mapping=is_mapping, merges=within))
        elif isinstance(event, yaml.AliasEvent):
            _count(opened[-1], sizes.get(str(event.anchor), MOST_NODES) if opened[-1].merges_next() else 1)
        elif isinstance(event, yaml.ScalarEvent):
            _refuse_long_number(event)
            if opened[-1].children % 2 == 0:
                opened[-1].key_merges = event.value == "<<"
            _count(opened[-1], 1)
        if len(opened) > _DEEPEST + 1:
            message = f"its front matter is nested more than {_DEEPEST} deep; write it with fewer brackets"
            raise CorruptRecordError(message)


def _count(opened: _Opened, size: int) -> None:
    opened.children += 1
    opened.size += size
    if opened.size > MOST_NODES:
        message = f"its front matter has more than {MOST_NODES} parts, as `<<` repeats them; write fewer"
        raise CorruptRecordError(message)


def _refuse_long_number(event: yaml.ScalarEvent) -> None:
    """Long digits are read in a time that grows with their square."""
    if event.implicit[0] and len(event.value) > _LONGEST_NUMBER and _NUMBER_LIKE.fullmatch(event.value):
        message = f"its front matter has a number of {len(event.value)} characters; put it in quotes"
        raise CorruptRecordError(message)
