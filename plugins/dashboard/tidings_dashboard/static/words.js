// @ts-check
/**
 * Everything that the page says, in English: to translate it, translate this file. What takes values is a function,
 * so that another language may put them in another order. `index.html` names its texts by their place here.
 */

/** How dates and numbers are written: the reader's English, or Britain's. */
export const LANGUAGE = navigator.languages.find((language) => language.startsWith("en")) ?? "en-GB";

/** @type {(count: number, one: string, many: string) => string} */
const counted = (count, one, many) => `${count.toLocaleString(LANGUAGE)} ${count === 1 ? one : many}`;

export const PAGE = {
  skip: "Skip to the feed",
  views: "Views",
  feed: "Feed",
  connections: "Connections",
  activity: "Activity",
  notifications: "Notifications",
  asking: "must be connected again",
  signOut: "Sign out",
  update: "There is a new version of this page.",
  updateNow: "Reload",
  kept: (/** @type {string} */ at) =>
    `The server is out of reach. This is what was here ${at}; the rest comes by itself.`,
  tooOld: "What that notification told of is further back than this page goes.",
  ended: (/** @type {string} */ reason) =>
    `The server ended the live connection: ${reason}. Reload the page to connect again.`,
  stillSignedIn: (/** @type {string} */ problem) => `You are still signed in. ${problem}`,
  spoken: (/** @type {string} */ title) => `New: ${title}`,
  dismiss: "Dismiss",
  toasts: "What was done",
};

/** How the live connection is. */
export const STATES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  offline: "Offline",
  stopped: "Stopped",
  "signed-out": "Signed out",
};

/** The window's title for each view. @type {Record<string, string>} */
export const TITLES = {
  feed: "tidings",
  connections: "Connections · tidings",
  activity: "Activity · tidings",
  notifications: "Notifications · tidings",
  sandbox: "Sandbox · tidings",
};

export const API = {
  status: (/** @type {number} */ status) => `The server answered ${status}.`,
  silent: "The server does not answer.",
};

export const SIGNED_OUT = {
  title: "You are not signed in",
  ended: "Your session has ended",
  onPurpose: "You have signed out",
  how: "To sign in, run this on the server with your name:",
  then: "It prints a link. Open it in this browser and you are in. The link works once.",
};

export const EMPTY = {
  title: "Nothing has happened yet",
  intro: "This page is listening. News appears here the moment it arrives.",
  connect: "Connect an account",
  connectHow: "Choose one and agree. You come back here, and what is new there appears by itself.",
  here: "Try it from here",
  webhook: "Try a signed webhook",
  webhookHow: "On the server, send a sample as GitHub would:",
  repository: "Watch a repository of yours",
  repositoryHow: "This prints an address and a secret to enter in the repository’s settings at GitHub, under Webhooks:",
};

export const COMPOSE = {
  title: "Send yourself a message",
  open: "Message",
  short: "Send",
  intro: "It becomes an event in your feed and reaches every page and app you have open.",
  subject: "Title",
  text: "Text",
  link: "Link",
  optional: "optional",
  cancel: "Cancel",
  send: "Send",
  notSent: (/** @type {string} */ problem) => `Not sent. ${problem}`,
};

export const FEED = {
  label: "Your feed",
  search: "Search",
  searchLabel: "Search the feed",
  platform: "Platform",
  all: "All platforms",
  found: (/** @type {number} */ shown, /** @type {number} */ all) =>
    shown ? `${shown.toLocaleString(LANGUAGE)} of ${all.toLocaleString(LANGUAGE)}` : "Nothing here fits.",
  fresh: (/** @type {number} */ count) => `${count.toLocaleString(LANGUAGE)} new`,
  unread: "unread",
  readUpTo: "You had read up to here",
  readAll: "Mark all as read",
  readLater: "Marked here. Your other devices learn of it when the server is back.",
  older: "Loading what came before",
  oldest: "This is where your feed begins.",
  limit: (/** @type {number} */ count) =>
    `This page holds ${count.toLocaleString(LANGUAGE)} events. Older ones stay in the journal.`,
  notOlder: (/** @type {string} */ problem) => `What came before can’t be shown now. ${problem}`,
  again: "Try again",
  more: "more",
  less: "less",
  own: "tidings",
  how: "How it came",
  howLate: "How it came, and how long after it happened",
  recorded: (/** @type {string} */ how, /** @type {string} */ at) => `${how}. Recorded ${at}.`,
  /** @type {Record<string, string>} */
  ways: { webhook: "webhook", polling: "asked for", recovery: "found again", streaming: "streamed", api: "sent" },
  late: (/** @type {string} */ time) => `${time} late`,
  gapRestored: "The server’s journal was restored or replaced. This page reads it anew.",
  gapRetention: (/** @type {number} */ count) =>
    `${counted(count, "event was", "events were")} removed by retention before this page could show them.`,
  gap: (/** @type {number} */ count, /** @type {string} */ reason) =>
    `${counted(count, "event", "events")} can’t be shown any more (${reason}).`,
};

