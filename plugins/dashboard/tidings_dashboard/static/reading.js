// @ts-check
/** Up to where its user has read: the same on all their tabs and devices, and kept by the server. */

import { api, isAway } from "./api.js";
import { isPast } from "./client/index.js";
import { toast } from "./toasts.js";
import { FEED } from "./words.js";

export const READING = "/api/reading";
const LOOKED_MS = 2_500;

export class Reading {
  cursor = ""; // everything up to here is read; "" while that is not known
  unread = 0;
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
    clearTimeout(this.#timer);
    if (this.unread && this.#seen()) this.#timer = setTimeout(() => void this.mark(this.#seen()), LOOKED_MS);
  }

  /** @returns {Promise<boolean>} whether it is known now */
  async load() {
    const { ok, answer } = await api(READING);
    if (ok) this.told(answer);
    return ok;
  }

  clear() {
    this.cursor = "";
    this.unread = 0;
    this.#onChange();
  }

  /** The server says so, by an answer or by a notice. @param {{cursor: string, unread: number}} reading */
  told({ cursor, unread }) {
    // Notices may come after an answer that was newer.
    if (this.cursor && !isPast(cursor, this.cursor)) return;
    this.cursor = String(cursor);
    this.unread = Number(unread);
    this.#onChange();
  }

  /** An event has come. @param {any} event */
  heard(event) {
    if (!this.cursor || isPast(this.cursor, event.cursor)) return;
    this.unread++;
    this.#onChange();
  }

  /** Everything up to here is read now. Without a server the service worker tells it later. @param {string} cursor */
  async mark(cursor) {
    if (!cursor || !this.unread || isPast(this.cursor, cursor)) return;
    this.cursor = cursor;
    this.unread = 0;
    this.#onChange();
    const wish = { method: "PUT", path: READING, body: { cursor } };
    const answer = await api(wish.path, wish.body, wish);
    if (answer.ok) this.told(answer.answer);
    else if (isAway(answer) && this.#worker.later("reading", wish)) toast(FEED.readLater);
  }
}
