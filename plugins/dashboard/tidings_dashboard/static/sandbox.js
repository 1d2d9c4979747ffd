// @ts-check
/**
 * The view of the sandbox, for admins, where there is one: what happens at its platforms, and what goes wrong there.
 * It asks the sandbox's own API.
 */

import { api } from "./api.js";
import { button, emblem, instant, keepTime, make, replace, section } from "./dom.js";
import { text } from "./formats.js";
import { CONTROL, connectButtons } from "./platforms.js";
import { toast } from "./toasts.js";
import { CONNECTION, SANDBOX } from "./words.js";

const EVERY_MS = 3_000; // between two looks, while somebody looks
const SOON_MS = 250; // after news
const MOST_HAPPENINGS = 8;

/** What goes wrong with all that is asked of a platform, for as long as its button is pressed. @type {[string, any][]} */
const FAULTS = [
  ["outage", { kind: "error", status: 503 }],
  ["silence", { kind: "timeout" }],
  ["flaky", { kind: "error", status: 500, probability: 0.3 }],
  ["throttled", { kind: "error", status: 429, retry_after_seconds: 60 }],
];
/** And with its webhooks: what each dial is turned to. @type {[string, string, number][]} */
const DIALS = [
  ["lost", "lose_webhooks", 1],
  ["doubled", "duplicate_webhooks", 1],
  ["late", "delay_webhooks_seconds", 120],
];
const MENDED = { faults: [], lose_webhooks: 0, duplicate_webhooks: 0, delay_webhooks_seconds: 0, clock_offset_seconds: 0 };

/** @typedef {any} Emulated a platform as `GET /sandbox/api/state` shows it */

export class Sandbox {
  #root;
  #known;
  /** @type {any} */ #state = null;
  #shown = ""; // what the page shows of it, so that nothing is drawn anew without need
  #problem = "";
  #isOn = false;
  #isOpen = false;
  #timer = 0;
  /** @type {Map<string, HTMLSelectElement>} */ #choices = new Map(); // by account: what it does next

  /** @param {HTMLElement} root @param {import("./connections.js").Connections} known */
  constructor(root, known) {
    this.#root = root;
    this.#known = known;
  }

