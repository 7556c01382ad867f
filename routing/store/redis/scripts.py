"""Lua scripts: declared once, by name, and called only by the typed wrapper beside them.

A step of the store is `NAME.lua` and one `Script` in the module of the store that calls it:

    JOB_WAKE = Script("job_wake", bool, keys="job", indexes="outbox events", args="id")
    …
    woken = self.call(JOB_WAKE, job=self.keys.job(job), id=job, doing=f"waking job {job}")

The declaration is the one place that knows an order. The Lua text begins with locals made from it, so it says
`job`, `outbox` and `id`, never `KEYS[1]`; `call` takes the values by the same names, and refuses a missing or
unknown one. What can be declared:

- `keys`: keys that the caller gives.
- `indexes`: keys that need nothing but their name; `trials:open` is the local `trials_open`.
- `args`: texts and numbers; None arrives as ''. Each script has `time` before them, for `clock(time)`.
- `flags`: True or False, which is what they are if not given; booleans in Lua too.
- `each_keys` and `each_args`: given once for each thing that the call is about. The caller passes `each`, a
  mapping a thing; Lua says `for job, id, fence in each() do`, with the names in the order of declaration.
- `answer`: makes the wrapper's answer from the script's: `bool`, `int`, a StrEnum for one word, `answered`
  for a word with a detail, `record_or` for a record or the word that says why there is none, or a function of
  the store. A word that an enum lacks is a ScriptAnswerError.

A line `-- @include NAME` stands for the text of `_NAME.lua`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import itemgetter
from typing import Any, Generic, TypeVar

from hiredis import pack_command
from redis import Redis
from redis.exceptions import NoScriptError, ReadOnlyError

from routing.errors import CoalmineError
from routing.store.redis.keys import Keys

A = TypeVar("A")
E = TypeVar("E", bound=StrEnum)

#: KEYS and ARGV of a call.
Packed = tuple[list[str], list[Any]]

_INCLUDE = re.compile(r"^-- @include ([a-z_]+)$", re.MULTILINE)


class ScriptAnswerError(CoalmineError):
    """A script answered what its wrapper does not know."""


class Script(Generic[A]):
    """A Lua script: its keys and arguments in their order, and what its answer means.

    One instance a script, made when its module is imported. Names are Lua locals, so they differ from each
    other, and are not keywords of Lua or Python.
    """

    def __init__(
        self, name: str, answer: Callable[[Any], A], *, keys: str = "", indexes: str = "", args: str = "",
        flags: str = "", each_keys: str = "", each_args: str = "",
    ) -> None:  # fmt: skip
        self.name = name  # of the file, without `.lua`
        self.answer = answer
        self.keys = keys.split()
        self.indexes = indexes.split()
        self.args = args.split()
        self.flags = flags.split()
        self.each_keys = each_keys.split()
        self.each_args = each_args.split()
        self._keys_of_each, self._args_of_each = _getter(self.each_keys), _getter(self.each_args)
        self._known_indexes: dict[str, list[str]] = {}  # by namespace

    @cached_property
    def source(self) -> str:
        """The whole text: one line of locals, then the file with its includes in place."""
        return f"{self.preface}\n{lua_source(self.name)}"

    @cached_property
    def sha(self) -> str:
        """The hash by which the server knows the text."""
        return hashlib.sha1(self.source.encode()).hexdigest()  # noqa: S324 - the server's choice

    @property
    def preface(self) -> str:
        """The line of Lua that gives KEYS and ARGV their names."""
        keys = [*self.keys, *(name.replace(":", "_") for name in self.indexes)]
        args = ["time", *self.args, *self.flags]
        parts = [f"local {', '.join(args)} = unpack(ARGV, 1, {len(args)})"]
        if keys:
            parts.append(f"local {', '.join(keys)} = unpack(KEYS, 1, {len(keys)})")
        parts += [f"{flag} = {flag} == '1'" for flag in self.flags]
        if self.each_keys or self.each_args:
            parts.append(_each(len(keys), len(self.each_keys), len(args), len(self.each_args)))
        return " ".join(parts)

    def packed(
        self, keys: Keys, time: str, values: Mapping[str, Any], each: Iterable[Mapping[str, Any]] = ()
    ) -> Packed:
        """KEYS and ARGV of one call; TypeError for a name that is missing or unknown."""
        try:
            names = [values[name] for name in self.keys]
            args = [time]
            args += ["" if (value := values[name]) is None else value for name in self.args]
        except KeyError:
            raise self._misfit(values) from None
        flags = [values.get(flag) for flag in self.flags]
        if len(values) != len(names) + len(args) - 1 + len(flags) - flags.count(None):
            raise self._misfit(values)
        names += self._indexes_under(keys)
        args += ["1" if flag else "" for flag in flags]
        return self.extended((names, args), each)

    def extended(self, call: Packed, each: Iterable[Mapping[str, Any]]) -> Packed:
        """The call with more things that it is about. There may be many: texts and numbers only, no None."""
        names, args = [*call[0]], [*call[1]]
        for item in each:
            names += self._keys_of_each(item)
            args += self._args_of_each(item)
        return names, args

    def _misfit(self, values: Mapping[str, Any]) -> TypeError:
        wrong = sorted({*self.keys, *self.args} ^ (values.keys() - set(self.flags)))
        return TypeError(f"a call of script {self.name} misses, or does not know: {', '.join(wrong)}")

    def _indexes_under(self, keys: Keys) -> list[str]:
        found = self._known_indexes.get(keys.namespace)
        if found is None:
            found = self._known_indexes[keys.namespace] = [keys(name) for name in self.indexes]
        return found

    def meaning(self, raw: Any) -> A:
        """What the script's answer means; ScriptAnswerError for one without a meaning."""
        try:
            return self.answer(raw)
        except ValueError as error:
            message = (
                f"script {self.name} answered {raw!r:.200}, which its wrapper does not know: the two are of "
                "different releases; install Coalmine again"
            )
            raise ScriptAnswerError(message) from error


