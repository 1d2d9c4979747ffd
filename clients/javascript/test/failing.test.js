// @ts-check
/** What becomes of a client when the server refuses, goes away, or falls silent. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, TidingsError } from "tidings-client";
import { events, following } from "./following.js";
import { Server, refuse, say, until, vanish } from "./server.js";

/** @typedef {import("tidings-client").Transport} Transport */

/** @param {import("node:test").TestContext} t */
async function serving(t) {
  const server = await new Server().start();
  t.after(() => server.stop());
  return server;
}

/**
 * Gives these tokens one after the other, and notes why each was wanted.
 * @param {...string} tokens
 */
function giving(...tokens) {
  /** @type {string[]} */ const reasons = [];
  return {
    reasons,
    /** @param {import("tidings-client").TokenRequest} request */
    getToken: async ({ reason }) => {
      reasons.push(reason);
      return tokens.shift() ?? "";
    },
  };
}

for (const transport of /** @type {Transport[]} */ (["sse", "websocket"])) {
  test(`${transport}: a server that restarts is found again at the last position`, async (t) => {
    const server = await serving(t);
    const { ids, statuses } = following(t, server, { transport, after: "0" });
    await until(() => server.streams.size === 1);
    server.happen(2);
    server.end("restart");
    server.happen(2);
    await until(() => ids.length === 4);
    assert.deepEqual(ids, events(1, 4));
    assert.equal(statuses.find(({ state }) => state === "waiting")?.error?.code, "restart");
  });

  test(`${transport}: credentials that expire are replaced, and nothing is missed meanwhile`, async (t) => {
    const server = await serving(t);
    server.accepts = new Set(["first", "second"]);
    const { getToken, reasons } = giving("first", "second");
    const { ids } = following(t, server, { transport, after: "0", token: undefined, getToken });
    await until(() => server.streams.size === 1);
    server.happen(2);
    server.accepts.delete("first");
    server.end("expired");
    server.happen(2);
    await until(() => ids.length === 4);
    assert.deepEqual(ids, events(1, 4));
    assert.deepEqual(reasons, ["", "expired"]);
    assert.equal([...server.streams][0]?.token, "second");
  });

  test(`${transport}: a token that is refused is asked for once more, and no more than once`, async (t) => {
    const server = await serving(t);
    const { getToken, reasons } = giving("bad", "good");
    const found = following(t, server, { transport, token: undefined, getToken });
    await until(() => found.client.status.state === "live");
    assert.deepEqual(reasons, ["", "unauthenticated"]);

    const hopeless = giving("bad", "worse", "good");
    const lost = following(t, server, { transport, token: undefined, getToken: hopeless.getToken });
    await until(() => lost.client.status.state === "closed");
    assert.equal(lost.client.status.error?.code, "unauthenticated");
    assert.deepEqual(hopeless.reasons, ["", "unauthenticated"]);
  });

  test(`${transport}: a token that can't be renewed ends the client, and tells whoever iterates`, async (t) => {
    const server = await serving(t);
    const { client } = following(t, server, { transport, after: "0" });
    const read = client[Symbol.asyncIterator]();
    await until(() => server.streams.size === 1);
    server.happen(1);
    assert.equal((await read.next()).value.id, "event-1");
    server.end("revoked");
    server.accepts.clear();
    await assert.rejects(read.next(), (error) => error instanceof TidingsError && error.code === "revoked");
    assert.equal(client.status.state, "closed");
    assert.equal((await read.next()).done, true);
    assert.equal((await client[Symbol.asyncIterator]().next().catch((error) => error)).code, "revoked");
  });

  test(`${transport}: who has signed out is not let in again, even if a token could be had`, async (t) => {
    const server = await serving(t);
    const { getToken, reasons } = giving("good", "good");
    const { client } = following(t, server, { transport, token: undefined, getToken });
    await until(() => server.streams.size === 1);
    server.end("signed_out");
    await until(() => client.status.state === "closed");
    assert.equal(client.status.error?.code, "signed_out");
    assert.deepEqual(reasons, [""]);
  });

  test(`${transport}: a cursor that nobody issued is told, not tried for ever`, async (t) => {
    const server = await serving(t);
    server.whims.push((_, response) => refuse(response, 400, "invalid_cursor"));
    const { client } = following(t, server, { transport, after: "nonsense" });
    await until(() => client.status.state === "closed");
    assert.equal(client.status.error?.code, "invalid_cursor");
  });

  test(`${transport}: a connection that falls silent is replaced`, async (t) => {
    const server = await serving(t);
    const { ids, statuses } = following(t, server, { transport, after: "0", silenceMs: 100 });
    await until(() => server.streams.size === 1);
    server.streams.clear(); // it stays open, and nothing comes any more
    server.happen(1);
    await until(() => ids.length === 1);
    assert.ok(statuses.some(({ error }) => error?.code === "silent"));
  });

  test(`${transport}: a heartbeat is a sign of life`, async (t) => {
    const server = await serving(t);
    const [clock, later] = [Date.now, globalThis.setTimeout];
    let passed = 0;
    /** @type {(() => void)[]} */ const watching = [];
    t.mock.method(Date, "now", () => clock() + passed);
    t.mock.method(globalThis, "setTimeout", (/** @type {() => void} */ act, /** @type {number} */ ms, /** @type {any[]} */ ...rest) => {
      const timer = /** @type {any} */ (later(act, ms, ...rest));
      if (act.name !== "watch") return timer;
      watching.push(act);
      return timer.unref();
    });
    const { client, notices, statuses } = following(t, server, { transport, silenceMs: 45_000 });
    await until(() => server.streams.size === 1 && client.status.state === "live");
    for (let beat = 1; beat <= 3; beat++) {
      passed += 40_000;
      watching.at(-1)?.();
      for (const stream of server.streams) stream.send("token_refresh", undefined, { type: "org.tidings.token.refreshed" });
      await until(() => notices.length === beat);
    }
    assert.deepEqual(statuses.map(({ state }) => state), ["live"]);
    passed += 46_000;
    watching.at(-1)?.();
    await until(() => statuses.some(({ error }) => error?.code === "silent"));
  });

  test(`${transport}: a client that is closed leaves the server, and asks nothing more`, async (t) => {
    const server = await serving(t);
    const { client, ids } = following(t, server, { transport, after: "0" });
    const read = client[Symbol.asyncIterator]();
    const waiting = read.next();
    await until(() => client.status.state === "live");
    const [stream] = server.streams;
    client.close();
    client.close();
    assert.equal((await waiting).done, true);
    await until(() => stream && !server.streams.has(stream));
    server.happen(1);
    const asked = server.requests.length;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([server.requests.length, ids, client.status.state], [asked, [], "closed"]);
  });
}

