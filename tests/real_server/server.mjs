// npm's `oidc-provider` on two loopback ports, with a clock that its test moves and counters that its test reads.
//
// Its argument is the settings, in JSON: `now` (epoch seconds), `lifetimes` (seconds, by kind of token), `clients` (RFC 7591
// metadata) and `tls` (PEMs: `cert`, `key`, `ca`). The first line of standard output is where it listens. It ends when
// standard input does, so that no test leaves one behind.
//
// Everything that decides about tokens is the package's own. Ours are only the clock, the counters under /_test/, and the
// three questions about client certificates that it leaves to the program that terminates TLS.

import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[2]);

// --- the clock: before the package is loaded, so that it knows no other one ---------------------------------------------

const SystemDate = Date;
let now = settings.now * 1000;
globalThis.Date = class extends SystemDate {
  constructor(...given) {
    super(...(given.length ? given : [now]));
  }

  static now() {
    return now;
  }
};

// By its file: the package is installed in the working directory, not beside this module.
const { default: Provider } = await import(pathToFileURL(join(process.cwd(), 'node_modules/oidc-provider/lib/index.js')));

// --- the server ---------------------------------------------------------------------------------------------------------

const plain = createServer();
// Any certificate is let in: the client authentication method decides whether it is valid.
const secure = createSecureServer({ ...settings.tls, requestCert: true, rejectUnauthorized: false });
await Promise.all([plain, secure].map((server) => new Promise((done) => server.listen(0, '127.0.0.1', done))));
const issuer = `http://127.0.0.1:${plain.address().port}`;
const secureOrigin = `https://127.0.0.1:${secure.address().port}`;

const isFapi = (client) => Boolean(client?.clientId.startsWith('fapi-'));
const certificateOf = (ctx) => ctx.socket.getPeerCertificate?.();

const provider = new Provider(issuer, {
  clients: settings.clients,
  ttl: settings.lifetimes,
  // The package's own 15 seconds would let an expired token pass.
  clockTolerance: 0,
  scopes: ['openid', 'offline_access'],
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  jwks: { keys: [{ use: 'sig', ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }) }] },
  cookies: { keys: ['of no worth to anybody'] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  clientAuthMethods: [
    'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth',
    'self_signed_tls_client_auth',
  ],
  enabledJWA: { clientAuthSigningAlgValues: ['HS256', 'RS256', 'PS256', 'ES256'] },
  discovery: {
    mtls_endpoint_aliases: {
      token_endpoint: `${secureOrigin}/token`,
      pushed_authorization_request_endpoint: `${secureOrigin}/request`,
      revocation_endpoint: `${secureOrigin}/token/revocation`,
      userinfo_endpoint: `${secureOrigin}/me`,
    },
  },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    // FAPI 2.0 for the clients whose names say so. Every proof needs a nonce, and the package's nonces step each minute.
    fapi: { enabled: true, profile: (_ctx, client) => (isFapi(client) ? '2.0' : undefined) },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    // The package demands a resource (RFC 8707) for each request with authorization details.
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, audience) => ({ scope: 'accounts', audience, accessTokenFormat: 'opaque', accessTokenTTL: settings.lifetimes.AccessToken }),
      useGrantedResource: () => true,
    },
    richAuthorizationRequests: {
      enabled: true,
      types: { account_information: { validate: () => {} } },
      authorizationDetailsForGrantSource: (ctx) => ctx.oidc.entities.Grant.rar,
      authorizationDetailsForAccessToken: (_ctx, _token, source) => source.rar,
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => {
        const { raw } = certificateOf(ctx) ?? {};
        return raw && new X509Certificate(raw).toString();
      },
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_san_dns' && certificateOf(ctx).subjectaltname === `DNS:${expected}`,
    },
  },
});

// --- what happened ------------------------------------------------------------------------------------------------------

let counts;
const reset = () => {
  counts = {
    token_requests: 0, refreshes: 0, reuses: 0, refusals: [], revocations: 0, grants_revoked: 0, pushed: 0, nonce_demands: 0,
  };
};
reset();

provider.on('grant.success', (ctx) => {
  counts.refreshes += ctx.oidc.params.grant_type === 'refresh_token';
});
provider.on('grant.error', (_ctx, error) => {
  if (error.error === 'use_dpop_nonce') {
    return;
  }
  counts.reuses += error.error_detail === 'refresh token already used';
  counts.refusals.push([error.error, error.error_detail ?? error.error_description ?? null]);
});
for (const name of ['grant.error', 'pushed_authorization_request.error', 'userinfo.error']) {
  provider.on(name, (_ctx, error) => {
    counts.nonce_demands += error.error === 'use_dpop_nonce';
  });
}
provider.on('pushed_authorization_request.success', () => {
  counts.pushed += 1;
});
provider.on('grant.revoked', () => {
  counts.grants_revoked += 1;
});
provider.on('server_error', (_ctx, error) => {
  console.error(error);
});

const controls = {
  '/_test/counts': () => {},
  '/_test/reset': reset,
  '/_test/clock': (query) => {
    now = Number(query.get('now')) * 1000;
  },
};

const answer = provider.callback();
const listener = (request, response) => {
  const { pathname, searchParams } = new URL(request.url, issuer);
  if (pathname in controls) {
    controls[pathname](searchParams);
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify(counts));
    return;
  }
  if (request.method === 'POST' && pathname === '/token') {
    counts.token_requests += 1;
  }
  counts.revocations += request.method === 'POST' && pathname === '/token/revocation';
  answer(request, response);
};
plain.on('request', listener);
secure.on('request', listener);

process.stdin.on('end', () => process.exit()).resume();
console.log(JSON.stringify({ issuer, secure_origin: secureOrigin }));
