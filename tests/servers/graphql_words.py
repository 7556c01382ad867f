"""Documents of GraphQL, as far as we write them: read into selections, and carried out on plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

_TOKEN = re.compile(r'\s*(\.\.\.|[A-Za-z_$][\w$]*|[{}()\[\]:!,=]|"[^"]*"|-?\d+)')


class WrongDocumentError(Exception):
    """It is not GraphQL, or asks for what is not there."""


@dataclass(frozen=True, slots=True)
class SelectedField:
    """A field that is asked for, by which name it is answered, and what of it."""

    alias: str
    name: str
    arguments: Mapping[str, Any]  # `$name` for a variable
    inner: "Selection"


Selection: TypeAlias = tuple[SelectedField | str, ...]  # a text is the name of a fragment


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """One operation with its fragments."""

    kind: str  # `query` or `mutation`
    name: str
    variables: Mapping[str, str]  # their types, with `!` for those that are required
    selection: Selection
    fragments: Mapping[str, Selection]


class _Reader:
    """Reads tokens from the front."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise WrongDocumentError(text[at : at + 20])
            self.tokens.append(found[1])
            at = found.end()
        self.at = 0

    def next(self, *, wanted: str = "") -> str:
        """Take the next token, which must be the wanted one."""
        if self.at >= len(self.tokens) or (wanted and self.tokens[self.at] != wanted):
            raise WrongDocumentError(f"{wanted} is missing at {self.tokens[self.at - 3 : self.at + 1]}")
        self.at += 1
        return self.tokens[self.at - 1]

    def skip(self, token: str) -> bool:
        """Take the next token if it is this one."""
        there = self.at < len(self.tokens) and self.tokens[self.at] == token
        self.at += there
        return there

    def selection(self) -> Selection:
        """What stands between braces; () without any."""
        found: list[SelectedField | str] = []
        if not self.skip("{"):
            return ()
        while not self.skip("}"):
            if self.skip("..."):
                found.append(self.next())
                continue
            name = alias = self.next()
            if self.skip(":"):
                name = self.next()
            arguments = {}
            if self.skip("("):
                while not self.skip(")"):
                    key = self.next()
                    self.next(wanted=":")
                    arguments[key] = self.value()
                    self.skip(",")
            found.append(SelectedField(alias, name, arguments, self.selection()))
        return tuple(found)

    def value(self) -> Any:
        """A value, or the name of a variable."""
        if self.skip("{"):
            made = {}
            while not self.skip("}"):
                key = self.next()
                self.next(wanted=":")
                made[key] = self.value()
                self.skip(",")
            return made
        token = self.next()
        return int(token) if token.lstrip("-").isdigit() else token.strip('"')


def read_document(text: str) -> ReadDocument:
    """Read it, or WrongDocumentError."""
    reader = _Reader(text)
    kind, name, variables = reader.next(), reader.next(), {}
    if reader.skip("("):
        while not reader.skip(")"):
            variable = reader.next()
            reader.next(wanted=":")
            variables[variable.removeprefix("$")] = reader.next() + ("!" if reader.skip("!") else "")
            reader.skip(",")
    selection, fragments = reader.selection(), {}
    while reader.at < len(reader.tokens):
        reader.next(wanted="fragment")
        fragment = reader.next()
        reader.next(wanted="on")
        reader.next()
        fragments[fragment] = reader.selection()
    return ReadDocument(kind, name, variables, selection, fragments)


def carried_out(document: ReadDocument, root: Any, given: Mapping[str, Any]) -> Any:
    """What is answered: of each value the selected members; a member that is a function gets its arguments.

    WrongDocumentError for variables that are missing or unknown, and for members that are not there.
    """
    lacks = [
        name for name, kind in document.variables.items() if kind.endswith("!") and given.get(name) is None
    ]
    unknown = set(given) - set(document.variables)
    if lacks or unknown:
        raise WrongDocumentError(f"variables that are missing: {lacks}; that are unknown: {sorted(unknown)}")
    return _selected(root, document.selection, document, given)


def _selected(value: Any, selection: Selection, document: ReadDocument, given: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_selected(one, selection, document, given) for one in value]
    if not isinstance(value, Mapping):
        if selection and value is not None:
            raise WrongDocumentError(f"{value!r} has no members")
        return value
    if not selection:
        raise WrongDocumentError(f"members of {sorted(value)} must be named")
    answer: dict[str, Any] = {}
    for field in selection:
        if isinstance(field, str):
            answer |= _selected(value, document.fragments[field], document, given)
            continue
        if field.name not in value:
            raise WrongDocumentError(f"Cannot query field {field.name!r}")
        found = value[field.name]
        arguments = {name: _filled(one, given) for name, one in field.arguments.items()}
        if callable(found):
            found = found(**{_argument(name): one for name, one in arguments.items()})
        elif arguments:
            raise WrongDocumentError(f"{field.name} takes no {sorted(arguments)}")
        answer[field.alias] = _selected(found, field.inner, document, given)
    return answer


def _argument(name: str) -> str:
    """`orderBy` as functions here take it: `order_by_`, so that it is not a name of Python's."""
    return re.sub(r"([A-Z])", r"_\1", name).lower() + "_"


def _filled(value: Any, given: Mapping[str, Any]) -> Any:
    """A value with the variables in their places."""
    if isinstance(value, Mapping):
        return {name: _filled(one, given) for name, one in value.items()}
    if isinstance(value, str) and value.startswith("$"):
        return given.get(value[1:])
    return value
