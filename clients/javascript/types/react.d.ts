/** React hooks on the client; React 18 or later. */

export type { Client, Gap, Notice, Options, Status, TidingsEvent } from "./index.js";
import type { Client, Gap, Notice, Options, Status, TidingsError, TidingsEvent } from "./index.js";

export interface StreamOptions extends Omit<Options, "transport"> {
  /** How many of the newest events `events` holds. Default: 100. */
  limit?: number | undefined;
  /** `false` follows nothing, as long as nobody is signed in, say. Default: `true`. */
  enabled?: boolean | undefined;
  /** Called with each event. */
  onEvent?: ((event: TidingsEvent) => void) | undefined;
  /** Called with each gap. */
  onGap?: ((gap: Gap) => void) | undefined;
  /** Called with routine news. */
  onNotice?: ((notice: Notice) => void) | undefined;
}

export interface Stream {
  /** The newest events, newest first. */
  events: readonly TidingsEvent[];
  /** The last gap, null where there was none. */
  gap: Gap | null;
  /** As the client's. */
  status: Status;
  /** Why the stream waits or has ended, null while it does neither. */
  error: TidingsError | null;
  /** The client, to ask the API with; null before the first effect and while it is not `enabled`. */
  client: Client | null;
}

/**
 * Follow the stream while the component is there, by WebSocket or SSE, whichever comes about. Components with the same
 * options share one stream. Another `url`, filter, `after` or token begins anew; other functions do not.
 */
export function useTidings(options?: StreamOptions): Stream;

/** The same by Server-Sent Events alone. */
export function useServerSentEvents(options?: StreamOptions): Stream;

/** The same by a WebSocket alone. */
export function useWebSocket(options?: StreamOptions): Stream;

/** A connected account as `GET /api/connections` shows it. */
export interface Connection {
  id: string;
  platform: string;
  state: string;
  [field: string]: unknown;
}

export interface Connections {
  /** Undefined until they are known. */
  connections: readonly Connection[] | undefined;
  /** Why they could not be had just now. */
  error: TidingsError | null;
  /** Ask for them again; news of a connection does that by itself. */
  refresh(): void;
  /** Ask a connection's platform for news now. */
  sync(id: string): Promise<void>;
}

/** The connected accounts, kept fresh by the stream's own news of them. */
export function useConnections(client: Client | null): Connections;

export interface ServiceWorkerOptions {
  /** Of the script, on the page's own origin. */
  url: string | URL;
  /** The pages that it serves; by default those beside the script. */
  scope?: string | undefined;
  /** Called with each message that the worker posts to the page. */
  onMessage?: ((data: any) => void) | undefined;
}

export interface PageServiceWorker {
  /** `unsupported`: the browser has none, or the page is neither https nor localhost. */
  state: "unsupported" | "registering" | "ready" | "failed";
  /** The browser's own object, null until there is one. */
  registration: ServiceWorkerRegistration | null;
  /** Why it has failed. */
  error: Error | null;
  /** Whether a newer version waits for the pages of the old one to go. */
  updateReady: boolean;
  /** Let it take over (it is sent `{type: "SKIP_WAITING"}`), and load the page anew when it has. */
  update(): void;
}

/** Register a service worker, and learn of its new versions. */
export function useServiceWorker(options: ServiceWorkerOptions): PageServiceWorker;
