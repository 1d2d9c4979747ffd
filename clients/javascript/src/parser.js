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
  #rest = "";
  #searched = 0; // of `#rest`; so a long line that comes in small pieces is not read over and over
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
    this.#rest += text;
    let start = 0;
    const ends = /\r\n?|\n/g;
    ends.lastIndex = this.#searched;
    for (let end = ends.exec(this.#rest); end; end = ends.exec(this.#rest)) {
      const frame = this.#line(this.#rest.slice(start, end.index));
      start = ends.lastIndex;
      if (frame) yield frame;
    }
    this.#rest = this.#rest.slice(start);
    this.#searched = this.#rest.length;
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
