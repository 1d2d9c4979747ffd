// @ts-check
/** The view of what is connected: what there is, how each is watched, and what could be connected besides. */

import { api } from "./api.js";
import { accountName, endsSoon, healButton, needsUser, nowPlaying, portrait, stateChip, watching } from "./account.js";
import { Detail } from "./connection.js";
import { breakable, due, instant, keepTime, make, replace } from "./dom.js";
import { followForm, platformCard } from "./platforms.js";
import { toast } from "./toasts.js";
import { CONNECTION, CONNECTIONS } from "./words.js";

const SOON_MS = 250; // several changes come at once
const FOLLOWING_MS = [250, 1_500, 4_000, 8_000]; // after something was asked for, which takes its time
const CALM_MS = 5_000; // between two looks because of ordinary news: the API has its limits

/** @typedef {import("./platforms.js").Platform} Platform */
/** @typedef {any} Connection as `GET /api/connections` shows it */

export class Connections {
  /** @type {Platform[]} */ platforms = [];
  /** @type {Connection[]} */ connections = [];
  /** @type {{text: string, url: string}[]} */ notices = [];
  /** @type {Map<string, any>} */ playing = new Map(); // by connection
  #parts;
  #detail;
  #shown = ""; // the id of the one in sight; "" for the list
  #open = false;
  #timer = 0;
  #loadedAt = 0;
  /** @type {Map<string, HTMLElement>} */ #forms = new Map(); // by platform; kept: one may be half filled in
  #onChange;

  /**
   * @param {{list: HTMLElement, detail: HTMLElement, dialog: HTMLDialogElement, problem: HTMLElement}} parts
   * @param {import("./worker.js").Worker} worker does later what can't be done now
   * @param {() => void} onChange after something new is known
   */
  constructor(parts, worker, onChange) {
    this.#parts = parts;
    this.#onChange = onChange;
    this.#detail = new Detail(parts.detail, parts.dialog, worker, this);
  }

  /** @param {string} id */
  platform(id) {
    return this.platforms.find((one) => one.id === id);
  }

  /** The accounts' names, by connection. @returns {Map<string, string>} */
  get names() {
    return new Map(this.connections.map((one) => [one.id, accountName(one)]));
  }

  /** What was to be asked for later has been. @param {string} path @param {boolean} ok whether it was taken */
  done(path, ok) {
    if (ok && /^\/api\/connections\/\w+\/sync$/.test(path)) toast(CONNECTION.asked);
    this.stale();
  }

