// @ts-check
/** The page: who is signed in, what is shown, what the buttons do. */

import { attention } from "./account.js";
import { Activity } from "./activity.js";
import { api, may, session } from "./api.js";
import { Compose } from "./compose.js";
import { Connections } from "./connections.js";
import { replace } from "./dom.js";
import { Feed } from "./feed.js";
import { EXACT } from "./formats.js";
import { Live } from "./live.js";
import { Notifications } from "./notifications.js";
import { Older } from "./older.js";
import { connectButtons, showNotices } from "./platforms.js";
import { READING, Reading } from "./reading.js";
import { toneOf } from "./row.js";
import { Sandbox } from "./sandbox.js";
import { Sieve } from "./sieve.js";
import { clearToasts, toast } from "./toasts.js";
import { choose, fill, hideAll, part, say, showState, showUnread, takePlace, view } from "./views.js";
import { PAGE, SIGNED_OUT } from "./words.js";
import { Worker } from "./worker.js";

const NEWEST = 100; // shown when the page opens
const TICK_MS = 15_000;
const LONGEST_WAIT_MS = 30_000;

fill();
let opening = 0;
let isKept = false; // what is shown is what the service worker has kept
let place = takePlace(); // what the notification led to that opened this page: `?event=CURSOR`

/** @type {import("./row.js").Names} */
const names = { platforms: new Map(), accounts: new Map() };

const worker = new Worker({
  onUpdate: () => (part("update").hidden = false),
  onOpen: (to) => (session.me ? void lead(to) : (place = to)),
  onDone: (path, ok) => (path === READING ? void reading.load() : connections.done(path, ok)),
});

const reading = new Reading(worker, { onChange: showReading, seen: () => (isLooking() ? feed.newest : "") });
const sieve = new Sieve(part("sieve"), names);
const feed = new Feed(part("feed"), {
  top: part("top"),
  pill: part("pill"),
  template: part("event-row"),
  names,
  sieve,
  onCut: (limit) => older.cut(limit),
  onTop: () => reading.look(),
});
const older = new Older(feed, {
  end: part("end"),
  note: part("note"),
  words: part("note-words"),
  again: part("older-again"),
});
sieve.onSift = () => void older.look();

const connections = new Connections(
  {
    list: part("connections-list"),
    detail: part("connection"),
    dialog: part("leave"),
    problem: part("connections-problem"),
  },
  worker,
  showConnections,
);

const notifications = new Notifications(part("view-notifications"), part("to-notifications"), connections);
const activity = new Activity(part("view-activity"), connections);
const sandbox = new Sandbox(part("view-sandbox"), connections);
const compose = new Compose(part("compose"));

const live = new Live({
  event(event) {
    if (!feed.add(event, { live: true })) return;
    showFeed();
    connections.heard(event);
    for (const one of [activity, sandbox, worker, reading]) one.heard(event);
    part("spoken").textContent = PAGE.spoken(event.data?.title ?? event.type);
    const tone = toneOf(event); // the feed shows it by itself
    if (view() !== "feed" && (tone === "good" || tone === "bad")) toast(event.data.title, { tone });
  },
  notice: (notice) => (notice.type === "org.tidings.reading" ? reading.told(notice) : connections.tell(notice)),
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
    void Promise.all([standing(), notifications.back()]);
    void reading.load(); // what was said meanwhile on other devices
    worker.flush();
    worker.look(); // the server may have come back with another page
  },
  async closed(reason) {
    const found = await standing();
    if (!session.me) return; // they pressed the button themselves, and its answer came first
    if (found === "signed-out") return showSignedOut(SIGNED_OUT.ended);
    showState("stopped");
    say("notice", PAGE.ended(reason.replaceAll("_", " ")));
  },
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
  if (found === "signed-out") return showSignedOut(SIGNED_OUT.title);
  if (found === "signed-in" && (await openFeed())) return;
  if (found === "kept" && !isKept) await openKept();
  if (turn !== opening) return;
  showState(navigator.onLine ? "reconnecting" : "offline");
  const ceiling = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures);
  setTimeout(() => turn === opening && open(failures + 1), ceiling / 2 + (Math.random() * ceiling) / 2);
}

/** What there is to show first. */
const load = async () =>
  (await Promise.all([api(`/api/events?last=${NEWEST}`), connections.load(), reading.load()]))[0];