test("a client that is closed at once asks nothing", async (t) => {
  const server = await serving(t);
  const { client } = following(t, server);
  client.close();
  const other = following(t, server);
  await until(() => other.client.status.state === "live");
  assert.equal(server.attempts.length, 1);
});

test("the waits double to their bound, with full jitter", async (t) => {
  const server = await serving(t);
  const later = globalThis.setTimeout;
  for (const [chance, ...expected] of [[0.999999, 1000, 2000, 4000, 8000, 8000], [0, 0, 0, 0, 0, 0]]) {
    /** @type {number[]} */ const asked = [];
    t.mock.method(Math, "random", () => chance);
    t.mock.method(globalThis, "setTimeout", (/** @type {() => void} */ act, /** @type {number} */ ms, /** @type {any[]} */ ...rest) => {
      asked.push(ms);
      return later(act, Math.min(ms, ms <= 8000 ? 1 : ms), ...rest);
    });
    server.whims.push(...Array(5).fill(vanish));
    const { client, statuses } = following(t, server, { transport: "sse", backoffMs: 1000, maxBackoffMs: 8000 });
    await until(() => client.status.state === "live");
    const waits = statuses.filter(({ state }) => state === "waiting").map(({ retryInMs }) => retryInMs);
    assert.deepEqual(waits, expected);
    assert.deepEqual(asked.filter((ms) => expected.includes(ms)), expected);
    client.close();
    t.mock.restoreAll();
  }
});

