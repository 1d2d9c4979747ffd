// @ts-check
/** One connection in full: how it is watched, what it may do, its limits, settings, webhooks and last runs. */

import { api, isAway } from "./api.js";
import { accountName, healButton, needsUser, nowPlaying, portrait, stateChip, watching } from "./account.js";
import { button, due, instant, make, outward, replace, section } from "./dom.js";
import { settingsForm } from "./settings.js";
import { consentStart, duration, webAddress } from "./formats.js";
import { limits } from "./limits.js";
import { toast } from "./toasts.js";
import { ACCOUNT, CONNECTION, CONNECTIONS, SETTINGS } from "./words.js";

export class Detail {
  #root;
  #dialog;
  #worker;
  #view;
  #id = "";
  #problem = "";
  /** @type {HTMLFormElement | null} */ #form = null; // kept while its connection is in sight: it may be half filled in
  /** @type {any} */ #one = null;

  /**
   * @param {HTMLElement} root
   * @param {HTMLDialogElement} dialog asks before disconnecting
   * @param {import("./worker.js").Worker} worker does later what can't be done now
   * @param {import("./connections.js").Connections} view
   */
  constructor(root, dialog, worker, view) {
    this.#root = root;
    this.#dialog = dialog;
    this.#worker = worker;
    this.#view = view;
    const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
    form.onsubmit = (submit) => void this.#leave(submit, form);
    const cancel = /** @type {HTMLButtonElement} */ (dialog.querySelector("[data-cancel]"));
    cancel.onclick = () => dialog.close();
  }

  close() {
    this.#id = "";
    this.#dialog.close();
  }

