// @ts-check
/// <reference lib="webworker" />
/**
 * The service worker. It shows what is pushed, keeps the page and its last news for when the server is out of reach,
 * and asks of the server later what could not be asked then. The server puts a line before it that names the page's
 * files and a version made of their bytes: `SHELL`.
 */

/** @type {{version: string, paths: string[]}} */
const { version, paths } = SHELL;
/** @type {ServiceWorkerGlobalScope & typeof globalThis} */
const worker = /** @type {any} */ (self);
const FILES = `files-${version}`;
const NEWS = "news";
const OUTBOX = "outbox"; // what is to be asked of the server later, by key
const ME = "/api/me";
const EVENTS = "/api/events?last=100";
const READING = "/api/reading";
const KEPT = [ME, "/api/platforms", "/api/connections", EVENTS, READING];
const WAITS_MS = 24 * 3_600_000; // then nobody expects any more that it is done
const SLOW_MS = 8_000; // longer than that nobody waits who could read what was there before
const AWAY = [502, 503, 504]; // what a proxy says whose server is gone

/** What is being written down, one after the other: who signs in comes before their news. */
let written = Promise.resolve();

worker.addEventListener("install", (event) => {
  const files = paths.map((path) => new Request(path, { cache: "no-cache" }));
  event.waitUntil(caches.open(FILES).then((cache) => cache.addAll(files)));
});

worker.addEventListener("activate", (event) => {
  const old = (/** @type {string} */ name) => name.startsWith("files-") && name !== FILES;
  const clear = async () => Promise.all((await caches.keys()).filter(old).map((name) => caches.delete(name)));
  event.waitUntil(clear().then(() => worker.clients.claim()));
});

worker.addEventListener("message", (event) => {
  const { type, user, page, key, wish } = event.data ?? {};
  if (type === "SKIP_WAITING") event.waitUntil(worker.skipWaiting());
  if (type === "FORGET") event.waitUntil(inTurn(() => Promise.all([NEWS, OUTBOX].map((name) => caches.delete(name)))));
  if (type === "LATER") event.waitUntil(later(key, wish));
  if (type === "FLUSH") event.waitUntil(inTurn(flush));
  if (type === "KEEP") event.waitUntil(inTurn(async () => (await isKept(user)) && put(EVENTS, page)));
});

worker.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const { origin, pathname, search } = new URL(url);
  if (method !== "GET" || origin !== location.origin) return;
  if (paths.includes(pathname)) event.respondWith(file(event.request, pathname));
  else if (KEPT.includes(pathname + search)) event.respondWith(news(event, pathname + search));
});

/** A file of the page: the one that belongs to the others. @param {Request} request @param {string} path */
const file = async (request, path) => (await caches.match(path, { cacheName: FILES })) ?? fetch(request);

/** News: the server's, or the last it gave. @param {FetchEvent} event @param {string} path */
async function news(event, path) {
  const kept = await caches.match(path, { cacheName: NEWS });
  const patience = kept ? { signal: AbortSignal.timeout(SLOW_MS) } : {};
  const answer = await fetch(event.request, patience).catch(() => null);
  if (!answer || AWAY.includes(answer.status)) return kept ?? answer ?? Response.error();
  event.waitUntil(note(path, answer.clone()));
  return answer;
}

/** @param {string} path @param {Response} answer */
async function note(path, answer) {
  const body = answer.ok ? await answer.json() : null;
  await inTurn(async () => {
    // Of nobody nothing is kept: they may have signed out since.
    if (path !== ME) return body && (await caches.match(ME, { cacheName: NEWS })) && put(path, body);
    const stays = body ? await isKept(body.user.id) : answer.status !== 401;
    if (!stays) await Promise.all([NEWS, OUTBOX].map((name) => caches.delete(name))); // it was somebody else's, or is nobody's any more
    if (body) await put(path, { user: body.user, scopes: body.scopes });
  });
}

/** Whether what is kept is this user's. @param {number} user */
async function isKept(user) {
  const me = await caches.match(ME, { cacheName: NEWS });
  return me !== undefined && (await me.json()).user.id === user;
}

