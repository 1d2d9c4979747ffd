// @ts-check
/** The feed on the page: events and gaps, newest first, which of them are in sight and which unread. */

import { isPast } from "./client/index.js";
import { make } from "./dom.js";
import { dayName, dayOf, text } from "./formats.js";
import { Roll } from "./roll.js";
import { asksOf, eventRow, haystack, offerMore, platformOf, tellTime } from "./row.js";
import { FEED } from "./words.js";

const LIMIT = 10_000; // events held by the page

/**
 * @typedef {import("./roll.js").Item & {
 *   event: any, gap: import("./live.js").Gap | null, id: string, cursor: string, platform: string, words: string,
 *   asks: {connection: string, by: string} | null, isAsked: boolean, isFresh: boolean, isOpen: boolean,
 *   isLastRead: boolean}} Item `asks`: for which consent; `isAsked`: a notification led to it; `isLastRead`: what lies
 *   above is new since
 */

export class Feed {
  /** @type {Set<string>} */ #known = new Set();
  /** @type {Item[]} */ #waiting = []; // oldest first, held back while the reader is further down
  #isAtTop = true;
  #wanted = ""; // what a notification told of, while it is not here
  #said = ""; // the names by which events can be found
  #read = ""; // everything up to this cursor is read
  /** @type {(connection: string, by: string) => boolean} */ #isWanted = () => true;
  #root;
  #parts;
  #roll;
  #names;

