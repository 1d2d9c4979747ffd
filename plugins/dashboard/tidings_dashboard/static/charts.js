// @ts-check
/** Charts as SVG: shapes by attributes, colours by classes, and the same in words for who can't see them. */

import { make } from "./dom.js";
import { number } from "./formats.js";

const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, FOOT, TOP] = [206, 40, 28, 8];
/** On a phone a chart is drawn narrower, not smaller: its writing would be too small to read. */
export const NARROW = matchMedia("(max-width: 36rem)");
/** Its width, and how many columns have a label at most. */
const [WIDE_FORM, NARROW_FORM] = [{ width: 720, labels: 8 }, { width: 360, labels: 4 }];
const GAP = 0.22; // of a column
export const SERIES = 8; // colours; further series share the last

/**
 * @typedef {{label: string, name: string, values: number[]}} Column label: under it; name: in full; values: one for each
 *   series, from below
 */

/** @param {string} name @param {Record<string, string | number>} attributes @param {...(Node | string)} children */
function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * Columns of stacked parts.
 * @param {Column[]} columns
 * @param {{label: string, value: (column: Column) => string}} words the whole in words; a column in words
 */
export function stacked(columns, { label, value }) {
  const { width, labels } = NARROW.matches ? NARROW_FORM : WIDE_FORM;
  const most = roundUp(Math.max(1, ...columns.map(total)));
  const step = (width - LEFT) / columns.length;
  const height = HEIGHT - FOOT - TOP;
  const y = (/** @type {number} */ count) => TOP + height * (1 - count / most);
  const lines = [0, most / 2, most].flatMap((count) => [
    shape("line", { class: "grid", x1: LEFT, x2: width, y1: y(count), y2: y(count) }),
    shape("text", { class: "scale", x: LEFT - 8, y: y(count) + 4 }, number(count)),
  ]);
  const every = Math.ceil(columns.length / labels);
  const bars = columns.map((column, place) => {
    let below = 0;
    const left = LEFT + place * step;
    const x = left + (step * GAP) / 2;
    const parts = column.values.map((count, series) => {
      below += count;
      const size = (height * count) / most;
      const kind = `series-${Math.min(series, SERIES - 1)}`;
      return shape("rect", { class: kind, x, y: y(below), width: step * (1 - GAP), height: size });
    });
    const name = shape("text", { class: "label", x: left + step / 2, y: HEIGHT - 6 }, column.label);
    const reach = shape("rect", { class: "reach", x: left, y: 0, width: step, height: HEIGHT - FOOT });
    const bar = shape("g", { class: "column" }, shape("title", {}, value(column)), reach, ...parts);
    return shape("g", {}, bar, ...(place % every ? [] : [name]));
  });
  return shape("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label }, ...lines, ...bars);
}

/** What the colours stand for. @param {string[]} names */
export const legend = (names) =>
  make(
    "ul.legend",
    {},
    ...names.map((name, place) =>
      make("li", {}, make(`span.swatch.series-${Math.min(place, SERIES - 1)}`, { "aria-hidden": "true" }), name),
    ),
  );

/** @param {Column} column */
export const total = ({ values }) => values.reduce((sum, value) => sum + value, 0);

/** A round number that is at least so much, and even, for the line in the middle. @param {number} most */
function roundUp(most) {
  const unit = 10 ** Math.floor(Math.log10(most));
  const found = [2, 4, 6, 8, 10, 20].find((times) => times * unit >= most) ?? 20;
  return found * unit;
}