  /** @param {string} id */
  async show(id) {
    if (id !== this.#id) {
      this.#id = id;
      this.#form = null;
      this.#problem = "";
      if (this.#root.dataset.id !== id) this.#root.replaceChildren(back(), make("p.hint", {}, CONNECTION.loading));
      this.#root.dataset.id = id;
    }
    const { ok, status, answer, problem } = await api(`/api/connections/${encodeURIComponent(id)}`);
    if (id !== this.#id) return;
    if (ok) {
      this.#one = answer;
      return this.#render(answer);
    }
    this.#dialog.close();
    const words = status === 404 ? CONNECTION.gone : problem;
    replace(this.#root, () => [back(), make("p.notice", { role: "alert" }, words)]);
  }

  /** @param {any} one */
  #render(one) {
    const platform = this.#view.platform(one.platform);
    const schema = platform?.settings_schema ?? {};
    if (!this.#form && Object.keys(schema.properties ?? {}).length) {
      this.#form = settingsForm(schema, one.settings, (settings) => this.#save(settings));
    }
    replace(this.#root, () => [
      back(),
      this.#head(one, platform),
      one.state !== "connected" && make("p.notice", {}, one.reason || ACCOUNT.unwatched),
      this.#problem && make("p.notice", { role: "alert" }, this.#problem),
      nowPlaying(this.#view.playing.get(one.id)),
      one.state === "connected" && !one.last_event_at && waiting(),
      facts(one),
      !platform?.follow && section(CONNECTION.rights, rights(one)),
      section(CONNECTION.limits, limits(one.limits)),
      this.#form && section(CONNECTION.watched, this.#form),
      one.registrations.length > 0 && section(CONNECTION.webhooks, registrations(one.registrations)),
      section(CONNECTION.attempts, attempts(one.attempts)),
    ]);
  }

  /** @param {any} one @param {any} platform */
  #head(one, platform) {
    const again = make("a.button", { href: consentStart(one.reconnect), "data-key": "again" }, ACCOUNT.again);
    const works = one.state === "connected" || one.state === "parked";
    return make(
      "header.connection-head",
      {},
      portrait(one, platform),
      make(
        "div.about",
        {},
        make("h2", {}, outward(webAddress(one.account.url), accountName(one))),
        make("p", {}, platform?.name ?? one.platform, " ", stateChip(one)),
      ),
      one.state !== "disconnecting" &&
        make(
          "div.acts",
          {},
          works && button(CONNECTION.sync, "sync", () => this.#sync()),
          needsUser(one) ? healButton(one) : consentStart(one.reconnect) && again,
          button(CONNECTION.disconnect, "leave", () => this.#ask(one), { opens: "dialog" }),
        ),
    );
  }

  async #sync() {
    const wish = { method: "POST", path: `/api/connections/${this.#id}/sync`, body: {} };
    const answer = await api(wish.path, wish.body);
    const isLater = isAway(answer) && this.#worker.later(wish.path, wish);
    this.#problem = answer.ok || isLater ? "" : answer.problem;
    if (this.#one) this.#render(this.#one);
    if (answer.ok) toast(CONNECTION.asked);
    else if (isLater) toast(CONNECTION.askedLater);
    if (answer.ok) this.#view.follow();
  }

  /** @param {Record<string, any>} settings @returns {Promise<string>} */
  async #save(settings) {
    const { ok, problem } = await api(`/api/connections/${this.#id}`, { settings }, { method: "PATCH" });
    if (ok) this.#view.follow();
    return ok ? "" : SETTINGS.notSaved(problem);
  }

  /** @param {any} one */
  #ask(one) {
    const part = (/** @type {string} */ name) => /** @type {any} */ (this.#dialog.querySelector(name));
    part("form").reset();
    part("h2").textContent = CONNECTION.leaveTitle(accountName(one));
    part(".error").hidden = true;
    this.#dialog.showModal();
  }

  /** @param {SubmitEvent} submit @param {HTMLFormElement} form */
  async #leave(submit, form) {
    submit.preventDefault();
    const events = new FormData(form).get("events") === "delete" ? "delete" : "keep";
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
    button.disabled = true;
    const { ok, problem } = await api(`/api/connections/${this.#id}?events=${events}`, undefined, { method: "DELETE" });
    button.disabled = false;
    const error = /** @type {HTMLElement} */ (form.querySelector(".error"));
    error.textContent = CONNECTION.notDisconnected(problem);
    error.hidden = ok;
    if (!ok) return;
    this.#dialog.close();
    toast(CONNECTION.disconnected);
    location.hash = "#connections";
  }
}

const back = () => make("p.back", {}, make("a", { href: "#connections", "data-key": "back" }, CONNECTION.back));

function waiting() {
  const feed = make("a", { href: "#feed" }, CONNECTION.yourFeed);
  return make("p.intro", {}, CONNECTION.quiet, feed, CONNECTION.showsIt);
}

/** @param {any} one */
function facts(one) {
  const rows = [
    one.state === "connected" && [CONNECTION.how, watching(one)],
    [CONNECTION.checked, [instant(one.last_checked_at, CONNECTIONS.notYet)]],
    [CONNECTION.nextCheck, [one.state === "connected" ? due(one.next_check_at) : instant(one.next_check_at, CONNECTION.none)]],
    [CONNECTION.lastNews, [instant(one.last_event_at, CONNECTIONS.noneYet)]],
    [CONNECTION.connected, [instant(one.connected_at)]],
    one.reauthorize_by && [CONNECTION.reauthorizeBy, [instant(one.reauthorize_by)]],
  ].filter(Boolean);
  const shown = rows.map(([term, words]) => make("div", {}, make("dt", {}, term), make("dd", {}, ...words)));
  return make("dl.facts", {}, ...shown);
}

/** @param {any} one */
function rights({ grant }) {
  const code = (/** @type {string} */ scope) => make("code", {}, scope.replaceAll("|", CONNECTION.or));
  const granted = grant.scopes.map((/** @type {string} */ scope) => make("li", {}, code(scope)));
  const missing = grant.missing_scopes.flatMap((/** @type {string} */ scope) => [" ", code(scope)]);
  const ends = grant.token_expires_at;
  const token = ends ? [CONNECTION.tokenEnds, instant(ends), "."] : [CONNECTION.tokenStays];
  return make(
    "div",
    {},
    granted.length
      ? make("ul.scopes", { "aria-label": CONNECTION.granted }, ...granted)
      : make("p.hint", {}, CONNECTION.ofTheApp),
    missing.length > 0 &&
      make("p.notice", {}, CONNECTION.missing, ...missing, CONNECTION.missingMeans),
    make("p.hint", {}, CONNECTION.agreed, instant(grant.authorized_at), ". ", ...token),
  );
}

/** @param {string} label @param {string[]} head @param {any[][][]} rows of cells */
function table(label, head, rows) {
  const cells = rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, ...cell))));
  const columns = make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words)));
  const grid = make("table", {}, make("thead", {}, columns), make("tbody", {}, ...cells));
  return make("div.scroll", { tabIndex: 0, role: "region", "aria-label": label, "data-key": label }, grid);
}

/** @param {string} words */
const trouble = (words) => words && make("p.trouble", {}, words);

/** @param {any[]} rows */
const registrations = (rows) =>
  table(
    CONNECTION.webhooks,
    CONNECTION.hookColumns,
    rows.map((row) => [
      [make("code", {}, row.name || row.target)],
      [CONNECTION.hookStates[row.state] ?? row.state, trouble(row.problem)],
      [instant(row.last_delivery_at, CONNECTIONS.noneYet)],
      [instant(row.checked_at, CONNECTIONS.notYet)],
      [instant(row.expires_at)],
    ]),
  );

/** How long it took. @param {number} ms */
const taken = (ms) => (ms < 1000 ? CONNECTION.milliseconds(Math.round(ms)) : duration(ms));

/** @param {any[]} rows */
function attempts(rows) {
  if (!rows.length) return make("p.hint", {}, CONNECTION.nothingYet);
  const cells = rows.map((row) => [
    [instant(row.at)],
    [CONNECTION.kinds[row.kind] ?? row.kind],
    [CONNECTION.attempted(row.outcome, taken(row.ms)), trouble(row.detail)],
  ]);
  return table(CONNECTION.attempts, CONNECTION.attemptColumns, cells);
}
