// @ts-check
/** The client: what came, once and in order, to whoever listens. */

import { Credentials } from "./credentials.js";
import { TidingsError, errorOf } from "./error.js";
import { follows, isPast } from "./cursor.js";
import { Link } from "./link.js";
import { Listening } from "./listening.js";
import { Shared } from "./shared.js";

/** @typedef {import("./sse.js").News} News */
/** @typedef {import("../types/index.js").Options} Options */
/** @typedef {import("../types/index.js").Status} Status */

const ANSWER_MS = 30_000;
const PAGE = "500";

/** @param {string | readonly string[] | undefined} list */
const joined = (list) => (typeof list === "string" ? list : (list ?? []).join(","));

/** @implements {Omit<import("../types/index.js").Client, "on">} */
export class Client {
  /** @type {string | undefined} */ cursor;
  /** @type {Status} */
  status = { state: "connecting", transport: null, role: "alone", error: null, retryInMs: 0 };
  #settings;
  #credentials;
  #pauseWhenHidden;
  #listening;
  #over = new AbortController();
  /** The stream, or this client's part in the browser's. @type {Link | Shared | undefined} */ #source;
  /** @type {boolean | undefined} */ #following;
  #stalled = false;
  #catchingUp = false;
  /** The last position told while catching up. @type {string | undefined} */ #told;

  /** @param {Options} options */
  constructor(options) {
    const { transport = "auto", token, getToken, ticket, after, share = true } = options;
    if (!["auto", "sse", "websocket"].includes(transport)) throw new TypeError(`No such transport: ${transport}`);
    if (ticket && (token || getToken)) throw new TypeError("A ticket takes the place of a token: give one of them.");
    const base = new URL(options.url ?? "/", globalThis.location?.href);
    if (!base.pathname.endsWith("/")) base.pathname += "/";
    const lists = { types: joined(options.types), platforms: joined(options.platforms) };
    this.#settings = {
      base,
      filters: Object.fromEntries(Object.entries(lists).filter(([, list]) => list)),
      transport,
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      silenceMs: options.silenceMs ?? 45_000,
      backoffMs: options.backoffMs ?? 1000,
      maxBackoffMs: options.maxBackoffMs ?? 30_000,
    };
    this.#credentials = new Credentials(options, this.#over.signal);
    this.#listening = new Listening(options.buffer ?? 1000, (stalled) => this.#stall(stalled));
    this.#pauseWhenHidden = options.pauseWhenHidden ?? false;
    this.cursor = after ?? undefined;
    const sharing = share && !ticket && "document" in globalThis && navigator.locks && "BroadcastChannel" in globalThis;
    queueMicrotask(() => this.#begin(sharing ? share : false));
  }

  /** @param {any} name @param {any} listener */
  on(name, listener) {
    return this.#listening.on(name, listener);
  }

  [Symbol.asyncIterator]() {
    return this.#listening.iterator();
  }

