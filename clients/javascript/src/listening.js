// @ts-check
/** Who listens: functions by name or by type of event, and iterators, which keep what is not read yet. */

/** @typedef {import("../types/index.js").TidingsEvent} TidingsEvent */
/** @typedef {(news: any) => void} Listener */

const NAMES = new Set(["event", "gap", "notice", "status", "cursor"]);

export class Listening {
  /** @type {Set<{name: string, pattern: RegExp | undefined, listener: Listener}>} */ #listeners = new Set();
  /** @type {Set<Reading>} */ #readings = new Set();
  #most;
  #stall;
  #stalled = false;
  #over = false;
  /** @type {Error | null} */ #error = null;

  /**
   * @param {number} most events that an iterator keeps
   * @param {(stalled: boolean) => void} stall told when one keeps more, and when it has been read to the half
   */
  constructor(most, stall) {
    this.#most = most;
    this.#stall = stall;
  }

  /** @param {string} name @param {Listener} listener */
  on(name, listener) {
    const isType = name.includes(".");
    if (!isType && !NAMES.has(name)) throw new TypeError(`Nothing is called ${name}: a type of events has a dot.`);
    const source = name.replace(/[^\w*]/g, "\\$&").replaceAll("*", ".*");
    const entry = { name: isType ? "event" : name, pattern: isType ? RegExp(`^${source}$`, "s") : undefined, listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** @param {string} name @param {any} news */
  tell(name, news) {
    for (const one of this.#listeners) {
      if (one.name !== name || (one.pattern && !one.pattern.test(news.type))) continue;
      try {
        one.listener(news);
      } catch (error) {
        // A listener's defect is its own: the others hear the news, and the page learns of the error.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    if (name !== "event") return;
    for (const reading of this.#readings) reading.push(news);
    this.#weigh();
  }

  /** @returns {AsyncIterableIterator<TidingsEvent>} */
  iterator() {
    const reading = new Reading();
    if (this.#over) reading.end(this.#error);
    else this.#readings.add(reading);
    const leave = () => {
      reading.end(null);
      this.#readings.delete(reading);
      this.#weigh();
    };
    return {
      next: () => {
        const next = reading.next();
        this.#weigh();
        return next;
      },
      return: async () => {
        leave();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** @param {Error | null} error */
  end(error) {
    this.#over = true;
    this.#error = error;
    for (const reading of this.#readings) reading.end(error);
    this.#readings.clear();
  }

  #weigh() {
    const longest = Math.max(0, ...[...this.#readings].map((reading) => reading.kept));
    const stalled = this.#stalled ? longest > this.#most / 2 : longest > this.#most;
    if (stalled === this.#stalled) return;
    this.#stalled = stalled;
    this.#stall(stalled);
  }
}

/** What one iterator has yet to give. */
class Reading {
  /** @type {TidingsEvent[]} */ #events = [];
  #first = 0;
  /** @type {{resolve: (result: IteratorResult<TidingsEvent>) => void, reject: (error: Error) => void}[]} */ #waiting = [];
  #over = false;
  /** @type {Error | null} */ #error = null;

  get kept() {
    return this.#events.length - this.#first;
  }

  /** @param {TidingsEvent} event */
  push(event) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve({ done: false, value: event });
    else this.#events.push(event);
  }

  /** @returns {Promise<IteratorResult<TidingsEvent>>} */
  next() {
    const value = this.#events[this.#first];
    if (value) {
      if (++this.#first * 2 > this.#events.length) {
        this.#events = this.#events.slice(this.#first);
        this.#first = 0;
      }
      return Promise.resolve({ done: false, value });
    }
    const error = this.#error;
    this.#error = null; // told once
    if (error) return Promise.reject(error);
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** @param {Error | null} error for the first who asks for more than is there */
  end(error) {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#error) reject(this.#error);
      else resolve({ done: true, value: undefined });
      this.#error = null;
    }
  }
}
