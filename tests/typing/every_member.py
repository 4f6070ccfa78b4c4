"""Every public function, constructor, method and property, each once: what it returns, as type checkers see it.

Read by mypy and by pyright in strict mode, never run; `check.py` calls them. `tests/unit/test_public_calls.py` finds
what is missing. How calls are combined, as in the documentation, is in `public_calls.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import UTC
from pathlib import Path
from typing import Any, assert_type

import httpx
import httpx2
import requests
from key_value.aio.protocols import AsyncKeyValue

from blnk_auth import (
    AiohttpAuth,
    ApiAnswer,
    Auth,
    AuthorizationRequest,
    BLink,
    BlnkAuthError,
    BlnkCloud,
    Call,
    ClientMetadata,
    ConfigurationError,
    Conflict,
    DeviceAuthorization,
    DueStore,
    EncryptedStore,
    Event,
    FileStore,
    Flinks,
    Httpx2Auth,
    HttpxAuth,
    KeepaliveFailure,
    KeepaliveReport,
    KeyringStore,
    KeyValueStore,
    MemoryStore,
    OAuthClient,
    ProtectedResource,
    ProtocolError,
    Provider,
    Record,
    RedisStore,
    Refusal,
    RenewalPolicy,
    RequestsAuth,
    Signer,
    SignInRequired,
    SimpleStore,
    SQLiteStore,
    SQLStore,
    StaticToken,
    StoreError,
    TemporarilyUnavailable,
    Token,
    TokenSource,
    TokenStore,
    Verdict,
)
from blnk_auth.config import Profile, SettingsOrigin, config_path, load_profile, profile_names
from blnk_auth.errors import NotPickled
from blnk_auth.migrate import (
    aadopt_once,
    adopt_once,
    from_authlib,
    from_hand_written,
    from_httpx_auth,
    from_requests_auth,
    from_requests_oauth2client,
    from_requests_oauthlib,
)
from blnk_auth.opentelemetry import Telemetry
from blnk_auth.provider import AllowedOrigins, HttpResponse, Origin
from blnk_auth.providers import (
    BLinkCustomer,
    MastercardOpenFinanceEurope,
    TrueLayer,
    UKOpenBanking,
    blink_permission_url,
    ends_blink_consent,
    ends_flinks_consent,
    is_blink_rejection,
    is_blnk_cloud_rejection,
    is_flinks_rejection,
    judge_blink_refusal,
    judge_flinks_refusal,
    read_flinks_answer,
    uk_open_banking_interaction,
)
from blnk_auth.requests import unpickled_hook
from blnk_auth.source import State
from blnk_auth.stores import (
    AsyncTokenStore,
    CheckReport,
    CopyReport,
    DueEntry,
    SelfChecking,
    Unreadable,
    Version,
    check_store,
    conflict,
    copy_store,
    from_json,
    new_version,
    open_store,
    saved_due_at,
    to_json,
    unreadable,
)
from blnk_auth.testing import (
    Clock,
    Counts,
    Fault,
    RecordedRequest,
    Sandbox,
    assert_no_reuse,
    assert_no_secret_in,
    assert_renewed_once,
)
from blnk_auth.workload_identity import GitHubActionsToken, KubernetesToken

PROVIDER = Provider(name="acme", token_endpoint="https://as.example.com/token", api_origins=("*",))
SOURCE = StaticToken("key", api_origins=("https://api.example.com",))
TOKEN = Token("at")
CALL = Call("api", "alice")
ORIGIN = Origin("https", "api.example.com", 443)
ANSWER = ApiAnswer(401, {})
RESPONSE = HttpResponse(400, {}, b"")
REFUSAL = Refusal(RESPONSE, None, None)


def of_auth(it: Auth) -> None:
    assert_type(Auth(SOURCE), Auth)
    assert_type(it.async_auth_flow(httpx.Request("GET", "https://api.example.com")), AsyncGenerator[Any, Any])
    assert_type(it.sync_auth_flow(httpx2.Request("GET", "https://api.example.com")), Generator[Any, Any, None])


def of_allowed_origins(it: AllowedOrigins) -> None:
    assert_type(AllowedOrigins(("https://api.example.com",)), AllowedOrigins)
    assert_type(it.permits(ORIGIN), bool)


def of_api_answer(it: ApiAnswer) -> None:
    assert_type(ApiAnswer(401, {}), ApiAnswer)


def of_authorization_request(it: AuthorizationRequest) -> None:
    assert_type(AuthorizationRequest("https://api.example.com", "state", 0.0), AuthorizationRequest)


def of_blnk_auth_error(it: BlnkAuthError) -> None:
    assert_type(BlnkAuthError("it is full"), BlnkAuthError)
    assert_type(it.fields(), dict[str, Any])
    assert_type(it.replace(), BlnkAuthError)


def of_call(it: Call) -> None:
    assert_type(Call("api"), Call)


def of_configuration_error(it: ConfigurationError) -> None:
    assert_type(ConfigurationError("it is full"), ConfigurationError)


def of_conflict(it: Conflict) -> None:
    assert_type(Conflict("it is full"), Conflict)


def of_device_authorization(it: DeviceAuthorization) -> None:
    assert_type(
        DeviceAuthorization("ABCD", "https://as.example.com/device", None, 0.0, 5.0, "code"), DeviceAuthorization
    )


def of_encrypted_store(it: EncryptedStore) -> None:
    assert_type(it.due("prefix", 0.0, limit=1), list[DueEntry] | None)
    assert_type(it.note_due([("key", "version", None)]), None)
    assert_type(it.repair_due("prefix"), Iterator[int])
    assert_type(EncryptedStore(MemoryStore(), keys="key"), EncryptedStore)
    assert_type(it.check(), Iterator[Unreadable])
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(EncryptedStore.key_from_env("name"), str)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(EncryptedStore.new_key(), str)
    assert_type(it.reencrypt(), int)
    assert_type(it.save("key", {}, expected=None), Version)


def of_event(it: Event) -> None:
    assert_type(Event("renewed", "key"), Event)


def of_file_store(it: FileStore) -> None:
    assert_type(FileStore("tokens"), FileStore)
    assert_type(it.check(), Iterator[Unreadable])
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


def of_aiohttp_auth(it: AiohttpAuth) -> None:
    assert_type(AiohttpAuth(SOURCE), AiohttpAuth)


def of_telemetry(it: Telemetry) -> None:
    assert_type(Telemetry(on_event=print), Telemetry)
    assert_type(it.dropped, int)
    assert_type(it.flush(timeout=1.0), bool)


def of_httpx2_auth(it: Httpx2Auth) -> None:
    assert_type(Httpx2Auth(SOURCE), Httpx2Auth)
    assert_type(
        it.async_auth_flow(httpx2.Request("GET", "https://api.example.com")),
        AsyncGenerator[httpx2.Request, httpx2.Response],
    )
    assert_type(
        it.sync_auth_flow(httpx2.Request("GET", "https://api.example.com")),
        Generator[httpx2.Request, httpx2.Response, None],
    )


def of_httpx_auth(it: HttpxAuth) -> None:
    assert_type(HttpxAuth(SOURCE), HttpxAuth)
    assert_type(
        it.async_auth_flow(httpx.Request("GET", "https://api.example.com")),
        AsyncGenerator[httpx.Request, httpx.Response],
    )
    assert_type(
        it.sync_auth_flow(httpx.Request("GET", "https://api.example.com")),
        Generator[httpx.Request, httpx.Response, None],
    )


def of_keepalive_failure(it: KeepaliveFailure) -> None:
    assert_type(KeepaliveFailure("key", BlnkAuthError("x")), KeepaliveFailure)


def of_keepalive_report(it: KeepaliveReport) -> None:
    assert_type(KeepaliveReport(), KeepaliveReport)


def of_key_value_store(it: KeyValueStore, backend: AsyncKeyValue) -> None:
    assert_type(KeyValueStore(backend), KeyValueStore)
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


def of_keyring_store(it: KeyringStore) -> None:
    assert_type(KeyringStore("acme"), KeyringStore)
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


def of_memory_store(it: MemoryStore) -> None:
    assert_type(MemoryStore(), MemoryStore)
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.save("key", {}, expected=None), Version)


async def of_oauth_client(it: OAuthClient) -> None:
    assert_type(OAuthClient(PROVIDER, client_id="id"), OAuthClient)
    assert_type(await it.aclose(), None)
    assert_type(await it.aauthorize_by_exchange("alice", grant_type="urn:x", parameters={"id": "x"}), TokenSource)
    assert_type(await it.aauthorize_device("alice", on_prompt=print), TokenSource)
    assert_type(await it.aauthorize_interactively("alice"), TokenSource)
    assert_type(await it.afinish_authorization("https://app.example.com/callback"), TokenSource)
    assert_type(await it.akeepalive(), KeepaliveReport)
    assert_type(it.adue(0.0), AsyncIterator[TokenSource])
    assert_type(await it.aprune(0.0), int)
    assert_type(await it.astart_authorization("alice"), AuthorizationRequest)
    assert_type(it.asubjects(), AsyncIterator[str])
    assert_type(it.authorize_by_exchange("alice", grant_type="urn:x", parameters={"id": "x"}), TokenSource)
    assert_type(it.authorize_device("alice", on_prompt=print), TokenSource)
    assert_type(it.authorize_interactively("alice"), TokenSource)
    assert_type(it.close(), None)
    assert_type(it.finish_authorization("https://app.example.com/callback"), TokenSource)
    assert_type(it.for_itself(), TokenSource)
    assert_type(it.for_token_exchange(subject_token="token", subject_token_type="urn:type"), TokenSource)
    assert_type(it.for_assertion(assertion="assertion"), TokenSource)
    assert_type(it.for_subject("alice"), TokenSource)
    assert_type(OAuthClient.from_config(), OAuthClient)
    assert_type(it.keepalive(), KeepaliveReport)
    assert_type(it.provider, Provider)
    assert_type(it.due(0.0), Iterator[TokenSource])
    assert_type(it.prune(0.0), int)
    assert_type(it.start_authorization("alice"), AuthorizationRequest)
    assert_type(it.store, TokenStore)
    assert_type(it.subjects(), Iterator[str])


def of_origin(it: Origin) -> None:
    assert_type(Origin("https", "api.example.com", 443), Origin)
    assert_type(it.is_secure, bool)


def of_client_metadata(it: ClientMetadata) -> None:
    assert_type(ClientMetadata(client_name="Acme"), ClientMetadata)
    assert_type(it.document("https://app.example.com/client.json"), dict[str, Any])


async def of_protected_resource(it: ProtectedResource) -> None:
    assert_type(ProtectedResource("https://mcp.example.com/mcp"), ProtectedResource)
    assert_type(await it.aclose(), None)
    assert_type(await it.afinish_authorization("https://app.example.com/callback"), TokenSource)
    assert_type(await it.astart_authorization("alice"), AuthorizationRequest)
    assert_type(it.asubjects(), AsyncIterator[str])
    assert_type(it.close(), None)
    assert_type(it.finish_authorization("https://app.example.com/callback"), TokenSource)
    assert_type(it.for_assertion(assertion="a.b.c"), TokenSource)
    assert_type(it.for_itself(), TokenSource)
    assert_type(it.for_subject("alice", sign_in="browser"), TokenSource)
    assert_type(it.for_token_exchange(subject_token="token", subject_token_type="urn:type"), TokenSource)
    assert_type(it.issuer, str | None)
    assert_type(it.start_authorization("alice"), AuthorizationRequest)
    assert_type(it.store, TokenStore)
    assert_type(it.subjects(), Iterator[str])
    assert_type(it.url, str)


def of_protocol_error(it: ProtocolError) -> None:
    assert_type(ProtocolError("it is full"), ProtocolError)


def of_provider(it: Provider) -> None:
    assert_type(Provider(name="name", token_endpoint="https://as.example.com/token", api_origins=("*",)), Provider)
    assert_type(it.api_headers_of(CALL), Mapping[str, str])
    assert_type(it.authorization_endpoint_of(None), str | None)
    assert_type(Provider.discover("https://as.example.com"), Provider)
    assert_type(it.origins_for(TOKEN), AllowedOrigins)
    assert_type(it.rejects_token(ANSWER), bool)
    assert_type(it.target_of("alice"), str | None)
    assert_type(it.token_headers_of(CALL), Mapping[str, str])
    assert_type(it.token_parameters_of(CALL, reserved=()), Mapping[str, str])
    assert_type(it.with_certificate(), Provider)


def of_record(it: Record) -> None:
    assert_type(Record({}, new_version()), Record)


def of_redis_store(it: RedisStore) -> None:
    assert_type(it.due("prefix", 0.0, limit=1), list[DueEntry])
    assert_type(it.note_due([("key", "version", None)]), None)
    assert_type(it.repair_due("prefix"), Iterator[int])
    assert_type(RedisStore("redis://cache.example.com"), RedisStore)
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.eviction_policy(), str | None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


def of_refusal(it: Refusal) -> None:
    assert_type(Refusal(RESPONSE, None, None), Refusal)
    assert_type(it.is_legible, bool)


def of_renewal_policy(it: RenewalPolicy) -> None:
    assert_type(RenewalPolicy(), RenewalPolicy)


def of_requests_auth(it: RequestsAuth) -> None:
    assert_type(RequestsAuth(SOURCE), RequestsAuth)


def of_sqlstore(it: SQLStore) -> None:
    assert_type(it.due("prefix", 0.0, limit=1), list[DueEntry] | None)
    assert_type(it.note_due([("key", "version", None)]), None)
    assert_type(it.repair_due("prefix"), Iterator[int])
    assert_type(SQLStore("sqlite:///tokens.db"), SQLStore)
    assert_type(it.close(), None)
    assert_type(it.create_schema(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


def of_sqlite_store(it: SQLiteStore) -> None:
    assert_type(SQLiteStore("tokens.db"), SQLiteStore)
    assert_type(it.due("prefix", 0.0, limit=1), list[DueEntry])
    assert_type(it.note_due([("key", "version", None)]), None)
    assert_type(it.repair_due("prefix"), Iterator[int])
    assert_type(it.check(), Iterator[Unreadable])
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


def of_sign_in_required(it: SignInRequired) -> None:
    assert_type(SignInRequired("it is full", reason="missing"), SignInRequired)
    assert_type(it.fields(), dict[str, Any])


def of_settings_origin(it: SettingsOrigin) -> None:
    assert_type(SettingsOrigin(None, "default", frozenset()), SettingsOrigin)
    assert_type(it.error("key", "is missing"), ConfigurationError)
    assert_type(it.located(ConfigurationError("it is full")), ConfigurationError)


def of_signer(it: Signer) -> None:
    assert_type(Signer(bytes, "ES256"), Signer)


def of_simple_store(it: SimpleStore) -> None:
    assert_type(it.close(), None)
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


async def of_static_token(it: StaticToken) -> None:
    assert_type(StaticToken("key", api_origins=("*",)), StaticToken)
    assert_type(await it.aheaders("https://api.example.com"), dict[str, str])
    assert_type(await it.atoken(), Token)
    assert_type(it.headers("https://api.example.com"), dict[str, str])
    assert_type(it.token(), Token)


def of_store_error(it: StoreError) -> None:
    assert_type(StoreError("it is full"), StoreError)
    assert_type(it.fields(), dict[str, Any])


def of_temporarily_unavailable(it: TemporarilyUnavailable) -> None:
    assert_type(TemporarilyUnavailable("it is full"), TemporarilyUnavailable)
    assert_type(it.fields(), dict[str, Any])


def of_token(it: Token) -> None:
    assert_type(Token("at"), Token)
    assert_type(it.expires_in, float | None)
    assert_type(Token.from_dict({}), Token)
    assert_type(Token.from_response({}), Token)
    assert_type(it.is_expired, bool)
    assert_type(it.replace(), Token)
    assert_type(it.to_dict(), dict[str, Any])


async def of_token_source(it: TokenSource) -> None:
    assert_type(await it.aadopt(TOKEN), None)
    assert_type(it.adopt(TOKEN), None)
    assert_type(await it.aforget(), None)
    assert_type(await it.aheaders("https://api.example.com"), dict[str, str])
    assert_type(await it.arenew(), Token)
    assert_type(await it.arevoke(), None)
    assert_type(await it.atoken(), Token)
    assert_type(it.forget(), None)
    assert_type(it.headers("https://api.example.com"), dict[str, str])
    assert_type(it.renew(), Token)
    assert_type(it.revoke(), None)
    assert_type(it.state, State)
    assert_type(it.store_key, str)
    assert_type(it.subject, str | None)
    assert_type(it.token(), Token)


def of_token_store(it: TokenStore) -> None:
    assert_type(it.delete("key"), None)
    assert_type(it.keys(), Iterator[str])
    assert_type(it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractContextManager[None])
    assert_type(it.save("key", {}, expected=None), Version)


def of_profile(it: Profile) -> None:
    assert_type(Profile("name", None, {}), Profile)
    assert_type(it.audience, str | None)
    assert_type(it.client_settings(), dict[str, Any])
    assert_type(it.make(OAuthClient), OAuthClient)
    assert_type(it.network_settings(), dict[str, Any])
    assert_type(it.open_store(), TokenStore)
    assert_type(it.origin, SettingsOrigin)
    assert_type(it.provider(), Provider)
    assert_type(it.resource, str | None)
    assert_type(it.scope, str | None)
    assert_type(it.store_file(), Path | None)
    assert_type(it.subject, str | None)


def of_not_pickled(it: NotPickled) -> None:
    assert_type(NotPickled("client_secret"), NotPickled)


def of_http_response(it: HttpResponse) -> None:
    assert_type(HttpResponse(401, {}, b""), HttpResponse)


def of_blink_customer(it: BLinkCustomer) -> None:
    assert_type(BLinkCustomer("IIDP1", "Acme 1.0", None, "AUTO", "AUTO", "2.0"), BLinkCustomer)
    assert_type(it.check(), None)
    assert_type(it.headers(CALL), Mapping[str, str])
    assert_type(it.parameters(CALL), Mapping[str, str])
    assert_type(it.target("alice"), str)
    assert_type(it.token_headers(CALL), Mapping[str, str])


async def of_async_token_store(it: AsyncTokenStore) -> None:
    assert_type(await it.delete("key"), None)
    assert_type(it.keys(), AsyncIterator[str])
    assert_type(await it.load("key"), Record | None)
    assert_type(it.lock("key", timeout=1.0), AbstractAsyncContextManager[None])
    assert_type(await it.save("key", {}, expected=None), Version)


def of_check_report(it: CheckReport) -> None:
    assert_type(CheckReport(), CheckReport)


def of_copy_report(it: CopyReport) -> None:
    assert_type(CopyReport(), CopyReport)
    assert_type(it.is_complete, bool)


def of_self_checking(it: SelfChecking) -> None:
    assert_type(it.check(), Iterator[Unreadable])


def of_due_entry(it: DueEntry) -> None:
    assert_type(DueEntry(0.0, "key", is_exact=False), DueEntry)
    assert_type(saved_due_at({}), float | None)


def of_due_store(it: DueStore) -> None:
    assert_type(it.due("prefix", 0.0, after=(0.0, "key"), limit=1), list[DueEntry] | None)
    assert_type(it.note_due([("key", "version", None)]), None)
    assert_type(it.repair_due("prefix"), Iterator[int])


def of_unreadable(it: Unreadable) -> None:
    assert_type(Unreadable("tokens.db", "it is full"), Unreadable)


async def of_migrations(it: TokenSource, stored: Mapping[str, Any]) -> None:
    assert_type(from_authlib(stored), Token)
    assert_type(from_requests_oauthlib("{}", issued_at=0), Token)
    assert_type(from_httpx_auth(b"{}"), dict[str, Token])
    assert_type(from_requests_auth(stored), dict[str, Token])
    assert_type(from_requests_oauth2client(b"", issued_at=0.0), Token)
    assert_type(from_hand_written(stored, issued_at=None, timezone=UTC), Token)
    assert_type(adopt_once(it, from_authlib(stored)), bool)
    assert_type(await aadopt_once(it, from_authlib(stored)), bool)


def of_workload_identity() -> list[str]:
    assert_type(KubernetesToken("token", audience="a"), KubernetesToken)
    assert_type(GitHubActionsToken(), GitHubActionsToken)
    return [KubernetesToken(Path("token"))(), GitHubActionsToken("a")()]


def of_clock(it: Clock) -> None:
    assert_type(Clock(), Clock)
    assert_type(it.advance(1.0), None)


def of_counts(it: Counts) -> None:
    assert_type(Counts(), Counts)


def of_fault(it: Fault) -> None:
    assert_type(Fault(), Fault)
    assert_type(it.performs_grant, bool)
    assert_type(it.replaces_answer, bool)


def of_recorded_request(it: RecordedRequest) -> None:
    assert_type(RecordedRequest("GET", "/"), RecordedRequest)
    assert_type(it.form, dict[str, str])
    assert_type(it.json, dict[str, Any])


def of_sandbox(it: Sandbox) -> None:
    assert_type(Sandbox(), Sandbox)
    assert_type(it.clear_record(), None)
    assert_type(it.client_id, str)
    assert_type(it.client_secret, str)
    assert_type(it.counts, Counts)
    assert_type(it.enter_user_code("ABCD"), None)
    assert_type(it.fail(), None)
    assert_type(it.issue(), dict[str, Any])
    assert_type(it.lifetime, float)
    assert_type(it.origin, str)
    assert_type(it.redirect_uri, str)
    assert_type(it.requests, tuple[RecordedRequest, ...])
    assert_type(it.revoke_access_tokens(), None)
    assert_type(it.revoke_grant("alice"), None)
    assert_type(it.rotates, bool)
    assert_type(it.secrets, tuple[tuple[str, str], ...])
    assert_type(it.sign_in("https://as.example.com/authorize"), str)
    assert_type(it.wait_for_token_requests(1), None)


assert_type(BLink(base_url="https://b.example.com", target_id="IIDP1", user_agent="Acme 1.0"), Provider)
assert_type(BlnkCloud(), Provider)
assert_type(Flinks(host="ob.flinksapp.com"), Provider)
assert_type(config_path(), Path)
assert_type(load_profile(), Profile)
assert_type(profile_names(Path("config.toml")), list[str])
assert_type(
    MastercardOpenFinanceEurope(
        token_endpoint="https://as.example.com/token",
        authorization_endpoint="https://as.example.com/authorize",
        api_origins=("*",),
    ),
    Provider,
)
assert_type(TrueLayer(), Provider)
assert_type(
    UKOpenBanking(name="name", issuer="https://as.example.com", token_endpoint="https://as.example.com/token"), Provider
)
assert_type(blink_permission_url("https://b.example.com", target_id="IIDX1", user_id="alice"), str)
assert_type(ends_blink_consent(ANSWER), bool)
assert_type(ends_flinks_consent(ANSWER), bool)
assert_type(is_blink_rejection(ANSWER), bool)
assert_type(is_blnk_cloud_rejection(ANSWER), bool)
assert_type(is_flinks_rejection(ANSWER), bool)
assert_type(judge_blink_refusal(REFUSAL), Verdict | None)
assert_type(judge_flinks_refusal(REFUSAL), Verdict | None)
assert_type(read_flinks_answer({}, 0.0), Mapping[str, Any])
assert_type(uk_open_banking_interaction(CALL), dict[str, str])
assert_type(unpickled_hook(requests.Response()), None)
assert_type(check_store(MemoryStore()), CheckReport)
assert_type(conflict("key"), Conflict)
assert_type(copy_store(MemoryStore(), MemoryStore()), CopyReport)
assert_type(from_json("{}"), dict[str, Any] | None)
assert_type(new_version(), Version)
assert_type(open_store("https://api.example.com"), TokenStore)
assert_type(to_json({}), str)
assert_type(unreadable("key", "it is damaged"), StoreError)
assert_type(assert_no_reuse(Sandbox()), None)
assert_type(assert_no_secret_in("text", Sandbox()), None)
assert_type(assert_renewed_once(Sandbox()), None)
