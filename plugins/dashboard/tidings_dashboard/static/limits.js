// @ts-check
/** What an account may still ask its platform, as `GET /api/connections` tells it. */

import { instant, make } from "./dom.js";
import { number, span } from "./formats.js";
import { CONNECTION } from "./words.js";

const NEARLY = 0.9; // of a budget: from there on it is told in another colour

/** @param {any} limits */
export function limits({ budgets, paused_until, reason, circuit }) {
  const meters = budgets.map((/** @type {any} */ one) => {
    const words = CONNECTION.used(number(one.used), number(one.calls), span(one.seconds));
    const high = one.calls * NEARLY;
    const meter = make("meter", { max: one.calls, high, value: one.used, "aria-label": words });
    return make("div.budget", {}, make("span", {}, words), meter);
  });
  const held = [
    paused_until && make("p.notice", {}, CONNECTION.paused(reason), instant(paused_until), "."),
    circuit !== "closed" && make("p.notice", {}, CONNECTION.broken),
  ].filter(Boolean);
  const free = !meters.length && !held.length && make("p.hint", {}, CONNECTION.free);
  return make("div", {}, ...meters, ...held, free);
}
