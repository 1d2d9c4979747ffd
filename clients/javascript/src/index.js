// @ts-check
/** Follows a tidings server: every event once, in order, over whatever connection holds. */

import { Client } from "./client.js";

export { isPast } from "./cursor.js";
export { TidingsError } from "./error.js";

/** @type {typeof import("../types/index.js").connect} */
export const connect = (options = {}) => new Client(options);
