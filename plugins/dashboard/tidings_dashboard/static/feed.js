// @ts-check
/** The feed on the page: days, events, gaps. Data enters the page as text and attributes, never as markup. */

import { eventRow } from "./row.js";
import { LOCALE, dayName, dayOf, whenWords } from "./words.js";

const LIMIT = 1000; // rows kept on the page

export class Feed {
  /** @type {Set<string>} */ #known = new Set();
  /** @type {HTMLLIElement[]} */ #waiting = []; // oldest first, held back while the reader is further down
  #atTop = true;
  #wanted = ""; // what a notification told of, while it is not here
  #root;
  #pill;
  #onCut;
  #template;
  #platforms;
  #clamped;
  #sieve;

  /**
   * @param {HTMLElement} root
   * @param {{top: Element, pill: HTMLElement, template: HTMLTemplateElement, onCut: (limit: number) => void,
   *   platforms: Map<string, import("./row.js").Platform>, sieve: import("./sieve.js").Sieve}} parts
   */
  constructor(root, { top, pill, template, onCut, platforms, sieve }) {
    this.#root = root;
    this.#pill = pill;
    this.#template = template;
    this.#platforms = platforms;
    this.#sieve = sieve;
    this.#onCut = onCut;
    this.#clamped = new ResizeObserver((entries) => entries.forEach(({ target }) => Feed.#offerMore(target)));
    new IntersectionObserver(([entry]) => {
      this.#atTop = entry.isIntersecting;
      if (this.#atTop) this.release();
    }).observe(top);
  }

  get empty() {
    return this.#root.childElementCount === 0 && this.#waiting.length === 0;
  }

  clear() {
    this.#clamped.disconnect();
    this.#root.replaceChildren();
    this.#waiting = [];
    this.#known.clear();
    this.#wanted = "";
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
    this.#place(eventRow(this.#template, event, this.#platforms), live);
    if (live && this.#wanted) this.want(this.#wanted);
    return true;
  }

  /** @param {import("./live.js").Gap} gap */
  gap({ count, reason }) {
    const row = document.createElement("li");
    row.className = "gap";
    row.tabIndex = -1;
    row.dataset.day = String(dayOf(new Date()));
    const many = count === 1 ? "1 event" : `${count.toLocaleString(LOCALE)} events`;
    const was = count === 1 ? "was" : "were";
    const restored = "The server’s journal was restored or replaced. This page reads it anew.";
    const removed = `${many} ${was} removed by retention before this page could show them.`;
    if (reason === "retention") row.textContent = removed;
    else if (reason === "restored") row.textContent = restored;
    else row.textContent = `${many} can’t be shown any more (${reason}).`;
    this.#place(row, true);
  }

  /**
   * Take the buttons away that ask for what was done since.
   * @param {(connection: string, by: string) => boolean} isWanted whether that connection needs a new consent still
   */
  settle(isWanted) {
    for (const row of [...this.#root.querySelectorAll("li[data-asks]"), ...this.#waiting]) {
      const { connection, by, asks } = /** @type {HTMLElement} */ (row).dataset;
      const act = /** @type {HTMLElement | null} */ (row.querySelector(".act"));
      if (act && asks) act.hidden = !isWanted(connection ?? "", by ?? "");
    }
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
    if (this.#waiting.some((row) => row.dataset.cursor === cursor)) this.release();
    const rows = [...this.#root.querySelectorAll("li")];
    const at = rows.findIndex((row) => row.dataset.cursor === cursor);
    if (at < 0) {
      this.#wanted = place;
      return false;
    }
    if (rows[at].hidden) this.#sieve.clear();
    for (const row of rows) row.classList.remove("asked");
    const told = rows.slice(asked.has("event") ? at : 0, at + 1);
    for (const row of told) row.classList.add("asked");
    told[0].focus({ preventScroll: true });
    told[0].scrollIntoView({ block: "center" });
    return true;
  }

  /** Put what has waited on the page. */
  release() {
    const rows = this.#waiting;
    this.#waiting = [];
    for (const row of rows) this.#insert(row);
    this.#showPill();
  }

  /** Let times and the names of days follow the clock. */
  tick() {
    for (const section of this.#root.children) {
      const day = Number(/** @type {HTMLElement} */ (section).dataset.day);
      const heading = /** @type {HTMLElement} */ (section.firstElementChild);
      const name = dayName(day);
      if (heading.textContent !== name) heading.textContent = name;
      for (const time of section.querySelectorAll("time")) {
        const words = whenWords(new Date(time.dateTime), day);
        if (time.textContent !== words) time.textContent = words;
      }
    }
  }

  /** @param {HTMLLIElement} row @param {boolean} live */
  #place(row, live) {
    if (!live || this.#atTop) {
      if (live) row.classList.add("fresh");
      this.#insert(row);
    } else {
      this.#waiting.push(row);
      if (this.#waiting.length > LIMIT) this.#forget(/** @type {HTMLLIElement} */ (this.#waiting.shift()));
      this.#showPill();
    }
  }

  /** @param {HTMLLIElement} row */
  #insert(row) {
    let section = /** @type {HTMLElement | null} */ (this.#root.firstElementChild);
    // A gap has no day of its own, and a clock set back must not split a day in two.
    const day = Math.max(Number(row.dataset.day), Number(section?.dataset.day ?? 0));
    if (Number(section?.dataset.day) !== day) {
      section = document.createElement("section");
      section.className = "day";
      section.dataset.day = String(day);
      const heading = document.createElement("h2");
      heading.textContent = dayName(day);
      section.append(heading, document.createElement("ol"));
      this.#root.prepend(section);
    }
    const time = row.querySelector("time");
    if (time) time.textContent = whenWords(new Date(time.dateTime), day);
    section?.lastElementChild?.prepend(row);
    this.#sieve.place(row);
    const words = row.querySelector(".text");
    if (words) this.#clamped.observe(words);
    this.#cut();
  }

  #cut() {
    const rows = this.#root.getElementsByTagName("li");
    while (rows.length > LIMIT) {
      const row = rows[rows.length - 1];
      const section = row.closest("section");
      this.#forget(row);
      if (!section?.querySelector("li")) section?.remove();
      this.#onCut(LIMIT);
    }
  }

  /** @param {HTMLLIElement} row */
  #forget(row) {
    const words = row.querySelector(".text");
    if (words) this.#clamped.unobserve(words);
    this.#known.delete(row.dataset.id ?? "");
    row.remove();
  }

  #showPill() {
    this.#pill.hidden = this.#waiting.length === 0;
    this.#pill.textContent = `${this.#waiting.length} new`;
  }

  /** @param {Element} words */
  static #offerMore(words) {
    const more = /** @type {HTMLElement} */ (words.nextElementSibling);
    if (!words.classList.contains("open")) more.hidden = words.scrollHeight <= words.clientHeight + 1;
  }
}
