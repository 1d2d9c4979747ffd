// @ts-check
/** The connected accounts of whoever the client is for. */

import { useCallback, useEffect, useRef, useState } from "react";
import { TidingsError } from "../src/index.js";

const SETTLE_MS = 250; // news of connections comes in bursts

/** @typedef {import("../types/react.js").Connections} Connections */

/** @type {typeof import("../types/react.js").useConnections} */
export function useConnections(client) {
  /** @type {[Pick<Connections, "connections" | "error">, import("react").Dispatch<any>]} */
  const [state, setState] = useState({ connections: undefined, error: null });
  const ask = useRef(() => {});
  useEffect(() => {
    if (!client) return undefined;
    const over = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    let asked = 0;
    const load = async () => {
      const turn = ++asked;
      /** @type {Partial<typeof state>} */ let next;
      try {
        const { connections } = await client.request("api/connections", { signal: over.signal });
        next = { connections, error: null };
      } catch (error) {
        next = { error: /** @type {TidingsError} */ (error) }; // the last known ones stay in sight
      }
      if (turn !== asked || over.signal.aborted) return;
      setState((/** @type {typeof state} */ before) => ({ ...before, ...next }));
    };
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(load, SETTLE_MS);
    };
    ask.current = () => void load();
    const leave = [
      client.on("org.tidings.*", soon),
      client.on("notice", soon),
      // What was told while there was no stream, notices among it, is told no more.
      client.on("status", ({ state: now }) => now === "live" && soon()),
    ];
    void load();
    return () => {
      clearTimeout(timer);
      over.abort();
      leave.forEach((end) => end());
      ask.current = () => {};
    };
  }, [client]);
  const refresh = useCallback(() => ask.current(), []);
  const sync = useCallback(
    async (/** @type {string} */ id) => {
      if (!client) throw new TidingsError("unauthenticated", "There is no client yet.");
      await client.sync(id);
    },
    [client],
  );
  return { ...state, refresh, sync };
}
