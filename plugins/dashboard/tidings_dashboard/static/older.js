// @ts-check
/** What came before what is on the page: fetched as its reader comes near the end of it, or searches. */

import { api } from "./api.js";
import { FEED } from "./words.js";

const AT_ONCE = 200;
const NEAR_PX = 2_000; // before the end of the page

export class Older {
  #feed;
  #parts;
  #isNear = false;
  #isBusy = false;
  #isDone = true;
  #turn = 0; // counts beginnings: what was asked before is of no use after

  /**
   * @param {import("./feed.js").Feed} feed
   * @param {{end: Element, note: HTMLElement, words: HTMLElement, again: HTMLElement}} parts
   */
  constructor(feed, parts) {
    this.#feed = feed;
    this.#parts = parts;
    parts.again.onclick = () => void this.#load();
    const near = { rootMargin: `0px 0px ${NEAR_PX}px 0px` };
    new IntersectionObserver(([entry]) => {
      this.#isNear = entry.isIntersecting;
      void this.look();
    }, near).observe(parts.end);
  }

  /** The page shows the newest. @param {boolean} hasMore whether there may be more behind them */
  begin(hasMore) {
    this.#turn++;
    this.#isBusy = false;
    this.#isDone = !hasMore;
    this.#say(hasMore || this.#feed.isEmpty ? "" : FEED.oldest);
    void this.look();
  }

  /** Nothing is on the page, or nothing can be had. */
  end() {
    this.#turn++;
    this.#isDone = true;
    this.#say("");
  }

  /** The page holds as much as it can. @param {number} limit */
  cut(limit) {
    this.end();
    this.#say(FEED.limit(limit));
  }

  /** Fetch more if the end is near. */
  async look() {
    while (this.#isNear && !this.#isBusy && !this.#isDone) {
      if (!(await this.#load())) return;
      await new Promise(requestAnimationFrame); // the page has grown: whether the end is still near
      await new Promise(requestAnimationFrame);
    }
  }

  /** @returns {Promise<boolean>} whether it went well */
  async #load() {
    const turn = this.#turn;
    this.#isBusy = true;
    this.#say(FEED.older);
    const before = encodeURIComponent(this.#feed.oldest);
    const { ok, answer, problem } = await api(`/api/events?before=${before}&limit=${AT_ONCE}`);
    if (turn !== this.#turn) return false;
    this.#isBusy = false;
    if (!ok) {
      this.#say(FEED.notOlder(problem), true);
      return false;
    }
    this.#isDone = answer.events.length < AT_ONCE;
    this.#say(this.#isDone ? FEED.oldest : "");
    this.#feed.addOlder(answer.events); // may say that it is full
    return true;
  }

  /** @param {string} words @param {boolean} [again] whether it can be tried again */
  #say(words, again = false) {
    this.#parts.words.textContent = words;
    this.#parts.again.hidden = !again;
    this.#parts.note.hidden = !words;
  }
}
