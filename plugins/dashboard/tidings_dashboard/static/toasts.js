// @ts-check
/** Short words about what was just done, at the edge of the page; they go by themselves. */

import { make } from "./dom.js";
import { PAGE } from "./words.js";

const STAYS_MS = 7_000;
const MOST = 3; // the oldest makes room

/** @type {HTMLElement | null} */
const place = document.getElementById("toasts");

/**
 * Say it, to the eye and to screen readers. It stays while it is pointed at or has the focus.
 * @param {string} words
 * @param {{tone?: "good" | "bad", act?: HTMLElement | false}} [how]
 */
export function toast(words, { tone = "good", act = false } = {}) {
  if (!place || !words) return;
  const dismiss = make("button.quiet", { type: "button", "aria-label": PAGE.dismiss }, "×");
  const one = make("li.toast", { "data-tone": tone }, make("p", {}, words), act, dismiss);
  const end = () => one.remove();
  let timer = setTimeout(end, STAYS_MS);
  const hold = () => clearTimeout(timer);
  const release = () => (timer = setTimeout(end, STAYS_MS));
  one.onpointerenter = hold;
  one.onpointerleave = release;
  one.addEventListener("focusin", hold);
  one.addEventListener("focusout", release);
  dismiss.onclick = end;
  if (act) act.addEventListener("click", end);
  place.append(one);
  while (place.childElementCount > MOST) place.firstElementChild?.remove();
}

/** Nothing of whoever was signed in may stay. */
export const clearToasts = () => place?.replaceChildren();
