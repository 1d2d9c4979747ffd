// @ts-check
/** The view of notifications: this device, the others and how they fare, and what they are told of. */

import { api } from "./api.js";
import { canBePushed, deviceName, isApplePhone, renew, subscribe, unsubscribe } from "./device.js";
import { button, instant, keepTime, make, replace, section } from "./dom.js";
import { Presence } from "./presence.js";
import { settingsForm } from "./settings.js";
import { PUSH, SETTINGS, TIME } from "./words.js";

/** @typedef {any} Device as `GET /api/push/subscriptions` shows it */

export class Notifications {
  /** @type {Device[]} */ #devices = [];
  #most = 0;
  #key = { key: "", ready: false, problem: "" };
  #own = ""; // the id of this device, "" where nothing is pushed to it
  #root;
  #link;
  #known;
  #presence = new Presence();
  #user = 0; // counts who was signed in: what was asked for another is of no use
  #isOpen = false;
  // Both are kept while the view is open: they may be half filled in.
  /** @type {HTMLFormElement | null} */ #form = null;
  /** @type {HTMLFormElement | null} */ #enabling = null;
  /** @type {Record<string, string>} */ #said = {}; // by device, how its test went; "" is of the page

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} link to it
   * @param {{platforms: {id: string, name: string}[]}} known
   */
  constructor(root, link, known) {
    this.#root = root;
    this.#link = link;
    this.#known = known;
  }

  /** Somebody has signed in: see whether the server pushes at all, and whether it still knows this device. */
  async begin() {
    const user = ++this.#user;
    const { answer } = await api("/api/health");
    if (user !== this.#user) return;
    this.#link.hidden = !answer?.components?.push;
    if (this.#link.hidden) return;
    const [key] = await Promise.all([api("/api/push/key"), this.#load()]);
    if (user !== this.#user || !key.ok) return;
    this.#key = key.answer;
    const { id } = await renew(this.#key.key);
    if (user !== this.#user) return;
    this.#own ||= id; // the button may have been faster
    if (id) await this.#load();
    if (this.#isOpen) await this.open();
  }

  /** The end of the session. @param {boolean} onPurpose whether by a click on Sign out */
  clear(onPurpose) {
    this.#user++;
    this.close();
    this.#presence.end();
    this.#devices = [];
    this.#own = "";
    this.#link.hidden = true;
    this.#root.replaceChildren();
    if (onPurpose) void unsubscribe(); // whoever signs in next must ask for it themselves
  }

  /** The stream was away, and is back. */
  back() {
    this.#presence.again();
  }

  async open() {
    this.#isOpen = true;
    const [, rules] = await Promise.all([this.#load(), api("/api/push/rules")]);
    if (!this.#isOpen || this.#link.hidden) return;
    if (rules.ok) this.#form ??= this.#rulesForm(rules.answer);
    this.#render();
  }

  close() {
    this.#isOpen = false;
    this.#form = null;
    this.#enabling = null;
    this.#said = {};
  }

  tick() {
    if (this.#isOpen) keepTime(this.#root);
  }

  async #load() {
    const user = this.#user;
    const { ok, answer } = await api("/api/push/subscriptions");
    if (!ok || user !== this.#user) return;
    this.#devices = answer.subscriptions;
    this.#most = answer.most;
    if (this.#devices.length) this.#presence.begin();
    else this.#presence.end();
  }

  #render() {
    const others = this.#devices.map((device) => this.#row(device));
    const list = others.length ? make("ul.connections", {}, ...others) : make("p.hint", {}, PUSH.none);
    replace(this.#root, () => [
      make("h2", {}, PUSH.heading),
      make("p.intro", {}, PUSH.intro),
      this.#key.ready ? null : make("p.notice", { role: "alert" }, this.#key.problem),
      this.#said[""] ? make("p.notice", { role: "alert" }, this.#said[""]) : null,
      this.#own ? null : this.#offer(),
      section(PUSH.devices, list, others.length > 0 && make("p.hint", {}, PUSH.comesBack)),
      this.#form && section(PUSH.rules, this.#form),
    ]);
  }

  /** What this device lacks, or the button that has news pushed to it. */
  #offer() {
    if (!canBePushed()) return make("p.notice.calm", {}, isApplePhone() ? PUSH.installFirst : PUSH.unable);
    if (Notification.permission === "denied") return make("p.notice.calm", {}, PUSH.denied);
    if (this.#devices.length >= this.#most) return make("p.notice.calm", {}, PUSH.full(this.#most));
    const form = (this.#enabling ??= this.#enablingForm());
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    button.disabled = !this.#key.ready;
    return form;
  }

  #enablingForm() {
    const name = make("input", { id: "device-name", value: deviceName(), maxLength: 100, autocomplete: "off" });
    const button = make("button.button.primary", { type: "submit", "data-key": "enable" }, PUSH.enable);
    const form = make(
      "form.enable",
      {},
      make("div.field", {}, make("label", { htmlFor: "device-name" }, PUSH.name), name),
      button,
    );
    form.onsubmit = async (/** @type {SubmitEvent} */ submit) => {
      submit.preventDefault();
      button.disabled = true;
      const { problem, id } = await subscribe(this.#key.key, name.value.trim());
      this.#own = id;
      await this.#again(problem);
    };
    return form;
  }

  /** @param {Device} device */
  #row(device) {
    const isOwn = device.id === this.#own;
    const state = device.state === "failing" ? "parked" : device.state === "ok" ? "connected" : "";
    const times = [
      [PUSH.pushed, instant(device.last_pushed_at, TIME.never)],
      device.retry_at && [PUSH.again, instant(device.retry_at)],
      [PUSH.since, instant(device.created_at)],
      [device.service],
    ].filter(Boolean);
    const test = () => this.#test(device.id);
    const remove = () => this.#remove(device.id);
    const said = this.#said[device.id];
    return make(
      "li.connection.device",
      { "data-id": device.id },
      make(
        "div.about",
        {},
        make(
          "h3",
          {},
          device.label,
          isOwn && make("span.at", {}, PUSH.own),
          make("span.chip", { "data-state": state }, PUSH.states[device.state] ?? device.state),
        ),
        !!device.problem && make("p.trouble", {}, device.problem),
        make("p.meta", {}, ...times.map((words) => make("span", {}, .../** @type {any[]} */ (words)))),
        make("p.said", { role: "status", hidden: !said }, said ?? ""),
      ),
      make(
        "div.acts",
        {},
        button(PUSH.test, `test-${device.id}`, test, { label: `${PUSH.test}: ${device.label}` }),
        button(PUSH.remove, `remove-${device.id}`, remove, { label: `${PUSH.remove}: ${device.label}` }),
      ),
    );
  }

  /** @param {string} id */
  async #test(id) {
    const { ok, answer, problem } = await api(`/api/push/subscriptions/${id}/test`, {});
    const words = ok ? (PUSH.outcomes[answer.outcome] ?? answer.outcome) : problem;
    this.#said[id] = answer?.detail ? `${words} ${answer.detail}` : words;
    if (answer?.outcome === "gone" && id === this.#own) this.#own = "";
    await this.#again(answer?.outcome === "gone" ? this.#said[id] : "");
  }

  /** @param {string} id */
  async #remove(id) {
    if (id === this.#own) await unsubscribe();
    const { ok, status, problem } = await api(`/api/push/subscriptions/${id}`, undefined, { method: "DELETE" });
    const isGone = ok || status === 404;
    if (isGone && id === this.#own) this.#own = "";
    await this.#again(isGone ? "" : problem);
  }

  /** @param {string} problem */
  async #again(problem) {
    this.#said[""] = problem;
    await this.#load();
    if (this.#isOpen) this.#render();
  }

  /** @param {any} rules */
  #rulesForm(rules) {
    const own = { id: "tidings", name: PUSH.tidings };
    const sources = [...this.#known.platforms, own];
    const lets = (/** @type {string} */ id) =>
      !rules.muted_platforms.includes(id) && (!rules.platforms.length || rules.platforms.includes(id));
    const types = { type: "array", items: { type: "string" }, examples: PUSH.examples };
    const schema = {
      properties: {
        enabled: { type: "boolean", title: PUSH.enabled },
        ...Object.fromEntries(sources.map(({ id, name }) => [id, { type: "boolean", title: PUSH.from(name) }])),
        types: { ...types, title: PUSH.types, description: PUSH.typesHint },
        muted_types: { ...types, title: PUSH.mutedTypes },
      },
    };
    const values = { ...rules, ...Object.fromEntries(sources.map(({ id }) => [id, lets(id)])) };
    return settingsForm(schema, values, async ({ enabled, types, muted_types, ...chosen }) => {
      const unchosen = sources.map(({ id }) => id).filter((id) => !chosen[id]);
      // What is not shown here, and what comes later, stays as it is.
      const hidden = rules.muted_platforms.filter((/** @type {string} */ id) => !sources.some((one) => one.id === id));
      const platforms = rules.platforms.length ? sources.map(({ id }) => id).filter((id) => chosen[id]) : [];
      const body = { enabled, platforms, types, muted_types, muted_platforms: [...hidden, ...unchosen] };
      const { ok, answer, problem } = await api("/api/push/rules", body, { method: "PUT" });
      if (ok) rules = answer;
      return ok ? "" : SETTINGS.notSaved(problem);
    });
  }
}
