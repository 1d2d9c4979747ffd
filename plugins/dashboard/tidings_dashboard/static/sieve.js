// @ts-check
/** What of the feed is in sight: a platform, words to look for; and the keys that go through it. */

import { make } from "./dom.js";
import { FEED } from "./words.js";

/** @typedef {import("./feed.js").Item} Item */
/** @type {Record<string, number>} */
const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

export class Sieve {
  /** @type {import("./roll.js").Roll<Item> | null} */ #roll = null;
  onSift = () => {}; // what is looked for has changed
  #names;
  #search;
  #choice;
  #found;
  #frame = 0;
  /** @type {Item | null} */ #at = null; // what the keys have come to
  #offered = ""; // the platforms to choose from

  /**
   * @param {HTMLElement} bar where one chooses
   * @param {import("./row.js").Names} names
   */
  constructor(bar, names) {
    this.#names = names;
    this.#search = make("input", { type: "search", id: "sieve-search", placeholder: FEED.search });
    this.#choice = make("select", { id: "sieve-platform" });
    this.#found = make("p.found", { role: "status" });
    bar.prepend(
      label("sieve-search", FEED.searchLabel),
      this.#search,
      label("sieve-platform", FEED.platform),
      this.#choice,
      this.#found,
    );
    this.#search.oninput = this.#choice.onchange = () => this.#apply();
  }

  /** @param {HTMLElement} root the feed @param {import("./roll.js").Roll<Item>} roll what it shows */
  attach(root, roll) {
    this.#roll = roll;
    root.addEventListener("keydown", (press) => this.#press(press));
    this.clear();
  }

  /** Whether anything is looked for at all. */
  get isOn() {
    return this.#choice.value !== "" || this.#search.value.trim() !== "";
  }

  /** Show everything. */
  clear() {
    this.#search.value = this.#offered = "";
    this.#choice.replaceChildren(make("option", { value: "" }, FEED.all));
    this.#apply();
  }

  /** It has come: show it if it is looked for. @param {Item} item */
  place(item) {
    item.shown = this.#fits(item);
    this.#frame ||= requestAnimationFrame(() => this.#count());
  }

  /** @param {Item} item */
  #fits(item) {
    const platform = this.#choice.value;
    if (platform && item.platform !== platform) return false;
    const words = this.#search.value.trim().toLowerCase();
    return !words || words.split(/\s+/).every((/** @type {string} */ word) => item.words.includes(word));
  }

  #apply() {
    for (const item of this.#roll?.all ?? []) item.shown = this.#fits(item);
    this.#count();
    this.#roll?.draw();
    this.onSift();
  }

  #count() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const all = this.#roll?.all ?? [];
    const shown = all.filter((item) => item.shown);
    this.#found.textContent = this.isOn ? FEED.found(shown.length, all.length) : "";
    this.#offer(new Set(all.map((item) => item.platform)));
  }

  /** Other rows are on the page: one stop of the Tab key leads to them; from there j and k reach the others. */
  drawn() {
    const rows = this.#roll?.rows ?? [];
    const stop = this.#at && rows.includes(this.#at) ? this.#at : rows[0];
    for (const item of rows) if (item.row) item.row.tabIndex = item === stop ? 0 : -1;
  }

  /** @param {Set<string>} found */
  #offer(found) {
    const chosen = this.#choice.value;
    const ids = [...found.add(chosen)].filter(Boolean);
    const options = ids.map((id) => ({ id, name: this.#names.platforms.get(id)?.name ?? id }));
    options.sort((one, other) => one.name.localeCompare(other.name));
    const offered = JSON.stringify(options);
    if (offered === this.#offered) return;
    this.#offered = offered;
    const [all] = this.#choice.children;
    this.#choice.replaceChildren(all, ...options.map(({ id, name }) => make("option", { value: id }, name)));
    this.#choice.value = chosen;
  }

  /** @param {KeyboardEvent} press */
  #press(press) {
    const target = /** @type {HTMLElement} */ (press.target);
    const at = this.#roll?.itemOf(target.closest("li")) ?? this.#at;
    if (!at || press.ctrlKey || press.metaKey || press.altKey) return;
    if (press.key === "Enter" && target === at.row) {
      const link = /** @type {HTMLElement | null} */ (at.row?.querySelector(".title a"));
      return link?.click();
    }
    const shown = (this.#roll?.all ?? []).filter((item) => item.shown);
    const next = press.key in STEPS ? shown[shown.indexOf(at) + STEPS[press.key]] : undefined;
    if (!next) return;
    press.preventDefault();
    this.#at = next;
    if (!next.row) this.#roll?.reveal(next);
    this.drawn();
    next.row?.focus();
  }
}

/** @param {string} id @param {string} words */
const label = (id, words) => make("label.hidden", { htmlFor: id }, words);
