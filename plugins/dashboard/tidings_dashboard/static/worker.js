// @ts-check
/** The page's side of the service worker: what to keep for later, and what to do when there is a newer version. */

const KEPT = 100; // the newest events, as `GET /api/events?last=100` gives them
const SOON_MS = 1_000; // several come at once

export class Worker {
  /** @type {ServiceWorkerRegistration | null} */ #registration = null;
  /** @type {any[]} */ #events = []; // oldest first
  #user = 0;
  #timer = 0;
  #isReloading = false;
  #onUpdate;
  #onOpen;

  /** @param {{onUpdate: () => void, onOpen: (place: string) => void}} told of a newer version; of a click */
  constructor({ onUpdate, onOpen }) {
    this.#onUpdate = onUpdate;
    this.#onOpen = onOpen;
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
    workers.addEventListener("message", ({ data }) => data?.type === "OPEN" && this.#onOpen(data.place));
    workers.startMessages();
    // A browser may forbid it. Then the page does without.
    void workers.register("/sw.js", { updateViaCache: "none" }).catch(() => {});
    const registration = await workers.ready;
    this.#registration = registration;
    registration.addEventListener("updatefound", () => this.#follow(registration.installing));
    this.#follow(registration.installing);
    this.#offer();
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
