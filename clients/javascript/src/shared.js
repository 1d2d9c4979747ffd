// @ts-check
/**
 * One stream for all tabs of a browser. Whoever holds a Web Lock leads: it has the connection, and passes on what it
 * hears by a BroadcastChannel. When its tab goes, the browser gives the lock to the next, which resumes where that one
 * was. A message names the position before it, so whoever misses one notices, and reads it from the journal.
 */

import { TidingsError } from "./error.js";
import { Link } from "./link.js";

/** @typedef {import("./link.js").Listener} Listener */
/** @typedef {import("./link.js").LinkStatus} LinkStatus */
/** @typedef {import("./sse.js").News} News */
/** @typedef {Omit<LinkStatus, "error"> & {error: {code: string, message: string, status: number} | null}} SentStatus */
/**
 * @typedef {{kind: "hello"}
 *   | {kind: "here", status: SentStatus, position: string | undefined}
 *   | {kind: "news", news: News, before: string | undefined}} Message
 */

const ALIVE_MS = 5_000; // how often a leader without news says that it is there, while it hears its server
const ANSWER_MS = 5_000; // what a leader has at most to answer in, before its tab counts as frozen

export class Shared {
  #settings;
  #credentials;
  #listener;
  #share;
  #link;
  #name = "";
  /** @type {BroadcastChannel | undefined} */ #channel;
  /** This client's place in the queue for the lock, or its hold of it. @type {AbortController | undefined} */ #turn;
  #leads = false;
  #closed = new AbortController();
  #heardAt = 0;
  #toldAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #watch;
  /** @type {LinkStatus} */ #status = { state: "connecting", transport: null, error: null, retryInMs: 0 };

  /**
   * @param {import("./link.js").Settings} settings
   * @param {import("./credentials.js").Credentials} credentials
   * @param {Listener & {position: () => string | undefined}} listener
   * @param {true | string} share the user's name, where the credentials don't tell
   */
  constructor(settings, credentials, listener, share) {
    this.#settings = settings;
    this.#credentials = credentials;
    this.#listener = listener;
    this.#share = share;
    this.#link = new Link(settings, credentials, {
      heard: (news, before) => {
        this.#send({ kind: "news", news, before });
        this.#toldAt = Date.now();
        listener.heard(news, before);
      },
      alive: () => Date.now() - this.#toldAt >= ALIVE_MS && this.#here(),
      status: (status) => {
        this.#status = status;
        this.#here();
        this.#tell("leader");
      },
      ended: (error) => listener.ended(error),
    });
  }

  start() {
    const turn = new AbortController();
    this.#turn = turn;
    void this.#join(turn);
  }

  /** Leave the stream to others, and go on listening. */
  stop() {
    clearTimeout(this.#watch);
    if (this.#leads) this.#status = { state: "paused", transport: null, error: null, retryInMs: 0 };
    if (this.#leads) this.#here();
    this.#turn?.abort();
    this.#turn = undefined;
  }

  close() {
    this.stop();
    this.#closed.abort();
    this.#channel?.close();
  }

  /** @param {boolean} moved */
  wake(moved) {
    if (this.#leads) this.#link.wake(moved);
    else this.#doubt();
  }

  /** @param {AbortController} turn */
  async #join({ signal }) {
    for (let failures = 0; !this.#channel; failures++) {
      try {
        const name = await this.#nameOf();
        if (this.#closed.signal.aborted) return;
        this.#name = name;
        this.#channel ??= this.#listen(name);
      } catch (cause) {
        const error = new TidingsError("unauthenticated", `getToken failed: ${/** @type {any} */ (cause)?.message}`);
        const { backoffMs, maxBackoffMs } = this.#settings;
        const retryInMs = Math.random() * Math.min(maxBackoffMs, backoffMs * 2 ** failures);
        this.#listener.status({ state: "waiting", transport: null, error, retryInMs });
        await new Promise((resolve) => setTimeout(resolve, retryInMs, undefined));
      }
      if (signal.aborted) return;
    }
    this.#heardAt = Date.now(); // from now on somebody should be heard
    this.#send({ kind: "hello" });
    this.#queue(false);
  }

  /** The stream's name in this browser: who with the same filters follows the same user's has the same. */
  async #nameOf() {
    const { base, filters } = this.#settings;
    const who = this.#share === true ? await this.#credentials.identity() : this.#share;
    const text = new TextEncoder().encode(JSON.stringify([base.href, who, Object.entries(filters).sort()]));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text)); // a token is no name to show around
    return `tidings:${Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }

  /** @param {boolean} steal from a leader that does not answer */
  #queue(steal) {
    const turn = this.#turn;
    if (!turn || turn.signal.aborted) return;
    const lead = () =>
      new Promise((resolve) => {
        if (turn.signal.aborted) return resolve(undefined);
        this.#leads = true;
        clearTimeout(this.#watch);
        turn.signal.addEventListener("abort", () => resolve(this.#resign()), { once: true });
        this.#link.start(this.#listener.position());
      });
    const options = steal ? { steal } : { signal: turn.signal };
    navigator.locks.request(this.#name, options, lead).catch(() => {
      // Another took the lead while this tab was frozen. Or the turn is over, and there is nothing more to do.
      if (turn.signal.aborted) return;
      this.#resign();
      this.start();
    });
    this.#doubt();
  }

  #resign() {
    this.#leads = false;
    this.#link.stop();
  }

  /** @param {string} name */
  #listen(name) {
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => this.#receive(data);
    return channel;
  }

  /** @param {Message} message */
  #receive(message) {
    if (message.kind === "hello") return void (this.#leads && this.#here());
    if (this.#leads) return; // of one that does not know yet that it no longer leads
    this.#heardAt = Date.now();
    if (message.kind === "news") return this.#listener.heard(message.news, message.before);
    const { error, ...status } = message.status;
    this.#status = { ...status, error: error && new TidingsError(error.code, error.message, error.status) };
    this.#tell("follower");
    const { position } = message;
    if (position !== undefined) this.#listener.heard({ kind: "cursor", cursor: position }, position);
  }

  /** Make sure that somebody leads: a leader's tab may be frozen, and hold the lock all the same. */
  #doubt() {
    clearTimeout(this.#watch);
    const quietMs = Date.now() - this.#heardAt;
    if (this.#leads || !this.#turn || document.hidden) return;
    if (quietMs < this.#settings.silenceMs) {
      this.#watch = setTimeout(() => this.#doubt(), this.#settings.silenceMs - quietMs);
      return;
    }
    this.#send({ kind: "hello" });
    const askedAt = Date.now();
    this.#watch = setTimeout(() => {
      if (this.#leads || !this.#turn) return;
      if (this.#heardAt >= askedAt) return this.#doubt();
      this.#turn.abort();
      this.#turn = new AbortController();
      this.#queue(true);
    }, Math.min(ANSWER_MS, this.#settings.silenceMs));
  }

  #here() {
    if (!this.#leads) return;
    this.#toldAt = Date.now();
    const { error, ...status } = this.#status;
    const plain = error && { code: error.code, message: error.message, status: error.status };
    this.#send({ kind: "here", status: { ...status, error: plain }, position: this.#link.position });
  }

  /** @param {Message} message */
  #send(message) {
    this.#channel?.postMessage(message);
  }

  /** @param {"leader" | "follower"} role */
  #tell(role) {
    const status = { ...this.#status, role };
    this.#listener.status(status);
  }
}
