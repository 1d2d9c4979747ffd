// @ts-check
/**
 * The page's side of the service worker: what to keep for later, what to do once the server is back, and what to do
 * when there is a newer version.
 */

const KEPT = 100; // the newest events, as `GET /api/events?last=100` gives them
const SOON_MS = 1_000; // several come at once
const NEWS_EVERY_MS = 3_600_000; // at most; browsers mostly do it more rarely

export class Worker {
  /** @type {ServiceWorkerRegistration | null} */ #registration = null;
  /** @type {any[]} */ #events = []; // oldest first
  #user = 0;
  #timer = 0;
  #isReloading = false;
  #onUpdate;
  #onOpen;
  #onDone;

  /**
   * @param {{onUpdate: () => void, onOpen: (place: string) => void, onDone: (path: string, ok: boolean) => void}} told
   *   of a newer version; of a click; of what was done for later
   */
  constructor({ onUpdate, onOpen, onDone }) {
    this.#onUpdate = onUpdate;
    this.#onOpen = onOpen;
    this.#onDone = onDone;
  }

  /** Only over https and on localhost: elsewhere browsers have none. */
  async start() {
    const workers = navigator.serviceWorker;
    if (!workers) return;
    let isSecond = workers.controller !== null;
    workers.addEventListener("controllerchange", () => {
      if (this.#isReloading) location.reload();
      else if (isSecond) this.#onUpdate(); // another tab has asked for it
      isSecond = true;
    });
    workers.addEventListener("message", ({ data }) => {
      if (data?.type === "OPEN") this.#onOpen(data.place);
      if (data?.type === "DONE") this.#onDone(data.path, data.ok);
    });
    workers.startMessages();
    // A browser may forbid it. Then the page does without.
    void workers.register("/sw.js", { updateViaCache: "none" }).catch(() => {});
    const registration = await workers.ready;
    this.#registration = registration;
    registration.addEventListener("updatefound", () => this.#follow(registration.installing));
    this.#follow(registration.installing);
    this.#offer();
    void this.#haveNewsFetched(registration);
  }

  /**
   * Have it asked of the server when that can be reached again, even if this page is closed by then.
   * @param {string} key a later wish replaces an earlier one of the same key
   * @param {{method: string, path: string, body?: object}} wish
   * @returns {boolean} whether there is a service worker that can
   */
  later(key, wish) {
    const worker = navigator.serviceWorker?.controller;
    worker?.postMessage({ type: "LATER", key, wish: { ...wish, user: this.#user } });
    return Boolean(worker);
  }

  /** The server is back: what waits is done now, also where browsers don't do it by themselves. */
  flush() {
    navigator.serviceWorker?.controller?.postMessage({ type: "FLUSH" });
  }

  /** Ask whether there is a newer version. */
  look() {
    void this.#registration?.update().catch(() => {}); // the server may be gone again
  }

  /** Let the newer version take over, and load the page anew. */
  update() {
    const waiting = this.#registration?.waiting;
    this.#isReloading = true;
    if (waiting) waiting.postMessage({ type: "SKIP_WAITING" });
    else location.reload();
  }

  /** @param {number} user whose feed it is @param {any[]} events */
  begin(user, events) {
    this.#user = user;
    this.#events = [...events];
  }

  /** Keep this event too. @param {any} event */
  heard(event) {
    this.#events.push(event);
    this.#timer ||= setTimeout(() => this.#keep(), SOON_MS);
  }

  /** Nothing of it may stay: whoever signs in next may be somebody else. */
  forget() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#events = [];
    navigator.serviceWorker?.controller?.postMessage({ type: "FORGET" });
  }

  /**
   * Where browsers do so, mostly for installed pages, the last news is fetched now and then while no page is open.
   * @param {any} registration
   */
  async #haveNewsFetched(registration) {
    const asked = /** @type {any} */ ({ name: "periodic-background-sync" });
    const found = await navigator.permissions?.query(asked).catch(() => null); // most don't know it
    if (found?.state !== "granted") return;
    await registration.periodicSync?.register("news", { minInterval: NEWS_EVERY_MS }).catch(() => {});
  }

  #keep() {
    this.#timer = 0;
    this.#events = this.#events.slice(-KEPT);
    const page = { events: this.#events, next: null, cursor: this.#events.at(-1)?.cursor };
    navigator.serviceWorker?.controller?.postMessage({ type: "KEEP", user: this.#user, page });
  }

  /** @param {ServiceWorker | null} installing */
  #follow(installing) {
    installing?.addEventListener("statechange", () => this.#offer());
  }

  #offer() {
    if (this.#registration?.waiting && navigator.serviceWorker.controller) this.#onUpdate();
  }
}
