// @ts-check
/** An event as a row of the feed. */

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
} from "./words.js";

const DAY_MS = 86_400_000;
const AT_ONCE_MS = 50; // less would read "0.0 s after"
const OWN = "org.tidings.connection."; // tidings' own news of a connection
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

/** @typedef {{name: string, icon: string}} Platform */

/**
 * @param {HTMLTemplateElement} template
 * @param {any} event a CloudEvent
 * @param {Map<string, Platform>} platforms by id
 * @returns {HTMLLIElement}
 */
export function eventRow(template, event, platforms) {
  const row = /** @type {HTMLLIElement} */ (template.content.firstElementChild?.cloneNode(true));
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (row.querySelector(name));
  const data = event.data ?? {};
  const actor = text(data.actor?.name);
  const own = text(event.type).startsWith(OWN) ? text(event.type).slice(OWN.length) : "";
  const platform = text(own ? data.platform : event.platform);
  const recorded = new Date(event.recordedtime);
  const happened = event.time ? new Date(event.time) : recorded;
  row.dataset.id = event.id;
  row.dataset.platform = platform;
  row.dataset.cursor = text(event.cursor);
  row.dataset.day = String(dayOf(recorded));

  showFace(part, platforms.get(platform), { actor, platform, own, type: event.type, picture: data.actor?.avatar_url });
  showWords(part, data, event.type);
  part(".actor").append(outward(webAddress(data.actor?.url), actor));
  part(".source").textContent = own ? (platforms.get(platform)?.name ?? platform) : sourceName(text(event.source));
  part(".source").title = text(event.source);
  const time = /** @type {HTMLTimeElement} */ (part("time"));
  time.dateTime = happened.toISOString();
  time.title = EXACT.format(happened);
  const lag = recorded.getTime() - happened.getTime();
  const late = event.time && lag >= AT_ONCE_MS && lag < DAY_MS ? `, ${duration(lag)} after` : "";
  part(".via").textContent = own ? "" : `${text(event.via)}${late}`;
  const came = `How it came${late ? ", and how long after it happened" : ""}.`;
  part(".via").title = `${came} Recorded ${EXACT.format(recorded)}.`;
  for (const span of row.querySelectorAll(".meta > *")) if (!span.textContent && span !== time) span.remove();

  const place = own ? connectionPlace(data.url) : "";
  if (own) row.dataset.tone = TONES[own] ?? "plain";
  if (place) {
    row.dataset.connection = place.slice(place.lastIndexOf("/") + 1);
    part(".title").replaceChildren(make("a", { href: place }, words(data, event)));
  }
  const start = place ? consentStart(data.reauthorize) : "";
  if (start) {
    row.dataset.asks = "consent";
    row.dataset.by = text(data.by);
    /** @type {HTMLAnchorElement} */ (part(".act a")).href = start;
  } else part(".act").remove();
  return row;
}

/** @param {any} data @param {any} event */
const words = (data, event) => text(data.title) || event.type;

/**
 * @param {(name: string) => HTMLElement} part
 * @param {Platform | undefined} known
 * @param {{actor: string, platform: string, own: string, type: string, picture: unknown}} event
 */
function showFace(part, known, { actor, platform, own, type, picture }) {
  const face = /** @type {HTMLImageElement} */ (part("img"));
  const address = pictureAddress(picture);
  face.onerror = () => face.remove();
  if (address) face.src = address;
  else face.remove();
  if (own && known) part(".initial").replaceChildren(emblem(known));
  else part(".initial").textContent = [...(actor || platform)].find(isVisible) ?? "";
  const mark = part(".mark");
  if (own) return mark.remove();
  mark.replaceChildren(known ? emblem(known) : platform.slice(0, 1));
  mark.title = `${platform}, ${type}`;
  mark.setAttribute("aria-label", platform);
}

/** @param {(name: string) => HTMLElement} part @param {any} data @param {string} type */
function showWords(part, data, type) {
  part(".title").append(outward(webAddress(data.url), words(data, { type })));
  const more = part(".more");
  const body = part(".text");
  body.textContent = text(data.text).trim();
  more.onclick = () => {
    const open = body.classList.toggle("open");
    more.textContent = open ? "less" : "more";
    more.setAttribute("aria-expanded", String(open));
  };
  if (body.textContent) return;
  body.remove();
  more.remove();
}