export const TIME = {
  today: "Today",
  yesterday: "Yesterday",
  justNow: "just now",
  now: "now",
  never: "never",
  ago: (/** @type {string} */ time) => `${time} ago`,
  in: (/** @type {string} */ time) => `in ${time}`,
  /** @type {Record<"second" | "minute" | "hour" | "day", (count: string | number) => string>} */
  short: {
    second: (count) => `${count} s`,
    minute: (count) => `${count} min`,
    hour: (count) => `${count} h`,
    day: (count) => `${count} d`,
  },
  seconds: (/** @type {number} */ count) => counted(count, "second", "seconds"),
  minutes: (/** @type {number} */ count) => counted(count, "minute", "minutes"),
  hours: (/** @type {number} */ count) => counted(count, "hour", "hours"),
  days: (/** @type {number} */ count) => counted(count, "day", "days"),
};

export const ACCOUNT = {
  /** @type {Record<string, string>} */
  states: { connected: "Connected", needs_reauth: "Needs you", parked: "Stopped", disconnecting: "Disconnecting" },
  leaving: "Being disconnected.",
  unwatched: "It is not watched now.",
  soon: "It will be watched in a moment.",
  watchedBy: "Watched by ",
  since: ", chosen ",
  playing: "Now playing: ",
  again: "Connect again",
  attention: (/** @type {string} */ platform, /** @type {string} */ name) => `${platform}: ${name} must be connected again`,
};

export const CONNECTIONS = {
  yours: "Your accounts",
  more: "Connect more",
  first: "Connect an account",
  none: "No platform is named under plugins.connectors in config.yaml.",
  intro:
    "Choose where your news comes from. You agree there once and come back here; from then on, what is new appears in " +
    "your feed by itself.",
  outdated: (/** @type {string} */ problem) => `This may be out of date. ${problem}`,
  checked: "Checked ",
  notYet: "not yet",
  next: "next ",
  news: "last news ",
  noneYet: "none yet",
  reauthorizeBy: "reauthorise by ",
};

export const CONNECTION = {
  back: "Connections",
  loading: "Loading",
  gone: "This account is not connected any more.",
  sync: "Sync now",
  asked: "Asked. What is new appears in your feed.",
  askedLater: "The server is out of reach. It is asked as soon as it is back.",
  disconnect: "Disconnect",
  disconnected: "Being disconnected. Its webhooks and tokens go.",
  notDisconnected: (/** @type {string} */ problem) => `Not disconnected. ${problem}`,
  leaveTitle: (/** @type {string} */ name) => `Disconnect ${name}?`,
  leaveIntro: "tidings removes the webhooks that it made there, gives its rights back and forgets its tokens.",
  leaveEvents: "What has come from there so far",
  leaveKeep: "Keep it in my feed",
  leaveDelete: "Delete it for good",
  quiet: "Nothing new there yet. ",
  yourFeed: "Your feed",
  showsIt: " shows it the moment it happens.",
  how: "How",
  checked: "Checked",
  nextCheck: "Next check",
  none: "none",
  lastNews: "Last news",
  connected: "Connected",
  reauthorizeBy: "Reauthorise by",
  rights: "What tidings may do there",
  granted: "Granted",
  or: " or ",
  ofTheApp: "It has the rights of the application itself.",
  missing: "Missing:",
  missingMeans: ". What needs it is not watched. Connect again, and agree to it.",
  agreed: "Agreed to ",
  tokenEnds: "The present token ends ",
  tokenStays: "The token does not end.",
  limits: "Limits",
  used: (/** @type {string} */ used, /** @type {string} */ most, /** @type {string} */ span) =>
    `${used} of ${most} calls in the last ${span}`,
  broken: "The platform fails to answer. It is left alone for a while, then tried again.",
  paused: (/** @type {string} */ reason) => `${reason} Nothing is asked until `,
  free: "Nothing holds tidings back.",
  watched: "What is watched",
  webhooks: "Webhooks",
  hookColumns: ["At", "State", "Last delivery", "Checked", "Ends"],
  /** @type {Record<string, string>} */
  hookStates: { wanted: "being made", active: "active", failed: "failed", removing: "being removed" },
  attempts: "What was done lately",
  attemptColumns: ["When", "What", "How it went"],
  attempted: (/** @type {string} */ outcome, /** @type {string} */ time) => `${outcome} in ${time}`,
  milliseconds: (/** @type {number} */ ms) => `${ms} ms`,
  nothingYet: "Nothing yet.",
  /** @type {Record<string, string>} */
  kinds: {
    monitor: "Chose how to watch",
    sync: "Asked for news",
    hooks: "Kept webhooks in order",
    recover: "Looked for lost webhooks",
    refresh: "Refreshed the token",
    leave: "Disconnected",
  },
};