test("Retry-After is obeyed, and the stream's own retry:", async (t) => {
  const server = await serving(t);
  server.preamble = "retry: 700\n\n";
  server.whims.push((_, response) => refuse(response, 503, "unavailable", { "retry-after": "1" }));
  const { client, statuses } = following(t, server, { transport: "sse" });
  await until(() => client.status.state === "live");
  server.cut();
  await until(() => server.attempts.length === 3);
  const [given, paced] = statuses.filter(({ state }) => state === "waiting").map(({ retryInMs }) => Number(retryInMs));
  assert.ok(Number(given) >= 1000 && Number(given) <= 1002, `${given}`);
  assert.ok(Number(paced) >= 700 && Number(paced) <= 702 + 2, `${paced}`);
  const [first, second] = server.attempts.map(({ at }) => at);
  assert.ok(Number(second) - Number(first) >= 990);
});

test("Retry-After may be a date", async (t) => {
  const server = await serving(t);
  const date = new Date(Date.now() + 60_000).toUTCString();
  server.whims.push((_, response) => refuse(response, 429, "too_many_streams", { "retry-after": date }));
  const { client } = following(t, server, { transport: "sse" });
  await until(() => client.status.state === "waiting");
  assert.equal(client.status.error?.code, "too_many_streams");
  assert.ok(client.status.retryInMs > 30_000 && client.status.retryInMs <= 60_002, `${client.status.retryInMs}`);
});

test("only tidings' own refusal is final: a proxy's may pass", async (t) => {
  const server = await serving(t);
  server.whims.push(
    (_, response) => !!response.writeHead(403, { "content-type": "text/html" }).end("<h1>Forbidden</h1>"),
    (_, response) => !!response.writeHead(404).end(),
    (_, response) => say(response, 200, { login: "here" }),
  );
  const { client, statuses } = following(t, server, { transport: "sse" });
  await until(() => client.status.state === "live");
  const waiting = statuses.filter(({ state }) => state === "waiting");
  assert.deepEqual(waiting.map(({ error }) => error?.status), [403, 404, 502]);
  server.whims.push((_, response) => refuse(response, 403, "forbidden"));
  server.cut();
  await until(() => client.status.state === "closed");
  assert.equal(client.status.error?.message, "Refused: forbidden.");
});

test("getToken may fail for a while", async (t) => {
  const server = await serving(t);
  let calls = 0;
  const getToken = () => {
    if (++calls < 3) throw new Error("the application is down");
    return "good";
  };
  const { client, statuses } = following(t, server, { token: undefined, getToken });
  await until(() => client.status.state === "live");
  assert.match(statuses.find(({ state }) => state === "waiting")?.error?.message ?? "", /the application is down/);
});

test("auto: a WebSocket where there is one; else SSE at once, and no WebSocket for five minutes", async (t) => {
  const server = await serving(t);
  const clock = Date.now;
  let later = 0;
  t.mock.method(Date, "now", () => clock() + later);
  const { client, statuses } = following(t, server);
  await until(() => client.status.transport === "websocket");
  server.hasWebSocket = false;
  server.cut();
  await until(() => client.status.transport === "sse");
  assert.equal(statuses.filter(({ state }) => state === "waiting").length, 1);
  server.hasWebSocket = true;
  server.cut();
  await until(() => server.streams.size === 1);
  later = 300_001;
  server.cut();
  await until(() => client.status.transport === "websocket");
  assert.deepEqual(server.attempts.map(({ path }) => path), ["/ws", "/ws", "/api/sse/stream", "/api/sse/stream", "/ws"]);
});

