// @ts-check
/**
 * A long list by days of which only what is near the window is on the page. What is not there has a height all the
 * same: what it had when it last was, or what such rows have on average; so the page is as long as all of it.
 */

import { make } from "./dom.js";

const MARGIN_PX = 2_500; // above and below the window: far enough for a fling, and for the browser's own search
const USUAL_PX = 96; // until some rows were measured
const BAR_PX = 76;
const MOST_TURNS = 8; // until a guess of where something is has become exact

/**
 * @typedef {object} Item
 * @property {number} day the beginning of its day
 * @property {HTMLLIElement | null} row while it is on the page
 * @property {number} height in pixels; 0 until it was measured
 * @property {boolean} shown whether it is looked for
 */
/**
 * @template {Item} T
 * @typedef {{day: number, items: T[], rows: T[], section: HTMLElement, list: HTMLElement, above: HTMLElement,
 *   below: HTMLElement}} Day items newest first; `rows`: those on the page
 */

/** @template {Item} T */
export class Roll {
  /** @type {Day<T>[]} */ #days = []; // newest first
  /** @type {WeakMap<Element, T>} */ #items = new WeakMap(); // by row
  #frame = 0;
  #measured = { count: 0, sum: 0 };
  #root;
  #render;
  #heading;
  #drawn;
  #keepsPlace;
  #sizes;

