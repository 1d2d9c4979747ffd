// @ts-check
/** A connected account in words and pictures, for the list and for the view of one. */

import { emblem, instant, make, outward } from "./dom.js";
import { consentStart, isVisible, pictureAddress, text, webAddress } from "./words.js";

/** @type {Record<string, string>} */
const STATES = {
  connected: "Connected",
  needs_reauth: "Needs you",
  parked: "Stopped",
  disconnecting: "Disconnecting",
};

/** @param {any} one */
export const stateChip = (one) =>
  make("span.chip", { "data-state": one.state }, STATES[one.state] ?? one.state);

/** @param {any} one @param {import("./platforms.js").Platform | undefined} platform */
export function portrait(one, platform) {
  const name = text(one.account.name) || one.platform;
  const initial = make("span.initial", { "aria-hidden": "true" }, [...name].find(isVisible) ?? "");
  const address = pictureAddress(one.account.avatar_url);
  const looks = { alt: "", width: 40, height: 40, decoding: "async", referrerPolicy: "no-referrer", src: address };
  const face = address && make("img", looks);
  if (face) face.onerror = () => face.remove();
  const mark = platform && make("span.mark", { title: platform.name }, emblem(platform));
  return make("span.face", {}, initial, face, mark);
}

/** How it is watched, in words. @param {any} one */
export function watching(one) {
  if (one.state === "disconnecting") return ["Being disconnected."];
  if (one.state !== "connected") return [one.reason || "It is not watched now."];
  if (!one.strategy) return ["It will be watched in a moment."];
  const since = instant(one.strategy_since);
  return ["Watched by ", make("strong", {}, one.strategy), " since ", since, ". ", one.strategy_reason];
}

/** What plays just now. @param {any} playing */
export const nowPlaying = (playing) =>
  playing?.title &&
  make("p.playing", {}, "Now playing: ", outward(webAddress(playing.url), text(playing.text) || text(playing.title)));

/** @param {any} one @param {string} words */
export const healButton = (one, words) =>
  make("a.button.primary", { href: consentStart(one.reconnect), "data-key": `heal-${one.id}` }, words);
