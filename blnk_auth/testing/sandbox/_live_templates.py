"""The HTML of the landing page and the live page, as Jinja templates by name.

Used by `_live_pages`. It promises pages without a framework: one style sheet for a light and a dark screen of 390
pixels or more, and one small script each, both under a nonce. A template never loads anything from another place, and a
script never makes HTML of text.
"""

# ruff: noqa: E501 - a declaration of CSS, a line of script and an element of HTML are one line each

from __future__ import annotations

from collections.abc import Mapping

_FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{% block title %}{% endblock %} &ndash; {{ provider }} sandbox</title>
<link rel="icon" href="data:,">
<style nonce="{{ nonce }}">
:root { color-scheme: light dark; --ink: #1a1f2b; --soft: #566072; --paper: #fff; --ground: #f2f4f8; --line: #d3d9e3; --act: #1d4ed8; --well: #eef1f6; --good: #136c3a; --good-ground: #ddf3e5; --bad: #a61b1b; --bad-ground: #fde4e4; --odd: #7a4d00; --odd-ground: #fdefcf; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eef1f6; --soft: #aab4c4; --paper: #1b212d; --ground: #11151d; --line: #38414f; --act: #8fb4ff; --well: #11151d; --good: #7fdca4; --good-ground: #14351f; --bad: #ffa5a5; --bad-ground: #47191b; --odd: #f4cd7a; --odd-ground: #40300c; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
header { background: var(--paper); border-bottom: 1px solid var(--line); }
header > div, main { max-width: 64rem; margin: 0 auto; padding: .75rem 1rem; }
header > div { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .25rem 1rem; }
.brand { margin: 0; font-weight: 700; }
nav { display: flex; gap: .25rem; }
nav a { padding: .5rem .75rem; border-radius: .5rem; color: var(--act); font-weight: 600; text-decoration: none; }
nav a[aria-current] { background: var(--well); color: var(--ink); }
main { padding-block: 1.25rem 3rem; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; line-height: 1.25; }
h2, h3 { min-width: 0; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.125rem; }
h3 { font-size: 1rem; }
summary { cursor: pointer; color: var(--act); }
.head button { flex: none; }
p { margin: 0 0 .75rem; }
a { color: var(--act); }
.soft { color: var(--soft); }
.card { margin-top: 1rem; padding: 1rem; background: var(--paper); border: 1px solid var(--line); border-radius: .75rem; }
.head { display: flex; align-items: center; justify-content: space-between; gap: .5rem; margin-bottom: .75rem; }
code, pre { font: .875rem/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; overflow-wrap: anywhere; }
pre { margin: 0; padding: .75rem; background: var(--well); border-radius: .5rem; white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .375rem 1rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
button, select { min-height: 2.75rem; padding: .375rem .875rem; border: 1px solid var(--act); border-radius: .5rem; background: transparent; color: var(--act); font: inherit; font-size: .9375rem; font-weight: 600; cursor: pointer; }
select { border-color: var(--soft); background: var(--paper); color: var(--ink); font-weight: 400; max-width: 100%; }
button:disabled { border-color: var(--line); color: var(--soft); cursor: default; }
button.small { min-height: 2.25rem; padding: .25rem .75rem; font-size: .875rem; }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
.badge { display: inline-block; padding: .0625rem .5rem; border-radius: 1rem; background: var(--well); font-size: .8125rem; font-weight: 600; white-space: nowrap; }
.badge.good { background: var(--good-ground); color: var(--good); }
.badge.bad { background: var(--bad-ground); color: var(--bad); }
.badge.odd { background: var(--odd-ground); color: var(--odd); }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dd + dt { margin-top: .5rem; } }
{% block style %}{% endblock %}
</style>
</head>
<body>
<header><div>
<p class="brand">{{ provider }} sandbox</p>
<nav aria-label="Pages"><a href="/_sandbox/"{% if page == "start" %} aria-current="page"{% endif %}>Start</a><a href="/_sandbox/live"{% if page == "live" %} aria-current="page"{% endif %}>Live</a></nav>
</div></header>
<main>
{% block main %}{% endblock %}
</main>
<script nonce="{{ nonce }}">
"use strict";
{% block script %}{% endblock %}
</script>
</body>
</html>
"""

_START = """\
{% extends "frame.html" %}
{% block title %}Start{% endblock %}
{% block main %}
<h1>{{ provider }} on this machine</h1>
<p class="soft">Nothing here is real, and any name signs in. <a href="/_sandbox/live">The live page</a> shows each request as it happens.</p>
<section class="card">
<div class="head"><h2>Client</h2></div>
<dl>
{% for name, value in facts %}
<dt>{{ name }}</dt><dd><code>{{ value }}</code></dd>
{% endfor %}
</dl>
</section>
{% for block in blocks %}
<section class="card">
<div class="head"><h2 id="block-{{ loop.index }}">{{ block.title }}</h2><button class="small" data-copy="text-{{ loop.index }}" aria-describedby="block-{{ loop.index }}">Copy</button></div>
{% if block.note %}<p class="soft">{{ block.note }}</p>{% endif %}
<pre id="text-{{ loop.index }}">{{ block.text }}</pre>
</section>
{% endfor %}
{% endblock %}
{% block script %}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(document.getElementById(button.dataset.copy)); button.textContent = "Selected"; }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
{% endblock %}
"""

_LIVE = """\
{% extends "frame.html" %}
{% block title %}Live{% endblock %}
{% block style %}
#counts { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .5rem; margin: 0; padding: 0; list-style: none; }
#counts li { padding: .5rem .75rem; background: var(--well); border-radius: .5rem; font-size: .8125rem; color: var(--soft); line-height: 1.3; }
#counts b { display: block; font-size: 1.25rem; color: var(--ink); font-variant-numeric: tabular-nums; }
#counts li.bad b { color: var(--bad); }
.row { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; }
.row label { display: inline-flex; align-items: center; gap: .5rem; min-height: 2.75rem; }
input[type=checkbox] { width: 1.25rem; height: 1.25rem; accent-color: var(--act); }
#queued { margin: .5rem 0 0; font-size: .875rem; overflow-wrap: anywhere; }
#grants, #requests { margin: 0; padding: 0; list-style: none; }
#grants { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: .75rem; }
#grants > li { padding: .75rem; border: 1px solid var(--line); border-radius: .5rem; display: flex; flex-direction: column; gap: .5rem; }
#grants .head { margin: 0; }
#grants dl { grid-template-columns: max-content minmax(0, 1fr); gap: .125rem .75rem; font-size: .875rem; }
#grants dd + dt { margin-top: 0; }
#grants .row { margin-top: auto; flex-wrap: nowrap; }
#grants .row button { flex: 1 1 auto; padding-inline: .375rem; }
#requests > li { display: grid; grid-template-columns: 4.75rem 4rem minmax(0, 1fr) auto; gap: 0 .75rem; align-items: baseline; padding: .375rem 0; border-top: 1px solid var(--line); font-size: .875rem; }
#requests > li:first-child { border-top: 0; }
#requests time, #requests .method { color: var(--soft); font-variant-numeric: tabular-nums; }
#requests .note { grid-column: 3 / -1; color: var(--soft); overflow-wrap: anywhere; }
main { padding-bottom: 6rem; scroll-padding-bottom: 6rem; }
#said { position: fixed; inset: auto 1rem 1rem; z-index: 1; pointer-events: none; max-width: 30rem; margin: 0 auto; padding: .75rem 1rem; border-radius: .5rem; background: var(--good-ground); color: var(--good); font-weight: 600; box-shadow: 0 .25rem 1rem #0004; }
#said.bad { background: var(--bad-ground); color: var(--bad); }
#said:empty { padding: 0; box-shadow: none; }
details { margin-bottom: .75rem; font-size: .9375rem; }
details dl { margin-top: .5rem; }
@media (max-width: 40rem) { #counts { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media (max-width: 30rem) {
  #requests > li { grid-template-columns: auto minmax(0, 1fr) auto; }
  #requests code { grid-column: 1 / -1; grid-row: 2; }
  #requests .note { grid-column: 1 / -1; }
}
{% endblock %}
{% block main %}
<div class="head"><h1>Live</h1><span class="badge" id="connection" role="status">connecting</span></div>
<noscript><p>This page needs scripts. Without them, <code>/_sandbox/counts</code> has the figures.</p></noscript>
<section class="card" aria-labelledby="figures">
<div class="head"><h2 id="figures">Figures</h2><button class="small" data-act="clear-record" data-done="All figures are 0 again.">Clear</button></div>
<ul id="counts"></ul>
</section>
<section class="card" aria-labelledby="faults">
<div class="head"><h2 id="faults">Faults</h2><button class="small" data-act="clear-faults" data-done="No fault waits any more.">Clear</button></div>
<div class="row">
<label for="fault">The next request gets</label>
<select id="fault">
{% for kind, names in faults %}
<optgroup label="{{ kind }}">
{% for name in names %}
<option value="{{ name }}">{{ name }}</option>
{% endfor %}
</optgroup>
{% endfor %}
</select>
<button id="fail">Fail it</button>
</div>
<p id="queued" class="soft"></p>
<div class="row"><label><input type="checkbox" id="rotates"> A refresh replaces the refresh token (rotation)</label></div>
</section>
<section class="card" aria-labelledby="of-grants">
<div class="head"><h2 id="of-grants">Grants</h2><button class="small" id="issue">New grant for alice</button></div>
<details><summary>What the buttons do</summary><dl id="acts"></dl></details>
<p class="soft" id="no-grants">No grant yet: sign in with your application, or make one here.</p>
<ul id="grants"></ul>
</section>
<section class="card" aria-labelledby="of-requests">
<div class="head"><h2 id="of-requests">Requests</h2><span class="soft">newest first</span></div>
<p class="soft" id="no-requests">No request yet.</p>
<ol id="requests"></ol>
</section>
<p id="said" role="status"></p>
{% endblock %}
{% block script %}
const MOST_REQUESTS = 100;
const COUNTS = { token_requests: "token requests", code_exchanges: "sign-ins", refreshes: "refreshes", reuses: "reuses of a spent token", refused: "refused", revocations: "revocations", api_requests: "API requests", api_rejected: "API rejections" };
const ACTS = [
  ["expire", "Expire", "Let the access token expire now", "The access token has expired."],
  ["reject", "Reject", "Let the API reject the access token before it expires", "The API rejects the access token."],
  ["rotate", "Rotate", "Use the refresh token as another process would. The client's own is then spent, and its next refresh ends the grant", "The refresh token was used elsewhere: the client's own is spent."],
  ["revoke", "Revoke", "End the grant with all its tokens", "The grant has ended."],
];
const LOOKS = { valid: "good", expired: "odd", rejected: "odd", ended: "bad" };
const by = id => document.getElementById(id);
const cards = new Map();
let run = "", latest = 0, silence = 0;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function say(text, bad = false) {
  by("said").textContent = text;
  by("said").className = bad ? "bad" : "";
  clearTimeout(silence);
  silence = setTimeout(() => { by("said").textContent = ""; }, 5000);
}