  /**
   * @param {HTMLElement} root
   * @param {{top: Element, pill: HTMLElement, template: HTMLTemplateElement,
   *   names: import("./row.js").Names, sieve: import("./sieve.js").Sieve, onCut: (limit: number) => void,
   *   onTop: () => void}} parts `onTop`: the newest has come into sight
   */
  constructor(root, parts) {
    this.#root = root;
    this.#parts = parts;
    this.#names = parts.names;
    /** @type {Roll<Item>} */
    this.#roll = new Roll(root, {
      render: (item) => this.#render(item),
      heading: dayName,
      resized: offerMore,
      drawn: () => parts.sieve.drawn(),
      keepsPlace: () => !this.#isAtTop,
    });
    parts.sieve.attach(root, this.#roll);
    new IntersectionObserver(([entry]) => {
      this.#isAtTop = entry.isIntersecting;
      if (!this.#isAtTop) return;
      this.release();
      parts.onTop();
    }).observe(parts.top);
  }

  get isEmpty() {
    return this.#roll.size === 0 && this.#waiting.length === 0;
  }

  /** Whether the newest is where the reader looks. */
  get isAtTop() {
    return this.#isAtTop;
  }

  get isFull() {
    return this.#roll.size >= LIMIT;
  }

  /** The cursor of the newest event, "" where there is none. */
  get newest() {
    return this.#waiting.findLast((item) => item.cursor)?.cursor ?? this.#roll.all.find((item) => item.cursor)?.cursor ?? "";
  }

  /** The cursor of the oldest event, "" where there is none. */
  get oldest() {
    return this.#roll.all.findLast((item) => item.cursor)?.cursor ?? "";
  }

  clear() {
    this.#roll.clear();
    this.#waiting = [];
    this.#known.clear();
    this.#wanted = this.#read = "";
    this.#showPill();
  }

  /**
   * Show a CloudEvent unless it is there already.
   * @param {any} event
   * @param {{live: boolean}} how live ones draw a little attention, and wait while the reader is elsewhere
   * @returns {boolean} whether it is new here
   */
  add(event, { live }) {
    if (this.#known.has(event.id)) return false;
    this.#known.add(event.id);
    this.#take(this.#item(event), live);
    if (live && this.#wanted) this.want(this.#wanted);
    return true;
  }

  /** Events that came before all others. @param {any[]} events oldest first */
  addOlder(events) {
    for (const event of events.toReversed()) {
      if (this.#known.has(event.id) || this.isFull) continue;
      this.#known.add(event.id);
      const item = this.#item(event);
      this.#parts.sieve.place(item);
      this.#roll.append(item);
    }
    if (this.isFull) this.#parts.onCut(LIMIT);
  }

  /** @param {import("./live.js").Gap} gap */
  gap(gap) {
    this.#take({ ...this.#blank(), gap, day: dayOf(new Date()), words: gapWords(gap).toLowerCase() }, true);
  }

  /** What was read, wherever. @param {string} cursor everything up to here @param {{opening?: boolean}} [when] */
  read(cursor, { opening = false } = {}) {
    this.#read = cursor;
    const items = this.#roll.all;
    if (opening && items.length && this.#isUnread(items[0])) {
      const last = items.find((item) => item.cursor && !this.#isUnread(item));
      if (last) last.isLastRead = true;
    }
    for (const item of this.#roll.rows) this.#markUnread(item);
  }

  /**
   * Take the buttons away that ask for what was done since.
   * @param {(connection: string, by: string) => boolean} isWanted whether that connection needs a new consent still
   */
  settle(isWanted) {
    this.#isWanted = isWanted;
    for (const item of this.#roll.rows) this.#settle(item);
  }

  /**
   * Bring what a notification told of into sight, now or when it comes.
   * @param {string} place `?event=CURSOR`, or `?since=CURSOR` for what came after it too
   * @returns {boolean} whether it is here
   */
  want(place) {
    this.#wanted = "";
    const asked = new URLSearchParams(place);
    const cursor = asked.get("event") ?? asked.get("since");
    if (!cursor) return true;
    if (this.#waiting.some((item) => item.cursor === cursor)) this.release();
    const all = this.#roll.all;
    const at = all.findIndex((item) => item.cursor === cursor);
    if (at < 0) {
      this.#wanted = place;
      return false;
    }
    if (!all[at].shown) this.#parts.sieve.clear();
    const told = new Set(all.slice(asked.has("event") ? at : 0, at + 1));
    for (const item of all) {
      item.isAsked = told.has(item);
      item.row?.classList.toggle("asked", item.isAsked);
    }
    const [first] = told;
    this.#roll.reveal(first)?.focus({ preventScroll: true });
    return true;
  }

  /** Show the newest, and be there. */
  goToTop() {
    this.#isAtTop = true;
    this.release();
    scrollTo({ top: 0, behavior: "instant" });
    this.#roll.draw();
  }

  /** Put what has waited on the page. */
  release() {
    const items = this.#waiting;
    this.#waiting = [];
    for (const item of items) this.#insert(item);
    this.#showPill();
  }

  /** Names may have come to be known: have events be found by them. */
  rename() {
    const said = JSON.stringify([[...this.#names.platforms.values()].map(({ name }) => name), [...this.#names.accounts]]);
    if (said === this.#said) return;
    this.#said = said;
    for (const item of this.#roll.all) item.words = item.event ? haystack(item.event, this.#names) : item.words;
  }

  /** The feed has come into view: have on the page now what is in sight. */
  draw() {
    this.#roll.draw();
  }

  /** Likewise, before the next picture. */
  later() {
    this.#roll.later();
  }

  /** Let times and the names of days follow the clock. */
  tick() {
    this.#roll.tick();
    for (const item of this.#roll.rows) if (item.row) tellTime(item.row, item.day);
  }

  /** @returns {Item} */
  #blank() {
    const nothing = { event: null, gap: null, id: "", cursor: "", platform: "", words: "", asks: null };
    return { ...nothing, day: 0, row: null, height: 0, shown: true, isAsked: false, isFresh: false, isOpen: false, isLastRead: false };
  }

  /** @param {any} event @returns {Item} */
  #item(event) {
    const day = dayOf(new Date(event.recordedtime));
    const words = haystack(event, this.#names);
    const told = { event, id: event.id, cursor: text(event.cursor), platform: platformOf(event), asks: asksOf(event) };
    return { ...this.#blank(), ...told, day, words };
  }

  /** @param {Item} item @param {boolean} live */
  #take(item, live) {
    if (!live || this.#isAtTop) {
      item.isFresh = live;
      this.#insert(item);
    } else {
      this.#waiting.push(item);
      if (this.#waiting.length > LIMIT) this.#known.delete(this.#waiting.shift()?.id ?? "");
      this.#showPill();
    }
  }

  /** @param {Item} item */
  #insert(item) {
    this.#parts.sieve.place(item);
    this.#roll.prepend(item);
    while (this.#roll.size > LIMIT) {
      this.#known.delete(this.#roll.pop()?.id ?? "");
      this.#parts.onCut(LIMIT);
    }
  }

  /** @param {Item} item @returns {HTMLLIElement} */
  #render(item) {
    if (item.gap) return make("li.gap", { tabIndex: -1 }, gapWords(item.gap));
    const row = eventRow(this.#parts.template, item.event, this.#names, item);
    item.row = row;
    tellTime(row, item.day);
    row.classList.toggle("fresh", item.isFresh);
    item.isFresh = false; // it comes in once
    row.classList.toggle("asked", item.isAsked);
    if (item.isLastRead) row.prepend(make("p.last-read", {}, FEED.readUpTo));
    this.#markUnread(item);
    this.#settle(item);
    return row;
  }

  /** @param {Item} item */
  #isUnread(item) {
    return this.#read !== "" && item.cursor !== "" && !isPast(this.#read, item.cursor);
  }

  /** @param {Item} item */
  #markUnread(item) {
    const mark = /** @type {HTMLElement | null} */ (item.row?.querySelector(".unread") ?? null);
    if (mark) mark.hidden = !this.#isUnread(item);
  }

  /** @param {Item} item */
  #settle(item) {
    const act = /** @type {HTMLElement | null} */ (item.row?.querySelector(".act") ?? null);
    if (act && item.asks) act.hidden = !this.#isWanted(item.asks.connection, item.asks.by);
  }

  #showPill() {
    this.#parts.pill.hidden = this.#waiting.length === 0;
    this.#parts.pill.textContent = FEED.fresh(this.#waiting.length);
  }
}

/** @param {import("./live.js").Gap} gap */
function gapWords({ count, reason }) {
  if (reason === "retention") return FEED.gapRetention(count);
  return reason === "restored" ? FEED.gapRestored : FEED.gap(count, reason);
}
