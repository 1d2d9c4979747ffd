// @ts-check
/** Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream). */

/**
 * @typedef {object} Frame
 * @property {string} name of the event; "message" where none is given
 * @property {string} data
 * @property {string | undefined} id where this very frame has one
 */

/** Takes the text of a stream in pieces of any size, and gives its frames. */
export class Parser {
  /** What the stream last said to wait before reconnecting, in milliseconds. @type {number | undefined} */
  retryMs;
  /** @type {string[]} */ #pieces = []; // of a line that has not ended
  #afterReturn = false; // the last piece ended with a carriage return, whose line feed may follow
  #name = "";
  /** @type {string[]} */ #data = [];
  /** @type {string | undefined} */ #id;

  /**
   * @param {string} text
   * @returns {Generator<Frame>}
   */
  *feed(text) {
    if (!text) return;
    if (this.#afterReturn && text[0] === "\n") text = text.slice(1);
    this.#afterReturn = text.endsWith("\r");
    let start = 0;
    const ends = /\r\n?|\n/g;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      this.#pieces.push(text.slice(start, end.index));
      const line = this.#pieces.join("");
      this.#pieces = [];
      start = ends.lastIndex;
      const frame = this.#line(line);
      if (frame) yield frame;
    }
    if (start < text.length) this.#pieces.push(text.slice(start));
  }

  /** @param {string} line @returns {Frame | undefined} */
  #line(line) {
    if (!line) return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    return undefined;
  }

  #dispatch() {
    const frame = { name: this.#name || "message", data: this.#data.join("\n"), id: this.#id };
    const whole = this.#data.length > 0;
    this.#name = "";
    this.#data = [];
    this.#id = undefined;
    return whole ? frame : undefined;
  }
}
