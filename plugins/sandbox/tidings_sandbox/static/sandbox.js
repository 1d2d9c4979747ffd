// @ts-check
/** The control page: shows the state of the emulators every few seconds, and sends what buttons order. */

const EVERY_MS = 2_500;

const FAULTS = [
  ["Next: 500", { kind: "error", status: 500, remaining: 1 }],
  ["Next: 429", { kind: "error", status: 429, remaining: 1, retry_after_seconds: 30 }],
  ["Next: no answer", { kind: "timeout", remaining: 1 }],
  ["Next: done, but no answer", { kind: "timeout", when: "after", remaining: 1 }],
  ["Next: garbage", { kind: "garbage", remaining: 1 }],
  ["All: 502", { kind: "error", status: 502 }],
  ["30 %: 500", { kind: "error", status: 500, probability: 0.3 }],
];

/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);

let token = "";
/** @type {Map<string, HTMLElement>} the cards, by platform */
const cards = new Map();

/**
 * Ask the control API, and show what went wrong.
 * @param {string} path
 * @param {object} [order] sent by POST
 * @returns {Promise<any>} null where it failed
 */
async function ask(path, order) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": token };
  const post = order && { method: "POST", headers, body: JSON.stringify(order) };
  const response = await fetch(path, { cache: "no-store", ...post }).catch(() => null);
  const answer = await response?.json().catch(() => null);
  const words = answer?.error?.message ?? (response ? `The server answered ${response.status}.` : "The server does not answer.");
  const problem = part("problem");
  if (!response?.ok) {
    problem.textContent = words;
    problem.dataset.order = order ? "yes" : "";
    problem.hidden = false;
  } else if (order || !problem.dataset.order) {
    problem.hidden = true; // a refused order stays in sight until another succeeds
  }
  return response?.ok ? answer : null;
}

/** Send an order, then show what became of it. @param {string} name @param {object} order */
async function send(name, order) {
  if (await ask(`/sandbox/api/${name}`, order)) await show();
}

/**
 * A button.
 * @param {string} words @param {string} style @param {() => void} press
 */
function button(words, style, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = style;
  made.textContent = words;
  made.addEventListener("click", press);
  return made;
}

/**
 * An element with text.
 * @param {string} tag @param {string} text @param {string} [style]
 */
function element(tag, text, style = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = style;
  return made;
}

/** @param {string} instant */
const clock = (instant) => new Date(instant).toLocaleTimeString([], { hour12: false });

/** The card of a platform, made once. @param {string} name @param {any} platform @param {any[]} people */
function cardOf(name, platform, people) {
  const known = cards.get(name);
  if (known) return known;
  const card = part("platform").content.firstElementChild.cloneNode(true);
  const find = (/** @type {string} */ selector) => card.querySelector(selector);
  find("h2").textContent = platform.title;
  for (const person of people) find(".actor").add(new Option(person.name, person.key));
  find(".actor").addEventListener("change", () => (find(".actor").dataset.chosen = "yes"));
  for (const [kind, words] of Object.entries(platform.kinds)) {
    find(".kinds").append(
      button(words, "button", () => send("happenings", { platform: name, kind, person: find(".actor").value })),
    );
  }
  for (const [words, fault] of FAULTS) {
    find(".faults").append(
      button(String(words), "button", () => send("faults", { platform: name, add: fault })),
    );
  }
  for (const dial of card.querySelectorAll("[data-dial]")) {
    dial.addEventListener("change", () => send("faults", { platform: name, [dial.dataset.dial]: Number(dial.value) }));
  }
  for (const dial of card.querySelectorAll("[data-oauth]")) {
    const value = () => (dial.dataset.oauth === "rotation" ? dial.value : Number(dial.value));
    dial.addEventListener("change", () => send("oauth", { platform: name, [dial.dataset.oauth]: value() }));
  }
  part("platforms").append(card);
  cards.set(name, card);
  return card;
}

/** Let a dial show a value, one that it does not offer too. @param {any} dial @param {any} value */
function turn(dial, value) {
  if (document.activeElement === dial) return;
  const text = String(value);
  if (![...dial.options].some((option) => option.value === text)) dial.add(new Option(text, text));
  dial.value = text;
}

/**
 * Show rows, unless they are shown already: a row that is replaced loses the focus.
 * @param {any} list @param {any[]} items @param {(item: any) => Node[]} draw
 */
function rows(list, items, draw) {
  const shown = JSON.stringify(items);
  if (list.dataset.shown === shown) return;
  list.dataset.shown = shown;
  list.replaceChildren(
    ...items.map((item) => {
      const row = document.createElement("li");
      row.append(...draw(item));
      return row;
    }),
  );
}

