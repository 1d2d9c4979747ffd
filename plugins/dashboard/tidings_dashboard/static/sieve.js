// @ts-check
/** What of the feed is in sight: a platform, words to look for; and the keys that go through it. */

import { make } from "./dom.js";
import { SIEVE } from "./words.js";

/** @type {Record<string, number>} */
const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

export class Sieve {
  #root;
  #platforms;
  #search;
  #choice;
  #found;
  #frame = 0;
  /** @type {HTMLLIElement | null} */ #at = null; // the row that the keys have come to
  #offered = ""; // the platforms to choose from

  /**
   * @param {HTMLElement} bar where one chooses
   * @param {HTMLElement} root the feed
   * @param {Map<string, import("./row.js").Platform>} platforms by id
   */
  constructor(bar, root, platforms) {
    this.#root = root;
    this.#platforms = platforms;
    this.#search = make("input", { type: "search", id: "sieve-search", placeholder: SIEVE.search });
    this.#choice = make("select", { id: "sieve-platform" });
    this.#found = make("p.found", { role: "status" });
    bar.append(label("sieve-search", SIEVE.search), this.#search);
    bar.append(label("sieve-platform", SIEVE.platform), this.#choice, this.#found);
    this.#search.oninput = this.#choice.onchange = () => this.#apply();
    root.addEventListener("keydown", (press) => this.#press(press));
    this.clear();
  }

  /** Show everything. */
  clear() {
    this.#search.value = this.#offered = "";
    this.#choice.replaceChildren(make("option", { value: "" }, SIEVE.all));
    this.#apply();
  }

  /** A row has come: show it if it is looked for. @param {HTMLElement} row */
  place(row) {
    row.hidden = !this.#fits(row);
    this.#frame ||= requestAnimationFrame(() => this.#count());
  }

  /** @param {HTMLElement} row */
  #fits(row) {
    const words = this.#search.value.trim().toLowerCase().split(/\s+/);
    const platform = this.#choice.value;
    if (platform && row.dataset.platform !== platform) return false;
    const text = row.textContent?.toLowerCase() ?? "";
    return words.every((/** @type {string} */ word) => text.includes(word));
  }

  #apply() {
    for (const row of this.#root.querySelectorAll("li")) row.hidden = !this.#fits(row);
    this.#count();
  }

  #count() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const all = [...this.#root.querySelectorAll("li")];
    const shown = all.filter((row) => !row.hidden);
    const isSifted = this.#choice.value !== "" || this.#search.value.trim() !== "";
    this.#found.textContent = isSifted ? SIEVE.found(shown.length, all.length) : "";
    this.#offer(new Set(all.map((row) => row.dataset.platform ?? "")));
    // One stop of the Tab key leads into the feed; from there the others are reached by j and k.
    const stop = this.#at && shown.includes(this.#at) ? this.#at : shown[0];
    for (const row of all) if (row.tabIndex === 0 && row !== stop) row.tabIndex = -1;
    if (stop) stop.tabIndex = 0;
  }

  /** @param {Set<string>} found */
  #offer(found) {
    const chosen = this.#choice.value;
    const ids = [...found.add(chosen)].filter(Boolean);
    const options = ids.map((id) => ({ id, name: this.#platforms.get(id)?.name ?? id }));
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
    const row = target.closest("li");
    if (!row || press.ctrlKey || press.metaKey || press.altKey) return;
    if (press.key === "Enter" && target === row) {
      const link = /** @type {HTMLElement | null} */ (row.querySelector(".title a"));
      return link?.click();
    }
    const rows = [...this.#root.querySelectorAll("li")].filter((one) => !one.hidden);
    const next = press.key in STEPS ? rows[rows.indexOf(row) + STEPS[press.key]] : undefined;
    if (!next) return;
    press.preventDefault();
    this.#at = next;
    for (const one of rows) one.tabIndex = one === next ? 0 : -1;
    next.focus();
  }
}

/** @param {string} id @param {string} words */
const label = (id, words) => make("label.hidden", { htmlFor: id }, words);
