// @ts-check
/** The page: who is signed in, what is shown, what the buttons do. */

import { Feed } from "./feed.js";
import { Stream, backoff } from "./stream.js";

const NEWEST = 100; // shown when the page opens
const TICK_MS = 15_000;
const ASLEEP_MS = 90_000; // browsers slow the timers of hidden pages to one a minute; beyond that, it slept

/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);

/** @type {{user: {id: number, name: string}, scopes: string[], csrf_token?: string} | null} */
let me = null;
let unread = 0;
let opening = 0;

/**
 * Ask the API.
 * @param {string} path
 * @param {object} [body] sent as JSON by POST
 * @returns {Promise<{ok: boolean, status: number, answer: any, problem: string}>} status 0: there was no answer
 */
async function api(path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": me?.csrf_token ?? "" };
  const post = body && { method: "POST", headers, body: JSON.stringify(body) };
  const request = { cache: "no-store", signal: AbortSignal.timeout(15_000), ...post };
  const response = await fetch(path, /** @type {RequestInit} */ (request)).catch(() => null);
  const answer = await response?.json().catch(() => null);
  const { ok, status } = response ?? { ok: false, status: 0 };
  const silent = status ? `The server answered ${status}.` : "The server does not answer.";
  return { ok, status, answer, problem: answer?.error?.message ?? silent };
}

const feed = new Feed(part("feed"), {
  top: part("top"),
  pill: part("pill"),
  template: part("event-row"),
  onCut: (limit) => note(`This page keeps the newest ${limit.toLocaleString("en")} events.`),
});

const stream = new Stream({
  event(event) {
    if (!feed.add(event, { live: true })) return;
    showFeed();
    part("spoken").textContent = `New: ${event.data?.title ?? event.type}`;
    if (document.hidden) showUnread(unread + 1);
  },
  async gap(gap) {
    if (gap.reason === "restored") await open();
    feed.gap(gap);
    showFeed();
  },
  state(state) {
    showState(state);
    if (state === "live") notice("");
  },
  async closed(reason) {
    const found = await standing();
    if (!me) return; // they pressed the button themselves, and its answer came first
    if (found === "signed-out") return showSignedOut("Your session has ended");
    showState("stopped");
    notice(`The server ended the live connection: ${reason.replaceAll("_", " ")}. Reload the page to connect again.`);
  },
  standing,
});

/** @returns {Promise<import("./stream.js").Standing>} */
async function standing() {
  const { status, answer } = await api("/api/me");
  if (!answer?.user) return status === 401 ? "signed-out" : "unknown";
  if (me && me.user.id !== answer.user.id) location.reload(); // somebody else signed in beside this page
  me = answer;
  return "signed-in";
}

/** Find out who is signed in and show what there is, however often that takes. */
async function open(failures = 0) {
  const turn = ++opening;
  const found = await standing();
  if (turn !== opening) return;
  if (found === "signed-out") return showSignedOut("You are not signed in");
  if (found === "signed-in" && (await openFeed())) return;
  showState(navigator.onLine ? "reconnecting" : "offline");
  setTimeout(() => turn === opening && open(failures + 1), backoff(failures + 1));
}

/** @returns {Promise<boolean>} whether the server gave it */
async function openFeed() {
  stream.end();
  const turn = opening;
  const { answer: page } = await api(`/api/events?last=${NEWEST}`);
  if (!page?.events) return false;
  if (turn !== opening) return true; // signed out meanwhile
  feed.clear();
  for (const event of page.events) feed.add(event, { live: false });
  part("note").hidden = true;
  if (page.events.length >= NEWEST) note(`This page began with the newest ${NEWEST} events.`);
  part("user").textContent = me?.user.name;
  part("empty-name").textContent = me?.user.name;
  part("who").hidden = false;
  part("signed-out").hidden = true;
  const maySend = me?.scopes.includes("send") ?? false;
  part("compose-open").hidden = part("empty-compose").hidden = !maySend;
  showFeed();
  stream.start(page.cursor);
  return true;
}

function showFeed() {
  part("empty").hidden = !feed.empty;
  part("feed").hidden = feed.empty;
}

/** @param {string} title */
function showSignedOut(title) {
  stream.end();
  opening++;
  me = null;
  feed.clear();
  part("compose").close();
  part("compose-form").reset(); // whoever signs in next may be somebody else
  for (const id of ["user", "empty-name", "spoken"]) part(id).textContent = "";
  for (const id of ["who", "feed", "empty", "note", "notice"]) part(id).hidden = true;
  part("signed-out-title").textContent = title;
  part("signed-out").hidden = false;
  showState("signed-out");
  showUnread(0);
}

const STATE_WORDS = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  offline: "Offline",
  stopped: "Stopped",
  "signed-out": "Signed out",
};

/** @param {keyof typeof STATE_WORDS} state */
function showState(state) {
  part("state").dataset.state = state;
  part("state-words").textContent = STATE_WORDS[state];
}

/** @param {number} count */
function showUnread(count) {
  unread = count;
  document.title = count ? `(${count}) tidings` : "tidings";
}

/** @param {string} words */
function note(words) {
  part("note-words").textContent = words;
  part("note").hidden = false;
}

/** @param {string} words "" to take the last one away */
function notice(words) {
  part("notice").textContent = words;
  part("notice").hidden = !words;
}

function compose() {
  part("compose-error").hidden = true;
  part("compose").showModal();
}

/** @param {SubmitEvent} submit */
async function send(submit) {
  submit.preventDefault();
  const fields = new FormData(part("compose-form"));
  const message = Object.fromEntries([...fields].filter(([, value]) => value !== ""));
  part("compose-send").disabled = true;
  const { ok, problem } = await api("/api/sse/send", { userId: me?.user.id, message });
  part("compose-send").disabled = false;
  part("compose-error").textContent = `Not sent. ${problem}`;
  part("compose-error").hidden = ok;
  if (!ok) return;
  part("compose-form").reset();
  part("compose").close();
}

async function signOut() {
  const { ok, status, problem } = await api("/api/logout", {});
  if (ok || status === 401) showSignedOut("You have signed out");
  else notice(`You are still signed in. ${problem}`);
}

part("compose-open").onclick = part("empty-compose-open").onclick = compose;
part("compose-cancel").onclick = () => part("compose").close();
part("compose-form").onsubmit = send;
part("sign-out").onclick = signOut;
part("pill").onclick = () => {
  feed.release();
  scrollTo({ top: 0 });
  part("main").focus({ preventScroll: true });
};

for (const name of ["online", "offline"]) addEventListener(name, () => (me ? stream.resume() : open()));
addEventListener("pageshow", (event) => event.persisted && stream.resume());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  showUnread(0);
  if (!me) open(); // the login link may have been opened in another tab
});

let ticked = Date.now();
setInterval(() => {
  if (Date.now() - ticked > ASLEEP_MS) stream.resume();
  ticked = Date.now();
  feed.tick();
}, TICK_MS);

open();
