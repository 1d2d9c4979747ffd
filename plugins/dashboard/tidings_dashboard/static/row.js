// @ts-check
/** An event as a row of the feed, and as words to look for. */

import { emblem, make, outward } from "./dom.js";
import {
  EXACT,
  connectionPlace,
  consentStart,
  dayOf,
  duration,
  isVisible,
  pictureAddress,
  sourceName,
  text,
  webAddress,
  whenWords,
} from "./formats.js";
import { FEED } from "./words.js";

const AT_ONCE_MS = 50; // less would read "0.0 s late"
const OWN = "org.tidings.connection."; // tidings' own news of a connection
const OWN_PLATFORM = "tidings";
/** @type {Record<string, string>} */
const TONES = {
  connected: "good",
  reconnected: "good",
  healed: "good",
  needs_reauth: "bad",
  parked: "bad",
  gap: "wary",
  attention: "wary",
  quiet: "wary",
  reauthorize_soon: "wary",
};

/** @typedef {{name: string, icon: string, named_sources: boolean}} Platform */
/** @typedef {{platforms: Map<string, Platform>, accounts: Map<string, string>}} Names by id: platforms, connections */

/** @param {any} event */
const ownKind = (event) => (text(event.type).startsWith(OWN) ? text(event.type).slice(OWN.length) : "");

/** How good tidings' own news is: `good`, `bad`, `wary` or `plain`; "" for other news. @param {any} event */
export const toneOf = (event) => (ownKind(event) ? (TONES[ownKind(event)] ?? "plain") : "");

/** The platform that it is news of. @param {any} event */
export const platformOf = (event) => text(ownKind(event) ? event.data?.platform : event.platform);

/** Which consent it asks for, if any. @param {any} event */
export function asksOf({ data }) {
  const place = connectionPlace(data?.url);
  if (!place || !consentStart(data?.reauthorize)) return null;
  return { connection: place.slice(place.lastIndexOf("/") + 1), by: text(data.by) };
}

/** What it can be found by, in small letters. @param {any} event @param {Names} names */
export function haystack(event, names) {
  const data = event.data ?? {};
  const platform = names.platforms.get(platformOf(event))?.name;
  const found = [title(event), data.text, data.actor?.name, where(event, names), platform, event.type];
  return found.map(text).join("\n").toLowerCase();
}

/**
 * @param {HTMLTemplateElement} template
 * @param {any} event a CloudEvent
 * @param {Names} names
 * @param {{isOpen: boolean}} state whether its text is unfolded; kept there
 * @returns {HTMLLIElement}
 */
export function eventRow(template, event, names, state) {
  const row = /** @type {HTMLLIElement} */ (template.content.firstElementChild?.cloneNode(true));
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (row.querySelector(name));
  const data = event.data ?? {};
  const own = ownKind(event);
  row.dataset.id = event.id;
  row.dataset.cursor = text(event.cursor);
  showFace(part, event, names);
  showWords(part, event, state);
  part(".unread").setAttribute("aria-label", FEED.unread);
  part(".actor").append(outward(webAddress(data.actor?.url), text(data.actor?.name)));
  part(".source").textContent = where(event, names);
  part(".source").title = text(event.source);
  showTimes(part, event);
  for (const span of row.querySelectorAll(".meta > span")) if (!span.textContent) span.remove();
  if (own) row.dataset.tone = toneOf(event);
  const place = own ? connectionPlace(data.url) : "";
  if (place) part(".title").replaceChildren(make("a", { href: place }, title(event)));
  const start = own && asksOf(event) ? consentStart(data.reauthorize) : "";
  if (start) /** @type {HTMLAnchorElement} */ (part(".act a")).href = start;
  else part(".act").remove();
  return row;
}

/** Let its time follow the clock. @param {HTMLElement} row @param {number} day under whose heading it stands */
export function tellTime(row, day) {
  const time = row.querySelector("time");
  const words = time && whenWords(new Date(time.dateTime), day);
  if (time && time.textContent !== words) time.textContent = words;
}

/** Offer to unfold its text if there is more of it than is seen. @param {HTMLElement} row */
export function offerMore(row) {
  const words = row.querySelector(".text");
  const more = /** @type {HTMLElement | null} */ (row.querySelector(".more"));
  if (words && more && !words.classList.contains("open")) more.hidden = words.scrollHeight <= words.clientHeight + 1;
}

/** @param {any} event */
const title = (event) => text(event.data?.title) || event.type;

/** Where it comes from, as people say it: a repository, else whose account. @param {any} event @param {Names} names */
function where(event, names) {
  const platform = names.platforms.get(platformOf(event));
  if (ownKind(event)) return platform?.name ?? platformOf(event);
  if (platform?.named_sources) return sourceName(text(event.source));
  if (event.platform === OWN_PLATFORM) return FEED.own;
  return names.accounts.get(event.connection) ?? platform?.name ?? text(event.platform);
}

/** @param {(name: string) => HTMLElement} part @param {any} event @param {Names} names */
function showFace(part, event, names) {
  const [actor, own, id] = [text(event.data?.actor?.name), ownKind(event), platformOf(event)];
  const platform = names.platforms.get(id);
  const face = /** @type {HTMLImageElement} */ (part("img"));
  const address = pictureAddress(event.data?.actor?.avatar_url);
  face.onerror = () => face.remove();
  if (address) face.src = address;
  else face.remove();
  if (platform && (own || !actor)) part(".initial").replaceChildren(emblem(platform));
  else part(".initial").textContent = [...(actor || id)].find(isVisible) ?? "";
  const mark = part(".mark");
  if (own) return mark.remove();
  mark.replaceChildren(platform ? emblem(platform) : id.slice(0, 1));
  mark.title = `${platform?.name ?? id}, ${event.type}`;
  mark.setAttribute("aria-label", platform?.name ?? id);
}

/** @param {(name: string) => HTMLElement} part @param {any} event @param {{isOpen: boolean}} state */
function showWords(part, event, state) {
  part(".title").append(outward(webAddress(event.data?.url), title(event)));
  const more = part(".more");
  const body = part(".text");
  body.textContent = text(event.data?.text).trim();
  const show = () => {
    body.classList.toggle("open", state.isOpen);
    more.textContent = state.isOpen ? FEED.less : FEED.more;
    more.setAttribute("aria-expanded", String(state.isOpen));
    more.hidden = !state.isOpen; // until it has been measured
  };
  show();
  more.onclick = () => {
    state.isOpen = !state.isOpen;
    show();
    more.hidden = false;
  };
  if (body.textContent) return;
  body.remove();
  more.remove();
}

/** @param {(name: string) => HTMLElement} part @param {any} event */
function showTimes(part, event) {
  const recorded = new Date(event.recordedtime);
  const happened = event.time ? new Date(event.time) : recorded;
  const time = /** @type {HTMLTimeElement} */ (part("time"));
  time.dateTime = happened.toISOString();
  time.title = EXACT.format(happened);
  const own = ownKind(event);
  const lag = recorded.getTime() - happened.getTime();
  const isLate = !own && event.platform !== OWN_PLATFORM && lag >= AT_ONCE_MS;
  part(".via").textContent = own ? "" : (FEED.ways[text(event.via)] ?? text(event.via));
  part(".late").textContent = isLate ? FEED.late(duration(lag)) : "";
  part(".via").title = FEED.recorded(isLate ? FEED.howLate : FEED.how, EXACT.format(recorded));
}
