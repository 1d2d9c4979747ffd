// @ts-check
/** The dialog by which one sends oneself a message. */

import { api, session } from "./api.js";
import { COMPOSE } from "./words.js";

export class Compose {
  #dialog;
  #draft = { words: "", key: "" }; // the message that was tried last, so that trying again sends nothing twice

  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
    this.#part("form").onsubmit = (/** @type {SubmitEvent} */ submit) => {
      submit.preventDefault();
      void this.#submit();
    };
    this.#part("[data-cancel]").onclick = () => dialog.close();
  }

  /** @param {string} name @returns {any} */
  #part(name) {
    return this.#dialog.querySelector(name);
  }

  open() {
    this.#part(".error").hidden = true;
    this.#dialog.showModal();
  }

  /** Forget what was written. */
  end() {
    this.#draft = { words: "", key: "" };
    this.#part("form").reset();
    this.#dialog.close();
  }

  async #submit() {
    const fields = new FormData(this.#part("form"));
    const message = Object.fromEntries([...fields].filter(([, value]) => value !== ""));
    const send = this.#part("[type=submit]");
    send.disabled = true;
    const words = JSON.stringify(message);
    // Not randomUUID, which pages without https lack.
    if (words !== this.#draft.words) this.#draft = { words, key: crypto.getRandomValues(new Uint32Array(4)).join("-") };
    const headers = { "Idempotency-Key": this.#draft.key };
    const { ok, problem } = await api("/api/sse/send", { userId: session.me?.user.id, message }, { headers });
    send.disabled = false;
    const error = this.#part(".error");
    error.textContent = COMPOSE.notSent(problem);
    error.hidden = ok;
    if (ok) this.end();
  }
}
