// @ts-check
/** What could be connected: a card for each platform, with its button or the reason why there is none. */

import { coded, emblem, make } from "./dom.js";
import { may } from "./api.js";

/**
 * @typedef {{id: string, name: string, icon: string, connects: boolean, ready: boolean, receives: boolean,
 *   accounts: number, connect?: string, provision?: string, provisioned: boolean, draft?: string,
 *   settings_schema: any, unseen: string}} Platform
 */

/** @param {Platform} platform @returns {HTMLElement} */
export function platformCard(platform) {
  return make(
    "li.platform",
    { "data-platform": platform.id },
    make("span.emblem", {}, emblem(platform)),
    make(
      "div.about",
      {},
      make("h3", {}, platform.name),
      make("p", {}, ...about(platform)),
      !!platform.unseen && make("p.unseen", {}, platform.unseen),
    ),
    make("div.acts", {}, ...acts(platform)),
  );
}

/** A button for each platform that can be connected now. @param {Platform[]} platforms */
export const connectButtons = (platforms) =>
  platforms
    .filter((one) => one.connect)
    .map(({ id, name, icon, connect }) => {
      const properties = { href: connect, "data-key": `quick-${id}` };
      return make("a.button.primary.with-icon", properties, emblem({ name, icon }), `Connect ${name}`);
    });

/** @param {Platform} platform */
function acts(platform) {
  const { name, id } = platform;
  const found = [];
  if (platform.connect) {
    const words = platform.accounts ? "Connect another" : "Connect";
    const label = platform.accounts ? `Connect another ${name} account` : `Connect ${name}`;
    found.push(make("a.button", { href: platform.connect, "aria-label": label, "data-key": `connect-${id}` }, words));
    if (!platform.accounts) found[0].classList.add("primary");
  }
  if (platform.provision) {
    const words = platform.provisioned ? "Set up anew" : "Set up in one click";
    const kind = platform.provisioned ? "a.quiet" : "a.button.primary";
    const label = platform.provisioned ? `Set ${name} up anew` : `Set ${name} up in one click`;
    found.push(make(kind, { href: platform.provision, "aria-label": label, "data-key": `provision-${id}` }, words));
  }
  if (platform.draft) {
    const away = { target: "_blank", rel: "noopener noreferrer" };
    const properties = { href: platform.draft, "data-key": `draft-${id}`, ...away };
    found.push(make("a.button", properties, `Make the app at ${name}`));
  }
  return found;
}

/** @param {Platform} platform @returns {(Node | string)[]} */
function about(platform) {
  const { name, id, accounts } = platform;
  if (!platform.connects) return [`${name} accounts can’t be connected; it sends webhooks alone.`];
  if (platform.ready) {
    if (accounts) return [accounts === 1 ? "One account is connected." : `${accounts} accounts are connected.`];
    return ["You agree there, once. Everything else happens by itself."];
  }
  const key = make("code", {}, `plugins.connectors.${id}.client_id`);
  if (!may("admin")) return [`Whoever runs this server has not set ${name} up yet: `, key, " is empty."];
  const doctor = make("code", {}, "tidings doctor");
  const byHand = ["register tidings there, and put ", key, " into config.yaml; ", doctor, " prints what to enter."];
  if (platform.draft) {
    const filledIn = `Not set up yet: ${name} makes the app from what tidings has filled in. Put `;
    return [filledIn, key, " and its secrets into config.yaml; ", doctor, " prints what else to enter."];
  }
  if (platform.provision) return [`${name} makes what is needed when you agree. Or by hand: `, ...byHand];
  return [`Not set up yet: `, ...byHand];
}

/** What everybody must know who is signed in. @param {{text: string, url: string}} notice */
export function noticeBanner({ text, url }) {
  return make("p", {}, ...coded(text), " ", url.startsWith("/") && make("a", { href: url }, "Open its control page"));
}
