"""Rows: how a client proves itself, which provider it is of, where its settings come from, and what a copy carries."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
import pickle
import ssl
import unittest.mock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import requests
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey
from support.certificates import Certificates

from blnk_auth import (
    ApiAnswer,
    BLink,
    BlnkAuthError,
    BlnkCloud,
    Call,
    ConfigurationError,
    Event,
    Flinks,
    HttpxAuth,
    OAuthClient,
    ProtocolError,
    Provider,
    Refusal,
    RenewalPolicy,
    RequestsAuth,
    Signer,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
)
from blnk_auth._protocol.http_messages import HttpResponse
from blnk_auth.config import config_path, load_profile, profile_names
from blnk_auth.errors import NotPickled
from blnk_auth.providers import (
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
from blnk_auth.workload_identity import GitHubActionsToken, KubernetesToken

from .faults import ONE_OF_EACH, TOKEN_REQUEST, quotes
from .table import add_row, row
from .world import CLIENT_ID, REDIRECT_URI, World

# --- every way for a client to prove itself ---------------------------------------------------------------------------


def mark_private_key(world: World, key: ec.EllipticCurvePrivateKey, pem: str) -> None:
    """Search for each line of its PEM, and for its private value as a JWK has it."""
    lines = pem.splitlines()[1:-1]
    # The beginning is the same in every key: it names the kind of key.
    for line in [lines[0][36:], *lines[1:]]:
        if len(line) >= 12:
            world.secrets.add("private key", line)
    value = key.private_numbers().private_value.to_bytes(32, "big")
    world.secrets.add("private key", base64.urlsafe_b64encode(value).decode().rstrip("="))
    world.secrets.add("private key", value.hex())


def private_key(world: World, password: bytes | None = None) -> str:
    """A PEM, each line of which is a secret, and so is its private value as a JWK has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()
    mark_private_key(world, key, pem)
    return pem


def _jwk(world: World) -> dict[str, Any]:
    made = dict(ECKey.import_key(private_key(world)).as_dict(private=True))
    world.secrets.add("private key", made["d"])
    return made


def _by_secret(method: str) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"client_auth": method, "client_secret": world.client_secret}


def _callable_key(world: World) -> dict[str, Any]:
    pem = private_key(world)
    return {"private_key": lambda: world.fetched(pem), "client_auth": "private_key_jwt", "client_secret": None}


PROOFS: dict[str, Callable[[World], dict[str, Any]]] = {
    "client_secret_basic": _by_secret("client_secret_basic"),
    "client_secret_post": _by_secret("client_secret_post"),
    "client_secret_jwt": _by_secret("client_secret_jwt"),
    "a PEM": lambda world: {"private_key": private_key(world), "client_auth": "private_key_jwt", "client_secret": None},
    "PEM bytes": lambda world: {"private_key": private_key(world).encode(), "client_auth": "private_key_jwt"},
    "an assertion from elsewhere": lambda world: {
        "client_assertion": lambda: world.fetched(world.secrets.new("client assertion")),
        "client_secret": None,
    },
    "a JWK": lambda world: {"private_key": _jwk(world), "client_auth": "private_key_jwt", "client_secret": None},
    "a callable key": _callable_key,
    "a Signer": lambda world: {
        "private_key": Signer(lambda message: b"s" * 64, algorithm="ES256", key_id="k"),
        "client_auth": "private_key_jwt",
    },
}


def _proof_rows() -> None:
    for name, settings in PROOFS.items():

        def proved(world: World, settings: Callable[[World], dict[str, Any]] = settings) -> object:
            client = world.client(**settings(world))
            assert client.store is world.store
            world.look_at(copy.copy(client), copy.deepcopy(client), client.provider)
            return client.for_itself().token()

        drives = "Signer OAuthClient.provider OAuthClient.store" if name == "a Signer" else ""
        add_row(f"a client with {name}", proved, drives, failures=ONE_OF_EACH, further=TOKEN_REQUEST)


_proof_rows()