export const PLATFORMS = {
  connect: "Connect",
  connectAnother: "Connect another",
  connectName: (/** @type {string} */ name) => `Connect ${name}`,
  connectAnotherName: (/** @type {string} */ name) => `Connect another ${name} account`,
  setUp: "Set up in one click",
  setUpAnew: "Set up anew",
  setUpName: (/** @type {string} */ name) => `Set ${name} up in one click`,
  setUpAnewName: (/** @type {string} */ name) => `Set ${name} up anew`,
  draft: (/** @type {string} */ name) => `Make the app at ${name}`,
  webhooksAlone: (/** @type {string} */ name) => `${name} accounts can’t be connected; it sends webhooks alone.`,
  accounts: (/** @type {number} */ count) =>
    count === 1 ? "One account is connected." : `${count} accounts are connected.`,
  agree: "You agree there, once. Everything else happens by itself.",
  asks: "tidings asks for:",
  pushes: "It is watched by webhook where it can reach this server, and asked now and then, so that nothing is missed.",
  polls: "It is watched by asking it now and then: it sends no news by itself.",
  // `such` is code.
  byOperator: (/** @type {string} */ name, /** @type {string} */ key) =>
    `Whoever runs this server has not set ${name} up yet: \`${key}\` is empty.`,
  filledIn: (/** @type {string} */ name, /** @type {string} */ key) =>
    `Not set up yet: ${name} makes the app from what tidings has filled in. Put \`${key}\` and its secrets into ` +
    "config.yaml; `tidings doctor` prints what else to enter.",
  oneClick: (/** @type {string} */ name, /** @type {string} */ key) =>
    `${name} makes what is needed when you agree. Or by hand: register tidings there, and put \`${key}\` into ` +
    "config.yaml; `tidings doctor` prints what to enter.",
  byHand: (/** @type {string} */ key) =>
    `Not set up yet: register tidings there, and put \`${key}\` into config.yaml; \`tidings doctor\` prints what to enter.`,
  control: "Open its page",
};

/** What needs no consent, only an address. */
export const FOLLOW = {
  label: (/** @type {string} */ name) => `Follow: ${name}`,
  intro: "No account is needed: give an address, and what is new there appears by itself.",
  accounts: (/** @type {number} */ count) => (count === 1 ? "One is followed." : `${count} are followed.`),
  does: "Follow",
  not: (/** @type {string} */ problem) => `Not followed. ${problem}`,
};

export const SETTINGS = {
  save: "Save",
  saved: "Saved. It is in force within moments.",
  notSaved: (/** @type {string} */ problem) => `Not saved. ${problem}`,
  oneALine: "one a line",
  thing: "possible value",
  wrong: (/** @type {string} */ word, /** @type {string} */ thing) => `“${word}” is no ${thing}.`,
  like: (/** @type {string} */ example) => ` Write it like ${example}.`,
};

