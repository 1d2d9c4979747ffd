// @ts-check
/** This browser as a device that news is pushed to. */

import { api } from "./api.js";
import { PUSH } from "./words.js";

/** @typedef {{problem: string, id: string}} Outcome `id`: of the device, "" where it is none */

/** Whether this browser can show what is pushed to it at all. */
export const canBePushed = () =>
  "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;

/** Whether it is an iPhone or iPad, on which only installed pages can be notified. */
export const isApplePhone = () => /iPhone|iPad/.test(navigator.userAgent);

/** What this browser calls itself: `Firefox on Linux`. */
export function deviceName() {
  const said = navigator.userAgent;
  const find = (/** @type {[RegExp, string][]} */ known) => known.find(([pattern]) => pattern.test(said))?.[1] ?? "";
  const browser = find([
    [/Edg\//, "Edge"],
    [/OPR\//, "Opera"],
    [/Firefox\//, "Firefox"],
    [/Chrome\//, "Chrome"],
    [/Safari\//, "Safari"],
  ]);
  const system = find([
    [/iPhone/, "iPhone"],
    [/iPad/, "iPad"],
    [/Android/, "Android"],
    [/Windows/, "Windows"],
    [/Mac OS X/, "Mac"],
    [/CrOS/, "ChromeOS"],
    [/Linux/, "Linux"],
  ]);
  return [browser, system].filter(Boolean).join(" · ");
}

/** @returns {Promise<PushSubscription | null>} */
async function subscription() {
  if (!canBePushed()) return null;
  const registration = await navigator.serviceWorker.getRegistration("/");
  return (await registration?.pushManager.getSubscription()) ?? null;
}

/**
 * Tell the server of this browser's subscription, if it has one: it may have forgotten it meanwhile.
 * @param {string} key the server's
 * @returns {Promise<Outcome>}
 */
export async function renew(key) {
  const known = await subscription();
  return known ? tell(known, key, "") : { problem: "", id: "" };
}

/**
 * Have news pushed here. To be called because of a click, else browsers don't ask.
 * @param {string} key the server's @param {string} label
 * @returns {Promise<Outcome>}
 */
export async function subscribe(key, label) {
  if ((await Notification.requestPermission()) !== "granted") return { problem: PUSH.denied, id: "" };
  try {
    return await tell((await subscription()) ?? (await subscribeAnew(key)), key, label);
  } catch (error) {
    return { problem: `${PUSH.refused} ${/** @type {Error} */ (error).message}`, id: "" };
  }
}

/** Have nothing pushed here any more. */
export async function unsubscribe() {
  await (await subscription())?.unsubscribe();
}

/** @param {string} key */
async function subscribeAnew(key) {
  const { pushManager } = await navigator.serviceWorker.ready;
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}

/**
 * @param {PushSubscription} known @param {string} key @param {string} label
 * @returns {Promise<Outcome>}
 */
async function tell(known, key, label) {
  const send = (/** @type {PushSubscription} */ one) =>
    api("/api/push/subscriptions", { ...one.toJSON(), key, label: label || deviceName() });
  let { ok, status, answer, problem } = await send(known);
  if (status === 409) {
    // It was made with another key of the server's.
    await known.unsubscribe();
    ({ ok, answer, problem } = await send(await subscribeAnew(key)));
  }
  return { problem: ok ? "" : problem, id: ok ? answer.id : "" };
}
