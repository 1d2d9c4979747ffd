// An OpenID provider for tests: the package as it comes, with its own login and consent pages, PKCE demanded,
// and refresh tokens that can be used once. Run as `node provider.js <secret of the clients>`.
//
// It prints its address, and ends when its standard input does. Beside the provider's own routes, /test/… lets a
// test see what token requests came and do what only time, or the account's owner, could.

import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

const DAY_SECONDS = 86_400;

// --- what a test can see and do ---------------------------------------------------------------------------------

const requests = []; // to the token and userinfo endpoints, oldest first, since a test asked last
const latest = new Map(); // each account's newest access token
const names = new Map(); // what accounts call themselves

const realNow = Date.now;
let aheadMs = 0;
Date.now = () => realNow() + aheadMs;

const acts = {
  requests: () => requests.splice(0),
  rename: (account, name) => { names.set(account, name); },
  forward: (seconds) => { aheadMs += Number(seconds) * 1000; },
  // The access token alone, long before its time.
  cut: async (account) => { await latest.get(account).destroy(); },
  // The owner takes the whole consent back.
  withdraw: async (account) => {
    const grant = await provider.Grant.find(latest.get(account).grantId);
    await grant.destroy();
  },
};

async function act(request, response) {
  const [name, ...given] = request.url.split('/').slice(2).map(decodeURIComponent);
  const done = await acts[name](...given);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(done ?? null));
}

async function record(ctx, next) {
  await next();
  const { route, params } = ctx.oidc ?? {};
  if (route === 'token' || route === 'userinfo') {
    requests.push({
      route,
      status: ctx.status,
      grant_type: params?.grant_type,
      refresh_token: params?.refresh_token,
      has_verifier: Boolean(params?.code_verifier),
      proof: proofIn(ctx, params),
      error: ctx.body?.error,
    });
  }
}

function proofIn(ctx, params) {
  if (ctx.get('authorization')) return ctx.get('authorization').split(' ')[0];
  return params?.client_secret ? 'body' : 'none';
}

// --- the provider -----------------------------------------------------------------------------------------------

function client(method, secret) {
  return {
    client_id: `tidings ${method}`, // with a blank: the standard lets it have one
    ...(secret && { client_secret: secret }),
    token_endpoint_auth_method: method,
    application_type: 'native', // so that a loopback address may have any port (RFC 8252, section 7.3)
    redirect_uris: ['http://127.0.0.1/api/oauth/oidc/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
}

const server = createServer();
await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
const issuer = `http://127.0.0.1:${server.address().port}`;
const secret = process.argv[2];
const provider = new Provider(issuer, {
  clients: [
    client('client_secret_basic', secret),
    client('client_secret_post', secret),
    client('none'),
  ],
  claims: { openid: ['sub'], profile: ['name'] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  features: { revocation: { enabled: true } },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: names.get(id) ?? id }),
  }),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: 3600,
    RefreshToken: 30 * DAY_SECONDS,
    Grant: 60 * DAY_SECONDS,
    IdToken: 3600,
    Interaction: 3600,
    Session: DAY_SECONDS,
  },
});
provider.use(record);
provider.on('server_error', (_ctx, error) => { console.error(error); });
provider.on('access_token.saved', (token) => { latest.set(token.accountId, token); });

const answer = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/test/')) return answer(request, response);
  return act(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
});
process.stdin.on('end', () => process.exit()).resume();
console.log(issuer);
