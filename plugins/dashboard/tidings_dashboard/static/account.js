// @ts-check
/** A connected account in words and pictures, for the list and for the view of one. */

import { emblem, instant, make, outward } from "./dom.js";
import { consentStart, isVisible, pictureAddress, text, webAddress } from "./formats.js";
import { ACCOUNT } from "./words.js";

const SOON_MS = 30 * 86_400_000; // before a consent ends; the feed tells of it as early

/** @param {any} one */
export const accountName = (one) => text(one.account.name) || one.platform;

/** @param {any} one */
export const stateChip = (one) =>
  make("span.chip", { "data-state": one.state }, ACCOUNT.states[one.state] ?? one.state);

/** @param {any} one @param {import("./platforms.js").Platform | undefined} platform */
export function portrait(one, platform) {
  const initial = make("span.initial", { "aria-hidden": "true" }, [...accountName(one)].find(isVisible) ?? "");
  const address = pictureAddress(one.account.avatar_url);
  const looks = { alt: "", width: 40, height: 40, decoding: "async", referrerPolicy: "no-referrer", src: address };
  const face = address && make("img", looks);
  if (face) face.onerror = () => face.remove();
  const mark = platform && make("span.mark", { title: platform.name }, emblem(platform));
  return make("span.face", {}, initial, face, mark);
}

/** How it is watched, in words. @param {any} one */
export function watching(one) {
  if (one.state === "disconnecting") return [ACCOUNT.leaving];
  if (one.state !== "connected") return [one.reason || ACCOUNT.unwatched];
  if (!one.strategy) return [ACCOUNT.soon];
  const since = instant(one.strategy_since);
  return [ACCOUNT.watchedBy, make("strong", {}, one.strategy), ACCOUNT.since, since, ". ", one.strategy_reason];
}

/** What plays just now. @param {any} playing */
export const nowPlaying = (playing) =>
  playing?.title &&
  make(
    "p.playing",
    {},
    ACCOUNT.playing,
    outward(webAddress(playing.url), text(playing.text) || text(playing.title)),
  );

/** Whether only its user can have it watched again. @param {any} one */
export const needsUser = (one) => one.state === "needs_reauth";

/** Whether its consent ends soon. @param {any} one */
export const endsSoon = (one) => Date.parse(one.reauthorize_by ?? "") - Date.now() < SOON_MS;

/** @param {any} one */
export const healButton = (one) =>
  make("a.button.primary", { href: consentStart(one.reconnect), "data-key": `heal-${one.id}` }, ACCOUNT.again);

/**
 * What each account that needs its user says of itself, with the one click that heals it.
 * @param {any[]} connections
 * @param {(id: string) => import("./platforms.js").Platform | undefined} platform
 */
export const attention = (connections, platform) =>
  connections.filter(needsUser).map((one) => {
    const known = platform(one.platform);
    const title = ACCOUNT.attention(known?.name ?? one.platform, accountName(one));
    const words = make("div.about", {}, make("p.what", {}, title), make("p", {}, one.reason));
    return make("li", { "data-id": one.id }, portrait(one, known), words, healButton(one));
  });
