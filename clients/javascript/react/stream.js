// @ts-check
/** A stream for as long as a component is there. */

import { useEffect, useRef, useState } from "react";
import { connect } from "../src/index.js";

/** @typedef {import("../types/react.js").Stream} Stream */
/** @typedef {import("../types/react.js").StreamOptions} StreamOptions */
/** @typedef {Pick<Stream, "events" | "gap" | "status" | "client">} State */

/** @type {State} */
const NOTHING = Object.freeze({
  events: [],
  gap: null,
  client: null,
  status: { state: "connecting", transport: null, role: "alone", error: null, retryInMs: 0 },
});

/**
 * @param {StreamOptions} options
 * @param {"auto" | import("../types/index.js").Transport} transport
 * @returns {Stream}
 */
function useStream(options, transport) {
  const { enabled = true } = options;
  const [state, setState] = useState(NOTHING);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  // What a change of begins anew. JSON has no place for functions, and writes a URL as its text.
  const key = JSON.stringify({ ...options, limit: undefined, enabled: undefined });
  useEffect(() => {
    if (!enabled) return setState(NOTHING);
    const { getToken: given } = latest.current;
    const client = connect({
      ...latest.current,
      transport,
      getToken: given && ((request) => (latest.current.getToken ?? given)(request)),
    });
    client.on("event", (event) => {
      const { limit = 100 } = latest.current;
      setState((before) => ({ ...before, events: [event, ...before.events.slice(0, limit - 1)] }));
      latest.current.onEvent?.(event);
    });
    client.on("gap", (gap) => {
      setState((before) => ({ ...before, gap }));
      latest.current.onGap?.(gap);
    });
    client.on("notice", (notice) => latest.current.onNotice?.(notice));
    client.on("status", (status) => setState((before) => (before.client === client ? { ...before, status } : before)));
    setState({ ...NOTHING, client });
    return () => client.close();
  }, [key, enabled, transport]);
  return { ...state, error: state.status.error };
}

/** @type {typeof import("../types/react.js").useTidings} */
export const useTidings = (options = {}) => useStream(options, "auto");

/** @type {typeof import("../types/react.js").useServerSentEvents} */
export const useServerSentEvents = (options = {}) => useStream(options, "sse");

/** @type {typeof import("../types/react.js").useWebSocket} */
export const useWebSocket = (options = {}) => useStream(options, "websocket");