_WRONG_KEYS: dict[str, Callable[[World], Any]] = {
    "cut": lambda world: private_key(world)[:-80],
    "encrypted": lambda world: private_key(world, world.secrets.new("password of a key").encode()),
    "as bytes, cut": lambda world: private_key(world)[:-80].encode(),
    "a JWK without its curve": lambda world: {**_jwk(world), "crv": "P-999"},
    "a symmetric JWK": lambda world: {"kty": "oct", "k": world.secrets.new("private key")},
    "no key": lambda world: world.secrets.new("private key"),
    "in a list": lambda world: [private_key(world)],
}


def _wrong_key_rows() -> None:
    for name, make in _WRONG_KEYS.items():

        def given(world: World, make: Callable[[World], Any] = make) -> object:
            return world.client(private_key=make(world), client_auth="private_key_jwt", client_secret=None)

        def returned(world: World, make: Callable[[World], Any] = make) -> object:
            key = make(world)
            client = world.client(private_key=lambda: key, client_auth="private_key_jwt", client_secret=None)
            return client.for_itself().token()

        add_row(f"a private key {name}", given, "", raises=True)
        add_row(f"a callable private key {name}", returned, "", raises=True)


_wrong_key_rows()


@row("KubernetesToken", failures=ONE_OF_EACH)
def a_token_of_kubernetes(world: World) -> object:
    """From a file, as the client's proof."""
    file = world.directory / "token"
    file.write_text(world.secrets.new("projected token"))
    token = world.look_at(KubernetesToken(str(file)))
    client = world.client(client_assertion=token, client_secret=None)
    world.look_at(pickle.dumps(client.__getstate__()["client_assertion"]))
    return client.for_itself().token()


@row("GitHubActionsToken", raises=True)
def a_token_of_github_actions(world: World) -> object:
    """The token of the job is in a variable, and nothing listens there."""
    variables = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:9/token",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": world.secrets.new("token of the job"),
    }
    with unittest.mock.patch.dict(os.environ, variables):
        return world.look_at(GitHubActionsToken("audience"))()


@row("", raises=True)
def a_signer_that_raises(world: World) -> object:
    """With what it signs in its text, and the PIN of its device."""

    def sign(message: bytes) -> bytes:
        raise OSError(f"{message.decode()} {world.secrets.new('password of a key')}")

    signer = world.look_at(Signer(sign, algorithm="ES256"))
    return world.client(private_key=signer, client_auth="private_key_jwt").for_itself().token()


