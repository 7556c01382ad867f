"""The script that keeps a page as the fleet is, run by Node with a page, a server and a clock of its own."""

import json
import shutil
from importlib.resources import files

import pytest

from tests.waiting import carried_out

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="the machine has no Node")

#: A page with nothing in focus. `pass(ms)` lets time go by; `answer` is what the server says to a reading.
WORLD = """
const main = {
  contains: () => false, prepend: (note) => { said = note; }, replaceWith: () => { said = null; },
};
let said = null, reads = 0, now = 1000, ticks = null, later = [], streams = [];
let answer = () => ({ ok: true, type: "basic", text: async () => "" });
Date.now = () => now;
globalThis.setInterval = (call) => { ticks = call; };
globalThis.setTimeout = (call, ms) => { later.push([now + ms, call]); };
globalThis.location = { href: "http://127.0.0.1/" };
globalThis.document = {
  hidden: false, activeElement: null, addEventListener: () => {}, querySelectorAll: () => [],
  getElementById: (id) => id === "main" ? main : said,
  querySelector: (what) => what === "footer" ? { replaceWith: () => {} } : null,
  createElement: () => ({ setAttribute: () => {} }),
};
globalThis.DOMParser = class { parseFromString() { return document; } };
globalThis.fetch = async (_, how) => { reads += 1; fetched = how; return answer(); };
globalThis.EventSource = class {
  static CLOSED = 2;
  constructor() { this.readyState = 1; streams.push(this); }
  says(id) { this.readyState = 1; this.onmessage({ data: id }); }
  ends() { this.readyState = 0; this.onerror(); }
  isRefused() { this.readyState = 2; this.onerror(); }
};
let fetched = null;
async function pass(ms) {
  for (const end = now + ms; now < end;) {
    now += 500;
    const due = later.filter(([at]) => at <= now);
    later = later.filter(([at]) => at > now);
    due.forEach(([, call]) => call());
    ticks();
    for (let turn = 0; turn < 20; turn += 1) await null;
  }
}
const words = () => said === null ? "" : said.textContent;
"""


def ran(story: str) -> dict[str, object]:
    """What a story returns, after the script has begun."""
    script = files("console.pages").joinpath("static/live.js").read_text()
    driver = f"(async () => {{ {story} }})().then((found) => console.log(JSON.stringify(found)));"
    program = f"{WORLD}\n{script}\n{driver}"
    found: dict[str, object] = json.loads(carried_out(["node", "-"], stdin=program))
    return found


def test_the_end_of_a_stream_makes_no_page_read() -> None:
    """Each ends after some seconds; the next one says whether something happened meanwhile."""
    found = ran("""
      streams[0].says("1-0"); await pass(3000);
      const first = reads;
      for (let turn = 0; turn < 3; turn += 1) {
        streams[0].ends(); streams[0].says("1-0"); await pass(15000);
      }
      const quiet = reads;
      streams[0].ends(); streams[0].says("2-0"); await pass(3000);
      return { first, quiet, last: reads };
    """)
    assert found == {"first": 1, "quiet": 1, "last": 2}


def test_a_server_that_is_away_is_said() -> None:
    """A stream that ends and does not begin again; the page comes back by itself."""
    found = ran("""
      streams[0].says("1-0"); await pass(3000);
      answer = () => { throw new Error("refused"); };
      streams[0].ends(); streams[0].ends(); await pass(3000);
      const away = words();
      answer = () => ({ ok: true, type: "basic", text: async () => "" });
      await pass(5000);
      return { away, back: words() };
    """)
    assert "cannot be reached" in str(found["away"])
    assert found["back"] == ""


def test_a_session_that_has_ended_is_said() -> None:
    """The server leads to the page where people sign in, and is asked once a minute from then on."""
    found = ran("""
      streams[0].says("1-0"); await pass(3000);
      answer = () => ({ ok: false, type: "opaqueredirect" });
      streams[0].isRefused(); await pass(10000);
      const before = reads;
      await pass(60000);
      return { words: words(), how: fetched.redirect, streams: streams.length, before, after: reads };
    """)
    assert found["words"] == "You are signed out: load this page again."
    assert (found["how"], found["streams"]) == ("manual", 1)
    assert found["before"] == 2
    assert found["after"] == 3
