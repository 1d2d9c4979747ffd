// @ts-check
/** Says that the page is in view, so that what it shows is not pushed as well. */

import { api } from "./api.js";

const EVERY_MS = 30_000; // the server believes it for twice as long

export class Presence {
  #page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  #timer = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#timer && this.#say(!document.hidden));
    addEventListener("pagehide", () => this.#timer && this.#say(false));
  }

  begin() {
    if (this.#timer) return;
    this.#timer = setInterval(() => !document.hidden && this.#say(true), EVERY_MS);
    if (!document.hidden) this.#say(true);
  }

  /** Say it once more: the node that has the stream now may not have heard it. */
  again() {
    if (this.#timer && !document.hidden) this.#say(true);
  }

  end() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  /** @param {boolean} visible */
  #say(visible) {
    void api("/api/push/presence", { visible, page: this.#page }, { keepalive: true });
  }
}
