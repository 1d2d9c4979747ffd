// @ts-check
/** A client that keeps all that it was told, and ends with its test. */

import { connect } from "tidings-client";
import { WebSocket } from "ws";

/**
 * @param {import("node:test").TestContext} t
 * @param {import("./server.js").Server} server
 * @param {import("tidings-client").Options} [options]
 */
export function following(t, server, options) {
  const client = connect({
    url: server.url,
    token: "good",
    backoffMs: 2,
    WebSocket: /** @type {any} */ (WebSocket),
    ...options,
  });
  t.after(() => client.close());
  /** @type {string[]} */ const ids = [];
  /** @type {import("tidings-client").Gap[]} */ const gaps = [];
  /** @type {import("tidings-client").Notice[]} */ const notices = [];
  /** @type {import("tidings-client").Status[]} */ const statuses = [];
  client.on("event", ({ id }) => ids.push(id));
  client.on("gap", (gap) => gaps.push(gap));
  client.on("notice", (notice) => notices.push(notice));
  client.on("status", (status) => statuses.push(status));
  const states = () => statuses.map(({ state }) => state);
  return { client, ids, gaps, notices, statuses, states };
}

/** @param {number} first @param {number} last */
export function events(first, last) {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => `event-${first + index}`);
}
