/** Follows a tidings server: every event once, in order, over whatever connection holds. */

/** A CloudEvent (https://github.com/cloudevents/spec) as tidings sends it, the same on every transport. */
export interface TidingsEvent<Data = EventData> {
  specversion: "1.0";
  /** The same whichever way the event came. */
  id: string;
  /** A URI reference: `//github.com/octo/repo`. */
  source: string;
  /** Reverse DNS: `com.github.push`. */
  type: string;
  subject?: string;
  /** When it happened at the platform (RFC 3339). */
  time?: string;
  datacontenttype: "application/json";
  /** The number in the journal, with zeros in front. */
  sequence: string;
  /** When tidings stored it (RFC 3339). */
  recordedtime: string;
  /** The platform's id: `github`. */
  platform: string;
  /** The connection it came by. */
  connection?: string;
  /** How it came: `webhook`, `polling`, `api`, …. */
  via: string;
  /** Resume here, on any transport. */
  cursor: string;
  data: Data;
}

/** Enough to show an event without knowing its platform. It was written by strangers: show it as text. */
export interface EventData {
  title?: string;
  text?: string;
  url?: string;
  actor?: { name?: string; avatar_url?: string; url?: string };
  [field: string]: unknown;
}

/** Routine news that stands in no journal and has no cursor: who is not connected just then never gets it. */
export interface Notice {
  type: string;
  platform?: string;
  connection?: string;
  title?: string;
  text?: string;
  url?: string;
  [field: string]: unknown;
}

/** Events that can't be had any more: `count` of them. */
export interface Gap {
  from: number;
  to: number;
  count: number;
  /** Cut by age or number; or the server was restored from a backup, and reading goes on from the oldest event. */
  reason: "retention" | "restored";
}

export type Transport = "sse" | "websocket";

export interface Status {
  /**
   * `connecting`: a connection is being made. `live`: events come as they happen. `waiting`: for the next attempt,
   * because of `error`. `paused`: nobody looks (`pauseWhenHidden`), or nobody reads (`buffer`). `closed`: for good,
   * by `close()` or because of `error`.
   */
  state: "connecting" | "live" | "waiting" | "paused" | "closed";
  /** By what the events come, while they do; else null. */
  transport: Transport | null;
  /** Whether this client holds the stream of the browser, listens to another tab's, or has one of its own. */
  role: "leader" | "follower" | "alone";
  /** Why it waits or is closed. */
  error: TidingsError | null;
  /** How long the wait is, in milliseconds; 0 in the other states. */
  retryInMs: number;
}

/** Why there is no stream, or why a request was refused. */
export class TidingsError extends Error {
  constructor(code: string, message: string, status?: number);
  readonly name: "TidingsError";
  /** A code of the server (`unauthenticated`, `forbidden`, …), why it closed the stream, `silent` or `unreachable`. */
  readonly code: string;
  /** The HTTP status, 0 where there was no answer. */
  readonly status: number;
}

export interface TokenRequest {
  /** Why one is wanted: "" for the first, else what the last one was refused for (`expired`, `unauthenticated`, …). */
  reason: string;
  signal: AbortSignal;
}

export interface Options {
  /** Where tidings is, `https://tidings.example.org`; a path is kept. By default the page's own origin. */
  url?: string | URL | undefined;
  /** An API token or a JWT, sent as `Authorization: Bearer`. Without any credentials the session cookie counts. */
  token?: string | undefined;
  /** Gives a token when one is needed: at first, and each time that the last one is not accepted any more. */
  getToken?: ((request: TokenRequest) => string | Promise<string>) | undefined;
  /** From `POST /api/tickets`, for a page that must not know a token. It serves one stream. */
  ticket?: string | undefined;
  /** `auto` tries a WebSocket, then SSE where that does not come about. Default: `auto`. */
  transport?: "auto" | Transport | undefined;
  /** A cursor: what came later is sent first. `"0"` is the oldest event kept; without it the stream begins now. */
  after?: string | undefined;
  /** Only these CloudEvents types, `*` for any characters: `["com.github.pull_request*"]`. */
  types?: string | readonly string[] | undefined;
  /** Only these platforms: `["github", "slack"]`. */
  platforms?: string | readonly string[] | undefined;
  /** End the stream while the page is hidden, and make up for it afterwards. Default: `false`. */
  pauseWhenHidden?: boolean | undefined;
  /**
   * Whether all tabs of this browser with the same url, filters and user use one stream (default: `true`). A text
   * names the user, where token and cookie don't tell. Needs Web Locks, so https or localhost.
   */
  share?: boolean | string | undefined;
  /** The longest silence before a connection counts as dead, in milliseconds. Default: 45,000. */
  silenceMs?: number | undefined;
  /** The first wait after a failure is at most this long, and doubles from there, in milliseconds. Default: 1,000. */
  backoffMs?: number | undefined;
  /** The longest wait of that kind, in milliseconds. Default: 30,000. */
  maxBackoffMs?: number | undefined;
  /** How many events an iterator keeps for a slow reader before the stream pauses. Default: 1,000. */
  buffer?: number | undefined;
  /** In place of the global one, for Node before version 22: that of the package `ws`. */
  WebSocket?: typeof globalThis.WebSocket | undefined;
}

export interface Listeners {
  /** Each event, in order, once. */
  event: TidingsEvent;
  /** Events that can't be had any more. */
  gap: Gap;
  /** Routine news, which no journal keeps. */
  notice: Notice;
  /** The connection has come, gone, or changed its part. */
  status: Status;
  /** The position moved, also without an event: keep it, to come back with `after`. */
  cursor: string;
}

/** A type of CloudEvents, `*` for any characters: `com.github.push`, `com.github.*`. */
export type TypePattern = `${string}.${string}`;

export interface Client extends AsyncIterable<TidingsEvent> {
  /** Up to where events were given out; undefined until the server has said where the stream begins. */
  readonly cursor: string | undefined;
  readonly status: Status;
  /** Call `listener` for each; the function that comes back ends that. */
  on<Name extends keyof Listeners>(name: Name, listener: (news: Listeners[Name]) => void): () => void;
  on(type: TypePattern, listener: (event: TidingsEvent) => void): () => void;
  /**
   * Ask the JSON API with the client's credentials; what it answers, null for an empty answer.
   * @throws {TidingsError} It refused, or did not answer.
   */
  request(path: string, options?: { method?: string; body?: unknown; signal?: AbortSignal }): Promise<any>;
  /** Ask a connection's platform for news now; what is new comes as events. */
  sync(connection: string): Promise<void>;
  /** End it. Another tab takes the stream over, if it was this one's; iterators end. */
  close(): void;
  [Symbol.asyncIterator](): AsyncIterableIterator<TidingsEvent>;
}

/**
 * Follow the stream until `close()`. Connects after the current task, so that listeners added at once miss nothing.
 * @throws {TypeError} The options can't be used as they are.
 */
export function connect(options?: Options): Client;

/** Whether who is at the cursor `known` has seen what is at `cursor`; of another journal nobody has seen anything. */
export function isPast(known: string | undefined, cursor: string | undefined): boolean;
