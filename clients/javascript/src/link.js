// @ts-check
/** One connection at a time, made again whatever ends it, always from the last position. */

import { TidingsError } from "./error.js";
import { sse } from "./sse.js";
import { websocket } from "./websocket.js";

/** @typedef {import("./sse.js").Ending} Ending */
/** @typedef {import("./sse.js").News} News */
/** @typedef {import("../types/index.js").Transport} Transport */
/** @typedef {Pick<import("../types/index.js").Status, "state" | "transport" | "error" | "retryInMs">} LinkStatus */
/**
 * @typedef {object} Settings
 * @property {URL} base
 * @property {Record<string, string>} filters
 * @property {"auto" | Transport} transport
 * @property {typeof WebSocket | undefined} WebSocket
 * @property {number} silenceMs
 * @property {number} backoffMs
 * @property {number} maxBackoffMs
 */
/**
 * @typedef {object} Listener
 * @property {(news: News, before: string | undefined) => void} heard with the position before it
 * @property {() => void} alive
 * @property {(status: LinkStatus) => void} status
 * @property {(error: TidingsError) => void} ended for good
 */

const TRANSPORTS = { sse, websocket };
const OPENING_MS = 20_000; // a connection that has not opened by then never will: a proxy swallows it
const STEADY_MS = 10_000; // one that lasted this long was a good one: the next failure is the first again
const WITHOUT_WEBSOCKET_MS = 300_000; // after SSE came about where a WebSocket did not

export class Link {
  /** Up to where news was passed on. @type {string | undefined} */ position;
  #settings;
  #credentials;
  #listener;
  /** @type {AbortController | undefined} */ #run;
  #wake = () => {};
  #cut = () => {};
  #heardAt = 0;
  #failures = 0;
  #floorMs = 0;
  #noSocketUntil = 0;

  /**
   * @param {Settings} settings
   * @param {import("./credentials.js").Credentials} credentials
   * @param {Listener} listener
   */
  constructor(settings, credentials, listener) {
    this.#settings = settings;
    this.#credentials = credentials;
    this.#listener = listener;
  }

  /** @param {string | undefined} position */
  start(position) {
    this.stop();
    this.position = position;
    this.#failures = 0;
    this.#run = new AbortController();
    void this.#follow(this.#run.signal);
  }

  stop() {
    this.#run?.abort();
    this.#run = undefined;
  }

  close() {
    this.stop();
  }

  /**
   * Don't wait any longer; and don't trust a connection that was silent while the machine slept.
   * @param {boolean} moved whether the network is another one, where the old connection may be dead without a sign
   */
  wake(moved) {
    this.#failures = 0;
    this.#wake();
    if (moved || Date.now() - this.#heardAt >= this.#settings.silenceMs) this.#cut();
  }

  /** @param {AbortSignal} signal */
  async #follow(signal) {
    for (let refusals = 0; !signal.aborted; ) {
      this.#tell("connecting");
      const { openedMs, token, ...ending } = await this.#attempt(signal);
      if (signal.aborted) return;
      const steady = openedMs > STEADY_MS;
      if (steady || ending.calm) this.#failures = refusals = 0;
      if (ending.refused) {
        const renewable = this.#credentials.refuse(ending.error.code, token);
        if (renewable && refusals++ === 0) continue; // at once, with another token
        ending.final = !renewable || openedMs === 0;
      }
      if (ending.final) return this.#listener.ended(ending.error);
      await this.#wait(ending, signal);
    }
  }

  /**
   * Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) on top of what the
   * server asks for, so that not all of its clients come back in one moment.
   * @param {Ending} ending
   * @param {AbortSignal} signal
   */
  async #wait({ error, retryAfterMs }, signal) {
    const { backoffMs, maxBackoffMs } = this.#settings;
    const ceiling = Math.min(maxBackoffMs, backoffMs * 2 ** this.#failures++);
    const retryInMs = Math.round((retryAfterMs ?? this.#floorMs) + Math.random() * ceiling);
    this.#tell("waiting", { error, retryInMs });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, retryInMs, undefined);
      this.#wake = () => resolve(clearTimeout(timer));
      signal.addEventListener("abort", this.#wake, { once: true });
    });
    signal.removeEventListener("abort", this.#wake);
    this.#wake = () => {};
  }

  /**
   * Connect by the first transport that opens, until that ends.
   * @param {AbortSignal} signal
   * @returns {Promise<Ending & {openedMs: number, token: string | undefined}>}
   */
  async #attempt(signal) {
    let token;
    try {
      token = await this.#credentials.token();
    } catch (cause) {
      const error = new TidingsError("unauthenticated", `getToken failed: ${/** @type {any} */ (cause)?.message}`);
      return { error, openedMs: 0, token };
    }
    const { transport, WebSocket } = this.#settings;
    const useful = WebSocket !== undefined && Date.now() >= this.#noSocketUntil;
    /** @type {Transport[]} */
    const order = transport !== "auto" ? [transport] : useful ? ["websocket", "sse"] : ["sse"];
    const begunAt = Date.now();
    let result = await this.#connect(/** @type {Transport} */ (order[0]), token, signal);
    const settled = result.openedMs > 0 || result.refused || result.final || signal.aborted;
    if (order.length > 1 && !settled) {
      result = await this.#connect("sse", token, signal);
      if (result.openedMs > 0) this.#noSocketUntil = begunAt + WITHOUT_WEBSOCKET_MS;
    }
    return { ...result, token };
  }

  /**
   * @param {Transport} transport
   * @param {string | undefined} token
   * @param {AbortSignal} signal
   * @returns {Promise<Ending & {openedMs: number}>} for how long it was open, 0 for never
   */
  async #connect(transport, token, signal) {
    const { silenceMs, base, filters, WebSocket } = this.#settings;
    const cut = new AbortController();
    this.#cut = () => cut.abort();
    this.#heardAt = Date.now();
    let openedAt = 0;
    let silent = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    const watch = () => {
      const limitMs = openedAt ? silenceMs : Math.min(silenceMs, OPENING_MS);
      const leftMs = this.#heardAt + limitMs - Date.now();
      if (leftMs > 0) return void (timer = setTimeout(watch, leftMs));
      silent = true;
      cut.abort();
    };
    watch();
    const over = AbortSignal.any([signal, cut.signal]);
    /** @template {unknown[]} T @param {(...args: T) => void} act */
    const until = (act) => (/** @type {T} */ ...args) => void (over.aborted || act(...args));
    const ending = await TRANSPORTS[transport]({
      base,
      filters,
      token,
      silenceMs,
      WebSocket,
      position: this.position,
      ticket: this.#credentials.ticket,
      signal: over,
      opened: until(() => {
        openedAt = Date.now();
        this.#tell("live", { transport });
      }),
      alive: until(() => {
        this.#heardAt = Date.now();
        this.#listener.alive();
      }),
      heard: until((/** @type {News} */ news) => this.#heard(news)),
      pace: (ms) => (this.#floorMs = ms),
    });
    clearTimeout(timer);
    if (silent) ending.error = new TidingsError("silent", "Nothing was heard for too long.");
    return { ...ending, openedMs: openedAt && Date.now() - openedAt + 1 };
  }

  /** @param {News} news */
  #heard(news) {
    const before = this.position;
    if (news.cursor !== undefined) this.position = news.cursor;
    this.#listener.heard(news, before);
  }

  /** @param {LinkStatus["state"]} state @param {Partial<LinkStatus>} [more] */
  #tell(state, more) {
    this.#listener.status({ state, transport: null, error: null, retryInMs: 0, ...more });
  }
}