class Done(StrEnum):
    """The word that all steps of the store share: the step was made. Its results may come after it."""

    OK = "ok"


def record_or(refusals: type[E]) -> Callable[[Sequence[str]], dict[str, str] | E]:
    """Read {'ok', field, value, …} as a record, and any other word as the reason why there is none."""

    def read(words: Sequence[str]) -> dict[str, str] | E:
        return dict(zip(words[1::2], words[2::2], strict=True)) if words[0] == Done.OK else refusals(words[0])

    return read


@dataclass(frozen=True, slots=True)
class Answered(Generic[E]):
    """A script's word, with what comes after it: mostly the state that does not allow a step."""

    answer: E
    detail: str = ""

    @property
    def done(self) -> bool:
        """Whether the step was made."""
        return self.answer == Done.OK

    def __str__(self) -> str:
        return self.detail or self.answer


def answered(words: type[E]) -> Callable[[Sequence[str]], Answered[E]]:
    """Read {word} and {word, detail}."""
    return lambda raw: Answered(words(raw[0]), *raw[1:])


def flat_json(fields: Mapping[str, str]) -> str:
    """Fields and values in turn, as a JSON list: what `unpack(cjson.decode(…))` hands to HSET."""
    return json.dumps([part for pair in fields.items() for part in pair])


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Read several values of a mapping, in an order."""
    if len(names) < 2:  # noqa: PLR2004 - itemgetter answers with a tuple from two on
        return lambda item: [item[name] for name in names]
    return itemgetter(*names)


def _each(first_key: int, keys: int, first_arg: int, args: int) -> str:
    """Lua: the iterator over the things that a call is about."""
    values = [f"KEYS[key + {place}]" for place in range(1, keys + 1)]
    values += [f"ARGV[arg + {place}]" for place in range(1, args + 1)]
    return (
        f"local function each() local key, arg = {first_key - keys}, {first_arg - args} return function() "
        f"key, arg = key + {keys}, arg + {args} return {', '.join(values)} end end"
    )


@cache
def script_files() -> dict[str, Traversable]:
    """All Lua files of the store, by their names; those that begin with `_` are only included."""
    rooms = [room for room in files("routing.store").iterdir() if room.is_dir()]
    return {
        file.name.removesuffix(".lua"): file
        for room in rooms
        for file in room.iterdir()
        if file.name.endswith(".lua")
    }


@cache
def lua_source(name: str) -> str:
    """The text of `NAME.lua` with its includes in place; KeyError where there is no such script."""
    found = script_files()
    text = found[name].read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: found[f"_{match[1]}"].read_text(encoding="utf-8"), text)


class Scripts:
    """The scripts on one server; each is sent once and then called by its hash.

    A script is one step: the server does nothing else meanwhile, so each must be short.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis: Any = redis  # the driver's types do not know what a connection answers

    def __call__(self, script: Script[A], packed: Packed) -> A:
        """Run a script; a server that does not know it, or no longer, is sent its text.

        Text and call are one command: between two of them the server may be restarted, and forget it again.
        """
        try:
            raw = self._call(script.sha, packed)
        except NoScriptError:
            names, values = packed
            raw = self._redis.eval(script.source, len(names), *names, *values)
        return script.meaning(raw)

    def stream(self, script: Script[A], calls: Iterable[Packed]) -> list[A]:
        """Run a script for each of the calls, in their order, and return the answers.

        Each call is sent as soon as it is made: the server works on it while the next one is put together.
        When a replica refuses the first, it did none of them, and all are sent again.
        """
        made: list[Packed] = []

        def noted() -> Iterator[Packed]:
            for packed in calls:
                made.append(packed)
                yield packed

        answers: list[Any] = []
        try:
            self._stream_once(script, noted(), answers)
        except ReadOnlyError:
            if answers:
                raise
            self._stream_once(script, made, answers)
        return [script.meaning(raw) for raw in answers]

    def _stream_once(self, script: Script[Any], calls: Iterable[Packed], answers: list[Any]) -> None:
        """Send calls, and add their answers to the list as they come."""
        if not self._redis.script_exists(script.sha)[0]:
            self._redis.script_load(script.source)
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            sent = 0
            for packed in calls:
                connection.send_packed_command([_command(script.sha, packed)])
                sent += 1
            for _ in range(sent):
                answers.append(connection.read_response())  # noqa: PERF401 - those before an error count
        except BaseException:
            connection.disconnect()  # answers may be left on it that nobody will read
            raise
        finally:
            pool.release(connection)

    def _call(self, sha: str, packed: Packed) -> Any:
        """One round trip on a connection of the pool; another one when a replica refused the first.

        The client's own way there, with its retries (we allow none) and hooks, costs a third more.
        """
        try:
            return self._call_once(sha, packed)
        except ReadOnlyError:
            return self._call_once(sha, packed)

    def _call_once(self, sha: str, packed: Packed) -> Any:
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command([_command(sha, packed)])
            return connection.read_response()
        finally:
            pool.release(connection)


def _command(sha: str, packed: Packed) -> bytes:
    """The call as the server reads it; the driver's way to the same bytes looks at every argument twice."""
    keys, args = packed
    command: bytes = pack_command(("EVALSHA", sha, len(keys), *keys, *args))
    return command