/** @returns {Promise<boolean>} whether the server gave it */
async function openFeed() {
  live.end();
  const turn = opening;
  const { answer: page, kept } = await load();
  if (!page?.events || kept) return false;
  if (turn !== opening) return true; // signed out meanwhile
  isKept = false;
  say("hint", "");
  showPage(page);
  older.begin(page.events.length >= NEWEST);
  live.start(page.cursor, session.me?.user.id ?? 0);
  worker.flush();
  void notifications.begin();
  return true;
}

/** Show what the service worker has kept, while the server is out of reach. */
async function openKept() {
  const turn = opening;
  const { answer: page, kept } = await load();
  if (!page?.events || !kept || turn !== opening) return;
  isKept = true;
  say("hint", PAGE.kept(EXACT.format(new Date(kept))));
  showPage(page);
}

/** @param {{events: any[]}} page */
function showPage({ events }) {
  worker.begin(session.me?.user.id ?? 0, events);
  feed.clear();
  older.end();
  for (const event of events) feed.add(event, { live: false });
  reading.heard(...events);
  feed.read(reading.cursor, { opening: true });
  part("user").title = part("user").textContent = part("empty-name").textContent = session.me?.user.name;
  part("who").hidden = part("views").hidden = false;
  part("signed-out").hidden = true;
  part("compose-open").hidden = part("empty-compose").hidden = !may("send");
  connections.settle(feed);
  showFeed();
  if (!lead(place)) say("hint", PAGE.tooOld);
  place = "";
}

/** Go to what a notification leads to. @param {string} to @returns {boolean} whether it is here already */
function lead(to) {
  if (to && view() !== "feed") history.pushState(null, "", "#feed");
  showView();
  return feed.want(to);
}

function showFeed() {
  part("empty").hidden = !feed.isEmpty;
  part("feed").hidden = part("sieve").hidden = feed.isEmpty;
  feed.later();
}

/** Whether the newest is in sight of somebody. */
const isLooking = () => !document.hidden && !!session.me && view() === "feed" && feed.isAtTop && !feed.isEmpty;

/** It has changed what is read. */
function showReading() {
  feed.read(reading.cursor);
  part("read-all").hidden = !reading.unread;
  showUnread(isLooking() ? 0 : reading.unread, session.me !== null);
  reading.look();
}

/** What is connected has changed, or what must be known of it. */
function showConnections() {
  for (const one of connections.platforms) names.platforms.set(one.id, one);
  names.accounts = connections.names;
  feed.rename();
  const ways = connectButtons(connections.platforms);
  part("empty-connect").hidden = !ways.length;
  replace(part("empty-platforms"), () => ways);
  const asking = attention(connections.connections, (id) => connections.platform(id));
  part("asking").textContent = asking.length ? String(asking.length) : "";
  replace(part("attention"), () => asking);
  part("attention").hidden = !asking.length;
  connections.settle(feed);
  showNotices(part("banner"), connections.notices);
  sandbox.settle();
}

function showView() {
  if (!session.me || location.hash === "#main") return;
  const chosen = choose();
  if (chosen !== "connections") connections.close();
  else void connections.open(location.hash.split("/")[1] ?? "");
  for (const [name, one] of Object.entries({ notifications, activity, sandbox })) {
    if (name !== chosen) one.close();
    else void one.open();
  }
  if (chosen === "feed") feed.draw();
  showReading();
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
  older.end();
  for (const one of [sieve, connections, activity, sandbox, reading]) one.clear();
  clearToasts();
  names.platforms.clear();
  compose.end(); // whoever signs in next may be somebody else
  hideAll();
  part("signed-out-title").textContent = title;
  part("signed-out").hidden = false;
  showState("signed-out");
}

async function signOut() {
  const { ok, status, problem } = await api("/api/logout", {});
  if (ok || status === 401) showSignedOut(SIGNED_OUT.onPurpose, true);
  else toast(PAGE.stillSignedIn(problem), { tone: "bad" });
}

part("compose-open").onclick = part("empty-compose-open").onclick = () => compose.open();
part("sign-out").onclick = signOut;
part("update-now").onclick = () => worker.update();
part("read-all").onclick = () => void reading.mark(feed.newest);
part("pill").onclick = () => {
  feed.goToTop();
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
  if (session.me) showReading();
  if (!session.me || isKept) open(); // the login link may have been opened in another tab
});

setInterval(() => [feed, connections, notifications].forEach((one) => one.tick()), TICK_MS);

showState("connecting");
void worker.start();
open();
