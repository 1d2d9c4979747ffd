// @ts-check
/** React hooks on the client. */

export { useConnections } from "./connections.js";
export { useServiceWorker } from "./service-worker.js";
export { useServerSentEvents, useTidings, useWebSocket } from "./stream.js";