/** @param {any} fault */
function faultWords(fault) {
  const one = fault.remaining === 1;
  const which = fault.remaining === null ? "All requests" : one ? "The next request" : `The next ${fault.remaining} requests`;
  const subject = fault.probability < 1 ? `${Math.round(fault.probability * 100)} % of all requests` : which;
  const get = one ? "gets" : "get";
  const words = { error: `${get} ${fault.status}`, timeout: `${get} no answer`, garbage: `${get} garbage` };
  return `${subject} ${words[/** @type {"error"} */ (fault.kind)]}${fault.when === "after" ? ", but take effect" : ""}`;
}

/** @param {string} name @param {any} platform @param {any[]} people */
function showPlatform(name, platform, people) {
  const card = cardOf(name, platform, people);
  const find = (/** @type {string} */ selector) => card.querySelector(selector);
  const called = (/** @type {string} */ key) => people.find((person) => person.key === key);
  find(".now").textContent = `Its clock: ${clock(platform.now)}`;
  find(".none").hidden = platform.consents.length > 0;
  if (!find(".actor").dataset.chosen && platform.consents.length) find(".actor").value = platform.consents[0].person;
  rows(find(".consents"), platform.consents, (consent) => {
    const face = new Image(32, 32);
    face.src = called(consent.person)?.face ?? "";
    face.alt = "";
    const who = element("span", called(consent.person)?.name ?? consent.person, "who");
    who.append(element("small", consent.client_id));
    const end = (/** @type {string} */ words, /** @type {string} */ action) =>
      button(words, "link", () => send("tokens", { platform: name, action, person: consent.person }));
    const links = element("span", "", "links");
    links.append(end("Expire access", "expire_access"), end("Expire refresh", "expire_refresh"), end("Revoke", "revoke"));
    who.append(links);
    return [face, who];
  });
  rows(find(".active"), platform.faults.faults, (fault) => [element("span", faultWords(fault))]);
  if (platform.faults.faults.length && !find(".active .link")) {
    find(".active").lastElementChild.append(
      button("All well again", "link", () => send("faults", { platform: name, faults: [] })),
    );
  }
  for (const dial of card.querySelectorAll("[data-dial]")) turn(dial, platform.faults[dial.dataset.dial]);
  for (const dial of card.querySelectorAll("[data-oauth]")) turn(dial, platform.oauth[dial.dataset.oauth]);
  showHooks(card, name, platform);
  const { redemptions, accepted_twice } = platform.oauth;
  find(".redemptions").textContent = `${redemptions} refresh tokens came in; ${accepted_twice} were accepted twice.`;
}

/** @param {HTMLElement} card @param {string} name @param {any} platform */
function showHooks(card, name, platform) {
  const find = (/** @type {string} */ selector) => /** @type {any} */ (card.querySelector(selector));
  find(".courier").hidden = name === "spotify"; // it has no webhooks
  rows(find(".hooks"), platform.hooks, (hook) => {
    const what = element("span", `${hook.target}${hook.active ? "" : " (disabled)"}`, "what");
    what.append(element("small", hook.url));
    const change = (/** @type {string} */ words, /** @type {string} */ to) =>
      button(words, "link", () => send("hooks", { platform: name, hook_id: hook.id, change: to }));
    return [what, hook.active ? change("Disable", "disable") : change("Enable", "enable"), change("Delete", "delete")];
  });
  find(".deliveries").hidden = platform.deliveries.length === 0;
  rows(find(".deliveries ol"), platform.deliveries, (delivery) => {
    const failed = delivery.status_code < 200 || delivery.status_code > 299;
    const status = failed ? delivery.status_code || "lost" : delivery.status_code;
    return [
      element("span", clock(delivery.delivered_at)),
      element("span", String(status), failed ? "failed" : ""),
      element("span", [delivery.event, delivery.action].filter(Boolean).join(".") + (delivery.redelivery ? " (again)" : "")),
      button("Redeliver", "link", () => send("deliveries", { platform: name, delivery_id: delivery.id })),
    ];
  });
}

async function show() {
  const state = await ask("/sandbox/api/state");
  if (!state) return;
  for (const [name, platform] of Object.entries(state.platforms)) showPlatform(name, platform, state.people);
  part("summary").textContent = `${state.happened} happenings so far`;
  part("log-empty").hidden = state.happenings.length > 0;
  rows(part("log"), state.happenings, (one) => [
    document.createTextNode(one.title || one.key),
    element("small", `${clock(one.at)} · ${state.platforms[one.platform].title} · ${one.kind}`),
  ]);
}

async function begin() {
  token = (await ask("/api/me"))?.csrf_token ?? "";
  await show();
  setInterval(() => document.hidden || show(), EVERY_MS);
}

part("reset").addEventListener("click", async () => {
  if (confirm("Forget everything that happened in the sandbox, its webhooks and its faults? Connected accounts stay.")) {
    await send("reset", {});
  }
});
begin();
