// @ts-check
/** A server on a local port that speaks the protocol of tidings' streams, and fails as it is told. */

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */
/** @typedef {{send: (name: string, cursor: string | undefined, data: any) => void, end: (reason: string) => void, cut: () => void, kind: "sse" | "websocket", token: string}} Stream */
/** @typedef {(request: Request, response: Response) => boolean | void} Whim what to do with a request; true if it answered */

/** @type {Record<string, number>} */
const CLOSE_CODES = { restart: 1012, expired: 4001, revoked: 4002, signed_out: 4003, user_removed: 4004 };

export class Server {
  epoch = "e1";
  head = 0;
  oldest = 1; // of the events kept
  hasWebSocket = true;
  accepts = new Set(["good"]);
  preamble = "";
  /** Answers requests in their turn. @type {Whim[]} */
  whims = [];
  /** @type {Set<Stream>} */ streams = new Set();
  /** All requests, as they came. @type {{method: string, path: string, query: URLSearchParams, headers: import("node:http").IncomingHttpHeaders, at: number}[]} */
  requests = [];
  /** What came by WebSocket. @type {any[]} */
  messages = [];
  #http = createServer((request, response) => this.#answer(request, response));
  #sockets = new WebSocketServer({ noServer: true });

  constructor() {
    this.#http.on("upgrade", (request, socket, head) => {
      this.#note(request);
      if (!this.hasWebSocket) return socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
      return this.#sockets.handleUpgrade(request, socket, head, (opened) => this.#converse(opened));
    });
  }

  /** @returns {Promise<this>} listening */
  async start() {
    await new Promise((resolve) => this.#http.listen(0, "127.0.0.1", () => resolve(undefined)));
    return this;
  }

  get url() {
    return `http://127.0.0.1:${/** @type {any} */ (this.#http.address()).port}`;
  }

  async stop() {
    for (const stream of this.streams) stream.cut();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  /** @param {number} count of events that happen */
  happen(count = 1) {
    for (let one = 0; one < count; one++) {
      this.head++;
      for (const stream of this.streams) stream.send("webhook_received", this.#cursor(this.head), this.event(this.head));
    }
  }

  /** @param {number} seq */
  event(seq) {
    const type = seq % 2 ? "com.github.push" : "com.slack.message";
    return { specversion: "1.0", id: `event-${seq}`, type, cursor: this.#cursor(seq), data: { title: `Event ${seq}: é → 🎉` } };
  }

  /** Come back from a backup: another epoch, whose journal ends here. @param {number} head */
  restore(head) {
    this.epoch += "r";
    this.head = head;
    this.cut();
  }

  cut() {
    for (const stream of this.#forget()) stream.cut();
  }

  /** @param {string} reason */
  end(reason) {
    for (const stream of this.#forget()) stream.end(reason);
  }

  #forget() {
    const open = [...this.streams];
    this.streams.clear(); // now, and not when their ends arrive
    return open;
  }

  /** The requests for streams. */
  get attempts() {
    return this.requests.filter(({ path }) => path === "/ws" || path === "/api/sse/stream");
  }

  /** @param {number} seq */
  #cursor(seq) {
    return `${this.epoch}-${seq}`;
  }

  /** @param {Request} request */
  #note(request) {
    const { pathname: path, searchParams: query } = new URL(request.url ?? "", "http://x");
    this.requests.push({ method: request.method ?? "", path, query, headers: request.headers, at: performance.now() });
    return { path, query };
  }

  /** @param {Request} request @param {Response} response */
  #answer(request, response) {
    const { path, query } = this.#note(request);
    if (this.whims.shift()?.(request, response)) return;
    const token = request.headers.authorization?.replace("Bearer ", "") ?? "";
    if (!this.accepts.has(token) && query.get("ticket") !== "ticket") return void refuse(response, 401, "unauthenticated");
    if (path === "/api/sse/stream") return this.#stream(response, request.headers["last-event-id"] ?? query.get("after"), token);
    if (path === "/api/me") return void say(response, 200, { user: { id: 1, name: "ann" } });
    if (path === "/api/connections/con1/sync") return void say(response, 202, {});
    return void refuse(response, 404, "not_found");
  }

  /** @param {Response} response @param {string | string[] | null} after @param {string} token */
  #stream(response, after, token) {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.socket?.setNoDelay(true);
    const write = (/** @type {string} */ text) => response.write(text);
    /** @type {Stream} */
    const stream = {
      kind: "sse",
      token,
      send: (name, id, data) => write(`${id ? `id: ${id}\n` : ""}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`),
      end: (reason) => {
        write(`event: closed\ndata: {"reason":"${reason}"}\n\n`);
        response.end();
      },
      cut: () => response.destroy(),
    };
    response.on("close", () => this.streams.delete(stream));
    write(this.preamble);
    this.#begin(stream, String(after ?? ""));
  }

  /** @param {import("ws").WebSocket} socket */
  #converse(socket) {
    const command = (/** @type {object} */ message) => socket.send(JSON.stringify(message));
    /** @type {Stream} */
    const stream = {
      kind: "websocket",
      token: "",
      send: (name, cursor, data) => {
        if (name === "cursor") return command({ type: "cursor", cursor });
        if (name === "gap") return command({ type: "gap", cursor, gap: data });
        if (!cursor) return command({ type: "notice", name, notice: data });
        return command({ type: "event", name, cursor, event: data });
      },
      end: (reason) => socket.close(CLOSE_CODES[reason], reason),
      cut: () => socket.terminate(),
    };
    socket.on("close", () => this.streams.delete(stream));
    socket.on("message", (text) => {
      const message = JSON.parse(String(text));
      this.messages.push(message);
      if (message.type === "auth") {
        stream.token = message.token ?? message.ticket;
        if (this.accepts.has(stream.token) || stream.token === "ticket") return command({ type: "ack", of: "auth" });
        command({ type: "error", code: "unauthenticated", message: "No." });
        return socket.close(4401, "unauthenticated");
      }
      if (!stream.token) return socket.close(4401, "unauthenticated");
      if (message.after === "nonsense") return command({ type: "error", code: "invalid_cursor", message: "No cursor." });
      command({ type: "ack", of: "subscribe", cursor: message.after || this.#cursor(this.head) });
      return this.#begin(stream, message.after ?? "");
    });
  }

  /** @param {Stream} stream @param {string} after */
  #begin(stream, after) {
    const [epoch, seq] = after === "0" ? [this.epoch, 0] : after ? after.split("-") : [this.epoch, this.head];
    let from = Number(seq);
    if (epoch !== this.epoch) {
      stream.send("gap", this.#cursor(0), { from: 1, to: from, count: from, reason: "restored" });
      from = 0;
    } else if (from < this.oldest - 1) {
      const count = this.oldest - 1 - from;
      stream.send("gap", this.#cursor(this.oldest - 1), { from: from + 1, to: this.oldest - 1, count, reason: "retention" });
      from = this.oldest - 1;
    } else if (stream.kind === "sse") stream.send("cursor", this.#cursor(from), {});
    for (let one = from + 1; one <= this.head; one++) stream.send("platform_sync", this.#cursor(one), this.event(one));
    this.streams.add(stream);
  }
}

/** @param {Response} response @param {number} status @param {object} body @param {Record<string, string>} [headers] */
export function say(response, status, body, headers = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  return true;
}

/** @param {Response} response @param {number} status @param {string} code @param {Record<string, string>} [headers] */
export function refuse(response, status, code, headers = {}) {
  return say(response, status, { error: { code, message: `Refused: ${code}.` } }, headers);
}

/** As a server does that has gone. @param {Request} _ @param {Response} response */
export function vanish(_, response) {
  response.destroy();
  return true;
}

/**
 * Until it is so. Fails after a while, which no test that passes waits for.
 * @param {() => unknown} condition
 * @param {string} what
 */
export async function until(condition, what = String(condition)) {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`It never came to be: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