  /** @returns {Promise<boolean>} whether the server told */
  async load() {
    const [known, mine] = await Promise.all([api("/api/platforms"), api("/api/connections")]);
    const problem = [known, mine].find(({ ok }) => !ok)?.problem ?? "";
    this.#parts.problem.textContent = problem && CONNECTIONS.outdated(problem);
    this.#parts.problem.hidden = !problem;
    if (problem) return false;
    this.#loadedAt = Date.now();
    this.platforms = known.answer.platforms;
    this.notices = known.answer.notices;
    // Those that need their user come first.
    this.connections = mine.answer.connections.toSorted(
      (/** @type {any} */ one, /** @type {any} */ other) => Number(needsUser(other)) - Number(needsUser(one)),
    );
    this.#onChange();
    if (this.#open) await this.#show();
    return true;
  }

  /** Show the list, or one of them. @param {string} id "" for the list */
  async open(id) {
    this.#open = true;
    this.#shown = id;
    this.#parts.list.hidden = id !== "";
    this.#parts.detail.hidden = id === "";
    if (id === "" && this.platforms.length) this.#showList();
    if (Date.now() - this.#loadedAt > SOON_MS) await this.load();
    else await this.#show();
  }

  close() {
    this.#open = false;
    this.#detail.close();
  }

  clear() {
    this.close();
    clearTimeout(this.#timer);
    this.#timer = this.#loadedAt = 0;
    this.platforms = [];
    this.connections = [];
    this.notices = [];
    this.playing.clear();
    this.#forms.clear();
    this.#parts.list.replaceChildren();
    this.#parts.detail.replaceChildren();
  }

  /** Something has changed: look again, soon. */
  stale() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#again(), SOON_MS);
  }

  /** Something was asked for here: look again until it has been done, most likely. */
  follow() {
    for (const wait of FOLLOWING_MS) setTimeout(() => this.#open && void this.load(), wait);
  }

  /** Something has changed a little: look again if it is in sight, by and by. */
  #ageing() {
    if (!this.#open || this.#timer) return;
    const wait = Math.max(SOON_MS, this.#loadedAt + CALM_MS - Date.now());
    this.#timer = setTimeout(() => this.#again(), wait);
  }

  #again() {
    this.#timer = 0;
    void this.load();
  }

  /** News has come. @param {any} event */
  heard(event) {
    if (String(event.type).startsWith("org.tidings.connection.")) this.stale();
    else this.#ageing();
  }

  /** Routine news of a connection. @param {any} notice */
  tell(notice) {
    if (String(notice.type).endsWith(".now_playing")) this.playing.set(notice.connection, notice);
    this.#ageing();
  }

  /** Have a feed ask only for what is wanted still. @param {import("./feed.js").Feed} feed */
  settle(feed) {
    const known = new Map(this.connections.map((one) => [one.id, one]));
    feed.settle((id, by) => {
      const one = known.get(id);
      const isNear = by !== "" && Date.parse(one?.reauthorize_by ?? "") <= Date.parse(by);
      return one?.state === "needs_reauth" || isNear;
    });
  }

  /** Let what is in sight follow the clock. */
  tick() {
    if (!this.#open || document.hidden) return;
    keepTime(this.#parts.list);
    keepTime(this.#parts.detail);
    this.#ageing();
  }

  async #show() {
    if (this.#shown) await this.#detail.show(this.#shown);
    else this.#showList();
  }

  #showList() {
    replace(this.#parts.list, () => this.#list());
  }

  #list() {
    const mine = this.connections;
    const cards = make("ul.platforms", {}, ...this.platforms.map((one) => platformCard(one, this.#form(one))));
    const heading = (/** @type {string} */ words) => make("h2", {}, words);
    const others = [heading(mine.length ? CONNECTIONS.more : CONNECTIONS.first), cards];
    if (!this.platforms.length) others[1] = make("p.hint", {}, CONNECTIONS.none);
    if (!mine.length) return [others[0], make("p.intro", {}, CONNECTIONS.intro), others[1]];
    const rows = make("ul.connections", {}, ...mine.map((one) => this.#row(one)));
    return [heading(CONNECTIONS.yours), rows, ...others];
  }

  /** The form by which it is followed, if it is. @param {Platform} platform */
  #form(platform) {
    if (!platform.follow) return undefined;
    const form = this.#forms.get(platform.id) ?? followForm(platform, (made) => this.#followed(platform, made));
    this.#forms.set(platform.id, form);
    return form;
  }

  /** @param {Platform} platform @param {Connection} made */
  #followed(platform, made) {
    this.#forms.delete(platform.id);
    location.hash = `#connections/${made.id}`;
    this.follow();
  }

  /** @param {Connection} one */
  #row(one) {
    const platform = this.platform(one.platform);
    const name = accountName(one);
    const link = make("a", { href: `#connections/${one.id}`, "data-key": `open-${one.id}` }, ...breakable(name));
    const times = [
      [CONNECTIONS.checked, instant(one.last_checked_at, CONNECTIONS.notYet)],
      one.next_check_at && [CONNECTIONS.next, due(one.next_check_at)],
      [CONNECTIONS.news, instant(one.last_event_at, CONNECTIONS.noneYet)],
      one.reauthorize_by && [CONNECTIONS.reauthorizeBy, instant(one.reauthorize_by)],
    ].filter(Boolean);
    return make(
      "li.connection",
      { "data-id": one.id },
      portrait(one, platform),
      make(
        "div.about",
        {},
        make("h3", {}, link, make("span.at", {}, platform?.name ?? one.platform), stateChip(one)),
        make("p.watching", {}, ...watching(one)),
        nowPlaying(this.playing.get(one.id)),
        make("p.meta", {}, ...times.map((words) => make("span", {}, .../** @type {any[]} */ (words)))),
      ),
      (needsUser(one) || endsSoon(one)) && make("div.acts", {}, healButton(one)),
    );
  }
}
