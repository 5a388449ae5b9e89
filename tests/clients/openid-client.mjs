// The npm packages openid-client, oauth4webapi and jose against a running server: one line for each step, and a
// non-zero exit at the first one that fails. AUTHLY_CLIENT_TEST holds the parameters as JSON: see
// tests/tests/third_party_client.rs, which starts this.

import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { Browser } from './browser.mjs'

globalThis.crypto ??= webcrypto // Node.js 18
const { createRemoteJWKSet, jwtVerify } = await import('jose')
const oauth = await import('oauth4webapi')
const client = await import('openid-client')

const { issuer, audience, username, password, publicClient, confidentialClient } = JSON.parse(
  process.env.AUTHLY_CLIENT_TEST,
)

let steps = 0
async function step(name, action) {
  try {
    const result = await action()
    steps += 1
    console.log(`ok      ${name}`)
    return result
  } catch (error) {
    console.log(`FAILED  ${name}`)
    console.error(error)
    process.exit(1)
  }
}

function discover({ client_id: id, client_secret: secret }, authentication) {
  return client.discovery(new URL(issuer), id, secret, authentication, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests], // http, on loopback
  })
}

/** The whole front channel: what comes back to the redirect URI, and what the client has to check it with. */
async function authorize(config, registration, { scope, decision = 'allow', browser = new Browser(issuer) }) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: registration.redirect_uri,
    scope,
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })
  const { callback, pages } = await browser.authorize(url, { username, password, decision })
  assert.ok(callback.href.startsWith(registration.redirect_uri), callback.href)
  return { callback, pages, browser, checks: { pkceCodeVerifier, expectedState } }
}

async function isRefused(action, expected) {
  await assert.rejects(action, (error) => {
    for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, `${name} of ${error}`)
    return true
  })
}

// A public client ------------------------------------------------------------------------------------------------

const app = await step('RFC 8414: discovery; the issuer is the one that was asked', async () => {
  const config = await discover(publicClient, client.None())
  const metadata = config.serverMetadata()
  assert.equal(metadata.issuer, issuer)
  assert.ok(metadata.supportsPKCE('S256'))
  assert.equal(metadata.authorization_response_iss_parameter_supported, true)
  return config
})

const signedIn = await step('authorization request: login, consent, and back to the client', () =>
  authorize(app, publicClient, { scope: 'profile read' }),
)
assert.deepEqual(signedIn.pages, ['login', 'consent'])

await step('RFC 9207: an answer in the name of another issuer is refused by the client', async () => {
  const forged = new URL(signedIn.callback)
  forged.searchParams.set('iss', 'https://attacker.example')
  await isRefused(client.authorizationCodeGrant(app, forged, signedIn.checks), { code: 'OAUTH_INVALID_RESPONSE' })
})

await step('a state that is not the expected one is refused by the client', () =>
  isRefused(
    client.authorizationCodeGrant(app, signedIn.callback, { ...signedIn.checks, expectedState: client.randomState() }),
    { code: 'OAUTH_INVALID_RESPONSE' },
  ),
)

const tokens = await step('RFC 7636: code and verifier are exchanged for tokens', () =>
  client.authorizationCodeGrant(app, signedIn.callback, signedIn.checks),
)

const keys = createRemoteJWKSet(new URL(app.serverMetadata().jwks_uri))
const verify = (token) => jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', requiredClaims: ['sub', 'jti'] })

await step('the access token is verified with the published keys', async () => {
  const { payload } = await verify(tokens.access_token)
  assert.equal(payload.client_id, publicClient.client_id)
  assert.deepEqual(new Set(payload.scope.split(' ')), new Set(['profile', 'read']))
})

await step('RFC 9068: a resource server accepts the access token', async () => {
  const request = new Request('https://api.example/', { headers: { authorization: `Bearer ${tokens.access_token}` } })
  const claims = await oauth.validateJwtAccessToken(app.serverMetadata(), request, audience, {
    [oauth.allowInsecureRequests]: true,
  })
  assert.equal(claims.client_id, publicClient.client_id)
})

await step('the bearer token opens /api/v1/users/me', async () => {
  const me = await client.fetchProtectedResource(
    app,
    tokens.access_token,
    new URL(`${issuer}/api/v1/users/me`),
    'GET',
  )
  assert.equal(me.status, 200)
  assert.equal((await me.json()).username, username)
})

