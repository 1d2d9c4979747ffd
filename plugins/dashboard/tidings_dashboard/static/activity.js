// @ts-check
/** The view of what happened lately, in charts: events per hour, how late they came, what may still be asked. */

import { accountName, portrait } from "./account.js";
import { api } from "./api.js";
import { NARROW, legend, stacked, total } from "./charts.js";
import { make, replace } from "./dom.js";
import { SHORT, duration, hourName } from "./formats.js";
import { limits } from "./limits.js";
import { ACTIVITY, FEED } from "./words.js";

const HOUR_MS = 3_600_000;
const CALM_MS = 5_000; // between two looks because of news
const SHADES = 5; // of a cell, by its share

export class Activity {
  #root;
  #known;
  #hours = ACTIVITY.spans[0].hours;
  #isOpen = false;
  #timer = 0;
  #problem = "";
  /** @type {any} */ #found = null;

  /** @param {HTMLElement} root @param {import("./connections.js").Connections} known */
  constructor(root, known) {
    this.#root = root;
    this.#known = known;
    NARROW.addEventListener("change", () => this.#render());
  }

  async open() {
    this.#isOpen = true;
    await Promise.all([this.#load(), this.#known.load()]);
    this.#render();
  }

  close() {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  clear() {
    this.close();
    this.#found = null;
    this.#problem = "";
    this.#root.replaceChildren();
  }

  /** News has come: count again, by and by. */
  heard() {
    if (this.#isOpen) this.#timer ||= setTimeout(() => void this.#load(), CALM_MS);
  }

  async #load() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const hours = this.#hours;
    const { ok, answer, problem } = await api(`/api/activity?hours=${hours}`);
    if (!this.#isOpen || hours !== this.#hours) return;
    if (ok) this.#found = answer;
    this.#problem = ok ? "" : problem;
    this.#render();
  }

  #render() {
    if (!this.#isOpen) return;
    const found = this.#found;
    const isCut = found && Date.parse(found.since) > Date.now() - (this.#hours - 1) * HOUR_MS;
    replace(this.#root, () => [
      make("div.head", {}, make("h2", {}, ACTIVITY.heading), this.#spans()),
      this.#problem && make("p.notice", { role: "alert" }, this.#problem),
      isCut && make("p.hint", {}, ACTIVITY.since(SHORT.format(new Date(found.since)))),
      found && section(ACTIVITY.events, "", this.#events(found)),
      found && section(ACTIVITY.late, ACTIVITY.lateIntro, this.#delays(found)),
      section(ACTIVITY.budgets, ACTIVITY.budgetsIntro, this.#budgets()),
    ]);
  }

  #spans() {
    const buttons = ACTIVITY.spans.map(({ hours, name }) => {
      const choose = () => {
        this.#hours = hours;
        this.#render();
        void this.#load();
      };
      const pressed = String(hours === this.#hours);
      return make("button", { type: "button", onclick: choose, "aria-pressed": pressed, "data-key": `span-${hours}` }, name);
    });
    return make("div.spans", { role: "group", "aria-label": ACTIVITY.span }, ...buttons);
  }

  /** @param {string} id */
  #platformName(id) {
    return this.#known.platform(id)?.name ?? id;
  }

  /** @param {any} found */
  #events({ hours }) {
    const ids = [...new Set(hours.map((/** @type {any} */ one) => one.platform))].sort();
    /** @type {Map<number, number[]>} */
    const counted = new Map();
    const first = Math.floor(Date.now() / HOUR_MS) - this.#hours + 1;
    for (let at = 0; at < this.#hours; at++) counted.set(first + at, ids.map(() => 0));
    for (const { at, platform, events } of hours) {
      const values = counted.get(Math.round(Date.parse(at) / HOUR_MS));
      if (values) values[ids.indexOf(platform)] = events;
    }
    const columns = [...counted].map(([hour, values]) => {
      const at = new Date(hour * HOUR_MS);
      const name = hourName(at);
      return { label: this.#hours > 48 ? name.split(/[\s,]/)[0] : (name.split(/[\s,]+/)[1] ?? name), name, values };
    });
    const all = columns.reduce((sum, column) => sum + total(column), 0);
    if (!all) return make("p.hint", {}, ACTIVITY.none);
    const busiest = columns.reduce((one, other) => (total(other) > total(one) ? other : one));
    const label = `${ACTIVITY.total(all)}; ${ACTIVITY.busiest(total(busiest), busiest.name)}`;
    const names = ids.map((id) => this.#platformName(id));
    const value = (/** @type {import("./charts.js").Column} */ column) => ACTIVITY.hour(column.name, total(column));
    const rows = columns.filter((column) => total(column));
    const cells = rows.map(({ name, values }) => [name, ...values.map(String)]);
    const same = make("details", {}, make("summary", {}, ACTIVITY.table), table(ACTIVITY.events, [ACTIVITY.hourColumn, ...names], cells));
    return make("figure", {}, make("figcaption", {}, label), stacked(columns, { label, value }), legend(names), same);
  }

  /** @param {any} found */
  #delays({ delays, steps_seconds }) {
    if (!delays.length) return make("p.hint", {}, ACTIVITY.none);
    const steps = steps_seconds.map((/** @type {number} */ seconds) => duration(seconds * 1000));
    const head = [ACTIVITY.way, ...steps.map(ACTIVITY.within), ACTIVITY.beyond, ACTIVITY.half];
    const cells = delays.map((/** @type {any} */ { platform, via, counts }) => {
      const all = counts.reduce((/** @type {number} */ sum, /** @type {number} */ count) => sum + count, 0);
      const half = steps[middle(counts, all)];
      return [
        `${this.#platformName(platform)} · ${FEED.ways[via] ?? via}`,
        ...counts.map((/** @type {number} */ count) => ({ words: count ? String(count) : "", shade: shadeOf(count, all) })),
        half ?? ACTIVITY.beyond,
      ];
    });
    return table(ACTIVITY.late, head, cells);
  }

  #budgets() {
    const limited = this.#known.connections.filter(({ limits: known }) => known?.budgets.length || known?.paused_until);
    if (!limited.length) return make("p.hint", {}, ACTIVITY.noBudgets);
    const rows = limited.map((one) =>
      make(
        "li",
        {},
        portrait(one, this.#known.platform(one.platform)),
        make("div.about", {}, make("h4", {}, `${this.#platformName(one.platform)} · ${accountName(one)}`), limits(one.limits)),
      ),
    );
    return make("ul.budgets", {}, ...rows);
  }
}

/** @param {string} title @param {string} intro @param {Node} content */
const section = (title, intro, content) =>
  make("section", {}, make("h3", {}, title), !!intro && make("p.hint", {}, intro), content);

/**
 * @param {string} label what it tells
 * @param {string[]} head
 * @param {(string | {words: string, shade: number})[][]} rows the first cell of each names it
 */
function table(label, head, rows) {
  const cell = (/** @type {string | {words: string, shade: number}} */ one) =>
    typeof one === "string" ? make("td", {}, one) : make("td", { className: `shade-${one.shade}` }, one.words);
  const body = rows.map(([name, ...cells]) =>
    make("tr", {}, make("th", { scope: "row" }, /** @type {string} */ (name)), ...cells.map(cell)),
  );
  const columns = make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words)));
  const grid = make("table", {}, make("thead", {}, columns), make("tbody", {}, ...body));
  return make("div.scroll", { tabIndex: 0, role: "region", "aria-label": label, "data-key": label }, grid);
}

/** In which step the middle one lies. @param {number[]} counts @param {number} all */
function middle(counts, all) {
  let seen = 0;
  return counts.findIndex((count) => (seen += count) * 2 >= all);
}

/** 0 for none, then by its share. @param {number} count @param {number} all */
const shadeOf = (count, all) => (count ? Math.max(1, Math.ceil((count / all) * SHADES)) : 0);