@row("", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
def a_client_with_its_own_http_client(world: World) -> object:
    """`token_http`: an httpx client with hooks and headers of its own."""
    with httpx.Client(verify=False, headers={"X-Gateway": world.secrets.new("gateway key")}) as http:
        return world.expired(world.client(token_http=http)).token()


@row("", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
def a_client_with_its_own_session(world: World) -> object:
    """`token_http`: a requests session with headers and auth of its own."""
    with requests.Session() as session:
        session.headers["X-Gateway"] = world.secrets.new("gateway key")
        return world.expired(world.client(token_http=session)).token()


PROXIES = (
    "http://user:{}@127.0.0.1:1",
    "socks5://user:{}@127.0.0.1:1",
    "ftp://user:{}@127.0.0.1:1",
    "http://user:{}@[x",
    "{}",
)


def _proxy_rows() -> None:
    for index, template in enumerate(PROXIES):

        def renewed(world: World, template: str = template) -> object:
            proxy = template.format(world.secrets.new("password of a proxy", "%2F"))
            client = world.client(proxy=proxy)
            world.look_at(pickle.loads(pickle.dumps(_picklable(proxy))))
            return world.expired(client).token()

        def discovered(world: World, template: str = template) -> object:
            proxy = template.format(world.secrets.new("password of a proxy", "%2F"))
            return Provider.discover("http://127.0.0.1:1", proxy=proxy)

        def by_requests(world: World, template: str = template) -> object:
            proxy = template.format(world.secrets.new("password of a proxy", "%2F"))
            source = world.expired(world.client(proxy=proxy))
            with requests.Session() as session:
                session.auth = RequestsAuth(source)
                return session.get(world.server.origin)

        add_row(f"a proxy with a password {index}", renewed, "", raises=True)
        add_row(f"a proxy with a password {index} in discovery", discovered, "", raises=True)
        add_row(f"a proxy with a password {index} through requests", by_requests, "", raises=True)


def _picklable(proxy: str) -> OAuthClient:
    return OAuthClient(BlnkCloud(), client_id=CLIENT_ID, client_secret="not marked", proxy=proxy)


_proxy_rows()


@row("", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
def a_client_with_a_certificate(world: World) -> object:
    """Mutual TLS: the file of its private key needs a password."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    certificates = Certificates(authority, world.directory)
    certificate, key_file = certificates.files(CLIENT_ID)
    key = serialization.load_pem_private_key(Path(key_file).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    mark_private_key(world, key, Path(key_file).read_text())
    password = world.secrets.new("password of a key")
    sealed = serialization.BestAvailableEncryption(password.encode())
    Path(key_file).write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    site = world.stack.enter_context(world.server.over_tls(certificates.server(client_certificate=ssl.CERT_REQUIRED)))
    client = world.client(
        world.provider(token_endpoint=f"{site.origin}/token"),
        client_secret=None,
        client_auth="tls_client_auth",
        cert=(certificate, key_file, password),
        verify=certificates.ca_file,
    )
    world.look_at(copy.copy(client), copy.deepcopy(client))
    return world.expired(client).token()


@row("", raises=True)
def the_password_of_a_client_certificate(world: World) -> object:
    """For a file that is not there."""
    password = world.secrets.new("password of a key")
    with contextlib.suppress(BlnkAuthError):
        Provider.discover("https://as.acme.test", cert=("/nonexistent", "/nonexistent", password))
    return world.client(cert=("/nonexistent", "/nonexistent", password), client_auth="tls_client_auth")


@row("", raises=True)
def a_key_file_that_its_password_does_not_open(world: World) -> object:
    """OpenSSL is given a wrong one."""
    file = world.directory / "key.pem"
    file.write_text(private_key(world, b"another"))
    password = world.secrets.new("password of a key")
    return world.client(cert=(str(file), str(file), password), client_auth="tls_client_auth")


# --- every provider --------------------------------------------------------------------------------------------------


def _blink(world: World) -> Provider:
    return BLink(
        base_url=world.server.origin,
        authorization_endpoint=f"{world.server.origin}/authorize",
        target_id="IIDP99999",
        username="alice",
        user_agent="Canary 1.0",
        client_auth="none",
    )


PROVIDERS: dict[str, tuple[str, Callable[[World], Provider]]] = {
    "Blnk Cloud": ("BlnkCloud", lambda world: BlnkCloud(base_url=world.server.origin)),
    "bLink": ("BLink BLinkCustomer", _blink),
    "Flinks": (
        "Flinks read_flinks_answer",
        lambda world: Flinks(host=world.server.origin),
    ),
    "UK Open Banking": (
        "UKOpenBanking uk_open_banking_interaction",
        lambda world: UKOpenBanking(
            name="bank",
            issuer=world.server.origin,
            token_endpoint=f"{world.server.origin}/token",
            api_origins=(world.server.origin,),
            client_auth="client_secret_post",
        ),
    ),
    "Mastercard": (
        "MastercardOpenFinanceEurope",
        lambda world: MastercardOpenFinanceEurope(
            token_endpoint=f"{world.server.origin}/token",
            authorization_endpoint=f"{world.server.origin}/authorize",
            api_origins=(world.server.origin,),
        ),
    ),
}


def _provider_rows() -> None:
    for name, (drives, make) in PROVIDERS.items():

        def renewed(world: World, make: Callable[[World], Provider] = make) -> object:
            provider = world.look_at(make(world))
            secrets = {"client_secret": None} if provider.client_auth == "none" else {}
            source = world.expired(world.client(provider, **secrets))
            with httpx.Client(auth=HttpxAuth(source), verify=False) as client:
                return client.get(f"{world.server.origin}/x")

        def rejected(world: World, make: Callable[[World], Provider] = make) -> object:
            provider = world.look_at(make(world))
            secrets = {"client_secret": None} if provider.client_auth == "none" else {}
            source = world.source(world.client(provider, **secrets))
            world.server.reject_token(source.token().access_token)
            with httpx.Client(auth=HttpxAuth(source), verify=False) as client:
                return client.get(f"{world.server.origin}/x")

        places = quotes("token", ("correlation id", "title", "errors", "message in a 200", "error_description"))
        add_row(f"a renewal at {name}", renewed, drives, failures=places)
        add_row(f"a rejection by {name}", rejected, "", failures=(*places, "api: rejects it", "api: quotes it"))


_provider_rows()


@row(
    "Provider Provider.api_headers_of Provider.authorization_endpoint_of Provider.origins_for Provider.rejects_token "
    "Provider.target_of Provider.token_headers_of Provider.token_parameters_of Provider.with_certificate TrueLayer "
    "BLinkCustomer.check BLinkCustomer.headers BLinkCustomer.parameters BLinkCustomer.target "
    "AllowedOrigins AllowedOrigins.permits Origin Origin.is_secure "
    "BLinkCustomer.token_headers ApiAnswer Call HttpResponse Refusal Refusal.is_legible is_blnk_cloud_rejection "
    "blink_permission_url is_blink_rejection judge_blink_refusal is_flinks_rejection judge_flinks_refusal "
    "ends_blink_consent ends_flinks_consent"
)
def what_a_provider_computes(world: World) -> object:
    """A provider has no secret; what it judges may have one, in a body or a header."""
    token, call = world.token(), Call("refresh_token", "alice", target="IIDP99999")
    answer = ApiAnswer(401, {"www-authenticate": f"Bearer {token.access_token}"}, "/x", token.access_token.encode())
    response = HttpResponse(400, {"x": token.access_token}, json.dumps({"error": token.access_token}).encode())
    refusal = Refusal(response, {"error": token.access_token}, None)
    world.look_at(answer, refusal, response, call, refusal.is_legible)
    for provider in (_blink(world), Flinks(host=world.server.origin), BlnkCloud(), TrueLayer(sandbox=True)):
        world.look_at(
            provider, provider.rejects_token(answer), provider.origins_for(token), provider.target_of("alice")
        )
        origins = provider.origins_for(token)
        world.look_at(*((origin, origin.is_secure, origins.permits(origin)) for origin in origins.listed))
        world.look_at(provider.api_headers_of(call), provider.token_headers_of(call))
        world.look_at(provider.token_parameters_of(call, reserved=()), provider.with_certificate())
        world.look_at(provider.authorization_endpoint_of("IIDP99999"))
    world.look_at(blink_permission_url(f"{world.server.origin}/consent", target_id="IIDX1", user_id="alice"))
    judged = [is_blink_rejection(answer), is_blnk_cloud_rejection(answer), is_flinks_rejection(answer)]
    judged += [ends_blink_consent(answer), ends_flinks_consent(answer)]
    world.look_at(judge_blink_refusal(refusal), judge_flinks_refusal(refusal), uk_open_banking_interaction(call))
    assert read_flinks_answer(token.to_dict(), 0.0)
    return judged


def _own_provider(**settings: Any) -> Callable[[World], object]:
    def operation(world: World) -> object:
        def quote(*given: Any) -> Any:
            raise RuntimeError(f"{given!r} {given[0]!s} {[*map(vars, filter(_has_vars, given))]}")

        made = dict.fromkeys(settings, quote)
        client = world.client(world.provider(**made))
        source = world.expired(client)
        if "is_rejection" in settings:
            world.server.reject_token(source.token().access_token)
            source = world.source(client)
            world.server.reject_token(source.token().access_token)
        with httpx.Client(auth=HttpxAuth(source), verify=False) as http:
            return http.get(f"{world.server.origin}/x")

    return operation


def _has_vars(value: object) -> bool:
    return hasattr(value, "__dict__")


add_row("a provider whose read_answer quotes", _own_provider(read_answer=0), "")
add_row("a provider whose is_rejection quotes", _own_provider(is_rejection=0), "", raises=True)
add_row("a provider whose token_parameters quote", _own_provider(token_parameters=0), "", raises=True)
add_row("a provider whose token_headers quote", _own_provider(token_headers=0), "", raises=True)
add_row("a provider whose api_headers quote", _own_provider(api_headers=0), "", raises=True)


@row("", failures=quotes("token", ("error_description", "error", "title")), raises=True)
def a_provider_whose_judge_quotes(world: World) -> object:
    """`judge_refusal` raises with the whole response in its text."""

    def judge(refusal: Refusal) -> Any:
        raise RuntimeError(f"{refusal.response.body!r} {refusal.document!r}")

    world.server.faults.setdefault("token", lambda heard: _refused(heard.secrets))
    return world.expired(world.client(world.provider(judge_refusal=judge))).token()


def _refused(secrets: dict[str, str]) -> Any:
    from support.sites import Reply

    return Reply.json({"error": "x", "error_description": " ".join(secrets.values())}, 400)


@row("", failures=quotes("token", ("error_description", "error", "title")))
def secret_parameters_of_a_provider(world: World) -> object:
    """A parameter that proves the client, as some gateways demand one."""
    key = world.secrets.new("gateway key")
    provider = world.provider(token_parameters={"subscription_key": key}, token_headers={"X-Subscription-Key": key})
    del world.looked_at[-1]  # its settings are data, and are shown as such
    client = world.client(provider)
    return world.expired(client).token()


@row("Provider.discover", failures=("metadata: quotes it", "metadata: is cut"))
def a_discovered_provider(world: World) -> object:
    """RFC 8414."""
    world.secrets.add("client secret", world.client_secret)
    return Provider.discover(f"{world.server.origin}/{world.directory.name}")


# --- where settings come from ----------------------------------------------------------------------------------------

PROFILE = '[profiles.default]\nprovider = "blnk_cloud"\nclient_id = "c"\n'

CONFIGURATIONS = {
    "a secret": '{PROFILE}client_secret = "{secret}"\n',
    "an unknown key": '{PROFILE}client_secret = "{secret}"\nclient_secrett = "{secret}"\n',
    "a secret in a list": '{PROFILE}client_secret = ["{secret}"]\n',
    "a secret in a table": '{PROFILE}client_secret = {{ a = "{secret}" }}\n',
    "a secret in the wrong table": 'client_secret = "{secret}"\n{PROFILE}',
    "broken TOML after a secret": '{PROFILE}client_secret = "{secret}"\nx = \n',
    "an unterminated secret": '{PROFILE}client_secret = "{secret}\n',
    "a secret without quotes": "{PROFILE}client_secret = {secret}\n",
    "a secret for client_auth": '{PROFILE}client_auth = "{secret}"\n',
    "a secret for the provider": '[profiles.default]\nprovider = "{secret}"\n',
    "a secret for a number": '{PROFILE}client_secret = "s"\nearliest_renewal = "{secret}"\n',
    "a secret for base_url": '{PROFILE}client_secret = "s"\nbase_url = "{secret}"\n',
    "a secret in a reference": '{PROFILE}client_secret = "${{{secret}}}"\n',
    "a secret for a keyring entry": '{PROFILE}client_secret = "keyring:{secret}"\n',
    "a store with a password": '{PROFILE}client_secret = "s"\nstore = "postgres://user:{secret}@127.0.0.1:1/x"\n',
    "a proxy with a password": '{PROFILE}client_secret = "s"\nproxy = "ftp://user:{secret}@127.0.0.1:1"\n',
    "a key file that is a key": (
        '{PROFILE}private_key = "-----BEGIN PRIVATE KEY----- {secret}"\nclient_auth = "private_key_jwt"\n'
    ),
}


def _configuration_rows() -> None:
    for name, template in CONFIGURATIONS.items():

        def loaded(world: World, template: str = template) -> object:
            file = world.directory / "config.toml"
            file.write_text(template.format(PROFILE=PROFILE, secret=world.secrets.new("client secret", "-._~")))
            file.chmod(0o600)
            with contextlib.suppress(BlnkAuthError):
                profile = world.look_at(load_profile("default", file))
                world.look_at(profile.client_settings(), profile.network_settings(), profile.provider(), profile.origin)
                world.look_at(profile.subject, profile.scope, profile.resource, profile.audience, profile.store_file())
                world.look_at(profile.origin.located(profile.origin.error("client_secret", "is wrong")))
            try:
                profile_names(config_path(file))
                return OAuthClient.from_config("default", file)
            except BlnkAuthError as error:
                return error

        drives = (
            "OAuthClient.from_config Profile Profile.client_settings Profile.make Profile.network_settings "
            "Profile.open_store Profile.provider Profile.store_file Profile.audience Profile.origin Profile.resource "
            "Profile.scope Profile.subject SettingsOrigin SettingsOrigin.error SettingsOrigin.located config_path "
            "load_profile profile_names"
        )
        add_row(f"a configuration with {name}", loaded, drives if name == "a secret" else "")


_configuration_rows()


# --- what copies, pickles and values carry ---------------------------------------------------------------------------


def _secret_of_the_canary() -> str:
    return "not marked: a pickle names the function, and not what it returns"


@row("NotPickled")
def a_pickled_client(world: World) -> object:
    """Secrets that were given as such are replaced; tokens stay in the store."""
    from blnk_auth import SQLiteStore

    store = SQLiteStore(world.directory / "tokens.db")
    given: dict[str, Any] = {"client_id": CLIENT_ID, "store": store, "redirect_uri": REDIRECT_URI}
    clients = [
        OAuthClient(BlnkCloud(base_url=world.server.origin), client_secret=world.client_secret, **given),
        OAuthClient(BlnkCloud(base_url=world.server.origin), client_secret=_secret_of_the_canary, **given),
        OAuthClient(
            world.provider(), private_key=private_key(world), client_auth="private_key_jwt", key_id="k", **given
        ),
        OAuthClient(world.provider(), private_key=_jwk(world), client_auth="private_key_jwt", **given),
    ]
    for client in clients:
        source = client.for_subject("alice")
        source.adopt(world.token(issued_at=None, expires_at=None))
        for made in (client, source, HttpxAuth(source), RequestsAuth(source)):
            world.look_at(made, pickle.loads(pickle.dumps(made)))
        assert pickle.loads(pickle.dumps(source)).token() == source.token()
    return NotPickled("client_secret")


@row("", raises=True)
def a_pickled_client_used(world: World) -> object:
    """What replaces a secret raises when it is needed."""
    client = OAuthClient(BlnkCloud(base_url=world.server.origin), client_id="c", client_secret=world.client_secret)
    restored = pickle.loads(pickle.dumps(client))
    source = restored.for_subject("alice")
    source.adopt(world.token(expires_at=1.0, issued_at=0.0))
    return source.token()


@row("RenewalPolicy")
def a_policy(world: World) -> object:
    """It has no secret; one in the place of a number is not quoted."""
    with contextlib.suppress(BlnkAuthError, TypeError):
        world.look_at(RenewalPolicy(cooldown=world.secrets.new("client secret")))  # type: ignore[arg-type]
    with contextlib.suppress(ConfigurationError) as _:
        RenewalPolicy(cooldown=-1)
    return RenewalPolicy()


@row("", raises=True)
def a_secret_for_a_number(world: World) -> object:
    """A setting of a policy."""
    return RenewalPolicy(cooldown=world.secrets.new("client secret"))  # type: ignore[arg-type]


@row(
    "BlnkAuthError BlnkAuthError.fields BlnkAuthError.replace ConfigurationError ProtocolError SignInRequired "
    "SignInRequired.fields StoreError.fields TemporarilyUnavailable TemporarilyUnavailable.fields Event"
)
def errors_and_events(world: World) -> object:
    """An error with a sign-in in it: its URL and its state are for one user."""
    request = world.client().start_authorization("alice")
    world.secrets.add("state", request.state)
    error = SignInRequired("sign in", reason="step_up", authorization=request)
    other = TemporarilyUnavailable("later", retry_after=1.0)
    assert error.fields()["authorization"] is request
    stored = StoreError("it cannot be written", key="key")
    world.look_at(
        stored,
        stored.fields(),
        error.replace(problem="again"),
        other,
        other.fields(),
        ProtocolError("p"),
        ConfigurationError("c"),
    )
    world.look_at(Event("renewed", "key", error=error), ExceptionGroup("all", [error, other]))
    return error
