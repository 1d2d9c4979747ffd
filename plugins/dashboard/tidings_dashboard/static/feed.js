// @ts-check
/** The feed on the page: days, events, gaps. Data enters the page as text and attributes, never as markup. */

const LIMIT = 1000; // rows kept on the page
const DAY_MS = 86_400_000;
const AT_ONCE_MS = 50; // less would read "0.0 s after"
const LOCALE = navigator.languages.find((language) => language.startsWith("en")) ?? "en-GB";
const CLOCK = new Intl.DateTimeFormat(LOCALE, { timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });
const SHORT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const DATE = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long" });
const DATE_YEAR = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "long", year: "numeric" });

/** Whether a reader sees anything of it: joiners, fillers and marks alone are nothing to see or to click. */
const isVisible = (/** @type {string} */ words) => /[^\s\p{Cc}\p{Cf}\p{M}\p{DI}\u2800]/u.test(words);

/** @param {unknown} value */
const text = (value) => (typeof value === "string" && isVisible(value) ? value : "");

/** A link only where it leads to the web: never `javascript:` and the like. @param {unknown} value */
function webAddress(value, protocols = ["https:", "http:"]) {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : null;
  return url && protocols.includes(url.protocol) ? url.href : "";
}

/** `//github.com/octo/repo` as people say it: `octo/repo`. @param {string} source */
function sourceName(source) {
  const plain = source.replace(/^([a-z]+:)?\/\//i, "");
  return plain.slice(plain.indexOf("/") + 1) || plain;
}

/** @param {number} ms */
function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** @param {Date} at */
const dayOf = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();

/** @param {number} day */
function dayName(day) {
  const now = new Date();
  if (day === dayOf(now)) return "Today";
  if (day === dayOf(new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1))) return "Yesterday";
  return (new Date(day).getFullYear() === now.getFullYear() ? DATE : DATE_YEAR).format(day);
}

/** When, as short as it stays clear under the heading of `day`. @param {Date} at @param {number} day */
function whenWords(at, day) {
  const now = Date.now();
  if (dayOf(at) !== dayOf(new Date(now))) return (dayOf(at) === day ? CLOCK : SHORT).format(at);
  const seconds = (now - at.getTime()) / 1000;
  if (seconds < -60) return CLOCK.format(at);
  if (seconds < 45) return "just now";
  if (seconds < 3570) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

export class Feed {
  /** @type {Set<string>} */ #known = new Set();
  /** @type {HTMLLIElement[]} */ #waiting = []; // oldest first, held back while the reader is further down
  #atTop = true;
  #root;
  #pill;
  #onCut;
  #template;
  #clamped;

  /**
   * @param {HTMLElement} root
   * @param {{top: Element, pill: HTMLElement, template: HTMLTemplateElement, onCut: (limit: number) => void}} parts
   */
  constructor(root, { top, pill, template, onCut }) {
    this.#root = root;
    this.#pill = pill;
    this.#template = template;
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
    this.#place(this.#eventRow(event), live);
    return true;
  }

  /** @param {import("./stream.js").Gap} gap */
  gap({ count, reason }) {
    const row = document.createElement("li");
    row.className = "gap";
    row.dataset.day = String(dayOf(new Date()));
    const many = count === 1 ? "1 event" : `${count.toLocaleString(LOCALE)} events`;
    const was = count === 1 ? "was" : "were";
    if (reason === "retention") row.textContent = `${many} ${was} removed by retention before this page could show them.`;
    else if (reason === "restored") row.textContent = "The server’s journal was restored or replaced. This page reads it anew.";
    else row.textContent = `${many} can’t be shown any more (${reason}).`;
    this.#place(row, true);
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

  /** @param {any} event @returns {HTMLLIElement} */
  #eventRow(event) {
    const row = /** @type {HTMLLIElement} */ (this.#template.content.firstElementChild?.cloneNode(true));
    const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (row.querySelector(name));
    const data = event.data ?? {};
    const actor = text(data.actor?.name);
    const platform = text(event.platform);
    const recorded = new Date(event.recordedtime);
    const happened = event.time ? new Date(event.time) : recorded;
    row.dataset.id = event.id;
    row.dataset.day = String(dayOf(recorded));

    part(".initial").textContent = [...(actor || platform)].find(isVisible) ?? "";
    const picture = /** @type {HTMLImageElement} */ (part("img"));
    const address = webAddress(data.actor?.avatar_url, ["https:"]);
    picture.onerror = () => picture.remove();
    if (address) picture.src = address;
    else picture.remove();
    part(".mark").textContent = platform.slice(0, 1);
    part(".mark").title = `${platform}, ${event.type}`;
    part(".mark").setAttribute("aria-label", platform);

    part(".title").append(Feed.#link(text(data.title) || event.type, webAddress(data.url)));
    const more = part(".more");
    const words = part(".text");
    words.textContent = text(data.text).trim();
    more.onclick = () => {
      const open = words.classList.toggle("open");
      more.textContent = open ? "less" : "more";
      more.setAttribute("aria-expanded", String(open));
    };
    if (!words.textContent) {
      words.remove();
      more.remove();
    }

    part(".actor").append(Feed.#link(actor, webAddress(data.actor?.url)));
    part(".source").textContent = sourceName(text(event.source));
    part(".source").title = text(event.source);
    const time = /** @type {HTMLTimeElement} */ (part("time"));
    time.dateTime = happened.toISOString();
    time.title = EXACT.format(happened);
    const lag = recorded.getTime() - happened.getTime();
    const late = event.time && lag >= AT_ONCE_MS && lag < DAY_MS ? `, ${duration(lag)} after` : "";
    part(".via").textContent = `${text(event.via)}${late}`;
    part(".via").title = `How it came${late ? ", and how long after it happened" : ""}. Recorded ${EXACT.format(recorded)}.`;
    for (const span of row.querySelectorAll(".meta > *")) if (!span.textContent && span !== time) span.remove();
    return row;
  }

  /** @param {string} words @param {string} address */
  static #link(words, address) {
    if (!address) return document.createTextNode(words);
    const link = document.createElement("a");
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.textContent = words;
    return link;
  }

  /** @param {Element} words */
  static #offerMore(words) {
    const more = /** @type {HTMLElement} */ (words.nextElementSibling);
    if (!words.classList.contains("open")) more.hidden = words.scrollHeight <= words.clientHeight + 1;
  }
}
