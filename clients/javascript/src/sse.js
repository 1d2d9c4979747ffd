// @ts-check
/** Server-Sent Events by `fetch`: unlike `EventSource` it sends a header, and tells a refusal from an outage. */

import { TidingsError, errorOf, retryAfterMs } from "./error.js";
import { Parser } from "./parser.js";

/**
 * One thing that a stream tells.
 * @typedef {object} News
 * @property {"event" | "gap" | "cursor" | "notice"} kind
 * @property {string} [cursor] the position after it
 * @property {any} [data]
 */
/**
 * @typedef {object} Attempt
 * @property {URL} base where tidings is
 * @property {Record<string, string>} filters
 * @property {string | undefined} position
 * @property {string | undefined} token
 * @property {string | undefined} ticket
 * @property {AbortSignal} signal
 * @property {number} silenceMs
 * @property {typeof WebSocket | undefined} WebSocket
 * @property {() => void} opened
 * @property {() => void} alive something was heard, be it a heartbeat
 * @property {(news: News) => void} heard
 * @property {(ms: number) => void} pace what the server says to wait before reconnecting
 */
/**
 * How an attempt ended.
 * @typedef {object} Ending
 * @property {TidingsError} error
 * @property {boolean} [refused] the credentials are not accepted: others may be
 * @property {boolean} [final] trying again would give the same
 * @property {boolean} [calm] the server left in good order and means to be back
 * @property {number | undefined} [retryAfterMs]
 */

/** Reasons for which the server ends a stream (`closed`), and for which no other credentials would do. */
const LAST_WORDS = new Set(["signed_out", "user_removed"]);

/** @param {Attempt} attempt @returns {Promise<Ending>} */
export async function sse(attempt) {
  try {
    const answer = await ask(attempt);
    const type = answer.headers.get("content-type") ?? "";
    if (!answer.ok || !answer.body) return refusal(await errorOf(answer), retryAfterMs(answer));
    if (!type.startsWith("text/event-stream")) {
      return { error: new TidingsError("unavailable", `Something else answered: ${type || "no type"}.`, 502) };
    }
    return await read(answer.body, attempt);
  } catch (error) {
    return { error: new TidingsError("unreachable", `The connection broke: ${/** @type {any} */ (error)?.message}`) };
  }
}

/** @param {Attempt} attempt */
function ask({ base, filters, position, token, ticket, signal }) {
  const url = new URL("api/sse/stream", base);
  const headers = new Headers({ Accept: "text/event-stream" });
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const query = new URLSearchParams(filters);
  if (ticket) query.set("ticket", ticket);
  // With a ticket no header is sent, so that browsers need not ask the server beforehand (CORS).
  if (position && ticket) query.set("after", position);
  else if (position) headers.set("Last-Event-ID", position);
  url.search = String(query);
  const credentials = token || ticket ? "omit" : "same-origin";
  return fetch(url, { headers, signal, credentials, cache: "no-store" });
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {Attempt} attempt
 * @returns {Promise<Ending>}
 */
async function read(body, { signal, opened, alive, heard, pace }) {
  const parser = new Parser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let open = false;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    alive();
    if (!open) opened();
    open = true;
    for (const { name, data, id } of parser.feed(decoder.decode(piece.value, { stream: true }))) {
      if (signal.aborted) break;
      if (name === "closed") return closed(JSON.parse(data).reason);
      heard(newsOf(name, JSON.parse(data), id));
    }
    if (parser.retryMs !== undefined) pace(parser.retryMs);
  }
  return { error: new TidingsError("unreachable", "The connection ended.") };
}

/**
 * @param {string} name
 * @param {any} data
 * @param {string | undefined} cursor
 * @returns {News}
 */
export function newsOf(name, data, cursor) {
  if (cursor === undefined) return { kind: "notice", data };
  if (name === "cursor") return { kind: "cursor", cursor };
  return { kind: name === "gap" ? "gap" : "event", cursor, data };
}

/** @param {string} reason that the server gives for ending the stream @returns {Ending} */
export function closed(reason) {
  const error = new TidingsError(reason, `The server ended the stream: ${reason.replaceAll("_", " ")}.`);
  if (reason === "restart") return { error, calm: true };
  return LAST_WORDS.has(reason) ? { error, final: true } : { error, refused: true };
}

/**
 * @param {TidingsError} error
 * @param {number} [wait]
 * @returns {Ending}
 */
export function refusal(error, wait) {
  if (error.status === 401) return { error, refused: true };
  // A proxy between may refuse for a while what the server would take, so only its own word is final.
  const final = ["forbidden", "invalid_cursor", "rejected"].includes(error.code);
  return { error, final, retryAfterMs: wait };
}
