"""What `every_member.py` does not show: arguments of each accepted form, attributes, and what users implement.

Read by mypy and by pyright in strict mode, never run; `check.py` calls them. `every_member.py` has each function,
constructor, method and property once, with plain arguments.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, assert_type

import aiohttp
import httpx
import httpx2
import requests

from blnk_auth import (
    AiohttpAuth,
    ApiAnswer,
    Auth,
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
from blnk_auth.config import load_profile
from blnk_auth.errors import NotPickled
from blnk_auth.events import OnEvent
from blnk_auth.provider import DiscoverySettings, HttpResponse, ProviderSettings
from blnk_auth.providers import (
    ends_blink_consent,
    ends_flinks_consent,
    is_blink_rejection,
    is_blnk_cloud_rejection,
    is_flinks_rejection,
    judge_blink_refusal,
    judge_flinks_refusal,
    uk_open_banking_interaction,
)
from blnk_auth.stores import (
    AsyncTokenStore,
    SelfChecking,
    Unreadable,
    Version,
    check_store,
    conflict,
    from_json,
    new_version,
    open_store,
    unreadable,
)
from blnk_auth.testing import (
    Clock,
    Fault,
    Sandbox,
    assert_no_secret_in,
)

VERSION: str = __version__

# --- providers, with the lambdas of docs/how-to/serve-many-banks.md --------------------------------------------------

BANKS = {"alice": "IIDP00001"}

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


def judge(refusal: Refusal) -> Verdict | None:
    assert_type(refusal.response, HttpResponse)
    assert_type(refusal.error, str | None)
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
CONSENT_RULES = (ends_blink_consent, ends_flinks_consent)
JUDGES = (judge, judge_flinks_refusal)
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
record = Record({}, new_version())
assert_type(record.data, dict[str, Any])
assert_type(record.version, Version)
assert_type(check_store(MemoryStore()).unreadable, list[Unreadable])
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
    step_up="raise",
    consent_ended="event",
)
OAuthClient(BlnkCloud(), client_id="id", client_assertion=secret)
source = client.for_subject("alice", resource="https://api.example.com")
assert_type(client.for_itself(scope=["client:admin"], audience="api", parameters={"a": "b"}), TokenSource)
assert_type(
    client.for_token_exchange(
        subject_token=secret,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        subject="alice",
        scope=["read"],
        actor_token="token",
        actor_token_type="urn:ietf:params:oauth:token-type:jwt",
    ),
    TokenSource,
)
assert_type(client.for_assertion(assertion=secret, scope="read"), TokenSource)
assert_type(source.renew(rejected=source.token()), Token)

start = client.start_authorization("alice", scope=("data:read", "data:write"), parameters={"provider_id": "bank"})
assert_type(start.url, str)
assert_type(start.state, str)
assert_type(start.expires_at, float)
assert_type(client.authorize_interactively("alice", on_url=BANKS.get), TokenSource)


def show(prompt: DeviceAuthorization) -> None:
    assert_type(prompt.user_code, str)
    assert_type(prompt.verification_uri_complete, str | None)


assert_type(client.authorize_device("alice", on_prompt=show), TokenSource)

assert_type(client.keepalive(shard=(0, 4), on_progress=lambda looked_at, total: None), KeepaliveReport)
assert_type(client.keepalive().failed, list[KeepaliveFailure])

with client as same:
    assert_type(same, OAuthClient)

key = StaticToken("key", api_origins=("https://api.example.com",), header="X-Blnk-Key")
permission = StaticToken("id", provider=BlnkCloud(), header="Permission-ID", subject="alice")
token = Token.from_response({"access_token": "at"}, now=0.0)
assert_type(token.expires_at, float | None)
assert_type(token.refresh_token, str | None)
assert_type(token.refresh_expires_at, float | None)
assert_type(token.issued_at, float | None)
assert_type(token.token_type, str)
assert_type(token.extra, Mapping[str, Any])


async def in_a_task() -> None:
    """An asynchronous client takes the same auth object."""
    async with httpx.AsyncClient(auth=HttpxAuth(source)) as api:
        assert_type(await api.get("https://api.example.com", auth=HttpxAuth(key)), httpx.Response)
    async with httpx2.AsyncClient(auth=Httpx2Auth(source)) as api2:
        assert_type(await api2.get("https://api.example.com"), httpx2.Response)
    # A middleware of aiohttp, for a session and for a call.
    middleware: aiohttp.ClientMiddlewareType = AiohttpAuth(source)
    async with aiohttp.ClientSession(middlewares=(middleware, AiohttpAuth(source))) as api3:
        assert_type(await api3.get("https://api.example.com", middlewares=[AiohttpAuth(key)]), aiohttp.ClientResponse)


# --- auth= -----------------------------------------------------------------------------------------------------------

session = requests.Session()
session.auth = RequestsAuth(source)
requests.get("https://api.example.com", auth=RequestsAuth(key), timeout=10)
httpx.get("https://api.example.com", auth=HttpxAuth(source))
httpx2.Client(auth=Httpx2Auth(source))

for_every_client = Auth(source)
session.auth = for_every_client
requests.get("https://api.example.com", auth=for_every_client, timeout=10)
httpx.get("https://api.example.com", auth=for_every_client)
httpx.AsyncClient(auth=for_every_client)
httpx2.get("https://api.example.com", auth=for_every_client)
httpx2.AsyncClient(auth=for_every_client)

# --- errors ----------------------------------------------------------------------------------------------------------


def errors() -> None:
    """What each `except` clause knows."""
    try:
        source.token()
    except TemporarilyUnavailable as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.outcome_unknown, bool)
        assert_type(error.replace(problem="x"), TemporarilyUnavailable)  # of the error's own class
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


absent = NotPickled("client_secret")
assert_type(absent.parameter, str)

# --- configuration and testing ---------------------------------------------------------------------------------------

assert_type(load_profile(overrides={"subject": "alice"}).make(OAuthClient, clock=Clock()), OAuthClient)

with Sandbox(personality="flinks") as sandbox:
    sandbox.fail(Fault(status=503), "invalid_grant")
    assert_type(sandbox.counts.refreshes, int)
    assert_no_secret_in({"headers": [b"Bearer"], "error": ValueError("x")}, sandbox)
