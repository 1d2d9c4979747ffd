// @ts-check
/** Up to where its user has read: the same on all their tabs and devices, and kept by the server. */

import { api, isAway, session } from "./api.js";
import { isPast } from "./client/index.js";
import { toast } from "./toasts.js";
import { FEED } from "./words.js";

export const READING = "/api/reading";
const LOOKED_MS = 2_500;
const MOST_HEARD = 1_000; // far more than can come while an answer is on its way

export class Reading {
  cursor = ""; // everything up to here is read; "" while that is not known
  #base = 0; // how many of those up to #head are unread
  #head = "";
  /** @type {string[]} */ #heard = []; // the cursors of what came: answers and news cross on their way
  #timer = 0;
  #worker;
  #onChange;
  #seen;

  /**
   * @param {import("./worker.js").Worker} worker
   * @param {{onChange: () => void, seen: () => string}} page `seen`: the newest event if somebody looks at it, else ""
   */
  constructor(worker, { onChange, seen }) {
    this.#worker = worker;
    this.#onChange = onChange;
    this.#seen = seen;
  }

  /** Who looks at the newest for a while has read it. */
  look() {
    if (this.unread && this.#seen()) {
      this.#timer ||= setTimeout(() => this.#looked(), LOOKED_MS); // however much comes meanwhile
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #looked() {
    this.#timer = 0;
    void this.mark(this.#seen());
  }

  /** @returns {Promise<boolean>} whether it is known now */
  async load() {
    const { ok, answer } = await api(READING);
    if (ok) this.told(answer);
    return ok;
  }

  /** How many events are unread. */
  get unread() {
    return this.cursor ? this.#base + this.#heard.filter((cursor) => !isPast(this.#head, cursor)).length : 0;
  }

  clear() {
    this.cursor = this.#head = "";
    this.#base = 0;
    this.#heard = [];
    this.#onChange();
  }

  /** The server says so, by an answer or by a notice. @param {{cursor: string, unread: number, head: string}} reading */
  told({ cursor, unread, head }) {
    // Notices may come after an answer that was newer.
    if (this.cursor && !isPast(cursor, this.cursor)) return;
    this.#set(String(cursor), Number(unread), String(head));
  }

  /** These events have come. @param {any[]} events */
  heard(...events) {
    this.#heard.push(...events.map(({ cursor }) => cursor));
    if (this.#heard.length > MOST_HEARD) this.#heard.splice(0, this.#heard.length - MOST_HEARD);
    this.#onChange();
  }

  /** Everything up to here is read now. Without a server the service worker tells it later. @param {string} cursor */
  async mark(cursor) {
    if (!cursor || !this.unread || isPast(this.cursor, cursor)) return;
    this.#set(cursor, 0, cursor);
    const wish = { method: "PUT", path: READING, body: { cursor } };
    // A session that the worker has kept has no token: the server may be back, but would refuse what comes without one.
    const answer = session.me?.csrf_token ? await api(wish.path, wish.body, wish) : null;
    if (answer?.ok) this.told(answer.answer);
    else if ((!answer || isAway(answer)) && this.#worker.later("reading", wish)) toast(FEED.readLater);
  }

  /** @param {string} cursor @param {number} base @param {string} head */
  #set(cursor, base, head) {
    this.cursor = cursor;
    this.#base = base;
    this.#head = head;
    this.#onChange();
  }
}
