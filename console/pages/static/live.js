// Keeps a page as the fleet is: when an event happened, its main part is read again and put in place.
// Without this script, or where it fails, a page is as it was read. It stops while its tab is hidden, and
// waits while somebody is in a form or has put the focus somewhere in the page. What was unfolded stays so.
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

  // A part that is unfolded to be read: it has an id, and a summary that may keep the focus.
  const unfolded = () => [...document.querySelectorAll("main details[id][open]")].map((each) => each.id);
  const folder = (focus) => (focus.tagName === "SUMMARY" ? focus.parentElement.id : "");

  function isHeld() {
    const focus = document.activeElement;
    if (document.querySelector("main details[open]:not([id])") !== null) return true;
    return focus !== null && focus !== main() && main().contains(focus) && !folder(focus);
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

  // Without this, the exact time on hover is in UTC.
  function localize() {
    const words = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
    document.querySelectorAll("time[datetime]").forEach((each) => {
      each.title = words.format(new Date(each.dateTime));
    });
  }

  function put(page) {
    const places = [...document.querySelectorAll("main .scroll")].map((each) => each.scrollLeft);
    const open = unfolded();
    const focus = document.activeElement;
    const folded = focus !== null && main().contains(focus) ? folder(focus) : "";
    main().replaceWith(page.getElementById("main"));
    document.querySelector("footer").replaceWith(page.querySelector("footer"));
    localize();
    [...open, folded].forEach((id) => {
      const part = id ? document.getElementById(id) : null;
      if (part === null) return;
      if (open.includes(id)) part.open = true;
      if (id === folded) part.querySelector("summary").focus({ preventScroll: true });
    });
    document.querySelectorAll("main .scroll").forEach((each, place) => { each.scrollLeft = places[place] || 0; });
  }

  function again() {
    wanted = true;
    readAt = Date.now() + AGAIN_MS - LEAST_MS;
  }

  async function read() {
    busy = true;
    wanted = false;
    try {
      // Pages of ours lead elsewhere only to the page where people sign in.
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
      out = answer.type === "opaqueredirect";
      if (out) say("You are signed out: load this page again.");
      else if (answer.status >= 500) {
        const who = answer.status === 503 ? "The fleet's store does not answer" : "The server does not answer as it should";
        say(`${who}: this page is as it was read before. It comes back by itself.`);
        again();
        return;
      } else if (!answer.ok) say("This page cannot be read any longer: it is as it was read before.");
      else {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (isHeld()) wanted = true;
        else put(page);
        if (stream === null && !document.hidden) follow();
      }
      readAt = Date.now();
    } catch (error) {
      say("The server cannot be reached: this page is as it was read before. It comes back by itself.");
      again();
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
  localize();
  setInterval(tick, 500);
  if (!document.hidden) follow();
})();

// Ctrl-K leads to the field in which people find things; what it finds is a list of links below it. Without
// this, the field leads to a page with the same list.
(() => {
  const WAIT_MS = 200; // after the last key
  const MOST = 8;
  const field = document.getElementById("find");
  const list = document.getElementById("found");
  let due = null;
  let asked = 0; // an answer counts only when no later question was asked

  if (field === null || list === null) return;

  function show(things) {
    list.replaceChildren(...things.slice(0, MOST).map((each) => {
      const link = document.createElement("a");
      link.href = each.link;
      link.textContent = [each.kind, each.name, each.title].filter(Boolean).join(" ").slice(0, 120);
      const item = document.createElement("li");
      item.append(link);
      return item;
    }));
    list.hidden = things.length === 0;
  }

  async function find() {
    const question = (asked += 1);
    const words = field.value.trim();
    let things = [];
    if (words) {
      try {
        const answer = await fetch("/api/v1/search?q=" + encodeURIComponent(words));
        if (answer.ok) things = (await answer.json()).found;
      } catch (error) {
        things = []; // the field still leads to the page
      }
    }
    if (question === asked) show(things);
  }

  function step(by) {
    const stops = [field, ...list.querySelectorAll("a")];
    const next = stops.indexOf(document.activeElement) + by;
    stops[Math.max(0, Math.min(next, stops.length - 1))].focus();
  }

  field.addEventListener("input", () => {
    clearTimeout(due);
    due = setTimeout(find, WAIT_MS);
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      field.focus();
      field.select();
    } else if (field.form.contains(document.activeElement) && event.key === "Escape") {
      show([]);
      field.focus();
    } else if (field.form.contains(document.activeElement) && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    }
  });
})();
