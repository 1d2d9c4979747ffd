// @ts-check
/** A page's service worker and its versions. */

import { useCallback, useEffect, useRef, useState } from "react";

/** @typedef {import("../types/react.js").PageServiceWorker} PageServiceWorker */
/** @typedef {Omit<PageServiceWorker, "update">} State */

/** @type {State} */
const REGISTERING = { state: "registering", registration: null, error: null, updateReady: false };

/** @type {typeof import("../types/react.js").useServiceWorker} */
export function useServiceWorker({ url, scope, onMessage }) {
  const [state, setState] = useState(REGISTERING);
  const told = useRef(onMessage);
  useEffect(() => {
    told.current = onMessage;
  });
  const script = String(url);
  useEffect(() => {
    if (!("serviceWorker" in navigator)) return setState({ ...REGISTERING, state: "unsupported" });
    const workers = navigator.serviceWorker;
    const over = new AbortController();
    const { signal } = over;
    workers.addEventListener("message", ({ data }) => told.current?.(data), { signal });
    workers.startMessages();
    workers
      .register(script, scope === undefined ? {} : { scope })
      .then((registration) => {
        if (signal.aborted) return;
        const look = () => {
          const updateReady = Boolean(registration.waiting && registration.active);
          const ready = registration.active?.state === "activated";
          setState({ ...REGISTERING, state: ready ? "ready" : "registering", registration, updateReady });
          for (const worker of [registration.installing, registration.waiting, registration.active]) {
            worker?.addEventListener("statechange", look, { signal });
          }
        };
        registration.addEventListener("updatefound", look, { signal });
        look();
      })
      .catch((error) => signal.aborted || setState({ ...REGISTERING, state: "failed", error }));
    return () => over.abort();
  }, [script, scope]);
  const { registration } = state;
  const update = useCallback(() => {
    const waiting = registration?.waiting;
    if (!waiting) return;
    waiting.addEventListener("statechange", () => waiting.state === "activated" && location.reload());
    waiting.postMessage({ type: "SKIP_WAITING" });
  }, [registration]);
  return { ...state, update };
}