const refreshed = await step('a refresh token is exchanged for new ones', async () => {
  const refreshed = await client.refreshTokenGrant(app, tokens.refresh_token)
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
  assert.notEqual(refreshed.access_token, tokens.access_token)
  await verify(refreshed.access_token)
  return refreshed
})

await step('the new refresh token works in its turn, for a narrower scope', async () => {
  const narrowed = await client.refreshTokenGrant(app, refreshed.refresh_token, { scope: 'read' })
  assert.equal(narrowed.scope, 'read')
})

await step('a replayed refresh token is refused', () =>
  isRefused(client.refreshTokenGrant(app, tokens.refresh_token), { error: 'invalid_grant', status: 400 }),
)

await step('a code is good only once', () =>
  isRefused(client.authorizationCodeGrant(app, signedIn.callback, signedIn.checks), { error: 'invalid_grant' }),
)

await step('a verifier that does not belong to the code is refused', async () => {
  const { callback, checks } = await authorize(app, publicClient, { scope: 'read', browser: signedIn.browser })
  const wrong = { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() }
  await isRefused(client.authorizationCodeGrant(app, callback, wrong), { error: 'invalid_grant' })
})

await step('the person denies: the client is told access_denied', async () => {
  const { callback, checks } = await authorize(app, publicClient, { scope: 'read', decision: 'deny' })
  await isRefused(client.authorizationCodeGrant(app, callback, checks), { error: 'access_denied' })
})

await step('a scope that the client may not ask for: the client is told invalid_scope', async () => {
  const { callback, checks } = await authorize(app, publicClient, { scope: 'no-such-scope' })
  await isRefused(client.authorizationCodeGrant(app, callback, checks), { error: 'invalid_scope' })
})

await step('RFC 7009: a public client revokes its refresh token', async () => {
  const { callback, checks } = await authorize(app, publicClient, { scope: 'read', browser: signedIn.browser })
  const { refresh_token: token } = await client.authorizationCodeGrant(app, callback, checks)
  await client.tokenRevocation(app, token, { token_type_hint: 'refresh_token' })
  await isRefused(client.refreshTokenGrant(app, token), { error: 'invalid_grant' })
})

// A confidential client, by both methods of authentication ---------------------------------------------------------

for (const [method, authentication] of [
  ['client_secret_basic', client.ClientSecretBasic],
  ['client_secret_post', client.ClientSecretPost],
]) {
  const service = await discover(confidentialClient, authentication(confidentialClient.client_secret))

  const granted = await step(`${method}: client_credentials`, async () => {
    const granted = await client.clientCredentialsGrant(service, { scope: 'read' })
    const { payload } = await verify(granted.access_token)
    assert.equal(payload.sub, confidentialClient.client_id)
    assert.equal(granted.refresh_token, undefined)
    return granted
  })

  await step(`${method}: RFC 7662: introspection`, async () => {
    const active = await client.tokenIntrospection(service, granted.access_token)
    assert.equal(active.active, true)
    assert.equal(active.client_id, confidentialClient.client_id)
    assert.equal(active.iss, issuer)
    assert.deepEqual(await client.tokenIntrospection(service, 'no-such-token'), { active: false })
  })

  await step(`${method}: RFC 7009: revocation`, async () => {
    await client.tokenRevocation(service, granted.access_token)
    assert.deepEqual(await client.tokenIntrospection(service, granted.access_token), { active: false })
  })

  await step(`${method}: authorization code, refresh, and the end of the grant`, async () => {
    const { callback, checks } = await authorize(service, confidentialClient, { scope: 'read' })
    const first = await client.authorizationCodeGrant(service, callback, checks)
    const second = await client.refreshTokenGrant(service, first.refresh_token)
    await verify(second.access_token)
    assert.equal((await client.tokenIntrospection(service, second.refresh_token)).active, true)
    await client.tokenRevocation(service, second.refresh_token)
    assert.deepEqual(await client.tokenIntrospection(service, second.access_token), { active: false })
    await isRefused(client.refreshTokenGrant(service, second.refresh_token), { error: 'invalid_grant' })
  })

  await step(`${method}: a wrong secret is refused`, async () => {
    const stranger = await discover(confidentialClient, authentication('not-the-secret'))
    await isRefused(client.clientCredentialsGrant(stranger), { status: 401, code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' })
  })
}

console.log(`${steps} steps passed`)
