"""Secrets in what agents print, in every form in which programs print them."""

import base64
import html
import json
import urllib.parse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.printable import printable
from tasks.agents import redaction
from tasks.agents.redaction import PIECE, Redactor, _run
from tasks.agents.runtimes.agent_event import TextEvent, ToolEvent, Usage, UsageEvent

WORD = 'sk-ant-api03/Zx9+qW$e r"tY\u00fc&8'
DATA = WORD.encode()
REDACT = Redactor({"KEY": WORD})

FORMS = {
    "as it is": WORD,
    "json": json.dumps(WORD),
    "json without escapes": json.dumps(WORD, ensure_ascii=False),
    "json in json": json.dumps(json.dumps(WORD)),
    "json with slashes escaped": json.dumps(WORD).replace("/", r"\/"),
    "url": urllib.parse.quote(WORD),
    "url part": urllib.parse.quote(WORD, safe=""),
    "url form": urllib.parse.urlencode({"key": WORD}),
    "url in small letters": urllib.parse.quote(WORD, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "html": html.escape(WORD),
    "hex": DATA.hex(),
    "hex in capitals": DATA.hex().upper(),
    "hex with colons": DATA.hex(":"),
    "hex with blanks": DATA.hex(" "),
    "hex as xxd prints it": DATA.hex(" ", -2),
    "hex escapes": "".join(f"\\x{byte:02x}" for byte in DATA),
    **{f"base64 at {at}": base64.b64encode(b"user:"[:at] + DATA + b"x").decode() for at in range(6)},
    "base64 for urls": base64.urlsafe_b64encode(DATA).decode(),
    "base64 without padding": base64.b64encode(DATA).decode().rstrip("="),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_secret_is_replaced(form: str) -> None:
    """What is left beside the name are characters that also depend on what stands beside the secret."""
    left = REDACT(f"before {FORMS[form]} after")
    assert left.startswith("before ")
    assert left.endswith(" after")
    assert "[KEY]" in left
    assert len(left) < len("before  after[KEY]") + 12


@given(st.integers(1, len(WORD) - 1), st.sampled_from(sorted(FORMS)))
def test_a_secret_in_two_parts_never_stands_as_a_whole(at: int, form: str) -> None:
    """The longer part goes, whichever line it is on."""
    whole = FORMS[form]
    lines = [REDACT(part) for part in (whole[:at], whole[at:])] if at < len(whole) else [REDACT(whole)]
    assert "[KEY]" in "".join(lines)


@given(st.integers(4, 40), st.sampled_from(sorted(name for name in FORMS if " " not in FORMS[name])))
def test_a_secret_in_many_parts_goes_from_its_half_on(size: int, form: str) -> None:
    """Texts that follow each other: lines of a stream, or what an agent says piece by piece."""
    redact, whole = REDACT.following(), FORMS[form]
    said = [redact(f"  {whole[at : at + size]} ") for at in range(0, len(whole), size)]
    assert "[KEY]" in "".join(said)
    assert whole not in "".join(part.strip() for part in said)


def test_texts_that_only_begin_like_a_secret_stay() -> None:
    """What follows has to go on with it; blank lines are passed over."""
    redact = REDACT.following()
    assert [redact(text) for text in ("say sk-ant", "hello", "sk-ant-api", "", "03/Zx9+qW")] == [
        "say sk-ant", "hello", "sk-ant-api", "", "[KEY]",
    ]  # fmt: skip


def test_base64_that_is_wrapped_is_replaced_line_by_line() -> None:
    """As the program `base64` prints a long one."""
    key = "".join(chr(33 + number * 7 % 90) for number in range(300))
    redact = Redactor({"LONG": key})
    lines = base64.encodebytes(key.encode()).decode().splitlines()
    assert len(lines) > 4
    assert all(redact(line) == "[LONG]" for line in lines[:-1])


def test_a_file_is_found_in_base64_as_a_whole() -> None:
    """A key of several lines is encoded with its newlines."""
    key = "-----BEGIN KEY-----\nline-of-the-key-1\nline-of-the-key-2\n"
    assert "[FILE]" in Redactor({"FILE": key})(base64.b64encode(key.encode()).decode())


@pytest.mark.parametrize("text", ["sk-ant-api", "password", "the key is api03", "", "x" * 10_000])
def test_common_words_stay(text: str) -> None:
    """Less than a half of a secret, or a word of a short one, is in every log."""
    assert Redactor({"KEY": WORD, "PW": "password1", "B": "short"})(text) == text


def test_a_piece_of_a_long_secret_is_enough() -> None:
    """So many characters in a row are nothing else."""
    key = "".join(chr(33 + number * 7 % 90) for number in range(300))
    piece = key[100 : 100 + PIECE]
    assert Redactor({"LONG": key})(f"a {piece} b {piece[1:]} c") == f"a [LONG] b {piece[1:]} c"


def test_a_secret_that_is_not_text_is_found_as_it_is_printed() -> None:
    """Bytes that are not UTF-8, and control characters, as they arrive from a program's output."""
    redact = Redactor({"RAW": "caf\udce9-\udcff-secret\x07-part"})
    data = b"caf\xe9-\xff-secret\x07-part"
    assert redact(printable(data.decode(errors="replace"))) == "[RAW]"
    assert redact(data.hex()) == "[RAW]"


def test_the_texts_of_an_event_are_searched() -> None:
    """Those alone: numbers stay what they are."""
    assert REDACT.record(TextEvent(text=f"x {WORD}")) == TextEvent(text="x [KEY]")
    assert REDACT.record(TextEvent(text="\x1b[0m".join(WORD) + "\x07")) == TextEvent(text="[KEY]")
    assert REDACT.record(ToolEvent(name=WORD, detail=WORD)) == ToolEvent(name="[KEY]", detail="[KEY]")
    usage = UsageEvent(usage=Usage(cost_usd=1.0))
    assert REDACT.record(usage) == usage


@pytest.mark.parametrize("text", ["\\u00e9", "\\u001b[0m", "\\x1b", "%20", "-"])
def test_a_long_line_costs_no_more_for_a_short_secret_beside_a_long_one(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escapes of the long one would be found everywhere in parts that are as short as the other one needs."""
    looks = 0

    def counted(*given: Any) -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return _run(*given)

    key = base64.b64encode(bytes(number * 7919 % 251 for number in range(1500))).decode()
    redact = Redactor({"FILE": f"-----BEGIN KEY-----\n{key}\n-----END KEY-----", "PIN": "h+nter2"})
    monkeypatch.setattr(redaction, "_run", counted)
    line = text * (5_000 // len(text))
    assert redact(line) == line
    assert looks <= 3 * len(line)