async function act(path, done) {
  try {
    const response = await fetch(`/_sandbox/${path}`, { method: "POST" });
    if (response.ok) say(done);
    else say((await response.json()).error, true);
  } catch { say("The sandbox does not respond; it may have ended.", true); }
}

function duration(seconds) {
  const whole = Math.max(0, Math.ceil(seconds)), two = n => String(n).padStart(2, "0");
  const clock = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return whole < 3600 ? clock : `${Math.floor(whole / 3600)}:${clock}`;
}

function newCard(grant) {
  const part = {};
  const line = (name, key) => [element("dt", { textContent: name }), part[key] = element("dd")];
  part.subject = element("h3", { textContent: grant.subject || "the client itself" });
  part.state = element("span", { className: "badge" });
  const list = element("dl", {}, ...line("scope", "scope"), ...line("access", "access"), ...line("expires in", "expires"), ...line("refresh", "refresh"));
  const row = element("div", { className: "row" });
  for (const [path, name, title, done] of ACTS) {
    part[path] = element("button", { className: "small", textContent: name, title });
    part[path].setAttribute("aria-label", `${name}: grant ${grant.number} of ${grant.subject || "the client itself"}`);
    part[path].addEventListener("click", () => act(`${path}?grant=${grant.number}`, done));
    row.append(part[path]);
  }
  part.root = element("li", {}, element("div", { className: "head" }, part.subject, part.state), list, row);
  return part;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function showGrant(grant, now, rotates) {
  const card = cards.get(grant.number) ?? newCard(grant);
  cards.set(grant.number, card);
  const state = grant.ended ? "ended" : grant.access;
  put(card.state, state === "none" ? "signing in" : state);
  card.state.className = `badge ${LOOKS[state] ?? ""}`;
  put(card.scope, grant.scope + (grant.target ? ` at ${grant.target}` : ""));
  put(card.access, grant.access_token || "none yet");
  put(card.expires, state === "valid" ? duration(grant.expires_at - now) : "\\u2013");
  const times = grant.refreshes === 1 ? "once" : `${grant.refreshes} times`;
  put(card.refresh, grant.refresh_token ? `${grant.refresh_token}${grant.refreshes ? `, renewed ${times}` : ""}` : "none");
  card.expire.disabled = state !== "valid";
  card.reject.disabled = state !== "valid" && state !== "expired";
  card.rotate.disabled = grant.ended || !grant.refresh_token || !rotates;
  card.revoke.disabled = grant.ended;
  return card.root;
}

function showState(state) {
  if (state.run !== run) {
    run = state.run; latest = 0;
    by("requests").replaceChildren(); cards.clear();
  }
  for (const [key, name] of Object.entries(COUNTS)) {
    let item = by(`count-${key}`);
    if (!item) by("counts").append(item = element("li", { id: `count-${key}` }, element("b"), element("span", { textContent: name })));
    put(item.firstChild, String(state.counts[key]));
    item.className = key === "reuses" && state.counts[key] ? "bad" : "";
  }
  put(by("queued"), state.faults.length ? `Waiting: ${state.faults.join(", ")}${state.more_faults ? ` and ${state.more_faults} more` : ""}` : "No fault waits.");
  by("rotates").checked = state.rotates;
  const wanted = state.grants.map(grant => showGrant(grant, state.now, state.rotates));
  const numbers = new Set(state.grants.map(grant => grant.number));
  for (const number of cards.keys()) if (!numbers.has(number)) cards.delete(number);
  // Nodes that stay in place keep the focus.
  if (wanted.some((node, index) => by("grants").children[index] !== node) || by("grants").children.length !== wanted.length) by("grants").replaceChildren(...wanted);
  by("no-grants").hidden = wanted.length > 0;
}

function showRequests(entries) {
  for (const entry of entries) {
    if (entry.number <= latest) continue;
    latest = entry.number;
    const status = entry.status === null ? "no response" : String(entry.status);
    const look = entry.status === null || entry.status >= 500 ? "bad" : entry.status >= 400 ? "odd" : "good";
    const item = element("li", {},
      element("time", { textContent: new Date(entry.at * 1000).toLocaleTimeString([], { hour12: false }) }),
      element("span", { className: "method", textContent: entry.method }),
      element("code", { textContent: entry.path }),
      element("span", { className: `badge ${look}`, textContent: status }));
    if (entry.note) item.append(element("span", { className: "note", textContent: entry.note }));
    by("requests").prepend(item);
  }
  while (by("requests").children.length > MOST_REQUESTS) by("requests").lastChild.remove();
  by("no-requests").hidden = by("requests").children.length > 0;
}

function connection(text, look) {
  put(by("connection"), text);
  by("connection").className = `badge ${look}`;
}

function listen() {
  const events = new EventSource("/_sandbox/events");
  events.addEventListener("open", () => connection("live", "good"));
  events.addEventListener("state", event => showState(JSON.parse(event.data)));
  events.addEventListener("requests", event => showRequests(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    connection("not connected", "bad");
    // A browser does not try again by itself after a response that is not a stream.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

for (const [, name, title] of ACTS) by("acts").append(element("dt", { textContent: name }), element("dd", { textContent: title }));
for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => act(button.dataset.act, button.dataset.done));
by("fail").addEventListener("click", () => act(`fail?name=${encodeURIComponent(by("fault").value)}`, `${by("fault").value} waits for a request.`));
by("issue").addEventListener("click", () => act("issue?subject=alice", "alice has a new grant."));
by("rotates").addEventListener("change", () => act(`rotation?on=${by("rotates").checked}`, by("rotates").checked ? "Refresh tokens rotate." : "Refresh tokens stay the same."));
listen();
{% endblock %}
"""

TEMPLATES: Mapping[str, str] = {"frame.html": _FRAME, "start.html": _START, "live.html": _LIVE}
