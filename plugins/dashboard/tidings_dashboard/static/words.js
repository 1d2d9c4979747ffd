// @ts-check
/** Data as words: times, names and addresses, fit to show whatever is in them. */

/** How the live connection is. */
export const STATES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  offline: "Offline",
  stopped: "Stopped",
  "signed-out": "Signed out",
};

/** What of the feed is in sight. */
export const SIEVE = {
  search: "Search this page",
  platform: "Platform",
  all: "All platforms",
  found: (/** @type {number} */ shown, /** @type {number} */ all) =>
    shown ? `${shown} of ${all}` : "Nothing on this page fits.",
};

/** The window's title for each view. @type {Record<string, string>} */
export const TITLES = { feed: "tidings", connections: "Connections · tidings", notifications: "Notifications · tidings" };

/** The view of notifications. */
export const PUSH = {
  heading: "Notifications",
  intro: "News on this device and others, also while no page of tidings is open. What a page in view shows is not repeated.",
  enable: "Notify this device",
  name: "What you call it",
  own: "this device",
  devices: "Devices",
  none: "No device is notified yet.",
  comesBack: "A device removed here comes back when tidings is opened there; to end that, remove it there, or sign out there.",
  full: (/** @type {number} */ most) => `You have ${most} devices already, which is as many as can be. Remove one first.`,
  denied: "This browser does not let this page notify you. Allow it in the browser’s settings for this site, then reload.",
  refused: "This browser gave no subscription.",
  unable: "This browser can’t be notified. It takes a page served over https, and no private window.",
  installFirst:
    "On an iPhone or iPad, add this page to the Home Screen first (Share, Add to Home Screen), open it from there, and " +
    "sign in there.",
  test: "Test",
  remove: "Remove",
  pushed: "Last notified ",
  never: "never",
  again: "tried again ",
  since: "added ",
  /** @type {Record<string, string>} */
  states: { new: "New", ok: "Works", failing: "Fails" },
  /** @type {Record<string, string>} */
  outcomes: {
    taken: "Sent. It should appear within moments.",
    refused: "Refused.",
    later: "Not now.",
    blocked: "The push service does not take it from this server.",
    gone: "The browser has ended this subscription, so the device was removed.",
  },
  rules: "What notifies",
  enabled: "Notify my devices",
  from: (/** @type {string} */ name) => `News from ${name}`,
  tidings: "tidings itself, and messages",
  types: "Only these types",
  typesHint: "None means all. * stands for any characters.",
  mutedTypes: "Never these types",
  examples: ["com.github.pull_request*"],
  notSaved: (/** @type {string} */ problem) => `Not saved. ${problem}`,
};

/** What the page says of itself. */
export const WORDS = {
  update: "There is a new version of this page.",
  updateNow: "Reload",
  kept: (/** @type {string} */ at) =>
    `The server is out of reach. This is what was here ${EXACT.format(new Date(at))}; the rest comes by itself.`,
  tooOld: "What that notification told of is further back than this page goes.",
};

const DAY_MS = 86_400_000;
export const LOCALE = navigator.languages.find((language) => language.startsWith("en")) ?? "en-GB";
const CLOCK = new Intl.DateTimeFormat(LOCALE, { timeStyle: "short" });
export const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });
const SHORT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const DATE = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long" });
const DATE_YEAR = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "long", year: "numeric" });

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

/** @param {number} ms */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** How long, at leisure: `24 hours`. @param {number} seconds */
export function span(seconds) {
  const [exact, unit] = seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  const many = Math.round(exact);
  return seconds < 90 ? `${Math.round(seconds)} seconds` : `${many} ${unit}${many === 1 ? "" : "s"}`;
}

/** @param {Date} at */
export const dayOf = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();

/** @param {number} day */
export function dayName(day) {
  const now = new Date();
  if (day === dayOf(now)) return "Today";
  if (day === dayOf(new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1))) return "Yesterday";
  return (new Date(day).getFullYear() === now.getFullYear() ? DATE : DATE_YEAR).format(day);
}

/** When, as short as it stays clear under the heading of `day`. @param {Date} at @param {number} day */
export function whenWords(at, day) {
  const now = Date.now();
  if (dayOf(at) !== dayOf(new Date(now))) return (dayOf(at) === day ? CLOCK : SHORT).format(at);
  const seconds = (now - at.getTime()) / 1000;
  if (seconds < -60) return CLOCK.format(at);
  if (seconds < 45) return "just now";
  if (seconds < 3570) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/** When, from now: `in 5 min`, `3 h ago`, a date. @param {Date} at */
export function fromNow(at) {
  const ms = at.getTime() - Date.now();
  if (Math.abs(ms) > 2 * DAY_MS) return DATE_YEAR.format(at);
  if (ms < 0) return -ms < 45_000 ? "just now" : `${duration(Math.max(-ms, 90_000))} ago`;
  return ms < 5_000 ? "now" : `in ${duration(ms < 10_000 ? 10_000 : ms)}`;
}