  /**
   * @param {string} path
   * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [options]
   * @returns {Promise<any>}
   */
  async request(path, { method = "GET", body, signal = this.#over.signal } = {}) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const url = new URL(path.replace(/^\//, ""), this.#settings.base);
    for (let tries = 0; ; tries++) {
      const token = await this.#credentials.token();
      const headers = new Headers(body === undefined ? {} : { "Content-Type": "application/json" });
      if (token) headers.set("Authorization", `Bearer ${token}`);
      else if (method !== "GET") headers.set("X-CSRF-Token", (await this.request("api/me")).csrf_token ?? "");
      const credentials = token ? "omit" : "same-origin";
      const text = body === undefined ? null : JSON.stringify(body);
      const answer = await fetch(url, { method, headers, credentials, body: text, cache: "no-store", signal: limit }).catch(
        (cause) => {
          throw new TidingsError("unreachable", `The server does not answer: ${cause.message}`);
        },
      );
      if (answer.ok) return JSON.parse((await answer.text()) || "null");
      const error = await errorOf(answer);
      const again = answer.status === 401 && tries === 0 && this.#credentials.refuse(error.code, token);
      if (!again) throw error;
    }
  }

  /** @param {string} connection */
  async sync(connection) {
    await this.request(`api/connections/${encodeURIComponent(connection)}/sync`, { method: "POST" });
  }

  close() {
    this.#end(null);
  }

  /** @param {false | true | string} share */
  #begin(share) {
    const { signal } = this.#over;
    const listener = {
      /** @param {News} news @param {string | undefined} before */
      heard: (news, before) => this.#heard(news, before),
      alive() {},
      /** @param {Partial<Status>} status */
      status: (status) => void (this.#over.signal.aborted || this.#tell(status)),
      /** @param {TidingsError} error */
      ended: (error) => this.#end(error),
      position: () => this.cursor,
    };
    const source = share
      ? new Shared(this.#settings, this.#credentials, listener, share)
      : new Link(this.#settings, this.#credentials, listener);
    this.#source = source;
    if ("document" in globalThis) {
      document.addEventListener("visibilitychange", () => this.#look(), { signal });
      addEventListener("online", () => this.#following && source.wake(true), { signal });
      addEventListener("pageshow", (event) => event.persisted && this.#following && source.wake(true), { signal });
    }
    this.#look();
  }

  /** Follow while it makes sense: somebody looks, and reads. */
  #look() {
    const hidden = globalThis.document?.hidden;
    const source = this.#source;
    // One stream may serve others that do read; then this client alone makes up for what it missed.
    const follow = !(hidden && this.#pauseWhenHidden) && !(this.#stalled && source instanceof Link);
    if (!source || this.#over.signal.aborted) return;
    if (follow === this.#following) return void (follow && !hidden && source.wake(false));
    this.#following = follow;
    if (follow) return source.start(this.cursor);
    source.stop();
    this.#tell({ state: "paused", transport: null, error: null, retryInMs: 0 });
  }

  /** @param {boolean} stalled */
  #stall(stalled) {
    this.#stalled = stalled;
    this.#look();
    if (!stalled && this.#told !== undefined) void this.#catchUp();
  }

  /** @param {News} news @param {string | undefined} before the position of whoever passes it on */
  #heard(news, before) {
    if (this.#over.signal.aborted) return;
    if (news.kind === "notice") return this.#listening.tell("notice", news.data);
    if (this.#stalled || this.#catchingUp) return void (this.#told = news.cursor);
    const known = this.cursor;
    // A restored server begins anew; else nothing is told again, whoever repeats it.
    const again = (news.kind === "event" || before !== known) && news.data?.reason !== "restored";
    if (known !== undefined && again && isPast(known, news.cursor)) return;
    if (follows(before, known)) return this.#take(news);
    this.#told = news.cursor;
    void this.#catchUp();
  }

  /** @param {News} news */
  #take({ kind, cursor, data }) {
    const moved = cursor !== this.cursor;
    this.cursor = cursor;
    if (kind === "event" || kind === "gap") this.#listening.tell(kind, data);
    if (moved && cursor !== undefined) this.#listening.tell("cursor", cursor);
  }

  /** Read from the journal what was not told: others are ahead, on the stream that is everyone's. */
  async #catchUp() {
    if (this.#catchingUp) return;
    this.#catchingUp = true;
    for (let failures = 0; !this.#stalled && !this.#over.signal.aborted; ) {
      try {
        const after = this.cursor;
        // Who asked for no position begins now, wherever the others are.
        const place = after === undefined ? { last: "1" } : { after, limit: PAGE };
        const query = new URLSearchParams({ ...this.#settings.filters, ...place });
        const { gap, events, next, cursor } = await this.request(`api/events?${query}`);
        if (gap) this.#take({ kind: "gap", cursor: after ?? cursor, data: gap });
        for (const event of after === undefined ? [] : events) {
          if (this.#stalled) break;
          this.#take({ kind: "event", cursor: event.cursor, data: event });
        }
        if (this.#stalled || this.#over.signal.aborted) break;
        this.#take({ kind: "cursor", cursor });
        if (next === null && isPast(cursor, this.#told)) {
          this.#told = undefined;
          break;
        }
        failures = next === null ? failures + 1 : 0;
      } catch (error) {
        if (error instanceof TidingsError && [400, 401, 403].includes(error.status)) return this.#end(error);
        failures++;
      }
      if (failures) await this.#sleep(failures);
    }
    this.#catchingUp = false;
  }

  /** @param {number} failures */
  #sleep(failures) {
    const { backoffMs, maxBackoffMs } = this.#settings;
    const ceiling = Math.min(maxBackoffMs, backoffMs * 2 ** (failures - 1));
    return new Promise((resolve) => setTimeout(resolve, Math.random() * ceiling, undefined));
  }

  /** @param {TidingsError | null} error */
  #end(error) {
    if (this.#over.signal.aborted) return;
    this.#following = false;
    this.#over.abort();
    this.#source?.close();
    this.#tell({ state: "closed", transport: null, error, retryInMs: 0 });
    this.#listening.end(error);
  }

  /** @param {Partial<Status>} status */
  #tell(status) {
    const told = JSON.stringify(this.status);
    this.status = Object.freeze({ ...this.status, ...status });
    if (JSON.stringify(this.status) !== told) this.#listening.tell("status", this.status);
  }
}