/** @param {string} path @param {unknown} body */
async function put(path, body) {
  const headers = { "Tidings-Kept": new Date().toISOString() };
  await (await caches.open(NEWS)).put(path, Response.json(body, { headers }));
}

/** @param {() => Promise<unknown>} write @returns {Promise<void>} */
function inTurn(write) {
  const done = written.then(write).then(() => {});
  written = done.catch(() => {});
  return done;
}

/** Ask it when the server can be reached. @param {string} key @param {any} wish `{method, path, body, user}` */
async function later(key, wish) {
  await inTurn(async () => {
    const kept = Response.json({ ...wish, at: Date.now() });
    await (await caches.open(OUTBOX)).put(`/outbox/${encodeURIComponent(key)}`, kept);
    if (wish.path === READING && (await isKept(wish.user))) await put(READING, { cursor: wish.body.cursor, unread: 0, head: wish.body.cursor });
  });
  // Where there is no such thing, the page says when the server is back.
  await /** @type {any} */ (worker.registration).sync?.register(OUTBOX).catch(() => {});
}

worker.addEventListener(/** @type {any} */ ("sync"), (/** @type {any} */ event) => {
  if (event.tag === OUTBOX) event.waitUntil(inTurn(flush));
});

/** Ask what waits. Fails where the server does not answer, so that the browser tries again. */
async function flush() {
  if (!(await caches.has(OUTBOX))) return;
  const box = await caches.open(OUTBOX);
  const waiting = await box.keys();
  // The token that changes need is of a session, and never kept.
  const me = await fetch(ME, { cache: "no-store", signal: AbortSignal.timeout(SLOW_MS) });
  if (AWAY.includes(me.status)) throw new Error(String(me.status));
  const { user, csrf_token } = me.ok ? await me.json() : {};
  for (const request of waiting) {
    const kept = await box.match(request);
    const wish = kept && (await kept.json());
    if (wish && wish.user === user?.id && Date.now() - wish.at < WAITS_MS) await ask(wish, csrf_token);
    await box.delete(request);
  }
  await caches.delete(OUTBOX);
}

/** @param {any} wish @param {string} token */
async function ask({ method, path, body }, token) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": token ?? "" };
  const signal = AbortSignal.timeout(SLOW_MS);
  const { ok, status } = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  if (AWAY.includes(status)) throw new Error(String(status));
  const pages = await worker.clients.matchAll({ type: "window" });
  for (const page of pages) page.postMessage({ type: "DONE", path, ok });
}

worker.addEventListener(/** @type {any} */ ("periodicsync"), (/** @type {any} */ event) => {
  if (event.tag === NEWS) event.waitUntil(refresh());
});

/** Fetch what is kept anew, so that it is there without a server, and show on the icon how much of it is unread. */
async function refresh() {
  for (const path of KEPT) {
    const answer = await fetch(path, { cache: "no-store" });
    if (!AWAY.includes(answer.status)) await note(path, answer);
  }
  const reading = await caches.match(READING, { cacheName: NEWS });
  const unread = reading ? (await reading.json()).unread : 0;
  await /** @type {any} */ (navigator).setAppBadge?.(unread).catch(() => {}); // the page may not be installed
}

worker.addEventListener("push", (event) => event.waitUntil(show(event.data)));

/** Show it, whatever it is: a browser ends the subscription of one who doesn't. @param {PushMessageData | null} data */
async function show(data) {
  const icon = "/static/dashboard/icon-192.png";
  let said;
  try {
    said = data?.json().notification;
  } catch {
    // It is not of ours.
  }
  const { title, navigate, data: more, ...options } = said ?? {};
  await worker.registration.showNotification(String(title || "tidings"), { ...options, icon, data: { ...more, navigate } });
}

worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.navigate));
});

/** The page that is open already, or a new one. @param {string | undefined} navigate */
async function open(navigate) {
  // The server's public address may be another than the one by which this browser knows it.
  const place = navigate && URL.canParse(navigate) ? new URL(navigate).search : "";
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find(({ url }) => new URL(url).pathname === "/");
  if (!page) return worker.clients.openWindow(`/${place}`);
  page.postMessage({ type: "OPEN", place });
  return page.focus();
}