  /** The notices say whether there is a sandbox, and whether who is signed in may control it. */
  settle() {
    const isOn = this.#known.notices.some(({ url }) => url === CONTROL);
    if (isOn === this.#isOn) return;
    this.#isOn = isOn;
    if (this.#isOpen) void this.open();
  }

  async open() {
    this.#isOpen = true;
    await this.#look();
  }

  close() {
    this.#isOpen = false;
    clearTimeout(this.#timer);
  }

  clear() {
    this.close();
    this.#isOn = false;
    this.#state = null;
    this.#shown = this.#problem = "";
    this.#choices.clear();
    this.#root.replaceChildren();
  }

  /** News has come: the sandbox may have more to show. */
  heard() {
    if (this.#isOpen) this.#wait(SOON_MS);
  }

  /** @param {number} ms */
  #wait(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look() {
    if (this.#isOn && !document.hidden) {
      const { ok, answer, problem } = await api(`${CONTROL}/api/state`);
      if (ok) this.#state = answer;
      this.#problem = ok ? "" : problem;
    }
    if (!this.#isOpen) return;
    this.#render();
    this.#wait(EVERY_MS);
  }

  /**
   * Give an order, and show what became of it.
   * @param {string} name @param {object} body @param {(answer: any) => string} said what to say of it; "" for nothing
   * @param {HTMLElement | false} [act] what else can be done then
   */
  async #order(name, body, said, act = false) {
    const { ok, answer, problem } = await api(`${CONTROL}/api/${name}`, body);
    if (ok) toast(said(answer), { act });
    else toast(problem, { tone: "bad" });
    await this.#look();
  }

  #render() {
    const { platforms = {}, people = [], happenings = [] } = this.#state ?? {};
    const emulated = Object.entries(platforms)
      .filter(([, one]) => one.serves)
      .map(([id, one]) => ({ id, ...one, now: "", deliveries: [], more: {} }));
    const once = new Map(happenings.map((/** @type {any} */ one) => [`${one.platform} ${one.key}`, one])); // several hear of it
    const seen = [...once.values()].slice(0, MOST_HAPPENINGS);
    const mine = this.#known.connections.map(({ id, state }) => [id, state]);
    const shown = JSON.stringify([this.#isOn, this.#problem, emulated, seen, mine]);
    if (shown === this.#shown) return keepTime(this.#root);
    this.#shown = shown;
    if (!this.#isOn) return replace(this.#root, () => [make("h2", {}, SANDBOX.heading), make("p.hint", {}, SANDBOX.off)]);
    const open = emulated.filter(({ id, consents }) => consents.length || this.#mine(id).length);
    const others = this.#known.platforms.filter(({ id }) => emulated.some((one) => one.id === id && !open.includes(one)));
    replace(this.#root, () => [
      make("h2", {}, SANDBOX.heading),
      make("p.intro", {}, SANDBOX.intro, " ", make("a", { href: CONTROL, "data-key": "control" }, SANDBOX.control)),
      this.#problem && make("p.notice", { role: "alert" }, this.#problem),
      open.length > 0 && make("ul.emulated", {}, ...open.map((one) => this.#card(one, people))),
      others.length > 0 &&
        section(open.length ? SANDBOX.more : SANDBOX.first, make("p.choices", {}, ...connectButtons(others))),
      open.length > 0 && section(SANDBOX.log, log(seen, platforms)),
    ]);
  }

  /** The connections there of who is signed in. @param {string} platform */
  #mine(platform) {
    return this.#known.connections.filter((one) => one.platform === platform);
  }

  /** @param {Emulated} one @param {any[]} people */
  #card(one, people) {
    const isBroken = isAmiss(one);
    const chip = make("span.chip", { "data-state": isBroken ? "parked" : "connected" }, isBroken ? SANDBOX.broken : SANDBOX.works);
    const asked = this.#mine(one.id).filter(({ state }) => state === "connected");
    const key = (/** @type {string} */ name) => `${one.id}-${name}`;
    return make(
      "li",
      { "data-platform": one.id },
      make(
        "div.top",
        {},
        make("span.emblem", {}, emblem({ name: one.title, icon: this.#known.platform(one.id)?.icon ?? "" })),
        make("h3", {}, one.title, chip),
        make(
          "div.acts",
          {},
          isBroken && button(SANDBOX.mend, key("mend"), () => this.#mend(one), { label: SANDBOX.mendName(one.title) }),
          asked.length > 0 &&
            button(CONNECTION.sync, key("sync"), () => this.#sync(asked), { label: SANDBOX.syncName(one.title) }),
        ),
      ),
      one.consents.length === 0 && make("p.hint", {}, SANDBOX.nobody),
      ...one.consents.map((/** @type {any} */ { person }) => {
        const found = people.find(({ key }) => key === person);
        return this.#account(one, found ?? { key: person, name: person, face: "" });
      }),
      this.#troubles(one),
    );
  }

  /** What an account there can be made to do. @param {Emulated} one @param {{key: string, name: string, face: string}} person */
  #account(one, person) {
    const id = `${one.id}/${person.key}`;
    const options = () => Object.entries(one.kinds).map(([kind, words]) => make("option", { value: kind }, words));
    const label = SANDBOX.what(person.name, one.title);
    const choice = this.#choices.get(id) ?? make("select", { "aria-label": label, "data-key": `${id}-choice` }, ...options());
    this.#choices.set(id, choice);
    const happen = () => {
      const order = { platform: one.id, kind: choice.value, person: person.key };
      const words = choice.selectedOptions[0].textContent ?? "";
      const feed = make("a", { href: "#feed" }, CONNECTION.yourFeed);
      void this.#order("happenings", order, ({ happenings }) => text(happenings[0]?.title) || words, feed);
    };
    const end = (/** @type {string} */ action, /** @type {string} */ words, /** @type {string} */ said) =>
      make(
        "button.quiet",
        {
          type: "button",
          "data-key": `${id}-${action}`,
          "aria-label": SANDBOX.of(words, person.name, one.title),
          onclick: () => this.#order("tokens", { platform: one.id, action, person: person.key }, () => said),
        },
        words,
      );
    return make(
      "div.account",
      {},
      make("span.face", {}, person.face && make("img", { alt: "", width: 32, height: 32, src: person.face })),
      make("p.name", {}, person.name),
      make("div.do", {}, choice, button(SANDBOX.happen, `${id}-happen`, happen, { label: SANDBOX.of(SANDBOX.happen, person.name, one.title), kind: "primary" })),
      make(
        "p.ends",
        {},
        end("expire_access", SANDBOX.expire, SANDBOX.expired(person.name)),
        end("revoke", SANDBOX.revoke, SANDBOX.revoked(person.name)),
      ),
    );
  }

  /** What goes wrong at a platform, as switches. @param {Emulated} one */
  #troubles(one) {
    const set = (/** @type {object} */ change) => this.#order("faults", { platform: one.id, ...change }, () => "");
    const faults = FAULTS.map(([name, fault]) => {
      const others = one.faults.faults.filter((/** @type {any} */ known) => !isSame(known, fault));
      const isOn = others.length < one.faults.faults.length;
      return this.#switch(one, name, isOn, () => set(isOn ? { faults: others } : { add: fault }));
    });
    const dials = DIALS.map(([name, dial, value]) => {
      const isOn = one.faults[dial] > 0;
      return this.#switch(one, name, isOn, () => set({ [dial]: isOn ? 0 : value }));
    });
    const hooks = one.hooks.filter((/** @type {any} */ { active }) => active);
    const pushes = this.#known.platform(one.id)?.pushes;
    return make(
      "div.troubles",
      { role: "group", "aria-label": SANDBOX.wrong(one.title) },
      ...faults,
      ...(pushes ? dials : []),
      hooks.length > 0 && button(SANDBOX.unhook, `${one.id}-unhook`, () => this.#unhook(one, hooks)),
    );
  }

  /** @param {Emulated} one @param {string} name @param {boolean} isOn @param {() => void} turn */
  #switch(one, name, isOn, turn) {
    const properties = { type: "button", "aria-pressed": String(isOn), onclick: turn, "data-key": `${one.id}-${name}` };
    return make("button.button.switch", properties, SANDBOX.troubles[name]);
  }

  /** @param {Emulated} one */
  async #mend(one) {
    await this.#look(); // all of it, as it is by now
    for (const { id, active } of this.#state.platforms[one.id].hooks) {
      if (!active) await api(`${CONTROL}/api/hooks`, { platform: one.id, hook_id: id, change: "enable" });
    }
    await this.#order("faults", { platform: one.id, ...MENDED }, () => SANDBOX.mended(one.title));
  }

  /** @param {Emulated} one @param {any[]} hooks */
  async #unhook(one, hooks) {
    for (const { id } of hooks.slice(1)) {
      await api(`${CONTROL}/api/hooks`, { platform: one.id, hook_id: id, change: "delete" });
    }
    const order = { platform: one.id, hook_id: hooks[0].id, change: "delete" };
    await this.#order("hooks", order, () => SANDBOX.unhooked(one.title));
  }

  /** @param {any[]} connections */
  async #sync(connections) {
    const answers = await Promise.all(connections.map(({ id }) => api(`/api/connections/${id}/sync`, {})));
    const failed = answers.find(({ ok }) => !ok);
    if (failed) toast(failed.problem, { tone: "bad" });
    else toast(CONNECTION.asked);
  }
}

/** Whether anything there is not as it should be. @param {Emulated} one */
const isAmiss = ({ faults, hooks }) =>
  faults.faults.length > 0 ||
  DIALS.some(([, dial]) => faults[dial] > 0) ||
  faults.clock_offset_seconds !== 0 ||
  hooks.some((/** @type {any} */ { active }) => !active);

/** Whether a fault is this one, and hits whatever is asked, without an end. @param {any} known @param {any} fault */
const isSame = (known, fault) =>
  Object.entries({ probability: 1, remaining: null, until: null, path: "/", sort: "", when: "before", ...fault }).every(
    ([name, value]) => known[name] === value,
  );

/** What happened, newest first. @param {any[]} happenings @param {Record<string, Emulated>} platforms */
const log = (happenings, platforms) =>
  happenings.length
    ? make(
        "ol.happenings",
        {},
        ...happenings.map(({ title, key, at, platform }) =>
          make("li", {}, text(title) || key, make("small", {}, instant(at), " · ", platforms[platform].title)),
        ),
      )
    : make("p.hint", {}, CONNECTION.nothingYet);
