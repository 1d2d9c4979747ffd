// @ts-check

/** Why there is no stream, or why a request was refused. */
export class TidingsError extends Error {
  /**
   * @param {string} code for programs: the server's, or `silent`, `unreachable`, …
   * @param {string} message for people
   * @param {number} [status] of HTTP, 0 where there was no answer
   */
  constructor(code, message, status = 0) {
    super(message);
    this.name = /** @type {const} */ ("TidingsError");
    this.code = code;
    this.status = status;
  }
}

/**
 * The error that an answer holds.
 * @param {Response} answer
 */
export async function errorOf(answer) {
  const { error } = await answer.json().catch(() => ({}));
  const said = error?.message ?? `The server answered ${answer.status}.`;
  return new TidingsError(error?.code ?? "unavailable", said, answer.status);
}

/**
 * How long `Retry-After` says to wait (RFC 9110, section 10.2.3), in milliseconds.
 * @param {Response} answer
 */
export function retryAfterMs(answer) {
  const said = answer.headers.get("retry-after");
  if (!said) return undefined;
  const wait = /^\d+$/.test(said) ? Number(said) * 1000 : Date.parse(said) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}
