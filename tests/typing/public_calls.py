"""Public calls as users combine them, as type checkers see it: read by mypy and pyright in strict mode, never run.

`check.py` calls them. `every_member.py` has each function, constructor, method and property once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, assert_type

import httpx
import httpx2
import requests

from blnk_auth import (
    ApiAnswer,
    AuthorizationRequest,
    BLink,
    BlnkAuthError,
    BlnkCloud,
    Call,
    ConfigurationError,
    Conflict,
    DeviceAuthorization,
    EncryptedStore,
    Event,
    EventName,
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
    ProtocolError,
    Provider,
    Record,
    RedisStore,
    Refusal,
    RenewalPolicy,
    RequestsAuth,
    Signer,
    SignInReason,
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
    __version__,
)
from blnk_auth.config import Profile, config_path, load_profile, profile_names
from blnk_auth.errors import NotPickled
from blnk_auth.events import OnEvent
from blnk_auth.provider import DiscoverySettings, HttpResponse, ProviderSettings
from blnk_auth.providers import (
    BLinkCustomer,
    MastercardOpenFinanceEurope,
    TrueLayer,
    UKOpenBanking,
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
    SelfChecking,
    Unreadable,
    Version,
    check_store,
    conflict,
    copy_store,
    from_json,
    new_version,
    open_store,
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

VERSION: str = __version__

# --- providers, with the lambdas of docs/how-to/serve-many-banks.md --------------------------------------------------

BANKS = {"alice": "IIDP00001"}

assert_type(BlnkCloud(), Provider)
assert_type(BlnkCloud(base_url="https://cloud.example.com", api_origins=("https://api.example.com",)), Provider)
assert_type(Flinks(host="ob.flinksapp.com"), Provider)
assert_type(TrueLayer(sandbox=True), Provider)
assert_type(
    BLink(
        base_url="https://b.example.com",
        target_id=lambda subject: BANKS[subject],
        username=lambda subject: subject,
        authorization_endpoint=lambda target: f"https://{target}.example.com",
        user_agent="Acme 1.0",
        psu_ip_address=lambda call: call.subject or "AUTO",
        consent="3.0",
        pushed_authorization_request_endpoint=None,
        instance_id=None,
    ),
    Provider,
)
assert_type(
    MastercardOpenFinanceEurope(
        token_endpoint="https://t.example.com", authorization_endpoint="https://a.example.com", api_origins=("*",)
    ),
    Provider,
)
assert_type(
    UKOpenBanking(
        name="bank",
        issuer="https://as.example.com",
        token_endpoint="https://as.example.com/token",
        api_origins=("https://api.example.com",),
    ),
    Provider,
)


def judge(refusal: Refusal) -> Verdict | None:
    assert_type(refusal.response, HttpResponse)
    assert_type(refusal.error, str | None)
    assert_type(refusal.is_legible, bool)
    assert_type(refusal.response.status_code, int)
    return "sign_in" if refusal.error == "bad_refresh_token" else None


def is_rejection(answer: ApiAnswer) -> bool:
    assert_type(answer.status_code, int)
    assert_type(answer.path, str)
    assert_type(answer.body, bytes | None)
    return answer.headers.get("x-source") == "bank"


ACME = Provider(
    name="acme",
    token_endpoint="https://as.example.com/token",
    api_origins=("https://api.example.com",),
    api_headers=lambda call: {"X-Id": call.subject or "", "X-Why": call.purpose},
    judge_refusal=judge,
    is_rejection=is_rejection,
    client_auth="client_secret_post",
    grants=("refresh_token",),
)
assert_type(ACME.display_name, str)
assert_type(ACME.rejection_statuses, frozenset[int])
assert_type(Provider.discover("https://as.example.com", api_origins=("https://api.example.com",)), Provider)
assert_type(Call("api", "alice").in_background, bool)

# The rules of the providers by name, for a provider of one's own.
STRICT = Provider(
    name="strict",
    token_endpoint="https://as.example.com/token",
    api_origins=("https://api.example.com",),
    api_headers=uk_open_banking_interaction,
    judge_refusal=judge_blink_refusal,
    is_rejection=is_blink_rejection,
)
RULES = (is_blnk_cloud_rejection, is_flinks_rejection)
JUDGES = (judge, judge_flinks_refusal)
assert_type(read_flinks_answer({}, 0.0), Mapping[str, Any])
assert_type(BLinkCustomer("IIDP1", "Acme 1.0", "u", "AUTO", "AUTO", "2.0").target("alice"), str)
SETTINGS: ProviderSettings = {"client_auth": "none", "sends_iss": False}
DISCOVERED: DiscoverySettings = {"name": "acme", "api_origins": ("*",)}

# --- stores ----------------------------------------------------------------------------------------------------------


class Own:
    """A store as its author writes it, without a base class."""

    def load(self, key: str) -> Record | None:
        return None

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return new_version()

    def delete(self, key: str) -> None: ...

    @contextmanager
    def lock(self, key: str, *, timeout: float) -> Generator[None]:
        yield

    def keys(self, prefix: str = "") -> Iterator[str]:
        return iter(())


class Simple(SimpleStore):
    """A store with the base class."""

    def load(self, key: str) -> Record | None:
        return Record(from_json("{}") or {}, new_version())

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        if expected is not None:
            raise conflict(key)
        return new_version()

    def delete(self, key: str) -> None:
        raise unreadable(key, "it is damaged")


class OwnAsync:
    """A store in `async def`."""

    async def load(self, key: str) -> Record | None:
        return None

    async def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return new_version()

    async def delete(self, key: str) -> None: ...

    def lock(self, key: str, *, timeout: float) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def keys(self, prefix: str = "") -> AsyncGenerator[str]:
        yield ""


def redis_url() -> str:
    return "redis://:password@cache.example.com"


STORES: list[TokenStore] = [
    MemoryStore(),
    FileStore("tokens"),
    FileStore(Path("tokens"), check_permissions=False),
    SQLiteStore("tokens.db"),
    SQLStore("postgresql+psycopg://db.example.com/acme", lease=20.0),
    RedisStore(redis_url),
    KeyringStore("acme"),
    EncryptedStore(MemoryStore(), keys=EncryptedStore.new_key()),
    open_store("sqlite:///tokens.db"),
    Own(),
    Simple(),
]
store = STORES[0]
record = store.load("key")
assert_type(record, Record | None)
if record is not None:
    assert_type(record.data, dict[str, Any])
    assert_type(record.version, Version)
assert_type(store.save("key", {}, expected=None), Version)
assert_type(store.lock("key", timeout=1.0), AbstractContextManager[None])
assert_type(store.keys(), Iterator[str])
assert_type(copy_store(MemoryStore(), FileStore("t")), CopyReport)
assert_type(copy_store(MemoryStore(), FileStore("t")).is_complete, bool)
assert_type(check_store(MemoryStore()), CheckReport)
assert_type(check_store(MemoryStore()).unreadable, list[Unreadable])
assert_type(from_json("{}"), dict[str, Any] | None)
assert_type(to_json({}), str)
assert_type(EncryptedStore.key_from_env("KEY"), str)
assert_type(SQLStore("sqlite:///x.db").create_schema(), None)
ASYNCHRONOUS: AsyncTokenStore = OwnAsync()
CHECKED: SelfChecking = FileStore("tokens")
WITH_KEY_VALUE: type[KeyValueStore] = KeyValueStore

# --- clients ---------------------------------------------------------------------------------------------------------


def heard(event: Event) -> None:
    assert_type(event.name, EventName)
    assert_type(event.error, Exception | None)
    assert_type(event.seconds, float | None)


LISTENER: OnEvent = heard


def secret() -> str:
    return "secret"


def sign(message: bytes) -> bytes:
    return message


client = OAuthClient(
    BlnkCloud(),
    client_id="id",
    client_secret=secret,
    redirect_uri="https://app.example.com/callback",
    store=OwnAsync(),
    private_key=Signer(sign, algorithm="ES256", key_id="1"),
    signing_algorithm="PS256",
    client_auth="private_key_jwt",
    policy=RenewalPolicy(cooldown=1.0),
    on_event=LISTENER,
    token_http=requests.Session(),
    clock=Clock(),
)
assert_type(client.provider, Provider)
assert_type(client.store, TokenStore)
assert_type(OAuthClient.from_config("default", "config.toml"), OAuthClient)

source = client.for_subject("alice")
assert_type(source, TokenSource)
assert_type(client.for_itself(scope=["client:admin"]), TokenSource)

start = client.start_authorization("alice", scope="data:read", parameters={"provider_id": "bank"})
assert_type(start, AuthorizationRequest)
assert_type(start.url, str)
assert_type(start.state, str)
assert_type(start.expires_at, float)
assert_type(client.finish_authorization("https://app.example.com/callback?code=c&state=s"), TokenSource)
assert_type(client.authorize_interactively("alice", on_url=BANKS.get), TokenSource)


def show(prompt: DeviceAuthorization) -> None:
    assert_type(prompt.user_code, str)
    assert_type(prompt.verification_uri_complete, str | None)


assert_type(client.authorize_device("alice", on_prompt=show), TokenSource)

# --- sources ---------------------------------------------------------------------------------------------------------

assert_type(source.subject, str | None)
assert_type(source.store_key, str)
assert_type(source.state, State)
assert_type(source.token(), Token)
assert_type(source.renew(rejected=source.token()), Token)
assert_type(source.headers("https://api.example.com"), dict[str, str])
assert_type(source.adopt(Token("at")), None)
assert_type(source.revoke(), None)
assert_type(source.forget(), None)

# --- many grants -----------------------------------------------------------------------------------------------------

assert_type(client.subjects("team-"), Iterator[str])
assert_type(client.asubjects(), AsyncIterator[str])
assert_type(client.keepalive(shard=(0, 4), on_progress=lambda looked_at, total: None), KeepaliveReport)
assert_type(client.keepalive().failed, list[KeepaliveFailure])
assert_type(client.prune(0.0), int)


async def keep_alive() -> None:
    """The same, in a task."""
    assert_type(await client.akeepalive(86_400, workers=8), KeepaliveReport)
    assert_type(await client.aprune(0.0), int)


assert_type(Token("at").expires_in, float | None)
assert_type(Token("at").is_expired, bool)

key = StaticToken("key", api_origins=("https://api.example.com",), header="X-Blnk-Key")
permission = StaticToken("id", provider=BlnkCloud(), header="Permission-ID", subject="alice")
assert_type(key.token(), Token)
assert_type(key.headers("https://api.example.com"), dict[str, str])

token = Token.from_response({"access_token": "at"}, now=0.0)
assert_type(token, Token)
assert_type(token.expires_at, float | None)
assert_type(token.refresh_token, str | None)
assert_type(token.refresh_expires_at, float | None)
assert_type(token.issued_at, float | None)
assert_type(token.token_type, str)
assert_type(token.extra, Mapping[str, Any])
assert_type(token.to_dict(), dict[str, Any])
assert_type(Token.from_dict(token.to_dict()), Token)
assert_type(token.replace(scope="a"), Token)


async def in_a_task() -> None:
    """The twins whose names begin with `a`."""
    assert_type(await client.astart_authorization("alice"), AuthorizationRequest)
    assert_type(await client.afinish_authorization("https://app.example.com/callback"), TokenSource)
    assert_type(await client.aauthorize_interactively("alice"), TokenSource)
    assert_type(await client.aauthorize_device("alice", on_prompt=show), TokenSource)
    assert_type(await source.atoken(), Token)
    assert_type(await source.arenew(), Token)
    assert_type(await source.aheaders("https://api.example.com"), dict[str, str])
    assert_type(await source.aadopt(Token("at")), None)
    assert_type(await source.arevoke(), None)
    assert_type(await source.aforget(), None)
    assert_type(await key.atoken(), Token)
    assert_type(await key.aheaders("https://api.example.com"), dict[str, str])
    async with httpx.AsyncClient(auth=HttpxAuth(source)) as api:
        assert_type(await api.get("https://api.example.com", auth=HttpxAuth(key)), httpx.Response)
    async with httpx2.AsyncClient(auth=Httpx2Auth(source)) as api2:
        assert_type(await api2.get("https://api.example.com"), httpx2.Response)


# --- auth= -----------------------------------------------------------------------------------------------------------

session = requests.Session()
session.auth = RequestsAuth(source)
assert_type(unpickled_hook(requests.Response()), None)
requests.get("https://api.example.com", auth=RequestsAuth(key), timeout=10)
httpx.get("https://api.example.com", auth=HttpxAuth(source))
httpx2.Client(auth=Httpx2Auth(source))

# --- errors ----------------------------------------------------------------------------------------------------------


def errors() -> None:
    """What each `except` clause knows."""
    try:
        source.token()
    except TemporarilyUnavailable as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.outcome_unknown, bool)
        assert_type(error.replace(problem="x"), TemporarilyUnavailable)
    except SignInRequired as error:
        assert_type(error.reason, SignInReason)
        assert_type(error.subject, str | None)
        assert_type(error.authorization, AuthorizationRequest | None)
    except (ConfigurationError, ProtocolError) as error:
        assert_type(error.parameter, str | None)
        assert_type(error.correlation_id, str | None)
    except Conflict:
        raise
    except StoreError as error:
        assert_type(error.problem, str)
    except BlnkAuthError as error:
        assert_type(error.remedy, str | None)
        assert_type(error.fields(), dict[str, Any])


absent = NotPickled("client_secret")
assert_type(absent.parameter, str)

# --- configuration and testing ---------------------------------------------------------------------------------------

profile = load_profile("default")
assert_type(profile, Profile)
assert_type(profile.make(OAuthClient), OAuthClient)
assert_type(config_path(), Path)
assert_type(profile_names(Path("config.toml")), list[str])

with Sandbox(personality="flinks") as sandbox:
    assert_type(sandbox.origin, str)
    sandbox.fail(Fault(status=503))
    assert_type(sandbox.issue("alice"), dict[str, Any])
    assert_type(sandbox.sign_in(start.url), str)
    assert_type(sandbox.counts, Counts)
    assert_type(sandbox.requests, tuple[RecordedRequest, ...])
    assert_no_secret_in({"headers": [b"Bearer"], "error": ValueError("x")}, sandbox)
    assert_no_reuse(sandbox)
    assert_renewed_once(sandbox, timeout=0)
