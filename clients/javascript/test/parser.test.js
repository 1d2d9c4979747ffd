// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Parser } from "../src/parser.js";

/** @param {string[]} pieces */
function parsed(pieces) {
  const parser = new Parser();
  return { frames: pieces.flatMap((piece) => [...parser.feed(piece)]), retryMs: parser.retryMs };
}

/** The standard's algorithm, on the whole text at once. @param {string} text */
function byTheBook(text) {
  const frames = [];
  let [name, data, id, retryMs] = ["", "", /** @type {string | undefined} */ (undefined), /** @type {number | undefined} */ (undefined)];
  const lines = text.split(/\r\n|\r|\n/);
  lines.pop(); // not ended yet
  for (const line of lines) {
    if (line === "") {
      if (data) frames.push({ name: name || "message", data: data.slice(0, -1), id });
      [name, data, id] = ["", "", undefined];
      continue;
    }
    const match = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    const [field, value] = [match?.[1], match?.[2] ?? ""];
    if (field === "event") name = value;
    if (field === "data") data += `${value}\n`;
    if (field === "id" && !value.includes("\0")) id = value;
    if (field === "retry" && /^[0-9]+$/.test(value)) retryMs = Number(value);
  }
  return { frames, retryMs };
}

const line = fc.oneof(
  fc.constantFrom("", "", ":", ": heartbeat", "data", "data:", "data: ", "data:  x", "event: gap", "id: e-1", "id", "id: a\0b", "retry: 300", "retry: 3s"),
  fc.tuple(fc.constantFrom("data", "event", "id", "retry", "colour"), fc.string({ unit: "grapheme" })).map(([field, value]) => `${field}: ${value}`),
);
const stream = fc
  .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r", "\n\n")))
  .map((lines) => lines.flat().join(""));

test("a stream says the same however it is cut to pieces, and what the standard says", () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (text, cuts) => {
      const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
      const pieces = places.slice(1).map((place, index) => text.slice(places[index], place));
      assert.deepEqual(parsed(pieces), byTheBook(text));
      assert.deepEqual(parsed([...text].flatMap((one) => one.split(""))), byTheBook(text));
    }),
    { numRuns: 1000, seed: 1 },
  );
});

test("a frame is given as soon as its last line has ended, be it by a carriage return alone", () => {
  const parser = new Parser();
  assert.deepEqual([...parser.feed("data: a\r\r")], [{ name: "message", data: "a", id: undefined }]);
  assert.deepEqual([...parser.feed("\ndata: b\n\n")], [{ name: "message", data: "b", id: undefined }]);
});

test("a megabyte in small pieces does not take the square of the time", () => {
  const parser = new Parser();
  const begun = performance.now();
  const frames = [];
  for (const piece of ["data: ", ...Array(100_000).fill("0123456789"), "\n\n"]) frames.push(...parser.feed(piece));
  assert.equal(frames[0]?.data.length, 1_000_000);
  assert.ok(performance.now() - begun < 20_000);
});