test("auto: a server that is down altogether says nothing against its WebSocket", async (t) => {
  const server = await serving(t);
  const { client } = following(t, server);
  await until(() => client.status.transport === "websocket");
  server.hasWebSocket = false;
  server.whims.push(vanish);
  server.cut();
  await until(() => server.attempts.length === 3);
  server.hasWebSocket = true;
  await until(() => client.status.state === "live");
  assert.deepEqual(server.attempts.map(({ path }) => path), ["/ws", "/ws", "/api/sse/stream", "/ws"]);
});

test("a ticket goes where no header can: into the address, or the first message", async (t) => {
  const server = await serving(t);
  for (const transport of /** @type {Transport[]} */ (["sse", "websocket"])) {
    const { client } = following(t, server, { transport, token: undefined, ticket: "ticket", after: "e1-0", types: ["a.*", "b"] });
    await until(() => client.status.state === "live");
  }
  const [stream] = server.attempts;
  assert.deepEqual(Object.fromEntries(stream?.query ?? []), { ticket: "ticket", after: "e1-0", types: "a.*,b" });
  assert.equal(stream?.headers["last-event-id"] ?? stream?.headers["authorization"], undefined);
  assert.deepEqual(server.messages, [{ type: "auth", ticket: "ticket" }, { type: "subscribe", after: "e1-0", types: ["a.*", "b"] }]);
  assert.throws(() => connect({ url: server.url, ticket: "ticket", token: "good" }), TypeError);
});

test("listeners by type hear theirs alone, and one that throws disturbs no other", async (t) => {
  const server = await serving(t);
  /** @type {any[]} */ const thrown = [];
  const { client, ids } = following(t, server, { after: "0" });
  const soon = globalThis.queueMicrotask;
  const caught = (/** @type {() => void} */ act) => () => {
    try {
      act();
    } catch (error) {
      thrown.push(error);
    }
  };
  t.mock.method(globalThis, "queueMicrotask", (/** @type {() => void} */ act) => soon(caught(act)));
  /** @type {string[]} */ const heard = [];
  client.on("com.github.*", ({ id }) => heard.push(id));
  client.on("com.github", ({ id }) => heard.push(id));
  client.on("com.slack.message", () => assert.fail("a defect of the page"));
  const leave = client.on("event", ({ id }) => heard.push(`all ${id}`));
  await until(() => server.streams.size === 1);
  server.happen(2);
  await until(() => ids.length === 2);
  leave();
  server.happen(1);
  await until(() => ids.length === 3);
  assert.deepEqual(heard, ["event-1", "all event-1", "all event-2", "event-3"]);
  assert.deepEqual(thrown.map(({ message }) => message), ["a defect of the page"]);
  assert.throws(() => client.on(/** @type {any} */ ("events"), () => {}), /Nothing is called events/);
  assert.throws(() => connect({ url: server.url, transport: /** @type {any} */ ("carrier pigeon") }), /carrier pigeon/);
});

test("the API is asked with the same credentials, which are renewed once", async (t) => {
  const server = await serving(t);
  const { getToken, reasons } = giving("old", "good");
  const { client } = following(t, server, { token: undefined, getToken, transport: "sse" });
  await until(() => client.status.state === "live");
  server.accepts = new Set(["newer"]);
  await assert.rejects(client.request("/api/me"), { name: "TidingsError", code: "unauthenticated", status: 401 });
  server.accepts = new Set(["good"]);
  const other = following(t, server, { token: undefined, getToken: giving("old", "good").getToken });
  assert.deepEqual(await other.client.request("/api/me"), { user: { id: 1, name: "ann" } });
  await other.client.sync("con1");
  const sync = server.requests.find(({ path }) => path.endsWith("/sync"));
  assert.deepEqual([sync?.method, sync?.headers.authorization], ["POST", "Bearer good"]);
  await assert.rejects(other.client.request("/api/nothing"), { code: "not_found", status: 404 });
  assert.deepEqual(reasons, ["", "unauthenticated", "unauthenticated"]);
});
