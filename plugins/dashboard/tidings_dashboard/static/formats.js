// @ts-check
/** Data as words: times, names and addresses, fit to show whatever is in them. */

import { LANGUAGE, TIME } from "./words.js";

const DAY_MS = 86_400_000;
const CLOCK = new Intl.DateTimeFormat(LANGUAGE, { timeStyle: "short" });
export const EXACT = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "full", timeStyle: "long" });
export const SHORT = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
const DATE = new Intl.DateTimeFormat(LANGUAGE, { weekday: "long", day: "numeric", month: "long" });
const DATE_YEAR = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "long", year: "numeric" });
const HOUR = new Intl.DateTimeFormat(LANGUAGE, { weekday: "short", hour: "2-digit", minute: "2-digit" });

/** A number as people write it. @param {number} count */
export const number = (count) => count.toLocaleString(LANGUAGE);

/** The beginning of an hour: `Thu 14:00`. @param {Date} at */
export const hourName = (at) => HOUR.format(at);

/** Whether a reader sees anything of it: joiners, fillers and marks alone are nothing to see or to click. */
export const isVisible = (/** @type {string} */ words) => /[^\s\p{Cc}\p{Cf}\p{M}\p{DI}\u2800]/u.test(words);

/** @param {unknown} value */
export const text = (value) => (typeof value === "string" && isVisible(value) ? value : "");

/** A link only where it leads to the web: never `javascript:` and the like. @param {unknown} value */
export function webAddress(value, protocols = ["https:", "http:"]) {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : null;
  return url && protocols.includes(url.protocol) ? url.href : "";
}

/** A picture only from where the page's policy lets it come, and never by asking our API. @param {unknown} value */
export function pictureAddress(value) {
  const address = webAddress(value);
  if (!address.startsWith(`${location.origin}/`)) return address.startsWith("https:") ? address : "";
  return /^\/(api|login)\//.test(new URL(address).pathname) ? "" : address;
}

/** A connection's place on this page. @param {unknown} value */
export const connectionPlace = (value) => (/^\/#connections\/\w+$/.test(String(value)) ? String(value) : "");

/** Where a consent begins anew. @param {unknown} value */
export const consentStart = (value) =>
  /^\/api\/oauth\/[\w-]+\/start(\?connection=\w+)?$/.test(String(value)) ? String(value) : "";

/** `//github.com/octo/repo` as people say it: `octo/repo`. @param {string} source */
export function sourceName(source) {
  const plain = source.replace(/^([a-z]+:)?\/\//i, "");
  return plain.slice(plain.indexOf("/") + 1) || plain;
}

/** How long, in short: `0.4 s`, `3 h`. @param {number} ms */
export function duration(ms) {
  const seconds = ms / 1000;
  const { second, minute, hour, day } = TIME.short;
  if (seconds < 10) return second(seconds % 1 ? seconds.toFixed(1) : seconds);
  if (seconds < 90) return second(Math.round(seconds));
  if (seconds < 3600) return minute(Math.round(seconds / 60));
  if (seconds < 172_800) return hour(Math.round(seconds / 3600));
  return day(Math.round(seconds / 86_400));
}

/** How long, at leisure: `24 hours`. @param {number} seconds */
export function span(seconds) {
  if (seconds < 90) return TIME.seconds(Math.round(seconds));
  if (seconds < 5400) return TIME.minutes(Math.round(seconds / 60));
  return seconds < 172_800 ? TIME.hours(Math.round(seconds / 3600)) : TIME.days(Math.round(seconds / 86_400));
}

/** @param {Date} at */
export const dayOf = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();

/** @param {number} day */
export function dayName(day) {
  const now = new Date();
  if (day === dayOf(now)) return TIME.today;
  if (day === dayOf(new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1))) return TIME.yesterday;
  return (new Date(day).getFullYear() === now.getFullYear() ? DATE : DATE_YEAR).format(day);
}

/** When, as short as it stays clear under the heading of `day`. @param {Date} at @param {number} day */
export function whenWords(at, day) {
  const now = Date.now();
  if (dayOf(at) !== dayOf(new Date(now))) return (dayOf(at) === day ? CLOCK : SHORT).format(at);
  const seconds = (now - at.getTime()) / 1000;
  if (seconds < -60) return CLOCK.format(at);
  if (seconds < 45) return TIME.justNow;
  if (seconds < 3570) return TIME.ago(TIME.short.minute(Math.max(1, Math.round(seconds / 60))));
  return TIME.ago(TIME.short.hour(Math.round(seconds / 3600)));
}

/** When, from now: `in 5 min`, `3 h ago`, a date. @param {Date} at */
export function fromNow(at) {
  const ms = at.getTime() - Date.now();
  if (Math.abs(ms) > 2 * DAY_MS) return DATE_YEAR.format(at);
  if (ms < 0) return -ms < 45_000 ? TIME.justNow : TIME.ago(duration(Math.max(-ms, 90_000)));
  return ms < 5_000 ? TIME.now : TIME.in(duration(ms < 10_000 ? 10_000 : ms));
}
