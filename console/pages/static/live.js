// Keeps a page as the fleet is: when an event happened, its main part is read again and put in place.
// Without this script, or where it fails, a page is as it was read. It stops while its tab is hidden, and
// waits while somebody is in a form or has put the focus somewhere in the page.
"use strict";
(() => {
  const LEAST_MS = 2000; // between two readings
  const AGAIN_MS = 3000; // after a server that did not answer
  const STALE_MS = 60000; // after which relative times are no longer right
  let stream = null;
  let seen = null; // id of the newest event that was read
  let heard = false; // whether this stream has said anything: each ends after some seconds, and another begins
  let out = false; // whether the session has ended
  let wanted = false;
  let busy = false;
  let readAt = Date.now();

  const main = () => document.getElementById("main");

  function isHeld() {
    const focus = document.activeElement;
    return document.querySelector("details[open]") !== null || (focus !== null && focus !== main() && main().contains(focus));
  }

  function say(words) {
    let note = document.getElementById("away");
    if (note === null && words) {
      note = document.createElement("p");
      note.id = "away";
      note.className = "note bad";
      note.setAttribute("role", "status");
      main().prepend(note);
    }
    if (note !== null) {
      note.textContent = words;
      note.hidden = !words;
    }
  }

  function put(page) {
    const places = [...document.querySelectorAll("main .scroll")].map((each) => each.scrollLeft);
    main().replaceWith(page.getElementById("main"));
    document.querySelector("footer").replaceWith(page.querySelector("footer"));
    document.querySelectorAll("main .scroll").forEach((each, place) => { each.scrollLeft = places[place] || 0; });
  }

  async function read() {
    busy = true;
    wanted = false;
    try {
      // Pages of ours lead elsewhere only to the page where people sign in.
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
      out = answer.type === "opaqueredirect";
      if (out) say("You are signed out: load this page again.");
      else if (!answer.ok) say("The server does not answer as it should: this page is as it was read before.");
      else {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (isHeld()) wanted = true;
        else put(page);
        if (stream === null && !document.hidden) follow();
      }
      readAt = Date.now();
    } catch (error) {
      say("The server cannot be reached: this page is as it was read before. It comes back by itself.");
      wanted = true;
      readAt = Date.now() + AGAIN_MS - LEAST_MS;
    } finally {
      busy = false;
    }
  }

  function tick() {
    if (document.hidden || busy || isHeld()) return;
    const age = Date.now() - readAt;
    if ((wanted && age >= LEAST_MS) || age >= STALE_MS) read();
  }

  function follow() {
    heard = false;
    stream = new EventSource("/live");
    stream.onmessage = (event) => {
      heard = true;
      if (event.data !== seen) wanted = true;
      seen = event.data;
    };
    stream.onerror = () => {
      // A stream that ends as it should calls for no reading: the next one says whether something happened.
      const isRefused = stream !== null && stream.readyState === EventSource.CLOSED;
      if (isRefused || !heard) wanted = true;
      heard = false;
      if (isRefused) {
        stream = null;
        setTimeout(() => { if (!document.hidden && !out && stream === null) follow(); }, AGAIN_MS);
      }
    };
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      if (stream !== null) stream.close();
      stream = null;
    } else if (stream === null) {
      wanted = true;
      follow();
    }
  });
  setInterval(tick, 500);
  if (!document.hidden) follow();
})();