  /**
   * @param {HTMLElement} root
   * @param {{render: (item: T) => HTMLLIElement, heading: (day: number) => string, resized: (row: HTMLElement) => void,
   *   drawn: () => void, keepsPlace: () => boolean}} how `drawn`: other rows are on the page now; `keepsPlace`: whether
   *   what is in the window is to stay there, whatever comes above
   */
  constructor(root, { render, heading, resized, drawn, keepsPlace }) {
    this.#root = root;
    this.#render = render;
    this.#heading = heading;
    this.#drawn = drawn;
    this.#keepsPlace = keepsPlace;
    this.#sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        resized(/** @type {HTMLElement} */ (target));
        this.#measure(this.#items.get(target));
      }
    });
    addEventListener("scroll", () => this.later(), { passive: true });
    addEventListener("resize", () => this.later());
  }

  clear() {
    this.#sizes.disconnect();
    this.#days = [];
    this.#root.replaceChildren();
  }

  /** The rows that are on the page, newest first. */
  get rows() {
    return this.#days.flatMap(({ rows }) => rows);
  }

  /** Everything, newest first. @returns {T[]} */
  get all() {
    return this.#days.flatMap(({ items }) => items);
  }

  /** How many there are. */
  get size() {
    return this.#days.reduce((sum, { items }) => sum + items.length, 0);
  }

  /** What a row of the page shows. @param {Element | null} row */
  itemOf(row) {
    return row ? this.#items.get(row) : undefined;
  }

  /** @param {T} item the newest */
  prepend(item) {
    // A gap has no day of its own, and a clock set back must not split a day in two.
    item.day = Math.max(item.day, this.#days[0]?.day ?? 0);
    if (this.#days[0]?.day !== item.day) this.#days.unshift(this.#begin(item.day, "prepend"));
    this.#days[0].items.unshift(item);
    this.later();
  }

  /** @param {T} item the oldest */
  append(item) {
    const last = this.#days.at(-1);
    item.day = Math.min(item.day, last?.day ?? Infinity);
    if (last?.day !== item.day) this.#days.push(this.#begin(item.day, "append"));
    this.#days.at(-1)?.items.push(item);
    this.later();
  }

  /** Take the oldest out. @returns {T | undefined} */
  pop() {
    const day = this.#days.at(-1);
    const item = day?.items.pop();
    if (day && item?.row) this.#remove(day, item);
    if (day && !day.items.length) {
      day.section.remove();
      this.#days.pop();
    }
    return item;
  }

  /** Draw before the next picture. */
  later() {
    this.#frame ||= requestAnimationFrame(() => this.draw());
  }

  /** Have on the page what is near the window, and nothing else. */
  draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (!this.#root.checkVisibility()) return;
    const held = this.#keepsPlace() ? this.#anchor() : null;
    for (const { section, items } of this.#days) section.hidden = !items.some(({ shown }) => shown);
    const tops = this.#days.map(({ above }) => above.getBoundingClientRect().top); // read all before anything is written
    const made = this.#days.flatMap((day, place) => this.#place(day, tops[place]));
    for (const item of made) this.#measure(item);
    if (held?.item.row) {
      const moved = held.item.row.getBoundingClientRect().top - held.top;
      if (Math.abs(moved) >= 1) scrollBy({ top: moved, behavior: "instant" });
    }
    this.#drawn();
    if (made.length) this.later(); // what was guessed is known now
  }

  /** Let the names of days follow the clock. */
  tick() {
    for (const { day, section } of this.#days) {
      const heading = /** @type {HTMLElement} */ (section.firstElementChild);
      const name = this.#heading(day);
      if (heading.textContent !== name) heading.textContent = name;
    }
  }

  /** Bring it into the window. @param {T} item @returns {HTMLElement | null} its row */
  reveal(item) {
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      this.draw();
      const top = item.row?.getBoundingClientRect().top ?? this.#guess(item);
      const wanted = (innerHeight - (item.height || USUAL_PX)) / 2;
      if (item.row && Math.abs(top - wanted) < 2) break;
      scrollBy({ top: top - wanted, behavior: "instant" });
    }
    return item.row;
  }

  /** @param {number} day @param {"prepend" | "append"} where @returns {Day<T>} */
  #begin(day, where) {
    const [above, list, below] = [make("div.space"), make("ol"), make("div.space")];
    const section = make("section.day", {}, make("h2", {}, this.#heading(day)), make("div", {}, above, list, below));
    section.dataset.day = String(day);
    this.#root[where](section);
    return { day, items: [], rows: [], section, list, above, below };
  }

  /** @param {Day<T>} day @param {number} top where its first row is or would be @returns {T[]} those that are new on the page */
  #place(day, top) {
    let [above, below, offset, place] = [0, 0, top, 0];
    /** @type {T[]} */
    const wanted = [];
    const shown = day.items.filter((item) => item.shown);
    for (const item of shown) {
      const height = this.#height(item);
      if (offset + height < -MARGIN_PX) above += height;
      else if (offset > innerHeight + MARGIN_PX) below += height;
      else wanted.push(item);
      offset += height;
    }
    const stays = new Set(wanted);
    for (const item of day.rows) if (!stays.has(item)) this.#remove(day, item);
    day.rows = wanted;
    const made = wanted.filter((item) => !item.row);
    let next = day.list.firstElementChild;
    for (const item of wanted) {
      if (item.row === next && next) next = next.nextElementSibling;
      else day.list.insertBefore((item.row ??= this.#make(item)), next);
    }
    const first = wanted.length ? shown.indexOf(wanted[0]) : 0;
    for (const item of wanted) {
      item.row?.setAttribute("aria-posinset", String(first + ++place));
      item.row?.setAttribute("aria-setsize", String(shown.length));
    }
    day.above.style.height = `${above}px`;
    day.below.style.height = `${below}px`;
    return made;
  }

  /** @param {T} item */
  #make(item) {
    const row = this.#render(item);
    this.#items.set(row, item);
    this.#sizes.observe(row);
    return row;
  }

  /** @param {Day<T>} day @param {T} item */
  #remove(day, item) {
    const row = item.row;
    if (!row) return;
    // Who is at it would fall out of the list, and begin anew at the top of the page.
    if (row.contains(document.activeElement)) this.#root.focus({ preventScroll: true });
    this.#sizes.unobserve(row);
    row.remove();
    item.row = null;
    day.rows = day.rows.filter((one) => one !== item);
  }

  /** @param {T | undefined} item */
  #measure(item) {
    const height = item?.row?.isConnected ? item.row.getBoundingClientRect().height : 0;
    if (!item || !height || Math.abs(height - item.height) < 0.5) return;
    if (!item.height) this.#measured.count++;
    this.#measured.sum += height - item.height;
    item.height = height;
    this.later();
  }

  /** @param {T} item */
  #height(item) {
    return item.height || (this.#measured.count ? this.#measured.sum / this.#measured.count : USUAL_PX);
  }

  /** What is to stay where it is: the first in the window. */
  #anchor() {
    for (const item of this.rows) {
      const { top, bottom } = item.row?.getBoundingClientRect() ?? { top: 0, bottom: 0 };
      if (bottom > BAR_PX) return { item, top };
    }
    return null;
  }

  /** Where it would be in the window. @param {T} wanted */
  #guess(wanted) {
    const day = this.#days.find(({ items }) => items.includes(wanted));
    let top = day?.above.getBoundingClientRect().top ?? 0;
    for (const item of day?.items ?? []) {
      if (item === wanted) break;
      if (item.shown) top += this.#height(item);
    }
    return top;
  }
}
