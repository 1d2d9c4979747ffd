// @ts-check
/** One connection in full: how it is watched, what it may do, its limits, settings, webhooks and last runs. */

import { api } from "./api.js";
import { healButton, nowPlaying, portrait, stateChip, watching } from "./account.js";
import { instant, make, outward, replace } from "./dom.js";
import { settingsForm } from "./settings.js";
import { consentStart, span, text, webAddress } from "./words.js";

/** @type {Record<string, string>} */
const KINDS = {
  monitor: "Chose how to watch",
  sync: "Asked for news",
  hooks: "Kept webhooks in order",
  recover: "Looked for lost webhooks",
  refresh: "Refreshed the token",
  leave: "Disconnected",
};
/** @type {Record<string, string>} */
const HOOK_STATES = { wanted: "being made", active: "active", failed: "failed", removing: "being removed" };

export class Detail {
  #root;
  #dialog;
  #view;
  #id = "";
  #said = "";
  #problem = "";
  /** @type {HTMLFormElement | null} */ #form = null; // kept while its connection is in sight: it may be half filled in
  /** @type {any} */ #one = null;

  /**
   * @param {HTMLElement} root
   * @param {HTMLDialogElement} dialog asks before disconnecting
   * @param {import("./connections.js").Connections} view
   */
  constructor(root, dialog, view) {
    this.#root = root;
    this.#dialog = dialog;
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
      this.#said = this.#problem = "";
      if (this.#root.dataset.id !== id) this.#root.replaceChildren(back(), make("p.hint", {}, "Loading"));
      this.#root.dataset.id = id;
    }
    const { ok, status, answer, problem } = await api(`/api/connections/${encodeURIComponent(id)}`);
    if (id !== this.#id) return;
    if (ok) {
      this.#one = answer;
      return this.#render(answer);
    }
    this.#dialog.close();
    const words = status === 404 ? "This account is not connected any more." : problem;
    replace(this.#root, back(), make("p.notice", { role: "alert" }, words));
  }

  /** @param {any} one */
  #render(one) {
    const platform = this.#view.platform(one.platform);
    const schema = platform?.settings_schema ?? {};
    if (!this.#form && Object.keys(schema.properties ?? {}).length) {
      this.#form = settingsForm(schema, one.settings, (settings) => this.#save(settings));
    }
    replace(
      this.#root,
      back(),
      this.#head(one, platform),
      one.state !== "connected" && make("p.notice", {}, one.reason || "It is not watched now."),
      this.#problem && make("p.notice", { role: "alert" }, this.#problem),
      this.#said && make("p.said", { role: "status" }, this.#said),
      nowPlaying(this.#view.playing.get(one.id)),
      one.state === "connected" && !one.last_event_at && waiting(),
      facts(one),
      section("What tidings may do there", rights(one)),
      section("Limits", limits(one.limits)),
      this.#form && section("What is watched", this.#form),
      one.registrations.length > 0 && section("Webhooks", registrations(one.registrations)),
      section("What was done lately", attempts(one.attempts)),
    );
  }

  /** @param {any} one @param {any} platform */
  #head(one, platform) {
    const name = text(one.account.name) || one.platform;
    const heals = one.state === "needs_reauth";
    const again = consentStart(one.reconnect);
    const words = "Connect again";
    const works = one.state === "connected" || one.state === "parked";
    return make(
      "header.connection-head",
      {},
      portrait(one, platform),
      make(
        "div.about",
        {},
        make("h2", {}, outward(webAddress(one.account.url), name)),
        make("p", {}, platform?.name ?? one.platform, " ", stateChip(one)),
      ),
      one.state !== "disconnecting" &&
        make(
          "div.acts",
          {},
          works && button("Sync now", "sync", () => this.#sync()),
          heals ? healButton(one, words) : make("a.button", { href: again, "data-key": "again" }, words),
          button("Disconnect", "leave", () => this.#ask(one), "dialog"),
        ),
    );
  }

  async #sync() {
    const { ok, problem } = await api(`/api/connections/${this.#id}/sync`, {});
    this.#said = ok ? "Asked. What is new appears in your feed." : "";
    this.#problem = ok ? "" : problem;
    if (this.#one) this.#render(this.#one);
    if (ok) this.#view.follow();
  }

  /** @param {Record<string, any>} settings @returns {Promise<string>} */
  async #save(settings) {
    const { ok, problem } = await api(`/api/connections/${this.#id}`, { settings }, { method: "PATCH" });
    if (ok) this.#view.follow();
    return ok ? "" : `Not saved. ${problem}`;
  }

  /** @param {any} one */
  #ask(one) {
    const part = (/** @type {string} */ name) => /** @type {any} */ (this.#dialog.querySelector(name));
    part("form").reset();
    part("[data-name]").textContent = text(one.account.name) || one.platform;
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
    error.textContent = `Not disconnected. ${problem}`;
    error.hidden = ok;
    if (!ok) return;
    this.#dialog.close();
    location.hash = "#connections";
  }
}

const back = () => make("p.back", {}, make("a", { href: "#connections", "data-key": "back" }, "Connections"));

/** @param {string} words @param {string} key @param {() => void} onclick @param {string} [opens] */
const button = (words, key, onclick, opens) =>
  make("button.button", { type: "button", onclick, "data-key": key, "aria-haspopup": opens }, words);

/** @param {string} title @param {...any} children */
const section = (title, ...children) => make("section", {}, make("h3", {}, title), ...children);

function waiting() {
  const feed = make("a", { href: "#feed" }, "Your feed");
  return make("p.intro", {}, "Nothing new there yet. ", feed, " shows it the moment it happens.");
}

/** @param {any} one */
function facts(one) {
  const rows = [
    one.state === "connected" && ["How", watching(one)],
    ["Checked", [instant(one.last_checked_at, "not yet")]],
    ["Next check", [instant(one.next_check_at, one.state === "connected" ? "now" : "none")]],
    ["Last news", [instant(one.last_event_at, "none yet")]],
    ["Connected", [instant(one.connected_at)]],
    one.reauthorize_by && ["Reconnect by", [instant(one.reauthorize_by)]],
  ].filter(Boolean);
  const shown = rows.map(([term, words]) => make("div", {}, make("dt", {}, term), make("dd", {}, ...words)));
  return make("dl.facts", {}, ...shown);
}

/** @param {any} one */
function rights({ grant }) {
  const code = (/** @type {string} */ scope) => make("code", {}, scope.replaceAll("|", " or "));
  const granted = grant.scopes.map((/** @type {string} */ scope) => make("li", {}, code(scope)));
  const missing = grant.missing_scopes.flatMap((/** @type {string} */ scope) => [" ", code(scope)]);
  const ends = grant.token_expires_at;
  const token = ends ? ["The present token ends ", instant(ends), "."] : ["The token does not end."];
  return make(
    "div",
    {},
    granted.length
      ? make("ul.scopes", { "aria-label": "Granted" }, ...granted)
      : make("p.hint", {}, "It has the rights of the application itself."),
    missing.length > 0 &&
      make("p.notice", {}, "Missing:", ...missing, ". What needs it is not watched. Connect again, and agree to it."),
    make("p.hint", {}, "Agreed to ", instant(grant.authorized_at), ". ", ...token),
  );
}

/** @param {any} limits */
function limits({ budgets, paused_until, reason, circuit }) {
  const meters = budgets.map((/** @type {any} */ one) => {
    const [used, most] = [one.used, one.calls].map((count) => count.toLocaleString("en"));
    const words = `${used} of ${most} calls in the last ${span(one.seconds)}`;
    const meter = make("meter", { max: one.calls, high: one.calls * 0.9, value: one.used, "aria-label": words });
    return make("div.budget", {}, make("span", {}, words), meter);
  });
  const broken = "The platform fails to answer. It is left alone for a while, then tried again.";
  const held = [
    paused_until && make("p.notice", {}, `${reason} Nothing is asked until `, instant(paused_until), "."),
    circuit !== "closed" && make("p.notice", {}, broken),
  ].filter(Boolean);
  const free = !meters.length && !held.length && make("p.hint", {}, "Nothing holds tidings back.");
  return make("div", {}, ...meters, ...held, free);
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
    "Webhooks",
    ["At", "State", "Last delivery", "Checked", "Ends"],
    rows.map((row) => [
      [make("code", {}, row.name || row.target)],
      [HOOK_STATES[row.state] ?? row.state, trouble(row.problem)],
      [instant(row.last_delivery_at, "none yet")],
      [instant(row.checked_at, "not yet")],
      [instant(row.expires_at)],
    ]),
  );

/** @param {any[]} rows */
function attempts(rows) {
  if (!rows.length) return make("p.hint", {}, "Nothing yet.");
  const cells = rows.map((row) => [
    [instant(row.at)],
    [KINDS[row.kind] ?? row.kind],
    [`${row.outcome} in ${row.ms} ms`, trouble(row.detail)],
  ]);
  return table("What was done lately", ["When", "What", "How it went"], cells);
}
