// @ts-check
/** What lets the client in: a token that may be renewed, a ticket, or the page's cookie. */

import { TidingsError } from "./error.js";

export class Credentials {
  #token;
  #reason = "";
  #getToken;
  #signal;
  /** @type {Promise<string> | undefined} */ #asking;

  /**
   * @param {import("../types/index.js").Options} options
   * @param {AbortSignal} signal aborted when no token is wanted any more
   */
  constructor({ token, getToken, ticket }, signal) {
    this.#signal = signal;
    this.#token = token;
    this.#getToken = getToken;
    this.ticket = ticket;
  }

  get renewable() {
    return this.#getToken !== undefined;
  }

  /** @returns {Promise<string | undefined>} undefined where none is needed */
  async token() {
    if (this.#token || !this.#getToken) return this.#token;
    const request = { reason: this.#reason, signal: this.#signal };
    const getToken = this.#getToken;
    // Whoever needs one in the meantime gets the same.
    this.#asking ??= (async () => getToken(request))().finally(() => (this.#asking = undefined));
    this.#token = await this.#asking;
    if (!this.#token) throw new TidingsError("unauthenticated", "getToken gave no token.", 401);
    return this.#token;
  }

  /**
   * Forget a token that is not accepted; whether another can be had.
   * @param {string} reason
   * @param {string | undefined} refused that token; a newer one stays
   */
  refuse(reason, refused) {
    if (this.#token === refused) {
      this.#reason = reason;
      if (this.#getToken) this.#token = undefined;
    }
    return this.renewable;
  }

  /** Whose they are, as far as that shows: the subject of a JWT, which outlives each of them, or the token. */
  async identity() {
    const token = await this.token();
    try {
      const claims = (token ?? "").split(".")[1] ?? "";
      const { iss, sub } = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
      if (sub) return JSON.stringify([iss, sub]);
    } catch {
      // It is no JWT.
    }
    return token ?? "cookie";
  }
}
