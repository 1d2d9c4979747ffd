// @ts-check
/** The WebSocket at `/ws`, whose messages are JSON: `auth` and `subscribe` to the server, news from it. */

import { TidingsError } from "./error.js";
import { closed, refusal } from "./sse.js";

/** @typedef {import("./sse.js").Attempt} Attempt */
/** @typedef {import("./sse.js").Ending} Ending */

const RATE_LIMITED_MS = 60_000;
/** What the server's close codes say, where that is more than that the connection is gone. */
/** @type {Record<number, (error: TidingsError) => Ending>} */
const CLOSES = {
  1012: () => closed("restart"),
  4001: () => closed("expired"),
  4002: () => closed("revoked"),
  4003: () => closed("signed_out"),
  4004: () => closed("user_removed"),
  4401: (error) => ({ error, refused: true }),
  4403: (error) => ({ error, final: true }),
  4429: (error) => ({ error, retryAfterMs: RATE_LIMITED_MS }),
};

/** @param {Attempt} attempt @returns {Promise<Ending>} */
export function websocket(attempt) {
  const { base, filters, position, token, ticket, signal, opened, alive, heard, WebSocket } = attempt;
  return new Promise((resolve) => {
    if (!WebSocket) return resolve({ error: new TidingsError("unreachable", "There is no WebSocket here."), final: true });
    const url = new URL("ws", base);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.onerror = () => {}; // a close follows, which says more
    let said = new TidingsError("unreachable", "The WebSocket broke.");
    /** @type {number | undefined} */ let retryAfterMs;

    /** @param {Ending} ending */
    const end = (ending) => {
      signal.removeEventListener("abort", leave);
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      resolve(ending);
    };
    const leave = () => end({ error: said });
    signal.addEventListener("abort", leave);
    if (signal.aborted) return leave();

    /** @param {object} message */
    const send = (message) => socket.send(JSON.stringify(message));
    socket.onopen = () => {
      alive();
      if (token) send({ type: "auth", token });
      else if (ticket) send({ type: "auth", ticket });
      const lists = Object.entries(filters).map(([name, list]) => [name, list.split(",")]);
      send({ type: "subscribe", ...(position && { after: position }), ...Object.fromEntries(lists) });
    };
    socket.onmessage = ({ data }) => {
      alive();
      const { type, of, code, message, cursor, ...news } = JSON.parse(data);
      if (type === "event") heard({ kind: "event", cursor, data: news.event });
      else if (type === "gap") heard({ kind: "gap", cursor, data: news.gap });
      else if (type === "notice") heard({ kind: "notice", data: news.notice });
      else if (of === "subscribe") opened();
      else if (type === "error") {
        said = new TidingsError(code, message);
        if (news.retry_after_seconds > 0) retryAfterMs = news.retry_after_seconds * 1000;
        // What precedes a close is told apart by its code; a refused subscription leaves the connection open.
        const ending = refusal(said);
        if (ending.final) end(ending);
      }
      if (type === "cursor" || (of === "subscribe" && cursor)) heard({ kind: "cursor", cursor });
    };
    socket.onclose = ({ code, reason }) => {
      if (said.code === "unreachable" && reason) said = new TidingsError(reason, `The server closed it: ${reason}.`);
      end(CLOSES[code]?.(said) ?? { error: said, retryAfterMs });
    };
  });
}
