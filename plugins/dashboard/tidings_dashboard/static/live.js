// @ts-check
/** The live feed: the JavaScript client, one stream for all tabs of this browser, and what it says of itself. */

import { connect } from "./client/index.js";

/** @typedef {"connecting" | "live" | "reconnecting" | "offline"} State */
/** @typedef {{from: number, to: number, count: number, reason: string}} Gap */
/**
 * @typedef {object} Listener
 * @property {(event: any) => void} event one CloudEvent
 * @property {(notice: any) => void} notice routine news that stands in no feed: `{type, platform, connection, …}`
 * @property {(gap: Gap) => void} gap events that can't be told any more
 * @property {(state: State) => void} state
 * @property {() => void} back live again, after it was not
 * @property {(reason: string) => void} closed the server ended the right to stream
 */

export class Live {
  /** @type {ReturnType<typeof connect> | null} */ #client = null;
  #wasLive = false;
  #listener;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** @param {string} cursor everything up to here is known @param {number} user whose tabs share a stream */
  start(cursor, user) {
    this.end();
    // By SSE alone: it is always there where this page is of use, and a WebSocket that is not would be tried in vain.
    const client = connect({ after: cursor, share: `user ${user}`, transport: "sse" });
    this.#client = client;
    this.#listener.state("connecting");
    client.on("event", this.#listener.event);
    client.on("notice", this.#listener.notice);
    client.on("gap", this.#listener.gap);
    client.on("status", (status) => this.#client === client && this.#tell(status));
  }

  /** Forget where it was. */
  end() {
    const client = this.#client;
    this.#client = null; // what it says from now on belongs to the past
    this.#wasLive = false;
    client?.close();
  }

  /** Say once more how it is: whether there is a network has changed. */
  look() {
    if (this.#client) this.#tell(this.#client.status);
  }

  /** @param {import("../../../../clients/javascript/types/index.js").Status} status */
  #tell({ state, error }) {
    if (state === "closed") return this.#listener.closed(error?.code ?? "");
    if (state === "live") {
      this.#listener.state("live");
      if (this.#wasLive) this.#listener.back();
      this.#wasLive = true;
    } else if (!navigator.onLine) this.#listener.state("offline");
    else this.#listener.state(this.#wasLive || state === "waiting" ? "reconnecting" : "connecting");
  }
}
