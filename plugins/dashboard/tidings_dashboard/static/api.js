// @ts-check
/** Asking the API, as whoever is signed in. */

import { API } from "./words.js";

/**
 * @typedef {{ok: boolean, status: number, answer: any, problem: string, kept: string}} Answer status 0: there was no
 *   answer; `kept`: when the service worker wrote this one down, "" for one of the server
 */

/**
 * Who is signed in; null for nobody. Read it where it is used: it changes.
 * @type {{me: {user: {id: number, name: string}, scopes: string[], csrf_token?: string} | null}}
 */
export const session = { me: null };

/** @param {string} scope whether who is signed in may do this */
export const may = (scope) => session.me?.scopes.includes(scope) ?? false;

/**
 * Ask the API.
 * @param {string} path
 * @param {object} [body] sent as JSON
 * @param {{method?: string, headers?: Record<string, string>, keepalive?: boolean}} [how] by default a GET, with a body
 *   a POST; `keepalive`: also while the page goes away
 * @returns {Promise<Answer>}
 */
export async function api(path, body, { method = body ? "POST" : "GET", headers = {}, keepalive = false } = {}) {
  const change = method !== "GET" && {
    headers: { "Content-Type": "application/json", "X-CSRF-Token": session.me?.csrf_token ?? "", ...headers },
    body: body && JSON.stringify(body),
    keepalive,
  };
  const request = { method, cache: "no-store", signal: AbortSignal.timeout(15_000), ...change };
  const response = await fetch(path, /** @type {RequestInit} */ (request)).catch(() => null);
  const answer = await response?.json().catch(() => null);
  const { ok, status } = response ?? { ok: false, status: 0 };
  const silent = status ? API.status(status) : API.silent;
  const kept = response?.headers.get("Tidings-Kept") ?? "";
  return { ok, status, answer, problem: answer?.error?.message ?? silent, kept };
}

/** Whether the server is out of reach, or its proxy says so. @param {Answer} answer */
export const isAway = ({ status }) => status === 0 || [502, 503, 504].includes(status);
