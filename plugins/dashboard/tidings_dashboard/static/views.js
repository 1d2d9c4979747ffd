// @ts-check
/** The page around its views: which of them is open, and what stands in the bar and the window's title. */

import * as words from "./words.js";

const { STATES, TITLES } = words;
const VIEWS = ["feed", "connections", "activity", "notifications", "sandbox"];
const MOST_SHOWN = 99; // beyond that nobody counts

/** @param {string} id @returns {any} */
export const part = (id) => document.getElementById(id);

/** What the address asks for. */
export function view() {
  const asked = location.hash.slice(1).split("/")[0];
  return VIEWS.includes(asked) ? asked : "feed";
}

/** Put the texts in where the HTML names them. */
export function fill() {
  const template = /** @type {HTMLTemplateElement} */ (part("event-row"));
  for (const root of [document, template.content]) {
    for (const one of root.querySelectorAll("[data-words]")) one.textContent = text(one, "words");
    for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", text(one, "label"));
  }
  part("asking").title = words.PAGE.asking;
}

/** @param {Element} element @param {"words" | "label"} which @returns {string} `FEED.more` is `more` of `FEED` */
function text(element, which) {
  const [group, name] = (/** @type {HTMLElement} */ (element).dataset[which] ?? "").split(".");
  return /** @type {any} */ (words)[group][name];
}

/** Show the view that the address asks for, and hide the others. */
export function choose() {
  const chosen = view();
  document.body.dataset.view = chosen;
  for (const name of VIEWS) {
    part(`view-${name}`).hidden = name !== chosen;
    const link = part(`to-${name}`); // the sandbox's stands in its notice
    if (name === chosen) link?.setAttribute("aria-current", "page");
    else link?.removeAttribute("aria-current");
  }
  return chosen;
}

/** Nothing of whoever was signed in may stay. */
export function hideAll() {
  delete document.body.dataset.view;
  for (const id of ["user", "empty-name", "spoken", "banner", "attention"]) part(id).replaceChildren();
  part("user").title = "";
  const shown = ["who", "views", "banner", "attention", "feed", "sieve", "empty", "note", "notice", "hint"];
  for (const id of [...shown, ...VIEWS.slice(1).map((name) => `view-${name}`)]) part(id).hidden = true;
}

/** What the notification led to that opened this page; once, not again when it is loaded anew. */
export function takePlace() {
  const place = /^\?(event|since)=/.test(location.search) ? location.search : "";
  if (place) history.replaceState(null, "", "/#feed");
  return place;
}

/** @param {keyof typeof STATES} state */
export function showState(state) {
  part("state").dataset.state = state;
  part("state-words").textContent = STATES[state];
}

/** @param {number} count of unread events, 0 while they are being looked at @param {boolean} isSignedIn */
export function showUnread(count, isSignedIn) {
  const name = isSignedIn ? TITLES[view()] : TITLES.feed;
  const shown = count > MOST_SHOWN ? `${MOST_SHOWN}+` : String(count);
  document.title = count ? `(${shown}) ${name}` : name;
  part("unread").textContent = count && view() !== "feed" ? shown : "";
  // On the icon, where the page is installed.
  void /** @type {any} */ (navigator).setAppBadge?.(count).catch(() => {});
}

/** @param {"notice" | "hint"} where what went wrong, or is to be known @param {string} words "" to take the last away */
export function say(where, words) {
  part(where).textContent = words;
  part(where).hidden = !words;
}
