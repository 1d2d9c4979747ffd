// @ts-check
/** A form made of a JSON Schema: what can be chosen for a connection, whatever its platform. */

import { make } from "./dom.js";
import { SETTINGS } from "./words.js";

/** @typedef {{element: HTMLElement, read: () => any}} Field `read` throws an Error that says what is wrong */

let forms = 0; // so that the ids of two forms differ

/**
 * @param {any} schema of an object
 * @param {Record<string, any>} values those chosen
 * @param {(settings: Record<string, any>) => Promise<string>} save gives the problem, "" for none
 * @param {{does?: string, done?: string, key?: string}} [words] what its button says, and what is said after it
 * @returns {HTMLFormElement}
 */
export function settingsForm(schema, values, save, { does = SETTINGS.save, done = SETTINGS.saved, key = "save" } = {}) {
  const prefix = `settings-${++forms}`;
  const fields = Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    ...field(`${prefix}-${name}`, name, property, name in values ? values[name] : property.default, {
      isNeeded: (schema.required ?? []).includes(name),
    }),
  }));
  const said = make("p.said", { role: "status" });
  const problem = make("p.error", { role: "alert", hidden: true });
  const button = make("button.button", { type: "submit", "data-key": key }, does);
  const line = make("div.line", {}, button, said);
  const form = make("form.settings", {}, ...fields.map(({ element }) => element), problem, line);
  form.oninput = () => (said.textContent = "");
  form.onsubmit = async (/** @type {SubmitEvent} */ submit) => {
    submit.preventDefault();
    said.textContent = "";
    let wrong = "";
    const settings = { ...values };
    try {
      for (const { name, read } of fields) settings[name] = read();
    } catch (error) {
      wrong = /** @type {Error} */ (error).message;
    }
    button.disabled = true;
    wrong ||= await save(settings);
    button.disabled = false;
    problem.textContent = wrong;
    problem.hidden = !wrong;
    if (wrong) return;
    values = settings;
    said.textContent = done;
  };
  return form;
}

/**
 * @param {string} id @param {string} name @param {any} schema @param {any} value @param {{isNeeded: boolean}} how
 * @returns {Field}
 */
function field(id, name, schema, value, { isNeeded }) {
  const title = schema.title ?? name;
  if (schema.oneOf) return choice(id, title, schema, value);
  if (schema.enum) return selection(id, title, schema, value);
  if (schema.type === "array") return list(id, title, schema, value);
  if (schema.type === "boolean") {
    const input = make("input", { type: "checkbox", id, checked: value === true });
    return { element: make("div.check", {}, input, label(id, title), hint(schema)), read: () => input.checked };
  }
  const isNumber = schema.type === "number" || schema.type === "integer";
  const input = make("input", { type: isNumber ? "number" : "text", id, value: value ?? "", required: isNeeded });
  if (schema.maxLength) input.maxLength = schema.maxLength;
  if (schema.type === "number") input.step = "any";
  const read = () => (isNumber ? input.valueAsNumber : input.value.trim());
  return { element: make("div.field", {}, label(id, title), hint(schema), input), read };
}

/**
 * One of several: fixed values, or a list.
 * @param {string} id @param {string} title @param {any} schema @param {any} value
 * @returns {Field}
 */
function choice(id, title, schema, value) {
  const found = schema.oneOf.map((/** @type {any} */ option, /** @type {number} */ place) => {
    const fits = "const" in option ? value === option.const : Array.isArray(value);
    const input = make("input", { type: "radio", name: id, id: `${id}-${place}`, checked: fits });
    const lines = fits ? value : [];
    const inner = "const" in option ? null : list(`${id}-${place}-list`, option.title, option, lines, { bare: true });
    const title = option.title ?? String(option.const);
    return { input, inner, title, read: () => (inner ? inner.read() : option.const) };
  });
  if (!found.some((/** @type {any} */ one) => one.input.checked)) found[0].input.checked = true;
  const show = () => {
    for (const { input, inner } of found) if (inner) inner.element.hidden = !input.checked;
  };
  show();
  const rows = found.flatMap((/** @type {any} */ one) => [
    make("div.check", {}, one.input, label(one.input.id, one.title)),
    one.inner?.element,
  ]);
  const element = make("fieldset", { onchange: show }, make("legend", {}, title), hint(schema), ...rows);
  return { element, read: () => found.find((/** @type {any} */ one) => one.input.checked).read() };
}

/** @param {string} id @param {string} title @param {any} schema @param {any} value @returns {Field} */
function selection(id, title, schema, value) {
  const options = schema.enum.map((/** @type {any} */ one) =>
    make("option", { value: String(one), selected: one === value }, String(one)),
  );
  const input = make("select", { id }, ...options);
  const element = make("div.field", {}, label(id, title), hint(schema), input);
  return { element, read: () => schema.enum[input.selectedIndex] };
}

/**
 * Words, one a line.
 * @param {string} id @param {string} title @param {any} schema @param {any} value
 * @returns {Field}
 */
function list(id, title, schema, value, { bare = false } = {}) {
  const lines = Array.isArray(value) ? value : [];
  const input = make("textarea", {
    id,
    rows: Math.min(8, Math.max(2, lines.length + 1)),
    value: lines.join("\n"),
    placeholder: (schema.examples ?? []).join("\n"),
    spellcheck: false,
    autocapitalize: "none",
  });
  const about = make("span.optional", {}, SETTINGS.oneALine);
  const head = bare ? make("label.hidden", { htmlFor: id }, `${title}, ${SETTINGS.oneALine}`) : label(id, title, about);
  const pattern = schema.items?.pattern ? new RegExp(schema.items.pattern, "u") : null;
  const read = () => {
    const words = input.value.split("\n").map((/** @type {string} */ line) => line.trim()).filter(Boolean);
    const wrong = pattern && words.find((/** @type {string} */ word) => !pattern.test(word));
    if (!wrong) return [...new Set(words)];
    input.focus();
    const example = schema.examples?.[0] ? SETTINGS.like(schema.examples[0]) : "";
    throw new Error(SETTINGS.wrong(wrong, schema.items.title ?? SETTINGS.thing) + example);
  };
  return { element: make("div.field", {}, head, hint(schema), input), read };
}

/** @param {string} id @param {...any} words */
const label = (id, ...words) => make("label", { htmlFor: id }, ...words.flatMap((word) => [word, " "]));

/** @param {any} schema */
const hint = (schema) => schema.description && make("p.hint", {}, schema.description);
