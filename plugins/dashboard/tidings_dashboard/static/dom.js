// @ts-check
/** Elements from data. Data enters as text and attributes, never as markup. */

import { EXACT, fromNow } from "./formats.js";
import { TIME } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * An element.
 * @param {string} tag with classes: `p.hint`
 * @param {Record<string, unknown>} properties of the element; `data-…` and `aria-…` are attributes
 * @param {...Child} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key.includes("-")) element.setAttribute(key, String(value));
    else /** @type {any} */ (element)[key] = value;
  }
  element.append(.../** @type {(Node | string)[]} */ (children.filter((child) => child || child === "")));
  return element;
}

/**
 * A button that does something.
 * @param {string} words
 * @param {string} key by which it is known when the view is drawn anew
 * @param {() => void} onclick
 * @param {{label?: string, kind?: string, opens?: string}} [how] `label`: its name, where the words are not enough;
 *   `kind`: `primary`; `opens`: what it opens
 */
export const button = (words, key, onclick, { label, kind = "", opens } = {}) =>
  make(
    kind ? `button.button.${kind}` : "button.button",
    { type: "button", onclick, "data-key": key, "aria-label": label, "aria-haspopup": opens },
    words,
  );

/** A part of a view, with its heading. @param {string} title @param {...Child} children */
export const section = (title, ...children) => make("section", {}, make("h3", {}, title), ...children);

/** An icon from an SVG path (24 by 24). @param {string} path */
export function icon(path) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  picture.append(shape);
  return picture;
}

/** A platform's icon, or the first letter of its name. @param {{name: string, icon: string}} platform */
export const emblem = (platform) =>
  platform.icon ? icon(platform.icon) : make("span", { "aria-hidden": "true" }, platform.name.slice(0, 1));

/** A link that leaves this page. @param {string} address "" for mere words @param {string} words */
export const outward = (address, words) =>
  address ? make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, words) : words;

/** A name that may go on in the next line where its parts meet: an address is too long for a phone. @param {string} name */
export const breakable = (name) => name.split(/(?=[@.])/).flatMap((part, at) => (at ? [make("wbr"), part] : part));

/** Words in which `such` are code. @param {string} words */
export const coded = (words) => words.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));

/** An instant, from now; `keepTime` has it follow the clock. @param {string | null} at @param {string} never */
export function instant(at, never = TIME.never) {
  if (!at) return never;
  const date = new Date(at);
  return make("time.from-now", { dateTime: date.toISOString(), title: EXACT.format(date) }, fromNow(date));
}

/** When something is to be done: once its time has come, that is now. @param {string | null} at */
export function due(at) {
  const time = instant(at, TIME.now);
  if (time instanceof HTMLTimeElement) {
    time.classList.add("due");
    time.textContent = timeWords(time);
  }
  return time;
}

/** @param {HTMLTimeElement} time */
function timeWords(time) {
  const date = new Date(time.dateTime);
  return time.classList.contains("due") && date.getTime() < Date.now() ? TIME.now : fromNow(date);
}

/** Let the instants in an element follow the clock. @param {Element} root */
export function keepTime(root) {
  for (const time of root.querySelectorAll("time.from-now")) {
    const words = timeWords(/** @type {HTMLTimeElement} */ (time));
    if (time.textContent !== words) time.textContent = words;
  }
}

/**
 * Put other children in place of an element's own; what had the focus keeps it, known by its `data-key`.
 * @param {HTMLElement} root
 * @param {() => Child[]} build makes the children; those it takes along, such as forms, have lost the focus by then
 */
export function replace(root, build) {
  const active = /** @type {HTMLElement | null} */ (document.activeElement);
  const focused = root.contains(active) ? active : null;
  const key = focused?.dataset.key;
  root.replaceChildren(.../** @type {(Node | string)[]} */ (build().filter(Boolean)));
  if (focused && document.activeElement !== focused) {
    const again = root.contains(focused) ? focused : key && root.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (again) /** @type {HTMLElement} */ (again).focus({ preventScroll: true });
  }
}
