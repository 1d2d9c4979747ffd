// @ts-check
/** What could be connected: a card for each platform, with its button or the reason why there is none. */

import { coded, emblem, make } from "./dom.js";
import { api, may } from "./api.js";
import { settingsForm } from "./settings.js";
import { FOLLOW, PLATFORMS, SANDBOX } from "./words.js";

/** The sandbox's own page: where its notice leads. Here it has a view instead. */
export const CONTROL = "/sandbox";

/**
 * @typedef {{id: string, name: string, icon: string, connects: boolean, ready: boolean, receives: boolean,
 *   accounts: number, connect?: string, follow?: string, provision?: string, provisioned: boolean, draft?: string,
 *   settings_schema: any, unseen: string, named_sources: boolean,
 *   pushes: boolean, scopes: string[]}} Platform
 */

const MOST_LETTERS = 2000; // of an address

/**
 * @param {Platform} platform
 * @param {HTMLElement | undefined} following the form of one that is followed by an address
 * @returns {HTMLElement}
 */
export function platformCard(platform, following) {
  return make(
    "li.platform",
    { "data-platform": platform.id },
    make("span.emblem", {}, emblem(platform)),
    make(
      "div.about",
      {},
      make("h3", {}, platform.name),
      make("p", {}, ...about(platform)),
      ...(platform.ready ? outlook(platform) : []),
      !!platform.unseen && make("p.unseen", {}, platform.unseen),
    ),
    make("div.acts", {}, ...acts(platform)),
    following,
  );
}

/**
 * A form for what needs no consent: its one field asks what the connector asks for.
 * @param {Platform} platform
 * @param {(connection: any) => void} onFollowed
 */
export function followForm({ id, name, follow }, onFollowed) {
  const schema = { properties: { address: { type: "string", title: follow, maxLength: MOST_LETTERS } }, required: ["address"] };
  const send = async (/** @type {Record<string, any>} */ { address }) => {
    const { ok, answer, problem } = await api("/api/connections", { platform: id, address });
    if (ok) onFollowed(answer);
    return ok ? "" : FOLLOW.not(problem);
  };
  const form = settingsForm(schema, {}, send, { does: FOLLOW.does, done: "", key: `follow-${id}` });
  form.setAttribute("aria-label", FOLLOW.label(name));
  form.classList.add("following");
  return form;
}

/** A button for each platform that can be connected now. @param {Platform[]} platforms */
export const connectButtons = (platforms) =>
  platforms
    .filter((one) => one.connect || one.follow)
    .map(({ id, name, icon, connect }) => {
      const properties = { href: connect ?? "#connections", "data-key": `quick-${id}` };
      const words = connect ? PLATFORMS.connectName(name) : FOLLOW.label(name);
      return make("a.button.with-icon", properties, emblem({ name, icon }), words);
    });

/** @param {Platform} platform */
function acts(platform) {
  const { name, id } = platform;
  const found = [];
  if (platform.connect) {
    const words = platform.accounts ? PLATFORMS.connectAnother : PLATFORMS.connect;
    const label = platform.accounts ? PLATFORMS.connectAnotherName(name) : PLATFORMS.connectName(name);
    found.push(make("a.button", { href: platform.connect, "aria-label": label, "data-key": `connect-${id}` }, words));
    if (!platform.accounts) found[0].classList.add("primary");
  }
  if (platform.provision) {
    const words = platform.provisioned ? PLATFORMS.setUpAnew : PLATFORMS.setUp;
    const kind = platform.provisioned ? "a.quiet" : "a.button.primary";
    const label = platform.provisioned ? PLATFORMS.setUpAnewName(name) : PLATFORMS.setUpName(name);
    found.push(make(kind, { href: platform.provision, "aria-label": label, "data-key": `provision-${id}` }, words));
  }
  if (platform.draft) {
    const away = { target: "_blank", rel: "noopener noreferrer" };
    const properties = { href: platform.draft, "data-key": `draft-${id}`, ...away };
    found.push(make("a.button", properties, PLATFORMS.draft(name)));
  }
  return found;
}

/** What tidings will see there, and how it will watch. @param {Platform} platform */
function outlook({ scopes, pushes }) {
  // Google's are addresses, whose ends are what people know.
  const asked = scopes.flatMap((scope) => [make("code", {}, scope.split("/").at(-1)), " "]);
  return [
    asked.length > 0 && make("p.asks", {}, PLATFORMS.asks, " ", ...asked),
    make("p.asks", {}, pushes ? PLATFORMS.pushes : PLATFORMS.polls),
  ];
}

/** @param {Platform} platform @returns {(Node | string)[]} */
function about(platform) {
  const { name, id, accounts } = platform;
  if (!platform.connects) return [PLATFORMS.webhooksAlone(name)];
  if (platform.follow) return [accounts ? FOLLOW.accounts(accounts) : FOLLOW.intro];
  if (platform.ready) return [accounts ? PLATFORMS.accounts(accounts) : PLATFORMS.agree];
  const key = `plugins.connectors.${id}.client_id`;
  if (!may("admin")) return coded(PLATFORMS.byOperator(name, key));
  if (platform.draft) return coded(PLATFORMS.filledIn(name, key));
  return coded(platform.provision ? PLATFORMS.oneClick(name, key) : PLATFORMS.byHand(key));
}

/** What everybody must know who is signed in. @param {HTMLElement} banner @param {{text: string, url: string}[]} notices */
export function showNotices(banner, notices) {
  const control = (/** @type {string} */ url) =>
    url === CONTROL
      ? make("a", { href: "#sandbox", id: "to-sandbox" }, SANDBOX.open)
      : url.startsWith("/") && make("a", { href: url }, PLATFORMS.control);
  const lines = notices.map(({ text, url }) => make("p", {}, ...coded(text), " ", control(url)));
  if (banner.childElementCount !== lines.length) banner.replaceChildren(...lines);
  banner.hidden = !lines.length;
}
