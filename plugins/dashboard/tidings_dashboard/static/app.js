// @ts-check
/** The page: who is signed in, what is shown, what the buttons do. */

import { api, may, session } from "./api.js";
import { Compose } from "./compose.js";
import { Connections } from "./connections.js";
import { replace } from "./dom.js";
import { Feed } from "./feed.js";
import { Live } from "./live.js";
import { Notifications } from "./notifications.js";
import { connectButtons, noticeBanner } from "./platforms.js";
import { Sieve } from "./sieve.js";
import { STATES, TITLES, WORDS } from "./words.js";
import { Worker } from "./worker.js";

const NEWEST = 100; // shown when the page opens
const TICK_MS = 15_000;
const LONGEST_WAIT_MS = 30_000;

/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);

let unread = 0;
let opening = 0;
let isKept = false; // what is shown is what the service worker has kept
let place = ""; // what the notification led to that opened this page: `?event=CURSOR`

/** @type {Map<string, {name: string, icon: string}>} */
const platforms = new Map();

const sieve = new Sieve(part("sieve"), part("feed"), platforms);
const feed = new Feed(part("feed"), {
  top: part("top"),
  pill: part("pill"),
  template: part("event-row"),
  platforms,
  sieve,
  onCut: (limit) => note(`This page keeps the newest ${limit.toLocaleString("en")} events.`),
});

const connections = new Connections(
  {
    list: part("connections-list"),
    detail: part("connection"),
    dialog: part("leave"),
    problem: part("connections-problem"),
  },
  showConnections,
);

const notifications = new Notifications(part("view-notifications"), part("to-notifications"), connections);
const compose = new Compose(part("compose"));

const live = new Live({
  event(event) {
    if (!feed.add(event, { live: true })) return;
    showFeed();
    connections.heard(event);
    worker.heard(event);
    part("spoken").textContent = `New: ${event.data?.title ?? event.type}`;
    if (document.hidden || view() !== "feed") showUnread(unread + 1);
  },
  notice: (notice) => connections.tell(notice),
  async gap(gap) {
    if (gap.reason === "restored") await open();
    feed.gap(gap);
    showFeed();
  },
  state(state) {
    showState(state);
    if (state === "live") say("notice", "");
  },
  back() {
    void Promise.all([standing(), notifications.back(), worker.look()]); // it may have come back with another page
  },
  async closed(reason) {
    const found = await standing();
    if (!session.me) return; // they pressed the button themselves, and its answer came first
    if (found === "signed-out") return showSignedOut("Your session has ended");
    showState("stopped");
    say("notice", `The server ended the live connection: ${reason.replaceAll("_", " ")}. Reload the page to connect again.`);
  },
});

const worker = new Worker({
  onUpdate: () => (part("update").hidden = false),
  onOpen: (to) => (session.me ? void lead(to) : (place = to)),
});

/** @returns {Promise<"signed-in" | "signed-out" | "kept" | "unknown">} */
async function standing() {
  const { status, answer, kept } = await api("/api/me");
  if (!answer?.user) return status === 401 ? "signed-out" : "unknown";
  const { me } = session;
  if (me && me.user.id !== answer.user.id) location.reload(); // somebody else signed in beside this page
  if (kept) session.me ??= answer;
  else session.me = answer;
  return kept ? "kept" : "signed-in";
}

/** Find out who is signed in and show what there is, however often that takes. */
async function open(failures = 0) {
  const turn = ++opening;
  const found = await standing();
  if (turn !== opening) return;
  if (found === "signed-out") return showSignedOut("You are not signed in");
  if (found === "signed-in" && (await openFeed())) return;
  if (found === "kept" && !isKept) await openKept();
  if (turn !== opening) return;
  showState(navigator.onLine ? "reconnecting" : "offline");
  const ceiling = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures);
  setTimeout(() => turn === opening && open(failures + 1), ceiling / 2 + (Math.random() * ceiling) / 2);
}

/** @returns {Promise<boolean>} whether the server gave it */
async function openFeed() {
  live.end();
  const turn = opening;
  const [{ answer: page, kept }] = await Promise.all([api(`/api/events?last=${NEWEST}`), connections.load()]);
  if (!page?.events || kept) return false;
  if (turn !== opening) return true; // signed out meanwhile
  isKept = false;
  say("hint", "");
  showPage(page);
  worker.begin(session.me?.user.id ?? 0, page.events);
  live.start(page.cursor, session.me?.user.id ?? 0);
  void notifications.begin();
  return true;
}

/** Show what the service worker has kept, while the server is out of reach. */
async function openKept() {
  const turn = opening;
  const [{ answer: page, kept }] = await Promise.all([api(`/api/events?last=${NEWEST}`), connections.load()]);
  if (!page?.events || !kept || turn !== opening) return;
  isKept = true;
  say("hint", WORDS.kept(kept));
  showPage(page);
}

/** @param {{events: any[]}} page */
function showPage({ events }) {
  feed.clear();
  for (const event of events) feed.add(event, { live: false });
  part("note").hidden = true;
  if (events.length >= NEWEST) note(`This page began with the newest ${NEWEST} events.`);
  part("user").textContent = part("empty-name").textContent = session.me?.user.name;
  part("who").hidden = part("views").hidden = false;
  part("signed-out").hidden = true;
  part("compose-open").hidden = part("empty-compose").hidden = !may("send");
  connections.settle(feed);
  showFeed();
  if (!lead(place)) say("hint", WORDS.tooOld);
  place = "";
}

