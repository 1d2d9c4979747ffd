// @ts-check
/** The live connection: one EventSource at a time, resumed from the last cursor whatever ends it. */

/** @typedef {"connecting" | "live" | "reconnecting" | "offline" | "stopped"} State */
/** @typedef {"signed-in" | "signed-out" | "unknown"} Standing */
/** @typedef {{from: number, to: number, count: number, reason: string}} Gap */
/**
 * @typedef {object} Listener
 * @property {(event: any) => void} event one CloudEvent
 * @property {(notice: any) => void} notice routine news that stands in no feed: `{type, platform, connection, …}`
 * @property {(gap: Gap) => void} gap events that can't be told any more
 * @property {(state: State) => void} state
 * @property {(reason: string) => void} closed the server ended the right to stream
 * @property {() => Promise<Standing>} standing who is signed in, asked before every retry
 */

const EVENT_NAMES = ["message", "webhook_received", "platform_sync", "token_refresh", "connection_status"];
const OPENING_MS = 20_000; // a stream that has not opened by then never will: a proxy swallows it
const STEADY_MS = 10_000; // one that lasted this long was a good one: the next retry is soon again

/**
 * How long to wait before a retry: doubling up to 30 s, with jitter so that pages do not return all at once.
 * @param {number} failures so far, from 1
 */
export function backoff(failures) {
  const ceiling = Math.min(30_000, 1000 * 2 ** (failures - 1));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}

export class Stream {
  /** @type {EventSource | null} */ #source = null;
  #timer = 0;
  #attempt = 0;
  #failures = 0;
  #openedAt = 0;
  #cursor = "";
  #listener;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** @param {string} cursor everything up to here is known */
  start(cursor) {
    this.#cursor = cursor;
    this.#failures = 0;
    this.#listener.state("connecting");
    this.#open();
  }

  stop() {
    this.#attempt++; // whatever is under way belongs to the past
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  /** Try again at once: the network changed, or the machine slept and the socket may be dead without a sign. */
  resume() {
    if (!this.#cursor) return;
    this.#failures = 0;
    void this.#retry();
  }

  /** Forget where it was; `resume` does nothing until the next `start`. */
  end() {
    this.stop();
    this.#cursor = "";
  }

  #open() {
    this.stop();
    const source = new EventSource(`/api/sse/stream?after=${encodeURIComponent(this.#cursor)}`);
    this.#source = source;
    this.#openedAt = 0;
    this.#timer = setTimeout(() => this.#lost(), OPENING_MS);
    source.onopen = () => {
      clearTimeout(this.#timer);
      this.#openedAt = Date.now();
      this.#listener.state("live");
    };
    // The browser would reconnect by itself after some failures and not after others, and always at the same
    // pace. One way for all of them is simpler to trust.
    source.onerror = () => this.#lost();
    for (const name of EVENT_NAMES) {
      source.addEventListener(name, (frame) => {
        const news = JSON.parse(frame.data);
        if (news.specversion) this.#listener.event(news);
        else this.#listener.notice(news);
        this.#reached(frame); // of a notice it is the last event's
      });
    }
    source.addEventListener("cursor", (frame) => this.#reached(frame));
    source.addEventListener("gap", (frame) => {
      this.#reached(frame);
      this.#listener.gap(JSON.parse(frame.data));
    });
    source.addEventListener("closed", (frame) => {
      const { reason } = JSON.parse(frame.data);
      if (reason === "restart") {
        this.#failures = 0; // the server left in good order and means to be back
        return this.#lost();
      }
      this.stop();
      this.#listener.closed(String(reason));
    });
  }

  /** @param {MessageEvent} frame */
  #reached(frame) {
    if (frame.lastEventId) this.#cursor = frame.lastEventId;
  }

  #lost() {
    const steady = this.#openedAt > 0 && Date.now() - this.#openedAt > STEADY_MS;
    this.stop();
    this.#failures = steady ? 1 : this.#failures + 1;
    this.#openedAt = 0;
    this.#listener.state(navigator.onLine ? "reconnecting" : "offline");
    this.#timer = setTimeout(() => void this.#retry(), backoff(this.#failures));
  }

  async #retry() {
    this.stop();
    const attempt = this.#attempt;
    const standing = await this.#listener.standing();
    if (attempt !== this.#attempt) return;
    if (standing === "signed-in") this.#open();
    else if (standing === "unknown") this.#lost();
    else this.#listener.closed("signed_out");
  }
}
