"""Rows: tokens by hand, without an HTTP client of the user's."""

from __future__ import annotations

from blnk_auth import KeepaliveFailure, StaticToken, StoreError, Token

from .faults import BROKEN, CALLABLES, ONE_OF_EACH, PLACES, STORE, TOKEN_REQUEST, quotes
from .marks import ENCODINGS
from .table import row
from .world import World

REVOCATION = (
    *quotes("revocation", ("error_description", "error", "HTML")),
    *(f"revocation: {name}" for name in BROKEN),
    *CALLABLES,
)


@row("OAuthClient OAuthClient.for_subject TokenSource TokenSource.token", failures=(*TOKEN_REQUEST, *STORE))
def a_renewal(world: World) -> object:
    """The refresh token grant."""
    return world.expired().token()


@row("TokenSource.atoken", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
async def a_renewal_in_a_task(world: World) -> object:
    """The same, awaited."""
    return await world.expired().atoken()


@row("TokenSource.renew", failures=ONE_OF_EACH, further=(*TOKEN_REQUEST, *STORE))
def a_renewal_by_hand(world: World) -> object:
    """Joins or begins one."""
    return world.source().renew()


@row("TokenSource.arenew", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
async def a_renewal_by_hand_in_a_task(world: World) -> object:
    """The same, awaited."""
    source = world.source()
    return await source.arenew(rejected=source.token())


@row("OAuthClient.for_itself", failures=TOKEN_REQUEST)
def a_token_of_the_client_itself(world: World) -> object:
    """Client credentials."""
    return world.look_at(world.client().for_itself(scope="read")).token()


@row("OAuthClient.for_token_exchange", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
def a_token_for_another_token(world: World) -> object:
    """Token exchange: both tokens are secrets, one by a text and one by a callable."""
    actor = world.secrets.new("actor token")
    source = world.client().for_token_exchange(
        subject_token=world.secrets.new("subject token"),
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        subject="alice",
        actor_token=lambda: world.fetched(actor),
        actor_token_type="urn:ietf:params:oauth:token-type:jwt",
    )
    world.look_at(source.store_key)
    return world.look_at(source).renew()


@row("OAuthClient.for_assertion", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
def a_token_for_an_assertion(world: World) -> object:
    """The JWT bearer grant; the store key has a hash of the text."""
    source = world.client().for_assertion(assertion=world.secrets.new("assertion"))
    world.look_at(source.store_key)
    return world.look_at(source).renew()


@row("TokenSource.revoke", failures=(*REVOCATION, *STORE))
def a_revocation(world: World) -> object:
    """RFC 7009: both tokens are sent."""
    return world.source().revoke()


@row("TokenSource.arevoke", failures=REVOCATION)
async def a_revocation_in_a_task(world: World) -> object:
    """The same, awaited."""
    return await world.source().arevoke()


@row("TokenSource.adopt TokenSource.forget TokenSource.state TokenSource.store_key TokenSource.subject", failures=STORE)
def adopting_and_forgetting(world: World) -> object:
    """Only the store is asked."""
    source = world.look_at(world.client().for_subject("alice"))
    source.adopt(world.token())
    assert source.state == "fresh"
    source.forget()
    return source.subject, source.store_key


@row("TokenSource.aadopt TokenSource.aforget", failures=STORE)
async def adopting_and_forgetting_in_a_task(world: World) -> object:
    """The same, awaited."""
    source = world.look_at(world.client().for_subject("alice"))
    await source.aadopt(world.token())
    await source.aforget()
    return source


@row("TokenSource.headers TokenSource.aheaders", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
async def headers_for_another_origin(world: World) -> object:
    """A URL that may not have the token gets no header."""
    source = world.expired()
    assert source.headers(f"{world.server.origin}/x")["Authorization"]
    return source.headers("https://elsewhere.test"), await source.aheaders("https://elsewhere.test")


@row("StaticToken StaticToken.token StaticToken.atoken StaticToken.headers StaticToken.aheaders")
async def a_fixed_key(world: World) -> object:
    """It is a secret as a whole."""
    key = StaticToken(world.secrets.new("API key", "-/+."), api_origins=(world.server.origin,), header="X-Blnk-Key")
    world.look_at(key, key.token(), await key.atoken())
    assert key.headers(world.server.origin)["X-Blnk-Key"]
    return key.headers("https://elsewhere.test"), await key.aheaders("https://elsewhere.test")


@row(
    "OAuthClient.subjects OAuthClient.due OAuthClient.keepalive OAuthClient.prune KeepaliveReport KeepaliveFailure",
    failures=STORE,
    further=TOKEN_REQUEST,
)
def many_grants(world: World) -> object:
    """Their failures are in the report."""
    source = world.expired()
    client = world.look_at(world.client())
    world.look_at(client, *client.due(2e9))
    report = client.keepalive(400 * 86_400, idle_lifetime=30 * 86_400, rate=1e6)
    report.failed.append(KeepaliveFailure(source.store_key, StoreError("it cannot be read")))
    return source, list(client.subjects()), world.look_at(report, *report.failed), client.prune(2e9)


@row("OAuthClient.asubjects OAuthClient.adue OAuthClient.akeepalive OAuthClient.aprune", failures=STORE)
async def many_grants_in_a_task(world: World) -> object:
    """The same, awaited."""
    client = world.look_at(world.client())
    world.look_at(client, *[each async for each in client.adue(2e9)])
    report = await client.akeepalive(400 * 86_400, idle_lifetime=30 * 86_400, rate=1e6)
    return [each async for each in client.asubjects()], world.look_at(report), await client.aprune(2e9)


@row("OAuthClient.close OAuthClient.aclose", failures=TOKEN_REQUEST)
async def a_closed_client(world: World) -> object:
    """It is closed while it has a connection that a token request was sent on."""
    client = world.look_at(world.client())
    source = world.expired(client)
    with client:
        renewed = source.renew()
        world.look_at(client._state.network.kept, *client._state.network.kept._idle)
    await client.aclose()
    return world.look_at(client), renewed


@row("Token Token.from_response Token.replace Token.from_dict Token.to_dict Token.expires_in Token.is_expired")
def a_token_made_and_kept(world: World) -> object:
    """What it returns as a dict is the secret itself; the token is not."""
    token = world.token()
    assert (token.is_expired, (token.expires_in or 0) < 0) in {(False, False), (True, True)}
    return world.look_at(token.replace(scope="write"), Token.from_dict(token.to_dict()))


# --- what a server quotes, at every place and in every encoding -------------------------------------------------------


@row(
    "",
    failures=(*quotes("token", PLACES), *quotes("token", ("error_description",), ENCODINGS)),
    further=quotes("token", PLACES, ENCODINGS),
)
def a_renewal_that_is_refused(world: World) -> object:
    """By the provider with the most places to quote at."""
    provider = world.provider(correlation_header="x-correlation-id")
    return world.expired(world.client(provider, client_auth="client_secret_post")).token()