/** Go to what a notification leads to. @param {string} to @returns {boolean} whether it is here already */
function lead(to) {
  if (to && view() !== "feed") history.pushState(null, "", "#feed");
  showView();
  return feed.want(to);
}

function showFeed() {
  part("empty").hidden = !feed.empty;
  part("feed").hidden = part("sieve").hidden = feed.empty;
}

/** What is connected has changed, or what must be known of it. */
function showConnections() {
  platforms.clear();
  for (const one of connections.platforms) platforms.set(one.id, one);
  const ways = connectButtons(connections.platforms);
  part("empty-connect").hidden = !ways.length;
  replace(part("empty-platforms"), ...ways);
  const asking = connections.connections.filter(({ state }) => state === "needs_reauth").length;
  part("asking").textContent = asking ? String(asking) : "";
  connections.settle(feed);
  const banners = connections.notices.map(noticeBanner);
  if (part("banner").childElementCount !== banners.length) part("banner").replaceChildren(...banners);
  part("banner").hidden = !banners.length;
}

/** What the address asks for. */
const view = () => /^#(connections|notifications)(\/|$)/.exec(location.hash)?.[1] ?? "feed";

function showView() {
  if (!session.me || location.hash === "#main") return;
  const chosen = view();
  document.body.dataset.view = chosen;
  for (const name of ["feed", "connections", "notifications"]) {
    part(`view-${name}`).hidden = name !== chosen;
    if (name === chosen) part(`to-${name}`).setAttribute("aria-current", "page");
    else part(`to-${name}`).removeAttribute("aria-current");
  }
  if (chosen !== "connections") connections.close();
  else void connections.open(location.hash.split("/")[1] ?? "");
  if (chosen !== "notifications") notifications.close();
  else void notifications.open();
  showUnread(chosen === "feed" ? 0 : unread);
}

/** @param {string} title @param {boolean} [onPurpose] */
function showSignedOut(title, onPurpose = false) {
  live.end();
  notifications.clear(onPurpose);
  worker.forget();
  opening++;
  session.me = null;
  isKept = false;
  feed.clear();
  sieve.clear();
  connections.clear();
  delete document.body.dataset.view;
  compose.end(); // whoever signs in next may be somebody else
  for (const id of ["user", "empty-name", "spoken"]) part(id).textContent = "";
  const all = ["who", "views", "banner", "feed", "sieve", "empty", "note", "notice", "hint", "view-connections", "view-notifications"];
  for (const id of all) part(id).hidden = true;
  part("banner").replaceChildren();
  part("signed-out-title").textContent = title;
  part("signed-out").hidden = false;
  showState("signed-out");
  showUnread(0);
}

/** @param {keyof typeof STATES} state */
function showState(state) {
  part("state").dataset.state = state;
  part("state-words").textContent = STATES[state];
}

/** @param {number} count */
function showUnread(count) {
  unread = count;
  const name = session.me ? TITLES[view()] : TITLES.feed;
  document.title = count ? `(${count}) ${name}` : name;
  part("unread").textContent = count && view() !== "feed" ? String(count) : "";
}

/** @param {string} words */
function note(words) {
  part("note-words").textContent = words;
  part("note").hidden = false;
}

/** @param {"notice" | "hint"} where what went wrong, or is to be known @param {string} words "" to take the last away */
function say(where, words) {
  part(where).textContent = words;
  part(where).hidden = !words;
}

async function signOut() {
  const { ok, status, problem } = await api("/api/logout", {});
  if (ok || status === 401) showSignedOut("You have signed out", true);
  else say("notice", `You are still signed in. ${problem}`);
}

part("compose-open").onclick = part("empty-compose-open").onclick = () => compose.open();
part("sign-out").onclick = signOut;
part("pill").onclick = () => {
  feed.release();
  scrollTo({ top: 0 });
  part("main").focus({ preventScroll: true });
};

addEventListener("online", () => (session.me && !isKept ? live.look() : open()));
addEventListener("offline", async () => {
  live.look();
  // A stream may be dead without a sign; one of this very machine is not.
  if (session.me && ["unknown", "kept"].includes(await standing())) showState("offline");
});
addEventListener("hashchange", () => {
  if (location.hash === "#main") return; // the first link skips to where one is
  showView();
  scrollTo({ top: 0 });
  part("main").focus({ preventScroll: true });
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  if (view() === "feed") showUnread(0);
  if (!session.me || isKept) open(); // the login link may have been opened in another tab
});

part("update-words").textContent = WORDS.update;
part("update-now").textContent = WORDS.updateNow;
part("update-now").onclick = () => worker.update();

setInterval(() => {
  feed.tick();
  connections.tick();
  notifications.tick();
}, TICK_MS);

if (/^\?(event|since)=/.test(location.search)) {
  place = location.search;
  history.replaceState(null, "", "/#feed"); // so that it is not gone to again when the page is loaded anew
}
void worker.start();
open();
