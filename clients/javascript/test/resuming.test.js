// @ts-check
/** Nothing missed and nothing twice, by either transport and by both in turn. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { events, following } from "./following.js";
import { Server, until } from "./server.js";

/** @typedef {import("tidings-client").Transport} Transport */

/** @param {import("node:test").TestContext} t */
async function serving(t) {
  const server = await new Server().start();
  t.after(() => server.stop());
  return server;
}

for (const transport of /** @type {Transport[]} */ (["sse", "websocket"])) {
  test(`${transport}: the oldest event comes first, then what happens`, async (t) => {
    const server = await serving(t);
    server.happen(3);
    const { client, ids, statuses } = following(t, server, { transport, after: "0" });
    await until(() => server.streams.size === 1);
    server.happen(2);
    await until(() => ids.length === 5);
    assert.deepEqual(ids, events(1, 5));
    assert.equal(client.cursor, "e1-5");
    assert.equal(client.status.transport, transport);
    assert.deepEqual(statuses.map(({ state }) => state).slice(0, 1), ["live"]);
  });

  test(`${transport}: without a position it begins now, and comes back to just there although nothing happened`, async (t) => {
    const server = await serving(t);
    server.happen(7);
    const { client, ids } = following(t, server, { transport });
    await until(() => client.cursor === "e1-7");
    await until(() => server.streams.size === 1);
    server.cut();
    server.happen(3); // nobody is connected now
    await until(() => ids.length === 3);
    assert.deepEqual(ids, events(8, 10));
  });

  test(`${transport}: connections that break in the midst of events lose none and repeat none`, async (t) => {
    const server = await serving(t);
    const { ids } = following(t, server, { transport, after: "0", backoffMs: 1, maxBackoffMs: 4 });
    for (let round = 1; round <= 20; round++) {
      await until(() => server.streams.size === 1);
      server.happen(10);
      if (round % 2) await until(() => ids.length > (round - 1) * 10);
      server.cut();
      server.happen(5);
    }
    await until(() => ids.length >= 300);
    assert.deepEqual(ids, events(1, 300));
    assert.ok(server.attempts.length > 20);
  });

  test(`${transport}: what a server repeats is told once`, async (t) => {
    const server = await serving(t);
    const { ids, client } = following(t, server, { transport, after: "0" });
    await until(() => server.streams.size === 1);
    server.happen(3);
    for (const stream of server.streams) stream.send("platform_sync", "e1-2", server.event(2));
    server.happen(1);
    await until(() => client.cursor === "e1-4");
    assert.deepEqual(ids, events(1, 4));
  });

  test(`${transport}: a gap is told, and reading goes on behind it`, async (t) => {
    const server = await serving(t);
    server.happen(10);
    server.oldest = 8;
    const { ids, gaps } = following(t, server, { transport, after: "e1-3" });
    await until(() => ids.length === 3);
    assert.deepEqual(ids, events(8, 10));
    assert.deepEqual(gaps, [{ from: 4, to: 7, count: 4, reason: "retention" }]);
  });

  test(`${transport}: a server restored from a backup is read from its oldest event on`, async (t) => {
    const server = await serving(t);
    server.happen(6);
    const { ids, gaps, client } = following(t, server, { transport, after: "0" });
    await until(() => ids.length === 6);
    server.restore(2);
    await until(() => ids.length === 8);
    server.happen(1);
    await until(() => ids.length === 9);
    assert.deepEqual(ids, [...events(1, 6), ...events(1, 3)]);
    assert.equal(gaps[0]?.reason, "restored");
    assert.equal(client.cursor, "e1r-3");
  });

  test(`${transport}: a position without an event is kept, and routine news moves none`, async (t) => {
    const server = await serving(t);
    const { client, notices, ids } = following(t, server, { transport });
    /** @type {string[]} */ const cursors = [];
    client.on("cursor", (cursor) => cursors.push(cursor));
    await until(() => server.streams.size === 1);
    const [stream] = server.streams;
    stream?.send("cursor", "e1-40", {});
    stream?.send("token_refresh", undefined, { type: "org.tidings.token.refreshed", platform: "spotify" });
    await until(() => notices.length === 1);
    assert.equal(notices[0]?.platform, "spotify");
    assert.deepEqual([client.cursor, cursors.at(-1), ids], ["e1-40", "e1-40", []]);
    server.cut();
    await until(() => server.streams.size === 1);
    const asked = server.attempts.at(-1);
    assert.equal(transport === "sse" ? asked?.headers["last-event-id"] : server.messages.at(-1).after, "e1-40");
  });

  test(`${transport}: an iterator that is read slowly pauses the stream, and gets everything`, async (t) => {
    const server = await serving(t);
    server.happen(500);
    const { client, states } = following(t, server, { transport, after: "0", buffer: 10 });
    const iterator = client[Symbol.asyncIterator]();
    /** @type {string[]} */ const read = [];
    await until(() => states().includes("paused"));
    for await (const { id } of iterator) {
      read.push(id);
      if (read.length % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (read.length === 500) break;
    }
    assert.deepEqual(read, events(1, 500));
    assert.ok(server.attempts.length > 2);
  });
}

test("sse: bytes may come in any pieces, also within a character", async (t) => {
  const server = await serving(t);
  const lengths = fc.sample(fc.integer({ min: 1, max: 40 }), { numRuns: 5000, seed: 2 });
  server.preamble = "\uFEFF: welcome\nretry: 1\n\n";
  const whole = globalThis.fetch;
  // Between two servers anything may cut a body anew; on loopback nothing does.
  const cutting = () => {
    let turn = 0;
    return new TransformStream({
      transform(bytes, controller) {
        for (let at = 0; at < bytes.length; ) {
          const end = at + (lengths[turn++ % lengths.length] ?? 1);
          controller.enqueue(bytes.subarray(at, end));
          at = end;
        }
      },
    });
  };
  t.mock.method(globalThis, "fetch", async (/** @type {any} */ url, /** @type {RequestInit} */ options) => {
    const answer = await whole(url, options);
    return new Response(answer.body?.pipeThrough(cutting()) ?? null, answer);
  });
  const { client, ids } = following(t, server, { transport: "sse", after: "0" });
  /** @type {unknown[]} */ const titles = [];
  client.on("event", ({ data }) => titles.push(data.title));
  server.happen(100);
  await until(() => ids.length === 100);
  assert.deepEqual(ids, events(1, 100));
  assert.deepEqual(titles, Array.from({ length: 100 }, (_, index) => `Event ${index + 1}: é → 🎉`));
});

test("10,000 events over connections that break and transports that come and go: none lost, none twice", async (t) => {
  const server = await serving(t);
  const { ids, statuses } = following(t, server, { after: "0", backoffMs: 1, maxBackoffMs: 2 });
  const clock = Date.now;
  let later = 0;
  t.mock.method(Date, "now", () => clock() + later);
  const chance = fc.sample(fc.integer({ min: 0, max: 99 }), { numRuns: 10_000, seed: 3 });
  for (let turn = 0; server.head < 10_000; turn++) {
    server.happen(Math.min(10, 10_000 - server.head));
    if (Number(chance[turn]) < 10) {
      server.hasWebSocket = Number(chance[turn]) < 5;
      later += 300_001; // so that a WebSocket is tried again
      server.cut();
    }
    if (Number(chance[turn]) < 30) await until(() => server.streams.size === 1);
  }
  await until(() => ids.length >= 10_000);
  assert.deepEqual(ids, events(1, 10_000));
  const used = new Set(statuses.map((status) => status.transport));
  assert.ok(used.has("sse") && used.has("websocket"), [...used].join());
});
