"""Scripts: each is declared once, says what it does, and is called by the names of its declaration."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis

from routing.store.fleet.tick_store import TickStore
from routing.store.jobs.job_store import ClaimRefusal
from routing.store.redis import scripts
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script, ScriptAnswerError, lua_source, record_or, script_files
from routing.store.redis.store import Store
from tests.declared_scripts import declared_scripts, script_sources

SCRIPTS = sorted(name for name in script_files() if not name.startswith("_"))
INCLUDES = sorted(name for name in script_files() if name.startswith("_"))
DECLARED = pytest.mark.parametrize("script", declared_scripts(), ids=lambda script: script.name)


def _text(name: str) -> str:
    return script_files()[name].read_text(encoding="utf-8")


def _header(name: str, word: str) -> str:
    """What a script's header says of KEYS, ARGV or FLAGS."""
    header = "\n".join(line for line in _text(name).splitlines() if line.startswith("--"))
    found = re.search(
        rf"^-- {word} (.*?)(?=^-- (?:KEYS|ARGV|FLAGS|Returns|@))", header, re.MULTILINE | re.DOTALL
    )
    return found[1] if found else ""


def _code(text: str) -> str:
    return "\n".join(line.partition("--")[0] for line in text.splitlines())


def test_every_script_is_declared_once() -> None:
    """A file without a declaration, a declaration without a file, or two of one: none is there."""
    assert Counter(script.name for script in declared_scripts()) == Counter(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_says_what_it_does(name: str) -> None:
    """Purpose, KEYS, ARGV and Returns stand at the beginning."""
    text = _text(name)
    assert re.match(r"-- [A-Z]", text)
    for word in ("KEYS", "ARGV", "Returns"):
        assert re.search(rf"^-- {word}\b", text, re.MULTILINE), f"{name} does not describe {word}"


@DECLARED
def test_header_names_all_that_is_declared(script: Script[Any]) -> None:
    """Keys, arguments and flags stand in the header under the names of the declaration."""
    locals_ = [name.replace(":", "_") for name in script.indexes]
    for word, names in (
        ("KEYS", [*script.keys, *locals_, *script.each_keys]),
        ("ARGV", [*script.args, *script.each_args]),
        ("FLAGS", script.flags),
    ):
        said = re.findall(r"\w+", _header(script.name, word))
        assert [name for name in names if name not in said] == []


@DECLARED
def test_script_speaks_by_name(script: Script[Any]) -> None:
    """No number of a key or an argument is left in the code, its includes and all."""
    assert re.findall(r"\b(?:KEYS|ARGV)\b", _code(lua_source(script.name))) == []


@DECLARED
def test_script_uses_all_that_is_declared(script: Script[Any]) -> None:
    """No caller puts together what nobody reads."""
    used = re.findall(r"\w+", _code(lua_source(script.name)))
    declared = [
        *script.keys,
        *script.args,
        *script.flags,
        *(name.replace(":", "_") for name in script.indexes),
    ]
    assert [name for name in declared if name not in used] == []


@DECLARED
def test_loop_has_the_names_of_the_declaration(script: Script[Any]) -> None:
    """What comes once for each thing has the same names, in the same order, in the script."""
    loops = re.findall(r"for ([\w, ]+) in each\(\)", lua_source(script.name))
    names = [*script.each_keys, *script.each_args]
    assert set(loops) == ({", ".join(names)} if names else set())


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_declares_its_keys(name: str) -> None:
    """No script makes up the name of a key."""
    called = re.findall(r"redis\.call\('[A-Z]+',\s*([^,)]+)", _code(_text(name)))
    assert not [key for key in called if ".." in key or key.startswith(("'", '"', "ARGV"))]


@pytest.mark.parametrize("name", SCRIPTS)
def test_real_server_compiles_the_script(redis_client: redis.Redis, name: str) -> None:
    """Includes are in place, and what a server would refuse is seen here."""
    assert "@include" not in script_sources()[name]
    assert redis_client.script_load(script_sources()[name])


def test_include_is_put_in_place_of_its_line() -> None:
    """A script that asks for a part gets its text; every part is asked for."""
    asked = {
        found
        for name in SCRIPTS
        for found in re.findall(r"^-- @include ([a-z_]+)$", _text(name), re.MULTILINE)
    }
    assert {f"_{name}" for name in asked} == set(INCLUDES)
    assert _text("_prelude") in lua_source("job_claim")


def test_unknown_script_is_an_error() -> None:
    """A name without a file is not an empty script."""
    with pytest.raises(KeyError):
        lua_source("no_such_script")


@pytest.fixture
def store(fake_redis: redis.Redis) -> Store:
    """A store without scripts of its own."""
    return Store(fake_redis, Keys("red"))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the next script consist of a text."""
    return lambda text: monkeypatch.setattr(scripts, "lua_source", lambda _name: text)


def test_values_arrive_under_their_names(store: Store, scripted: Callable[[str], None]) -> None:
    """Whatever their order in the call; None is '', and a flag is a boolean, false if not given."""
    scripted("return {job, trials_open, id, reason, tostring(dead), tostring(fresh), time}")
    script = Script("any", list, keys="job", indexes="trials:open", args="id reason", flags="dead fresh")
    answer = store.call(script, fresh=True, reason=None, id=7, job="j", doing="trying")
    assert answer == ["j", "red:trials:open", "7", "", "false", "true", ""]


def test_each_thing_comes_with_its_keys_and_arguments(store: Store, scripted: Callable[[str], None]) -> None:
    """After what the call has once."""
    scripted(
        "local all = {most} "
        "for job, list, id in each() do all[#all + 1] = table.concat({job, list, id}, ' ') end "
        "return all"
    )
    script = Script("any", list, indexes="jobs", args="most", each_keys="job list", each_args="id")
    each = [{"job": f"j{number}", "list": "l", "id": number} for number in (1, 2)]
    assert store.call(script, most=3, each=each, doing="trying") == ["3", "j1 l 1", "j2 l 2"]
    assert store.call(script, most=3, doing="trying") == ["3"]


@pytest.mark.parametrize("values", [{"job": "j"}, {"job": "j", "id": 1, "fence": 2}])
def test_missing_or_unknown_name_is_refused(store: Store, values: dict[str, Any]) -> None:
    """Before anything is sent, with the script and the name."""
    script = Script("job_wake", bool, keys="job", args="id")
    with pytest.raises(TypeError, match=r"job_wake .*: (id|fence)"):
        store.call(script, **values, doing="trying")


def test_unknown_answer_is_an_error(store: Store, scripted: Callable[[str], None]) -> None:
    """A word that the wrapper does not know is not taken for another one."""
    scripted("return {'perhaps', '1'}")
    with pytest.raises(ScriptAnswerError, match=r"job_claim answered .*perhaps"):
        store.call(Script("job_claim", record_or(ClaimRefusal)), doing="trying")


class Forgetful:
    """A server that is restarted after it was sent a script's text, before that is called."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def script_load(self, text: str) -> str:
        """Take the text, and forget it."""
        sha: str = self._client.script_load(text)
        self._client.script_flush()
        return sha


def test_a_server_that_forgets_its_scripts_again_costs_no_call(redis_client: redis.Redis) -> None:
    """Text and call are one command, so that no restart comes between them."""
    redis_client.script_flush()
    client: Any = Forgetful(redis_client)
    TickStore(client, Keys("forgetful")).beat()
    assert redis_client.exists("forgetful:pulse")
    redis_client.delete("forgetful:pulse")