export const ACTIVITY = {
  heading: "Activity",
  spans: [
    { hours: 24, name: "24 hours" },
    { hours: 168, name: "7 days" },
  ],
  span: "Of the last",
  none: "Nothing has happened in this time.",
  since: (/** @type {string} */ at) => `So much has happened that only what came since ${at} is counted.`,
  events: "Events per hour",
  total: (/** @type {number} */ count) => counted(count, "event", "events"),
  busiest: (/** @type {number} */ count, /** @type {string} */ hour) => `the busiest hour had ${count}, from ${hour}`,
  hour: (/** @type {string} */ from, /** @type {number} */ count) => `${from}: ${counted(count, "event", "events")}`,
  table: "The same as a table",
  hourColumn: "Hour",
  late: "How late news came",
  lateIntro: "From when it happened there to when it was here.",
  way: "Way",
  within: (/** @type {string} */ time) => `≤ ${time}`,
  beyond: "later",
  half: "Half within",
  budgets: "What may still be asked",
  budgetsIntro: "Platforms limit how often they are asked. tidings spreads its questions so that enough are left.",
  noBudgets: "No connected account has a limit.",
};

/** The view of the sandbox. */
export const SANDBOX = {
  heading: "Sandbox",
  open: "Open its controls",
  intro:
    "These platforms are emulated here, and their people are invented. Make something happen and see it arrive; break " +
    "something and see how tidings copes.",
  control: "All of its controls",
  off: "The sandbox is off, or not yours to control.",
  first: "Connect an invented account",
  more: "Connect more",
  works: "Works",
  broken: "Broken",
  mend: "Mend",
  mendName: (/** @type {string} */ platform) => `Mend ${platform}`,
  mended: (/** @type {string} */ platform) => `${platform} works again.`,
  syncName: (/** @type {string} */ platform) => `Sync ${platform} now`,
  nobody: "Nobody lets an app see their account here now.",
  what: (/** @type {string} */ person, /** @type {string} */ platform) => `What ${person} does at ${platform}`,
  happen: "Do it",
  of: (/** @type {string} */ words, /** @type {string} */ person, /** @type {string} */ platform) =>
    `${words}: ${person} at ${platform}`,
  expire: "Let the token expire",
  expired: (/** @type {string} */ person) => `The token of ${person} has expired. tidings gets another when it next asks.`,
  revoke: "Take the consent back",
  revoked: (/** @type {string} */ person) => `${person} has taken the consent back. tidings notices when it next asks.`,
  wrong: (/** @type {string} */ platform) => `What goes wrong at ${platform}`,
  /** @type {Record<string, string>} */
  troubles: {
    outage: "Outage",
    silence: "No answers",
    flaky: "Random errors",
    throttled: "Rate limit",
    lost: "Lose webhooks",
    doubled: "Double webhooks",
    late: "Delay webhooks",
  },
  unhook: "Remove webhooks",
  unhooked: (/** @type {string} */ platform) => `Their owner has removed the webhooks at ${platform}.`,
  log: "What happened there",
};

/** The view of notifications. */
export const PUSH = {
  heading: "Notifications",
  intro: "News on this device and others, also while no page of tidings is open. What a page in view shows is not repeated.",
  enable: "Notify this device",
  name: "What you call it",
  own: "this device",
  devices: "Devices",
  none: "No device is notified yet.",
  comesBack: "A device removed here comes back when tidings is opened there; to end that, remove it there, or sign out there.",
  full: (/** @type {number} */ most) => `You have ${most} devices already, which is as many as can be. Remove one first.`,
  denied: "This browser does not let this page notify you. Allow it in the browser’s settings for this site, then reload.",
  refused: "This browser gave no subscription.",
  unable: "This browser can’t be notified. It takes a page served over https, and no private window.",
  installFirst:
    "On an iPhone or iPad, add this page to the Home Screen first (Share, Add to Home Screen), open it from there, and " +
    "sign in there.",
  test: "Test",
  remove: "Remove",
  pushed: "Last notified ",
  again: "tried again ",
  since: "added ",
  /** @type {Record<string, string>} */
  states: { new: "New", ok: "Works", failing: "Fails" },
  /** @type {Record<string, string>} */
  outcomes: {
    taken: "Sent. It should appear within moments.",
    refused: "Refused.",
    later: "Not now.",
    blocked: "The push service does not take it from this server.",
    gone: "The browser has ended this subscription, so the device was removed.",
  },
  rules: "What notifies",
  enabled: "Notify my devices",
  from: (/** @type {string} */ name) => `News from ${name}`,
  tidings: "tidings itself, and messages",
  types: "Only these types",
  typesHint: "None means all. * stands for any characters.",
  mutedTypes: "Never these types",
  examples: ["com.github.pull_request*"],
};
